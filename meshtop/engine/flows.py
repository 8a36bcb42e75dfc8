"""The TCP sockets of one node: what they moved, link by link.

Source: ``ss -tinmoe`` (iproute2 ``misc/ss.c``, ``struct tcp_info``). Only sockets that changed are looked at.
Cumulative fields that ss leaves out count as zero here; whether a figure made of them may be shown at all is decided
by :func:`fields_missing`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshtop.engine.attribution import Attribution
from meshtop.engine.counters import advance
from meshtop.engine.timeseries import median
from meshtop.model import LinkKey
from meshtop.parse.ss_fields import supported_fields
from meshtop.readings import SocketChanges, SocketId, SocketReading

# Sockets that may still send, or have data outstanding: these are a link's flows. FIN-WAIT-2 has sent its all.
OPEN_STATES = frozenset(("ESTAB", "CLOSE-WAIT", "FIN-WAIT-1", "CLOSING", "LAST-ACK"))
# What has no tcp_info of a connection: its fields are absent, which must not be read as counters gone back to zero.
WITHOUT_INFO = frozenset(("TIME-WAIT", "LISTEN", "SYN-RECV", "NEW-SYN-RECV", "UNCONN", "BOUND-INACTIVE"))
# tcp_info's min_rtt is 2³²−1 µs until the first measurement (net/ipv4/tcp.c).
_NO_MINRTT_MS = 4_294_967.0

# Sockets that went are remembered for a while: one line of ss that could not be read must not make an old socket new.
_BURIED = 512

# What the figures of a link are made of, in the order of Cumulative.
FIGURE_FIELDS = ("bytes_acked", "bytes_received", "data_segs_out", "retrans_total", "dsack_dups")
Cumulative = tuple[int, int, int, int, int]
_ZERO: Cumulative = (0, 0, 0, 0, 0)


class Activity(NamedTuple):
    """What the sockets of one link did in one interval. ``srtt_ms`` is the median over the flows that sent or had
    something acknowledged in it."""

    acked_bytes: int = 0
    received_bytes: int = 0
    data_segs: int = 0
    retrans: int = 0
    dsack: int = 0
    srtt_ms: float | None = None


class Flow:
    """One open socket as of its last reading."""

    __slots__ = (
        "cumulative", "link", "minrtt_ms", "moved", "moved_in", "no_data", "open", "pmtu", "reading", "srtt_ms",
        "unattributed",
    )  # fmt: skip

    def __init__(self, link: LinkKey | None, unattributed: bool) -> None:
        self.link = link
        self.unattributed = unattributed
        self.cumulative = _ZERO
        self.no_data = 0  # of the bytes acknowledged at its baseline
        self.open = False
        self.srtt_ms: float | None = None
        self.minrtt_ms: float | None = None
        self.pmtu: int | None = None
        self.reading: SocketReading | None = None
        self.moved: tuple[float, float] | None = None  # bit/s acknowledged and received over the last interval …
        self.moved_in = 0  # … if that was this fold; else it stands still

    def read(self, reading: SocketReading) -> None:
        self.reading = reading
        self.srtt_ms = reading.srtt_ms
        self.minrtt_ms = reading.minrtt_ms
        self.pmtu = reading.pmtu


class Gauges(NamedTuple):
    """Of a link's open flows: how many, the smallest ``minrtt`` and the smallest path MTU among them."""

    flows: int = 0
    minrtt_ms: float | None = None
    pmtu: int | None = None


class _Group:
    """The flows of one link."""

    __slots__ = ("flows", "gauges")

    def __init__(self) -> None:
        self.flows: dict[SocketId, Flow] = {}
        self.gauges: Gauges | None = None  # None: to be worked out anew

    def current(self) -> Gauges:
        if self.gauges is None:
            flows = [flow for flow in self.flows.values() if flow.open]
            minrtts = [flow.minrtt_ms for flow in flows if flow.minrtt_ms and flow.minrtt_ms < _NO_MINRTT_MS]
            self.gauges = Gauges(
                flows=len(flows),
                minrtt_ms=min(minrtts, default=None),
                pmtu=min((f.pmtu for f in flows if f.pmtu), default=None),
            )
        return self.gauges


class _Sum:
    """An Activity in the making."""

    __slots__ = ("srtts", "totals")

    def __init__(self) -> None:
        self.totals = [0, 0, 0, 0, 0]  # in the order of Cumulative
        self.srtts: list[float] = []

    def add(self, step: Cumulative, srtt_ms: float | None) -> None:
        totals = self.totals
        totals[0] += step[0]
        totals[1] += step[1]
        totals[2] += step[2]
        totals[3] += step[3]
        totals[4] += step[4]
        if srtt_ms is not None and (step[0] or step[2]):
            self.srtts.append(srtt_ms)


Activities = Mapping[LinkKey, Activity]
Standing = Mapping[SocketId, tuple[Cumulative, int]]


class FlowTable:
    """The sockets of one unbroken chain of readings.

    A socket that the first reading shows sets a baseline: what it moved before is not of our time. A socket that a
    later reading shows for the first time was made since, so all that it has moved is counted.
    """

    def __init__(self, attribution: Attribution) -> None:
        self._attribution = attribution
        self._flows: dict[SocketId, Flow] = {}
        self._by_tuple: dict[tuple[str, int, str, int], SocketId] = {}
        self._groups: dict[LinkKey, _Group] = {}
        self._buried: dict[SocketId, Cumulative] = {}
        self.unattributed = 0
        self.total = 0
        self.folds = 0
        # Whether all sockets are known, so that an unknown one must be new. False until the first full reading.
        self.complete = False

    def standing(self) -> Standing:
        """Where every socket's counters stand at the baseline, and how many of the bytes acknowledged are none."""
        return {socket: (flow.cumulative, flow.no_data) for socket, flow in self._flows.items()}

    def gauges(self, link: LinkKey) -> Gauges:
        group = self._groups.get(link)
        return group.current() if group is not None else _NO_FLOWS

    def flows(self, link: LinkKey | None = None) -> Iterable[tuple[SocketId, Flow]]:
        """All, or those of a link, in the order in which they were first seen."""
        group = self._groups.get(link) if link is not None else None
        if link is None:
            return self._flows.items()
        return group.flows.items() if group is not None else ()

    def link_of(self, socket: SocketId) -> LinkKey | None:
        flow = self._flows.get(socket)
        return flow.link if flow is not None else None

    def socket_of(self, ends: tuple[str, int, str, int]) -> SocketId | None:
        return self._by_tuple.get(ends)

    def fold(self, changes: SocketChanges, seconds: float) -> Activities | None:
        """Take in a reading ``seconds`` after the last; what moved, or None where this reading only sets a baseline."""
        baseline = not self.complete
        self.folds += 1
        if changes.full:
            listed = {reading.id for reading in changes.changed}
            for socket in [socket for socket in self._flows if socket not in listed]:
                self._drop(socket)
        sums: dict[LinkKey, _Sum] = {}
        for reading in changes.changed:
            if reading.state in WITHOUT_INFO:
                self._drop(self._by_tuple.get(reading.id[:4], reading.id))
            else:
                self._take(reading, baseline, seconds, sums)
        if changes.gone:
            there = {reading.id for reading in changes.changed}
            for socket in changes.gone:
                if socket not in there:
                    self._drop(socket)
        self.total = changes.total or len(self._flows)
        if changes.full:
            self.complete = True
        return None if baseline else finish(sums)

    def _take(self, reading: SocketReading, baseline: bool, seconds: float, sums: dict[LinkKey, _Sum]) -> None:
        socket = reading.id
        flow = self._flows.get(socket)
        now = cumulative(reading)
        if flow is not None:
            before: Cumulative | None = flow.cumulative
        else:
            flow = self._admit(socket)
            before = self._buried.pop(socket, None)
        if before is not None:
            step, now = progress(before, now, socket.cookie is not None, seconds)
        elif baseline:
            step = _ZERO
            flow.no_data = surplus(reading)
        else:
            step = from_zero(now, surplus(reading), seconds)
        flow.cumulative = now
        flow.read(reading)
        if not baseline and seconds > 0:
            flow.moved, flow.moved_in = (8 * step[0] / seconds, 8 * step[1] / seconds), self.folds
        is_open = reading.state in OPEN_STATES
        if flow.link is None:
            return
        group = self._groups[flow.link]
        group.gauges = None
        flow.open = is_open
        if step is not _ZERO:
            total = sums.get(flow.link)
            if total is None:
                total = sums[flow.link] = _Sum()
            total.add(step, flow.srtt_ms)

    def _admit(self, socket: SocketId) -> Flow:
        before = self._by_tuple.get(socket[:4])
        if before is not None and before != socket:
            self._drop(before)  # the 4-tuple has a new socket: the old one cannot be there any more
        place = self._attribution.place(socket)
        flow = Flow(place.link, place.unattributed)
        self._flows[socket] = flow
        self._by_tuple[socket[:4]] = socket
        if place.unattributed:
            self.unattributed += 1
        if place.link is not None:
            self._groups.setdefault(place.link, _Group()).flows[socket] = flow
        return flow

    def _drop(self, socket: SocketId) -> None:
        flow = self._flows.pop(socket, None)
        if flow is None:
            return
        self._buried[socket] = flow.cumulative
        if len(self._buried) > _BURIED:
            del self._buried[next(iter(self._buried))]
        if self._by_tuple.get(socket[:4]) == socket:
            del self._by_tuple[socket[:4]]
        if flow.unattributed:
            self.unattributed -= 1
        if flow.link is not None:
            group = self._groups[flow.link]
            del group.flows[socket]
            group.gauges = None

    def place_anew(self) -> None:
        """What is meshtop's own has become known: sockets that turn out to be are taken out of their links."""
        for socket, flow in list(self._flows.items()):
            place = self._attribution.place(socket)
            if place.link != flow.link or place.unattributed != flow.unattributed:
                self._drop(socket)
                self._admit(socket).cumulative = self._buried.pop(socket)

    def moved_until(self, later: Standing, seconds: float) -> Activities | None:
        """What moved from here to where the counters of a later reading stand, on the way of another probe."""
        if not self.complete:
            return None
        sums: dict[LinkKey, _Sum] = {}
        for socket, (now, no_data) in later.items():
            link = self._attribution.place(socket).link
            if link is None:
                continue
            flow = self._flows.get(socket)
            before = flow.cumulative if flow is not None else self._buried.get(socket)
            if before is None:
                step = from_zero(now, no_data, seconds)
            else:
                step, _ = progress(before, now, socket.cookie is not None, seconds)
            if step is not _ZERO:
                sums.setdefault(link, _Sum()).add(step, flow.srtt_ms if flow is not None else None)
        return finish(sums)


_NO_FLOWS = Gauges()


def cumulative(reading: SocketReading) -> Cumulative:
    return (
        reading.bytes_acked or 0,
        reading.bytes_received or 0,
        reading.data_segs_out or 0,
        reading.retrans_total or 0,
        reading.dsack_dups or 0,
    )


def surplus(reading: SocketReading) -> int:
    """How much of ``bytes_acked`` is no data: it also counts the SYN and the FIN, which show as one or two more
    acknowledged than were sent."""
    acked = reading.bytes_acked or 0
    if reading.bytes_sent is None:
        return acked if acked <= 2 else 0
    beyond = acked - (reading.bytes_sent - (reading.bytes_retrans or 0))
    return beyond if 0 < beyond <= 2 else 0


def from_zero(now: Cumulative, no_data: int, seconds: float) -> Cumulative:
    """What a socket has moved since it was made; ``no_data`` of its acknowledged bytes are none."""
    return progress(_ZERO, (now[0] - no_data, *now[1:]), True, seconds)[0]


def progress(before: Cumulative, now: Cumulative, has_cookie: bool, seconds: float) -> tuple[Cumulative, Cumulative]:
    """The step between two readings, and where the counters stand after it.

    With a cookie it is the same socket for certain: a counter that is lower comes from a reading that another probe
    made a moment earlier, so it stays where it stood. Without, byte counters that fell by half are a new socket's.
    """
    if now == before:
        return _ZERO, before
    steps = (
        now[0] - before[0],
        now[1] - before[1],
        now[2] - before[2],
        now[3] - before[3],
        now[4] - before[4],
    )
    if min(steps) >= 0 and max(steps) <= _PLAUSIBLE:
        return steps, now
    if not has_cookie and (2 * now[0] < before[0] or 2 * now[1] < before[1]):
        return from_zero(now, 0, seconds), now
    taken, standing = [], []
    for old, new in zip(before, now, strict=True):
        step = advance(old, new, seconds)
        taken.append(step or 0)
        standing.append(old if step is None and new < old else new)
    return _cumulative(taken), _cumulative(standing)


# Below this no step needs a second look, whatever the interval.
_PLAUSIBLE = 2**30


def _cumulative(values: list[int]) -> Cumulative:
    acked, received, segs, retrans, dsack = values
    return acked, received, segs, retrans, dsack


def finish(sums: Mapping[LinkKey, _Sum]) -> Activities:
    return {link: Activity(*_cumulative(total.totals), srtt_ms=median(total.srtts)) for link, total in sums.items()}


def fields_missing(ss: str | None, kernel: str | None, seen: Iterable[str]) -> tuple[str, ...]:
    """Which of :data:`FIGURE_FIELDS` that node's ss and kernel cannot give. ``seen`` are those that were printed at
    least once there: what is printed is supported, whatever the versions say."""
    return tuple(sorted(set(FIGURE_FIELDS) - supported_fields(ss, kernel) - set(seen)))
