"""Sessions with real SSH servers: OpenSSH's and dropbear's."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from meshtop.transport.base import Channel, TransportFault, WireStats
from meshtop.transport.ssh import SshTransport
from meshtop.transport.ssh_faults import session_fault

if TYPE_CHECKING:
    Servers = Callable[..., Any]
    Transports = Callable[..., SshTransport]

pytestmark = pytest.mark.node


async def read_all(channel: Channel) -> bytes:
    received = b""
    while data := await channel.read():
        received += data
    return received


async def test_a_command_has_three_streams_and_a_status(
    openssh: Servers, transport: Transports, capfd: pytest.CaptureFixture[str]
) -> None:
    session = await transport(openssh().target).connect()
    channel = await session.open("read line; echo got $line; echo oops >&2; exit 3")
    channel.write(b"hello\n")
    assert await read_all(channel) == b"got hello\n"
    assert await channel.close() == 3
    assert channel.stderr_excerpt() == "oops"
    assert await channel.close() == 3
    channel.write(b"to nobody")
    await session.close()
    await session.close()
    assert capfd.readouterr() == ("", "")


async def test_dropbear_and_ash(dropbear: Servers, transport: Transports) -> None:
    session = await transport(dropbear().target).connect()
    channel = await session.open("readlink /proc/$$/exe; cat >/dev/null; exit 3")
    assert b"busybox" in await channel.read()
    assert await channel.close() == 3
    await session.close()


async def test_algorithms_are_the_cheap_ones(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh().target).connect()
    told = session._connection.get_extra_info  # type: ignore[attr-defined]
    assert told("recv_cipher") == "aes128-gcm@openssh.com"
    assert told("recv_compression") == "zlib@openssh.com"
    await session.close()


async def test_ciphers_of_ssh_config_are_respected(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    ssh_site.write_config("Host *\n    Ciphers aes256-ctr\n")
    session = await transport(openssh().target).connect()
    assert session._connection.get_extra_info("recv_cipher") == "aes256-ctr"  # type: ignore[attr-defined]
    await session.close()


async def test_a_server_without_compression_will_do(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh("Compression no").target).connect()
    assert session._connection.get_extra_info("recv_compression") == "none"  # type: ignore[attr-defined]
    await session.close()


async def test_an_alias_of_ssh_config_is_followed(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    server = openssh()
    included = ssh_site.folder / "included"
    included.write_text(f"Host chongqing\n    HostName 127.0.0.1\n    Port {server.port}\n")
    ssh_site.write_config(f"Include {included}\n")
    session = await transport("chongqing").connect()
    assert await read_all(await session.open("echo $SSH_CONNECTION")) != b""
    await session.close()


async def test_ipv6_in_brackets(openssh: Servers, transport: Transports) -> None:
    server = openssh(listen="::1")
    session = await transport(f"root@[::1]:{server.port}").connect()
    assert session.stats().rtt_ms is not None
    await session.close()


async def test_neither_terminal_nor_agent_is_handed_over(
    ssh_site: Any, openssh: Servers, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(ssh_site.folder / "agent"))
    ssh_site.write_config("Host *\n    ForwardAgent yes\n    RequestTTY force\n    ForwardX11Trusted yes\n")
    session = await transport(openssh().target).connect()
    assert await read_all(await session.open("echo [$SSH_AUTH_SOCK$SSH_TTY$DISPLAY]")) == b"[]\n"
    await session.close()


async def test_the_wire_is_measured(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh().target).connect()
    channel = await session.open("head -c 500000 /dev/urandom")
    before = session.stats()
    assert len(await read_all(channel)) == 500_000
    after = session.stats()
    assert before.rtt_ms is not None
    assert before.rx_wire_bytes is not None
    assert after.rx_wire_bytes is not None
    assert 500_000 < after.rx_wire_bytes - before.rx_wire_bytes < 600_000
    await session.close()
    assert session.stats() == WireStats()


async def test_a_reader_that_stops_stops_the_node(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh().target).connect()
    channel = await session.open("head -c 30000000 /dev/urandom")
    first = await channel.read()
    await asyncio.sleep(1.0)  # long enough for all of it, were it not held back
    arrived = session.stats().rx_wire_bytes
    assert arrived is not None
    assert 1_500_000 < arrived < 6_000_000  # the window of 2 MiB, and what the reader's buffer let through before
    assert len(first) + len(await read_all(channel)) == 30_000_000
    await session.close()


async def test_standard_error_does_not_block_the_output(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh().target).connect()
    channel = await session.open("head -c 5000000 /dev/zero >&2; echo done")
    assert await read_all(channel) == b"done\n"
    await session.close()


async def test_three_commands_at_a_time(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh().target).connect()
    channels = [await session.open("cat") for _ in range(3)]
    fourth = asyncio.create_task(session.open("echo fourth"))
    await asyncio.sleep(0.1)
    assert not fourth.done()
    await channels[0].close()
    assert await (await fourth).read() == b"fourth\n"
    await session.close()


async def test_a_server_that_allows_fewer_channels_is_a_fault(openssh: Servers, transport: Transports) -> None:
    session = await transport(openssh("MaxSessions 1").target).connect()
    channel = await session.open("cat")
    with pytest.raises(TransportFault, match="starts no command") as told:
        await session.open("cat")
    assert told.value.kind == "shell"
    channel.write(b"still here")
    assert await channel.read() == b"still here"
    await session.close()


async def test_a_session_that_dies_is_told_as_closed(openssh: Servers, transport: Transports) -> None:
    server = openssh()
    session = await transport(server.target).connect()
    channel = await session.open("cat")
    server.stop()
    with pytest.raises(TransportFault, match=r"the session with .* ended") as told:
        await channel.read()
    assert (told.value.kind, told.value.retry) == ("closed", True)
    channel.write(b"to nobody")
    with pytest.raises(TransportFault) as told:
        await session.open("true")
    assert told.value.kind == "closed"
    await session.close()


async def test_a_peer_that_stops_answering_is_found(
    openssh: Servers, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshtop.transport.ssh._KEEPALIVE_S", 0.1)
    server = openssh()
    session = await transport(server.target).connect()
    channel = await session.open("cat")
    sessions = server.sessions()
    for process in sessions:
        process.send_signal(signal.SIGSTOP)
    try:
        async with asyncio.timeout(5):
            with pytest.raises(TransportFault, match="not responding to keepalive"):
                await channel.read()
    finally:
        for process in sessions:
            process.send_signal(signal.SIGCONT)
    await session.close()


def test_a_silent_cut_of_thirty_seconds_does_not_cost_the_connection() -> None:
    from meshtop.transport import ssh

    dead_after = ssh._KEEPALIVE_S * (ssh._KEEPALIVE_COUNT + 1)
    assert 60 <= dead_after <= 120


def test_the_kernels_time_out_of_a_connection_is_its_end() -> None:
    fault = session_fault(TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "node")
    assert (fault.kind, fault.reason) == ("closed", "the session with node ended: Connection timed out")


async def test_a_command_that_hangs_is_given_up_when_closed(
    openssh: Servers, transport: Transports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshtop.transport.ssh._CLOSE_S", 0.2)
    session = await transport(openssh().target).connect()
    channel = await session.open("exec sleep 5")
    began = asyncio.get_running_loop().time()
    assert await channel.close() is None
    assert asyncio.get_running_loop().time() - began < 1
    await session.close()


async def test_a_cancelled_connect_leaves_nothing(openssh: Servers, transport: Transports) -> None:
    server = openssh()
    before = len(os.listdir("/proc/self/fd"))
    for delay_s in (0.0, 0.005, 0.01, 0.02, 0.04, 0.08):
        connecting = asyncio.create_task(transport(server.target).connect())
        await asyncio.sleep(delay_s)
        if connecting.done():
            await connecting.result().close()
        connecting.cancel()
        await asyncio.wait({connecting})
    await asyncio.sleep(0.05)  # asyncio closes a transport's socket in a later round of the loop
    assert len(asyncio.all_tasks()) == 1
    assert len(os.listdir("/proc/self/fd")) <= before


async def test_fifty_sessions_leave_neither_task_nor_descriptor(openssh: Servers, transport: Transports) -> None:
    server = openssh()
    counts = []
    for _ in range(50):
        session = await transport(server.target).connect()
        await session.open("cat")
        await session.close()
        counts.append(len(os.listdir("/proc/self/fd")))
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == 1
    assert len(os.listdir("/proc/self/fd")) <= counts[0]
