"""Answers of the ways, in the words of ping and of the script."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.ways import PathMtu, WayAnswers, parse_ways

SAID = """
#mt begin
#mt 0 ping56 PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.
#mt 0 ping56 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=21.0 ms
#mt 1 ping56 From 10.0.0.9 icmp_seq=1 Destination Host Unreachable
#mt 0 ping56 64 bytes from 10.0.0.1: icmp_seq=3 ttl=64 time=23.0 ms
#mt 0 ping56 3 packets transmitted, 2 received, 33.3333% packet loss, time 2003ms
#mt 1 ping56 From 10.0.0.9 icmp_seq=2 Destination Host Unreachable
#mt 2 ping56 ping: connect: Network is unreachable
#mt 0 ping1200 3 packets transmitted, 0 received, 100% packet loss, time 2003ms
#mt 0 mtu 1300 1500 silent pub0
#mt 0 tcp 5201 open
#mt 2 tcp 5201 no-route
#mt 2 tcp 5201x whatever
#mt 3 no-ping
#mt end
"""


def test_each_way_has_its_own_answers() -> None:
    found = parse_ways(SAID.splitlines())
    first, second, third, fourth = (found[number] for number in range(4))
    assert (first.pings[56].sent, first.pings[56].answered, first.pings[56].rtt_ms) == (3, 2, 22.0)
    assert (first.pings[1200].sent, first.pings[1200].answered, first.pings[1200].rtt_ms) == (3, 0, None)
    assert first.pmtu == PathMtu(bytes=1300, interface_bytes=1500, how="silent", device="pub0")
    assert first.tcp == {5201: "open"}
    assert second.pings[56].problems == ("From 10.0.0.9 Destination Host Unreachable",)
    assert (third.pings[56].sent, third.pings[56].problems) == (None, ("ping: connect: Network is unreachable",))
    assert third.tcp == {5201: "no-route"}
    assert fourth == WayAnswers(no_ping=True)


@given(st.lists(st.text(st.characters(blacklist_categories=()), max_size=60)))
def test_nothing_that_a_node_prints_is_too_much(lines: list[str]) -> None:
    for answers in parse_ways([*lines, *(f"#mt 1 ping56 {line}" for line in lines)]).values():
        assert all(problem.isprintable() for ping in answers.pings.values() for problem in ping.problems)
