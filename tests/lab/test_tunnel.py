"""The lab's VPN: which packet travels how, and that real packets arrive."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.striping import Kind, Striper, is_urgent, parse_kind


def ipv4(length: int, protocol: int = 6, tos: int = 0) -> bytes:
    return bytes([0x45, tos]) + bytes(7) + bytes([protocol]) + bytes(length - 10)


def test_kinds() -> None:
    assert parse_kind("udp") == Kind("udp", 1)
    assert parse_kind("tcp1") == Kind("tcp", 1)
    assert parse_kind("striped:8") == Kind("tcp", 8)
    for wrong in ("", "tcp", "striped", "striped:", "striped:1", "striped:33", "striped:x", "striped:-2"):
        with pytest.raises(ValueError, match=r"udp, tcp1 and striped:N"):
            parse_kind(wrong)


def test_small_pings_and_marked_packets_are_urgent_and_bulk_is_not() -> None:
    assert is_urgent(ipv4(84, protocol=1))
    assert not is_urgent(ipv4(1228, protocol=1))
    assert is_urgent(ipv4(1500, tos=0x10))
    assert not is_urgent(ipv4(1500))
    assert not is_urgent(b"")


def test_urgent_packets_have_a_connection_of_their_own() -> None:
    striper = Striper(4)
    striper.put(ipv4(1000))
    striper.put(ipv4(84, protocol=1))
    assert striper.take([0, 0, 0, 0]) == (0, ipv4(84, protocol=1))
    chosen = striper.take([0, 0, 0, 0])
    assert chosen is not None
    assert chosen[0] != 0


def test_one_connection_carries_all() -> None:
    striper = Striper(1)
    striper.put(ipv4(1000))
    assert striper.take([0]) == (0, ipv4(1000))


def test_one_connection_carries_the_bulk_until_it_is_late() -> None:
    striper = Striper(4)
    for _ in range(4):
        striper.put(ipv4(1000))
    ways = []
    for late in (None, None, 1, 2):
        if late is not None:
            striper.was_late(late)
        taken = striper.take([0, 900, 0, 0])
        assert taken is not None
        ways.append(taken[0])
    assert ways == [1, 1, 2, 3]


def test_the_least_late_connection_has_its_turn_again() -> None:
    striper = Striper(3)
    for late in (1, 1, 2):
        striper.was_late(late)
    striper.put(ipv4(1000))
    assert striper.take([0, 0, 0]) == (2, ipv4(1000))


def test_a_connection_that_is_down_or_full_is_passed_over() -> None:
    striper = Striper(3)
    striper.put(ipv4(1000))
    assert striper.take([None, None, 1 << 20]) is None
    assert striper.take([None, 0, 1 << 20]) == (1, ipv4(1000))


def test_the_queue_is_thrown_away_whole_when_it_is_full() -> None:
    striper = Striper(2, fifo_bytes=5000)
    for _ in range(5):
        striper.put(ipv4(1000))
    assert striper.thrown_away_packets == 0
    striper.put(ipv4(100))
    assert (striper.thrown_away_packets, striper.thrown_away_times, striper.queued_bytes) == (5, 1, 100)


@given(st.lists(st.integers(20, 1500)), st.integers(1, 8))
def test_what_goes_in_comes_out_once_and_in_order_over_one_connection_each(sizes: list[int], connections: int) -> None:
    striper = Striper(connections)
    packets = [ipv4(size) for size in sizes]
    for packet in packets:
        striper.put(packet)
    out = []
    while (taken := striper.take([0] * connections)) is not None:
        out.append(taken[1])
    assert out == packets
    assert striper.queued_bytes == 0


HUB, CLIENT = "mttunnel-a", "mttunnel-b"


@pytest.fixture
def two_hosts() -> Iterator[None]:
    commands = f"""
        netns add {HUB}
        netns add {CLIENT}
        link add mttun-a netns {HUB} type veth peer name mttun-b netns {CLIENT}
        -n {HUB} addr add 198.18.250.1/24 dev mttun-a
        -n {CLIENT} addr add 198.18.250.2/24 dev mttun-b
        -n {HUB} link set mttun-a up
        -n {CLIENT} link set mttun-b up
        -n {HUB} tuntap add mode tun vpn0
        -n {CLIENT} tuntap add mode tun vpn0
        -n {HUB} addr add 10.10.10.1/24 dev vpn0
        -n {CLIENT} addr add 10.10.10.2/24 dev vpn0
        -n {HUB} link set vpn0 up
        -n {CLIENT} link set vpn0 up
    """
    try:
        for line in commands.strip().splitlines():
            subprocess.run(["ip", *line.split()], check=True)
        yield
    finally:
        for name in (HUB, CLIENT):
            subprocess.run(["ip", "netns", "del", name], check=False)


def end(role: str, host: str, inner: str, kind: str) -> subprocess.Popen[str]:
    command = f"ip netns exec {host} {sys.executable} -m meshtop.lab.tunnel {role} --tun vpn0 --inner {inner}"
    process = subprocess.Popen(
        [*command.split(), "--at", "198.18.250.1:443", "--kind", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.lab
@pytest.mark.parametrize("kind", ["udp", "tcp1", "striped:4"])
def test_pings_pass_and_the_outer_sockets_are_those_of_the_kind(two_hosts: None, kind: str) -> None:
    with end("hub", HUB, "10.10.10.1", kind) as hub, end("client", CLIENT, "10.10.10.2", kind) as client:
        for size in ("56", "1200"):
            ping = ["ip", "netns", "exec", CLIENT, "ping", "-q", "-c", "5", "-i", "0.05", "-s", size, "10.10.10.1"]
            done = subprocess.run(ping, check=True, capture_output=True, text=True)
            assert " 0% packet loss" in done.stdout
        look = ["ip", "netns", "exec", CLIENT, "ss", "-tnH", "state", "established", "dport = :443"]
        seen = subprocess.run(look, check=True, capture_output=True, text=True).stdout.splitlines()
        expected = parse_kind(kind)
        assert len(seen) == (0 if expected.transport == "udp" else expected.connections)
        for process in (client, hub):
            process.communicate(timeout=10)
            assert process.returncode == 0
