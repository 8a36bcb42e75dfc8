"""From a node's ``/proc/uptime`` to the operator's UTC.

A frame can only arrive after it was made, so ``received − uptime`` is the wanted offset plus that frame's delay. The
smallest one of the last minutes had the least delay; half of the SSH connection's smallest RTT is taken off for the way
that even that frame had to travel. A node's wall clock plays no part: steps of it change nothing here.
"""

from __future__ import annotations

# The offset is looked for in this much of the past: far longer than an outage whose frames all come late, and short
# enough to follow the drift of two quartz clocks (50 ppm are 30 ms in ten minutes).
WINDOW_S = 600.0
_BUCKET_S = 60.0


class WindowMinimum:
    """The smallest value of the last ``WINDOW_S`` seconds, in buckets of a minute."""

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: list[tuple[int, float]] = []

    def add(self, at: float, value: float) -> None:
        bucket = int(at // _BUCKET_S)
        if self._buckets and bucket <= self._buckets[-1][0]:
            last, smallest = self._buckets[-1]
            if value < smallest:
                self._buckets[-1] = (last, value)
            return
        self._buckets.append((bucket, value))
        oldest = bucket - int(WINDOW_S // _BUCKET_S)
        while self._buckets[0][0] <= oldest:
            del self._buckets[0]

    @property
    def value(self) -> float | None:
        return min(value for _, value in self._buckets) if self._buckets else None


class BootClock:
    """The clock of one boot of one node.

    ``axis(uptime)`` gives seconds on an axis that never shifts while a better offset is learned: everything that is
    stored is stored on it. ``correction_s`` leads from the axis to the operator's UTC as it is known now.
    """

    __slots__ = ("_anchor_s", "_correction_s", "_half_rtt", "_offsets")

    def __init__(self, received_at: float, uptime_s: float, not_before: float | None = None) -> None:
        """``not_before``: the newest time on the axis of the boot before, which this boot cannot reach back behind."""
        self._anchor_s = received_at - uptime_s
        if not_before is not None:
            self._anchor_s = max(self._anchor_s, not_before - uptime_s)
        self._offsets = WindowMinimum()
        self._half_rtt = WindowMinimum()
        self._correction_s = 0.0
        self.received(received_at, uptime_s)

    def received(self, received_at: float, uptime_s: float) -> None:
        """A frame with the node clock ``uptime_s`` arrived."""
        self._offsets.add(received_at, received_at - uptime_s)
        self._learn()

    def ssh_rtt(self, at: float, rtt_ms: float) -> None:
        """The SSH connection's smoothed RTT, from the operator's kernel."""
        self._half_rtt.add(at, rtt_ms / 2000)
        self._learn()

    def _learn(self) -> None:
        self._correction_s = (self._offsets.value or 0.0) - (self._half_rtt.value or 0.0) - self._anchor_s

    @property
    def correction_s(self) -> float:
        return self._correction_s

    def axis(self, uptime_s: float) -> float:
        return self._anchor_s + uptime_s

    def uptime(self, axis: float) -> float:
        """What the node's clock read at that place of the axis."""
        return axis - self._anchor_s

    def operator_time(self, uptime_s: float) -> float:
        """The operator's UTC at which the node's clock read ``uptime_s``."""
        return self._anchor_s + uptime_s + self._correction_s
