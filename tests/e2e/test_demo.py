"""``meshtop demo`` in a terminal of its own: the live matrix, and nothing left however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshtop.lab.registry import REGISTRY

pytestmark = pytest.mark.lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
ESCAPE = re.compile(r"\x1b(\[[0-9;?<=>]*[a-zA-Z]|[()][A-Z0-9]|[=>]|\][^\x07\x1b]*(\x07|\x1b\\))")
LEFT_THE_SCREEN = b"\x1b[?1049l"


class Terminal:
    """A pseudo-terminal of 120×40 with ``meshtop demo`` in it."""

    def __init__(self, *options: str, cwd: Path) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.output = b""
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [MESHTOP, "demo", *options],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            if not part:
                return
            with self._news:
                self.output += part
                self._news.notify_all()

    def text(self) -> str:
        return ESCAPE.sub("", self.output.decode(errors="replace"))

    def until(self, wanted: str, timeout_s: float = 40.0) -> None:
        with self._news:
            assert self._news.wait_for(lambda: wanted in self.text(), timeout_s), self.text()[-3000:]

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def lab(self) -> dict[str, object]:
        """The record of this demo's lab, empty where there is none."""
        for file in REGISTRY.glob("lab-*.json"):
            record: dict[str, object] = json.loads(file.read_bytes())
            if record["name"] == f"demo-{self.process.pid}":
                return record
        return {}

    def wait(self) -> int:
        return self.process.wait(timeout=30)

    def assert_whole(self) -> None:
        """The terminal is as it was before."""
        assert self.output.rfind(LEFT_THE_SCREEN) > self.output.rfind(b"\x1b[?1049h")
        assert self.output.rfind(b"\x1b[?25h") > self.output.rfind(b"\x1b[?25l")  # the cursor
        assert termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=30)
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.close()


def assert_nothing_left(terminal: Terminal, record: dict[str, object]) -> None:
    assert terminal.lab() == {}
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert f"meshtop{record['index']}-" not in left
    assert not Path(f"/sys/class/net/mtlab{record['index']}mgmt").exists()
    processes = record["processes"]
    assert isinstance(processes, dict)
    for each in processes.values():
        assert not Path(f"/proc/{each['pid']}").exists()


def test_q_leaves_the_live_matrix(start: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(cwd=tmp_path)
    start.append(terminal)
    terminal.until("5/5 nodes")
    terminal.until("1.0×")  # a measured cell
    record = terminal.lab()
    assert record
    terminal.type(b"q")
    assert terminal.wait() == 0, terminal.text()[-3000:]
    terminal.assert_whole()
    assert_nothing_left(terminal, record)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_it_as_clean(number: signal.Signals, start: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(cwd=tmp_path)
    start.append(terminal)
    terminal.until("5/5 nodes")
    record = terminal.lab()
    terminal.process.send_signal(number)
    assert terminal.wait() == 130, terminal.text()[-3000:]
    terminal.assert_whole()
    assert_nothing_left(terminal, record)


def test_an_interruption_while_the_lab_comes_up(start: list[Terminal], tmp_path: Path) -> None:
    terminal = Terminal(cwd=tmp_path)
    start.append(terminal)
    terminal.until("bringing up five nodes")
    guard = threading.Event()
    while not (record := terminal.lab()).get("processes"):
        assert not guard.wait(0.01)
        assert terminal.process.poll() is None
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 130
    assert_nothing_left(terminal, record)


def test_tables_for_who_has_no_screen(tmp_path: Path) -> None:
    done = subprocess.run(
        [MESHTOP, "demo", "--no-tui", "--for", "7s"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "5/5 nodes up" in done.stdout
    assert "Traceback" not in done.stderr
