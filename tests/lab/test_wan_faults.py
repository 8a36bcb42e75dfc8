"""The WAN with faults, under scripted time: lines that change, answers, what the witness is told."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.faults import Fault, FaultRequest, make_fault
from meshtop.lab.plan import LineSpec, PortSpec, WanSpec
from meshtop.lab.wan import Wan

SITES = ("x", "y")
PORTS = [(net, site) for net in ("public", "vpn", "mgmt") for site in SITES]
NETWORK = {"public": "198.18.0", "vpn": "10.10.10", "mgmt": "198.19.0"}
UP_BPS, DOWN_BPS, QUEUE = 1_000_000, 2_000_000, 65_536
ONE_WAY_S = 0.020


def wan() -> Wan:
    ports = tuple(
        PortSpec(net=net, site=site, namespace=None, device="", address=address(net, site), prefix=24, mtu=1500)
        for net, site in PORTS
    )
    lines = tuple(
        LineSpec(site=site, up_bps=UP_BPS, down_bps=DOWN_BPS, up_queue_bytes=QUEUE, down_queue_bytes=QUEUE)
        for site in SITES
    )
    return Wan(WanSpec(ports=ports, lines=lines, delays_ms=dict.fromkeys(SITES, 1000 * ONE_WAY_S / 2)))


def address(net: str, site: str) -> str:
    return f"{NETWORK[net]}.{1 + SITES.index(site)}"


def packet(src: str = "x", dst: str = "y", size: int = 1000, mark: int = 0, net: str = "public") -> bytes:
    ends = [ipaddress.IPv4Address(address(net, site)).packed for site in (src, dst)]
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, mark, 0x4000, 64, 17, 0, *ends)
    return head.ljust(size, b"\0")


def send(network: Wan, at: float, data: bytes, net: str = "public") -> None:
    source = str(ipaddress.IPv4Address(data[12:16]))
    network.inject(at, next(n for n, each in enumerate(PORTS) if address(*each) == source), data)


def mark_of(data: bytes) -> int:
    return int.from_bytes(data[4:6], "big")


def fault(target: str, kind: str, value: str = "", *, one_way: bool = False, net: str | None = None) -> Fault:
    return make_fault(FaultRequest(target=target, kind=kind, value=value, one_way=one_way, net=net), SITES)


def test_too_large_packets_are_answered_by_icmp_that_takes_the_way_back() -> None:
    network = wan()
    network.add_fault(fault("y", "mtu", "1300"))
    send(network, 0.0, packet(size=1400))
    (answer,) = network.due(10.0)
    assert PORTS[answer.port] == ("public", "x")
    assert (answer.data[9], answer.data[20], answer.data[21]) == (1, 3, 4)
    up_s, down_s = 1400 * 8 / UP_BPS, len(answer.data) * 8 / DOWN_BPS
    assert answer.due_at == pytest.approx(up_s + ONE_WAY_S + down_s)
    assert (dict(network.drops), network.answered) == ({"mtu": 1}, 1)


def test_dropped_icmp_makes_a_black_hole_of_a_small_mtu() -> None:
    network = wan()
    network.add_fault(fault("y", "mtu", "1300"))
    network.add_fault(fault("x", "icmp-drop"))
    send(network, 0.0, packet(size=1400))
    send(network, 0.0, packet(size=1300, mark=9))
    assert [mark_of(each.data) for each in network.due(10.0)] == [9]
    assert dict(network.drops) == {"mtu": 1, "icmp-drop": 1}


def test_a_faults_order_lets_later_packets_overtake() -> None:
    network = wan()
    made = fault("x", "reorder", "50%/100ms")
    network.add_fault(made)
    for mark in range(40):
        send(network, 0.001 * mark, packet(size=100, mark=mark))
    order = [mark_of(each.data) for each in network.due(10.0)]
    assert sorted(order) == list(range(40))
    assert order != sorted(order)


def test_a_site_of_another_rate_has_lines_of_that_rate_until_healed() -> None:
    network = wan()
    network.add_fault(fault("x", "rate", "250k"))
    send(network, 0.0, packet())
    assert network.due(10.0)[0].due_at == pytest.approx(1000 * 8 / 250_000 + ONE_WAY_S + 1000 * 8 / DOWN_BPS)
    assert network.downlinks["x"].rate_bps == 250_000
    assert (network.uplinks["y"].rate_bps, network.downlinks["y"].rate_bps) == (UP_BPS, DOWN_BPS)
    assert len(network.heal(kind="rate")) == 1
    assert (network.uplinks["x"].rate_bps, network.downlinks["x"].rate_bps) == (UP_BPS, DOWN_BPS)


@pytest.mark.parametrize("order", [("rate", "queue"), ("queue", "rate")])
def test_a_queue_in_time_is_that_of_the_rate_in_force(order: tuple[str, str]) -> None:
    network = wan()
    for kind in order:
        network.add_fault(fault("x", kind, {"rate": "400k", "queue": "2s"}[kind]))
    assert network.uplinks["x"].limit_bytes == 100_000
    network.heal(kind="rate")
    assert network.uplinks["x"].limit_bytes == UP_BPS // 8 * 2
    network.heal()
    assert network.uplinks["x"].limit_bytes == QUEUE


def test_a_longer_queue_delays_what_a_shorter_one_drops() -> None:
    network = wan()
    network.add_fault(fault("x", "queue", "2s", one_way=True))
    for mark in range(200):  # 1.6 s of line time at once
        send(network, 0.0, packet(mark=mark))
    arrivals = network.due(10.0)
    assert len(arrivals) == 200
    assert arrivals[-1].due_at == pytest.approx(1.6 + ONE_WAY_S, abs=0.01)
    assert network.downlinks["x"].limit_bytes == QUEUE


def test_a_rate_on_one_path_leaves_the_other_alone() -> None:
    network = wan()
    network.add_fault(fault("x", "rate", "80k", net="vpn"))
    send(network, 0.0, packet(mark=1, net="vpn"))
    send(network, 0.0, packet(mark=2))
    assert [mark_of(each.data) for each in network.due(0.05)] == [2]
    assert network.due(1.0)[0].due_at == pytest.approx(0.008 + 0.1 + ONE_WAY_S + 0.004)


def test_the_witness_is_told_all_that_a_fault_does_to_a_packet() -> None:
    network = wan()
    seen: list[tuple[float, str, str, int, float]] = []
    network.witness = lambda at, what, why, lost, until: seen.append((at, what, why, mark_of(lost.data), until))
    happenings = [
        ("hold", "99ms/100ms", "hold"),
        ("reorder", "99%/100ms", "reorder"),
        ("duplicate", "99%", "duplicate"),
        ("jitter", "20ms", "hold"),
        ("loss", "100%", "drop"),
        ("delay", "20ms", None),
    ]
    for number, (kind, value, _) in enumerate(happenings):
        network.heal()
        network.add_fault(fault("x", kind, value))
        if kind == "hold":  # its period begins with the first packet, which is not held
            send(network, number * 10.0, packet(mark=1000))
        send(network, number * 10.0 + 0.05, packet(mark=number))
        network.due(number * 10.0 + 5.0)
    told = {mark: (what, why) for _, what, why, mark, _ in seen}
    assert told == {
        number: (what, kind) for number, (kind, _, what) in enumerate(happenings) if what is not None
    }  # fmt: skip
    assert all(until > at for at, what, _, _, until in seen if what in ("hold", "reorder"))
    assert all(until == at for at, what, _, _, until in seen if what in ("drop", "duplicate"))


def test_of_a_doubled_packet_each_copy_meets_what_follows() -> None:
    network = wan()
    network.add_fault(fault("x", "duplicate", "100%"))
    network.add_fault(fault("x", "policer", "8k/1500"))
    send(network, 0.0, packet())
    assert len(network.due(1.0)) == 1
    assert dict(network.drops) == {"policer": 1}


VALUES = {
    "loss": "20%",
    "burst-loss": "10%/3",
    "delay": "7ms",
    "jitter": "20ms",
    "reorder": "20%/30ms",
    "duplicate": "30%",
    "hold": "30ms/100ms",
    "rate": "500k",
    "queue": "2k",
    "policer": "400k/2k",
    "policer-udp": "400k/2k",
    "mtu": "600",
    "mtu-blackhole": "600",
    "icmp-drop": "",
    "blackout": "",
}
FAULTS = st.lists(
    st.tuples(st.sampled_from(["x", "y", "x:y"]), st.sampled_from(sorted(VALUES)), st.booleans()), max_size=4
)
SENDINGS = st.lists(
    st.tuples(st.floats(0, 0.3), st.sampled_from(["public", "vpn"]), st.integers(28, 1500)), min_size=1, max_size=60
)


@given(FAULTS, SENDINGS, st.lists(st.floats(0, 0.6), max_size=20))
def test_whatever_faults_are_in_force_every_packet_is_accounted_for(
    faults: list[tuple[str, str, bool]], sendings: list[tuple[float, str, int]], looks: list[float]
) -> None:
    """Looked at often or once the same comes out; none comes before it can, and none is lost from sight."""
    once, often = wan(), wan()
    doubled = 0

    def count(at: float, what: str, why: str, packet: object, until: float) -> None:
        nonlocal doubled
        doubled += what == "duplicate"
        assert until >= at

    once.witness = count
    for target, kind, one_way in faults:
        if kind == "queue" and ":" in target:
            continue
        for network in (once, often):
            network.add_fault(fault(target, kind, VALUES[kind], one_way=one_way))
    seen = []
    happenings: list[tuple[float, tuple[str, int] | None]] = [(at, None) for at in looks]
    happenings += [(at, (net, size)) for at, net, size in sendings]
    for at, sending in sorted(happenings, key=lambda each: each[0]):
        if sending is None:
            seen += often.due(at)
            continue
        for network in (once, often):
            send(network, at, packet(size=sending[1], net=sending[0]), sending[0])
    seen += often.due(1000.0)
    arrived = once.due(1000.0)
    assert seen == arrived
    assert once.in_flight() == 0
    assert once.injected + once.answered + doubled == once.delivered + sum(once.drops.values())
    assert all(each.due_at >= min(at for at, _, _ in sendings) + ONE_WAY_S for each in arrived)


def test_node_faults_are_kept_but_met_by_no_packet() -> None:
    network = wan()
    network.add_fault(fault("x", "freeze"))
    assert all(leg.faults == () for leg in network.legs())
    assert [each.kind for each in network.faults] == ["freeze"]
    assert [each.kind for each in network.heal("x", "freeze")] == ["freeze"]
