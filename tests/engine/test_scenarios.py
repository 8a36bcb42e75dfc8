"""Whole stories: frames second by second, and what the engine then says of link and node."""

from __future__ import annotations

import msgspec
import pytest

from meshtop.engine.events import LinkEvent, LogEvent, NodeEvent
from meshtop.model import (
    BaselinesForgotten,
    BytesDropped,
    IntervalAsked,
    LinkKey,
    Mark,
    OperatorPing,
    SessionChanged,
    SessionStats,
    Thresholds,
)


def links_of(told, dst="a", path="vpn"):
    return [event for event in told if isinstance(event, LinkEvent) and (event.dst, event.path) == (dst, path)]


def test_a_healthy_link_has_its_figures(story):
    s = story()
    s.begin()
    for k in range(12):
        s.second(38.0 + (k % 3) * 0.5)
    link = s.link()
    assert (link.state, link.reason) == ("ok", None)
    assert link.rtt_ms == 38.5
    assert link.rtt_baseline_ms == 38.0
    assert link.pdv_ms == 1.0
    assert link.loss_pct == 0.0
    assert link.rtt_full_ms is None  # no such probe was sent
    assert link.loss_full_pct is None
    assert link.tx_bps == 0.0  # measured, and nothing moved
    assert link.retrans_pct is None  # a share of nothing
    assert link.dsack_pct is None
    assert link.flows == 0
    assert (link.stalls, link.stalled_now, link.stalled_pct) == (0, False, 0.0)
    assert link.longest_stall_s is None  # of none


def test_every_direction_on_every_path_has_an_entry_in_the_order_of_the_file(story):
    snapshot = story().engine.snapshot(1_714_573_000.0)
    assert [node.name for node in snapshot.nodes] == ["a", "c", "e"]
    assert [link.key for link in snapshot.links] == [
        LinkKey(src, dst, path) for src in "ace" for dst in "ace" if src != dst for path in ("vpn", "public")
    ]
    assert all(link.state == "no-data" and link.reason for link in snapshot.links)
    assert all(node.state == "connecting" for node in snapshot.nodes)


def test_figures_of_sockets(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=1_000_000, data_segs_out=900, bytes_sent=1_000_000)))
    for k in range(1, 6):
        s.second(
            sockets=build.changed(
                build.socket(
                    acked=1_000_000 + k * 125_000,
                    bytes_sent=1_100_000 + k * 125_000,
                    data_segs_out=900 + k * 100,
                    retrans_total=k * 5,
                    dsack_dups=k * 2,
                    srtt_ms=40.0 + k,
                    minrtt_ms=37.5,
                    pmtu=1500,
                )
            )
        )
    link = s.link()
    assert link.tx_bps == 1_000_000.0
    assert link.retrans_per_s == 5.0
    assert link.retrans_pct == 5.0
    assert link.dsack_pct == 40.0
    assert link.srtt_ms == 43.0  # the median of the interval's values
    assert (link.minrtt_ms, link.pmtu, link.flows) == (37.5, 1500, 1)
    assert link.state == "lossy"
    assert "5.0 % of 500 segments retransmitted" in link.reason
    event = links_of(s.events)[-1]
    assert (event.tx_bytes, event.retrans, event.interval_s, event.late) == (125_000, 5, 1.0, False)
    assert event.tx_bps == 1_000_000.0


def test_a_socket_made_within_an_interval_counts_whole_one_that_was_there_does_not(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=5_000_000)))
    fresh = build.socket(local_port=40001, cookie="2", acked=3001, bytes_sent=3000, data_segs_out=3)
    told = s.second(sockets=build.changed(fresh))
    assert [event.tx_bytes for event in links_of(told)] == [3000]  # the SYN, which bytes_acked counts, is no byte


def test_the_socket_of_the_operators_session_is_left_out_at_both_its_ends(story, build):
    s = story()
    info = msgspec.structs.replace(build.info, ssh_socket=("10.10.10.5", 22, "10.10.10.1", 50000))
    ssh = build.socket(port=50000, local_port=22, acked=10)
    s.begin(build.full(ssh), info=info)
    told = s.second(sockets=build.changed(build.socket(port=50000, local_port=22, acked=500_000)))
    assert [event.tx_bytes for event in links_of(told)] == [0]
    assert s.link().flows == 0
    other = build.Probe(node="a")
    mine = {"local": "10.10.10.1", "local_port": 50000, "peer": "10.10.10.5", "port": 22}
    s.receive(other.tell(500.0, build.full(build.socket(**mine, acked=10))))
    told = s.receive(other.tell(501.0, build.changed(build.socket(**mine, acked=99_999))))
    assert [event.tx_bytes for event in links_of(told, dst="e")] == [0]


def test_a_session_that_becomes_known_late_is_taken_out_of_its_link(story, build):
    s = story()
    ssh = build.socket(port=50000, local_port=22, acked=10)
    s.begin(build.full(ssh))
    assert s.second()
    assert s.link().flows == 1
    info = msgspec.structs.replace(build.info, ssh_socket=("10.10.10.5", 22, "10.10.10.1", 50000))
    s.second(info=info)
    assert s.link().flows == 0


def test_sockets_of_peers_that_cannot_be_told_are_unattributed(story, build):
    s = story()
    stranger = build.socket(peer="192.0.2.77", local="198.51.100.55", local_port=443, cookie="7", acked=1)
    elsewhere = build.socket(peer="192.0.2.78", local="192.168.1.5", local_port=443, cookie="8", acked=1)
    s.begin(build.full(stranger, elsewhere))
    s.second()
    assert (s.node().unattributed, s.node().sockets) == (1, 2)


def test_two_nodes_behind_one_address_are_never_told_apart_by_guessing(story, build):
    mesh = build.mesh()
    twin = msgspec.structs.replace(mesh.nodes[1], name="d", address={"vpn": "10.10.10.4", "public": "198.51.100.33"})
    s = story(msgspec.structs.replace(mesh, nodes=(*mesh.nodes, twin)))
    s.begin(build.full(build.socket(peer="198.51.100.33", local="198.51.100.55", acked=1)))
    told = s.second(sockets=build.changed(build.socket(peer="198.51.100.33", local="198.51.100.55", acked=90_000)))
    assert s.node().unattributed == 1
    events = [event for event in told if isinstance(event, LinkEvent)]
    assert {(event.dst, event.path) for event in events if event.tx_bytes is None} == {("c", "public"), ("d", "public")}
    assert sum(event.tx_bytes or 0 for event in events) == 0
    link = s.link("d", "public")
    assert (link.tx_bps, link.flows, link.retrans_per_s, link.stalls, link.connecting) == (None,) * 5


def test_a_direction_that_cannot_be_probed_says_why_and_still_counts_tcp(story, build):
    s = story()
    to_c = {"peer": "198.51.100.33", "local": "198.51.100.55", "local_port": 443}
    s.begin(build.full(build.socket(**to_c, acked=1)))
    s.second(sockets=build.changed(build.socket(**to_c, acked=125_001)))
    link = s.link("c", "public")
    assert link.state == "no-data"
    assert link.reason == "c is behind NAT on public: others cannot reach it there"
    assert (link.tx_bps, link.rtt_ms, link.loss_pct) == (1_000_000.0, None, None)


def test_down_needs_answers_before_silence_and_no_tcp(story):
    s = story()
    s.begin()
    for _ in range(8):
        s.second()
    states = []
    for _ in range(8):
        s.second(None)
        states.append(s.state())
    # The last answer came 38 ms into its second, so five seconds later it is not five seconds yet.
    assert states[:4] == ["ok"] * 4
    assert states[5] == "down"
    assert "no ping answered for" in s.link().reason
    assert s.link().rtt_baseline_ms == 38.0


def test_tcp_progress_keeps_a_link_from_being_down(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=1000)))
    for k in range(1, 21):
        s.second(38.0 if k < 6 else None, build.changed(build.socket(acked=1000 + k * 1000)))
    assert s.state() == "lossy"  # all of its pings are lost


def test_trouble_clears_after_five_clean_intervals(story):
    s = story()
    s.begin()
    for _ in range(10):
        s.second()
    for _ in range(3):
        s.second(100.0)
    assert s.state() == "degraded"
    assert s.link().reason == "RTT 2.6 × its baseline (100 ms against 38 ms)"
    states = []
    for _ in range(5):
        s.second()
        states.append(s.state())
    assert states == ["degraded"] * 4 + ["ok"]
    changes = [event.text for event in s.events if isinstance(event, LogEvent) and "→" in event.text]
    assert [text.split(": ")[1] for text in changes] == ["ok → degraded", "degraded → ok"]


@pytest.mark.parametrize(
    ("usual", "now", "state"),
    [(0.05, 0.4, "ok"), (0.05, 2.0, "ok"), (0.05, 2.1, "degraded"), (2.0, 3.9, "ok"), (2.0, 4.1, "degraded"),
     (38.0, 70.0, "ok"), (38.0, 77.0, "degraded")],
)  # fmt: skip
def test_a_short_link_must_grow_by_milliseconds_too(story, usual, now, state):
    s = story()
    s.begin()
    for _ in range(10):
        s.second(usual)
    for _ in range(3):
        s.second(now)
    assert s.state() == state


def test_the_least_that_must_be_added_can_be_configured(story, build):
    s = story(build.mesh(thresholds=Thresholds(degraded_added_ms=0.0)))
    s.begin()
    for _ in range(10):
        s.second(0.05)
    for _ in range(3):
        s.second(0.2)
    assert s.state() == "degraded"


def test_two_long_round_trips_are_not_yet_degraded(story):
    s = story()
    s.begin()
    for _ in range(10):
        s.second()
    s.second(100.0)
    s.second(100.0)
    assert s.state() == "ok"
    s.second(38.0)
    s.second(100.0)
    assert s.state() == "ok"


def test_loss_needs_two_lost_probes_and_is_decided_after_five_seconds(story):
    s = story()
    s.begin()
    states = []
    for k in range(1, 16):
        s.second(None if k in (6, 7) else 38.0)
        states.append(s.state())
    lossy_from = states.index("lossy") + 1
    assert lossy_from == 11  # number 7 was sent at second 6
    assert s.link().loss_pct == 20.0


def test_one_lost_probe_is_not_lossy(story):
    s = story()
    s.begin()
    for k in range(1, 16):
        s.second(None if k == 6 else 38.0)
    assert (s.state(), s.link().loss_pct) == ("ok", 10.0)


def test_a_peer_that_never_answers_pings_is_judged_by_tcp(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=1000)))
    for k in range(1, 15):
        s.second(None, build.changed(build.socket(acked=1000 + 1000 * k)))
    link = s.link()
    assert link.state == "ok"
    assert link.reason == "ICMP was never answered; judged by TCP alone"
    assert (link.rtt_ms, link.loss_pct, link.rtt_baseline_ms) == (None, None, None)


def test_idle_is_nothing_to_judge_by(story):
    s = story()
    s.begin()
    for _ in range(10):
        s.second(None)
    assert s.state() == "idle"
    assert s.link().reason == "nothing to judge by: no flows, ICMP was never answered"
    assert s.link("c").reason == "nothing to judge by: no flows, no pings are sent"


def test_without_ss_the_pings_still_work_and_the_rest_says_why_not(story, build):
    s = story()
    s.up()
    problem = build.problem("ss", "ss: not found")
    s.receive(s.probe.tell(s.uptime, None, pings=(s.pinger.start(),), problems=(problem,)))
    for _ in range(6):
        s.seq += 1
        s.uptime += 1
        s.receive(s.probe.tell(s.uptime, None, pings=(s.pinger.reply(s.seq),)))
    link = s.link()
    assert (link.state, link.rtt_ms) == ("ok", 38.0)
    assert (link.tx_bps, link.flows, link.retrans_per_s) == (None, None, None)
    assert s.node().problems == ("ss: not found",)
    assert (s.node().state, s.node().reason) == ("up", "ss: not found")
    assert s.link("c").reason == "nothing to judge by: sockets cannot be read (ss: not found), no pings are sent"
    assert links_of(s.events)[-1].tx_bytes is None


def test_an_old_ss_says_which_figures_it_cannot_give(story, build):
    s = story()
    old = msgspec.structs.replace(build.info, ss="4.9.0", kernel="4.4.0")
    s.begin(build.full(build.socket(acked=1000)), info=old)
    s.second(sockets=build.changed(build.socket(acked=2000, data_segs_out=10, retrans_total=2)))
    assert s.node().flow_fields_missing == ("dsack_dups",)
    assert (s.link().tx_bps, s.link().retrans_pct, s.link().dsack_pct) == (8000.0, 20.0, None)


def test_a_silent_node_takes_its_links_with_it(story):
    s = story()
    s.begin()
    for _ in range(6):
        s.second()
    later = s.now + 2.5
    assert s.node(later).state == "up"
    s.events = list(s.engine.tick(s.now + 4.0))
    assert s.node(s.now + 4.0).state == "silent"
    assert s.node(s.now + 4.0).reason.startswith("no sample for 4 s")
    link = s.link(now=s.now + 4.0)
    assert (link.state, link.reason) == ("no-data", "no sample from e for 4 s")
    assert (link.rtt_ms, link.tx_bps, link.flows, link.loss_pct) == (None, None, None, None)
    assert link.rtt_baseline_ms == 38.0
    assert [event.state for event in s.events if isinstance(event, NodeEvent) and event.name == "e"] == ["silent"]
    assert {event.state for event in s.events if isinstance(event, LinkEvent)} == {"no-data"}


def test_stuck_ssh_and_a_dead_node_are_told_apart(story):
    s = story()
    s.begin()
    s.second()
    after = s.now + 6
    ping = OperatorPing(at=after - 1, node="e", path="public", rtt_ms=30.0)
    s.receive(ping)
    assert "it answers pings from here: the SSH session is stuck (public)" in s.node(after).reason
    for k in range(6):
        s.receive(OperatorPing(at=after + k, node="e", path="public", rtt_ms=None))
    assert "does not answer pings from here either" in s.node(after + 6).reason
    assert s.node(after).operator_rtt_ms == {"vpn": None, "public": 30.0}


def test_down_with_reason_and_cure_and_back(story):
    s = story()
    s.receive(SessionChanged(at=s.now, node="e", connection=1, phase="connecting"))
    assert s.node().state == "connecting"
    refused = SessionChanged(
        at=s.now, node="e", connection=1, phase="down", fault="refused", reason="refused by e:22", cure="start sshd"
    )
    s.receive(refused)
    assert (s.node().state, s.node().reason, s.node().cure) == ("down", "refused by e:22", "start sshd")
    s.receive(SessionChanged(at=s.now, node="e", connection=2, phase="connecting"))
    assert s.node().state == "down"  # until it works
    s.up(2)
    assert (s.node().state, s.node().reason) == ("connecting", "connected; waiting for the first sample")
    s.receive(s.probe.tell(s.uptime))
    assert (s.node().state, s.node().cure) == ("up", None)


def test_a_draining_connection_that_ends_does_not_take_the_fresh_one_down(story):
    s = story()
    s.begin()
    s.up(2)
    s.receive(SessionChanged(at=s.now, node="e", connection=1, phase="down", reason="closed"))
    assert s.node().state == "up"


def test_late_frames_are_placed_at_their_own_time_and_marked(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=0)))
    for k in range(1, 6):
        s.second(sockets=build.changed(build.socket(acked=k * 1000)))
    held = [
        s.probe.frame(1005.0 + k, build.changed(build.socket(acked=(5 + k) * 1000)), pings=(s.pinger.reply(5 + k),))
        for k in range(1, 11)
    ]
    told = [event for frame in held for event in s.receive(s.probe.sent(frame, received_uptime_s=1016.0))]
    s.uptime = 1016.0
    events = links_of(told)
    assert [event.late for event in events] == [True] * 7 + [
        False
    ] * 3  # the last three are not older than three seconds
    assert [event.tx_bytes for event in events] == [1000] * 10
    assert next(event.at for event in events).endswith("26.020Z")
    assert s.node().late == 7
    assert s.node().missed == 0
    assert s.link().tx_bps == 8000.0


def test_a_fresh_connection_is_joined_with_the_late_frames_of_the_old_one(story, build):
    s = story()

    def acked(uptime):
        return round((uptime - 1000.0) * 1000)

    def reading(uptime):
        return build.socket(acked=acked(uptime))

    s.begin(build.full(reading(1000.0)))
    for k in range(1, 6):
        s.second(sockets=build.changed(reading(1000.0 + k)))
    fresh = build.Probe(name="probe-2", connection=2)
    told = list(s.receive(fresh.tell(1012.3, build.full(reading(1012.3)))))
    assert links_of(told) == []  # a first reading measures no interval
    for k in (1, 2):
        told += s.receive(fresh.tell(1012.3 + k, build.changed(reading(1012.3 + k))))
    s.uptime = 1014.3
    assert s.node().missed == 6  # at 1006 … 1011; that of 1012 came by the fresh one, 0.3 s later
    for k in range(6, 16):
        late = s.probe.frame(1000.0 + k, build.changed(reading(1000.0 + k)))
        told += s.receive(s.probe.sent(late, received_uptime_s=1015.0))
    events = links_of(told)
    assert (
        sum(event.tx_bytes for event in events) == acked(1014.3) - acked(1005.0) + 700
    )  # + the old one's frame at 1015
    assert s.node().missed == 0
    spans = sorted((event.at, event.interval_s) for event in events)
    assert [interval for _, interval in spans] == [1.0] * 7 + [0.3, 1.0, 1.0, 0.7]
    # Seen from the front, the trail has no hole either.
    trail = s.engine.view(s.now).trails[LinkKey("e", "a", "vpn")]
    assert [point.tx_bps for point in trail] == [pytest.approx(8000.0)] * 16


def test_a_gap_that_is_never_filled_stays_a_gap(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=0)))
    for k in range(1, 6):
        s.second(sockets=build.changed(build.socket(acked=k * 1000)))
    fresh = build.Probe(name="probe-2", connection=2)
    s.receive(fresh.tell(1015.0, build.full(build.socket(acked=1_000_000))))
    s.receive(fresh.tell(1016.0, build.changed(build.socket(acked=1_001_000))))
    s.uptime = 1016.0
    assert s.link(window_s=12.0).tx_bps == 8000.0
    assert s.node(window_s=12.0).missed == 9
    trail = s.engine.view(s.now).trails[LinkKey("e", "a", "vpn")]
    hole = [point for point in trail if point.state == "no-data"]
    assert len(hole) == 10
    assert all(point.tx_bps is None and point.rtt_ms is None for point in hole)


def test_a_reboot_starts_the_counters_anew(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=7_000_000)), snmp={"Tcp": {"RetransSegs": 900}})
    s.second(sockets=build.changed(build.socket(acked=7_001_000)), snmp={"Tcp": {"RetransSegs": 901}})
    after = build.Probe(boot="boot-2", name="probe-2", connection=2, epoch=build.epoch + 1040.0)
    told = [*s.receive(after.tell(5.0, build.full(build.socket(acked=100)), snmp={"Tcp": {"RetransSegs": 3}}))]
    told += s.receive(after.tell(6.0, build.changed(build.socket(acked=1100)), snmp={"Tcp": {"RetransSegs": 4}}))
    assert [event.tx_bytes for event in links_of(told)] == [1000]
    assert any(isinstance(event, LogEvent) and "was booted" in event.text for event in told)
    s.uptime = 1046.0
    assert s.node().tcp.retrans_per_s == 1.0
    assert s.node(window_s=60.0).tcp.retrans_per_s == 1.0


def test_what_a_booted_kernel_gives_is_not_taken_from_the_one_before(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=7_000_000)))
    link = LinkKey("e", "a", "vpn")
    s.second(sockets=build.changed(build.socket(acked=7_001_000)))
    after = build.Probe(boot="boot-2", name="probe-2", connection=2, epoch=build.epoch + 1040.0)
    old_ss = build.socket(acked=None)
    told = s.receive(after.sent(after.frame(5.0, build.full(old_ss), info=None)))
    told += s.receive(after.sent(after.frame(6.0, build.full(old_ss), info=None)))
    events = [event for event in links_of(told) if (event.src, event.dst, event.path) == tuple(link)]
    assert [event.tx_bytes for event in events] == [None]


def test_counters_of_a_node(story, build):
    s = story()

    def parts(k):
        return {
            "snmp": {"Tcp": {"RetransSegs": 100 + k}, "Udp": {"RcvbufErrors": 3 * k}},
            "netstat": {
                "TcpExt": {
                    "TCPOrigDataSent": 1000 + 99 * k,
                    "TCPTimeouts": 5,
                    "TCPDSACKRecv": 2 * k,
                    "TCPFastRetrans": 3 * k,
                    "TCPLossProbes": 4 * k,
                    "TCPSynRetrans": k,
                    "TCPDSACKUndo": k,
                    "TCPLossUndo": k,
                    "TCPSpuriousRTOs": k,
                }
            },
            "net_dev": {"eth0": build.dev(1000 * k, 125 * k), "lo": build.dev(5, 5)},
            "softnet": build.softnet(7 + k),
        }

    s.begin(**parts(0))
    for k in range(1, 5):
        s.second(**parts(k))
    node = s.node()
    assert (node.tcp.retrans_per_s, node.tcp.retrans_pct) == (1.0, 1.0)
    assert (node.tcp.timeouts_per_s, node.tcp.dsack_per_s) == (0.0, 2.0)
    assert (node.tcp.fast_per_s, node.tcp.tlp_per_s, node.tcp.syn_per_s) == (3.0, 4.0, 1.0)
    assert node.tcp.slow_start_per_s is None  # this kernel does not count them
    assert node.tcp.spurious_per_s == 2.0  # what TCPSpuriousRTOs counts is among TCPLossUndo already
    assert (node.softnet_drops, node.udp_drops) == (4, 12)
    rates = {rate.name: (rate.rx_bps, rate.tx_bps, rate.rx_drop) for rate in node.interfaces}
    assert rates == {"eth0": (8000.0, 1000.0, 0), "lo": (0.0, 0.0, 0)}
    assert (node.kernel, node.ss, node.root) == ("6.1.0", "6.1.0", False)


def test_clock_offset_and_its_indifference_to_steps(story, build):
    s = story()

    def info(wall):
        return msgspec.structs.replace(build.info, wall_s=wall, wall_uptime_s=s.uptime)

    s.begin(info=info(build.epoch + 1000.0 + 2.5))
    s.second()
    assert s.node().clock_offset_s == pytest.approx(2.5 - 0.02, abs=0.002)
    before = s.link().rtt_ms
    s.second(info=info(build.epoch + s.uptime - 3600.0))
    assert s.node().clock_offset_s == pytest.approx(-3600, abs=1.1)
    assert s.link().rtt_ms == before
    assert s.node().sample_age_s == 0.0


def test_cost_of_the_probe(story, build):
    s = story()
    s.begin()
    for k in range(1, 11):
        s.second(info=msgspec.structs.replace(build.info, probe_cpu_s=1.0 + k * 0.01))
        s.receive(SessionStats(at=s.now, node="e", connection=1, ssh_rtt_ms=31.0, rx_wire_bytes=50_000 + 600 * k))
    assert s.node().cost.cpu_pct == pytest.approx(1.0)
    assert s.node().cost.rx_bytes_per_s == pytest.approx(600.0)
    assert s.node().ssh_rtt_ms == 31.0


def test_a_node_event_on_every_change_and_every_ten_seconds(story):
    s = story()
    s.begin()
    for _ in range(25):
        s.second()
    states = [event.state for event in s.events if isinstance(event, NodeEvent) and event.name == "e"]
    assert states[:2] == ["connecting", "up"]
    assert len(states) == 4
    assert set(states[1:]) == {"up"}


def test_marks_and_log_lines_are_kept_and_told(story):
    s = story()
    told = s.receive(Mark(at=s.now, text="push start"))
    assert [event.text for event in told] == ["push start"]
    view = s.engine.view(s.now, operator_cpu_pct=1.5)
    assert [mark.text for mark in view.marks] == ["push start"]
    assert view.operator_cpu_pct == 1.5


def test_lost_probes_are_marked_where_they_were_sent(story):
    s = story()
    s.begin()
    for k in range(1, 16):
        s.second(None if k == 6 else 38.0)
    trail = s.engine.view(s.now).trails[LinkKey("e", "a", "vpn")]
    lost = [point for point in trail if point.lost]
    assert len(trail) == 15
    assert [(point.at - s.now, point.rtt_ms) for point in lost] == [(pytest.approx(-9.0, abs=0.05), None)]


def test_reset_baselines(story):
    s = story()
    s.begin()
    for _ in range(8):
        s.second()
    s.engine.receive(BaselinesForgotten(at=s.now))
    assert s.link().rtt_baseline_ms is None
    for _ in range(5):
        s.second(90.0)
    assert s.link().rtt_baseline_ms == 90.0


def test_thresholds_come_from_the_mesh(story, build):
    s = story(build.mesh(thresholds=Thresholds(degraded_inflation=3.0, degraded_intervals=1, clear_intervals=1)))
    s.begin()
    for _ in range(8):
        s.second()
    s.second(100.0)
    assert s.state() == "ok"
    s.second(120.0)
    assert s.state() == "degraded"
    s.second()
    assert s.state() == "ok"


def test_five_frames_a_second_with_one_ping_a_second(story):
    """One long round trip is one, however many frames pass until the next ping."""
    s = story(interval_s=0.2)
    s.begin()
    rtts = [38.0] * 8 + [100.0] * 2 + [38.0] * 5
    states = set()
    for number, rtt in enumerate(rtts, start=1):
        for part in range(5):
            pings = (s.pinger.reply(number, rtt),) if part == 0 else ()
            s.second(None, pings=pings)
            states.add(s.state())
    assert states == {"ok"}
    assert s.node().samples == 50


def test_three_long_round_trips_in_a_row_are_degraded_however_many_frames_lie_between(story):
    s = story(interval_s=0.2)
    s.begin()
    for number, rtt in enumerate([38.0] * 8 + [100.0] * 3, start=1):
        for part in range(5):
            s.second(None, pings=(s.pinger.reply(number, rtt),) if part == 0 else ())
    assert s.state() == "degraded"


def test_a_frame_that_comes_twice_counts_once(story, build):
    s = story()
    s.begin()
    frame = s.probe.frame(1001.0, build.changed(total=0), pings=(s.pinger.start(),), unparsed=3)
    assert s.receive(s.probe.sent(frame))
    assert s.receive(s.probe.sent(frame)) == ()
    s.uptime = 1001.0
    assert (s.node().unparsed, s.node().samples) == (3, 2)


def test_the_pings_of_a_frame_belong_to_its_own_interval_not_to_the_one_that_closes_a_gap(story, build):
    s = story()
    s.begin()
    s.second()
    fresh = build.Probe(name="probe-2", connection=2)
    s.receive(fresh.tell(1004.5, build.full()))
    told = []
    for uptime, seq in ((1002.0, 2), (1003.0, 3), (1004.0, 4)):
        told += s.receive(s.probe.tell(uptime, build.changed(total=0), pings=(s.pinger.reply(seq, 30.0 + seq),)))
    assert [(event.interval_s, event.rtt_ms) for event in links_of(told)] == [
        (1.0, 32.0),
        (1.0, 33.0),
        (1.0, 34.0),
        (0.5, None),
    ]


def test_pings_that_a_nat_answers_say_nothing_of_the_node_behind_it(story, build):
    s = story()
    router = build.Pinger(1000.0, target="198.51.100.33")
    s.begin()
    s.second(pings=(router.start(),))
    for seq in range(1, 9):
        s.second(pings=(router.reply(seq, 5.0),))
    link = s.link("c", "public")
    assert (link.rtt_ms, link.rtt_baseline_ms, link.state) == (None, None, "no-data")


def test_late_frames_change_nothing_of_the_present(story, build):
    s = story()
    s.begin(build.full(build.socket(acked=0)))
    for k in range(1, 9):
        s.second(sockets=build.changed(build.socket(acked=k)))
    fresh = build.Probe(name="probe-2", connection=2)
    pinger = build.Pinger(1030.0)
    s.receive(fresh.tell(1030.0, build.full(build.socket(acked=50)), pings=(pinger.start(),)))
    for k in range(1, 4):
        s.receive(fresh.tell(1030.0 + k, build.changed(build.socket(acked=50 + k)), pings=(pinger.reply(k),)))
    s.uptime = 1033.0
    assert s.state() == "ok"
    # The old one tells of a time when nothing was answered and nothing moved.
    told = []
    for k in range(9, 21):
        frame = s.probe.frame(1000.0 + k, build.changed(total=1))
        told += s.receive(s.probe.sent(frame, received_uptime_s=1033.0))
    assert [event.state for event in links_of(told)][-1] == "down"
    assert {event.flows for event in links_of(told)} == {None}  # those of then are not known
    assert not any(isinstance(event, LogEvent) for event in told)
    assert (s.state(), s.link().flows) == ("ok", 1)


def test_a_changed_interval_makes_no_missed_samples(story, build):
    s = story(interval_s=5.0)
    s.begin()
    for _ in range(3):
        s.second(None)
    s.probe.interval_s = 1.0
    s.uptime += 4.0
    for _ in range(3):
        s.second(None)
    assert s.node(window_s=30.0).missed == 0


def test_samples_of_a_silent_node_are_missed(story):
    s = story()
    s.begin()
    for _ in range(5):
        s.second()
    assert s.node(s.now + 2.9).missed == 0  # they may be on their way
    assert s.node(s.now + 6.0).missed == 5


def test_a_slower_pace_that_was_asked_for_does_not_look_like_silence(story):
    s = story()
    s.begin()
    s.second()
    s.receive(IntervalAsked(at=s.now, interval_s=10.0))
    assert s.node(s.now + 11.0).state == "up"
    assert s.node(s.now + 31.0).state == "silent"
    s.receive(IntervalAsked(at=s.now, interval_s=0.2))
    assert s.node(s.now + 2.0).state == "up"


def test_only_small_probes_are_marked_in_the_trail(story, build):
    s = story()
    big = build.Pinger(1000.0, payload=1200, interval_s=5.0)
    s.begin()
    s.second(pings=(big.start(),))
    for _ in range(14):
        s.second()
    assert s.link(window_s=20.0).loss_full_pct == 100.0
    assert s.state() == "lossy"  # two of two at full size, none of the small ones
    assert not any(point.lost for point in s.engine.view(s.now).trails[LinkKey("e", "a", "vpn")])


def test_the_same_events_give_the_same_snapshot(story, build):
    def run():
        s = story()
        s.begin(build.full(build.socket(acked=0), build.socket(local_port=40001, cookie="2", acked=9)))
        for k in range(1, 30):
            s.second(None if k % 7 == 0 else 38.0 + k % 5, build.changed(build.socket(acked=k * 1000)))
        return msgspec.json.encode([s.engine.view(s.now).snapshot, s.events])

    assert run() == run()


def test_garbage_is_counted_and_told_once_a_connection(story):
    s = story()
    told = []
    for connection in (1, 1, 2):
        event = BytesDropped(at=s.now, node="e", connection=connection, count=120, excerpt="Welcome to e")
        told += s.receive(event)
    assert [event.text for event in told] == ["e sent 120 bytes that are no frame: Welcome to e"] * 2
    assert s.node().dropped_bytes == 360


def test_that_a_link_wakes_up_is_no_news(story):
    s = story()
    s.begin()
    s.second(None)
    for _ in range(6):
        s.second()
    assert s.state() == "ok"
    assert not any(isinstance(event, LogEvent) and "→" in event.text for event in s.events)


def test_events_of_unknown_nodes_are_ignored(story, build):
    s = story()
    assert s.receive(build.Probe(node="zz").tell(1.0)) == ()


def test_damaged_numbers_cost_their_node_a_count_and_nothing_else(story, build):
    s = story()
    s.begin()
    s.second()
    inf, nan = float("inf"), float("nan")
    for uptime in (inf, nan, -1.0):
        assert s.receive(s.probe.sent(s.probe.frame(uptime), received_uptime_s=s.uptime)) != [inf]
    for rtt in (inf, nan, -5.0):
        s.second(None, pings=(s.pinger.reply(3, rtt, at=s.uptime),))
    s.second(None, pings=(build.Pinger(inf).start(), build.Pinger(1.0, interval_s=nan).start()))
    assert s.node().unparsed == 6
    assert s.node().state == "up"


def test_a_snapshot_is_valid_json_without_nan(story):
    s = story()
    s.begin()
    s.second()
    document = msgspec.json.decode(msgspec.json.encode(s.engine.snapshot(s.now)))
    assert document["schema"] == "meshtop.snapshot/1"
    assert document["nodes"][2]["operator_rtt_ms"] == {"vpn": None, "public": None}
