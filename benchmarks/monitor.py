"""meshtop itself, run as its users run it: without a screen (``meshtop stream``) or on a terminal of a given size."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

HERE = Path("/run/bench")
MESHTOP = (sys.executable, "-m", "meshtop.cli")
COLUMNS, LINES = 120, 40


def environment() -> dict[str, str]:
    home = HERE / "home"
    home.mkdir(exist_ok=True)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    # asyncio's debug mode or a development switch of the caller's would be measured instead
    return {"LANG": "C.UTF-8", **kept, "HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


class Stream:
    """``meshtop stream`` whose output nobody reads: collecting, as the nodes feel it, and no screen."""

    def __init__(self, config: Path) -> None:
        self._log = (HERE / "stream.log").open("w")
        self._child = subprocess.Popen(
            (*MESHTOP, "-c", str(config), "stream"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._log,
            env=environment(),
        )

    def alive(self) -> None:
        """Raises with its last words if it has ended."""
        if self._child.poll() is not None:
            said = (HERE / "stream.log").read_text()[-2000:]
            raise RuntimeError(f"meshtop stream ended with {self._child.returncode}: {said}")

    def end(self) -> None:
        self._child.send_signal(signal.SIGINT)
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()


class Screen:
    """``meshtop`` on a pseudo-terminal. ``heard`` is called with each piece of output and its time of arrival."""

    def __init__(
        self,
        config: Path | None,
        heard: Callable[[float, bytes], None] = lambda at, data: None,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """``command`` and ``env`` for another program that draws the same screen."""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            command or (*MESHTOP, "-c", str(config)),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env if env is not None else environment(),
            start_new_session=True,
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self.written = 0
        self._heard = heard
        self._last = b""
        asyncio.get_running_loop().add_reader(self._master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the program has closed the terminal
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.written += len(data)
        self._last = (self._last + data)[-4000:]
        self._heard(time.monotonic(), data)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def usage(self) -> tuple[float, float]:
        """(CPU seconds with children so far, resident MiB now). Raises if the program has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"meshtop ended with {self.process.returncode}: {self._last.decode(errors='replace')}")
        program = psutil.Process(self.process.pid)
        times = program.cpu_times()
        cpu_s = times.user + times.system + times.children_user + times.children_system
        return cpu_s, program.memory_info().rss / 1024**2

    async def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        for _ in range(100):
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.1)
        else:
            self.process.kill()
            self.process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)
