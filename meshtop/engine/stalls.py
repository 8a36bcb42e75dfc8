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

from collections.abc import Iterable
from typing import Literal

from meshtop.engine.stall import CauseAt, Judge, Stall, Waiting
from meshtop.engine.stall_machine import TRANSITIONS, Signal, State, Step
from meshtop.engine.stall_socket import Followed, is_pending, threshold_s
from meshtop.readings import SocketId, SocketReading

# Sampling that is late by this much has missed something.
GAP_PERIODS = 3
# What is needed to tell a stall at all, and what to tell it well.
_ESSENTIAL = ("bytes_acked", "rto_ms")
_WISHED = ("busy_ms", "lastack_ms", "unacked", "notsent")


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
        self._watched: dict[SocketId, Followed] = {}
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
        watched = self._watched[id_] = Followed(reading, at)
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

    def _stalls_until(self, watched: Followed, end: float, at: float) -> bool:
        """Whether what waits at ``at`` and is known to wait until ``end`` is a stall."""
        if watched.state is State.SUSPECT and not self._lacks(watched.last, _ESSENTIAL):
            onset = at - self._age_s(watched, watched.last, at)
            allowed = threshold_s(watched.last)
            if allowed is not None and end - onset >= allowed:
                watched.onset, watched.state = max(0.0, onset), State.STALLED
        return watched.state is State.STALLED

    def _take_over(self, id_: SocketId, here: Followed, old: Followed, at: float) -> None:
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
        self,
        id_: SocketId,
        watched: Followed,
        reading: SocketReading,
        at: float,
        period_s: float,
        found: list[Stall],
    ) -> bool:
        """True if the cause is to be judged."""
        if watched.is_another(reading):
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
                begun.moved = watched.moved_on_at(reading, at)
        if step is Step.CLOSE:
            end, resolution_s = watched.moved_on_at(reading, at)
            if watched.onset is not None and watched.gap_s > (end - watched.onset) / 2:
                watched.add_cause(CauseAt(at, "undetermined", False))
            elif watched.causes and watched.causes[-1].cause == "delay" and watched.sent_again(reading):
                watched.add_cause(CauseAt(at, "recovery", True))  # the timer was due, and what it sent again arrived
            found.append(self._record(id_, watched, end, resolution_s, "recovered"))
        elif step is Step.OPEN:
            early = watched.seen_too_late(reading, at)
            watched.onset = max(0.0, at - self._age_s(watched, reading, at) if early is None else early)
        if signal in (Signal.MOVED, Signal.QUIET):
            self._settle(watched, reading, at, waiting=signal is Signal.MOVED)
        if reading is not watched.last:
            watched.last, watched.read_at = reading, at
        watched.last_at = at
        return step in (Step.OPEN, Step.UPDATE)

    def _signal(self, watched: Followed, reading: SocketReading, at: float) -> Signal:
        progress = (reading.bytes_acked or 0) > (watched.last.bytes_acked or 0)
        if not is_pending(reading):
            return Signal.QUIET
        if progress:
            return Signal.MOVED
        allowed = threshold_s(reading)
        if allowed is None or self._lacks(reading, _ESSENTIAL):
            return Signal.WAITING
        return Signal.OVERDUE if self._age_s(watched, reading, at) >= allowed else Signal.WAITING

    def _age_s(self, watched: Followed, reading: SocketReading, at: float) -> float:
        age = at - watched.moved_at
        if self._lacks(reading, ("busy_ms",)):
            return age
        busy_ms = (reading.busy_ms or 0) + watched.elapsed_ms(reading, at)
        return min(age, (busy_ms - watched.busy_at_move_ms) / 1000)

    def _settle(self, watched: Followed, reading: SocketReading, at: float, *, waiting: bool) -> None:
        """Bytes moved, or nothing waits: whatever waits from here on waits since here."""
        if not waiting or (reading.bytes_acked or 0) > (watched.last.bytes_acked or 0):
            exact = waiting and not self._lacks(reading, ("busy_ms",))
            watched.moved_at = watched.last_ack_at(reading, at) if exact else at
            watched.busy_at_move_ms = (reading.busy_ms or 0) - 1000 * (at - watched.moved_at)
        watched.seen_move = True
        watched.before = reading
        watched.onset = None
        watched.causes = []
        watched.gap_s = 0.0

    def _judged(self, watched: Followed, reading: SocketReading, at: float) -> bool:
        """Asks for the cause; True if it is another than before."""
        assert watched.onset is not None  # noqa: S101  # only called while stalled
        waiting = Waiting(reading, watched.before, at - watched.onset, at)
        blind = watched.gap_s > waiting.age_s / 2
        cause, settled = ("undetermined", False) if blind else self._judge(waiting)
        return watched.add_cause(CauseAt(at, cause, settled))

    def _record(
        self,
        id_: SocketId,
        watched: Followed,
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
