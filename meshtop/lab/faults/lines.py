"""Faults of capacity: the rate and the queue of a line, and a policer, which has no queue.

Read for this: RFC 2697 (token bucket), Flach et al., "An Internet-Wide Analysis of Traffic Policing" (SIGCOMM 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from meshtop.lab.faults.base import Fault, FaultError, bit_rate, seconds, size, two
from meshtop.lab.plan import OPERATOR, queue_bytes

UDP = 17  # protocol number
BUCKET_S = 0.050  # a policer's usual burst: this much time at its rate …
BUCKET_LEAST_BYTES = 16 * 1024  # … and ten full packets at least
QUEUE_MOST_BYTES = 64 << 20  # the WAN's memory is not without end


class Rate(Fault):
    """A line of another rate: a site's own, or (a pair, a path) one in the way with a queue of 40 ms."""

    kind = "rate"
    value_help = "bit/s, such as 5M"
    told = None  # waiting for a line is what lines are for

    def take(self, value: str) -> None:
        self.rate_bps = bit_rate(value)
        self.limit_s = queue_bytes(self.rate_bps) * 8 / self.rate_bps
        self._free_at = 0.0

    def line_of(self) -> str | None:
        own = not self.target and self.request.net is None and self.source != OPERATOR
        return self.source if own else None

    def set_line(self, rate_bps: float, limit_bytes: int, *, up: bool) -> tuple[float, int]:
        return (float(self.rate_bps) if up or not self.request.one_way else rate_bps), limit_bytes

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        wait_s = max(0.0, self._free_at - at)
        if wait_s > self.limit_s:
            return ()
        self._free_at = at + wait_s + len(data) * 8 / self.rate_bps
        return (self._free_at,)


class Queue(Fault):
    """The queue before a site's line holds more, or less."""

    kind = "queue"
    value_help = "bytes or time at the line's rate, such as 512k or 500ms"
    told = None

    def take(self, value: str) -> None:
        if self.target or self.request.net is not None or self.source == OPERATOR:
            raise FaultError("a queue is that of a site's line: name a site, without --path")
        self.time_s = seconds(value) if value.endswith("s") else None
        self.bytes = 0 if self.time_s else min(QUEUE_MOST_BYTES, size(value))

    def line_of(self) -> str | None:
        return self.source

    def set_line(self, rate_bps: float, limit_bytes: int, *, up: bool) -> tuple[float, int]:
        if self.request.one_way and not up:
            return rate_bps, limit_bytes
        wanted = int(rate_bps / 8 * self.time_s) if self.time_s else self.bytes
        return rate_bps, min(QUEUE_MOST_BYTES, wanted)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at,)


class Policer(Fault):
    """What exceeds a rate is dropped at once, nothing waits (token bucket)."""

    kind = "policer"
    value_help = "bit/s / burst in bytes, such as 8M/64k; 8M alone means 50 ms of it, at least 16k"

    def take(self, value: str) -> None:
        rate, burst = two(value, "8M/64k")
        self.rate_bps = bit_rate(rate)
        self.burst = size(burst) if burst else max(BUCKET_LEAST_BYTES, int(self.rate_bps / 8 * BUCKET_S))
        self._tokens = float(self.burst)
        self._filled_at: float | None = None

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        if self._filled_at is None:
            self._filled_at = at
        if at > self._filled_at:  # a packet that was made late by another fault may come out of turn
            self._tokens = min(self.burst, self._tokens + (at - self._filled_at) * self.rate_bps / 8)
            self._filled_at = at
        if self._tokens < len(data):
            return ()
        self._tokens -= len(data)
        return (at,)


class UdpPolicer(Policer):
    """The same for UDP alone, as some providers do; TCP and ICMP pass."""

    kind = "policer-udp"

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return super().passes(at, data, random) if data[9] == UDP else (at,)
