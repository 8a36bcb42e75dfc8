"""Standard output as a stream of lines that a slow or vanished reader cannot hold up.

``write(2)`` on a full pipe waits for its reader. In the event loop that would stop the collection, so a thread writes,
from a bounded queue; what does not fit is counted, and the count is told as an event of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable

import click

from meshtop.commands.running import FINE, FOUND_FAILURE
from meshtop.engine.view import RecordingView

# 2,000 links once a second for half a minute; a reader that is further behind has stopped reading.
MAX_WAITING_LINES = 65_536


def stdout() -> int:
    """The file descriptor of standard output. A usage error where it was closed before we began."""
    if sys.stdout is None:
        raise click.UsageError("standard output is closed")
    return sys.stdout.fileno()


def write_all(fd: int, data: bytes) -> None:
    """``data`` whole. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def verdict(error: OSError | None) -> int | None:
    """What an error of standard output means for the exit code: None nothing, 0 that the reader has seen enough, and
    1 that what was asked for could not be written, which is said."""
    if error is None:
        return None
    if isinstance(error, BrokenPipeError):
        return FINE
    click.echo(f"meshtop: standard output cannot be written: {error.strerror}", err=True)
    return FOUND_FAILURE


def answer(fd: int, data: bytes) -> int | None:
    """``data`` whole, and what became of it, as :func:`verdict` has it."""
    try:
        write_all(fd, data)
    except OSError as error:
        return verdict(error)
    return None


def kept(recording: RecordingView | None, code: int) -> int:
    """The exit code: 1 in the place of 0 where a recording that was asked for has ended too early, which is said."""
    if recording is None or recording.failure is None:
        return code
    click.echo(f"meshtop: the recording {recording.path} has ended early: {recording.failure}", err=True)
    return code or FOUND_FAILURE


class Lines:
    """Lines of bytes to a file descriptor, each written whole and at once. ``closed`` is set when they cannot be
    written any more, ``error`` says why; ``flush`` waits for what is still to be written."""

    def __init__(self, fd: int, tell_lost: Callable[[int], bytes], limit: int = MAX_WAITING_LINES) -> None:
        self._fd = fd
        self._tell_lost = tell_lost
        self._waiting: queue.Queue[bytes | None] = queue.Queue(limit)
        self._lost = 0
        self._loop = asyncio.get_running_loop()
        self.closed = asyncio.Event()
        self.error: OSError | None = None
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._write_all, name="stdout", daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> None:
        """Queue one line; it ends in a newline. Never blocks."""
        try:
            if self._lost:
                self._waiting.put_nowait(self._tell_lost(self._lost))
                self._lost = 0
            self._waiting.put_nowait(line)
        except queue.Full:
            self._lost += 1

    async def flush(self, patience_s: float) -> None:
        """Write what waits, for that long at most: who does not read does not hold up the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while not self._done.is_set():
                    try:
                        self._waiting.put_nowait(None)
                        await self._done.wait()
                    except queue.Full:
                        await asyncio.sleep(0.05)  # the thread will make room, or the time runs out

    def _write_all(self) -> None:
        try:
            while (line := self._waiting.get()) is not None:
                write_all(self._fd, line)
        except OSError as error:  # the reader has gone, or the disk behind a redirection is full
            self.error = error
            self._tell(self.closed)
        self._tell(self._done)

    def _tell(self, event: asyncio.Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is over: nobody waits any more
            self._loop.call_soon_threadsafe(event.set)
