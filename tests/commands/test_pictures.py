"""``meshtop snapshot --svg/--png/--text`` on recordings of real labs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
RECORDING = Path(__file__).parents[1] / "fixtures" / "recordings" / "loss.mtr"


def meshtop(*options: str, cwd: Path, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, MESHTOP, "snapshot", "--from", str(RECORDING), *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def test_a_picture_comes_with_its_text(tmp_path) -> None:
    done = meshtop("--svg", "a.svg", "--png", "b.png", "--size", "100x30", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "what is written into files is not printed, too"
    assert {path.name for path in tmp_path.iterdir()} == {"a.svg", "a.txt", "b.png", "b.txt"}
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG\r\n")
    text = (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert text == (tmp_path / "b.txt").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 30
    assert max(map(cell_len, text.splitlines())) <= 100


def test_a_picture_that_does_not_fit_leaves_nothing(tmp_path) -> None:
    """Files of at most 2 kB stand for a disk that is full."""
    done = meshtop("--png", "a.png", cwd=tmp_path, before=("prlimit", "--fsize=2000"))
    assert done.returncode == 2
    assert "a.png: File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_text_alone_and_the_state_beside_it(tmp_path) -> None:
    done = meshtop("--text", "a.txt", "--view", "link:e:a", "--size", "80x24", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('{"schema":"meshtop.snapshot/1"')
    assert "e → a" in (tmp_path / "a.txt").read_text(encoding="utf-8")


def test_text_on_standard_output(tmp_path) -> None:
    done = meshtop("--text", "-", "--view", "stalls", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 40
    assert not list(tmp_path.iterdir())


def test_the_begin_of_a_recordings_stream(tmp_path) -> None:
    def events(*options: str) -> list[str]:
        command = [MESHTOP, "stream", "--from", str(RECORDING), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()

    whole, begin = events(), events("--for", "5s")
    assert begin == whole[: len(begin)]
    assert 0 < len(begin) < len(whole) / 2


@pytest.mark.parametrize("name", ["cpu-full", "ways-of-all", "hub-cpu"])
def test_the_same_recording_gives_the_same_stream(name: str) -> None:
    """Whatever order this interpreter keeps its sets in."""
    file = RECORDING.parents[1] / "verdicts" / f"{name}.mtr"

    def events(seed: str) -> bytes:
        command = [MESHTOP, "stream", "--from", str(file)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60).stdout

    assert events("1") == events("2") == events("3")


def test_the_same_recording_gives_the_same_picture(tmp_path) -> None:
    for name in ("one.svg", "two.svg"):
        assert meshtop("--svg", name, "--view", "diagnosis", cwd=tmp_path).returncode == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--text", "a.txt", "--view", "nodes"], 'no view is called "nodes"'),
        (["--text", "a.txt", "--view", "link:e:z"], 'no node is called "z"'),
        (["--text", "a.txt", "--size", "120"], '"120" is not a size; write 120x40'),
        (["--text", "a.txt", "--size", "9x9"], "out of range; write 10x3 to 500x200"),
        (["--png", "gone/a.png"], "gone is no folder"),
        (["--png", "a.png", "--theme", "nosuch"], "no theme is called nosuch"),
        (["--png", "a.png", "--theme-dir", "gone"], "'gone' does not exist"),
        (["--view", "stalls"], "add --svg, --png or --text FILE"),
    ],
)
def test_what_cannot_be_drawn_is_said_before_anything_is_read(options, said, tmp_path) -> None:
    done = meshtop(*options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
