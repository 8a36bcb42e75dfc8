"""`meshtop report` and `meshtop replay` as they are typed."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import click
import pytest

from meshtop.commands.replay import moment
from tests.meshes import HERE

RECORDING = Path(str(files("meshtop.lab"))) / "recordings" / "miku.mtr"


def meshtop(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshtop.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.node
def test_without_a_recording_it_watches_first(tmp_path: Path) -> None:
    config, target = tmp_path / "meshtop.toml", tmp_path / "now.zip"
    config.write_text(HERE)
    done = meshtop("-c", str(config), "report", "--last", "3s", "--title", "now", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}\n"
    assert "recording.mtr" in done.stderr
    with zipfile.ZipFile(target) as archive:
        archive.extractall(tmp_path)
    told = meshtop("snapshot", "--json", "--from", str(tmp_path / "now" / "recording.mtr"))
    assert [node["state"] for node in json.loads(told.stdout)["nodes"]] == ["up", "down"]
    assert (tmp_path / "now" / "report.md").read_text().startswith("# now\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report",), "-o says where"),
        (("report", "-o", "."), "is there already"),
        (("report", "-o", "x", "--until", "12:00"), "need --from"),
        (("report", "--from", "no.mtr", "-o", "x"), "no.mtr: No such file"),
        (("replay", str(RECORDING)), "needs a terminal"),
    ],
)
def test_what_cannot_be_is_said_with_exit_code_2(arguments: tuple[str, ...], said: str) -> None:
    done = meshtop(*arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_recording_of_a_newer_version_says_so(tmp_path: Path) -> None:
    file = tmp_path / "new.mtr"
    file.write_bytes(b'{"magic":"meshtop-recording","format":99,"meshtop":"9.0","more":1}\n')
    done = meshtop("report", "--from", str(file), "-o", str(tmp_path / "x"))
    assert done.returncode == 2
    assert "meshtop 9.0" in done.stderr


def test_a_report_of_a_recording_that_was_cut_off_says_so(tmp_path: Path) -> None:
    file, target = tmp_path / "cut.mtr", tmp_path / "out"
    file.write_bytes(RECORDING.read_bytes()[:200_000])
    done = meshtop("report", "--from", str(file), "--last", "10s", "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert "cut.mtr is incomplete: ends within a block at byte" in done.stderr
    assert "| incomplete | ends within a block at byte" in (target / "report.md").read_text()


BEGAN = 1_714_573_800.0  # 2024-05-01T14:30:00Z


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+5m", 300.0),
        ("-90s", 3510.0),
        ("14:32:07", 127.0),
        ("14:31", 60.0),
        ("2024-05-01T14:40:00Z", 600.0),
        ("2024-05-01T16:40:00+02:00", 600.0),
    ],
)
def test_times_within_a_recording(text: str, seconds: float) -> None:
    assert moment(text, BEGAN, BEGAN + 3600) == BEGAN + seconds


@pytest.mark.parametrize("text", ["", "soon", "25:00", "12:00", "+2h", "2024-05-02T14:40:00Z"])
def test_times_that_are_none_or_outside(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"is no time|is outside of the recording"):
        moment(text, BEGAN, BEGAN + 3600)


def test_a_recording_over_midnight_knows_times_of_both_days() -> None:
    late = BEGAN + 9 * 3600  # 23:30
    assert moment("00:10", late, late + 3600) == late + 2400
