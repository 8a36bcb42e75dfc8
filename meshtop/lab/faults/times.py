"""Faults that change when packets arrive, and in which order. They lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from meshtop.lab.faults.base import Fault, FaultError, percent, seconds, two

JITTER_STEP_S = 0.020  # how long one delay holds: cross traffic comes and goes by windows of packets, not by packets
USUAL_LAG_S = 0.010  # at 10 Mbit/s eight full packets overtake: well beyond the three that TCP forgives


class Delay(Fault):
    """Every packet takes longer."""

    kind = "delay"
    value_help = "added one-way time, such as 40ms"
    told = None  # the same for all, and in the status: an entry for each packet would tell nothing

    def take(self, value: str) -> None:
        self.added_s = seconds(value)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at + self.added_s,)


class Jitter(Fault):
    """Delays vary, anew every 20 ms; packets keep their order."""

    kind = "jitter"
    value_help = "the most that is added, such as 20ms; half of it on average"

    def take(self, value: str) -> None:
        self.most_s = seconds(value)
        self._until = self._added_s = self._last = 0.0

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        if at >= self._until:
            self._until = at + JITTER_STEP_S
            self._added_s = random.random() * self.most_s
        self._last = max(self._last, at + self._added_s)  # nobody overtakes
        return (self._last,)


class Reorder(Fault):
    """A share of the packets is late, so that others overtake them; none is lost."""

    kind = "reorder"
    value_help = "percent of packets / how late, such as 2%/10ms; 2% alone means /10ms"
    told = "reorder"

    def take(self, value: str) -> None:
        share, lag = two(value, "2%/10ms")
        self.share = percent(share)
        self.lag_s = seconds(lag) if lag else USUAL_LAG_S
        if self.share >= 1:
            raise FaultError("packets that are all late overtake nobody; that is a delay")

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at + self.lag_s,) if random.random() < self.share else (at,)


class Hold(Fault):
    """At intervals everything waits, then goes on all at once."""

    kind = "hold"
    value_help = "how long / how often, such as 300ms/2s"

    def take(self, value: str) -> None:
        length, every = two(value, "300ms/2s")
        if not every:
            raise FaultError(f"{value!r} does not say how often; write {length}/2s")
        self.length_s, self.every_s = seconds(length), seconds(every)
        if self.length_s >= self.every_s:
            raise FaultError(f"{value!r} would hold for ever; the second time must be the longer one")
        self._began: float | None = None

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        if self._began is None:
            self._began = at
        into = (at - self._began) % self.every_s
        # The end of each period is held, not its beginning: the first packet after the fault came is not.
        return (at,) if into < self.every_s - self.length_s else (at - into + self.every_s,)
