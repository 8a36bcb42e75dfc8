"""The real program in a real pseudo-terminal: what it leaves behind however it ends, and how much it writes."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "scripted_mesh.py"
PATIENCE_S = 20.0  # a busy machine starts Python slowly
# What a clean terminal was told last: main screen, cursor, no mouse, no focus reports, no pasting marks, line wrap.
LEFT_CLEAN = (
    (b"\x1b[?1049l", b"\x1b[?1049h"),
    (b"\x1b[?25h", b"\x1b[?25l"),
    (b"\x1b[?1000l", b"\x1b[?1000h"),
    (b"\x1b[?1003l", b"\x1b[?1003h"),
    (b"\x1b[?1004l", b"\x1b[?1004h"),
    (b"\x1b[?2004l", b"\x1b[?2004h"),
    (b"\x1b[?7h", b"\x1b[?7l"),
)


class Terminal:
    """A program on a pseudo-terminal of 120×40, and all that it wrote."""

    def __init__(self, *arguments: str, width: int = 120, height: int = 40, **environment: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.written = b""
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **environment},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def read(self, seconds: float) -> bytes:
        """What comes within ``seconds``."""
        end, got = time.monotonic() + seconds, b""
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    got += os.read(self.master, 65536)
                except OSError as error:
                    if error.errno != errno.EIO:  # the other end is closed
                        raise
                    break
        self.written += got
        return got

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while text.encode() not in self.written:
            assert time.monotonic() < end, f"{text!r} never came"
            assert self.process.poll() is None or self.read(0.2), f"it ended before {text!r} came"
            self.read(0.1)

    def read_until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            self.read(0.05)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def end(self) -> int:
        """Wait for the program's end; its exit code."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < end:
            self.read(0.05)
        self.read(0.1)
        return self.process.wait(1)

    def left_unclean(self) -> list[object]:
        """Modes that were entered and not left, and what is different about the line's settings."""
        modes = [begun for done, begun in LEFT_CLEAN if self.written.rfind(done) <= self.written.rfind(begun)]
        now = termios.tcgetattr(self.slave)
        return [*modes, *((was, then) for was, then in zip(self.before, now, strict=True) if was != then)]

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in (self.master, self.slave):
            if end >= 0:
                os.close(end)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def test_q_leaves_a_clean_terminal(terminals) -> None:
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    assert termios.tcgetattr(terminal.slave) != terminal.before
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_unclean() == []
    assert b"Traceback" not in terminal.written


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_signals_leave_a_clean_terminal(name, terminals) -> None:
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    terminal.process.send_signal(getattr(signal, name))
    assert terminal.end() == 130
    assert terminal.left_unclean() == []
    assert b"Traceback" not in terminal.written


def test_ctrl_c_is_an_interruption(terminals) -> None:
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    terminal.press("\x03")
    assert terminal.end() == 130
    assert terminal.left_unclean() == []


def test_a_failing_background_leaves_a_clean_terminal_and_says_why(terminals) -> None:
    terminals.append(terminal := Terminal("--fail-after", "0.5"))
    terminal.wait_for("Attention")
    assert terminal.end() == 1
    assert terminal.left_unclean() == []
    said = terminal.written[terminal.written.rfind(b"\x1b[?1049l") :]
    assert b"the script was told to fail" in said


@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.5])
def test_a_terminal_that_goes_away_ends_it(after_s, terminals) -> None:
    """The window is closed: the kernel hangs up the session, and nothing can be written any more."""
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    terminal.read(after_s)
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.slave = terminal.master = -1
    terminal.process.wait(PATIENCE_S)


def test_being_continued_out_of_the_blue_keeps_what_to_go_back_to(terminals) -> None:
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    for _ in range(3):
        terminal.written = b""
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for("Attention")  # painted afresh: a shell may have written in between
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_unclean() == []


def test_stopped_it_leaves_the_terminal_clean_and_continued_it_is_back(terminals) -> None:
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")
    terminal.process.send_signal(signal.SIGTSTP)
    terminal.read_until(lambda: Path(f"/proc/{terminal.process.pid}/stat").read_text().rsplit(")", 1)[1][1] == "T")
    terminal.read(0.2)
    assert terminal.left_unclean() == []
    terminal.written = b""
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_for("Attention")
    assert terminal.left_unclean()
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_unclean() == []


def test_a_terminal_that_stops_reading_stops_no_collecting(terminals, tmp_path) -> None:
    """A stalled SSH session of the operator: the event loop must go on."""
    pulse = tmp_path / "pulse"
    terminals.append(terminal := Terminal("--pulse", str(pulse)))
    terminal.wait_for("Attention")
    terminal.press("\x1b[?2026;2$y")  # "synchronised output is supported": three writes a paint
    terminal.read(1.0)
    assert b"\x1b[?2026h" in terminal.written
    time.sleep(8.0)  # nothing is read meanwhile: far more is due than a terminal and Textual's queue hold
    beats = [float(line) for line in pulse.read_text(encoding="ascii").split()]
    assert time.monotonic() - beats[-1] < 1.0
    assert max(after - before for before, after in pairwise(beats)) < 1.5
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_unclean() == []


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
def test_it_writes_less_than_20_kilobytes_a_second(size, terminals) -> None:
    terminals.append(terminal := Terminal(width=size[0], height=size[1]))
    terminal.wait_for("Log")
    terminal.read(2.0)
    begin = time.monotonic()
    written = terminal.read(8.0)
    rate = len(written) / (time.monotonic() - begin)
    assert 200 < rate < 20_000


def test_a_click_selects_and_a_double_click_enters(terminals) -> None:
    """As a terminal reports a mouse (SGR): button, column and line from 1, pressed and released."""
    terminals.append(terminal := Terminal())
    terminal.wait_for("Attention")

    def click(column: int, line: int) -> None:
        terminal.press(f"\x1b[<0;{column};{line}M\x1b[<0;{column};{line}m")

    click(26, 10)  # row c, column b
    terminal.wait_for("c → b")
    assert b"Flows on" not in terminal.written
    terminal.read(1.0)  # two clicks that are far apart are two
    click(40, 4)
    click(40, 4)
    terminal.wait_for("Flows on")
    assert b"a \xe2\x86\x92 c" in terminal.written
    terminal.press("q")
    assert terminal.end() == 0
    assert terminal.left_unclean() == []


def test_no_color_writes_no_colour(terminals) -> None:
    terminals.append(terminal := Terminal(NO_COLOR="1"))
    terminal.wait_for("Attention")
    terminal.read(1.5)
    codes = {code for found in re.findall(rb"\x1b\[([0-9;]*)m", terminal.written) for code in found.split(b";")}
    assert codes <= {b"", b"0", b"1", b"2", b"4", b"7", b"39", b"49"}


def test_a_terminal_without_utf8_gets_ascii(terminals) -> None:
    terminals.append(terminal := Terminal(LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"))
    terminal.wait_for("Attention")
    terminal.read(1.5)
    assert terminal.written.isascii()
    terminal.press("q")
    assert terminal.end() == 0
