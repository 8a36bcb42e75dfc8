"""Stalls from frames to records: each told once, in its place, with its cause; and what must raise none."""

from __future__ import annotations

import msgspec
import pytest

from meshtop.engine.events import LinkEvent, StallEvent
from meshtop.model import IntervalAsked, LookTaken, Path, SessionChanged, Watch
from meshtop.readings import NodeInfo, Process, SocketId, SocketMemory, SocketReading, Timer

START = 1000.0


class Kernel:
    """One bulk flow of node e as its kernel has it: ACKs each 10 ms, but for the times in ``still``."""

    def __init__(self, still=(), *, peer="10.10.10.1", port=5201, local_port=40000, cookie="1", **fields):
        self.still = still
        self.id = SocketId("10.10.10.5", local_port, peer, port, cookie)
        self.fields = fields

    def moving_s(self, at):
        """For how long it has moved since START."""
        return max(0.0, at - START) - sum(max(0.0, min(at, end) - start) for start, end in self.still if start < at)

    def read(self, at, **fields):
        waited = next((at - start for start, end in self.still if start <= at <= end), None)
        rto_ms, backoff = 240.0, None
        if waited is not None and waited > 0.24:
            backoff = max(n for n in range(12) if 0.24 * (2**n - 1) <= waited)
            rto_ms *= 2**backoff
        values = {
            "state": "ESTAB", "recv_q": 0, "send_q": 9000, "inode": 77, "mss": 1448, "cwnd": 10, "unacked": 10,
            "srtt_ms": 40.0, "minrtt_ms": 38.0, "rto_ms": rto_ms, "backoff": backoff,
            "timer": Timer(kind="on", expires_ms=100, retransmits=backoff or 0),
            "bytes_acked": 1 + round(100 * self.moving_s(at)) * 1448, "data_segs_out": round(100 * self.moving_s(at)),
            "delivered": round(100 * self.moving_s(at)), "retrans_total": backoff,
            "busy_ms": round(1000 * (at - START)), "lastack_ms": 5 if waited is None else round(1000 * waited),
        }  # fmt: skip
        return SocketReading(id=self.id, **{**values, **self.fields, **fields})


class Tale:
    """An engine that is told of node e's sockets tick by tick, with small pings to a each second."""

    def __init__(self, build, *kernels, mesh=None, interval_s=0.2, **probe):
        self.s = build.Story(mesh, START, interval_s=interval_s, **probe)
        self.build, self.kernels, self.interval_s = build, kernels, interval_s
        self.stalls: list[StallEvent] = []
        self.links: list[LinkEvent] = []
        self.pinged = 0

    def begin(self, **parts):
        self.s.up()
        self.take(
            self.s.receive(self.s.probe.tell(START, self.sockets(START), pings=(self.s.pinger.start(),), **parts))
        )

    def sockets(self, at):
        readings = [kernel.read(at) for kernel in self.kernels]
        return self.build.full(*readings) if self.s.probe.seq < 0 else self.build.changed(*readings)

    def until(self, end, *, dead=(), heard=True, **parts):
        """``dead``: pings sent in that time are not answered. ``heard``: whether the frames reach the operator; else
        they are kept in the list that is returned."""
        kept = []
        while self.s.uptime < START + end - 1e-6:
            self.s.uptime = round(self.s.uptime + self.interval_s, 3)
            answers = []
            while START + self.pinged + 0.04 <= self.s.uptime:
                if not any(a <= self.pinged < b for a, b in dead):
                    answers.append(self.s.pinger.reply(self.pinged + 1))
                self.pinged += 1
            frame = self.s.probe.tell(self.s.uptime, self.sockets(self.s.uptime), pings=tuple(answers), **parts)
            if heard:
                self.take(self.s.receive(frame))
            else:
                kept.append(frame)
        return kept

    def late(self, kept):
        for frame in kept:
            self.take(self.s.receive(msgspec.structs.replace(frame, at=self.s.now)))

    def take(self, told):
        self.stalls += [event for event in told if isinstance(event, StallEvent)]
        self.links += [e for e in told if isinstance(e, LinkEvent) and (e.dst, e.path) == ("a", "vpn")]

    def fresh_probe(self):
        self.s.probe = self.build.Probe(name="probe-2", connection=2, interval_s=self.interval_s)
        self.s.pinger = self.build.Pinger(self.s.uptime)
        self.pinged = round(self.s.uptime - START)
        self.s.pinger.started = START

    @property
    def closed(self):
        return [event for event in self.stalls if event.phase == "closed"]

    @property
    def snapshot(self):
        return self.s.engine.snapshot(self.s.now)


def seconds(text):
    """Of a time of the tale."""
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp() - 1_714_573_000.0 - START


def test_one_stall_from_its_opening_to_its_end(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]))
    tale.begin(info=NodeInfo(kernel="6.1.0", ss="6.1.0", processes=(Process(inode=77, pid=9, name="iperf3"),)))
    tale.until(5.0)
    (stall,) = tale.snapshot.stalls
    assert (stall.id, stall.src, stall.dst, stall.path, stall.node) == ("s1", "e", "a", "vpn", "e")
    assert (stall.flow.local, stall.flow.peer, stall.flow.cookie) == ("10.10.10.5:40000", "10.10.10.1:5201", "1")
    assert stall.flow.process == "iperf3"
    assert (stall.outcome, stall.end) == ("open", None)
    assert stall.duration_s == pytest.approx(2.0, abs=0.01)
    assert stall.resolution_s == pytest.approx(0.2, abs=0.01)
    assert (stall.evidence["unacked"], stall.evidence["backoff"]) == (10, 3)
    link = tale.s.link()
    assert (link.stalls, link.stalled_now, link.state) == (1, True, "stalled")
    assert "waited 2.0 s" in link.reason
    tale.until(20.0)
    (closed,) = tale.closed
    assert (closed.id, closed.outcome, closed.cause) == ("s1", "recovered", "size-blackhole")
    assert seconds(closed.start) == pytest.approx(3.0, abs=0.03)
    assert seconds(closed.end) == pytest.approx(6.0, abs=0.25)
    assert tale.stalls[0].phase == "open"
    link = tale.s.link()
    assert (link.stalls, link.stalled_now, link.state) == (0, False, "ok")
    wide = next(v for v in tale.s.engine.snapshot(tale.s.now, 20.0).links if v.key == link.key)
    assert (wide.stalls, wide.stalled_now) == (1, False)
    assert wide.longest_stall_s == pytest.approx(3.0, abs=0.25)
    assert wide.stalled_pct == pytest.approx(15.0, abs=1.5)
    assert [v.id for v in tale.s.engine.view(tale.s.now).stalls] == ["s1"]  # screens keep it for longer


def test_the_stream_of_links_counts_the_stalls_of_each_interval(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]))
    tale.begin()
    tale.until(10.0)
    during = [event for event in tale.links if 4.5 < seconds(event.at) <= 5.9]
    assert during
    assert all((event.stalls, event.stalled_now) == (1, True) for event in during)
    whole = [event for event in during if event.stalled_pct is not None and event.stalled_pct > 99.9]
    assert len(whole) == len(during)
    assert during[-1].longest_stall_s == pytest.approx(2.8, abs=0.25)
    calm = [event for event in tale.links if seconds(event.at) < 3.0]
    assert all((event.stalls, event.stalled_now) == (0, False) for event in calm)


@pytest.mark.parametrize("interval_s", [0.1, 0.2, 1.0])
def test_a_flow_that_moves_raises_nothing_at_any_pace(build, interval_s):
    tale = Tale(build, Kernel(), interval_s=interval_s)
    tale.begin()
    tale.until(60.0)
    assert tale.stalls == []


def test_short_flows_by_the_thousand_raise_nothing(build):
    tale = Tale(build, interval_s=1.0)
    tale.begin()
    for n in range(40):
        flows = [
            Kernel(local_port=1000 + k, cookie=f"{n:x}.{k:x}", busy_ms=20, bytes_acked=700, lastack_ms=3).read(START)
            for k in range(60)
        ]
        tale.s.uptime += 1.0
        tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.full(*flows))))
    assert tale.stalls == []
    assert tale.s.link().stalls == 0


def test_an_old_ss_without_cookies_tells_a_stall_once_and_nothing_of_short_flows(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)], cookie=None))
    tale.begin()
    tale.until(10.0)
    (closed,) = tale.closed
    assert (closed.id, closed.flow.cookie, closed.outcome) == ("s1", None, "recovered")
    assert closed.duration_s == pytest.approx(3.0, abs=0.25)
    for n in range(20):  # ports are used again, by flows that have done less than those before them
        flows = [
            Kernel(local_port=1000 + k, cookie=None, busy_ms=20 - n, bytes_acked=700 - n, lastack_ms=3).read(START)
            for k in range(60)
        ]
        tale.s.uptime += 0.2
        tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.full(*flows))))
    assert [event.id for event in tale.closed] == ["s1"]
    assert tale.s.node().stalled_now is False


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_nodes_wall_clock_neither_makes_nor_moves_a_stall(build, step_s):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]))
    tale.begin(info=msgspec.structs.replace(build.info, wall_s=build.epoch + START, wall_uptime_s=START))
    tale.until(4.5)
    tale.until(4.7, info=NodeInfo(wall_s=build.epoch + START + 4.6 + step_s, wall_uptime_s=START + 4.6))
    tale.until(20.0)
    assert tale.s.node().clock_offset_s == pytest.approx(step_s, abs=0.1)
    (closed,) = tale.closed
    assert seconds(closed.start) == pytest.approx(3.0, abs=0.03)
    assert closed.duration_s == pytest.approx(3.0, abs=0.25)
    assert closed.cause == "size-blackhole"


def test_single_lost_frames_raise_nothing_and_do_not_hide_a_stall(build):
    tale = Tale(build, Kernel([(START + 8.0, START + 11.0)]))
    tale.begin()
    for end in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0):
        tale.until(end)
        tale.until(end + 0.2, heard=False)
    assert tale.stalls == []
    tale.until(20.0)
    (closed,) = tale.closed
    assert seconds(closed.start) == pytest.approx(8.0, abs=0.03)


# ── Probes that take over from each other ──


def test_a_fresh_probe_goes_on_with_a_stall_and_late_frames_tell_no_other(build):
    """The session hangs from 4 to 7; the flow stalls from 3 to 9."""
    tale = Tale(build, Kernel([(START + 3.0, START + 9.0)]))
    tale.begin()
    tale.until(4.0)
    kept = tale.until(7.0, heard=False)
    tale.fresh_probe()
    tale.until(8.0)
    assert {event.id for event in tale.stalls} == {"s1"}
    assert tale.closed == []
    tale.late(kept)
    tale.until(12.0)
    assert {event.id for event in tale.stalls} == {"s1"}
    (closed,) = tale.closed
    assert seconds(closed.start) == pytest.approx(3.0, abs=0.03)
    assert seconds(closed.end) == pytest.approx(9.0, abs=0.25)
    assert (closed.outcome, closed.cause) == ("recovered", "size-blackhole")
    assert "sampling_gap" not in closed.evidence


def test_a_gap_that_never_fills_leaves_it_undetermined(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 12.0)]))
    tale.begin()
    tale.until(4.0)
    tale.until(20.0, heard=False)
    tale.fresh_probe()
    tale.until(24.0)
    (closed,) = tale.closed
    assert (closed.id, closed.outcome, closed.cause, closed.settled) == ("s1", "recovered", "undetermined", False)
    assert seconds(closed.start) == pytest.approx(3.0, abs=0.03)
    end = seconds(closed.end)
    assert 4.0 <= end <= 20.3
    assert closed.resolution_s == pytest.approx(16.2, abs=0.01)
    assert closed.evidence["sampling_gap"] is True
    assert tale.s.link().stalled_now is False


def test_late_frames_put_right_what_was_concluded_over_the_gap(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]))
    tale.begin()
    tale.until(4.0)
    kept = tale.until(12.0, heard=False)
    tale.fresh_probe()
    tale.until(13.0)
    (assumed,) = tale.closed
    assert assumed.resolution_s > 8.0
    tale.late(kept)
    tale.until(14.0)
    assert {event.id for event in tale.stalls} == {"s1"}
    last = tale.closed[-1]
    assert seconds(last.end) == pytest.approx(6.0, abs=0.25)
    assert last.resolution_s == pytest.approx(0.2, abs=0.01)
    assert "sampling_gap" not in last.evidence
    assert last.cause == "size-blackhole"
    assert [stall.id for stall in tale.s.engine.snapshot(tale.s.now, 30.0).stalls] == ["s1"]


def test_a_stall_within_the_gap_is_found_when_the_gap_fills(build):
    tale = Tale(build, Kernel([(START + 6.0, START + 9.0)]))
    tale.begin()
    tale.until(4.0)
    kept = tale.until(12.0, heard=False)
    tale.fresh_probe()
    tale.until(13.0)
    assert tale.stalls == []
    tale.late(kept)
    (closed,) = tale.closed
    assert seconds(closed.start) == pytest.approx(6.0, abs=0.03)
    assert closed.duration_s == pytest.approx(3.0, abs=0.25)


def test_a_stall_that_spans_the_end_of_the_gap_is_one(build):
    """It begins unseen, and ends just after the fresh probe has begun: only the late frames tell that it was one."""
    tale = Tale(build, Kernel([(START + 8.0, START + 12.1)]))
    tale.begin()
    tale.until(4.0)
    kept = tale.until(12.0, heard=False)
    tale.fresh_probe()
    tale.until(13.0)
    tale.late(kept)
    tale.until(15.0)
    assert {event.id for event in tale.stalls} == {"s1"}
    last = tale.closed[-1]
    assert seconds(last.start) == pytest.approx(8.0, abs=0.03)
    assert seconds(last.end) == pytest.approx(12.1, abs=0.25)


def test_a_socket_that_went_within_the_gap_is_lost_until_more_is_known(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 99.0)]))
    tale.begin()
    tale.until(4.0)
    tale.until(12.0, heard=False)
    tale.kernels = ()
    tale.fresh_probe()
    tale.until(13.0)
    (closed,) = tale.closed
    assert (closed.outcome, closed.resolution_s) == ("lost", pytest.approx(8.2, abs=0.01))


def test_a_reboot_ends_what_was_open(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 99.0)]))
    tale.begin()
    tale.until(5.0)
    again = build.Probe(name="probe-2", boot="boot-2", connection=2, epoch=build.epoch + START)
    tale.take(tale.s.receive(again.tell(20.0, build.full())))
    (closed,) = tale.closed
    assert closed.outcome == "lost"
    assert seconds(closed.end) == pytest.approx(5.0, abs=0.1)


def test_what_is_told_late_of_an_older_boot_is_of_its_own_processes(build):
    """Inodes are given out anew."""
    tale = Tale(build, Kernel([(START + 3.0, START + 4.5)]))
    tale.begin(info=NodeInfo(processes=(Process(inode=77, pid=9, name="iperf3"),)))
    tale.until(2.0)
    kept = tale.until(6.0, heard=False)
    again = build.Probe(name="probe-2", boot="boot-2", connection=2, epoch=build.epoch + START)
    other = NodeInfo(processes=(Process(inode=77, pid=9, name="rsync"),))
    tale.take(tale.s.receive(again.tell(20.0, build.full(), info=other)))
    tale.late(kept)
    assert {event.flow.process for event in tale.stalls} == {"iperf3"}


# ── Where they stand ──


def test_meshtops_own_connections_and_listeners_are_no_flows(build):
    own = Kernel([(START + 2.0, START + 30.0)], peer="10.10.10.1", port=50000, local_port=22)
    tale = Tale(build, own)
    tale.begin(info=NodeInfo(kernel="6.1.0", ss="6.1.0", ssh_socket=("10.10.10.5", 22, "10.10.10.1", 50000)))
    tale.until(10.0)
    assert tale.stalls == []
    listener = msgspec.structs.replace(Kernel([(START, START + 99)]).read(START + 5.0), state="LISTEN")
    tale.kernels = ()
    for _ in range(20):
        tale.s.uptime += 0.2
        tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.full(listener))))
    assert tale.stalls == []


def test_one_that_turns_out_to_be_our_own_is_taken_back(build):
    tale = Tale(build, Kernel([(START + 2.0, START + 30.0)], port=50000, local_port=22))
    tale.begin()
    tale.until(4.0)
    assert tale.snapshot.stalls
    tale.until(4.2, info=NodeInfo(ssh_socket=("10.10.10.5", 22, "10.10.10.1", 50000)))
    assert tale.snapshot.stalls == ()
    assert tale.s.engine.view(tale.s.now).stalls == ()
    assert tale.s.link().stalls == 0
    tale.until(40.0)
    assert tale.closed == []


def test_a_watched_service_outside_of_the_mesh_stands_under_its_node(build):
    mesh = build.mesh(watches=(Watch(name="push", ports=(443,)), Watch(name="other", ports=(9,), nodes=("a",))))
    registry = Kernel([(START + 3.0, START + 6.0)], peer="192.0.2.77", port=443, cgroup="/harbor.service")
    tale = Tale(build, registry, mesh=mesh)
    tale.begin()
    tale.until(5.0)
    (stall,) = tale.snapshot.stalls
    assert (stall.src, stall.dst, stall.path, stall.node) == ("e", None, None, "e")
    assert (stall.flow.watch, stall.flow.cgroup) == ("push", "/harbor.service")
    node = tale.s.node()
    assert (node.stalls, node.stalled_now) == (1, True)
    (watch,) = node.watches  # the other is not watched on this node
    assert (watch.name, watch.flows, watch.stalls, watch.stalled_now) == ("push", 1, 1, True)
    assert watch.longest_stall_s == pytest.approx(2.0, abs=0.05)
    assert tale.s.link().stalls == 0


def test_the_other_end_of_a_socket_is_evidence_where_it_is_seen(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]))
    there = build.Probe(node="a", name="probe-a", interval_s=0.2)
    tale.s.receive(SessionChanged(at=tale.s.now, node="a", connection=1, phase="up"))
    tale.begin()
    while tale.s.uptime < START + 5.0:
        mirror = SocketReading(
            id=SocketId("10.10.10.1", 5201, "10.10.10.5", 40000, "9"), state="ESTAB", recv_q=0, send_q=0,
            skmem=SocketMemory(rmem_alloc=4096), lastrcv_ms=1800, bytes_received=round(tale.s.uptime),
        )  # fmt: skip
        tale.s.receive(there.tell(tale.s.uptime, build.full(mirror)))
        tale.until(tale.s.uptime - START + 0.2)
    (stall,) = tale.snapshot.stalls
    assert stall.evidence["receiver"] == {"recv_q": 0, "rmem_alloc": 4096, "lastrcv_ms": 1800}


def test_an_old_node_that_cannot_tell_raises_nothing_and_says_so(build):
    bare = {"bytes_acked": None, "busy_ms": None, "lastack_ms": None, "delivered": None}
    tale = Tale(build, Kernel([(START + 3.0, START + 30.0)], cookie=None, **bare))
    tale.begin(info=NodeInfo(kernel="3.10.0", ss="4.0.0"))
    tale.until(10.0)
    assert tale.stalls == []
    link = tale.s.link()
    assert (link.stalls, link.stalled_now) == (None, None)


def test_without_the_busy_clock_a_stall_is_found_and_says_what_is_missing(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)], cookie=None, busy_ms=None))
    tale.begin(info=NodeInfo(kernel="4.4.0", ss="4.6.0"))
    tale.until(10.0)
    (closed,) = tale.closed
    assert "busy_ms" in closed.evidence["missing"]
    assert seconds(closed.start) == pytest.approx(3.1, abs=0.25)


# ── Causes from the surroundings ──


def test_pings_that_die_within_the_wait_make_it_a_blackout(build):
    tale = Tale(build, Kernel([(START + 5.0, START + 12.0)]))
    tale.begin()
    tale.until(20.0, dead=[(5, 11)])
    (closed,) = tale.closed
    assert (closed.cause, closed.settled) == ("blackout", True)
    assert [cause.cause for cause in closed.causes][-1] == "blackout"  # though pings lived again before TCP did


def test_one_lost_ping_does_not(build):
    tale = Tale(build, Kernel([(START + 5.0, START + 12.0)]), Kernel(local_port=2, cookie="2"))
    tale.begin()
    tale.until(20.0, dead=[(6, 7)])
    (closed,) = tale.closed
    assert closed.cause == "rto-no-ack"


def test_small_pings_that_live_while_nothing_large_passes_make_it_a_size_black_hole(build):
    tale = Tale(
        build, Kernel([(START + 5.0, START + 25.0)]), Kernel([(START + 5.0, START + 25.0)], local_port=2, cookie="2")
    )
    tale.begin()
    tale.until(15.0)
    assert {(stall.cause, stall.settled) for stall in tale.snapshot.stalls} == {("size-blackhole", False)}


def test_another_flow_with_full_segments_to_that_peer_speaks_against_it(build):
    tale = Tale(build, Kernel([(START + 5.0, START + 25.0)]), Kernel(local_port=2, cookie="2"))
    tale.begin()
    tale.until(15.0)
    (stall,) = tale.snapshot.stalls
    assert stall.cause == "rto-no-ack"


def tunnelled(build):
    paths = (Path(name="vpn", kind="overlay", outer_ports=(443,)), Path(name="public", kind="underlay"))
    return build.mesh(paths=paths)


def test_the_tunnels_own_socket_explains_the_flows_in_it(build):
    inner = Kernel([(START + 5.0, START + 9.0)])
    outer = Kernel([(START + 5.0, START + 8.0)], peer="203.0.113.10", port=443, local_port=7, cookie="7")
    tale = Tale(build, inner, outer, mesh=tunnelled(build))
    tale.begin()
    tale.until(12.0)
    by_port = {event.flow.peer: event for event in tale.closed}
    assert by_port["10.10.10.1:5201"].cause == "outer-stall"  # to its end, an RTO after the tunnel's own
    assert by_port["10.10.10.1:5201"].flow.tunnel is None
    assert by_port["203.0.113.10:443"].cause == "rto-no-ack"
    assert by_port["203.0.113.10:443"].flow.tunnel == "vpn"
    assert by_port["203.0.113.10:443"].path == "public"


@pytest.mark.parametrize(("hub_seen", "hub_still"), [(True, True), (True, False), (False, True)])
def test_between_two_edges_the_hubs_leg_counts_too(build, hub_seen, hub_still):
    inner = Kernel([(START + 5.0, START + 9.0)], peer="10.10.10.3")
    outer = Kernel(peer="203.0.113.10", port=443, local_port=7, cookie="7")
    beyond = Kernel([(START + 5.0, START + 8.0)] if hub_still else (), peer="198.51.100.33", port=9999, local_port=443)
    tale = Tale(build, inner, outer, mesh=tunnelled(build))
    hub = build.Probe(node="a", name="probe-a", interval_s=0.2)
    tale.s.receive(SessionChanged(at=tale.s.now, node="a", connection=1, phase="up"))
    tale.begin()
    while tale.s.uptime < START + 12.0:
        if hub_seen:
            there = build.full(beyond.read(tale.s.uptime))
            told = tale.s.receive(hub.tell(tale.s.uptime, there))
            assert all(event.flow.tunnel == "vpn" for event in told if isinstance(event, StallEvent))
        tale.until(tale.s.uptime - START + 0.2)
    closed = next(event for event in tale.closed if event.node == "e")
    assert (closed.cause == "outer-stall") is (hub_seen and hub_still)


def test_a_tunnel_that_moves_explains_nothing(build):
    inner = Kernel([(START + 5.0, START + 9.0)])
    outer = Kernel(peer="203.0.113.10", port=443, local_port=7, cookie="7")
    tale = Tale(build, inner, outer, mesh=tunnelled(build))
    tale.begin()
    tale.until(12.0)
    (closed,) = tale.closed
    assert "outer-stall" not in [cause.cause for cause in closed.causes]


def test_a_service_on_the_tunnels_port_within_the_overlay_is_no_tunnel(build):
    inner = Kernel([(START + 5.0, START + 9.0)])
    site = Kernel([(START + 5.0, START + 9.0)], peer="10.10.10.1", port=443, local_port=7, cookie="7")
    tale = Tale(build, inner, site, mesh=tunnelled(build))
    tale.begin()
    tale.until(12.0)
    assert {event.flow.tunnel for event in tale.closed} == {None}
    assert "outer-stall" not in [cause.cause for event in tale.closed for cause in event.causes]


# ── What else waits ──


def test_a_flow_that_is_stuck_while_others_move_leaves_the_link_degraded(build):
    stuck = Kernel([(START + 3.0, START + 999.0)])
    tale = Tale(build, stuck, Kernel(local_port=2, cookie="2"), interval_s=1.0)
    tale.begin()
    tale.until(30.0)
    assert tale.s.link().state == "stalled"
    tale.until(75.0)
    link = tale.s.link()
    assert link.state == "degraded"
    assert "while others move" in link.reason


def test_connections_that_do_not_get_through_are_counted(build):
    tale = Tale(build, interval_s=1.0)
    tale.begin()
    dialling = SocketReading(
        id=SocketId("10.10.10.5", 50001, "10.10.10.1", 443, "5"), state="SYN-SENT", recv_q=0, send_q=1, unacked=1,
        rto_ms=4000.0, backoff=2, timer=Timer(kind="on", expires_ms=900, retransmits=2),
    )  # fmt: skip
    at_once = msgspec.structs.replace(dialling, id=dialling.id._replace(local_port=50002, cookie="6"), timer=None)
    tale.s.uptime += 1.0
    tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.full(dialling, at_once))))
    link = tale.s.link()
    assert (link.connecting, link.connecting_oldest_s) == (1, 3.0)  # sent three times: 1 s and 2 s went by
    tale.s.uptime += 1.0
    tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.changed(gone=[at_once.id]))))
    link = tale.s.link()
    assert (link.connecting, link.connecting_oldest_s, tale.s.node().connecting) == (1, 4.0, 1)
    told = tale.links[-1]
    assert (told.connecting, told.connecting_oldest_s, told.crawling, told.stalled_pct) == (1, 4.0, 0, 0.0)
    through = msgspec.structs.replace(dialling, state="ESTAB", bytes_acked=1, unacked=None)
    tale.s.uptime += 1.0
    tale.take(tale.s.receive(tale.s.probe.tell(tale.s.uptime, build.changed(through))))
    assert tale.s.link().connecting == 0
    assert tale.stalls == []


def test_the_strip_tells_second_by_second_what_the_flows_did(build):
    tale = Tale(build, Kernel([(START + 5.0, START + 8.0)]), interval_s=0.2)
    tale.begin()
    tale.until(12.0)
    strip = tale.s.engine.view(tale.s.now).strips["e", "a", "vpn"]
    assert len(strip.seconds) == 120
    last = strip.seconds[-12:]
    assert set(last[:4]) == {"sending"}
    assert set(last[5:8]) == {"stalled"}
    assert last[-1] == "sending"
    assert set(strip.seconds[:-14]) == {"no-data"}


# ── Closer looks ──


def test_both_ends_of_a_stall_are_looked_at_closely_and_the_looks_are_events(build):
    tale = Tale(build, Kernel([(START + 3.0, START + 6.0)]), interval_s=1.0)
    there = build.Probe(node="a", name="probe-a")
    tale.s.receive(SessionChanged(at=tale.s.now, node="a", connection=1, phase="up"))
    tale.begin()
    for end in (1, 2, 3, 4, 5):
        tale.s.receive(there.tell(START + end, build.full()))
        tale.until(end)
    engine = tale.s.engine
    assert engine.closer_looks(tale.s.now, 1.0) == {"e": 0.2, "a": 0.2}
    assert engine.view(tale.s.now).looking == ()  # until it is done
    engine.receive(LookTaken(at=tale.s.now, node="e", interval_s=0.2))
    assert engine.view(tale.s.now).looking == ("e",)
    engine.receive(LookTaken(at=tale.s.now, node="e", interval_s=1.0))
    assert engine.view(tale.s.now).looking == ()
    engine.receive(LookTaken(at=tale.s.now, node="e", interval_s=0.2))
    engine.receive(IntervalAsked(at=tale.s.now, interval_s=0.1))
    assert engine.view(tale.s.now).looking == ()
    assert engine.closer_looks(tale.s.now, 0.1) == {}  # the operator's own pace is closer


def test_a_calm_mesh_is_not_looked_at_closely(build):
    tale = Tale(build, Kernel(), interval_s=1.0)
    tale.begin()
    tale.until(20.0)
    assert tale.s.engine.closer_looks(tale.s.now, 1.0) == {}
