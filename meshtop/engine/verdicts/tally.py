"""What the sockets of one node did, in more detail than the figures of a link need: second by second, link by link.

Source: ``ss -tinmoe`` (iproute2 ``misc/ss.c``; kernel ``net/ipv4/tcp.c``: tcp_get_info). Fields that ss leaves out
count as zero; which of them a node cannot give at all is for who reads the sums. Frames that come late are not taken
in here: a verdict is about now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from meshtop.engine.attribution import Attribution, Services
from meshtop.engine.flows import OPEN_STATES, WITHOUT_INFO
from meshtop.model import LinkKey, PathName
from meshtop.readings import SocketChanges, SocketId, SocketReading

# Longer than any window that verdicts look at.
KEPT_S = 45.0
# A step over a longer time than this is of a gap: what it counted is not of the window that it would fall into.
_LONGEST_STEP_S = 6.0
# Segments do not fill a window to its last byte; and a reader that reads at once leaves next to nothing in its buffer.
_MOST_OF_IT, _UNREAD = 0.75, 0.05
# More than this in one step is a damaged reading.
_PLAUSIBLE = 2**40

FIELDS = (
    "bytes_acked",
    "bytes_received",
    "data_segs_out",
    "retrans_total",
    "dsack_dups",
    "reord_seen",
    "rcv_ooopack",
    "data_segs_in",
    "busy_ms",
    "rwnd_limited_ms",
    "sndbuf_limited_ms",
)
ACKED, RECEIVED, SEGS, RETRANS, DSACK, REORD, OOO, SEGS_IN, BUSY, RWND, SNDBUF = range(len(FIELDS))
Counts = tuple[int, ...]
_NOTHING: Counts = (0,) * len(FIELDS)


class Cell:
    """One interval of one group of sockets."""

    __slots__ = (
        "app_limited",
        "backlogged",
        "buffer_full",
        "buffer_known",
        "counts",
        "end",
        "moving",
        "present",
        "received",
        "seconds",
        "srtts",
        "timeouts",
        "unread",
        "window_full",
        "window_known",
    )

    def __init__(self, end: float, seconds: float) -> None:
        self.end = end
        self.seconds = seconds
        self.counts = [0] * len(FIELDS)
        self.srtts: list[float] = []  # of the flows that sent in it, or were acknowledged
        self.present = 0  # flows of which anything was counted
        self.moving = 0  # of those, the ones that sent or were acknowledged
        self.app_limited = 0  # and of those, the ones that said that their application wrote too little
        self.backlogged = 0  # and the ones that had more to send than they were let
        self.buffer_known = 0  # and the ones that told of their buffers
        self.buffer_full = 0  # of those, the ones whose send buffer was full of what is on its way
        self.window_known = 0  # and the ones that told of the window that they are offered
        self.window_full = 0  # of those, the ones that had used it up and had more to send
        self.timeouts = 0  # that were seen to have happened
        self.received = 0  # of the flows that were there, those that were sent something and told of their buffers
        self.unread = 0  # of those, the ones whose application left much of it unread

    def add(self, step: Counts, reading: SocketReading, timeouts: int) -> None:
        counts = self.counts
        for place, value in enumerate(step):
            if value:
                counts[place] += value
        self.timeouts += timeouts
        self.present += 1
        if step[ACKED] or step[SEGS]:
            self.moving += 1
            self.app_limited += bool(reading.app_limited)
            self.backlogged += bool(reading.notsent)
            if (full := _is_full_of_flight(reading)) is not None:
                self.buffer_known += 1
                self.buffer_full += full
            if (full := _has_used_up_its_window(reading)) is not None:
                self.window_known += 1
                self.window_full += full
            if reading.srtt_ms is not None:
                self.srtts.append(reading.srtt_ms)
        if step[RECEIVED] and (unread := is_unread(reading)) is not None:
            self.received += 1
            self.unread += unread


class Group:
    """The sockets of one link, or of one tunnel: their recent past and how they stand now."""

    __slots__ = ("_cells", "sockets")

    def __init__(self) -> None:
        self._cells: deque[Cell] = deque()
        self.sockets: dict[SocketId, SocketReading] = {}

    def cell(self, end: float, seconds: float) -> Cell:
        cells = self._cells
        if cells and cells[-1].end == end:
            return cells[-1]
        cell = Cell(end, seconds)
        cells.append(cell)
        while cells[0].end < end - KEPT_S:
            cells.popleft()
        return cell

    def since(self, after: float) -> list[Cell]:
        """The intervals that ended after that moment, oldest first. Those in which nothing moved are not stored."""
        found: list[Cell] = []
        for cell in reversed(self._cells):
            if cell.end <= after:
                break
            found.append(cell)
        found.reverse()
        return found

    def still(self, after: float) -> bool:
        return not self._cells or self._cells[-1].end <= after

    def pending(self) -> Iterator[SocketReading]:
        """Open sockets with data that waits."""
        return (r for r in self.sockets.values() if (r.unacked or r.notsent) and r.state in OPEN_STATES)


class NodeTally:
    """Of one boot of one node. Times are on the node's axis (see clockmap)."""

    def __init__(self, attribution: Attribution, services: Services, underlays: frozenset[PathName]) -> None:
        """``underlays``: the paths whose connections are followed one by one, since any may be a tunnel's that nobody
        named; empty where the tunnels' ports are known."""
        self._attribution = attribution
        self._services = services
        self._underlays = underlays
        self.links: dict[LinkKey, Group] = {}
        self.tunnels: dict[SocketId, Group] = {}  # sockets of the ports that tunnels are known to use, one by one
        self.outer: dict[SocketId, Group] = {}  # those on underlays, one by one
        self._tunnel_of: dict[SocketId, PathName] = {}
        self._groups: dict[SocketId, tuple[Group, ...]] = {}
        self._counts: dict[SocketId, Counts] = {}
        self._own_version = attribution.own.version
        self.at: float | None = None
        self.since: float | None = None

    def take(self, at: float, changes: SocketChanges | None) -> None:
        if changes is None or (self.at is not None and at <= self.at):
            return
        if self.at is None and not changes.full:
            return  # what is not told cannot be known
        if self._own_version != self._attribution.own.version:
            self._place_anew()
        seconds = at - self.at if self.at is not None else 0.0
        baseline = self.at is None or seconds > _LONGEST_STEP_S
        if baseline:
            self.since = at
        self.at = at
        for reading in changes.changed:
            if reading.state in WITHOUT_INFO or reading.state == "SYN-SENT":
                self._drop(reading.id)
            else:
                self._take(reading, at, seconds, baseline)
        if changes.full:
            listed = {reading.id for reading in changes.changed}
            for socket in [socket for socket in self._counts if socket not in listed]:
                self._drop(socket)
        for socket in changes.gone:
            self._drop(socket)

    def _take(self, reading: SocketReading, at: float, seconds: float, baseline: bool) -> None:
        socket = reading.id
        groups = self._groups.get(socket)
        if groups is None:
            groups = self._groups[socket] = tuple(self._admitted(socket))
        if not groups:
            return
        now = _counts(reading)
        before = self._counts.get(socket)
        self._counts[socket] = now
        older = groups[0].sockets.get(socket)
        for group in groups:
            group.sockets[socket] = reading
        if baseline:
            return
        step = _step(before or _NOTHING, now)
        timeouts = _timeouts(older, reading)
        if step is _NOTHING and not timeouts:
            return
        for group in groups:
            group.cell(at, seconds).add(step, reading, timeouts)

    def _admitted(self, socket: SocketId) -> Iterator[Group]:
        if socket[:4] in self._attribution.own:
            return
        place = self._attribution.place(socket)
        if place.link is not None:
            yield self.links.setdefault(place.link, Group())
            if place.link.path in self._underlays:
                yield self.outer.setdefault(socket, Group())
        tunnel = self._services.of(socket).tunnel
        if tunnel is not None:
            self._tunnel_of[socket] = tunnel
            yield self.tunnels.setdefault(socket, Group())

    def service(self, socket: SocketId) -> PathName | None:
        """The overlay whose tunnel that socket is of, as its port says."""
        return self._tunnel_of.get(socket)

    def _drop(self, socket: SocketId) -> None:
        self._counts.pop(socket, None)
        for group in self._groups.pop(socket, ()):
            group.sockets.pop(socket, None)
        self.tunnels.pop(socket, None)
        self._tunnel_of.pop(socket, None)
        self.outer.pop(socket, None)

    def _place_anew(self) -> None:
        """Which connections are meshtop's own has become known."""
        self._own_version = self._attribution.own.version
        for socket in [socket for socket in self._groups if socket[:4] in self._attribution.own]:
            self._drop(socket)


def _is_full_of_flight(reading: SocketReading) -> bool | None:
    """Whether the application could write no more (sk_stream_memory_free, include/net/sock.h), and all that it wrote
    has been sent, though the congestion window has room. None where ss told nothing of the buffers."""
    memory = reading.skmem
    if memory is None or memory.sndbuf is None or memory.wmem_queued is None or reading.cwnd is None:
        return None
    return memory.wmem_queued >= memory.sndbuf and not reading.notsent and (reading.unacked or 0) < reading.cwnd


def _has_used_up_its_window(reading: SocketReading) -> bool | None:
    """Whether an open window is all on its way and more waits to be sent. None where ss tells no windows (before 5.18,
    Linux 5.4)."""
    if reading.snd_wnd is None or reading.mss is None:
        return None
    window, on_its_way = reading.snd_wnd, (reading.unacked or 0) * reading.mss
    return bool(reading.notsent) and window >= 2 * reading.mss and on_its_way >= _MOST_OF_IT * window


def is_unread(reading: SocketReading) -> bool | None:
    """Whether more lies unread in a socket than a reader leaves there that reads at once. None where ss told nothing of
    its buffer."""
    if reading.skmem is None or not reading.skmem.rcvbuf:
        return None
    return reading.recv_q > _UNREAD * reading.skmem.rcvbuf


def _counts(reading: SocketReading) -> Counts:
    return (
        reading.bytes_acked or 0,
        reading.bytes_received or 0,
        reading.data_segs_out or 0,
        reading.retrans_total or 0,
        reading.dsack_dups or 0,
        reading.reord_seen or 0,
        reading.rcv_ooopack or 0,
        reading.data_segs_in or 0,
        reading.busy_ms or 0,
        reading.rwnd_limited_ms or 0,
        reading.sndbuf_limited_ms or 0,
    )


def _step(before: Counts, now: Counts) -> Counts:
    """What was counted between two readings. A counter that fell, or jumped beyond reason, tells nothing."""
    if before == now:
        return _NOTHING
    steps = tuple(b - a for a, b in zip(before, now, strict=True))
    if min(steps) < 0 or max(steps) > _PLAUSIBLE:
        return tuple(step if 0 <= step <= _PLAUSIBLE else 0 for step in steps)
    return steps


def _timeouts(before: SocketReading | None, now: SocketReading) -> int:
    """Time-outs that two readings of a socket prove: the back-off rose, or is there after progress."""
    backoff = now.backoff or 0
    if not backoff:
        return 0
    if before is None or (now.bytes_acked or 0) > (before.bytes_acked or 0):
        return backoff
    return max(0, backoff - (before.backoff or 0))


def total(cells: Iterable[Cell], field: int) -> int:
    return sum([cell.counts[field] for cell in cells])


def totals(cells: Iterable[Cell]) -> Sequence[int]:
    """Of all fields."""
    return [sum(column) for column in zip(*[cell.counts for cell in cells], strict=True)] or _NOTHING
