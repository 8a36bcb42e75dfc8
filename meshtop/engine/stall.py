"""What is known of one stall of one socket, in node time, and which of the causes that it showed tells most."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from meshtop.model import Value
from meshtop.readings import SocketId, SocketReading

# What accompanies a wait of any kind: data sent at its end, while the first ACK of it is still on its way, looks so.
_ACCOMPANYING = frozenset(("recovery", "host-queue", "delay"))
# What is told by something other than the silence itself: a closed window, a tunnel that stands still, lost pings.
_SEEN_TO_HOLD = frozenset(("zero-window", "outer-stall", "blackout"))


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
