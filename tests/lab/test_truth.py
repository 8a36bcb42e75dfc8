"""The truth checker on captures made by hand: each packet is written out, so that each figure can be counted."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from meshtop.lab.segments import Packet, parse_segment
from meshtop.lab.truth import check

A, B = "10.10.10.5", "10.10.10.1"
SYN, ACK, FIN, RST = 0x02, 0x10, 0x01, 0x04


def tcp(
    src: str,
    dst: str,
    seq: int,
    ack: int = 0,
    payload: int = 0,
    flags: int = ACK,
    ports: tuple[int, int] = (1, 2),
    window: int = 100,
) -> bytes:
    sport, dport = ports if src == A else ports[::-1]
    head = struct.pack("!HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, 5 << 4, flags, window, 0, 0)
    total = 20 + len(head) + payload
    ip = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0, 64, 6, 0)
    return ip + ipaddress.IPv4Address(src).packed + ipaddress.IPv4Address(dst).packed + head + b"x" * payload


def out(at: float, seq: int, payload: int = 100, flags: int = ACK) -> Packet:
    return Packet(at, True, tcp(A, B, seq, 1, payload, flags))


def ack(at: float, number: int, flags: int = ACK, window: int = 100) -> Packet:
    return Packet(at, False, tcp(B, A, 1, number, 0, flags, window=window))


def arrive(at: float, seq: int, payload: int = 100, flags: int = ACK) -> Packet:
    return Packet(at, False, tcp(A, B, seq, 1, payload, flags))


def test_clean_flow() -> None:
    (flow,) = check([out(0, 100), ack(0.03, 200), out(0.04, 200), ack(0.07, 300)])
    assert (flow.data_segments, flow.data_bytes, flow.acked_bytes) == (2, 200, 200)
    assert flow.retransmitted_segments == 0
    assert flow.stalls == ()
    assert flow.needless_bytes is None
    assert flow.needless_pct is None


def test_stall_begins_at_the_last_advancing_ack_when_data_was_outstanding() -> None:
    packets = [out(0.0, 100), out(0.0, 200), ack(0.03, 200), out(0.5, 200), out(1.5, 200), ack(2.0, 300)]
    (flow,) = check(packets)
    (stall,) = flow.stalls
    assert (stall.start, stall.end, stall.outcome) == (0.03, 2.0, "recovered")
    assert stall.retransmissions == 2
    assert (flow.retransmitted_segments, flow.retransmitted_bytes) == (2, 200)


def test_stall_begins_at_the_first_segment_when_nothing_was_outstanding() -> None:
    """An idle connection does not stall, however long; the wait begins with what is sent."""
    (flow,) = check([out(0.0, 100), ack(0.03, 200), out(60.0, 200), ack(61.0, 300)])
    (stall,) = flow.stalls
    assert (stall.start, stall.end) == (60.0, 61.0)


def test_duplicate_acks_do_not_end_a_stall() -> None:
    packets = [out(0.0, 100), out(0.0, 200), ack(0.03, 200), ack(0.5, 200), ack(0.9, 200), ack(1.2, 300)]
    (flow,) = check(packets)
    assert [(s.start, s.end) for s in flow.stalls] == [(0.03, 1.2)]


def test_short_waits_are_no_stalls() -> None:
    (flow,) = check([out(0.0, 100), ack(0.19, 200)])
    assert flow.stalls == ()


def test_a_closed_window_is_a_stall_from_the_ack_that_closed_it() -> None:
    """All is acknowledged, nothing more is sent but window probes; then the window opens."""
    probes = [out(at, 199, 0) for at in (0.3, 0.7, 1.5)]
    opening = [ack(2.0, 200, window=500), out(2.0, 200), ack(2.03, 300)]
    (flow,) = check([out(0.0, 100), ack(0.03, 200, window=0), *probes, ack(0.33, 200, window=0), *opening])
    assert [(s.start, s.end) for s in flow.stalls] == [(0.03, 2.03)]
    assert flow.retransmitted_segments == 0


def test_a_closed_window_is_no_stall_when_nothing_waits_to_be_sent() -> None:
    closed = [out(0.0, 100), ack(0.03, 200, window=0)]
    (flow,) = check([*closed, ack(5.0, 200, window=500), out(60.0, 200), ack(60.03, 300)])
    assert flow.stalls == ()


def test_a_keepalive_on_an_open_window_is_no_stall() -> None:
    (flow,) = check([out(0.0, 100), ack(0.03, 200), out(60.0, 199, 0), out(62.0, 200), ack(62.03, 300)])
    assert flow.stalls == ()


def test_what_the_flows_own_round_trips_explain_is_told_with_a_stall() -> None:
    """Round trips of a second each; then one that takes five. What is sent again says nothing of them."""
    steady = [each for n in range(40) for each in (out(float(n), 100 + 100 * n), ack(n + 1.0, 200 + 100 * n))]
    (flow,) = check([*steady, out(40.0, 4100), out(42.0, 4100), ack(45.0, 4200), out(45.0, 4200), ack(46.0, 4300)])
    last_but_one, last = flow.stalls[-2:]
    assert last_but_one.duration_s == 5.0
    assert 2.0 <= last_but_one.explained_s <= 2.1
    assert last.explained_s == pytest.approx(last_but_one.explained_s, abs=0.01)


def test_before_any_round_trip_only_the_least_time_out_explains_a_wait() -> None:
    (flow,) = check([out(0.0, 100), ack(3.0, 200)])
    assert flow.stalls[0].explained_s == pytest.approx(0.2)


def test_an_old_ack_that_is_overtaken_changes_nothing() -> None:
    (flow,) = check([out(0.0, 100), out(0.0, 200), ack(0.03, 300), ack(0.04, 200), out(0.05, 300), ack(0.08, 400)])
    assert flow.acked_bytes == 300
    assert flow.stalls == ()


def test_reset_while_data_is_outstanding_is_lost() -> None:
    (flow,) = check([out(0.0, 100), ack(1.0, 1, RST)])
    assert [(s.outcome, s.end) for s in flow.stalls] == [("lost", 1.0)]


def test_capture_that_ends_in_a_stall_says_open() -> None:
    (flow,) = check([out(0.0, 100), out(3.0, 100)])
    (stall,) = flow.stalls
    assert (stall.start, stall.end, stall.outcome, stall.retransmissions) == (0.0, 3.0, "open", 1)


def test_sequence_numbers_wrap() -> None:
    near = 2**32 - 150
    (flow,) = check(
        [out(0.0, near), out(0.01, near + 100), out(0.02, near + 200), ack(0.05, near + 300), out(0.06, near + 300)]
    )
    assert flow.retransmitted_segments == 0
    assert flow.acked_bytes == 300
    assert flow.data_bytes == 400


def test_part_of_a_segment_sent_again_counts_its_old_bytes() -> None:
    (flow,) = check([out(0.0, 100, 100), out(0.1, 150, 100), ack(0.15, 250)])
    assert (flow.retransmitted_segments, flow.retransmitted_bytes) == (1, 50)


def test_syn_sent_again_is_told_apart_from_data() -> None:
    packets = [out(0.0, 99, 0, SYN), out(1.0, 99, 0, SYN), ack(1.03, 100, SYN | ACK), out(1.04, 100), ack(1.07, 200)]
    (flow,) = check(packets)
    assert flow.syn_retransmissions == 1
    assert flow.retransmitted_segments == 0
    assert [(s.start, s.end) for s in flow.stalls] == [(0.0, 1.03)]


def test_needless_is_what_the_receiver_had_already() -> None:
    sender = [out(0.0, 100), out(0.0, 200), out(0.3, 100), out(0.3, 200), ack(0.35, 300)]
    spurious = [arrive(0.1, 100), arrive(0.2, 200), arrive(0.4, 100), arrive(0.4, 200)]
    lost = [arrive(0.4, 100), arrive(0.4, 200)]
    (flow,) = check(sender, spurious)
    assert (flow.needless_bytes, flow.needless_segments, flow.needless_pct) == (200, 2, 100.0)
    (flow,) = check(sender, lost)
    assert (flow.arrived_bytes, flow.needless_bytes, flow.needless_pct) == (200, 0, 0.0)


def test_reordering_alone_is_not_needless() -> None:
    sender = [out(0.0, 100), out(0.0, 200), out(0.0, 300), ack(0.1, 400)]
    (flow,) = check(sender, [arrive(0.05, 200), arrive(0.06, 300), arrive(0.07, 100)])
    assert flow.needless_bytes == 0


def test_overlapping_arrivals_count_only_known_bytes() -> None:
    (flow,) = check(
        [out(0.0, 100, 300), ack(0.1, 400)], [arrive(0.1, 100, 100), arrive(0.1, 300, 100), arrive(0.2, 150, 200)]
    )
    assert flow.needless_bytes == 50 + 50


def test_a_tuple_used_again_is_another_flow() -> None:
    first = [out(0.0, 99, 0, SYN), out(0.1, 100), ack(0.15, 200)]
    second = [out(5.0, 5000, 0, SYN), out(5.1, 5001), ack(5.15, 5101)]
    got = [
        arrive(0.05, 99, 0, SYN),
        arrive(0.12, 100),
        arrive(5.05, 5000, 0, SYN),
        arrive(5.12, 5001),
        arrive(5.2, 5001),
    ]
    one, two = check(first + second, got)
    assert (one.data_bytes, two.data_bytes) == (100, 100)
    assert one.stalls == two.stalls == ()
    assert (one.needless_bytes, two.needless_bytes) == (0, 100)


def test_both_directions_of_a_connection_are_flows_of_their_senders() -> None:
    packets = [out(0.0, 100), Packet(0.05, False, tcp(B, A, 1, 200, 500)), ack(0.06, 200)]
    (flow,) = check(packets)
    assert flow.flow.src == A


@pytest.mark.parametrize(
    "damage", [b"", b"\x45", b"\x60" * 50, b"\x00" * 60, tcp(A, B, 1)[:30], b"\x45" + b"\xff" * 59]
)
def test_what_is_no_tcp_is_passed_over(damage: bytes) -> None:
    assert check([Packet(0.0, True, damage)]) == []


def test_fragments_are_no_segments() -> None:
    packet = bytearray(tcp(A, B, 1, payload=10))
    packet[6:8] = b"\x20\x00"
    assert parse_segment(bytes(packet)) is None


def test_sack_blocks_and_ipv6() -> None:
    option = b"\x01\x01\x05\x12" + struct.pack("!4I", 10, 20, 30, 40)
    head = struct.pack("!HHIIBBHHH", 1, 2, 5, 6, (20 + len(option)) // 4 << 4, ACK, 7, 0, 0) + option
    ip = struct.pack("!IHBB", 6 << 28, len(head) + 9, 6, 64)
    ip += ipaddress.IPv6Address("fd00::1").packed + ipaddress.IPv6Address("fd00::2").packed
    segment = parse_segment(ip + head)
    assert segment is not None
    assert (segment.flow.src, segment.payload, segment.window) == ("fd00::1", 9, 7)
    assert segment.sack == ((10, 20), (30, 40))
    assert segment.stamps == (0, 0)


@pytest.mark.parametrize("around", [(b"\x01\x01", b""), (b"", b"\x01\x01"), (b"\x05\x0a" + bytes(8), b"\x01\x01")])
def test_time_stamps_are_read_wherever_they_stand(around: tuple[bytes, bytes]) -> None:
    before, after = around
    option = before + b"\x08\x0a" + struct.pack("!2I", 123456, 654321) + after
    option += b"\x01" * (-len(option) % 4)
    packet = tcp(A, B, 1)
    head = bytearray(packet[20:])
    head[12] = (20 + len(option)) // 4 << 4
    segment = parse_segment(packet[:2] + struct.pack("!H", len(packet) + len(option)) + packet[4:20] + head + option)
    assert segment is not None
    assert segment.stamps == (123456, 654321)
