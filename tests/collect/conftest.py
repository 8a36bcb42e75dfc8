"""A node that does as a test says: its transport, its frames, and the supervisor's durations made short."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from meshtop.collect.clock import Clock
from meshtop.collect.feed import Outlet, ProbeLanguage
from meshtop.collect.supervisor import Supervisor
from meshtop.collect.timing import Timing
from meshtop.model import EngineEvent, FrameReceived
from meshtop.parse.errors import ParseError
from meshtop.readings import Frame
from meshtop.transport.base import TransportFault, WireStats

QUICK = Timing(
    stagger_s=0.0,
    backoff_first_s=0.02,
    backoff_cap_s=0.1,
    stable_s=1.0,
    recheck_s=0.4,
    file_poll_s=0.02,
    first_frame_s=0.3,
    silent_floor_s=0.15,
    drain_s=0.5,
    lease_renew_s=0.1,
    stats_s=0.05,
    close_s=0.2,
)


class ScriptedChannel:
    """What the test puts in, the supervisor reads."""

    def __init__(self) -> None:
        self.output: asyncio.Queue[bytes | TransportFault] = asyncio.Queue()
        self.written: list[bytes] = []
        self.closed = asyncio.Event()
        self.status: int | None = 0
        self.errors = ""

    def say(self, *frames: dict[str, Any] | bytes) -> None:
        for frame in frames:
            self.output.put_nowait(frame if isinstance(frame, bytes) else json.dumps(frame).encode() + b"\n")

    def frame(self, seq: int, uptime_s: float, boot: str = "boot", interval_s: float = 0.05) -> None:
        self.say({"boot": boot, "seq": seq, "uptime_s": uptime_s, "interval_s": interval_s})

    async def read(self, limit: int = 65536) -> bytes:
        item = await self.output.get()
        if isinstance(item, TransportFault):
            raise item
        return item

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def close(self) -> int | None:
        self.closed.set()
        return self.status

    def stderr_excerpt(self) -> str:
        return self.errors


class ScriptedSession:
    def __init__(self, channel: ScriptedChannel) -> None:
        self.channel = channel
        self.closed = asyncio.Event()
        self.wire = WireStats(rtt_ms=1.0, rx_wire_bytes=10)
        self.channels = 1

    async def open(self, command: str) -> ScriptedChannel:
        return self.channel

    def stats(self) -> WireStats:
        return self.wire

    async def close(self) -> None:
        self.closed.set()


class ScriptedTransport:
    """Each connect waits until the test answers it: ``await accept()``, or a fault put in ``faults`` beforehand."""

    def __init__(self) -> None:
        self.faults: list[TransportFault | Exception] = []
        self.attempts = 0
        self.sessions: list[ScriptedSession] = []
        self._asked: asyncio.Queue[asyncio.Future[ScriptedSession]] = asyncio.Queue()

    async def connect(self) -> ScriptedSession:
        self.attempts += 1
        if self.faults:
            raise self.faults.pop(0)
        answer: asyncio.Future[ScriptedSession] = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(answer)
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():  # cancelled in the moment of success
                await answer.result().close()
            raise

    async def accept(self) -> ScriptedChannel:
        """The channel of the next connection that is still wanted."""
        answer = await self._asked.get()
        while answer.cancelled():
            answer = await self._asked.get()
        session = ScriptedSession(ScriptedChannel())
        self.sessions.append(session)
        answer.set_result(session)
        return session.channel


class _Garbage:
    def __init__(self, data: bytes) -> None:
        self.count = len(data)
        self.excerpt = data.decode("latin-1")


class _Lines:
    def feed(self, data: bytes) -> Sequence[bytes | _Garbage]:
        return [line if line.startswith(b"{") else _Garbage(line) for line in data.splitlines()]

    def finish(self) -> Sequence[_Garbage]:
        return []


class _Json:
    def read(self, raw: bytes) -> Frame:
        said = json.loads(raw)
        if "boot" not in said:
            raise ParseError("no boot id")
        if said["boot"] == "mistake":
            raise ZeroDivisionError("a mistake of ours")
        return Frame(probe="p", **said)


LANGUAGE = ProbeLanguage(
    bootstrap=lambda interval_s: ("run probe", f"start {interval_s:g}\n".encode()),
    renew_lease=lambda: b"lease\n",
    set_interval=lambda interval_s: f"interval {interval_s:g}\n".encode(),
    request_key_frame=lambda: b"key\n",
    decoder=_Lines,
    reader=_Json,
)


class Watched:
    """A supervisor at work, and all that it told."""

    def __init__(self, transport: ScriptedTransport, timing: Timing) -> None:
        self.transport = transport
        self.events: list[EngineEvent] = []
        self.taps: list[bytes] = []
        self._news = asyncio.Event()
        outlet = Outlet("a", self._take, Clock(), lambda node, number, at, raw: self.taps.append(raw))
        self.supervisor = Supervisor(transport, LANGUAGE, outlet, timing, asyncio.Semaphore(2), 0.05)

    def _take(self, event: EngineEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 3.0) -> None:
        """Looks after every event."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def frames(self) -> list[tuple[int, int]]:
        return [(event.connection, event.frame.seq) for event in self.of(FrameReceived)]


@pytest.fixture
def watched() -> Callable[..., Any]:
    """``async with watched() as node``: a supervisor runs until the end of the block."""

    @asynccontextmanager
    async def run(timing: Timing = QUICK) -> AsyncIterator[Watched]:
        node = Watched(ScriptedTransport(), timing)
        task = asyncio.create_task(node.supervisor.run())
        try:
            yield node
        finally:
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert all(session.closed.is_set() for session in node.transport.sessions)
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return run


@pytest.fixture
def quick() -> Timing:
    return QUICK
