"""Network address translation: some sites share one public address, and nobody else opens connections to them.

A translator keeps a port where it can, has one mapping for each inside socket, and lets in what that socket has sent to
before, by address and port (RFC 4787: endpoint-independent mapping, address- and port-dependent filtering). Packets are
translated as they enter the WAN, so lines and faults know sites by their own addresses. Checksums: RFC 1624.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Mapping

ICMP, TCP, UDP = 1, 6, 17
ECHO_REPLY, ECHO = 0, 8
ICMP_ERRORS = (3, 11, 12)  # unreachable, time exceeded, parameter problem: they hold the packet that they are about
MAX_MAPPINGS = 4096  # the one that was used least recently is forgotten for a new one, as small routers do
FIRST_PORT = 20_000  # where the search for a free one begins
_CHECKSUM_AT = {TCP: 16, UDP: 6, ICMP: 2}

Inside = tuple[int, bytes, bytes]  # protocol, address, port or ICMP identifier


class _MappingEntry:
    """An inside socket, the port that others see, and whom it has sent to."""

    __slots__ = ("inside", "peers", "port")

    def __init__(self, inside: Inside, port: bytes) -> None:
        self.inside = inside
        self.port = port
        self.peers: set[tuple[bytes, bytes]] = set()


class Nat:
    """``sites`` gives the own address of every site behind NAT, ``shared`` the address that others see."""

    def __init__(self, sites: Mapping[str, str], shared: str) -> None:
        self._inside = {ipaddress.IPv4Address(address).packed for address in sites.values()}
        self._shared = ipaddress.IPv4Address(shared).packed
        self._by_inside: OrderedDict[Inside, _MappingEntry] = OrderedDict()
        self._by_port: dict[tuple[int, bytes], _MappingEntry] = {}

    def translate(self, data: bytes) -> bytes | None:
        """A packet of the public network as it goes on; None where it cannot."""
        if len(data) < 20 or data[0] >> 4 != 4:
            return data  # the WAN refuses it, and says why
        if data[16:20] in self._inside:
            return None  # an address of the inside means nothing out here
        if data[16:20] == self._shared:
            return None if data[12:16] in self._inside else self._inward(data)
        return self._outward(data) if data[12:16] in self._inside else data

    def hand_over(self, data: bytes) -> bytes:
        """A packet of the public network as its receiver is to see it. An ICMP error that was made on the way quotes a
        packet between translations."""
        header = (data[0] & 0x0F) * 4
        if data[9] != ICMP or len(data) < header + 28 or data[header] not in ICMP_ERRORS:
            return data
        if data[16:20] == self._shared:
            return self._inward(data) or data
        about = data[header + 8 :]
        ports = _ports(about, ECHO_REPLY)
        entry = None if ports is None else self._by_inside.get((about[9], about[16:20], ports[1]))
        return data if entry is None else _quoting(data, header, _rewritten(about, 16, self._shared, 2, entry.port))

    def _outward(self, data: bytes) -> bytes | None:
        ports = _ports(data, ECHO)
        if ports is None:
            return None
        own, far = ports
        entry = self._entry((data[9], data[12:16], own))
        entry.peers.add((data[16:20], far))
        return _rewritten(data, 12, self._shared, 0, entry.port)

    def _inward(self, data: bytes) -> bytes | None:
        header = (data[0] & 0x0F) * 4
        if data[9] == ICMP and len(data) > header and data[header] in ICMP_ERRORS:
            return self._error_inward(data, header)
        ports = _ports(data, ECHO_REPLY)
        if ports is None:
            return None
        far, own = ports
        entry = self._by_port.get((data[9], own))
        if entry is None or (data[12:16], far) not in entry.peers:
            return None
        self._by_inside.move_to_end(entry.inside)
        _, address, port = entry.inside
        return _rewritten(data, 16, address, 2, port)

    def _error_inward(self, data: bytes, header: int) -> bytes | None:
        """An ICMP error about a packet of ours: that one inside it has to be translated too."""
        about = data[header + 8 :]
        ports = _ports(about, ECHO)
        entry = None if ports is None else self._by_port.get((about[9], ports[0]))
        if entry is None:
            return None
        _, address, port = entry.inside
        whole = bytearray(_quoting(data, header, _rewritten(about, 12, address, 0, port)))
        _put(whole, 16, address, (10,))
        return bytes(whole)

    def _entry(self, inside: Inside) -> _MappingEntry:
        entry = self._by_inside.get(inside)
        if entry is not None:
            self._by_inside.move_to_end(inside)
            return entry
        if len(self._by_inside) >= MAX_MAPPINGS:
            _, oldest = self._by_inside.popitem(last=False)
            del self._by_port[oldest.inside[0], oldest.port]
        entry = _MappingEntry(inside, self._free_port(inside))
        self._by_inside[inside] = self._by_port[inside[0], entry.port] = entry
        return entry

    def _free_port(self, inside: Inside) -> bytes:
        protocol, _, port = inside
        number = FIRST_PORT
        while (protocol, port) in self._by_port:
            port = number.to_bytes(2, "big")
            number += 1
        return port


def _ports(data: bytes, echo: int) -> tuple[bytes, bytes] | None:
    """Source and target port of a packet; for an ICMP message of type ``echo`` its identifier and nothing, in that
    order for ECHO, reversed for ECHO_REPLY. None for all else, fragments too: only their first has ports."""
    header = (data[0] & 0x0F) * 4 if data else 0
    if len(data) < header + 8 or header < 20 or int.from_bytes(data[6:8], "big") & 0x3FFF:
        return None
    if data[9] in (TCP, UDP):
        return data[header : header + 2], data[header + 2 : header + 4]
    if data[9] == ICMP and data[header] == echo:
        identifier = data[header + 4 : header + 6]
        return (identifier, b"") if echo == ECHO else (b"", identifier)
    return None


def _rewritten(data: bytes, address_at: int, address: bytes, port_at: int, port: bytes) -> bytes:
    """With another address, and another port or ICMP identifier; checksums follow. What an ICMP error cites may end
    before its checksum, and those of its payload need not be right (RFC 5508)."""
    header = (data[0] & 0x0F) * 4
    whole = bytearray(data)
    protocol = data[9]
    checksum_at = header + _CHECKSUM_AT[protocol]
    has_checksum = len(whole) >= checksum_at + 2 and not (
        protocol == UDP and data[checksum_at : checksum_at + 2] == b"\0\0"
    )
    of_payload = (checksum_at,) if has_checksum else ()
    # an ICMP checksum covers no addresses
    _put(whole, address_at, address, (10, *of_payload) if protocol != ICMP else (10,))
    _put(whole, header + (4 if protocol == ICMP else port_at), port, of_payload)
    return bytes(whole)


def _quoting(error: bytes, header: int, about: bytes) -> bytes:
    """An ICMP error with another quotation of the same length."""
    message = error[header : header + 2] + b"\0\0" + error[header + 4 : header + 8] + about
    return error[:header] + message[:2] + _checksum(message) + message[4:]


def _put(whole: bytearray, at: int, new: bytes, checksums_at: tuple[int, ...]) -> None:
    """Replace an even number of bytes and bring the checksums that cover them up to date (RFC 1624, equation 3)."""
    old = bytes(whole[at : at + len(new)])
    change = sum((0xFFFF - _word(old, n)) + _word(new, n) for n in range(0, len(new), 2))
    whole[at : at + len(new)] = new
    for place in checksums_at:
        total = (0xFFFF - _word(whole, place)) + change
        whole[place : place + 2] = (0xFFFF - _folded(total)).to_bytes(2, "big")


def _word(data: bytes | bytearray, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def _folded(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def _checksum(data: bytes) -> bytes:
    padded = data + b"\0" * (len(data) % 2)
    return (0xFFFF - _folded(sum(_word(padded, at) for at in range(0, len(padded), 2)))).to_bytes(2, "big")
