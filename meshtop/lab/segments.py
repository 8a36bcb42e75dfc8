"""IP packets as captures have them, and the TCP segments in them. RFC 791, RFC 8200, RFC 9293; SACK: RFC 2018."""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import NamedTuple

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
_SEQ = 1 << 32


class Packet(NamedTuple):
    """One IP packet with the time at which the kernel saw it, in seconds."""

    at: float
    outgoing: bool
    data: bytes


class FlowId(NamedTuple):
    """The direction in which data flows."""

    src: str
    src_port: int
    dst: str
    dst_port: int

    def back(self) -> FlowId:
        return FlowId(self.dst, self.dst_port, self.src, self.src_port)


class Segment(NamedTuple):
    """A TCP segment's header fields. ``payload`` is its length in bytes; ``sack`` lists (left, right) blocks;
    ``stamps`` are TSval and TSecr (RFC 7323), zeros without."""

    flow: FlowId
    seq: int
    ack: int
    flags: int
    window: int
    payload: int
    sack: tuple[tuple[int, int], ...]
    stamps: tuple[int, int] = (0, 0)


def parse_segment(data: bytes) -> Segment | None:
    """The TCP segment in an IPv4 or IPv6 packet, whose payload may have been cut off by the capture's snap length.
    None for anything else: other protocols, fragments, damaged headers."""
    if len(data) < 40:
        return None
    version = data[0] >> 4
    if version == 4:
        header = (data[0] & 0x0F) * 4
        total = int.from_bytes(data[2:4], "big")
        if data[9] != 6 or int.from_bytes(data[6:8], "big") & 0x3FFF:
            return None
        src, dst = _address(data[12:16]), _address(data[16:20])
    elif version == 6:
        header, total = 40, 40 + int.from_bytes(data[4:6], "big")
        if data[6] != 6:
            return None
        src, dst = _address(data[8:24]), _address(data[24:40])
    else:
        return None
    tcp = data[header:]
    if len(tcp) < 20:
        return None
    sport, dport, seq, ack, offset, flags, window = struct.unpack_from("!HHIIBBH", tcp)
    options_end = (offset >> 4) * 4
    payload = total - header - options_end
    if options_end < 20 or payload < 0:
        return None
    sack, stamps = _options(tcp[20 : min(options_end, len(tcp))])
    return Segment(FlowId(src, sport, dst, dport), seq, ack, flags, window, payload, sack, stamps)


@lru_cache(maxsize=1024)
def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


_ONLY_STAMPS = b"\x01\x01\x08\x0a"  # how the options of most segments begin; ten bytes more, and they end


def _options(options: bytes) -> tuple[tuple[tuple[int, int], ...], tuple[int, int]]:
    """SACK blocks and time stamps."""
    if len(options) == 12 and options[:4] == _ONLY_STAMPS:
        return (), struct.unpack_from("!II", options, 4)
    sack: tuple[tuple[int, int], ...] = ()
    stamps = (0, 0)
    at = 0
    while at < len(options):
        kind = options[at]
        if kind == 0:
            break
        if kind == 1:
            at += 1
            continue
        if at + 1 >= len(options) or options[at + 1] < 2:
            break
        length = options[at + 1]
        if kind == 5 and at + length <= len(options):
            words = struct.unpack_from(f"!{(length - 2) // 4}I", options, at + 2)
            sack = tuple(zip(words[::2], words[1::2], strict=False))
        elif kind == 8 and length == 10 and at + length <= len(options):
            stamps = struct.unpack_from("!II", options, at + 2)
        at += length
    return sack, stamps


def unwrap(value: int, near: int) -> int:
    """A 32-bit sequence number as the unbounded one closest to ``near``."""
    return near + ((value - near + (_SEQ >> 1)) % _SEQ) - (_SEQ >> 1)
