"""The SSH server of a lab node: asyncssh's, as one process inside the node's namespaces.

It runs commands as OpenSSH's sshd does for a session without a terminal (session.c: do_exec_no_pty): the shell gets the
command line by ``-c``, pipes for its three streams and a session of its own; when the SSH session ends the pipes are
closed and nothing is killed. So when this process is killed, its commands see the end of their input, and no more.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import asyncssh

from meshtop.lab.sshd_config import PORT, SEARCH_PATH

SHELL = "/bin/sh"
ENVIRONMENT = {
    "HOME": str(Path.home()),
    "LANG": "C.UTF-8",
    "LOGNAME": "root",
    "PATH": SEARCH_PATH,
    "SHELL": SHELL,
    "USER": "root",
}


class _Output(asyncio.Protocol):
    """A command's stdout or stderr on its way to the client."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], datatype: int | None) -> None:
        self._channel = channel
        self._datatype = datatype
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(data, self._datatype)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class _Input(asyncio.BaseProtocol):
    """A command's stdin: while it takes no more, the client is not read."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        # Not at once: the pipe's transport is in the middle of its bookkeeping, and data and an end of input that come
        # back to it now would close it over data that it has not written.
        asyncio.get_running_loop().call_soon(self._channel.resume_reading)


class CommandSession(asyncssh.SSHServerSession[bytes]):
    """One command (or, without one, a shell that reads its standard input)."""

    def __init__(self) -> None:
        self._argv: list[str] = [SHELL]
        self._process: asyncio.subprocess.Process | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._outputs: list[asyncio.ReadTransport] = []
        self._early: list[bytes] = []  # input that came before the command was started
        self._early_eof = False
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._argv = [SHELL, "-c", command]
        return True

    def session_started(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._run_command()
        except Exception:
            logging.exception("a command could not be run")
            self._close_pipes()
            self._channel.exit(255)

    async def _run_command(self) -> None:
        loop = asyncio.get_running_loop()
        (stdin_read, stdin_write), (stdout_read, stdout_write), (stderr_read, stderr_write) = (
            os.pipe(),
            os.pipe(),
            os.pipe(),
        )
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=stdin_read,
                stdout=stdout_write,
                stderr=stderr_write,
                env=ENVIRONMENT,
                cwd=ENVIRONMENT["HOME"],
                start_new_session=True,
            )
        finally:
            for fd in (stdin_read, stdout_write, stderr_write):
                os.close(fd)
        ends = []
        for fd, datatype in ((stdout_read, None), (stderr_read, asyncssh.EXTENDED_DATA_STDERR)):
            output = _Output(self._channel, datatype)
            transport, _ = await loop.connect_read_pipe(lambda output=output: output, os.fdopen(fd, "rb", buffering=0))  # type: ignore[misc]
            self._outputs.append(transport)
            ends.append(output.ended)
        stdin, _ = await loop.connect_write_pipe(
            lambda: _Input(self._channel), os.fdopen(stdin_write, "wb", buffering=0)
        )
        self._stdin = stdin
        for data in self._early:
            stdin.write(data)
        if self._early_eof:
            stdin.close()
        if self._channel.is_closing():
            self._close_pipes()
        status = await self._process.wait()
        await asyncio.gather(*ends)
        self._close_pipes()
        if not self._channel.is_closing():
            if status < 0:
                self._channel.exit_with_signal(signal.Signals(-status).name.removeprefix("SIG"))
            else:
                self._channel.exit(status)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._stdin is None:
            self._early.append(data)
        elif not self._stdin.is_closing():
            self._stdin.write(data)

    def eof_received(self) -> bool:
        if self._stdin is None:
            self._early_eof = True
        else:
            self._stdin.close()  # what was written before is still delivered
        return True  # the other direction stays open

    def signal_received(self, name: str) -> None:
        number = getattr(signal, f"SIG{name}", None)
        if self._process is not None and self._process.returncode is None and isinstance(number, signal.Signals):
            os.killpg(self._process.pid, number)

    def pause_writing(self) -> None:
        for output in self._outputs:
            if not output.is_closing():
                output.pause_reading()

    def resume_writing(self) -> None:
        for output in self._outputs:
            if not output.is_closing():
                output.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._close_pipes()

    def _close_pipes(self) -> None:
        stdin = self._stdin
        if stdin is not None and (not stdin.is_closing() or stdin.get_write_buffer_size()):
            stdin.abort()  # not close: data that the command does not take would keep it open
        for output in self._outputs:
            output.close()


class LabServer(asyncssh.SSHServer):
    """Lets in root with the lab's key, and forwards connections (for ProxyJump) as a jump host does."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if username != ENVIRONMENT["USER"]:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(""))
        return True

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        return CommandSession()

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        return True


async def serve(address: str, host_key: Path, authorized_keys: Path, ready_fd: int) -> None:
    """Until SIGTERM. A byte on ``ready_fd`` says that connections are taken."""
    server = await asyncssh.create_server(
        LabServer,
        address,
        PORT,
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(authorized_keys),
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        reuse_address=True,
    )
    os.write(ready_fd, b"+")
    os.close(ready_fd)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    server.close()


def main(argv: list[str]) -> None:
    """``ADDRESS HOST_KEY AUTHORIZED_KEYS READY_FD``."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    asyncio.run(serve(argv[0], Path(argv[1]), Path(argv[2]), int(argv[3])))


if __name__ == "__main__":
    main(sys.argv[1:])
