"""Stalls of one node's sockets: a state machine for each, fed with readings in node time.

A socket stalls when data waits and no ACK advances for longer than its own timing explains:

    pending  = unacked > 0 or notsent > 0
    progress = bytes_acked grew
    base     = rto while the timer is ``persist``, else rto / 2^backoff     (rto already holds its back-off); ≤ 1 s
    T        = max(2·srtt, base, 200 ms)
    age      = min(now − last progress, busy − busy at last progress)

The second term is the guard: ``busy`` runs only while data waits, so a flow whose application writes rarely never
stalls. Where ``busy`` cannot be had, a wait counts only from the first reading that shows it on. Onset is back-dated to
the last ACK by ``lastack`` where no duplicate ACK can have reset it. Times are node uptime in
seconds. Sources: Linux net/ipv4/tcp.c (tcp_get_info, tcp_chrono_*), RFC 6298, RFC 8985.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from meshtop.model import Value
from meshtop.readings import SocketId, SocketReading

# Delayed ACKs wait up to 200 ms on common stacks (RFC 1122 allows 500): nothing shorter is a stall.
MIN_AGE_S = 0.2
# Where round trips vary, as over striped tunnels, the time-out grows to many of them (srtt 0.4 s, rto 2.7 s). It says
# how long TCP will wait, not how long a wait is usual: beyond the first RTO of RFC 6298 only round trips excuse one.
_LONGEST_BASE_MS = 1000.0
# Sampling that is late by this much has missed something.
GAP_PERIODS = 3
# tcp_retries2 gives up after 15; whatever a node prints beyond this is damaged and must not overflow.
_MAX_DOUBLINGS = 20
# What is needed to tell a stall at all, and what to tell it well.
_ESSENTIAL = ("bytes_acked", "rto_ms")
# What accompanies a wait of any kind: data sent at its end, while the first ACK of it is still on its way, looks so.
_ACCOMPANYING = frozenset(("recovery", "host-queue", "delay"))
# What is told by something other than the silence itself: a closed window, a tunnel that stands still, lost pings.
_SEEN_TO_HOLD = frozenset(("zero-window", "outer-stall", "blackout"))
_ONLY_RISE = ("bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out", "busy_ms")
_WISHED = ("busy_ms", "lastack_ms", "unacked", "notsent")


class State(enum.Enum):
    """Where one socket stands."""

    IDLE = "idle"  # nothing waits
    FLOWING = "flowing"  # data waits and moves
    SUSPECT = "suspect"  # data waits, nothing moves, not yet for long
    STALLED = "stalled"


class Signal(enum.Enum):
    """What one reading says against the one before."""

    QUIET = "quiet"
    MOVED = "moved"
    WAITING = "waiting"
    OVERDUE = "overdue"


class Step(enum.Enum):
    """What a transition does beside changing the state."""

    NOTHING = "nothing"
    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"


# Every state with every signal; a test sees to it that none is missing.
TRANSITIONS: Mapping[tuple[State, Signal], tuple[State, Step]] = {
    (State.IDLE, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.IDLE, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.IDLE, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.IDLE, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.FLOWING, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.FLOWING, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.FLOWING, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.FLOWING, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.SUSPECT, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.SUSPECT, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.SUSPECT, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.SUSPECT, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.STALLED, Signal.QUIET): (State.IDLE, Step.CLOSE),
    (State.STALLED, Signal.MOVED): (State.FLOWING, Step.CLOSE),
    (State.STALLED, Signal.WAITING): (State.STALLED, Step.UPDATE),
    (State.STALLED, Signal.OVERDUE): (State.STALLED, Step.UPDATE),
}


class Waiting(NamedTuple):
    """A stalled socket as the causes are judged by: readings, how long, what moved since the onset."""

    reading: SocketReading
    before: SocketReading  # the last one before the onset, or the first seen
    age_s: float
    at_s: float = 0.0  # uptime of the reading

    @property
    def onset_s(self) -> float:
        return self.at_s - self.age_s


class CauseAt(NamedTuple):
    uptime_s: float
    cause: str
    settled: bool


class Stall(Value, frozen=True, kw_only=True):
    """One stall of one socket, open or closed, in node time. Its true duration lies in
    [duration_s, duration_s + resolution_s]."""

    id: SocketId
    start_uptime_s: float
    end_uptime_s: float  # of an open one: the newest reading
    resolution_s: float
    outcome: Literal["open", "recovered", "lost"]
    causes: tuple[CauseAt, ...]
    reading: SocketReading  # the last within the stall
    retransmitted_segs: int | None  # since the onset
    sampling_gap: bool  # readings are missing within it
    missing: tuple[str, ...]  # fields that this node cannot give
    seen_by: Literal["sender", "receiver"] = "sender"

    @property
    def duration_s(self) -> float:
        return max(0.0, self.end_uptime_s - self.start_uptime_s)

    @property
    def cause(self) -> str:
        telling = self._telling
        return telling.cause if telling is not None else "undetermined"

    @property
    def settled(self) -> bool:
        telling = self._telling
        return telling is not None and telling.settled

    @property
    def _telling(self) -> CauseAt | None:
        """Of the causes that were seen to hold, the one that held longest: the wait goes on for a while when they are
        over. Where there was none, the last that explains a silence, else the last of all."""
        if not self.causes:
            return None
        held: dict[str, float] = {}
        ends = [*(each.uptime_s for each in self.causes[1:]), self.end_uptime_s]
        for each, end in zip(self.causes, ends, strict=True):
            if each.cause in _SEEN_TO_HOLD:
                held[each.cause] = held.get(each.cause, 0.0) + max(0.0, end - each.uptime_s)
        longest = max(held, key=held.__getitem__, default=None)
        if longest is not None:
            return next(each for each in reversed(self.causes) if each.cause == longest)
        explaining = (each for each in reversed(self.causes) if each.cause not in _ACCOMPANYING)
        return next(explaining, self.causes[-1])


Judge = Callable[[Waiting], tuple[str, bool]]


def threshold_s(reading: SocketReading) -> float | None:
    """How long this socket may wait for an ACK before it counts as stalled; None without an RTO."""
    if reading.rto_ms is None:
        return None
    base_ms = reading.rto_ms
    if not (reading.timer is not None and reading.timer.kind == "persist"):
        base_ms /= 2.0 ** _doublings(reading)
    return max(2 * (reading.srtt_ms or 0.0) / 1000, min(base_ms, _LONGEST_BASE_MS) / 1000, MIN_AGE_S)


def _doublings(reading: SocketReading) -> int:
    return max(0, min(reading.backoff or 0, _MAX_DOUBLINGS))


def is_pending(reading: SocketReading) -> bool:
    """Whether data waits for the peer: sent and not acknowledged, or not sent."""
    return bool(reading.unacked) or bool(reading.notsent)


class _Watched:
    """The memory of one socket. ``moved_at`` is when bytes were last acknowledged, as well as it is known."""

    __slots__ = (
        "before",
        "busy_at_move_ms",
        "causes",
        "gap_s",
        "last",
        "last_at",
        "moved_at",
        "onset",
        "read_at",
        "seen_move",
        "state",
    )

    def __init__(self, reading: SocketReading, at: float) -> None:
        self.state = State.SUSPECT if is_pending(reading) else State.IDLE
        self.last = reading
        self.before = reading  # that in which bytes were last seen to move
        self.last_at = at  # the newest frame, whether the socket was in it or stood still
        self.read_at = at  # the newest frame that it was in
        self.moved_at = at
        self.busy_at_move_ms = float(reading.busy_ms or 0)
        self.seen_move = False
        self.onset: float | None = None
        self.causes: list[CauseAt] = []
        self.gap_s = 0.0  # without readings, since bytes last moved

    def copy(self) -> _Watched:
        twin = _Watched.__new__(_Watched)
        for name in _Watched.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.causes = list(self.causes)
        return twin


class _Beginning:
    """Where a socket stood in the first reading, and when it moved on from there: (end, resolution)."""

    __slots__ = ("acked", "moved")

    def __init__(self, acked: int) -> None:
        self.acked = acked
        self.moved: tuple[float, float] | None = None


class StallDetector:
    """Follows all sockets of one network namespace.

    ``supported`` names the fields for which an absent value means zero (``meshtop.parse.ss.supported_fields``); where
    what the definition needs is neither there nor supported, no stall is ever raised, and ``missing`` says why.
    """

    def __init__(self, judge: Judge, supported: frozenset[str] = frozenset()) -> None:
        self._judge = judge
        self.supported = supported
        self._watched: dict[SocketId, _Watched] = {}
        self._active: set[SocketId] = set()  # those that are not idle
        self._period_s = 0.0  # of the newest frame
        self._beginnings: dict[SocketId, _Beginning] | None = None  # None: no frame was taken in

    def fork(self, judge: Judge) -> StallDetector:
        """One that knows what this one knows, for readings that go on after a gap while this one may still be told what
        was in the gap."""
        twin = StallDetector(judge, self.supported)
        twin._watched = {id_: watched.copy() for id_, watched in self._watched.items()}
        twin._active = set(self._active)
        twin._period_s = self._period_s
        return twin

    @property
    def known(self) -> Iterable[SocketId]:
        return self._watched.keys()

    def last(self, id_: SocketId) -> SocketReading | None:
        """The newest reading of a socket."""
        watched = self._watched.get(id_)
        return watched.last if watched is not None else None

    @property
    def open_stalls(self) -> tuple[Stall, ...]:
        return tuple(
            self._record(id_, watched, watched.last_at, self._period_s, "open")
            for id_, watched in ((id_, self._watched[id_]) for id_ in self._active)
            if watched.state is State.STALLED
        )

    def state(self, id_: SocketId) -> State | None:
        watched = self._watched.get(id_)
        return None if watched is None else watched.state

    def observe(
        self,
        at: float,
        changed: Iterable[SocketReading],
        gone: Iterable[SocketId] = (),
        *,
        period_s: float,
    ) -> list[Stall]:
        """Takes one frame in. Returns the stalls that opened, changed their cause, or closed with it, each once.

        Sockets of earlier frames that are in neither list stood still. ``period_s`` is the sampling interval in force;
        a longer silence than ``GAP_PERIODS`` of them counts as a gap.
        """
        self._period_s = period_s
        found: list[Stall] = []
        touched: set[SocketId] = set()
        asked: list[SocketId] = []  # judged once all are read: the causes look at other sockets too
        for reading in changed:
            id_ = reading.id
            touched.add(id_)
            watched = self._watched.get(id_)
            if watched is None:
                self._begin(id_, reading, at)
            elif self._step(id_, watched, reading, at, period_s, found):
                asked.append(id_)
        for id_ in gone:
            touched.add(id_)
            self._active.discard(id_)
            watched = self._watched.pop(id_, None)
            if watched is not None and watched.state is State.STALLED:
                found.append(self._record(id_, watched, at, at - watched.last_at, "lost"))
        for id_ in [id_ for id_ in self._active if id_ not in touched]:
            watched = self._watched[id_]
            if self._step(id_, watched, watched.last, at, period_s, found):
                asked.append(id_)
        for id_ in asked:
            watched = self._watched[id_]
            if self._judged(watched, watched.last, at):
                found.append(self._record(id_, watched, at, period_s, "open"))
        if self._beginnings is None:
            self._beginnings = {
                id_: _Beginning(watched.last.bytes_acked or 0)
                for id_, watched in self._watched.items()
                if is_pending(watched.last)
            }
        return found

    def _begin(self, id_: SocketId, reading: SocketReading, at: float) -> None:
        watched = self._watched[id_] = _Watched(reading, at)
        if watched.state is State.IDLE:
            self._active.discard(id_)
        else:
            self._active.add(id_)

    def forget(self, id_: SocketId) -> None:
        """Not to be followed after all."""
        self._watched.pop(id_, None)
        self._active.discard(id_)

    def continue_from(self, earlier: StallDetector, at: float) -> list[Stall]:
        """What ``earlier`` knows goes on here. It was told all until this one's first frame, that frame with it, at
        ``at``. Sockets that have not moved since are its; of its open stalls the others are closed."""
        found: list[Stall] = []
        for id_, old in earlier._watched.items():
            begun = (self._beginnings or {}).get(id_)
            if begun is None or begun.acked != (old.last.bytes_acked or 0):
                continue
            here = self._watched.get(id_)
            if begun.moved is not None:
                end, resolution_s = begun.moved
                if earlier._stalls_until(old, end, at):
                    found.append(earlier._record(id_, old, end, resolution_s, "recovered"))
            elif here is None:
                if old.state is State.STALLED:
                    found.append(earlier._record(id_, old, at, 0.0, "lost"))
            else:
                self._take_over(id_, here, old, at)
        return found

    def _stalls_until(self, watched: _Watched, end: float, at: float) -> bool:
        """Whether what waits at ``at`` and is known to wait until ``end`` is a stall."""
        if watched.state is State.SUSPECT and not self._lacks(watched.last, _ESSENTIAL):
            onset = at - self._age_s(watched, watched.last, at)
            allowed = threshold_s(watched.last)
            if allowed is not None and end - onset >= allowed:
                watched.onset, watched.state = max(0.0, onset), State.STALLED
        return watched.state is State.STALLED

    def _take_over(self, id_: SocketId, here: _Watched, old: _Watched, at: float) -> None:
        here.moved_at, here.busy_at_move_ms, here.seen_move = old.moved_at, old.busy_at_move_ms, old.seen_move
        here.before, here.gap_s = old.before, old.gap_s
        if here.onset is not None and old.state is State.SUSPECT:
            here.onset = min(here.onset, max(0.0, at - self._age_s(old, old.last, at)))
        if old.state is not State.STALLED:
            return
        here.onset = old.onset
        here.causes = old.causes + here.causes
        here.state = State.STALLED
        self._active.add(id_)

    # ── one socket, one reading ──

    def _step(
        self, id_: SocketId, watched: _Watched, reading: SocketReading, at: float, period_s: float, found: list[Stall]
    ) -> bool:
        """True if the cause is to be judged."""
        if _is_another(id_, watched.last, reading):
            if watched.state is State.STALLED:
                found.append(self._record(id_, watched, at, at - watched.last_at, "lost"))
            self._begin(id_, reading, at)
            return False
        if (reading.bytes_acked or 0) < (watched.last.bytes_acked or 0):
            reading = watched.last  # of the same socket, from another probe that looked a moment earlier
        since_last = at - watched.last_at
        if since_last > GAP_PERIODS * period_s:
            watched.gap_s += since_last
        if watched.state is State.IDLE and self._lacks(reading, ("busy_ms",)) and is_pending(reading):
            watched.moved_at = at  # nothing tells for how long it has been waiting already
        signal = self._signal(watched, reading, at)
        watched.state, step = TRANSITIONS[watched.state, signal]
        if watched.state is State.IDLE:
            self._active.discard(id_)
        else:
            self._active.add(id_)
        if self._beginnings and (reading.bytes_acked or 0) > (watched.last.bytes_acked or 0):
            begun = self._beginnings.get(id_)
            if begun is not None and begun.moved is None:
                begun.moved = _end(watched, reading, at)
        if step is Step.CLOSE:
            end, resolution_s = _end(watched, reading, at)
            if watched.onset is not None and watched.gap_s > (end - watched.onset) / 2:
                _add_cause(watched, CauseAt(at, "undetermined", False))
            elif watched.causes and watched.causes[-1].cause == "delay" and _sent_again(watched.before, reading):
                _add_cause(watched, CauseAt(at, "recovery", True))  # the timer was due, and what it sent again arrived
            found.append(self._record(id_, watched, end, resolution_s, "recovered"))
        elif step is Step.OPEN:
            early = _seen_too_late(watched, reading, at)
            watched.onset = max(0.0, at - self._age_s(watched, reading, at) if early is None else early)
        if signal in (Signal.MOVED, Signal.QUIET):
            self._settle(watched, reading, at, waiting=signal is Signal.MOVED)
        if reading is not watched.last:
            watched.last, watched.read_at = reading, at
        watched.last_at = at
        return step in (Step.OPEN, Step.UPDATE)

    def _signal(self, watched: _Watched, reading: SocketReading, at: float) -> Signal:
        progress = (reading.bytes_acked or 0) > (watched.last.bytes_acked or 0)
        if not is_pending(reading):
            return Signal.QUIET
        if progress:
            return Signal.MOVED
        allowed = threshold_s(reading)
        if allowed is None or self._lacks(reading, _ESSENTIAL):
            return Signal.WAITING
        return Signal.OVERDUE if self._age_s(watched, reading, at) >= allowed else Signal.WAITING

    def _age_s(self, watched: _Watched, reading: SocketReading, at: float) -> float:
        age = at - watched.moved_at
        if self._lacks(reading, ("busy_ms",)):
            return age
        busy_ms = (reading.busy_ms or 0) + _elapsed_ms(watched, reading, at)
        return min(age, (busy_ms - watched.busy_at_move_ms) / 1000)

    def _settle(self, watched: _Watched, reading: SocketReading, at: float, *, waiting: bool) -> None:
        """Bytes moved, or nothing waits: whatever waits from here on waits since here."""
        if not waiting or (reading.bytes_acked or 0) > (watched.last.bytes_acked or 0):
            exact = waiting and not self._lacks(reading, ("busy_ms",))
            watched.moved_at = _last_ack_at(watched, reading, at) if exact else at
            watched.busy_at_move_ms = (reading.busy_ms or 0) - 1000 * (at - watched.moved_at)
        watched.seen_move = True
        watched.before = reading
        watched.onset = None
        watched.causes = []
        watched.gap_s = 0.0

    def _judged(self, watched: _Watched, reading: SocketReading, at: float) -> bool:
        """Asks for the cause; True if it is another than before."""
        assert watched.onset is not None  # noqa: S101  # only called while stalled
        waiting = Waiting(reading, watched.before, at - watched.onset, at)
        blind = watched.gap_s > waiting.age_s / 2
        cause, settled = ("undetermined", False) if blind else self._judge(waiting)
        return _add_cause(watched, CauseAt(at, cause, settled))

    def _record(
        self,
        id_: SocketId,
        watched: _Watched,
        end: float,
        resolution_s: float,
        outcome: Literal["open", "recovered", "lost"],
    ) -> Stall:
        start = watched.onset if watched.onset is not None else watched.moved_at
        retransmitted = None
        if not self._lacks(watched.last, ("retrans_total",)):
            retransmitted = max(0, (watched.last.retrans_total or 0) - (watched.before.retrans_total or 0))
        return Stall(
            id=id_,
            start_uptime_s=start,
            end_uptime_s=max(end, start),
            resolution_s=resolution_s,
            outcome=outcome,
            causes=tuple(watched.causes),
            reading=watched.last,
            retransmitted_segs=retransmitted,
            sampling_gap=watched.gap_s > 0,
            missing=tuple(name for name in _WISHED if self._lacks(watched.last, (name,))),
        )

    def _lacks(self, reading: SocketReading, names: tuple[str, ...]) -> bool:
        return any(getattr(reading, name) is None and name not in self.supported for name in names)


def _is_another(id_: SocketId, before: SocketReading, now: SocketReading) -> bool:
    """Without cookies the same addresses may be another connection; it shows by counters that fell."""
    if id_.cookie is not None:
        return False
    if now.inode and before.inode and now.inode != before.inode:
        return True
    return any((getattr(now, name) or 0) < (getattr(before, name) or 0) for name in _ONLY_RISE)


def _sent_again(before: SocketReading, now: SocketReading) -> bool:
    return (now.retrans_total or 0) > (before.retrans_total or 0)


def _add_cause(watched: _Watched, news: CauseAt) -> bool:
    """True if it is another than before."""
    if watched.causes and watched.causes[-1][1:] == news[1:]:
        return False
    watched.causes.append(news)
    return True


def _elapsed_ms(watched: _Watched, reading: SocketReading, at: float) -> float:
    """Time since this reading was taken: one that is repeated because nothing changed has aged."""
    return 1000 * (at - watched.read_at) if reading is watched.last else 0.0


def _last_ack_at(watched: _Watched, reading: SocketReading, at: float) -> float:
    """When bytes were last acknowledged, for a reading in which they were. The last ACK of any kind lies between the
    two readings; it is later than the one that advanced by the duplicates that followed it, at most."""
    if reading.lastack_ms is None:
        return at
    return min(at, max(watched.last_at, at - reading.lastack_ms / 1000))


def _seen_too_late(watched: _Watched, reading: SocketReading, at: float) -> float | None:
    """The onset of a wait that began before the socket was first seen; None where that cannot be told. The last ACK may
    be older than the data that waits, so that the back-off has the last word: after b doublings of the RTO less than
    rto·(2 − 2^−b) … in all base·(2^(b+1) − 1) have passed since the first segment."""
    timeouts = min(_MAX_DOUBLINGS, max(_doublings(reading), reading.timer.retransmits if reading.timer else 0))
    if watched.seen_move or not timeouts or reading.lastack_ms is None or reading.rto_ms is None:
        return None
    if not _stood_still(watched.before, reading):
        return None
    base_s = reading.rto_ms / 1000 / 2.0 ** _doublings(reading)
    longest_s = base_s * (2.0 ** (timeouts + 1) - 1)
    return at - min(longest_s, (reading.lastack_ms + _elapsed_ms(watched, reading, at)) / 1000)


def _stood_still(before: SocketReading, reading: SocketReading) -> bool:
    """No ACK that told anything, so that ``lastack`` is the last that did."""
    return (before.delivered, before.sacked, before.dsack_dups) == (
        reading.delivered,
        reading.sacked,
        reading.dsack_dups,
    )


def _end(watched: _Watched, reading: SocketReading, at: float) -> tuple[float, float]:
    """When bytes moved again: between the two readings, earlier the more has been delivered since. With it the distance
    of the readings, which the estimate cannot be wrong by more than."""
    resolution_s = at - watched.last_at
    end = at if reading.lastack_ms is None else at - reading.lastack_ms / 1000
    delivered = (reading.bytes_acked or 0) - (watched.last.bytes_acked or 0)
    # what had been SACKed is acknowledged at one blow when the hole is filled
    delivered -= (watched.last.sacked or 0) * (reading.mss or 0)
    if reading.delivery_rate_bps and delivered > 0:
        end -= 8 * delivered / reading.delivery_rate_bps
    return min(at, max(watched.last_at, end)), resolution_s
