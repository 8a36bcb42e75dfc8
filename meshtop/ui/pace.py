"""When to paint. Pure: times come in, times go out."""

from __future__ import annotations

# Four paints a second are as many as a slow SSH session of the operator bears, and more than eyes need.
LEAST_PERIOD_S = 0.25
# Who samples that often wants to see what happens as it happens; what changes within so short a time is little.
QUICK_UPTO_INTERVAL_S = 0.5
QUICK_PERIOD_S = 0.15
# Several nodes report within a few milliseconds; waiting that long paints them together.
GATHER_S = 0.03
# Ages and the clock move on although nothing arrives.
HEARTBEAT_S = 1.0


class Pace:
    """The next paint's time, given when news came and when the last paint was."""

    def __init__(self) -> None:
        self._painted_at = float("-inf")

    def painted(self, now: float) -> None:
        self._painted_at = now

    def delay(self, now: float, interval_s: float = 1.0) -> float:
        """Seconds from ``now`` until news may be painted that come every ``interval_s``."""
        period_s = QUICK_PERIOD_S if interval_s <= QUICK_UPTO_INTERVAL_S else LEAST_PERIOD_S
        return max(GATHER_S, self._painted_at + period_s - now)

    def heartbeat_due(self, now: float) -> bool:
        return now - self._painted_at >= HEARTBEAT_S - GATHER_S
