"""From cumulative counters to what was counted between two readings.

Kernel sources: /proc/net/snmp and netstat (``net/ipv4/proc.c``), /proc/net/dev and softnet_stat
(``net/core/net-procfs.c``). Counters only rise, except that they start anew (reboot, an interface made again) and that
those of a 32-bit kernel wrap. A difference that makes no sense is *not known*, never zero and never negative.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshtop.model import Value
from meshtop.readings import DevCounters, SoftnetRow

WRAP_AT = 2**32
# A counter that fell has wrapped only if it was close to the end before and is close to the start now; anything else is
# a new start. A quarter of the range on each side is over a minute at 100 Mbit/s.
_WRAP_MARGIN = 2**30
# No interface of a mesh does 1 Tbit/s. A larger step is a damaged reading.
MAX_PER_S = 125_000_000_000

# Datagrams that came and found their socket's buffer, or the memory for all of them, full.
_UDP_DROPPED = (("Udp", "RcvbufErrors"), ("Udp", "MemErrors"))

# The node-wide TCP counters that are followed: those of a node's ``tcp``.
RETRANS, ORIG_SENT, TIMEOUTS, DSACK, FAST, SLOW_START, TLP, SYN, *UNDONE = range(12)
COUNTERS: tuple[tuple[str, str], ...] = (
    ("Tcp", "RetransSegs"),
    ("TcpExt", "TCPOrigDataSent"),
    ("TcpExt", "TCPTimeouts"),
    ("TcpExt", "TCPDSACKRecv"),
    ("TcpExt", "TCPFastRetrans"),
    ("TcpExt", "TCPSlowStartRetrans"),
    ("TcpExt", "TCPLossProbes"),
    ("TcpExt", "TCPSynRetrans"),
    # A recovery is undone in one of these four ways; TCPSpuriousRTOs is counted beside TCPLossUndo.
    ("TcpExt", "TCPFullUndo"),
    ("TcpExt", "TCPPartialUndo"),
    ("TcpExt", "TCPDSACKUndo"),
    ("TcpExt", "TCPLossUndo"),
)


def advance(before: int, now: int, seconds: float) -> int | None:
    """How far a cumulative counter moved; None where that cannot be told (a new start, a damaged reading)."""
    step = now - before
    if step < 0:
        if not (WRAP_AT - _WRAP_MARGIN <= before < WRAP_AT and 0 <= now < _WRAP_MARGIN):
            return None
        step += WRAP_AT
    return step if step <= MAX_PER_S * max(seconds, 1.0) else None


class CounterReading(NamedTuple):
    """The node-wide counters of one frame. A part that is None cannot be read on that node."""

    snmp: Mapping[str, Mapping[str, int]] | None
    netstat: Mapping[str, Mapping[str, int]] | None
    net_dev: Mapping[str, DevCounters] | None
    softnet: tuple[SoftnetRow, ...] | None

    def value(self, section: str, name: str) -> int | None:
        for source in (self.snmp, self.netstat):
            if source is not None and section in source:
                return source[section].get(name)
        return None


class DevDelta(Value, frozen=True, kw_only=True):
    """One interface between two readings."""

    rx_bytes: int
    tx_bytes: int
    rx_drop: int
    tx_drop: int


class CounterDeltas(Value, frozen=True, kw_only=True):
    """What was counted in an interval. ``tcp`` goes with :data:`COUNTERS`. ``devices`` (None: cannot be read) leaves
    out interfaces that stood still; one whose difference is not known is None in it."""

    tcp: tuple[int | None, ...]
    devices: Mapping[str, DevDelta | None] | None
    softnet_dropped: int | None
    udp_dropped: int | None = None  # IPv4: that of IPv6 is in /proc/net/snmp6, which is not read


def difference(before: CounterReading, now: CounterReading, seconds: float) -> CounterDeltas:
    """What was counted in the ``seconds`` between two readings of the same boot."""
    return CounterDeltas(
        tcp=tuple(_step(before.value(*name), now.value(*name), seconds) for name in COUNTERS),
        devices=_devices(before.net_dev, now.net_dev, seconds),
        softnet_dropped=_softnet(before.softnet, now.softnet, seconds),
        udp_dropped=_sum_known(_step(before.value(*name), now.value(*name), seconds) for name in _UDP_DROPPED),
    )


def _sum_known(steps: Iterable[int | None]) -> int | None:
    """None where none is known."""
    known = [step for step in steps if step is not None]
    return sum(known) if known else None


def _step(before: int | None, now: int | None, seconds: float) -> int | None:
    return None if before is None or now is None else advance(before, now, seconds)


def _devices(
    before: Mapping[str, DevCounters] | None, now: Mapping[str, DevCounters] | None, seconds: float
) -> dict[str, DevDelta | None] | None:
    if before is None or now is None:
        return None
    deltas: dict[str, DevDelta | None] = {}
    if now is before:
        return deltas
    for name, counters in now.items():
        old = before.get(name)
        if counters is not old:
            delta = _device(old, counters, seconds) if old is not None else None
            if delta is None or delta != _STILL:
                deltas[name] = delta
    return deltas


_STILL = DevDelta(rx_bytes=0, tx_bytes=0, rx_drop=0, tx_drop=0)


def _device(before: DevCounters, now: DevCounters, seconds: float) -> DevDelta | None:
    rx = advance(before.rx_bytes, now.rx_bytes, seconds)
    tx = advance(before.tx_bytes, now.tx_bytes, seconds)
    rx_drop = advance(before.rx_drop, now.rx_drop, seconds)
    tx_drop = advance(before.tx_drop, now.tx_drop, seconds)
    if rx is None or tx is None or rx_drop is None or tx_drop is None:
        return None
    return DevDelta(rx_bytes=rx, tx_bytes=tx, rx_drop=rx_drop, tx_drop=tx_drop)


def _softnet(before: tuple[SoftnetRow, ...] | None, now: tuple[SoftnetRow, ...] | None, seconds: float) -> int | None:
    if before is None or now is None:
        return None
    if before is now:
        return 0
    old = {row.cpu: row.dropped for row in before}
    steps = [advance(old[row.cpu], row.dropped, seconds) for row in now if row.cpu in old]
    return _sum_known(steps)  # a CPU that came or went takes nothing away from what the others tell
