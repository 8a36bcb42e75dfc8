"""Commands on the operator's own machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from meshtop.transport.base import Channel, TransportFault, WireStats
from meshtop.transport.local import LocalTransport

pytestmark = pytest.mark.node


async def _read_all(channel: Channel) -> bytes:
    received = b""
    while data := await channel.read():
        received += data
    return received


async def test_a_command_has_three_streams_and_a_status(capfd: pytest.CaptureFixture[str]) -> None:
    session = await LocalTransport().connect()
    channel = await session.open("read line; echo got $line; echo oops >&2; exit 3")
    channel.write(b"hello\n")
    assert await _read_all(channel) == b"got hello\n"
    assert await channel.close() == 3
    assert channel.stderr_excerpt() == "oops"
    assert await channel.close() == 3
    assert session.stats() == WireStats()
    await session.close()
    assert capfd.readouterr() == ("", "")


async def test_closing_ends_standard_input_first() -> None:
    session = await LocalTransport().connect()
    channel = await session.open("cat >/dev/null; exit 7")
    assert await channel.close() == 7


async def test_everything_that_a_command_started_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshtop.transport.local._CLOSE_S", 0.1)
    session = await LocalTransport().connect()
    channel = await session.open("trap '' TERM HUP; sleep 1000 & echo $! $$; wait")
    sleeper, shell = map(int, (await channel.read()).split())
    assert os.getsid(shell) == shell
    await session.close()
    assert not psutil.pid_exists(shell)
    assert not psutil.pid_exists(sleeper) or psutil.Process(sleeper).status() == psutil.STATUS_ZOMBIE


async def test_it_cannot_reach_the_terminal() -> None:
    session = await LocalTransport().connect()
    channel = await session.open("(: </dev/tty) 2>/dev/null && echo reached || echo none")
    assert await _read_all(channel) == b"none\n"
    await session.close()


async def test_a_reader_that_stops_stops_the_command(tmp_path: Path) -> None:
    session = await LocalTransport().connect()
    progress = tmp_path / "progress"
    channel = await session.open(f"head -c 4000000 /dev/zero; echo done >{progress}")
    first = await channel.read()
    deadline = asyncio.get_running_loop().time() + 5
    while len(channel._received) < 256 * 1024:  # type: ignore[attr-defined]
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)  # time in which nothing more may come
    assert len(channel._received) < 1024 * 1024  # type: ignore[attr-defined]
    assert not progress.exists()
    assert len(first) + len(await _read_all(channel)) == 4_000_000
    assert await channel.close() == 0
    await session.close()


async def test_input_that_nobody_reads_is_bounded() -> None:
    session = await LocalTransport().connect()
    channel = await session.open("sleep 1000")
    for _ in range(100):
        channel.write(bytes(65536))
    pipe = channel._input()  # type: ignore[attr-defined]
    assert pipe.get_write_buffer_size() < 512 * 1024
    await session.close()


async def test_writing_to_a_dead_command_is_harmless() -> None:
    session = await LocalTransport().connect()
    channel = await session.open("exit 0")
    assert await _read_all(channel) == b""
    channel.write(b"anybody?")
    assert await channel.close() == 0
    channel.write(b"anybody?")


async def test_three_commands_at_a_time() -> None:
    session = await LocalTransport().connect()
    channels = [await session.open("cat") for _ in range(3)]
    fourth = asyncio.create_task(session.open("echo fourth"))
    await asyncio.sleep(0.05)
    assert not fourth.done()
    await channels[0].close()
    assert await (await fourth).read() == b"fourth\n"
    await session.close()


async def test_a_machine_that_cannot_fork_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_more(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(asyncio.get_running_loop(), "subprocess_exec", no_more)
    session = await LocalTransport().connect()
    with pytest.raises(TransportFault, match="temporarily unavailable"):
        await session.open("true")


async def test_nothing_is_left_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        session = await LocalTransport().connect()
        await session.open("cat")
        await session.close()
    assert len(asyncio.all_tasks()) == 1
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # asyncio's own, such as the child watcher's
