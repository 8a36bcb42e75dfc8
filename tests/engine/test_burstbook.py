"""What the engine makes of a burst that it is told of: live intervals of its sockets, stalls, flows beside it."""

from __future__ import annotations

import msgspec
import pytest

from meshtop.burst import BurstInterval, BurstRaw, BurstRecord, BurstStream
from meshtop.engine.burst_intervals import MOST_INTERVALS, thinned
from meshtop.engine.burstbook import LINGER_S
from meshtop.engine.events import BurstEvent
from meshtop.engine.timeseries import rfc3339
from meshtop.model import BurstTold
from meshtop.readings import SocketId

STEP_S = 0.2
MB = 125_000  # bytes: one Mbit


def record(**changes):
    known = {
        "id": "b1",
        "src": "e",
        "dst": "a",
        "path": "vpn",
        "client": "e",
        "server": "a",
        "connect_to": "10.10.10.1",
        "port": 5203,
        "streams": 2,
        "requested": {"seconds": 5},
        "state": "running",
    }
    return BurstRecord(**{**known, **changes})


class Scene:
    """Node e with a burst of two streams towards a, its control connection, and a flow of somebody else."""

    def __init__(self, build, story, **burst):
        self.build = build
        self.story = story(interval_s=STEP_S)
        self.burst = record(**burst)
        self.story.begin(self.sockets(full=True, beside=MB))

    def sockets(self, *, full=False, streams=(), retrans=0, beside=None, gone=(), **fields):
        build = self.build
        readings = [build.socket(port=5203, local_port=40000, acked=300)] if streams else []
        readings += [
            build.socket(
                port=5203,
                local_port=40001 + n,
                cookie=str(10 + n),
                acked=acked,
                retrans_total=retrans,
                srtt_ms=50.0 + 10 * n,
                cwnd=10,
                mss=1000,
                unacked=5,
                **fields,
            )
            for n, acked in enumerate(streams)
        ]
        if beside is not None:
            readings.append(build.socket(port=443, local_port=50000, cookie="99", acked=beside))
        if full:
            return build.full(*readings)
        return build.changed(*readings, gone=gone, total=4)

    def step(self, **sockets):
        told = self.story.second(None, self.sockets(**sockets))
        return [event for event in told if isinstance(event, BurstEvent)]

    def told(self, phase, late_s=0.0, **changes):
        self.burst = msgspec.structs.replace(self.burst, **changes)
        event = BurstTold(at=self.story.now - late_s, phase=phase, burst=self.burst)
        return [each for each in self.story.receive(event) if isinstance(each, BurstEvent)]

    def running(self):
        """Twenty steps in which the other flow does 5 Mbit/s, then the load begins."""
        for n in range(20):
            self.step(beside=MB * (n + 2))
        self.step(beside=22 * MB, streams=(1, 1))
        return self.told("started")

    def then_another(self, after_steps=1):
        """It is over and its sockets are gone; another one begins, while the other flow does ten Mbit/s."""
        self.told("closed", state="done")
        gone = [SocketId("10.10.10.5", 40001 + n, "10.10.10.1", 5203, str(10 + n)) for n in (0, 1)]
        for n in range(after_steps):
            self.step(gone=gone if n == 0 else (), beside=(23 + 2 * n) * MB)
        self.burst = record(id="b2", port=5204)
        return self.told("started")

    @property
    def shown(self):
        (one,) = self.story.engine.view(self.story.now).bursts
        return one


@pytest.fixture
def scene(build, story):
    return lambda **burst: Scene(build, story, **burst)


def test_every_frame_of_the_sender_is_an_interval(scene):
    run = scene()
    run.running()
    (first,) = run.step(streams=(2 * MB, MB), retrans=3)
    assert first.phase == "interval"
    (interval,) = first.intervals
    assert interval.t == pytest.approx(STEP_S, abs=0.01)
    assert interval.bps == pytest.approx(15e6, rel=0.01)
    assert (interval.retransmits, interval.rtt_ms, interval.cwnd_bytes, interval.source) == (6, 55.0, 20_000, "ss")
    assert [each.port for each in interval.streams] == [40001, 40002]
    (second,) = run.step(streams=(2 * MB, 2 * MB), retrans=4)
    assert second.intervals[0].bps == pytest.approx(5e6, rel=0.01)
    assert second.intervals[0].retransmits == 2
    (still,) = run.step()
    assert (still.intervals[0].bps, still.intervals[0].retransmits) == (0, 0)  # it waits, and time goes on
    assert [each.t for each in run.shown.intervals] == pytest.approx([0.2, 0.4, 0.6], abs=0.01)


def test_a_beginning_that_is_told_late_is_dated_by_the_sockets(scene):
    run = scene()
    for n in range(5):
        run.step(beside=MB * (n + 2))
    run.step(streams=(1, 1))
    run.step(streams=(MB, MB))
    run.step(streams=(2 * MB, 2 * MB))
    started, *intervals = run.told("started")
    assert started.phase == "started"
    assert [each.intervals[0].t for each in intervals] == pytest.approx([0.2, 0.4], abs=0.01)
    assert intervals[0].intervals[0].bps == pytest.approx(10e6, rel=0.01)
    assert started.loaded < started.at


def test_no_load_begins_before_its_burst(scene):
    """The frames around the first byte are a while apart, and clocks of nodes are known to some milliseconds."""
    run = scene()
    for n in range(5):
        run.step(beside=MB * (n + 2))
    run.step(streams=(1, 1))
    asked = rfc3339(run.story.now + 0.15)
    run.step(streams=(MB, MB))
    started, *_ = run.told("started", started=asked)
    assert started.loaded == asked


def test_when_all_has_arrived_nothing_more_is_told(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB))
    assert run.step(gone=[SocketId("10.10.10.5", 40001 + n, "10.10.10.1", 5203, str(10 + n)) for n in (0, 1)]) == []


def test_iperfs_own_intervals_are_told_where_no_socket_is_seen(scene):
    run = scene(port=5204)
    run.running()
    news = BurstInterval(t=1.0, bps=4e6)
    assert [each.intervals for each in run.told("interval", intervals=(news,))] == [(news,)]


def test_iperfs_own_intervals_are_not_told_beside_those_of_the_sockets(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB))
    assert run.told("interval", intervals=(BurstInterval(t=0.5, bps=4e6),)) == []


def test_intervals_with_streams_take_over(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB))
    stream = BurstStream(port=40001, bps=2e6, retransmits=1, rtt_ms=40.0, cwnd_bytes=1000)
    own = BurstInterval(t=0.5, bps=4e6, retransmits=1, rtt_ms=40.0, cwnd_bytes=1000, streams=(stream,))
    assert run.told("interval", intervals=(own,))
    assert run.step(streams=(2 * MB, 2 * MB)) == []
    assert run.shown.intervals == (own,)


def test_a_last_interval_of_no_length_is_taken_as_it_is(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB))
    streams = (BurstStream(port=40001, bps=1e6),)
    last = BurstInterval(t=0.2, bps=1e6, streams=streams)
    run.told("interval", intervals=(last,))
    (event,) = run.told("interval", intervals=(last,))
    assert event.intervals == (last,)


def test_what_the_receiver_does_not_know_is_filled_in_at_the_end(scene):
    run = scene()
    run.running()
    for n in range(5):
        run.step(streams=((n + 1) * MB, (n + 1) * MB), retrans=n)
    of_iperf = tuple(
        BurstInterval(t=t, bps=9e6, streams=tuple(BurstStream(port=p, bps=4.5e6) for p in (40001, 40002)))
        for t in (0.5, 1.0)
    )
    (closed,) = run.told("closed", state="done", intervals=of_iperf, raw=BurstRaw(client={"end": {}}))
    assert closed.raw.client == {"end": {}}
    assert [each.bps for each in closed.intervals] == [9e6, 9e6]
    assert sum(each.retransmits for each in closed.intervals) == 8
    assert closed.intervals[0].streams[1].rtt_ms == 60.0
    assert closed.intervals[0].streams[1].bps == 4.5e6
    assert run.shown.raw == BurstRaw()


def test_the_flow_beside_it_before_and_during(scene):
    run = scene()
    run.running()
    for n in range(5):
        run.step(streams=((n + 1) * MB, (n + 1) * MB), beside=22 * MB + (n + 1) * MB // 10)
    (closed,) = run.told("closed", state="done")
    (beside,) = closed.bystanders
    assert beside.flow["local"] == "10.10.10.5:50000"
    assert beside.bps_before == pytest.approx(5e6, rel=0.02)
    assert beside.bps_during == pytest.approx(0.5e6, rel=0.02)


def test_flows_of_the_burst_before_are_none_beside_the_next(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB))
    run.then_another()
    run.step(beside=24 * MB)
    (closed,) = run.told("closed", state="done")
    assert [each.flow["local"] for each in closed.bystanders] == ["10.10.10.5:50000"]


def test_before_a_second_burst_in_a_row_is_before_the_first(scene):
    run = scene()
    run.running()
    for n in range(5):
        run.step(streams=((n + 1) * MB, (n + 1) * MB), beside=22 * MB + (n + 1) * MB // 10)
    run.then_another()
    run.step(beside=24 * MB)
    (closed,) = run.told("closed", state="done")
    (beside,) = closed.bystanders
    assert beside.bps_before == pytest.approx(5e6, rel=0.02)  # not what it had beside the first burst


def test_a_burst_long_after_another_has_its_own_before(scene):
    run = scene()
    run.running()
    run.step(streams=(MB, MB), beside=22 * MB)
    run.then_another(after_steps=20)
    run.step(beside=70 * MB)
    (closed,) = run.told("closed", state="done")
    (beside,) = closed.bystanders
    assert beside.bps_before == pytest.approx(10e6, rel=0.1)


def test_only_stalls_of_its_own_sockets_are_its_stalls(scene):
    run = scene()
    run.running()
    waiting = {"rto_ms": 240.0, "busy_ms": 1000, "lastack_ms": 10}
    run.step(streams=(MB, MB), **waiting)
    for n in range(8):
        late = 200 * (n + 1)
        run.step(streams=(MB, MB), rto_ms=240.0, busy_ms=1000 + late, lastack_ms=late, backoff=1)
    run.step(streams=(2 * MB, 2 * MB), rto_ms=240.0, busy_ms=3000, lastack_ms=1)
    (closed,) = run.told("closed", state="done")
    assert {each.flow.local for each in closed.stalls} == {"10.10.10.5:40001", "10.10.10.5:40002"}
    assert closed.longest_stall_s == pytest.approx(1.7, abs=0.3)


def test_what_a_stream_did_before_a_long_stall_is_not_counted_again_after_it(scene):
    run = scene()
    run.running()
    run.step(streams=(10 * MB, 10 * MB))
    for _ in range(200):
        run.step()
    (moved,) = run.step(streams=(11 * MB, 10 * MB))
    assert moved.intervals[0].bps == pytest.approx(5e6, rel=0.01)
    assert len(moved.intervals[0].streams) == 2


def test_a_burst_without_end_is_kept_coarser_the_older_it_is():
    kept = ()
    for n in range(3 * MOST_INTERVALS):
        kept = thinned((*kept, BurstInterval(t=0.2 * (n + 1), bps=8e6, retransmits=1)))
    assert len(kept) <= MOST_INTERVALS
    assert kept[-1].t == pytest.approx(0.6 * MOST_INTERVALS)
    assert sum(each.retransmits for each in kept) == 3 * MOST_INTERVALS
    assert {each.bps for each in kept} == {8e6}
    assert [each.t for each in kept] == sorted(each.t for each in kept)


def test_with_nobody_watching_stalls_are_not_known(build, story):
    engine = story().engine
    told = BurstTold(at=1.0, phase="started", burst=record())
    engine.receive(told)
    (closed,) = engine.receive(BurstTold(at=9.0, phase="closed", burst=record(state="done")))
    assert (closed.stalls, closed.longest_stall_s, closed.bystanders) == (None, None, None)


def test_ends_of_a_burst_are_sampled_closely_while_it_lasts(scene):
    run = scene()
    engine, usual_s = run.story.engine, 1.0
    run.told("queued", state="queued")
    assert engine.closer_looks(run.story.now, usual_s) == {}
    run.told("queued", state="starting")
    assert engine.closer_looks(run.story.now, usual_s) == {"e": 0.2, "a": 0.2}
    assert engine.closer_looks(run.story.now, 0.1) == {}  # it is closer already
    run.told("closed", state="failed")
    assert engine.closer_looks(run.story.now, usual_s) == {}  # nothing was sent
    run.told("started", state="running")
    run.told("closed", state="done")
    assert engine.closer_looks(run.story.now + LINGER_S / 2, usual_s) == {"e": 0.2, "a": 0.2}
    assert engine.closer_looks(run.story.now + LINGER_S + 0.1, usual_s) == {}


def test_the_load_of_a_line_is_that_of_its_flows(scene):
    run = scene()
    for n in range(20):
        run.step(beside=MB * (n + 2))
    load = run.story.engine.loads(run.story.now)["e"]
    assert load.up.bps == pytest.approx(5e6, rel=0.05)
    assert (load.up.flows, load.down.flows) == (1, 0)


def test_an_address_of_version_6_is_known_however_it_is_spelt(build, story):
    mesh = build.mesh()
    nodes = tuple(
        msgspec.structs.replace(node, address={"vpn": f"fd00::{n}"}) for n, node in enumerate(mesh.nodes, start=1)
    )
    scene = story(mesh=msgspec.structs.replace(mesh, nodes=nodes), interval_s=STEP_S)
    scene.begin(build.full())
    own = record(connect_to="FD00:0::0001", streams=1)
    engine = scene.engine

    def step(acked):
        reading = build.socket("fd00::1", 5203, local="fd00::3", acked=acked, unacked=1)
        return scene.second(None, build.changed(reading))

    step(1)
    engine.receive(BurstTold(at=scene.now, phase="started", burst=own))
    told = [each for each in step(MB) if isinstance(each, BurstEvent)]
    assert told[0].intervals[0].bps == pytest.approx(5e6, rel=0.01)


def test_a_replay_tells_the_same(scene, build, story):
    """Enrichment is the engine's: the same events give the same, whenever they are read."""

    def play():
        run = scene()
        run.running()
        for n in range(5):
            run.step(streams=((n + 1) * MB, (n + 1) * MB), retrans=n, beside=22 * MB)
        run.told("closed", state="done")
        return run.shown

    assert play() == play()
