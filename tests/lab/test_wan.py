"""The network between the sites, under scripted time."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.faults import FaultRequest, make_fault
from meshtop.lab.plan import LineSpec, PortSpec, WanSpec
from meshtop.lab.wan import NO_ROUTE, NOT_IPV4, QUEUE_FULL, Wan

SITES = ("x", "y", "z")
UP_BPS, DOWN_BPS = 1_000_000, 2_000_000
QUEUE = 3000
DELAYS_MS = {"x": 10.0, "y": 5.0, "z": 1.0, "operator": 2.0}
ADDRESS = {
    (net, site): f"198.{second}.0.{n}" for net, second in (("public", 18), ("mgmt", 19)) for n, site in enumerate(SITES)
}


def port(net: str, site: str) -> PortSpec:
    return PortSpec(net=net, site=site, namespace=None, device="", address=ADDRESS[net, site], prefix=24, mtu=1500)


def line(site: str) -> LineSpec:
    return LineSpec(site=site, up_bps=UP_BPS, down_bps=DOWN_BPS, up_queue_bytes=QUEUE, down_queue_bytes=QUEUE)


PORTS = [(net, site) for net in ("public", "mgmt") for site in SITES]


def wan(seed: int = 1) -> Wan:
    ports = tuple(port(*each) for each in PORTS)
    return Wan(WanSpec(ports=ports, lines=tuple(line(site) for site in SITES), delays_ms=DELAYS_MS, seed=seed))


def number(net: str, site: str) -> int:
    return PORTS.index((net, site))


def packet(net: str, src: str, dst: str, size: int = 1000, mark: int = 0) -> bytes:
    """An IPv4 packet of ``size`` bytes as far as the WAN looks at it; ``mark`` tells it from others."""
    ends = [ipaddress.IPv4Address(ADDRESS[net, site]).packed for site in (src, dst)]
    return (b"\x45" + bytes(11) + b"".join(ends) + mark.to_bytes(4, "big")).ljust(size, b"\0")


def send(
    network: Wan, at: float, src: str = "x", dst: str = "y", size: int = 1000, mark: int = 0, net: str = "public"
) -> None:
    network.inject(at, number(net, src), packet(net, src, dst, size, mark))


def serve_s(size: int, rate: float) -> float:
    return size * 8 / rate


def test_a_lone_packet_takes_both_lines_and_the_distance() -> None:
    network = wan()
    send(network, 100.0)
    expected = 100.0 + serve_s(1000, UP_BPS) + 0.015 + serve_s(1000, DOWN_BPS)
    assert network.due(expected - 1e-6) == []
    (arrival,) = network.due(expected + 1e-6)
    assert arrival.port == number("public", "y")
    assert arrival.data == packet("public", "x", "y")
    assert arrival.due_at == pytest.approx(expected)
    assert network.in_flight() == 0


def test_packets_at_once_come_out_in_order_at_the_rate_of_the_line() -> None:
    network = wan()
    for mark in range(4):
        send(network, 0.0, mark=mark)
    arrivals = network.due(1.0)
    assert [each.data for each in arrivals] == [packet("public", "x", "y", mark=mark) for mark in range(4)]
    times = [each.due_at for each in arrivals]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert gaps == pytest.approx([serve_s(1000, UP_BPS)] * 3)


def test_the_queue_drops_at_its_tail_and_counts() -> None:
    network = wan()
    seen: list[tuple[str, str, bytes]] = []
    network.witness = lambda at, what, reason, lost, until: seen.append((what, reason, lost.data))
    for mark in range(6):  # one is served, three wait, two do not fit
        send(network, 0.0, mark=mark)
    assert [each.data[20:24] for each in network.due(1.0)] == [bytes([0, 0, 0, mark]) for mark in range(4)]
    assert network.drops == {QUEUE_FULL: 2}
    assert network.uplinks["x"].dropped == 2
    assert network.uplinks["x"].forwarded_bytes == 4000
    assert seen == [("drop", QUEUE_FULL, packet("public", "x", "y", mark=mark)) for mark in (4, 5)]


def test_a_small_packet_fits_where_a_large_one_does_not() -> None:
    network = wan()
    for mark in range(3):
        send(network, 0.0, size=1400, mark=mark)  # the last two wait: 2800 of 3000 bytes
    send(network, 0.0, size=1400, mark=3)
    send(network, 0.0, size=200, mark=4)
    assert [each.data[23] for each in network.due(1.0)] == [0, 1, 2, 4]


def test_two_sources_share_one_downlink() -> None:
    network = wan()
    for count in range(20):  # each at the full rate of its uplink, together the whole downlink of y
        send(network, count * serve_s(1000, UP_BPS), "x")
        send(network, count * serve_s(1000, UP_BPS), "z")
    arrivals = network.due(10.0)
    assert len(arrivals) == 40
    busy = arrivals[-1].due_at - arrivals[0].due_at
    assert 39_000 * 8 / busy <= DOWN_BPS * 1.001
    assert network.downlinks["y"].dropped == 0


def test_a_direct_network_has_neither_lines_nor_delay() -> None:
    network = wan()
    for mark in range(50):
        send(network, 7.0, net="mgmt", mark=mark)
    assert [each.due_at for each in network.due(7.0)] == [7.0] * 50


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", NOT_IPV4),
        (b"\x60" + bytes(60), NOT_IPV4),
        (b"\x45" + bytes(10), NOT_IPV4),
        (b"\x45" + bytes(30), NO_ROUTE),
    ],
)
def test_what_cannot_be_carried_is_counted(data: bytes, reason: str) -> None:
    network = wan()
    network.inject(0.0, 0, data)
    assert network.drops == {reason: 1}
    assert network.in_flight() == 0


def test_a_network_is_not_reached_from_another() -> None:
    network = wan()
    network.inject(0.0, number("public", "x"), packet("mgmt", "x", "y"))
    assert network.drops == {NO_ROUTE: 1}


SENDINGS = st.lists(
    st.tuples(
        st.floats(0, 0.2),
        st.sampled_from(SITES),
        st.sampled_from(SITES),
        st.integers(28, 1500),
        st.sampled_from(["public", "mgmt"]),
    ).filter(lambda each: each[1] != each[2]),
    max_size=60,
)


@given(SENDINGS, st.lists(st.floats(0, 0.5), max_size=40))
def test_looking_often_or_once_gives_the_same(
    sendings: list[tuple[float, str, str, int, str]], looks: list[float]
) -> None:
    once, often = wan(), wan()
    for network in (once, often):
        network.add_fault(make_fault(FaultRequest(target="x", kind="loss", value="20%"), SITES))
    seen = []
    happenings = sorted([(at, None) for at in looks] + [(each[0], each) for each in sendings], key=lambda each: each[0])
    for mark, (at, sending) in enumerate(happenings):
        if sending is None:
            seen += often.due(at)
        else:
            for network in (once, often):
                send(network, at, *sending[1:4], mark=mark, net=sending[4])
    seen += often.due(100.0)
    assert seen == once.due(100.0)
    assert seen == sorted(seen, key=lambda each: each.due_at)
    assert once.drops == often.drops
    assert once.injected == once.delivered + sum(once.drops.values())
    assert once.in_flight() == 0
    assert all(line.waiting_bytes == 0 and not line.busy for line in (*once.uplinks.values(), *once.downlinks.values()))


@given(SENDINGS)
def test_no_packet_is_lost_from_sight(sendings: list[tuple[float, str, str, int, str]]) -> None:
    network = wan()
    for mark, (at, src, dst, size, net) in enumerate(sorted(sendings)):
        send(network, at, src, dst, size, mark, net)
        assert network.injected == network.delivered + sum(network.drops.values()) + network.in_flight()
    for step in range(50):
        network.due(step / 50)
        assert network.injected == network.delivered + sum(network.drops.values()) + network.in_flight()
