"""The composition at rest: what the Monitor does with commands, faults and its tasks. Its feeders are scripted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshtop.collect.clock import Clock
from meshtop.commands.running import beside
from meshtop.engine.events import LogEvent, MarkEvent, NodeEvent, StreamEvent
from meshtop.engine.past import glance_of
from meshtop.model import EngineEvent, FrameReceived, LinkKey, LookTaken, Mesh, Node, OperatorPing, SessionChanged
from meshtop.model import Path as Way
from meshtop.monitor import TICK_S, Collecting, Monitor, Probing, RawTap, Sink
from meshtop.readings import Frame, NodeInfo, SocketChanges, SocketId, SocketReading
from meshtop.recording import RecordingReader
from meshtop.requests import AddMark, ResetBaselines, SetInterval

MESH = Mesh(
    name="two",
    nodes=(Node(name="a", address={"p": "192.0.2.1"}), Node(name="b", address={"p": "192.0.2.2"})),
    paths=(Way(name="p", kind="underlay"),),
)


class ScriptedCollector:
    def __init__(self, sink: Sink, clock: Clock, fault: Exception | None = None) -> None:
        self.sink, self.clock, self.fault = sink, clock, fault
        self.intervals: asyncio.Queue[float] = asyncio.Queue()
        self.looks: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self.running = asyncio.Event()
        self.cleaned_up = False

    async def run(self) -> None:
        self.running.set()
        try:
            if self.fault is not None:
                raise self.fault
            await asyncio.Event().wait()
        finally:
            self.cleaned_up = True

    async def set_interval(self, interval_s: float) -> None:
        self.intervals.put_nowait(interval_s)

    async def set_node_interval(self, node: str, interval_s: float) -> None:
        self.looks.put_nowait((node, interval_s))

    async def all_settled(self) -> None:
        await self.running.wait()

    def session(self, node: str) -> None:
        return None


class BrokenProber:
    async def run(self) -> None:
        raise RuntimeError("no such socket")


class Feeders:
    """Hands out the scripted parts; ``collector`` is there once the monitor runs."""

    def __init__(self, fault: Exception | None = None, prober: Probing | None = None) -> None:
        self.fault, self.prober = fault, prober
        self.collector: ScriptedCollector | None = None

    async def connect(self, sink: Sink, clock: Clock, _raw_tap: RawTap) -> tuple[Collecting, Probing | None]:
        self.collector = ScriptedCollector(sink, clock, self.fault)
        return self.collector, self.prober


@asynccontextmanager
async def running(monitor: Monitor) -> AsyncIterator[None]:
    task = asyncio.create_task(monitor.run())
    try:
        await monitor.settled()
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def heard(monitor: Monitor, kind: type[StreamEvent]) -> asyncio.Queue[StreamEvent]:
    queue: asyncio.Queue[StreamEvent] = asyncio.Queue()
    monitor.listen(lambda event: queue.put_nowait(event) if isinstance(event, kind) else None)
    return queue


async def test_an_interval_goes_to_the_collector_and_to_the_view() -> None:
    feeders = Feeders()
    monitor = Monitor(MESH, feeders.connect)
    async with running(monitor):
        monitor.send(SetInterval(interval_s=0.5))
        assert feeders.collector is not None
        assert await asyncio.wait_for(feeders.collector.intervals.get(), 5) == 0.5
        assert monitor.view().mesh.interval_s == 0.5
        assert monitor.view().log[-1].text == "sampling every 500ms"
        for wrong in (0.05, 61.0, float("nan")):
            with pytest.raises(ValueError, match=r"0\.1s to 60s"):
                monitor.send(SetInterval(interval_s=wrong))
        assert feeders.collector.intervals.empty()
    assert feeders.collector.cleaned_up


def stalling(now: float, *, still: bool) -> list[EngineEvent]:
    """Three seconds of node a up to now, second by second, in which its flow to b stood still or not."""
    events: list[EngineEvent] = [SessionChanged(at=now - 4, node="a", connection=1, phase="up")]
    for n in range(4):
        flow = SocketReading(
            id=SocketId("192.0.2.1", 40000, "192.0.2.2", 5001, "1"),
            state="ESTAB",
            recv_q=0,
            send_q=9000,
            unacked=10,
            rto_ms=240.0,
            bytes_acked=1000 if still else 1000 * (n + 1),
            busy_ms=1000 * (n + 1),
            lastack_ms=1000 * n + 1,
        )
        frame = Frame(
            boot="b",
            probe="p",
            seq=n,
            uptime_s=100.0 + n,
            interval_s=1.0,
            sockets=SocketChanges(full=n == 0, changed=(flow,), total=1),
            info=NodeInfo(kernel="6.1.0", ss="6.1.0"),
        )
        events.append(FrameReceived(at=now - 3 + n, node="a", connection=1, frame=frame))
    return events


async def test_the_ends_of_a_stall_are_sampled_closely_and_it_is_recorded(tmp_path: Path) -> None:
    feeders = Feeders()
    monitor = Monitor(MESH, feeders.connect)
    monitor.record(tmp_path / "r.mtr")
    async with running(monitor):
        for event in stalling(monitor.view().at, still=True):
            monitor.feed(event)
        assert feeders.collector is not None
        assert await asyncio.wait_for(feeders.collector.looks.get(), 5) == ("a", 0.2)
        assert monitor.view().looking == ("a",)
        monitor.send(SetInterval(interval_s=0.1))  # the operator's own is closer
        await asyncio.wait_for(feeders.collector.intervals.get(), 5)
        assert monitor.view().looking == ()
    with RecordingReader(tmp_path / "r.mtr") as reader:
        looks = [record for record in reader.records() if isinstance(record, LookTaken)]
    assert [(look.node, look.interval_s) for look in looks] == [("a", 0.2)]


async def test_nothing_is_sampled_closely_while_data_moves_nor_in_a_recording() -> None:
    for still, closely in ((False, True), (True, False)):
        feeders = Feeders()
        monitor = Monitor(MESH, feeders.connect, replay=not closely)
        async with running(monitor):
            for event in stalling(monitor.view().at, still=still):
                monitor.feed(event)
            assert feeders.collector is not None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(feeders.collector.looks.get(), 3 * TICK_S)


async def test_marks_and_log_lines_are_events_and_tell_the_screen() -> None:
    monitor = Monitor(MESH, Feeders().connect)
    marks = await heard(monitor, MarkEvent)
    logs = await heard(monitor, LogEvent)
    changes: list[None] = []
    monitor.subscribe(lambda: changes.append(None))
    async with running(monitor):
        monitor.send(AddMark(text="push start"))
        mark = await asyncio.wait_for(marks.get(), 5)
        assert isinstance(mark, MarkEvent)
        assert mark.text == "push start"
        assert [mark.text for mark in monitor.view().marks] == ["push start"]
        monitor.send(ResetBaselines())
        log = await asyncio.wait_for(logs.get(), 5)
        assert isinstance(log, LogEvent)
        assert log.text == "baselines forgotten; they are learnt anew"
    assert len(changes) >= 2


async def test_moments_are_kept_for_a_screen_that_asks_for_none() -> None:
    """One that is frozen; where there is no screen nothing is kept."""
    with_screen, without = Monitor(MESH, Feeders().connect), Monitor(MESH, Feeders().connect)
    ticks: asyncio.Queue[None] = asyncio.Queue()
    with_screen.subscribe(lambda: ticks.put_nowait(None))
    told = await heard(without, NodeEvent)
    async with running(with_screen), running(without):
        await asyncio.wait_for(ticks.get(), 5)
        await asyncio.wait_for(ticks.get(), 5)
        await asyncio.wait_for(told.get(), 5)
        assert with_screen._engine.archive.size_bytes > 0
        assert without._engine.archive.size_bytes == 0
        at = with_screen.view().at
        then = with_screen.past(at)
        assert then is not None
        assert (then.past, then.mesh) == (True, MESH)
        assert with_screen.past(at - 60) is None
    assert with_screen.trail(LinkKey("a", "b", "p")) == ()
    assert with_screen.flows("a") == ()


async def test_what_a_screen_would_show_is_recorded_where_there_is_none(tmp_path: Path) -> None:
    monitor = Monitor(MESH, Feeders().connect)
    monitor.record(tmp_path / "x.mtr")
    told = await heard(monitor, NodeEvent)
    async with running(monitor):
        await asyncio.wait_for(told.get(), 5)
    with RecordingReader(tmp_path / "x.mtr") as reader:
        glance = reader.glance(reader.last_at)
    assert glance is not None
    shown = glance_of(glance.packed)
    assert shown is not None
    assert (shown.at, shown.mesh) == (glance.at, MESH)


async def test_a_fault_of_the_operators_pings_is_said_and_the_rest_goes_on() -> None:
    monitor = Monitor(MESH, Feeders(prober=BrokenProber()).connect)
    logs = await heard(monitor, LogEvent)
    async with running(monitor):
        log = await asyncio.wait_for(logs.get(), 5)
        assert isinstance(log, LogEvent)
        assert log.level == "error"
        assert "no such socket" in log.text
        event: EngineEvent = OperatorPing(at=monitor.view().at, node="a", path="p", rtt_ms=12.0)
        monitor.feed(event)
        monitor.feed(SessionChanged(at=monitor.view().at, node="a", connection=1, phase="connecting"))
        assert monitor.view().snapshot.nodes[0].state == "connecting"


async def test_a_fault_of_the_collector_ends_the_front_end_too() -> None:
    feeders = Feeders(fault=RuntimeError("a bug"))
    monitor = Monitor(MESH, feeders.connect)
    front_end_ended = asyncio.Event()

    async def front_end() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            front_end_ended.set()
        return 0

    with pytest.raises(ExceptionGroup) as caught:
        await beside(monitor, front_end())
    assert caught.group_contains(RuntimeError, match="a bug")
    assert front_end_ended.is_set()


async def test_the_end_of_the_front_end_ends_the_monitor() -> None:
    feeders = Feeders()
    monitor = Monitor(MESH, feeders.connect)

    async def front_end() -> int:
        await monitor.settled()
        return 7

    assert await beside(monitor, front_end()) == 7
    assert feeders.collector is not None
    assert feeders.collector.cleaned_up


async def test_a_front_end_that_is_interrupted_has_the_monitor_to_its_end() -> None:
    """A burst is ended over sessions that still stand."""
    feeders = Feeders()
    monitor = Monitor(MESH, feeders.connect)
    begun = asyncio.Event()
    stood: list[bool] = []

    async def front_end() -> int:
        await monitor.settled()
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            stood.append(feeders.collector is not None and not feeders.collector.cleaned_up)
        return 0

    work = asyncio.create_task(beside(monitor, front_end()))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert stood == [True]
    assert feeders.collector is not None
    assert feeders.collector.cleaned_up


async def test_the_operators_own_cost_is_in_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshtop.monitor.OWN_COST_S", 0.05)
    monitor = Monitor(MESH, Feeders().connect)
    assert monitor.view().operator_rss_bytes is None
    async with running(monitor), asyncio.timeout(5):
        while monitor.view().operator_rss_bytes is None:  # noqa: ASYNC110  # a figure, not an event
            await asyncio.sleep(0.02)
        assert (monitor.view().operator_rss_bytes or 0) > 1_000_000
        assert monitor.view().operator_cpu_pct is not None
