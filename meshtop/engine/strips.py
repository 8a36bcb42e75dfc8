"""The last two minutes of a link second by second, by what its flows did."""

from __future__ import annotations

from math import ceil, floor

from meshtop.engine.flows import Activity
from meshtop.engine.stallbook import StallList
from meshtop.engine.view import Strip, StripState

STRIP_S = 120
# From the least to the most telling: a second has the worst of what was measured in it.
_LEVELS: tuple[StripState, ...] = ("no-data", "idle", "sending", "retransmitting", "stalled")
_NO_DATA, _IDLE, _SENDING, _RETRANSMITTING, _STALLED = range(5)
_LOT = 64


class StripRecord:
    """Times are on the axis of the link's source."""

    __slots__ = ("_seconds", "_until")

    def __init__(self) -> None:
        self._seconds: dict[int, int] = {}
        self._until: float | None = None

    def add(self, start: float, end: float, moved: Activity | None) -> None:
        """An interval was measured; ``moved`` None: the sockets could not be read."""
        if self._until is None or end > self._until:
            self._until = end
        if moved is None:
            return
        level = _RETRANSMITTING if moved.retrans else _SENDING if moved.acked_bytes or moved.data_segs else _IDLE
        seconds = self._seconds
        for second in range(max(floor(start), ceil(end) - STRIP_S), ceil(end)):
            if level > seconds.get(second, _NO_DATA):
                seconds[second] = level
        if len(seconds) > STRIP_S + _LOT:
            oldest = floor(self._until) - STRIP_S
            self._seconds = {second: level for second, level in seconds.items() if second >= oldest}

    def view(self, now: float, at: float, fresh_s: float, stalls: StallList) -> Strip:
        """``now`` on the axis is the operator's ``at``. It ends with what was last measured, while that is fresh."""
        until = now if self._until is None or now - self._until > fresh_s else self._until
        last = ceil(until)
        first = last - STRIP_S
        levels = [self._seconds.get(second, _NO_DATA) for second in range(first, last)]
        for start, end in stalls.spans(first):
            for second in range(max(floor(start), first), min(ceil(end), last)):
                levels[second - first] = _STALLED
        return Strip(until=at - (now - last), seconds=tuple(_LEVELS[level] for level in levels))
