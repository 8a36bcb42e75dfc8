"""Round trips of one flow, told from a capture at its sender: how long a wait they explain.

As Linux does it (net/ipv4/tcp_input.c, tcp_ack_update_rtt): from segments that were sent once (RFC 6298 and Karn's
rule), else by the time stamp that an acknowledgement echoes (RFC 7323).
"""

from __future__ import annotations

from collections import deque

_LEAST_RTO_VAR_S = 0.2  # tcp_rto_min
_LONGEST_RTO_S = 1.0  # RFC 6298's first; what is above it comes of round trips that vary, and excuses no wait
_STAMPS_KEPT = 20_000  # of a millisecond each: longer than any round trip


class RoundTrips:
    """Smoothed as RFC 6298 has it. Sequence numbers are unbounded ones, times in seconds."""

    def __init__(self) -> None:
        self._sent: deque[tuple[int, float]] = deque()  # (right edge, when) of what was sent once
        self._stamped: dict[int, float] = {}  # TSval → when it was first sent with data
        self._srtt_s: float | None = None
        self._var_s = 0.0

    def sent(self, right: int, at: float, stamp: int) -> None:
        self._sent.append((right, at))
        self._stamp(stamp, at)

    def sent_again(self, left: int, at: float, stamp: int) -> None:
        while self._sent and self._sent[-1][0] > left:
            self._sent.pop()
        self._stamp(stamp, at)

    def acked(self, ack: int, at: float, echo: int) -> None:
        """An acknowledgement that advanced."""
        oldest = None
        while self._sent and self._sent[0][0] <= ack:
            _, sent_at = self._sent.popleft()
            oldest = sent_at if oldest is None else oldest
        if oldest is None:
            oldest = self._stamped.get(echo)
        if oldest is None:
            return
        rtt_s = at - oldest
        if self._srtt_s is None:
            self._srtt_s, self._var_s = rtt_s, rtt_s / 2
        else:
            self._var_s += (abs(self._srtt_s - rtt_s) - self._var_s) / 4
            self._srtt_s += (rtt_s - self._srtt_s) / 8

    @property
    def explained_s(self) -> float:
        """Two round trips, or the retransmission time-out up to a second."""
        srtt_s = self._srtt_s or 0.0
        return max(2 * srtt_s, min(_LONGEST_RTO_S, srtt_s + max(4 * self._var_s, _LEAST_RTO_VAR_S)))

    def _stamp(self, stamp: int, at: float) -> None:
        if not stamp or stamp in self._stamped:
            return
        self._stamped[stamp] = at
        if len(self._stamped) > _STAMPS_KEPT:
            del self._stamped[next(iter(self._stamped))]
