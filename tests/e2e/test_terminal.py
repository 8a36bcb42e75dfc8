"""The screen in a real terminal, as an operator has it: every screen, a burst, freeze, a picture, and a clean end."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
PROMPT = "ready>"


class Tmux:
    """A server of its own with one window of 120×40 and a shell in it."""

    def __init__(self, cwd: Path) -> None:
        self._socket = f"meshtop-test-{os.getpid()}"
        self._do("-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-c", str(cwd),
                 f"LANG=C.UTF-8 PS1='{PROMPT} ' exec sh")  # fmt: skip

    def _do(self, *words: str) -> str:
        command = ["tmux", "-u", "-L", self._socket, *words]
        environment = dict(os.environ)  # without what readline put into the process behind Python's back: COLUMNS
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20, env=environment).stdout

    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    def flag(self, name: str) -> str:
        return self._do("display-message", "-p", f"#{{{name}}}").strip()

    def keys(self, *names: str) -> None:
        self._do("send-keys", *names)

    def type(self, text: str) -> None:
        self._do("send-keys", "-l", text)

    def until(self, wanted: str | Callable[..., bool], timeout_s: float = 30.0) -> str:
        """What stands there once it is so."""
        nobody, seen = threading.Event(), ""
        for _ in range(int(timeout_s / 0.1)):
            seen = self.screen()
            if wanted in seen if isinstance(wanted, str) else wanted(seen):
                return seen
            nobody.wait(0.1)
        raise AssertionError(f"{wanted} was not seen within {timeout_s} s:\n{seen}")

    def close(self) -> None:
        self._do("kill-server")


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    terminal = Tmux(tmp_path)
    yield terminal
    terminal.close()


def test_a_session_of_an_operator(tmux: Tmux, tmp_path: Path) -> None:
    tmux.until(PROMPT)
    tmux.type("stty -g > before")
    tmux.keys("Enter")
    tmux.type(f"{shlex.quote(MESHTOP)} demo --scenario healthy; echo left with $?")
    tmux.keys("Enter")
    tmux.until("5/5 nodes", 60)
    tmux.until("1.0×")  # a measured cell

    for key, wanted in (
        ("Enter", "Goodput"), ("n", "Interfaces"), ("t", "newest first"), ("d", "Diagnosis ·"), ("l", "Log ·"),
        ("u", "Bursts ·"), ("?", "Everywhere"), (":", "Commands"),
    ):  # fmt: skip
        tmux.keys(key)
        tmux.until(wanted)
        tmux.keys("Escape")
        tmux.until(lambda seen, gone=wanted: "1 rtt 2 rate" in seen and gone not in seen)  # back on the matrix

    tmux.keys("Space")
    tmux.until("FROZEN")
    tmux.keys("Space")
    tmux.until("LIVE")

    tmux.keys("p", "b")
    tmux.until("will cross the link")
    tmux.keys("Up", "Up")
    tmux.type("1M")
    tmux.until("1.0MB will cross the link")
    tmux.keys("F5")
    tmux.until("b1 by interval")
    told = tmux.until(lambda seen: "done in" in seen or "failed" in seen, 60)
    assert "done in" in told, told

    tmux.keys("C-s")
    tmux.until("Screenshot:")
    files = sorted(tmp_path.glob("meshtop-*"))
    assert [path.suffix for path in files] == [".png", ".svg", ".txt"]
    assert "b1 by interval" in files[2].read_text(encoding="utf-8")

    tmux.keys("q")
    tmux.until("left with 0", 60)
    assert tmux.flag("alternate_on") == "0"
    assert tmux.flag("cursor_flag") == "1"
    assert tmux.flag("mouse_any_flag") == "0"
    assert tmux.flag("bracket_paste_flag") in ("", "0")  # older servers do not tell
    tmux.type("stty -g > after")
    tmux.keys("Enter")
    tmux.until(lambda seen: (tmp_path / "after").exists())
    tmux.until(lambda seen: (tmp_path / "after").read_bytes() != b"")
    assert (tmp_path / "after").read_bytes() == (tmp_path / "before").read_bytes()
    assert "\x1b" not in tmux.screen()
