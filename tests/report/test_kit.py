"""Where a report is put: whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from meshtop.report.kit import Kit, ReportError


@pytest.fixture
def kit() -> Kit:
    kit = Kit()
    kit.put("report.md", "words", "the story")
    kit.put("charts/a-b.svg", "<svg/>", "a chart")
    return kit


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_nothing_is_left_of_what_does_not_fit_on_the_disk(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with kit, monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        patched.setattr(zipfile.ZipFile, "write", full)
        with pytest.raises(ReportError, match=r"No space left on device; it needs 0\.0 MB, and nothing is left"):
            kit.deliver(tmp_path / name)
        assert not list(tmp_path.iterdir())
        patched.undo()
        kit.deliver(tmp_path / name)
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_nothing_is_written_over(kit: Kit, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with kit, pytest.raises(ReportError, match="there already"):
        kit.deliver(tmp_path / name)
    assert (tmp_path / name).read_text() == "mine"
