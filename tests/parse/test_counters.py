"""/proc/net/snmp and /proc/net/netstat."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse import netstat, snmp
from meshtop.parse.snmp import parse_counters

NAMES = st.text(st.sampled_from("ABCTcpxt0189"), min_size=1, max_size=12)
GROUPS = st.dictionaries(NAMES, st.dictionaries(NAMES, st.integers(-(2**63), 2**64 - 1), min_size=1), max_size=4)


def test_snmp_of_a_real_node(captured: Callable[[str], str]) -> None:
    groups, failed = parse_counters(captured("proc/e-snmp.txt"))
    assert failed == 0
    assert list(groups) == ["Ip", "Icmp", "IcmpMsg", "Tcp", "Udp", "UdpLite"]
    assert groups["Tcp"]["RetransSegs"] == 392
    assert groups["Tcp"]["MaxConn"] == -1
    assert groups["Icmp"]["OutEchoReps"] == 8


def test_netstat_of_a_real_node(captured: Callable[[str], str]) -> None:
    groups, failed = netstat.parse_counters(captured("proc/e-netstat.txt"))
    assert failed == 0
    assert list(groups) == ["TcpExt", "IpExt", "MPTcpExt"]
    assert groups["TcpExt"]["TCPDSACKRecv"] == 254
    assert groups["TcpExt"]["TCPOrigDataSent"] == 15011
    assert groups["IpExt"]["InOctets"] == 706536


@pytest.mark.parametrize(
    ("text", "groups", "failed"),
    [
        ("", {}, 0),
        ("Tcp: A B\nTcp: 1 2\n", {"Tcp": {"A": 1, "B": 2}}, 0),
        ("Tcp: A B\nTcp: 1\nUdp: C\nUdp: 3\n", {"Udp": {"C": 3}}, 2),
        ("Tcp: A B\n", {}, 1),
        ("Tcp: A B\nUdp: C\nUdp: 3\n", {"Udp": {"C": 3}}, 1),
        ("Tcp: A\nTcp: many\n", {}, 2),
        ("Tcp: A\nTcp: 1_0\n", {}, 2),
        ("Tcp: A\nTcp: -\n", {}, 2),
        ("Tcp: A\nTcp: 1-1\n", {}, 2),
        ("Tcp: A\nTcp: +1\n", {}, 2),
        (f"Tcp: A\nTcp: {'9' * 21}\n", {}, 2),
        ("Tcp: A\nTcp: ٣\n", {}, 2),
        ("garbage\nTcp: A\nTcp: 1\n", {"Tcp": {"A": 1}}, 1),
        ("Tcp: A\nTcp: 1\nTcp: A B\nTcp: 2 3\n", {"Tcp": {"A": 2, "B": 3}}, 0),
        ("Tcp: A A\nTcp: 1 2\n", {"Tcp": {"A": 2}}, 0),
        ("Tcp:\nTcp:\n", {"Tcp": {}}, 0),
        (":\n:\n", {}, 2),
    ],
)
def test_halves_and_damage_are_counted(text: str, groups: dict[str, dict[str, int]], failed: int) -> None:
    assert parse_counters(text) == (groups, failed)


def test_a_line_beyond_all_reason_is_counted() -> None:
    names = " ".join(f"N{number}" for number in range(snmp.MAX_COUNTERS))
    assert parse_counters(f"Tcp: {names}\nTcp: {names}\n") == ({}, 2)


@given(GROUPS)
def test_what_is_written_is_read(groups: dict[str, dict[str, int]]) -> None:
    text = "".join(
        f"{group}: {' '.join(counters)}\n{group}: {' '.join(map(str, counters.values()))}\n"
        for group, counters in groups.items()
    )
    assert parse_counters(text) == (groups, 0)


@given(st.text(st.sampled_from("Tcp: 019-\nAB\x00é"), max_size=200))
def test_nothing_raises_and_no_line_goes_missing(text: str) -> None:
    groups, failed = parse_counters(text)
    lines = sum(1 for line in text.split("\n") if line.split())
    assert 0 <= failed <= lines
    assert (lines == failed) == (not groups)
