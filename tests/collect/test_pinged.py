"""Series of pings: with each shell and both pings to this machine itself; and what is made of hostile words."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from meshtop.agent.script import READER, script
from meshtop.collect.pinged import Pinger, PingFailed, Series
from meshtop.transport.base import TransportFault, WireStats
from meshtop.transport.local import LocalTransport
from tests.processes import SHELLS, until_gone, until_runs, until_said


def start(
    shell: list[str], limit_s: int = 60, path: str | None = None, *, slow_after: bytes | None = None
) -> subprocess.Popen[bytes]:
    """``slow_after``: the end of a line of the script behind which the shell is held up for a while."""
    assert shutil.which(shell[0]), f"{shell[0]} is missing"
    process = subprocess.Popen(
        [*shell, "-c", READER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=None if path is None else {"PATH": path},
    )
    assert process.stdin is not None
    text = script("pinger.sh", {"MT_TARGET": "127.0.0.1", "MT_LIMIT": str(limit_s)})
    if slow_after is not None:
        assert text.count(slow_after + b"\n") == 1
        text = text.replace(slow_after + b"\n", slow_after + b"\nsleep 0.4\n")
    process.stdin.write(text)
    process.stdin.flush()
    return process


def end_of_input_ends(process: subprocess.Popen[bytes], processes: list[psutil.Process]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    until_gone(processes, 4)
    process.stdout.close()
    process.wait()


@pytest.mark.node
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_end_of_input_is_the_end_of_all(shell: list[str]) -> None:
    process = start(shell)
    assert process.stdin is not None
    process.stdin.write(b"100 0.3 56 2 any\n100 0.3 1200 2 any\n")
    process.stdin.flush()
    until_said(process, b"1208 bytes from")
    processes = until_runs(process, ping=2, sleep=1)
    end_of_input_ends(process, processes)


@pytest.mark.node
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("place", [b"$MT_TARGET 2>&1 &", b"sleep $MT_LIMIT &"])
def test_an_end_while_something_is_being_started_leaves_nothing(shell: list[str], place: bytes) -> None:
    process = start(shell, slow_after=place)
    assert process.stdin is not None
    process.stdin.write(b"100 0.3 56 2 any\n")
    process.stdin.flush()
    processes = until_runs(process, ping=1, sleep=2)
    end_of_input_ends(process, processes)


@pytest.mark.node
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_series_says_when_it_is_over(shell: list[str]) -> None:
    process = start(shell)
    assert process.stdin is not None
    process.stdin.write(b"2 0.2 56 1 any\n")
    process.stdin.flush()
    processes = until_said(process, b"#mt end 1")
    process.communicate(timeout=4)
    until_gone(processes, 2)


@pytest.mark.node
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_the_limit_ends_it_where_nobody_does(shell: list[str]) -> None:
    process = start(shell, limit_s=1)
    until_said(process, b"#mt ping")
    assert process.wait(timeout=5) != 0
    process.communicate()


@pytest.mark.node
def test_busybox_is_told_apart(tmp_path: Path) -> None:
    for tool in ("ping", "sleep"):
        (tmp_path / tool).symlink_to(shutil.which("busybox") or "")
    process = start([shutil.which("dash") or ""], path=str(tmp_path))
    assert process.stdin is not None
    until_said(process, b"#mt ping busybox")
    process.stdin.write(b"1 0.2 56 1 any\n")
    process.stdin.flush()
    until_said(process, b"64 bytes from")
    until_said(process, b"#mt end 1")
    process.communicate(timeout=4)


@pytest.mark.node
async def test_both_sizes_at_once_over_a_session() -> None:
    session = await LocalTransport().connect()
    try:
        async with Pinger("here", session, "127.0.0.1", 30) as pinger:
            assert pinger.kind == "iputils"
            small, full = await pinger.ping(
                Series(count=3, payload_bytes=56, interval_s=0.2),
                Series(count=3, payload_bytes=1200, interval_s=0.2, whole=True),
            )
            assert (len(small.rtts_ms), len(full.rtts_ms)) == (3, 3)
            assert small.over
            assert full.over
            assert small.loss_pct == 0
            (huge,) = await pinger.ping(Series(count=1, payload_bytes=65_507, whole=True, wait_s=1))
            (again,) = await pinger.ping(Series(count=1, payload_bytes=56))
            assert len(again.rtts_ms) == 1
            assert huge.over
    finally:
        await session.close()


# ── Words from a script ──


class Channel:
    """Says what it was given, then as much as each line of input earns."""

    def __init__(self, first: bytes, answers: dict[bytes, bytes], ends: bool = False) -> None:
        self.output: asyncio.Queue[bytes] = asyncio.Queue()
        self.output.put_nowait(first)
        self.answers = answers
        self.closed = False
        if ends:
            self.output.put_nowait(b"")

    async def read(self, limit: int = 65536) -> bytes:
        return await self.output.get()

    def write(self, data: bytes) -> None:
        if data in self.answers:
            self.output.put_nowait(self.answers[data])

    async def close(self) -> int | None:
        self.closed = True
        return 0

    def stderr_excerpt(self) -> str:
        return ""


class Session:
    channels = 0

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    async def open(self, command: str) -> Channel:
        return self.channel

    def stats(self) -> WireStats:
        return WireStats()

    async def close(self) -> None:
        return None


READY = b"Welcome to Hubei\n\n#mt begin\n#mt ping iputils\n"
ASKED = b"2 0.3 1272 2 df\n"
SERIES = Series(count=2, payload_bytes=1272, whole=True)


async def test_words_of_routers_are_kept_and_their_mtus() -> None:
    said = (
        b"PING 10.0.0.1 (10.0.0.1) 1272(1300) bytes of data.\n"
        b"From 198.18.1.254 icmp_seq=1 Frag needed and DF set (mtu = 1280)\n"
        b"ping: local error: message too long, mtu=1280\n"
        b"From 198.18.1.254 icmp_seq=1 \x1b[31mevil (mtu = 99999999)\n"
        b"56 bytes from somebody else: icmp_seq=1 ttl=64 time=1 ms\n"
        b"\n#mt end 1\n"
    )
    channel = Channel(READY, {ASKED: said})
    async with Pinger("e", Session(channel), "10.0.0.1", 30) as pinger:
        (answers,) = await pinger.ping(SERIES)
    assert answers.rtts_ms == ()
    assert answers.loss_pct == 100
    assert pinger.told_mtus == {1280}
    assert not any("\x1b" in each for each in pinger.said)
    assert channel.closed


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (b"#mt begin\n#mt missing ping\n", "e has no ping"),
        (b"/bin/sh: no such thing\n", "broke off"),
    ],
)
async def test_what_cannot_ping_is_said(first: bytes, words: str) -> None:
    channel = Channel(first, {}, ends=True)
    with pytest.raises(PingFailed, match=words):
        async with Pinger("e", Session(channel), "10.0.0.1", 30):
            pass
    assert channel.closed


async def test_a_session_that_dies_is_no_measurement() -> None:
    class Dying(Channel):
        async def read(self, limit: int = 65536) -> bytes:
            data = await super().read(limit)
            if not data:
                raise TransportFault("closed", "the connection was lost")
            return data

    channel = Dying(READY, {ASKED: b""})
    async with Pinger("e", Session(channel), "10.0.0.1", 30) as pinger:
        with pytest.raises(TransportFault):
            await pinger.ping(SERIES)


def test_only_addresses_reach_a_shell() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Pinger("e", Session(Channel(b"", {})), "10.0.0.1; reboot", 30)
