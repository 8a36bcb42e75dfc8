"""How well the WAN keeps its delays: a histogram of how late packets were handed over. Pure."""

from __future__ import annotations

from meshtop.lab.control import Lateness

STEP_S = 0.0001
STEPS = 1000  # up to 100 ms; later ones share the last step
LIMIT_S = 0.005  # the promise


class Histogram:
    """Counts by steps of 0.1 ms."""

    __slots__ = ("counts", "max_s", "over_limit", "total")

    def __init__(self) -> None:
        self.counts = [0] * (STEPS + 1)
        self.total = 0
        self.max_s = 0.0
        self.over_limit = 0

    def add(self, late_s: float) -> None:
        self.counts[min(STEPS, int(late_s / STEP_S))] += 1
        self.total += 1
        if late_s > LIMIT_S:
            self.over_limit += 1
        self.max_s = max(self.max_s, late_s)

    def merged(self, other: Histogram) -> Histogram:
        both = Histogram()
        both.counts = [one + two for one, two in zip(self.counts, other.counts, strict=True)]
        both.total = self.total + other.total
        both.over_limit = self.over_limit + other.over_limit
        both.max_s = max(self.max_s, other.max_s)
        return both

    def quantile_ms(self, share: float) -> float | None:
        """The upper edge of the step in which that share of all is reached; None without any."""
        if not self.total:
            return None
        wanted = share * self.total
        reached = 0
        for step, count in enumerate(self.counts):
            reached += count
            if reached >= wanted:
                return min((step + 1) * STEP_S, self.max_s) * 1000
        return self.max_s * 1000

    def summary(self) -> Lateness:
        return Lateness(
            packets=self.total,
            p50_ms=self.quantile_ms(0.5),
            p99_ms=self.quantile_ms(0.99),
            max_ms=self.max_s * 1000 if self.total else None,
            over_5ms=self.over_limit,
        )


class LatenessMeter:
    """A histogram since the start, and one of the last one to two periods."""

    PERIOD_S = 10.0

    def __init__(self, now: float) -> None:
        self.all = Histogram()
        self._current = Histogram()
        self._previous = Histogram()
        self._turn_at = now + self.PERIOD_S

    def add(self, now: float, late_s: float) -> None:
        if now >= self._turn_at:
            self.turn(now)
        self.all.add(late_s)
        self._current.add(late_s)

    def turn(self, now: float) -> None:
        """Begin a new period when one is over; a pause of several leaves nothing recent."""
        while now >= self._turn_at:
            self._previous, self._current = self._current, Histogram()
            self._turn_at += self.PERIOD_S

    def recent(self, now: float) -> Histogram:
        self.turn(now)
        return self._previous.merged(self._current)
