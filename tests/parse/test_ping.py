"""Lines of iputils and BusyBox ping."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.ping import MAX_LINE, parse_ping_line
from meshtop.readings import PingProblem, PingReply

Captured = Callable[[str], str]
Event = PingReply | PingProblem


def read(line: str, wall_minus_uptime_s: float | None = None) -> Event | None:
    return parse_ping_line(line, "10.10.10.1", 56, 100.0, wall_minus_uptime_s=wall_minus_uptime_s)


def events(text: str) -> list[Event]:
    return [event for line in text.splitlines() if (event := read(line)) is not None]


@pytest.mark.parametrize(
    ("name", "numbers", "first_rtt_ms"),
    [
        ("iputils-20221126-D-1200", list(range(1, 9)), 40.2),
        ("iputils-20221126-O", [1, 2, 3, 4, 5], 33.3),
        ("namespace-iputils-ipv6", [1, 2, 3], 0.037),
        ("busybox-1.35", [0, 1, 2, 3, 4], 33.550),
        ("busybox-1.35-1200", [0, 1, 2, 3, 4], 34.161),
        ("namespace-busybox-ipv6", [0, 1], 0.039),
        ("busybox-1.35-lost", [], None),
        ("iputils-20221126-lost", [], None),
        ("iputils-20221126-noroute", [], None),
    ],
)
def test_captured_replies(captured: Captured, name: str, numbers: list[int], first_rtt_ms: float | None) -> None:
    replies = events(captured(f"ping/{name}.txt"))
    assert all(isinstance(reply, PingReply) for reply in replies)
    assert [reply.seq for reply in replies if isinstance(reply, PingReply)] == numbers
    if first_rtt_ms is not None:
        assert replies[0] == PingReply(
            target="10.10.10.1", payload_bytes=56, seq=numbers[0], rtt_ms=first_rtt_ms, uptime_s=100.0
        )


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("iputils-20221126-too-long", ["ping: local error: message too long, mtu=1500"] * 2),
        ("namespace-iputils-network-unreachable", ["ping: connect: Network is unreachable"]),
        ("namespace-iputils-no-route", ["ping: connect: No route to host"]),
        (
            "namespace-iputils-host-unreachable",
            [f"From 192.0.2.1 icmp_seq={seq} Destination Host Unreachable" for seq in (1, 2, 3)],
        ),
        (
            "namespace-iputils-host-unreachable-plain",
            [f"From 192.0.2.1 icmp_seq={seq} Destination Host Unreachable" for seq in (1, 2, 3)],
        ),
        (
            "namespace-iputils-not-permitted",
            [
                "ping: socktype: SOCK_RAW",
                "ping: socket: Operation not permitted",
                "ping: => missing cap_net_raw+p capability or setuid?",
            ],
        ),
        (
            "namespace-iputils-prohibit",
            ["ping: Do you want to ping broadcast? Then -b. If not, check your local firewall rules"],
        ),
        ("namespace-busybox-network-unreachable", ["ping: sendto: Network is unreachable"]),
        ("namespace-busybox-not-permitted", ["ping: permission denied (are you root?)"]),
        ("namespace-busybox-prohibit", ["ping: sendto: Permission denied"]),
    ],
)
def test_captured_problems(captured: Captured, name: str, texts: list[str]) -> None:
    problems = events(captured(f"ping/{name}.txt"))
    assert problems == [PingProblem(target="10.10.10.1", payload_bytes=56, uptime_s=100.0, text=text) for text in texts]


@pytest.mark.parametrize(
    "line",
    [
        "ping: sendmsg: Network is unreachable",
        "ping: sendmsg: Operation not permitted",
        "ping6: socket: Operation not permitted",
        "sh: 1: ping: not found",
        "/bin/bash: line 1: /usr/bin/ping: Permission denied",
        "From 10.0.0.254 icmp_seq=3 Time to live exceeded",
        "From 10.0.0.254 icmp_seq=1 Frag needed and DF set (mtu = 1400)",
        "From gw.example (10.0.0.254) icmp_seq=4 Packet filtered",
        "Warning: time of day goes back (-12us), taking countermeasures",
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64 time=40.2 ms (BAD CHECKSUM!)",
        "64 bytes from 10.10.10.9: icmp_seq=3 ttl=64 time=40.2 ms (DIFFERENT ADDRESS!)",
        "40 bytes from 10.10.10.1: icmp_seq=3 ttl=64 (truncated)",
    ],
)
def test_other_problems(line: str) -> None:
    assert read(line) == PingProblem(target="10.10.10.1", payload_bytes=56, uptime_s=100.0, text=line)
    assert read("[1795345824.730436] " + line) == read(line)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PING 10.10.10.1 (10.10.10.1) 56(84) bytes of data.",
        "PING ::1 (::1): 56 data bytes",
        "[1795345830.828875] no answer yet for icmp_seq=1",
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64 time=40.2 ms (DUP!)",
        "64 bytes from 10.10.10.1: seq=3 ttl=64 time=40.2 ms (DUP!)",
        "--- 10.10.10.1 ping statistics ---",
        "8 packets transmitted, 8 received, 0% packet loss, time 3507ms",
        "2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1018ms",
        "rtt min/avg/max/mdev = 40.019/40.265/40.594/0.159 ms, pipe 4",
        "round-trip min/avg/max = 32.934/33.091/33.550 ms",
        "pipe 4",
        "9/10 packets, 10% loss, min/avg/ewma/max = 0.044/0.051/0.050/0.060 ms",
    ],
)
def test_what_needs_no_attention(line: str) -> None:
    assert read(line) is None


@pytest.mark.parametrize(
    "line",
    [
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64 time=40.2 m",
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64 time=4",
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64",
        "64 bytes from 10.10.10.1: icmp_s",
        "64 bytes from 10.10.10.1: icmp_seq=3 ttl=64 time=nan ms",
        "64 bytes from 10.10.10.1: icmp_seq=٣ ttl=64 time=4.0 ms",
        "tes from 10.10.10.1: icmp_seq=3 ttl=64 time=40.2 ms",
        "[1795345824.7",
        "something else",
        "ping: " + "x" * MAX_LINE,
    ],
)
def test_a_cut_or_foreign_line_is_no_reply(line: str) -> None:
    with pytest.raises(ParseError):
        read(line)


@pytest.mark.parametrize(
    ("shown", "rtt_ms"), [("0.037", 0.037), ("40.2", 40.2), ("1234", 1234.0), ("12345", 12345.0), ("0.000", 0.0)]
)
def test_round_trips_of_any_length(shown: str, rtt_ms: float) -> None:
    reply = read(f"64 bytes from host.example (10.10.10.1): icmp_seq=65535 ttl=64 time={shown} ms\n")
    assert reply == PingReply(target="10.10.10.1", payload_bytes=56, seq=65535, rtt_ms=rtt_ms, uptime_s=100.0)


def test_the_stamp_gives_the_time_of_sending_if_the_clocks_are_known() -> None:
    line = "[1795345824.730436] 64 bytes from 10.10.10.1: icmp_seq=1 ttl=64 time=40.0 ms"
    unknown, known = read(line), read(line, wall_minus_uptime_s=1795345724.0)
    assert isinstance(unknown, PingReply)
    assert isinstance(known, PingReply)
    assert unknown.sent_uptime_s is None
    assert known.sent_uptime_s == pytest.approx(100.690436, abs=1e-6)
    unstamped = read(line.partition("] ")[2], wall_minus_uptime_s=1795345724.0)
    assert isinstance(unstamped, PingReply)
    assert unstamped.sent_uptime_s is None


FRAGMENTS = st.sampled_from(
    [
        "64 bytes from ",
        "10.0.0.1",
        ": ",
        "icmp_seq=1",
        " seq=2",
        " ttl=64",
        " time=1.0 ms",
        "(DUP!)",
        "[1.5] ",
        "ping: ",
        "\x1b[",
    ]
)


@given(st.lists(st.one_of(FRAGMENTS, st.text(max_size=6)), max_size=20).map("".join))
def test_nothing_else_is_raised_and_no_text_is_dangerous(line: str) -> None:
    outcome: object
    try:
        outcome = read(line, wall_minus_uptime_s=5.0)
    except ParseError as error:
        outcome = error
    text = outcome.text if isinstance(outcome, PingProblem) else str(outcome)
    assert text.isprintable()
