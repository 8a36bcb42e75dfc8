"""The pings of a node: which were sent, answered, lost, or cannot be told yet.

ping (iputils, busybox) prints a line for an answer and mostly none for a loss, so losses are told by a timer: from its
start on a ping process sends one probe each interval. The timer is set anew by every answer, whose sequence number says
how far ping really got. A probe counts once it is *decided*: answered, or unanswered for max(5 s, 4 × baseline). Time
here is the node's own and moves only with its frames, so nothing is called lost while the node is not heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import Literal, NamedTuple

from meshtop.engine.timeseries import Ring
from meshtop.model import LinkKey
from meshtop.readings import PingProblem, PingReply, PingStarted

Size = Literal["small", "full"]

# SoftEther and its like favour ICMP frames of up to 128 bytes; what is larger travels with the bulk.
_SMALL_UPTO_BYTES = 128
LOST_AFTER_S = 5.0
LOST_AFTER_BASELINES = 4.0

_SEQUENCES = 65536  # icmp_seq is a 16-bit field (RFC 792)
# Decisions made at once after a long silence of a node: what is older is dropped undecided.
_MAX_BACKLOG = 1200
_SHORTEST_INTERVAL_S = 0.01
_MAX_FATES = 100
_MAX_TIME = 1e12  # beyond it a time is damaged
_LOOK_BACK = 100  # probes, for the answer before a late frame


def size_of(payload_bytes: int) -> Size:
    return "small" if payload_bytes <= _SMALL_UPTO_BYTES else "full"


def lost_after_s(baseline_ms: float | None) -> float:
    return max(LOST_AFTER_S, LOST_AFTER_BASELINES * (baseline_ms or 0.0) / 1000)


class Outcome(NamedTuple):
    """A decided probe; times are on the node's axis. ``rtt_ms`` None: lost. ``series`` and ``number`` name it."""

    decided_at: float
    sent_at: float
    rtt_ms: float | None
    series: int
    number: int


class Outcomes:
    """The decided probes of one link at one size, ordered by when they were decided.

    An answer decides at once and a loss 5 s later. Counted by the moment of decision, the share of losses in a window
    is right; counted by the moment of sending, the last 5 s would hold answers alone.
    """

    __slots__ = ("_newest_answer", "ring")

    def __init__(self) -> None:
        self.ring: Ring[Outcome] = Ring()
        self._newest_answer: float | None = None

    @property
    def ever_answered(self) -> bool:
        return self._newest_answer is not None

    def add(self, outcome: Outcome) -> None:
        self.ring.add(outcome.decided_at, outcome)
        if outcome.rtt_ms is not None and outcome.decided_at > (self._newest_answer or float("-inf")):
            self._newest_answer = outcome.decided_at

    def withdraw(self, series: int, number: int) -> None:
        self.ring.discard(lambda outcome: outcome.series == series and outcome.number == number)

    def tally(self, after: float, upto: float) -> tuple[list[float], int]:
        """The round trips of the answered, and the number of the lost."""
        decided = self.ring.between(after, upto)
        rtts = [outcome.rtt_ms for outcome in decided if outcome.rtt_ms is not None]
        return rtts, len(decided) - len(rtts)

    def last_answer(self, upto: float) -> float | None:
        """When the newest answer up to then came."""
        if self._newest_answer is None or self._newest_answer <= upto:
            return self._newest_answer
        for outcome in reversed(self.ring.last(_LOOK_BACK, upto)):
            if outcome.rtt_ms is not None:
                return outcome.decided_at
        return None


class Series:
    """One ping process: one target, one size. Times are on the node's axis."""

    __slots__ = (
        "_anchor",
        "_answered",
        "_decided_below",
        "_first",
        "_highest",
        "_horizon",
        "_lost",
        "id",
        "interval_s",
        "link",
        "size",
        "started_at",
    )

    def __init__(self, series_id: int, link: LinkKey, size: Size, started_at: float, interval_s: float | None) -> None:
        """``interval_s`` None: its start was not seen, so what was sent is told by the numbers of the answers alone."""
        self.id = series_id
        self.link = link
        self.size: Size = size
        self.started_at = started_at
        self.interval_s = max(interval_s, _SHORTEST_INTERVAL_S) if interval_s is not None else None
        self._first = 0
        self._anchor = started_at  # when number 0 was, or would have been, sent
        self._decided_below = 0
        self._answered: set[int] = set()  # at or above _decided_below
        self._highest = -1  # number that was answered
        self._lost: dict[int, Outcome] = {}  # called lost lately: an answer may still come
        self._horizon = started_at

    def begin_at(self, first: int) -> None:
        self._first = self._decided_below = first
        self._anchor = self.started_at - first * (self.interval_s or 0.0)

    def answer(self, reply: PingReply, sent_at: float, deadline_s: float, outcomes: Outcomes) -> Outcome | None:
        """Take in an answer; what it decided, or None of a duplicate or of one that came after its time."""
        number = self._number(reply.seq, sent_at)
        if number < self._first:
            return None
        if self.interval_s is not None:
            self._anchor = sent_at - number * self.interval_s
            self._withdraw_unsent(self._due(deadline_s, self.interval_s), outcomes)
        if reply.rtt_ms > deadline_s * 1000:
            return None  # it counts as lost, which the timer says or has said
        if number >= self._decided_below:
            if number in self._answered:
                return None
            self._answered.add(number)
        elif self._lost.pop(number, None) is not None:
            outcomes.withdraw(self.id, number)
        else:
            return None
        self._highest = max(self._highest, number)
        outcome = Outcome(sent_at + reply.rtt_ms / 1000, sent_at, reply.rtt_ms, self.id, number)
        outcomes.add(outcome)
        return outcome

    def _number(self, seq: int, sent_at: float) -> int:
        """The sequence number without its wrap at 16 bits."""
        if self.interval_s is None:
            expected = max(self._answered, default=seq)
        else:
            expected = floor((sent_at - self._anchor) / self.interval_s)
        return seq + _SEQUENCES * round((expected - seq) / _SEQUENCES)

    def _due(self, deadline_s: float, interval_s: float) -> int:
        """All numbers below this one should have been answered by now."""
        return floor((self._horizon - deadline_s - self._anchor) / interval_s) + 1

    def _withdraw_unsent(self, due: int, outcomes: Outcomes) -> None:
        """The timer ran ahead: what it called lost before it can have been due is taken back."""
        if self._decided_below <= due:
            return
        below = max(due, self._first)
        unsent = {number for number in self._lost if number >= below}
        for number in unsent:
            del self._lost[number]
            outcomes.withdraw(self.id, number)
        # What is undecided again and was not called lost had been answered.
        self._answered.update(set(range(below, min(self._decided_below, self._highest + 1))) - unsent)
        self._decided_below = below

    def decide(self, horizon: float, deadline_s: float, outcomes: Outcomes) -> list[Outcome]:
        """The node has told all until ``horizon``: what it did not tell of in time is lost. The losses."""
        self._horizon = max(self._horizon, horizon)
        if self.interval_s is None:
            return self._decide_by_numbers(outcomes, deadline_s)
        due = self._due(deadline_s, self.interval_s)
        if due - self._decided_below > _MAX_BACKLOG:
            self._decided_below = due - _MAX_BACKLOG
        losses = []
        for number in range(self._decided_below, due):
            if number not in self._answered:
                losses.append(self._lose(number, self._anchor + number * self.interval_s, deadline_s, outcomes))
        if due > self._decided_below:
            self._decided_below = due
            self._answered = {number for number in self._answered if number >= due}
            self._forget_old_losses(due)
        return losses

    def fates(self, after: float, due: float) -> list[tuple[float, bool]]:
        """Of the probes sent within that time: (when, whether an answer has come), in their order."""
        if self.interval_s is None or not -_MAX_TIME < after < due < _MAX_TIME:
            return []
        first = max(self._first, ceil((after - self._anchor) / self.interval_s))
        last = min(floor((due - self._anchor) / self.interval_s), first + _MAX_FATES)
        return [
            (
                self._anchor + n * self.interval_s,
                n in self._answered or (n < self._decided_below and n not in self._lost),
            )
            for n in range(first, last + 1)
        ]

    def _decide_by_numbers(self, outcomes: Outcomes, deadline_s: float) -> list[Outcome]:
        """Without the interval: what lies between two answers was sent between them."""
        if len(self._answered) < 2:
            return []
        low, high = min(self._answered), max(self._answered)
        if high - low > _MAX_BACKLOG:
            low = high - _MAX_BACKLOG
        losses = [
            self._lose(number, self._horizon - deadline_s, deadline_s, outcomes)
            for number in range(low + 1, high)
            if number not in self._answered
        ]
        self._answered = {high}
        self._decided_below = high
        return losses

    def _lose(self, number: int, sent_at: float, deadline_s: float, outcomes: Outcomes) -> Outcome:
        outcome = Outcome(sent_at + deadline_s, sent_at, None, self.id, number)
        self._lost[number] = outcome
        outcomes.add(outcome)
        return outcome

    def _forget_old_losses(self, due: int) -> None:
        if len(self._lost) > _MAX_BACKLOG:
            for number in [number for number in self._lost if number < due - _MAX_BACKLOG]:
                del self._lost[number]


class PingBook:
    """All ping series of one probe stream: a fresh probe starts pings of its own, with a book of its own."""

    __slots__ = ("_by_link", "_problems", "_series")

    def __init__(self) -> None:
        self._series: dict[tuple[str, int], Series] = {}
        self._by_link: dict[LinkKey, list[Series]] = {}
        self._problems: dict[tuple[LinkKey, Size], str] = {}

    def start(self, started: PingStarted, link: LinkKey, at: float, series_id: int) -> None:
        """A ping process began. One that ran before for the same target is over, its undecided probes with it."""
        series = Series(series_id, link, size_of(started.payload_bytes), at, started.interval_s)
        series.begin_at(started.first_seq)
        self._put(started.target, started.payload_bytes, series)

    def series_of(self, reply: PingReply, link: LinkKey, at: float, series_id: int) -> Series:
        series = self._series.get((reply.target, reply.payload_bytes))
        if series is None:
            series = Series(series_id, link, size_of(reply.payload_bytes), at, None)
            series.begin_at(reply.seq)
            self._put(reply.target, reply.payload_bytes, series)
        if self._problems:
            self._problems.pop((link, series.size), None)
        return series

    def _put(self, target: str, payload_bytes: int, series: Series) -> None:
        self._remove(target, payload_bytes)
        self._series[target, payload_bytes] = series
        self._by_link.setdefault(series.link, []).append(series)

    def _remove(self, target: str, payload_bytes: int) -> None:
        series = self._series.pop((target, payload_bytes), None)
        if series is not None:
            self._by_link[series.link].remove(series)

    def trouble(self, problem: PingProblem, link: LinkKey) -> None:
        """ping said why it cannot; when it has ended, its undecided probes are never decided."""
        if problem.text:
            self._problems[link, size_of(problem.payload_bytes)] = problem.text
        if problem.ended:
            self._remove(problem.target, problem.payload_bytes)

    def problem_of(self, link: LinkKey) -> str | None:
        if not self._problems:
            return None
        return self._problems.get((link, "small")) or self._problems.get((link, "full"))

    def running(self, link: LinkKey) -> Sequence[Series]:
        return self._by_link.get(link, ())

    def all_running(self) -> Iterable[Series]:
        return self._series.values()
