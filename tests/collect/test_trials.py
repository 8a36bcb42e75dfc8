"""Experiments carried out over a session and a queue of bursts that a test makes up: figures, ends, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meshtop.burst import BurstInterval, BurstLimits, BurstPlan, BurstRecord, BurstRequest
from meshtop.collect.clock import Clock
from meshtop.collect.experiments import Experiments, received_bps, retrans_pct, udp_loss_pct
from meshtop.engine import bursts
from meshtop.engine.experiments import KINDS
from meshtop.model import ExperimentKind, ExperimentRecord, ExperimentTold, Mesh, Node, Path
from meshtop.requests import AbortExperiment, RunExperiment
from meshtop.transport.base import TransportFault, WireStats

LINE_BPS = 30_000_000
MESH = Mesh(
    name="miku",
    nodes=(
        Node(name="a", address={"vpn": "10.0.0.1", "public": "192.0.2.1"}, up_bps=LINE_BPS, down_bps=LINE_BPS),
        Node(name="e", address={"vpn": "10.0.0.5", "public": "192.0.2.5"}, up_bps=LINE_BPS, down_bps=LINE_BPS),
    ),
    paths=(Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay")),
)
Answer = Callable[[int, int], float | None]  # payload and number of the ping to its round trip, None: lost


class Channel:
    """A pinger on a node: each series is answered at once, as ``answer`` says."""

    def __init__(self, node: PingNode) -> None:
        self.node = node
        self.output: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed = False
        self.number = 0

    async def read(self, limit: int = 65536) -> bytes:
        data = await self.output.get()
        if data == b"lost":
            raise TransportFault("closed", "the connection was lost", "look at the line")
        return data

    def write(self, data: bytes) -> None:
        if b"#go" in data:
            self.output.put_nowait(f"#mt begin\n#mt ping {self.node.kind}\n".encode())
            return
        count, _, payload, _, mode = data.decode().split()
        self.number += 1
        size = int(payload)
        if mode == "df" and self.node.mtu is not None and size + 28 > self.node.mtu:
            said = f"ping: local error: message too long, mtu={self.node.mtu}\n"
        else:
            rtts = [(seq, self.node.answer(size, seq)) for seq in range(1, int(count) + 1)]
            said = "".join(
                f"{size + 8} bytes from 10.0.0.1: icmp_seq={seq} ttl=64 time={rtt:.1f} ms\n"
                for seq, rtt in rtts
                if rtt is not None
            )
        self.output.put_nowait(f"{said}\n#mt end {self.number}\n".encode())

    async def close(self) -> int | None:
        self.closed = True
        return 0

    def stderr_excerpt(self) -> str:
        return ""


class PingNode:
    """A session with a node."""

    channels = 0

    def __init__(self) -> None:
        self.kind = "iputils"
        self.mtu: int | None = 1400
        self.answer: Answer = lambda payload, seq: 20.0
        self.opened: list[Channel] = []

    async def open(self, command: str) -> Channel:
        self.opened.append(Channel(self))
        return self.opened[-1]

    def stats(self) -> WireStats:
        return WireStats()

    async def close(self) -> None:
        return None


USUAL = {"receiver_bps": 1e6, "sender_bps": 1e6, "sent_bytes": 600_000, "received_bytes": 600_000}


class Queue:
    """Bursts come to what ``outcomes`` say, in their order, or hang."""

    def __init__(self) -> None:
        self.outcomes: list[dict[str, Any]] = []
        self.asked: list[BurstRequest] = []
        self.hangs = False
        self.hanging = asyncio.Event()
        self.cleaned = 0

    def plan(self, request: BurstRequest) -> BurstPlan:
        limits = BurstLimits(max_bytes=10**9, max_time_s=600)
        return bursts.plan(request, MESH, limits)

    async def run(
        self, request: BurstRequest, *, confirmed: bool = True, patience_s: float | None = None
    ) -> BurstRecord:
        assert patience_s is not None, "a burst of an experiment has to end"
        self.asked.append(request)
        try:
            if self.hangs:
                self.hanging.set()
                await asyncio.Event().wait()
        finally:
            self.cleaned += 1
        record = bursts.queued(f"b{len(self.asked)}", self.plan(request))
        values = {"state": "done", **(self.outcomes.pop(0) if self.outcomes else USUAL)}
        return BurstRecord(**{**{name: getattr(record, name) for name in record.__struct_fields__}, **values})


class Bench:
    def __init__(self) -> None:
        self.node = PingNode()
        self.queue = Queue()
        self.told: list[ExperimentTold] = []
        self.over = asyncio.Event()
        self.said: list[str] = []
        self.sessions: dict[str, PingNode] = {"e": self.node, "a": PingNode()}
        self.experiments = Experiments(MESH, self.sessions.get, self.queue, Clock(), self.tell, self.said.append)

    def tell(self, event: ExperimentTold) -> None:
        self.told.append(event)
        if event.experiment.state != "running":
            self.over.set()

    async def run(self, kind: ExperimentKind) -> ExperimentRecord:
        return await self.experiments.run(RunExperiment(kind=kind, src="e", dst="a", path="vpn"))


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("kind", KINDS)
async def test_each_begins_and_ends_as_an_event(bench: Bench, kind: ExperimentKind) -> None:
    record = await bench.run(kind)
    assert record.state == "done"
    assert record.summary
    assert [each.experiment.state for each in bench.told] == ["running", "done"]
    assert {each.experiment.id for each in bench.told} == {"x1"}
    assert bench.told[0].experiment.sends
    assert record.bursts == tuple(f"b{number + 1}" for number in range(len(bench.queue.asked)))
    assert all(channel.closed for channel in bench.node.opened)
    assert len(bench.said) == 2


async def test_the_sweep_tells_a_black_hole_from_a_small_mtu(bench: Bench) -> None:
    fine = (await bench.run("pmtu-sweep")).figures
    assert fine == {"pmtu_bytes": 1400, "local_mtu_bytes": 1400, "vanish_bytes": None, "vanishes": 0}
    bench.node.answer = lambda payload, seq: 20.0 if payload + 28 <= 1300 else None
    hole = (await bench.run("pmtu-sweep")).figures
    assert hole == {"pmtu_bytes": 1300, "local_mtu_bytes": 1400, "vanish_bytes": 1301, "vanishes": 1}


async def test_the_sweep_bears_some_loss(bench: Bench) -> None:
    bench.node.mtu = 1500
    bench.node.answer = lambda payload, seq: None if (payload + seq) % 3 == 0 else 20.0
    assert (await bench.run("pmtu-sweep")).figures["pmtu_bytes"] == 1500


async def test_busybox_cannot_sweep_and_says_what_to_do(bench: Bench) -> None:
    bench.node.kind = "busybox"
    record = await bench.run("pmtu-sweep")
    assert record.state == "failed"
    assert "BusyBox" in (record.reason or "")
    assert "install iputils" in (record.cure or "")


async def test_sizes_and_losses(bench: Bench) -> None:
    bench.node.answer = lambda payload, seq: 20.0 if payload == 56 else None if seq % 2 else 90.0
    figures = (await bench.run("probe-sizes")).figures
    assert figures == {"small_rtt_ms": 20, "full_rtt_ms": 90, "small_loss_pct": 0, "full_loss_pct": 50}


async def test_no_answer_is_no_figure(bench: Bench) -> None:
    bench.node.answer = lambda payload, seq: None
    record = await bench.run("probe-sizes")
    assert record.state == "failed"
    assert "answers no ping" in (record.reason or "")
    assert record.figures == {}


async def test_a_lost_session_is_said(bench: Bench) -> None:
    opened: list[Channel] = []

    async def open_and_lose(command: str) -> Channel:
        opened.append(Channel(bench.node))
        opened[0].output.put_nowait(b"lost")
        return opened[0]

    bench.node.open = open_and_lose  # type: ignore[method-assign]
    record = await bench.run("probe-sizes")
    assert (record.state, record.cure) == ("failed", "look at the line")
    assert opened[0].closed


async def test_udp_goes_below_and_above_what_tcp_got(bench: Bench) -> None:
    bench.queue.outcomes = [
        {"receiver_bps": 4.8e6, "retransmits": 300, "sent_bytes": 3_000_000},
        {"receiver_bps": 2.4e6, "sender_bps": 2.4e6, "sent_bytes": 1_500_000, "received_bytes": 1_500_000},
        {"receiver_bps": 4.8e6, "sender_bps": 6.4e6, "sent_bytes": 4_000_000, "received_bytes": 3_000_000},
    ]
    record = await bench.run("tcp-udp")
    assert [each.udp for each in bench.queue.asked] == [False, True, True]
    assert [each.rate_bps for each in bench.queue.asked[1:]] == [2_400_000, 6_400_000]
    assert record.figures["udp_loss_pct"] == 0
    assert record.figures["ramp_loss_pct"] == 25
    assert record.figures["tcp_retrans_pct"] == pytest.approx(14, abs=0.1)


async def test_udp_stays_below_where_tcp_fills_the_line(bench: Bench) -> None:
    bench.queue.outcomes = [{"receiver_bps": 28e6}, {"receiver_bps": 14e6}]
    record = await bench.run("tcp-udp")
    assert len(bench.queue.asked) == 2
    assert "ramp_loss_pct" not in record.figures


async def test_a_burst_through_which_nothing_passes_is_a_figure(bench: Bench) -> None:
    bench.queue.outcomes = [{"state": "aborted", "intervals": (BurstInterval(t=0.5, bps=0.0),)}, {"receiver_bps": 28e6}]
    record = await bench.run("mss")
    assert record.figures == {"usual_bps": 0, "clamped_bps": 28e6}
    assert bench.queue.asked[1].mss == 1200


async def test_a_burst_that_could_not_be_is_none(bench: Bench) -> None:
    bench.queue.outcomes = [{"state": "failed", "reason": "iperf3 is not installed on a", "cure": "install it"}]
    record = await bench.run("paths")
    assert (record.state, record.cure, record.figures) == ("failed", "install it", {})
    assert "iperf3 is not installed" in (record.reason or "")


async def test_pings_go_on_while_the_line_is_loaded_and_end_with_a_failed_burst(bench: Bench) -> None:
    bench.queue.outcomes = [{"state": "failed", "reason": "refused"}]
    record = await bench.run("loaded-ping")
    assert record.state == "failed"
    assert record.figures["idle_rtt_ms"] == 20
    assert bench.node.opened[0].closed


async def test_one_at_a_time_and_it_can_be_ended(bench: Bench) -> None:
    bench.queue.hangs = True
    command = RunExperiment(kind="streams", src="e", dst="a", path="vpn")
    bench.experiments.obey(command)
    with pytest.raises(ValueError, match="is running"):
        bench.experiments.start(command)
    await bench.queue.hanging.wait()
    bench.experiments.obey(AbortExperiment())
    await bench.over.wait()
    assert bench.told[-1].experiment.state == "aborted"
    assert bench.queue.cleaned == 1
    with pytest.raises(ValueError, match="no experiment"):
        bench.experiments.abort()


async def test_whoever_waits_may_be_cancelled(bench: Bench) -> None:
    bench.queue.hangs = True
    waiting = asyncio.create_task(bench.run("streams"))
    await bench.queue.hanging.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert bench.told[-1].experiment.state == "aborted"


async def test_the_end_of_meshtop_ends_it(bench: Bench) -> None:
    bench.queue.hangs = True
    serving = asyncio.create_task(bench.experiments.serve())
    await asyncio.sleep(0)
    bench.experiments.start(RunExperiment(kind="streams", src="e", dst="a", path="vpn"))
    await bench.queue.hanging.wait()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert bench.told[-1].experiment.state == "aborted"
    with pytest.raises(ValueError, match="ending"):
        bench.experiments.start(RunExperiment(kind="streams", src="e", dst="a", path="vpn"))


async def test_without_a_session_nothing_begins(bench: Bench) -> None:
    bench.sessions.clear()
    with pytest.raises(ValueError, match="no session with e"):
        await bench.run("probe-sizes")
    assert bench.told == []


async def test_pings_need_no_session_with_who_answers(bench: Bench) -> None:
    del bench.sessions["a"]
    assert (await bench.run("probe-sizes")).state == "done"
    with pytest.raises(ValueError, match="no session with a"):
        await bench.run("paths")


async def test_a_replay_has_no_experiments() -> None:
    replay = Experiments(MESH, lambda _: None, Queue(), Clock(), lambda _: None, replay=True)
    with pytest.raises(ValueError, match="recording"):
        replay.start(RunExperiment(kind="streams", src="e", dst="a", path="vpn"))


def test_figures_of_bursts() -> None:
    plan = Queue().plan(BurstRequest(src="e", dst="a", path="vpn", seconds=5))
    empty = bursts.queued("b1", plan)
    assert (received_bps(empty), retrans_pct(empty), udp_loss_pct(empty)) == (None, None, None)
