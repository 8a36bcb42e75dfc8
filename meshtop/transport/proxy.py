"""ProxyCommand (ssh_config(5)): the way to a server through the standard input and output of a command.

asyncssh has its own, which takes what the command writes on standard error for the server's bytes, and knows no shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from meshtop.transport.base import TransportFault
from meshtop.transport.tail import Tail

_END_S = 1.0  # for the command to go once nobody is at the other end


class Proxy:
    """A command that runs. ``socket`` is to be closed by who takes it."""

    def __init__(self, near: socket.socket, process: asyncio.subprocess.Process) -> None:
        self.socket = near
        self._process = process
        self._errors = Tail()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self._process.stderr is not None  # noqa: S101  # it was asked for
        while data := await self._process.stderr.read(4096):
            self._errors.feed(data)

    def stderr_excerpt(self) -> str:
        """The last lines of what it complained about, clean."""
        return self._errors.excerpt()

    async def close(self) -> None:
        """Idempotent."""
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await self._process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            await asyncio.wait({self._listening}, timeout=_END_S)
            self._listening.cancel()


async def start_proxy(command: str) -> Proxy:
    """As ssh(1) does: by a shell. Raises TransportFault."""
    near, far = socket.socketpair()
    near.setblocking(False)
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            f"exec {command}",
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        near.close()
        raise TransportFault("config", f"cannot run the ProxyCommand: {exc.strerror}", "see `ulimit -a`") from exc
    except BaseException:
        near.close()
        raise
    finally:
        far.close()
    return Proxy(near, process)
