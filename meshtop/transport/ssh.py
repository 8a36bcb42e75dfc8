"""Sessions over SSH by asyncssh: the operator's ssh_config, keys, agent and jump hosts; no prompt, ever.

Protocol: RFC 4253 (transport), 4252 (login), 4254 (channels); OpenSSH's PROTOCOL for keepalive@ and zlib@openssh.com.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import NamedTuple

import asyncssh
import msgspec

from meshtop.transport.base import Channel, Session, TransportFault, WireStats
from meshtop.transport.dial import dial
from meshtop.transport.proxy import Proxy, start_proxy
from meshtop.transport.ssh_config import Hop, SshOptions, read_hop
from meshtop.transport.ssh_faults import Attempt, channel_fault, handshake_fault, session_fault, too_slow
from meshtop.transport.ssh_hostkeys import HostName, KnownHosts, refused
from meshtop.transport.tail import Tail
from meshtop.transport.target import Target, parse_target
from meshtop.transport.wire import wire_stats

__all__ = ["SshOptions", "SshTransport"]

# CPU for a MB received: aes128-gcm 1.24 ms, chacha20 (asyncssh's own first choice) over 2.2 ms.
_CIPHERS = "^aes128-gcm@openssh.com"
# Probe frames shrink to a tenth; the node spends less on it than on the bytes.
_COMPRESSION = ["zlib@openssh.com", "none"]
# The node can go on sending while the way back is stalled: 2 MiB hold 14 frames of 134 kB, 128 KiB hold one.
_WINDOW = 2 * 1024 * 1024
# A silent cut of 30 s must not cost the connection, and with it the frames that wait on the other side; a dead peer is
# found after 15 × (5 + 1) = 90 s. ssh_config's ServerAlive… would often give up sooner.
_KEEPALIVE_S = 15
_KEEPALIVE_COUNT = 5
# connect_timeout is for the way to the server's greeting. The login takes some six round trips and, on the bad lines
# that meshtop is for, a few retransmissions.
_LOGIN_TIMES = 4
# sshd's MaxSessions is 10 and others need theirs: the probe and two commands.
_CHANNELS = 3
_OPEN_S = 10.0  # as patient as the login: a channel is two round trips and a login shell
_CLOSE_S = 1.0
_WRITE_LIMIT = 256 * 1024  # a probe script fits ten times; more is waiting only on a dead connection
_JUMPS = 5  # a ProxyJump that leads in a circle ends here

# What a reader of a dead connection gets; ValueError is a packet that could not be decoded.
_SESSION_ENDS = (asyncssh.Error, OSError, ValueError)

# Otherwise logging's handler of last resort would print on the screen.
logging.getLogger("asyncssh").addHandler(logging.NullHandler())


class SshTransport:
    """One node by SSH."""

    def __init__(self, target: str, options: SshOptions | None = None) -> None:
        """``target`` is an ssh_config alias, ``user@host:port`` or the like. Raises ValueError for anything else."""
        self._target = parse_target(target)
        self._options = options if options is not None else SshOptions()

    async def connect(self) -> Session:
        """Raises TransportFault."""
        chain: list[_Link] = []
        try:
            await _reach(self._target, self._options, chain, _JUMPS)
        except BaseException:
            await _close_all(chain)
            raise
        return SshSession(chain)


class _Link(NamedTuple):
    """A connection of a chain: jump hosts first, the node last."""

    target: Target
    connection: asyncssh.SSHClientConnection
    proxy: Proxy | None


async def _reach(target: Target, options: SshOptions, chain: list[_Link], jumps: int) -> None:
    """Append to ``chain`` what leads to ``target``."""
    if jumps == 0:
        raise TransportFault("config", f"ProxyJump leads from {target} in a circle", "correct ssh_config", retry=False)
    hop = await read_hop(target, options)
    for jump in hop.jump if not chain else ():
        try:
            await _reach(jump, options, chain, jumps - 1)
        except TransportFault as fault:
            reason = fault.reason if fault.reason.startswith("jump host ") else f"jump host {jump}: {fault.reason}"
            raise TransportFault(fault.kind, reason, fault.cure, retry=fault.retry, files=fault.files) from fault
    chain.append(await _log_in(hop, options, chain[-1] if chain else None))


async def _log_in(hop: Hop, options: SshOptions, via: _Link | None) -> _Link:
    attempt = Attempt(hop, by_way_of=via.target if via else None)
    known = await asyncio.to_thread(KnownHosts, hop.known_hosts)
    way = _Way(hop, options, via)
    try:
        return await _handshake(attempt, known, way)
    except TransportFault:
        raise
    except asyncssh.HostKeyNotVerifiable as exc:
        raise refused(_host_name(attempt), known, attempt.witness.offered, exc.reason) from exc
    except Exception as exc:  # handshake_fault raises again what neither network nor node can cause
        if isinstance(exc, asyncssh.PermissionDenied):
            attempt.agent_keys = await _agent_keys(hop.agent)
        elif attempt.witness.greeting is not None and not attempt.witness.login_began:
            await _look_for_a_key_of_another_kind(attempt, known, way)
        raise handshake_fault(exc, attempt) from exc


class _Way(NamedTuple):
    """How bytes get to a server; can be gone several times."""

    hop: Hop
    options: SshOptions
    via: _Link | None

    async def open(self) -> tuple[socket.socket | None, Proxy | None]:
        """A socket, unless asyncssh makes the way itself. Raises TransportFault."""
        hop = self.hop
        if self.via is not None or (hop.canonical and hop.proxy is None):
            return None, None
        if hop.proxy is not None:
            proxy = await start_proxy(hop.proxy)
            return proxy.socket, proxy
        return await dial(hop.host, hop.port, self.options.connect_timeout_s, hop.family, hop.bind), None


async def _handshake(attempt: Attempt, known: KnownHosts, way: _Way) -> _Link:
    """Raises TransportFault for what takes too long, and all that asyncssh raises."""
    sock, proxy = await way.open()
    patience_s = way.options.connect_timeout_s
    connecting = asyncio.create_task(_connect(attempt, known, way, sock))
    link = None
    try:
        await asyncio.wait({connecting}, timeout=patience_s)
        if attempt.witness.greeting is not None:
            await asyncio.wait({connecting}, timeout=patience_s * _LOGIN_TIMES)
        if not connecting.done():
            raise too_slow(attempt, patience_s)
        link = _Link(way.hop.target, connecting.result(), proxy)
        return link
    finally:
        if link is None:
            await _abandon(connecting)
            await _give_back(sock, proxy)
            attempt.proxy_said = proxy.stderr_excerpt() if proxy is not None else ""


async def _give_back(sock: socket.socket | None, proxy: Proxy | None) -> None:
    if sock is not None:
        sock.close()
    if proxy is not None:
        await proxy.close()


async def _abandon(connecting: asyncio.Task[asyncssh.SSHClientConnection]) -> None:
    connecting.cancel()
    await asyncio.wait({connecting})
    if not connecting.cancelled() and connecting.exception() is None:  # it succeeded at the last moment
        connecting.result().abort()


async def _connect(
    attempt: Attempt, known: KnownHosts, way: _Way, sock: socket.socket | None
) -> asyncssh.SSHClientConnection:
    """A coroutine, which ``asyncssh.connect`` itself is not."""
    hop = way.hop
    return await asyncssh.connect(
        hop.target.host,
        () if hop.target.port is None else hop.target.port,
        sock=sock,
        tunnel=() if way.via is None else way.via.connection,
        config=list(hop.config),
        username=() if hop.target.user is None else hop.target.user,
        known_hosts=await asyncio.to_thread(known.trusted),
        client_factory=lambda: attempt.witness,
        client_keys=() if hop.identities is None else list(hop.identities),
        ignore_encrypted=True,
        agent_path=hop.agent,
        agent_forwarding=False,
        x11_forwarding=False,
        encryption_algs=() if hop.ciphers_set else _CIPHERS,
        compression_algs=_COMPRESSION,
        connect_timeout=None,  # counted in _handshake, where it can be said what took so long
        keepalive_interval=_KEEPALIVE_S,
        keepalive_count_max=_KEEPALIVE_COUNT,
        utf8_decode_errors="replace",
    )


def _host_name(attempt: Attempt) -> HostName:
    hop = attempt.hop
    return HostName(hop.key_alias or hop.host, attempt.witness.address, hop.port, attempt.ssh_command)


async def _look_for_a_key_of_another_kind(attempt: Attempt, known: KnownHosts, way: _Way) -> None:
    """A server whose key is of another kind than the known ones breaks off before it offers any, since only known
    kinds are asked for. Look at its key, without logging in, and raise TransportFault if that is what happened."""
    host = _host_name(attempt)
    expected = {entry.key for entry in known.entries(host) if entry.role == "key"}
    if not expected:
        return
    sock, proxy = None, None
    try:
        async with asyncio.timeout(way.options.connect_timeout_s):
            sock, proxy = await way.open()
            offered = await asyncssh.get_server_host_key(
                host.name,
                host.port,
                sock=sock,
                tunnel=() if way.via is None else way.via.connection,
                config=None,
            )
    except (TransportFault, OSError, ValueError, asyncssh.Error):
        return  # the first fault stands
    finally:
        await _give_back(sock, proxy)
    if offered is not None and offered not in expected:
        raise refused(host, known, offered)


async def _agent_keys(path: str) -> int | None:
    """How many keys the agent has; None without an agent."""
    if not path:
        return None
    try:
        async with asyncio.timeout(_CLOSE_S), asyncssh.connect_agent(path) as agent:
            return len(await agent.get_keys())
    except (OSError, ValueError):
        return None


async def _close_all(chain: list[_Link]) -> None:
    """The node's connection first: the others carry it."""
    for link in reversed(chain):
        connection = link.connection
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_S):
                await connection.wait_closed()
        except TimeoutError:
            pass
        finally:
            connection.abort()
            if link.proxy is not None:
                await link.proxy.close()


class SshSession:
    """A logged-in connection with its jump hosts below it."""

    def __init__(self, chain: list[_Link]) -> None:
        self._chain = chain
        self._where = str(chain[-1].target)
        self._connection = chain[-1].connection
        self._slots = asyncio.Semaphore(_CHANNELS)
        self._channels: set[SshChannel] = set()

    async def open(self, command: str) -> Channel:
        """Run ``command``; waits while three others run. Raises TransportFault."""
        await self._slots.acquire()
        try:
            process = await self._start(command)
        except BaseException:
            self._slots.release()
            raise
        channel = SshChannel(process, self._where, self._freed)
        self._channels.add(channel)
        return channel

    async def _start(self, command: str) -> asyncssh.SSHClientProcess[bytes]:
        try:
            async with asyncio.timeout(_OPEN_S):
                return await self._connection.create_process(command, encoding=None, window=_WINDOW, request_pty=False)
        except asyncssh.ChannelOpenError as exc:
            told = session_fault if self._connection.is_closed() else channel_fault
            raise told(exc, self._where) from exc
        except TimeoutError as exc:
            if exc.errno is not None:  # not ours: the socket's ETIMEDOUT
                raise session_fault(exc, self._where) from exc
            reason = f"{self._where} did not start a command within {_OPEN_S:g} s"
            raise TransportFault("timed-out", reason, "is the line up, and the node not overloaded?") from exc
        except _SESSION_ENDS as exc:
            raise session_fault(exc, self._where) from exc

    def _freed(self, channel: SshChannel) -> None:
        self._channels.discard(channel)
        self._slots.release()

    @property
    def channels(self) -> int:
        return len(self._channels)

    def stats(self) -> WireStats:
        """Of the connection's own socket; through a jump host or a ProxyCommand it has none."""
        direct = len(self._chain) == 1 and self._chain[0].proxy is None
        sock = self._connection.get_extra_info("socket") if direct else None
        if sock is None:
            return WireStats()
        peer = self._connection.get_extra_info("peername")
        return msgspec.structs.replace(wire_stats(sock), peer_address=str(peer[0]) if peer else None)

    async def close(self) -> None:
        """End what runs, disconnect. Idempotent; about two seconds at most for each connection of the chain."""
        try:
            await asyncio.gather(*(channel.close() for channel in list(self._channels)))
        finally:
            await _close_all(self._chain)


class SshChannel:
    """A command on the node."""

    def __init__(
        self, process: asyncssh.SSHClientProcess[bytes], where: str, freed: Callable[[SshChannel], None]
    ) -> None:
        self._process = process
        self._where = where
        self._freed: Callable[[SshChannel], None] | None = freed
        self._errors = Tail()
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        """Standard error shares the channel's window: unread, it would stop the output."""
        with contextlib.suppress(*_SESSION_ENDS):
            while data := await self._process.stderr.read(4096):
                self._errors.feed(data)

    async def read(self, limit: int = 65536) -> bytes:
        try:
            return await self._process.stdout.read(limit)
        except _SESSION_ENDS as exc:
            raise session_fault(exc, self._where) from exc

    def write(self, data: bytes) -> None:
        if self._process.channel.get_write_buffer_size() < _WRITE_LIMIT:
            with contextlib.suppress(OSError):
                self._process.stdin.write(data)

    async def close(self) -> int | None:
        freed, self._freed = self._freed, None
        if freed is None:
            return self._process.returncode
        try:
            with contextlib.suppress(OSError):
                self._process.stdin.write_eof()
            async with asyncio.timeout(_CLOSE_S):
                with contextlib.suppress(TransportFault):
                    while await self.read():
                        pass  # what comes now is nobody's; unread, it would keep the command from ending
                await self._process.channel.wait_closed()
        except TimeoutError:
            pass
        finally:
            self._process.channel.abort()
            self._listening.cancel()
            freed(self)
        return self._process.returncode

    def stderr_excerpt(self) -> str:
        return self._errors.excerpt()
