"""Watched services of a node: each hop with its figures, and never a zero for what cannot be seen."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from meshtop.model import Watch
from meshtop.readings import Process, SocketId, SocketReading

START = 1000.0
REGISTRY = "192.0.2.77"
WATCHES = (Watch(name="push", ports=(8443, 5000), nodes=("e",)), Watch(name="other", ports=(9,), nodes=("a",)))


def info(build, **fields):
    return msgspec.structs.replace(build.info, **fields)


def begun(build, sockets=(), *, watches=WATCHES, **fields):
    s = build.Story(build.mesh(watches=watches), START)
    s.begin(build.full(*sockets), info=info(build, **fields))
    return s


def watch_of(s):
    (watch,) = s.node().watches
    return watch


def upload(build, second, *, local_port=40000, peer=REGISTRY, port=5000, cookie="1", **fields):
    """A flow that has 100,000 bytes acknowledged and gets 2,000 a second."""
    return build.socket(
        peer, port, local_port=local_port, cookie=cookie, acked=100_000 * second, bytes_received=2_000 * second,
        mss=1448, **fields,
    )  # fmt: skip


def test_a_flow_to_an_address_outside_of_the_mesh_stands_under_its_node(build):
    s = begun(build, [upload(build, 1, inode=77, cgroup="/docker.service")], listening=(8443,),
              processes=(Process(inode=77, pid=9, name="proxy"),))  # fmt: skip
    for second in range(2, 16):
        s.second(sockets=build.changed(upload(build, second, inode=77, cgroup="/docker.service")))
    watch = watch_of(s)
    assert (watch.name, watch.visible, watch.reason, watch.listening) == ("push", True, None, True)
    assert (watch.flows, watch.stalls, watch.stalled_now, watch.stalled_pct) == (1, 0, False, 0.0)
    assert (watch.crawling, watch.connecting, watch.connecting_oldest_s) == (0, 0, None)
    assert watch.tx_bps == pytest.approx(800_000)
    assert watch.rx_bps == pytest.approx(16_000)
    assert (watch.processes, watch.cgroups) == (("proxy",), ("/docker.service",))
    (peer,) = watch.peers
    assert (peer.address, peer.port, peer.dst, peer.path, peer.flows) == (REGISTRY, 5000, None, None, 1)
    assert (peer.tx_bps, peer.rx_bps) == (watch.tx_bps, watch.rx_bps)
    assert all(link.flows == 0 for link in s.engine.snapshot(s.now).links if link.src == "e")


def test_each_hop_is_told_apart_and_clients_of_a_port_here_are_one(build):
    from_a = [build.socket("10.10.10.1", 50000 + n, local_port=8443, cookie=f"a{n}", acked=0) for n in range(3)]
    s = begun(build, [*from_a, upload(build, 1)], listening=(8443,))
    s.second(sockets=build.changed(upload(build, 2)))
    watch = watch_of(s)
    assert watch.flows == 4
    assert [(p.address, p.port, p.dst, p.path, p.flows) for p in watch.peers] == [
        (REGISTRY, 5000, None, None, 1),
        ("10.10.10.1", None, "a", "vpn", 3),
    ]


def test_more_peers_than_are_listed_are_counted(build):
    flows = [build.socket(f"192.0.2.{n}", 40000, local_port=8443, cookie=f"{n}", acked=0) for n in range(1, 31)]
    watch = watch_of(begun(build, flows, listening=(8443,)))
    assert (watch.flows, len(watch.peers), watch.more_peers) == (30, 16, 14)


def test_a_flow_that_comes_after_the_first_reading_is_counted_from_its_first_byte(build):
    s = begun(build, listening=(5000,))
    s.second(sockets=build.changed(upload(build, 1)))
    assert watch_of(s).tx_bps == pytest.approx(800_000)
    s.second(sockets=build.changed(gone=(upload(build, 1).id,), total=0))
    watch = watch_of(s)
    assert (watch.flows, watch.visible) == (0, True)
    assert watch.tx_bps == pytest.approx(400_000)  # it moved within the window
    assert [(p.address, p.flows) for p in watch.peers] == [(REGISTRY, 0)]


def test_a_cgroup_that_ss_cannot_name_is_none(build):
    watch = watch_of(begun(build, [upload(build, 1, cgroup="unreachable:1")], listening=()))
    assert (watch.flows, watch.cgroups, watch.processes) == (1, (), ())


# ── What cannot be seen ──


def test_no_flow_where_somebody_listens_is_none(build):
    watch = watch_of(begun(build, listening=(5000,)))
    assert (watch.visible, watch.reason, watch.flows, watch.stalls, watch.stalled_now) == (True, None, 0, 0, False)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ((), "nobody listens on ports 8443, 5000 in this network namespace and no flow was seen"),
        ((22,), "nobody listens on ports 8443, 5000"),
        (None, "no flow of ports 8443, 5000 was seen yet, and who listens on e is not known"),
    ],
)
def test_neither_a_listener_nor_a_flow_is_not_visible(build, told, reason):
    watch = watch_of(begun(build, listening=told))
    assert not watch.visible
    assert watch.reason.startswith(reason)
    assert (watch.flows, watch.stalls, watch.stalled_now, watch.stalled_pct, watch.tx_bps) == (None,) * 5


def test_a_client_that_was_seen_stays_in_sight_after_its_flow(build):
    s = begun(build, [upload(build, 1)], listening=())
    s.second(sockets=build.changed(gone=(upload(build, 1).id,), total=0))
    watch = watch_of(s)
    assert (watch.visible, watch.listening, watch.flows, watch.stalls) == (True, False, 0, 0)


def test_without_ss_it_is_not_visible_and_again_when_ss_works(build):
    s = begun(build, [upload(build, 1)], listening=(5000,))
    s.second(sockets=None, problems=(build.problem("ss", "ss: not found"),))
    s.uptime += 1.0
    s.receive(s.probe.tell(s.uptime, None))
    watch = watch_of(s)
    assert (watch.visible, watch.reason) == (False, "sockets cannot be read on e: ss: not found")
    s.uptime += 1.0
    s.receive(s.probe.tell(s.uptime, build.full(upload(build, 2)), problems=(build.problem("ss", ""),)))
    assert watch_of(s).visible


def test_an_ss_that_tells_no_progress_leaves_stalls_unseen(build):
    old = build.socket(REGISTRY, 5000)
    s = begun(build, [old], kernel="3.10.0", ss="3.0", listening=(5000,))
    assert "bytes_acked" in s.node().flow_fields_missing
    watch = watch_of(s)
    assert not watch.visible
    assert "stalls are not seen" in watch.reason
    assert watch.flows == 1
    assert (watch.stalls, watch.stalled_now, watch.longest_stall_s, watch.stalled_pct, watch.tx_bps) == (None,) * 5
    assert [(p.flows, p.stalls, p.tx_bps) for p in watch.peers] == [(1, None, None)]


def test_a_node_that_is_silent_or_was_never_reached_is_not_visible(build):
    s = begun(build, [upload(build, 1)], listening=(5000,))
    (watch,) = s.node(now=s.now + 20).watches
    assert (watch.visible, watch.reason, watch.flows, watch.listening) == (False, "e is silent", None, None)
    there = next(node for node in s.engine.snapshot(s.now).nodes if node.name == "a")
    assert [(w.name, w.visible, w.reason) for w in there.watches] == [("other", False, f"a is {there.state}")]


def test_a_booted_node_forgets_what_was_in_sight(build):
    s = begun(build, [upload(build, 1)], listening=())
    assert watch_of(s).visible
    again = build.Probe(name="probe-2", boot="boot-2", connection=2, epoch=build.epoch + START)
    s.receive(again.tell(20.0, build.full(), info=info(build, listening=())))
    (watch,) = s.node(now=build.epoch + START + 20.1).watches
    assert not watch.visible


def test_connections_that_do_not_get_through_are_in_sight(build):
    s = begun(build, listening=())
    syn = SocketReading(
        id=SocketId("10.10.10.5", 40000, REGISTRY, 5000, "9"), state="SYN-SENT", recv_q=0, send_q=1
    )  # fmt: skip
    for _ in range(4):
        s.second(sockets=build.changed(syn))
    watch = watch_of(s)
    assert (watch.visible, watch.flows, watch.connecting) == (True, 0, 1)
    assert watch.connecting_oldest_s == pytest.approx(3.0, abs=0.1)
    assert s.node().connecting == 1


def test_meshtops_own_connection_is_no_flow_of_a_watch(build):
    own = build.socket("10.10.10.1", 50000, local_port=22, acked=9)
    s = begun(build, [own], watches=(Watch(name="ssh", ports=(22,)),), listening=(22,),
              ssh_socket=("10.10.10.5", 22, "10.10.10.1", 50000))  # fmt: skip
    assert watch_of(s).flows == 0


# ── Readings that come late, or never ──


def outage(build, seconds):
    """The session hangs for so long; a fresh probe takes over. Returns the story and the frames that did not come."""
    s = begun(build, [upload(build, 1)], listening=(5000,))
    kept = []
    for second in range(2, 2 + seconds):
        s.uptime += 1.0
        kept.append(s.probe.tell(s.uptime, build.changed(upload(build, second))))
    s.probe = build.Probe(name="probe-2", connection=2)
    s.uptime += 1.0
    s.receive(s.probe.tell(s.uptime, build.full(upload(build, 2 + seconds)), info=info(build, listening=(5000,))))
    return s, kept


def test_late_readings_count_no_byte_twice(build):
    s, kept = outage(build, 1)
    before = s.engine.snapshot(s.now, 60.0)
    for frame in kept:
        s.receive(msgspec.structs.replace(frame, at=s.now))
    after = s.engine.snapshot(s.now, 60.0)
    rates = [next(n for n in view.nodes if n.name == "e").watches[0].tx_bps for view in (before, after)]
    assert all(rate is None or rate <= 800_001 for rate in rates)
    assert watch_of(s).flows == 1


def test_what_moved_over_a_long_gap_is_not_of_now(build):
    s, _ = outage(build, 20)
    s.second(sockets=build.changed(upload(build, 23)))
    assert watch_of(s).tx_bps == pytest.approx(800_000)


def test_thousands_of_short_flows_leave_nothing(build):
    s = begun(build, listening=(5000,))
    for round_ in range(20):
        flows = [
            upload(build, 0.01, local_port=1000 + n, cookie=f"{round_:x}.{n:x}") for n in range(100)
        ]  # fmt: skip
        s.second(sockets=build.full(*flows))
    s.second(sockets=build.full())
    watch = watch_of(s)
    assert (watch.flows, watch.stalls, watch.more_peers) == (0, 0, 0)
    assert [(p.address, p.flows) for p in watch.peers] == [(REGISTRY, 0)]


def test_sockets_without_cookies_are_followed_too(build):
    s = begun(build, [upload(build, 1, cookie=None)], listening=(5000,))
    s.second(sockets=build.changed(upload(build, 2, cookie=None)))
    assert (watch_of(s).flows, watch_of(s).tx_bps) == (1, pytest.approx(800_000))


def test_the_words_of_a_watch_are_json():
    from meshtop.engine.snapshot import WatchView

    told = msgspec.json.decode(msgspec.json.encode(WatchView(name="push", reason="e is down")))
    assert SimpleNamespace(**told).visible is False
    assert told["flows"] is None
    assert told["peers"] == []
