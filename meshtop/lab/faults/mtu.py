"""A part of the way that carries no large packets, with the ICMP message that says so and without it.

Read for this: RFC 1191 (path MTU discovery), RFC 2923 (what happens when the message does not come), RFC 792 (ICMP),
RFC 1122 section 3.2.2 (for what no ICMP error is sent), RFC 1812 section 4.3.2.3 (how much of the packet it quotes).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random

from meshtop.lab.faults.base import Fault, count
from meshtop.lab.faults.loss import ICMP

LEAST_MTU, MOST_MTU = 576, 1500  # below, TCP does not go (net.ipv4.route.min_pmtu); above, nothing is that large
ROUTER_HOST = 254  # last octet of who answers: in the network of the packet, where no site is
QUOTED_BYTES = 548  # the answer is of at most 576 bytes
_ICMP_QUERIES = (0, 8, 13, 14, 15, 16)  # all other types are errors, which are never answered with one


class MtuBlackhole(Fault):
    """Packets above a size vanish, and no ICMP message says so."""

    kind = "mtu-blackhole"
    value_help = f"IP bytes that pass, {LEAST_MTU} to {MOST_MTU}, such as 1300"

    def take(self, value: str) -> None:
        self.mtu = count(value, LEAST_MTU, MOST_MTU)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return () if len(data) > self.mtu else (at,)


class Mtu(MtuBlackhole):
    """Packets above a size are dropped, and ICMP tells their sender how large they may be."""

    kind = "mtu"

    def answer(self, data: bytes) -> bytes | None:
        return fragmentation_needed(data, self.mtu)


def fragmentation_needed(data: bytes, mtu: int) -> bytes | None:
    """The ICMP message for an IPv4 packet that is too large: destination unreachable, fragmentation needed.

    None for what must not be answered: ICMP errors, and fragments other than the first.
    """
    header = (data[0] & 0x0F) * 4
    if int.from_bytes(data[6:8], "big") & 0x1FFF:
        return None
    if data[9] == ICMP and (len(data) <= header or data[header] not in _ICMP_QUERIES):
        return None
    message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + data[: header + QUOTED_BYTES - 28]
    message = message[:2] + _checksum(message) + message[4:]
    router = data[16:19] + bytes([ROUTER_HOST])
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0xC0, 20 + len(message), 0, 0, 64, ICMP, 0, router, data[12:16])
    return head[:10] + _checksum(head) + head[12:] + message


def _checksum(data: bytes) -> bytes:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
