"""The operator's own machine as a node: ``/bin/sh -c`` without SSH.

A command has a session of its own (setsid(2)): it cannot reach the terminal, Ctrl-C does not reach it, and all that it
started is ended with it. Its standard error is piped, since the screen is drawn on ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import cast

from meshtop.transport.base import Channel, Session, TransportFault, WireStats
from meshtop.transport.tail import Tail

_CHANNELS = 3  # as over SSH
_CLOSE_S = 1.0
_WRITE_LIMIT = 256 * 1024  # a command that does not read its input gets no more than this
# The reader stops the pipe at this much; the kernel's pipe holds another 64 KiB, then the command waits.
_HIGH_WATER = 256 * 1024


class LocalTransport:
    """Connecting is nothing but a promise to run commands."""

    async def connect(self) -> Session:
        return LocalSession()


class LocalSession:
    """At most three commands at a time."""

    def __init__(self) -> None:
        self._slots = asyncio.Semaphore(_CHANNELS)
        self._channels: set[LocalChannel] = set()

    async def open(self, command: str) -> Channel:
        await self._slots.acquire()
        try:
            channel = await start(command, self._freed)
        except BaseException:
            self._slots.release()
            raise
        self._channels.add(channel)
        return channel

    def _freed(self, channel: LocalChannel) -> None:
        self._channels.discard(channel)
        self._slots.release()

    def stats(self) -> WireStats:
        return WireStats()

    @property
    def channels(self) -> int:
        return len(self._channels)

    async def close(self) -> None:
        await asyncio.gather(*(channel.close() for channel in list(self._channels)))


async def start(command: str, freed: Callable[[LocalChannel], None]) -> LocalChannel:
    """Raises TransportFault if this machine cannot start a process."""
    loop = asyncio.get_running_loop()
    try:
        _, channel = await loop.subprocess_exec(
            lambda: LocalChannel(freed), "/bin/sh", "-c", command, start_new_session=True
        )
    except OSError as exc:
        raise TransportFault("shell", f"cannot run /bin/sh on this machine: {exc.strerror}", "see `ulimit -a`") from exc
    return channel


class LocalChannel(asyncio.SubprocessProtocol):
    """A command on this machine."""

    def __init__(self, freed: Callable[[LocalChannel], None]) -> None:
        self._freed: Callable[[LocalChannel], None] | None = freed
        self._process: asyncio.SubprocessTransport | None = None
        self._received = bytearray()
        self._output_ended = False
        self._news = asyncio.Event()
        self._exited = asyncio.Event()
        self._errors = Tail()

    # ── what asyncio reports ─────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._errors.feed(data)
            return
        self._received += data
        self._news.set()
        if len(self._received) >= _HIGH_WATER:
            self._output().pause_reading()

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self._output_ended = True
            self._news.set()

    def process_exited(self) -> None:
        self._exited.set()

    # ── what a channel does ──────────────────────────────────────────────────────────────────────────────────────────

    async def read(self, limit: int = 65536) -> bytes:
        while not self._received and not self._output_ended:
            self._news.clear()
            await self._news.wait()
        data = bytes(self._received[:limit])
        del self._received[:limit]
        if len(self._received) < _HIGH_WATER and not self._output_ended:
            self._output().resume_reading()
        return data

    def write(self, data: bytes) -> None:
        pipe = self._input()
        if pipe is not None and not pipe.is_closing() and pipe.get_write_buffer_size() < _WRITE_LIMIT:
            pipe.write(data)

    async def close(self) -> int | None:
        freed, self._freed = self._freed, None
        if freed is None or self._process is None:
            return self._returncode()
        pipe = self._input()
        try:
            if pipe is not None:
                pipe.close()
            async with asyncio.timeout(_CLOSE_S):
                while await self.read():
                    pass  # nobody wants it any more, and a full pipe would keep the command from ending
                await self._exited.wait()
        except TimeoutError:
            pass
        finally:
            self._kill()
            if pipe is not None and pipe.get_write_buffer_size():
                pipe.abort()  # what it did not read, nobody will
            freed(self)
            try:
                await self._exited.wait()  # reaped by asyncio; closing earlier would race with that
            finally:
                self._process.close()
        return self._returncode()

    def stderr_excerpt(self) -> str:
        return self._errors.excerpt()

    def _kill(self) -> None:
        """The command with all that it started in its session's first process group."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.get_pid(), signal.SIGKILL)

    def _returncode(self) -> int | None:
        return None if self._process is None else self._process.get_returncode()

    def _input(self) -> asyncio.WriteTransport | None:
        return (
            None
            if self._process is None
            else cast("asyncio.WriteTransport | None", self._process.get_pipe_transport(0))
        )

    def _output(self) -> asyncio.ReadTransport:
        assert self._process is not None  # noqa: S101  # it exists before any byte comes from it
        return cast(asyncio.ReadTransport, self._process.get_pipe_transport(1))
