"""Which nodes deserve a closer look now: the two ends of what stalls, for a while and at a bounded cost.

Pure: who watches live asks once in a while and sets the pace of the probes; what it sets is an event (``LookTaken``),
so that a recording is read as it was lived.
"""

from __future__ import annotations

from math import ceil

# A look goes on for this long after the stall has ended: stalls come in rows.
LINGER_S = 10.0
# It lasts this long at most, and then there is none for as long: a line that is bad for hours is known by then.
LOOK_S = PAUSE_S = 60.0
# What has stood still for longer than this will be no better known by looking closely.
_KNOWN_AFTER_S = 60.0
# A probe may take this share of one core of its node while it looks closely.
MAX_CORE_SHARE = 0.06
_PACE_S = 0.1  # probes are set to whole tenths


class Look:
    """Of one node."""

    __slots__ = ("_paused_until", "_since", "_stalled_at")

    def __init__(self) -> None:
        self._since: float | None = None
        self._stalled_at: float | None = None
        self._paused_until = float("-inf")

    def due(self, now: float, *, stalling: bool) -> bool:
        """Whether the node is to be looked at closely. ``stalling``: something stalls at it now. To be asked about once
        a second."""
        if stalling:
            self._stalled_at = now
        wanted = self._stalled_at is not None and now - self._stalled_at < LINGER_S
        if self._since is not None:
            if now - self._since >= LOOK_S:
                self._since, self._paused_until = None, now + PAUSE_S
            elif not wanted:
                self._since = None
        elif stalling and now >= self._paused_until:
            self._since = now
        return self._since is not None


def is_worth_it(age_s: float) -> bool:
    """Whether a closer look may tell more of a stall of that age."""
    return age_s < _KNOWN_AFTER_S


def pace(usual_s: float, close_s: float, cpu_s_a_frame: float | None) -> float | None:
    """The sampling interval of a closer look, or None where it would be no closer than the usual. ``cpu_s_a_frame``:
    what the probe has been seen to cost its node for each frame."""
    interval_s = close_s
    if cpu_s_a_frame is not None:
        affordable_s = ceil(cpu_s_a_frame / MAX_CORE_SHARE / _PACE_S - 1e-6) * _PACE_S
        interval_s = max(close_s, round(affordable_s, 1))
    return interval_s if interval_s < usual_s else None
