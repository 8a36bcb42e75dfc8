"""The end by size of what iperf3 itself does not end.

Until 3.9 its client counts what it sends, and nothing else (src/iperf_client_api.c): with ``-R``, ``-n`` has no end.
Such a burst is ended by what the server says twice a second of what it has sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from meshtop.burst import BurstInterval, BurstPlan

ENDLESS_BEFORE = (3, 10)


def is_endless(plan: BurstPlan, version: str | None) -> bool:
    """``version``: the client's, such as "3.9"."""
    old = version is not None and tuple(int(part) for part in version.split(".")[:2]) < ENDLESS_BEFORE
    return old and plan.server_sends and plan.request.bytes is not None


class EndBySize:
    """``end`` is called once, when ``size`` bytes have been sent at the rate of the last interval."""

    def __init__(self, size: int, end: Callable[[], None]) -> None:
        self._size = size
        self._end = end
        self._timer: asyncio.TimerHandle | None = None
        self.came = False

    def heard(self, intervals: Sequence[BurstInterval]) -> None:
        """All so far."""
        left_bits, since = 8.0 * self._size, 0.0
        for each in intervals:
            left_bits -= (each.bps or 0.0) * (each.t - since)
            since = each.t
        self.cancel()
        bps = intervals[-1].bps if intervals else None
        if left_bits <= 0 or bps:
            after_s = left_bits / bps if bps and left_bits > 0 else 0.0
            self._timer = asyncio.get_running_loop().call_later(after_s, self._now)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> None:
        if not self.came:
            self.came = True
            self._end()
