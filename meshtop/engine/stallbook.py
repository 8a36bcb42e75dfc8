"""The stalls of the whole mesh as records: each once, however many probes told of it.

While a socket stalls, what it has had acknowledged stands still. So a stall is named by its socket and by that number:
two probes that saw the same stall, one live and one late, tell of one record. What was seen without a gap outweighs
what was concluded over one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from meshtop.engine.attribution import Service
from meshtop.engine.clockmap import BootClock
from meshtop.engine.events import StallEvent
from meshtop.engine.snapshot import StallCause, StallFlow, StallView
from meshtop.engine.stall import CauseAt, Stall
from meshtop.engine.timeseries import rfc3339
from meshtop.model import LinkKey, NodeName, PathName
from meshtop.readings import SocketId, SocketReading

KEPT = 500  # closed ones, for the screens
KEPT_OF_ONE = 200  # closed ones of one link or node, for its figures
_MOST = 2**53
# Ends that differ by less tell the same.
_SAME_S = 0.001


class Key(NamedTuple):
    node: NodeName
    boot: str
    socket: SocketId
    seen_by: str
    stands_at: int


class StallRecord:
    """One stall as it is known now. ``start`` and ``until`` are on the axis of its node; ``until`` is the end, or of an
    open one the newest reading."""

    __slots__ = ("clock", "key", "link", "number", "path", "process", "receiver", "service", "shown", "stall")

    def __init__(self, number: int, key: Key, clock: BootClock, stall: Stall) -> None:
        self.number = number
        self.key = key
        self.clock = clock
        self.stall = stall
        self.link: LinkKey | None = None  # of the waiting data
        self.path: PathName | None = None  # where there is no link, but our end is known
        self.service = Service()
        self.process: str | None = None
        self.receiver: Mapping[str, Any] | None = None  # the other end's socket, as it was last seen meanwhile
        self.shown: StallView | None = None  # of a closed one

    @property
    def open(self) -> bool:
        return self.stall.outcome == "open"

    @property
    def start(self) -> float:
        return self.clock.axis(self.stall.start_uptime_s)

    @property
    def until(self) -> float:
        return self.clock.axis(self.stall.end_uptime_s)

    def stands_at(self, moment: float) -> bool:
        return self.start < moment and (self.open or self.until >= moment)

    def view(self) -> StallView:
        if self.shown is not None:
            return self.shown
        view = self._view()
        if not self.open:
            self.shown = view  # what is over moves no more as the clocks are learnt better
        return view

    def _view(self) -> StallView:
        stall, id_ = self.stall, self.stall.id
        by_sender = stall.seen_by == "sender"
        ended = None if self.open else rfc3339(self.clock.operator_time(stall.end_uptime_s))
        return StallView(
            id=f"s{self.number}",
            src=self.link.src if self.link is not None else self.key.node if by_sender else None,
            dst=self.link.dst if self.link is not None else None if by_sender else self.key.node,
            path=self.link.path if self.link is not None else self.path,
            node=self.key.node,
            flow=StallFlow(
                local=_end(id_.local, id_.local_port),
                peer=_end(id_.peer, id_.peer_port),
                cookie=id_.cookie,
                process=self.process,
                cgroup=cgroup_of(stall.reading),
                watch=self.service.watch,
                tunnel=self.service.tunnel,
            ),
            start=rfc3339(self.clock.operator_time(stall.start_uptime_s)),
            end=ended,
            duration_s=round(stall.duration_s, 3),
            resolution_s=round(stall.resolution_s, 3),
            outcome=stall.outcome,
            cause=stall.cause,
            settled=stall.settled,
            causes=tuple(
                StallCause(at=rfc3339(self.clock.operator_time(cause.uptime_s)), cause=cause.cause)
                for cause in stall.causes
            ),
            evidence=_evidence(stall, self.receiver),
        )


class StallBook:
    """All records, in the order in which they were first known. Ids are s1, s2, …"""

    def __init__(self) -> None:
        self._records: dict[Key, StallRecord] = {}
        self._closed: deque[Key] = deque()
        self._number = 0

    def __iter__(self) -> Iterator[StallRecord]:
        return iter(self._records.values())

    def open_records(self) -> list[StallRecord]:
        return [record for record in self._records.values() if record.open]

    def take(self, node: NodeName, boot: str, clock: BootClock, stall: Stall) -> tuple[StallRecord, bool, bool]:
        """The record of that stall, whether it is new, and whether there is something to tell."""
        key = Key(node, boot, stall.id, stall.seen_by, _stands_at(stall))
        record = self._records.get(key)
        if record is None:
            self._number += 1
            record = self._records[key] = StallRecord(self._number, key, clock, stall)
            self._note_closed(record)
            return record, True, True
        before, was_open = record.stall, record.open
        record.stall = merged(before, stall)
        record.shown = None
        if was_open:
            self._note_closed(record)
        return record, False, _differ(before, record.stall)

    def end_of_boot(self, node: NodeName, boot: str) -> list[StallRecord]:
        """The node was booted anew: what was open went with it."""
        over = [r for r in self._records.values() if r.open and r.key.node == node and r.key.boot == boot]
        for record in over:
            record.stall = msgspec.structs.replace(record.stall, outcome="lost")
            self._note_closed(record)
        return over

    def leave_out(self, node: NodeName, sockets: Iterable[SocketId]) -> None:
        """These turned out to be meshtop's own."""
        own = set(sockets)
        for key in [key for key in self._records if key.node == node and key.socket in own]:
            del self._records[key]

    def _note_closed(self, record: StallRecord) -> None:
        if record.open:
            return
        self._closed.append(record.key)
        while len(self._closed) > KEPT:
            self._records.pop(self._closed.popleft(), None)


class StallList:
    """The stalls of one link or node, for its figures; times are on the axis of the node."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: list[StallRecord] = []

    def __bool__(self) -> bool:
        return bool(self._records)

    def add(self, record: StallRecord) -> None:
        self._records.append(record)
        if len(self._records) > KEPT_OF_ONE:
            closed = next((r for r in self._records if not r.open), None)
            if closed is not None:
                self._records.remove(closed)

    def __iter__(self) -> Iterator[StallRecord]:
        return iter(self._records)

    def leave_out(self, sockets: Iterable[SocketId]) -> None:
        own = set(sockets)
        self._records = [r for r in self._records if r.key.socket not in own]

    def overlapping(self, after: float, upto: float) -> list[StallRecord]:
        return [r for r in self._records if r.start < upto and (r.open or r.until > after)]

    def standing(self, moment: float) -> list[StallRecord]:
        return [r for r in self._records if r.stands_at(moment)]

    def spans(self, after: float) -> list[tuple[float, float]]:
        return [(r.start, r.until) for r in self._records if r.open or r.until > after]


def share_pct(records: Iterable[StallRecord], after: float, upto: float) -> float:
    """The share of that time in which at least one of them stood."""
    total, covered = 0.0, after
    for start, until in sorted((r.start, upto if r.open else r.until) for r in records):
        start, until = max(start, covered), min(until, upto)
        if until > start:
            total, covered = total + until - start, until
    return 100 * total / (upto - after) if upto > after else 0.0


def _stands_at(stall: Stall) -> int:
    reading = stall.reading
    return (reading.bytes_acked if stall.seen_by == "sender" else reading.bytes_received) or 0


# ── What two probes tell of one stall ──


def merged(known: Stall, news: Stall) -> Stall:
    """``known`` with what another reading or another probe tells of the same stall."""
    better, other = (news, known) if _outweighs(news, known) else (known, news)
    start = min(known.start_uptime_s, news.start_uptime_s)
    return msgspec.structs.replace(better, start_uptime_s=start, causes=_causes(better, other))


def _outweighs(news: Stall, known: Stall) -> bool:
    if news.outcome == known.outcome == "recovered":
        return (news.sampling_gap, news.resolution_s) <= (known.sampling_gap, known.resolution_s)
    if known.outcome == "recovered":
        return False
    if known.outcome == "lost" and news.outcome == "open":
        return news.end_uptime_s > known.end_uptime_s  # it had only been out of sight
    if known.outcome == "open" and news.outcome == "open":
        return news.end_uptime_s >= known.end_uptime_s
    return True


def _causes(better: Stall, other: Stall) -> tuple[CauseAt, ...]:
    """The history of both in the order of time; what was not known to one and is to the other is known."""
    history = sorted({*better.causes, *other.causes}, key=lambda cause: cause.uptime_s)
    if not better.sampling_gap:
        known = [cause for cause in history if cause.cause != "undetermined"]
        history = known or history
    told: list[CauseAt] = []
    for cause in history:
        if not told or told[-1][1:] != cause[1:]:
            told.append(cause)
    return tuple(told)


def _differ(before: Stall, now: Stall) -> bool:
    """Whether it is worth a line: it opened again or closed, another cause, or other times of what was closed."""
    if (before.outcome, [c[1:] for c in before.causes]) != (now.outcome, [c[1:] for c in now.causes]):
        return True
    moved = max(abs(before.start_uptime_s - now.start_uptime_s), abs(before.end_uptime_s - now.end_uptime_s))
    return now.outcome != "open" and moved > _SAME_S


# ── In words and figures ──


def event(record: StallRecord) -> StallEvent:
    """Its line in the stream. A closed one that is told again replaces what was told before under its id."""
    view = record.view()
    at = record.clock.operator_time(record.stall.end_uptime_s)
    phase: Literal["open", "closed"] = "open" if record.open else "closed"
    return StallEvent(at=rfc3339(at), phase=phase, **{name: getattr(view, name) for name in view.__struct_fields__})


def cgroup_of(reading: SocketReading) -> str | None:
    """``unreachable:N`` is one that lies outside of the tree that ss sees there, and says nothing."""
    cgroup = reading.cgroup
    return None if cgroup is None or cgroup.startswith("unreachable:") else cgroup


def receiver_evidence(reading: SocketReading) -> dict[str, Any]:
    """What the socket at the other end shows: data that nobody reads, or a hole that nothing fills."""
    return _plausible(
        {
            "recv_q": reading.recv_q,
            "rmem_alloc": reading.skmem.rmem_alloc if reading.skmem is not None else None,
            "lastrcv_ms": reading.lastrcv_ms,
            "rcv_ooopack": reading.rcv_ooopack,
            "rcv_wnd": reading.rcv_wnd,
        }
    )


_READINGS = (
    "unacked",
    "sacked",
    "lost",
    "retrans",
    "notsent",
    "backoff",
    "rto_ms",
    "srtt_ms",
    "minrtt_ms",
    "cwnd",
    "snd_wnd",
    "mss",
    "lastack_ms",
    "lastsnd_ms",
)


def _evidence(stall: Stall, receiver: Mapping[str, Any] | None) -> dict[str, Any]:
    """As of the last reading within the stall; fields that were not printed are left out."""
    reading = stall.reading
    evidence = _plausible({name: getattr(reading, name) for name in _READINGS})
    if reading.timer is not None:
        evidence["timer"] = reading.timer.kind
    if stall.retransmitted_segs is not None:
        evidence["retransmitted_segs"] = min(stall.retransmitted_segs, _MOST)
    if stall.sampling_gap:
        evidence["sampling_gap"] = True
    if stall.missing:
        evidence["missing"] = list(stall.missing)
    if stall.seen_by == "receiver":
        evidence["receiver"] = receiver_evidence(reading)
    elif receiver is not None:
        evidence["receiver"] = dict(receiver)
    return evidence


def _plausible(figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Those that are known, and that JSON can carry exactly: what is beyond comes from a damaged reading."""
    return {name: value for name, value in figures.items() if value is not None and 0 <= value <= _MOST}


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
