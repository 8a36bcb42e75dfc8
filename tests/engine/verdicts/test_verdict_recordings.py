"""Every cause has a recording of a real lab in which it is found, and one that looks like it in which it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.test_findings_page import codes

SURE = 0.7


class Case(NamedTuple):
    code: str
    found_in: str
    subject: str
    not_in: str  # what could be taken for it


CASES = (
    Case("loss", "loss", "e>a vpn", "reorder"),
    Case("reordering", "reorder", "e>a vpn", "loss"),
    Case("reordering", "reorder-unseen", "e>a vpn", "loss-many"),  # whose senders count no reordering
    Case("policer", "udp-policed", "e>a vpn", "loss"),
    Case("pmtu-blackhole", "mtu-blackhole", "e>a vpn", "blackout"),
    Case("blackout", "blackout", "e>a vpn", "mtu-blackhole"),
    Case("bufferbloat", "bufferbloat", "e>a vpn", "full-lines"),
    Case("bufferbloat", "client-cpu", "e>a vpn", "full-lines"),  # before a tunnel whose process waits for the CPU
    Case("tcp-over-tcp", "tcp-over-tcp", "b>a vpn", "bufferbloat"),
    Case("receiver-limited", "receiver-slow", "e>a vpn", "bufferbloat"),
    Case("receiver-limited", "recv-buffer", "e>a vpn", "send-buffer"),  # read at once, but the buffer is small
    Case("sender-limited", "sender", "e>a vpn", "receiver-slow"),
    Case("sender-limited", "send-buffer", "e>a vpn", "detour"),  # before a device that holds segments back
    Case("loss", "ping-loss", "a>e vpn", "healthy"),  # by pings alone
    Case("app-limited", "app-limited", "e>a vpn", "receiver-slow"),
    Case("ack-path-loss", "ack-loss", "e>a vpn", "loss"),
    Case("overlay-only", "miku", "e>a vpn", "bufferbloat"),
    Case("overlay-only", "miku-bbr", "e>a vpn", "bufferbloat"),  # BBR below: some percent is sent again there, too
    Case("node-wide", "node-down", "d", "blackout"),
    Case("node-wide", "row-loss", "e", "loss-many"),  # TCP on every link out of it
    Case("node-wide", "row-bloat", "e", "bufferbloat"),
    Case("node-wide", "ways-of-one", "e", "ping-loss"),  # pings on all its ways, and two flows
    Case("unreachable", "unreachable", "d", "node-down"),
    Case("unreachable", "node-gone", "d", "node-down"),  # for its peers, too
    Case("loss", "loss-one", "e>a vpn", "full-lines-bbr"),  # a single flow crawls, without a stall
    Case("loss", "loss-many", "e>a vpn", "full-lines-bbr"),  # BBR overflows a full line's queue by some percent
    Case("policer", "policer-one", "e>a vpn", "loss-many"),
    Case("pmtu-blackhole", "hole-healed", "e>a vpn", "full-lines-bbr"),
    Case("receiver-limited", "slow-store-far", "e>a vpn", "loss-many"),
    Case("host-drops", "host-ring", "e", "line-loss"),  # its interface drops
    Case("host-drops", "host-queue", "e", "line-loss"),  # its queue discipline does, below a tunnel
    Case("host-drops", "hub-cpu", "a", "policer-one"),  # a tunnel's process does, which waits for the CPU
    Case("node-wide", "cpu-full", "a", "cpu-given"),  # two slow receivers there, and what fills the CPU gives way
    Case("clock-skew", "clock-off", "e", "slow-ssh"),
)


def test_no_code_is_without_a_recording() -> None:
    """Those of links and those of nodes."""
    assert codes() == {case.code for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.found_in}")
def test_it_is_found_where_it_is(case: Case, replay: Callable) -> None:
    told = replay(case.found_in)
    found = [f for f in told if (f.code, f.node or f"{f.src}>{f.dst} {f.path}") == (case.code, case.subject)]
    assert found, sorted(told.codes(above_info=False))
    assert max(f.confidence for f in found) >= SURE
    assert all(f.evidence and f.next for f in found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.found_in}")
def test_it_is_not_found_where_something_else_is(case: Case, replay: Callable) -> None:
    assert case.code not in {code for code, _ in replay(case.not_in).codes(above_info=False)}


@pytest.mark.parametrize(
    "name",
    [
        "healthy",
        "app-limited",
        "full-lines",
        "full-lines-bbr",
        "detour",
        "long-way",
        "healthy-busy",
        "app-limited-busy",
    ],
)
def test_what_is_well_is_left_alone(name: str, replay: Callable) -> None:
    """Paced flows, applications that rest, lines that copies fill, ways that are long or become longer, nodes whose
    CPUs are full: no trouble."""
    assert replay(name).codes() == set()


def test_what_is_known_is_not_doubted_for_some_seconds_that_look_alike(replay: Callable) -> None:
    """For three of them goodput varies by chance less than it should by chance, as a policer would have it."""
    assert replay("loss-steady").codes() == {("loss", "e>a vpn"), ("overlay-only", "e>a vpn")}


def test_sixteen_flows_that_begin_to_lose_by_chance_meet_no_policer(replay: Callable) -> None:
    """What they lose at first comes in clumps, but a policer would keep their goodput flat."""
    assert {code for code, _ in replay("loss-onset").codes()} == {"loss", "overlay-only"}


@pytest.mark.parametrize("name", ["udp-policed", "policer-one"])
def test_nobody_is_sure_of_loss_by_chance_where_a_policer_is(name: str, replay: Callable) -> None:
    """Both look alike for some seconds: then that is what is said."""
    said = [f for f in replay(name) if f.code == "loss"]
    assert max(f.confidence for f in said) < SURE
    assert "by chance or by a policer" in said[0].summary


def test_a_hole_that_was_mended_is_doubted_while_its_flows_still_wait(replay: Callable) -> None:
    told = replay("hole-healed")
    (closed,) = (f for f in told if f.code == "pmtu-blackhole" and f.phase == "closed")
    assert "large packets pass again" in closed.summary
    assert "full-size pings pass again" in {each.what for each in closed.against}
    assert told.open == ()


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("hole-swept", "pmtu-blackhole", "packets of up to 1300 bytes pass, of 1301 and more vanish"),
        ("loss-tried", "loss", "of UDP was lost well below the line's rate, as tried"),
        ("policer-tried", "policer", "was dropped at once, as tried"),
    ],
)
def test_what_an_experiment_found_is_said_where_nothing_flows(
    name: str, code: str, words: str, replay: Callable
) -> None:
    told = [f for f in replay(name).open if (f.code, f.src, f.dst, f.path) == (code, "e", "a", "vpn")]
    assert told, name
    assert words in told[0].summary
    assert told[0].confidence >= SURE


def test_two_paths_that_were_tried_stay_the_comparison(replay: Callable) -> None:
    """The flows that showed the mechanism are over."""
    (said,) = (f for f in replay("paths-tried").open if f.code == "overlay-only")
    assert "where the path below gave" in said.summary


@pytest.mark.parametrize("name", ["well-tried", "well-swept", "well-paths"])
def test_an_experiment_on_a_link_that_is_well_finds_nothing(name: str, replay: Callable) -> None:
    assert replay(name).codes() == set()


def test_the_case_of_the_beginning(replay: Callable) -> None:
    """Ping is clean, TCP is sick, the line below is well: it is the overlay, and this is why."""
    told = replay("miku")
    findings = {(f.code, f.src, f.dst): f for f in told.open}
    comparison = findings["overlay-only", "e", "a"]
    assert "it is the overlay" in comparison.summary
    below = {each.what: each.value for each in comparison.evidence}
    assert below["underlay TCP retransmitted"] < 1.5
    mechanism = findings["reordering", "e", "a"]
    assert "8 TCP connections" in mechanism.summary
    assert not {code for code, _ in told.codes()} & {"policer", "loss"}


def test_a_tunnel_that_nobody_named_is_found_by_its_bytes(replay: Callable, unnamed: Callable) -> None:
    told = replay("miku", unnamed)
    assert {("overlay-only", "e>a vpn"), ("reordering", "e>a vpn"), ("tcp-over-tcp", "e>a vpn")} <= told.codes()
    assert "8 TCP connections" in next(f for f in told.open if f.code == "tcp-over-tcp").summary


def test_a_copy_that_moves_as_much_as_the_overlay_is_no_tunnel(replay: Callable, unnamed: Callable) -> None:
    codes = {code for code, _ in replay("udp-policed", unnamed).codes()}
    assert "policer" in codes
    assert "tcp-over-tcp" not in codes


def test_a_node_that_is_gone_is_said_once(replay: Callable) -> None:
    told = replay("node-down")
    assert told.codes() == {("node-wide", "d")}


def test_pings_that_chance_alone_loses_are_no_lost_acks(replay_pictured: Callable) -> None:
    """On a line that loses half a per cent, every few minutes three pings of half a minute are among it."""
    assert "ack-path-loss" not in {code for code, _ in replay_pictured("miku").codes()}


@pytest.mark.parametrize("name", ["host-ring", "host-queue"])
def test_what_a_node_drops_itself_is_said_of_it_alone(name: str, replay: Callable) -> None:
    """Its links lose as many as it drops: that is no loss of a line, nor of the overlay."""
    told = replay(name)
    assert [(f.code, f.node) for f in told.open] == [("host-drops", "e")]
    assert "sent again, the same way in ten seconds" in {each.what for each in told.open[0].evidence}


def test_a_tunnel_that_does_not_keep_up_is_said_of_its_node_alone(replay: Callable) -> None:
    """Pings between others are lost in it, too: nothing is said of their links."""
    told = replay("hub-cpu")
    assert told.codes() == {("host-drops", "a")}
    assert "does not read its datagrams as they come" in told.open[0].summary
    assert {"datagrams dropped at full sockets (RcvbufErrors)", "sent again, the same way in ten seconds"} <= {
        each.what for each in told.open[0].evidence
    }


def test_a_full_cpu_is_said_once_for_all_that_wait_for_it(replay: Callable) -> None:
    """And what was said of the links stays until it is."""
    told = replay("cpu-full")
    assert [(f.code, f.node) for f in told.open] == [("node-wide", "a")]
    assert "a process waits for a CPU, each time" in {each.what for each in told.open[0].evidence}
    said = [(f.phase, f.code) for f in told]
    assert said == [("open", "receiver-limited")] * 2 + [("open", "node-wide")] + [("closed", "receiver-limited")] * 2


def test_what_waits_for_a_cpu_is_said_of_a_link_too(replay: Callable) -> None:
    (queue,) = (f for f in replay("client-cpu").open if f.code == "bufferbloat")
    assert "e's processes wait" in queue.summary
    closed = [f for f in replay("cpu-full") if (f.code, f.phase) == ("receiver-limited", "closed")]
    assert all("its processes wait" in f.summary for f in closed)


def test_a_cpu_that_is_full_of_what_gives_way_is_no_cause(replay: Callable) -> None:
    told = replay("cpu-given")
    assert told.codes() == {("receiver-limited", "c>a vpn"), ("receiver-limited", "e>a vpn")}
    assert told.engine.snapshot(told.last_at).nodes[0].host.cpu_pct > 95


def test_a_shaper_that_costs_nobody_anything_is_named_and_no_trouble(replay: Callable) -> None:
    """TCP is told of what the node's own queue drops: it slows down and sends nothing again."""
    (finding,) = replay("own-shaper").open
    assert (finding.code, finding.node, finding.severity) == ("host-drops", "e", "info")
    assert "its own tbf at 8Mbit on vpn0" in finding.summary
    assert {(each.what, each.value) for each in finding.against} == {("sent again, the same way in ten seconds", 0)}


def open_ones(told: Any) -> set[tuple[str, str | None]]:
    return {(f.code, f.node) for f in told.open if f.severity != "info"}


def test_what_a_whole_row_shares_is_said_once(replay: Callable) -> None:
    """The mechanism, and where the same pairs are well below the overlay, that it is the overlay: not one for each."""
    told = replay("row-loss")
    assert open_ones(told) == {("node-wide", "e"), ("overlay-only", "e")}
    whole, comparison = told.open
    assert "loss on all 4 links out of it on vpn: look at its tunnel" in whole.summary
    assert (comparison.evidence[0].what, comparison.evidence[0].value) == ("pairs with loss on vpn alone", 4)
    told = replay("row-bloat")
    assert open_ones(told) == {("node-wide", "e")}
    assert "bufferbloat on all 3 links out of it on vpn: look at its line" in told.open[0].summary


def test_loss_on_all_ways_of_a_node_is_said_once_for_pings_and_flows(replay: Callable) -> None:
    told = replay("ways-of-one")
    assert open_ones(told) == {("node-wide", "e"), ("overlay-only", "e")}
    assert "on all its ways over vpn, and on no others: look at its tunnel" in told.open[0].summary


def test_where_all_nodes_lose_one_is_named_and_what_they_share(replay: Callable) -> None:
    told = replay("ways-of-all")
    (whole,) = (f for f in told.open if f.code == "node-wide")
    assert "as on those of" in whole.summary
    assert {node for _, node in open_ones(told)} == {whole.node}


def test_a_node_that_is_gone_for_all_is_said_once(replay: Callable) -> None:
    told = replay("node-gone")
    assert open_ones(told) == {("unreachable", "d")}
    assert "d is gone" in told.open[0].summary


def test_a_lossy_line_is_said_once(replay: Callable) -> None:
    """Pings alone, of which each link loses its own few at its own time."""
    assert replay("site-loss").codes() == {("node-wide", "e")}


def test_lost_pings_are_said_once_a_pair(replay: Callable) -> None:
    told = replay("ping-loss").codes()
    assert {code for code, _ in told} == {"loss", "overlay-only"}
    assert len(told) == 2


def test_two_edges_are_compared_by_their_legs(replay: Callable) -> None:
    """What goes over the tunnel from e to d crosses its hub: the line below is e to a, then a to d."""
    told = replay("legs")
    comparison = next(f for f in told.open if (f.code, f.src, f.dst) == ("overlay-only", "e", "d"))
    assert "by each leg" in comparison.summary
    assert {code for code, about in told.codes() if about.endswith("public")} == set()


def test_an_outage_is_said_once_a_pair(replay: Callable) -> None:
    assert {about for code, about in replay("blackout").codes() if code == "blackout"} == {"e>a vpn"}


def test_findings_do_not_flicker(replay: Callable) -> None:
    for name in ("miku", "udp-policed", "blackout", "loss"):
        told = replay(name)
        opened = [f.id for f in told if f.phase == "open"]
        assert len(opened) == len(set(opened))
        assert len({(f.code, f.src, f.dst, f.path) for f in told if f.phase == "open"}) == len(opened)
        assert len(told) < 25


def test_two_nodes_alone_are_enough(replay: Callable) -> None:
    """Most of these recordings have the two ends and nobody else: no rule needs the rest of the mesh."""
    told = replay("loss")
    assert len(told.engine.view(told.last_at).mesh.nodes) == 2
    assert ("loss", "e>a vpn") in told.codes()
