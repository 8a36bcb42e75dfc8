"""A command on a pseudo-terminal of its own: pty(7), tty_ioctl(4), credentials(7) on sessions."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import termios
import time
from collections.abc import Callable, Sequence

from meshtop.units import format_duration

# A flood of output must not keep the screen from painting: the command waits while its terminal is full.
READ_BYTES = 16 * 1024
BREATH_S = 0.01
HANG_UP_S = 3.0


class PtyCommand:
    """What the screen's pane shows. ``started`` once the pane has told its size."""

    def __init__(self, command: Sequence[str], title: str) -> None:
        self.title = title
        self.pane_there = asyncio.Event()
        self.pid: int | None = None
        self._command = tuple(command)
        self._size = (80, 24)
        self._output: Callable[[bytes], None] = lambda data: None
        self._master: int | None = None
        self._started_at: float | None = None
        self._ended: tuple[int, float] | None = None
        self._drained = asyncio.Event()

    # ── what the pane asks for ───────────────────────────────────────────────────────────────────────────────────────

    def listen(self, output: Callable[[bytes], None]) -> None:
        self._output = output

    def write(self, data: bytes) -> None:
        """What is typed. A command that does not read its terminal loses it, as with any."""
        if self._master is not None:
            with contextlib.suppress(OSError):
                os.write(self._master, data)

    def resize(self, columns: int, rows: int) -> None:
        self._size = (columns, rows)
        if self._master is not None:
            self._tell_size(self._master)
        self.pane_there.set()

    def status(self) -> tuple[str, bool | None]:
        if self._started_at is None:
            return "starts", None
        if self._ended is None:
            return f"runs {format_duration(time.monotonic() - self._started_at)}", None
        code, after_s = self._ended
        return f"ended with {code} after {format_duration(after_s)}", code == 0

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self, code_of: Callable[[int], int]) -> int:
        """Start it, wait for its end; its exit code by ``code_of``. Raises OSError if it cannot be started."""
        master, slave = pty.openpty()
        process = None
        try:
            self._tell_size(slave)
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=slave,
                    stdout=slave,
                    stderr=slave,
                    start_new_session=True,
                    preexec_fn=_take_the_terminal,
                    env={key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
                    | {"TERM": "xterm-256color"},
                )
            finally:
                os.close(slave)
            self._master, self.pid, self._started_at = master, process.pid, time.monotonic()
            os.set_blocking(master, False)
            asyncio.get_running_loop().add_reader(master, self._readable)
            code = code_of(await process.wait())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):  # what a child of its own holds the terminal for is not waited for
                    await self._drained.wait()
            self._ended = (code, time.monotonic() - self._started_at)
            self._output(b"")
            return code
        finally:
            self._master, self.pid = None, None
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            if process is not None and process.returncode is None:
                await _hang_up(process)

    def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        master = self._master
        if master is None:
            return
        try:
            data = os.read(master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody holds the other side any more
            data = b""
        if not data:
            loop.remove_reader(master)
            self._drained.set()
            return
        self._output(data)
        if len(data) == READ_BYTES:
            loop.remove_reader(master)
            loop.call_later(BREATH_S, self._go_on)

    def _go_on(self) -> None:
        if self._master is not None:
            asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _tell_size(self, terminal: int) -> None:
        columns, rows = self._size
        with contextlib.suppress(OSError):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _take_the_terminal() -> None:
    """In the child, after setsid(2): Ctrl-C on a terminal reaches only those whose controlling one it is."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def _hang_up(process: asyncio.subprocess.Process) -> None:
    """As a terminal that is closed does; what does not heed it is killed."""
    for number in (signal.SIGHUP, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HANG_UP_S):
                await process.wait()
                return
