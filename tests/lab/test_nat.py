"""Network address translation, packet by packet, without a network."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.faults.mtu import fragmentation_needed
from meshtop.lab.nat import MAX_MAPPINGS, Nat, _checksum

D, E, SHARED, A, B = "198.18.7.4", "198.18.7.5", "198.18.7.100", "198.18.7.1", "198.18.7.2"
ICMP, TCP, UDP = 1, 6, 17


def packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def ip(protocol: int, src: str, dst: str, payload: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0x4000, 64, protocol, 0) + packed(src) + packed(dst)
    return head[:10] + _checksum(head) + head[12:] + payload


def transport(protocol: int, src: str, dst: str, sport: int, dport: int, data: bytes = b"some data") -> bytes:
    """A TCP or UDP packet with right checksums."""
    if protocol == TCP:
        head, at = struct.pack("!HHIIBBHHH", sport, dport, 1, 2, 0x50, 0x18, 1000, 0, 0), 16
    else:
        head, at = struct.pack("!HHHH", sport, dport, 8 + len(data), 0), 6
    whole = head + data
    pseudo = packed(src) + packed(dst) + struct.pack("!BBH", 0, protocol, len(whole))
    checksum = _checksum(pseudo + whole)
    return ip(protocol, src, dst, whole[:at] + checksum + whole[at + 2 :])


def echo(kind: int, src: str, dst: str, identifier: int) -> bytes:
    message = struct.pack("!BBHHH", kind, 0, 0, identifier, 1) + b"odd"
    return ip(ICMP, src, dst, message[:2] + _checksum(message) + message[4:])


def sums_are_right(data: bytes) -> bool:
    """RFC 1071: summed with its checksum, right data gives zero."""
    if _checksum(data[:20]) != b"\0\0":
        return False
    if data[9] == ICMP:
        return _checksum(data[20:]) == b"\0\0"
    pseudo = data[12:20] + struct.pack("!BBH", 0, data[9], len(data) - 20)
    return _checksum(pseudo + data[20:]) == b"\0\0"


@pytest.fixture
def nat() -> Nat:
    return Nat({"d": D, "e": E}, SHARED)


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_what_the_inside_opens_comes_back(nat: Nat, protocol: int) -> None:
    assert nat.translate(transport(protocol, E, A, 40000, 443)) == transport(protocol, SHARED, A, 40000, 443)
    assert nat.translate(transport(protocol, A, SHARED, 443, 40000)) == transport(protocol, A, E, 443, 40000)


def test_pings_of_the_inside_are_answered_and_others_are_not_let_in(nat: Nat) -> None:
    assert nat.translate(echo(0, A, SHARED, 77)) is None
    assert nat.translate(echo(8, E, A, 77)) == echo(8, SHARED, A, 77)
    assert nat.translate(echo(0, A, SHARED, 77)) == echo(0, A, E, 77)
    assert nat.translate(echo(8, A, SHARED, 77)) is None


def test_what_the_outside_opens_is_dropped(nat: Nat) -> None:
    assert nat.translate(transport(TCP, A, SHARED, 50000, 5201)) is None
    assert nat.translate(transport(TCP, A, E, 50000, 5201)) is None
    assert nat.translate(transport(TCP, D, E, 50000, 5201)) is None
    assert nat.translate(transport(TCP, D, SHARED, 50000, 5201)) is None


def test_only_those_that_were_sent_to_may_answer(nat: Nat) -> None:
    nat.translate(transport(UDP, E, A, 40000, 443))
    assert nat.translate(transport(UDP, B, SHARED, 443, 40000)) is None
    assert nat.translate(transport(UDP, A, SHARED, 444, 40000)) is None
    assert nat.translate(transport(TCP, A, SHARED, 443, 40000)) is None


def test_two_sites_with_one_port_are_told_apart(nat: Nat) -> None:
    first = nat.translate(transport(TCP, D, A, 40000, 443))
    second = nat.translate(transport(TCP, E, A, 40000, 443))
    assert first is not None
    assert second is not None
    assert first[20:22] != second[20:22]
    assert first[12:16] == second[12:16] == packed(SHARED)
    port = int.from_bytes(second[20:22], "big")
    assert nat.translate(transport(TCP, A, SHARED, 443, port)) == transport(TCP, A, E, 443, 40000)
    assert nat.translate(transport(TCP, A, SHARED, 443, 40000)) == transport(TCP, A, D, 443, 40000)


def test_packets_between_others_are_left_as_they_are(nat: Nat) -> None:
    packet = transport(TCP, A, B, 1, 2)
    assert nat.translate(packet) is packet
    assert nat.translate(b"short") == b"short"


def test_an_icmp_error_about_a_packet_of_the_inside_reaches_it(nat: Nat) -> None:
    sent = nat.translate(transport(TCP, E, A, 40000, 443))
    assert sent is not None
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 1300) + sent[:28]  # fragmentation needed, the next hop's MTU
    error = ip(ICMP, B, SHARED, message[:2] + _checksum(message) + message[4:])
    come = nat.translate(error)
    assert come is not None
    assert sums_are_right(come)
    assert come[16:20] == packed(E)
    about = come[28:]
    assert (about[12:16], about[20:22]) == (packed(E), (40000).to_bytes(2, "big"))
    assert _checksum(about[:20]) == b"\0\0"
    assert come[26:28] == (1300).to_bytes(2, "big")


def test_an_error_of_the_wan_itself_is_told_in_the_receivers_terms(nat: Nat) -> None:
    out = nat.translate(transport(TCP, E, A, 40000, 443, bytes(1400)))
    back = nat.translate(transport(TCP, A, SHARED, 443, 40000, bytes(1400)))
    assert out is not None
    assert back is not None
    error = fragmentation_needed(out, 1300)
    assert error is not None
    told = nat.hand_over(error)
    assert sums_are_right(told)
    assert (told[16:20], told[40:44], told[48:50]) == (packed(E), packed(E), (40000).to_bytes(2, "big"))
    error = fragmentation_needed(back, 1300)
    assert error is not None
    told = nat.hand_over(error)
    assert sums_are_right(told)
    assert (told[16:20], told[44:48], told[50:52]) == (packed(A), packed(SHARED), (40000).to_bytes(2, "big"))
    assert nat.hand_over(out) is out


def test_an_error_about_nothing_of_ours_is_dropped(nat: Nat) -> None:
    message = struct.pack("!BBHHH", 3, 4, 0, 0, 1300) + transport(TCP, SHARED, A, 9, 443)[:28]
    assert nat.translate(ip(ICMP, B, SHARED, message)) is None
    assert nat.translate(ip(ICMP, B, SHARED, message[:8])) is None


def test_fragments_and_unknown_protocols_do_not_pass(nat: Nat) -> None:
    fragment = bytearray(transport(UDP, E, A, 1, 2))
    fragment[6:8] = b"\x20\x00"
    assert nat.translate(bytes(fragment)) is None
    assert nat.translate(ip(47, E, A, b"generic routing")) is None


def test_the_oldest_mapping_makes_room(nat: Nat) -> None:
    for port in range(1, MAX_MAPPINGS + 2):
        nat.translate(transport(UDP, E, A, port, 443))
    assert nat.translate(transport(UDP, A, SHARED, 443, 1)) is None
    assert nat.translate(transport(UDP, A, SHARED, 443, 2)) is not None


@given(st.sampled_from([TCP, UDP]), st.integers(1, 0xFFFF), st.integers(1, 0xFFFF), st.binary(max_size=60))
def test_checksums_stay_right(protocol: int, sport: int, dport: int, data: bytes) -> None:
    nat = Nat({"d": D, "e": E}, SHARED)
    nat.translate(transport(protocol, D, A, sport, dport))  # so that the port has to change
    out = nat.translate(transport(protocol, E, A, sport, dport, data))
    assert out is not None
    assert sums_are_right(out)
    port = int.from_bytes(out[20:22], "big")
    back = nat.translate(transport(protocol, A, SHARED, dport, port, data))
    assert back is not None
    assert sums_are_right(back)


@given(st.integers(0x40, 0x4F), st.binary(min_size=11, max_size=100))
def test_nothing_breaks_it(first: int, data: bytes) -> None:
    nat = Nat({"e": E}, SHARED)
    for src, dst in ((E, A), (A, SHARED)):
        packet = bytes([first]) + data[:11] + packed(src) + packed(dst) + data[11:]
        nat.translate(packet)
        nat.hand_over(packet)
