"""What a node is to measure, and that nothing but checked values reaches a shell."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

import pytest

from meshtop.agent.probe import (
    FULL_PAYLOAD,
    MAX_PINGS,
    MAX_PROBES_PER_S,
    PROBE_SHARE,
    SMALL_PAYLOAD,
    PingPlan,
    ProbePlan,
    bootstrap,
    plan_for,
    renew_lease,
    request_key_frame,
    set_interval,
    unpinged,
)
from meshtop.model import Mesh, Node, Path, Watch

PATHS = (Path(name="vpn", kind="overlay", outer_ports=(443,)), Path(name="public", kind="underlay"))
RATES = {"a": (10, 40), "b": (5, 5), "c": (500, 500), "d": (30, 30), "e": (30, 30)}


def mesh(count: int = 5, **changes) -> Mesh:
    nodes = tuple(
        Node(
            name=f"n{number}",
            address={"vpn": f"10.0.{number}.1", "public": f"192.0.2.{number + 1}"},
            up_bps=30_000_000,
            down_bps=30_000_000,
        )
        for number in range(count)
    )
    return Mesh(**({"name": "m", "nodes": nodes, "paths": PATHS} | changes))


def with_rates() -> Mesh:
    nodes = tuple(
        Node(
            name=name,
            address={"vpn": f"10.10.10.{number}", "public": f"198.51.100.{number}"},
            up_bps=up * 1_000_000,
            down_bps=down * 1_000_000,
        )
        for number, (name, (up, down)) in enumerate(RATES.items(), 1)
    )
    return mesh(nodes=nodes)


def load_bps(whole: Mesh, name: str) -> float:
    """Bits a second that all probing puts on a node's line in either direction, a tunnel's headers included."""
    owners = {node.address[path.name]: (node.name, path.kind) for node in whole.nodes for path in whole.paths}
    total = 0.0
    for node in whole.nodes:
        for ping in plan_for(whole, node.name).pings:
            target, kind = owners[ping.target]
            if name in (node.name, target):
                headers = 28 + (60 if kind == "overlay" else 0)
                total += 8 * (ping.payload_bytes + headers) / ping.interval_s
    return total


def test_every_peer_on_every_path_at_two_sizes():
    plan = plan_for(mesh(), "n1")
    expected = {(f"10.0.{other}.1", f"192.0.2.{other + 1}") for other in (0, 2, 3, 4)}
    targets = {address for pair in expected for address in pair}
    assert {(ping.target, ping.payload_bytes) for ping in plan.pings} == {
        (target, payload) for target in targets for payload in (SMALL_PAYLOAD, FULL_PAYLOAD)
    }
    assert set(plan.addresses) == targets
    assert plan.ports == (443,)
    assert {ping.interval_s for ping in plan.pings if ping.payload_bytes == SMALL_PAYLOAD} == {1.0}
    assert {ping.interval_s for ping in plan.pings if ping.payload_bytes == FULL_PAYLOAD} == {5.0}


def test_starts_are_spread_over_the_interval():
    delays = sorted(ping.delay_s for ping in plan_for(mesh(), "n1").pings if ping.payload_bytes == FULL_PAYLOAD)
    steps = [round(b - a, 2) for a, b in pairwise(delays)]
    assert set(steps) <= {0.62, 0.63}


def test_an_address_that_cannot_be_reached_is_not_pinged_but_its_sockets_are_told():
    nodes = (
        Node(name="a", address={"vpn": "10.0.0.1", "public": "192.0.2.1"}),
        Node(name="b", address={"vpn": "10.0.0.2", "public": "192.0.2.2"}, nat=("public",)),
        Node(name="c", address={"vpn": "10.0.0.3"}),
    )
    plan = plan_for(mesh(nodes=nodes), "a")
    assert {ping.target for ping in plan.pings} == {"10.0.0.2", "10.0.0.3"}
    assert set(plan.addresses) == {"10.0.0.2", "192.0.2.2", "10.0.0.3"}
    assert {ping.target for ping in plan_for(mesh(nodes=nodes), "b").pings} == {"10.0.0.1", "192.0.2.1", "10.0.0.3"}
    assert {ping.target for ping in plan_for(mesh(nodes=nodes), "c").pings} == {"10.0.0.1", "10.0.0.2"}


def test_watched_ports_of_that_node():
    watches = (Watch(name="push", ports=(5000, 443), nodes=("n0",)), Watch(name="web", ports=(80,)))
    assert plan_for(mesh(watches=watches), "n0").ports == (443, 5000, 80)
    assert plan_for(mesh(watches=watches), "n0").services == (5000, 443, 80)
    assert plan_for(mesh(watches=watches), "n1").ports == (443, 80)


def test_an_unknown_node():
    with pytest.raises(KeyError):
        plan_for(mesh(), "x")


@pytest.mark.parametrize("name", RATES)
def test_probing_stays_below_its_share_of_every_line(name):
    whole = with_rates()
    assert load_bps(whole, name) <= PROBE_SHARE * min(RATES[name]) * 1_000_000
    # And there is room for what is configured, even on the line of 5 Mbit/s.
    assert {ping.interval_s for ping in plan_for(whole, name).pings} == {1.0, 5.0}


def test_a_slow_line_slows_both_directions_of_its_links_and_no_other():
    nodes = (
        Node(name="slow", address={"vpn": "10.0.0.1"}, up_bps=500_000, down_bps=20_000_000),
        Node(name="b", address={"vpn": "10.0.0.2"}, up_bps=30_000_000, down_bps=30_000_000),
        Node(name="c", address={"vpn": "10.0.0.3"}),
    )
    whole = mesh(nodes=nodes, paths=PATHS[:1])
    assert load_bps(whole, "slow") <= PROBE_SHARE * 500_000
    small = {
        (node.name, ping.target): ping.interval_s
        for node in nodes
        for ping in plan_for(whole, node.name).pings
        if ping.payload_bytes == SMALL_PAYLOAD
    }
    assert small["slow", "10.0.0.2"] == small["b", "10.0.0.1"] == small["c", "10.0.0.1"] > 1
    assert small["b", "10.0.0.3"] == small["c", "10.0.0.2"] == 1.0


@pytest.mark.parametrize("count", [2, 5, 20, 33, 60, 120])
def test_dozens_of_nodes_stay_bounded(count):
    whole = mesh(count)
    reached = set()
    for node in whole.nodes:
        plan = plan_for(whole, node.name)
        assert len(plan.pings) <= MAX_PINGS
        assert sum(1 / ping.interval_s for ping in plan.pings) <= MAX_PROBES_PER_S + 0.01
        reached |= {frozenset((node.address["vpn"], ping.target)) for ping in plan.pings if ping.target[:3] == "10."}
    # No pair is left without a probe from one of the two.
    assert len(reached) == count * (count - 1) // 2
    left_out, ways = unpinged(whole)
    small = [ping for node in whole.nodes for ping in plan_for(whole, node.name).pings if ping.payload_bytes == 56]
    assert ways - left_out == len(small)


HOSTILE = ["", "10.0.0.1; reboot", "$(reboot)", "'", "10.0.0.1\nX=1", "::1]", "10.0.0", "host"]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_address_reaches_no_shell(text):
    with pytest.raises(ValueError, match="address"):
        bootstrap(ProbePlan(addresses=(text,)))
    with pytest.raises(ValueError, match="address"):
        bootstrap(ProbePlan(pings=(PingPlan(target=text, payload_bytes=56, interval_s=1.0),)))


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port(port):
    with pytest.raises(ValueError, match="port"):
        bootstrap(ProbePlan(ports=(port,)))


@pytest.mark.parametrize("interval", [0.0, 0.05, 61.0, float("nan"), float("inf"), -1.0])
def test_intervals_out_of_bounds(interval):
    with pytest.raises(ValueError, match="interval"):
        set_interval(interval)
    with pytest.raises(ValueError, match="interval"):
        bootstrap(ProbePlan(interval_s=interval))


def test_control_lines():
    assert set_interval(0.2) == b"i 20\n"
    assert set_interval(60) == b"i 6000\n"
    assert renew_lease() == b"k\n"
    assert request_key_frame() == b"f\n"


def test_the_command_passes_every_login_shell_as_it_is():
    command, _ = bootstrap(plan_for(mesh(), "n0"))
    assert command.count("'") == 2
    assert not re.search(r"[\n\r!\\`^]", command)
    assert shlex.split(command)[:3] == ["exec", "/bin/sh", "-c"]
    assert len(command) < 500


def test_the_script_ends_where_it_says_and_is_read_as_lines():
    _, script = bootstrap(plan_for(mesh(), "n0"))
    assert script.endswith(b"\n#go\n")
    assert script.count(b"#go\n") == 1
    assert b"MT_FILTER='dst 10.0.1.1 or dst 192.0.2.2 or" in script
    assert script.isascii()


def test_each_start_is_a_probe_of_its_own():
    plan = plan_for(mesh(), "n0")
    assert bootstrap(plan)[0] == bootstrap(plan)[0]
    assert bootstrap(plan)[1] != bootstrap(plan)[1]
