"""The end by size of what iperf3 itself does not end: a server that sends (``-R``) until so much is through (``-n``).

- A client before 3.10 counts what it sends, and nothing else (src/iperf_client_api.c): it has no end at all.
- One of 3.22 counts whole blocks, of which a server before 3.16 sends the last ones in part: both wait for each other.

So such a burst is ended by what the server says twice a second of what it has sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from meshtop.burst import BurstInterval, BurstPlan

ENDLESS_BEFORE = (3, 10)
# All was sent, and nothing has moved since: more than most retransmissions at the end of a burst wait for.
STUCK_S = 10.0
# The server's text has four digits of each interval's rate.
_NEARLY = 0.02


def is_endless(version: str | None) -> bool:
    """``version``: the client's, such as "3.9"."""
    return version is not None and tuple(int(part) for part in version.split(".")[:2]) < ENDLESS_BEFORE


class EndBySize:
    """``end`` is called once, when it is time. Does nothing for bursts that have another end."""

    def __init__(self, plan: BurstPlan, end: Callable[[], None]) -> None:
        self._bits = 8.0 * (plan.request.bytes or 0) if plan.server_sends else 0.0
        self._left = self._bits
        self._end = end
        self._until = 0.0  # the end of the last interval, and of the last in which something moved
        self._moved = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_stuck = False
        self.came = False

    def heard(self, sent: BurstInterval, *, endless: bool) -> None:
        """The next interval of the server."""
        if not self._bits:
            return
        self._left -= (sent.bps or 0.0) * (sent.t - self._until)
        self._until = sent.t
        if sent.bps:
            self._moved = sent.t
        self.cancel()
        if endless and (sent.bps or self._left <= 0):
            after_s = self._left / sent.bps if sent.bps and self._left > 0 else 0.0
            self._timer = asyncio.get_running_loop().call_later(after_s, self._now)
        elif self._left <= _NEARLY * self._bits and self._until - self._moved >= STUCK_S:
            self._is_stuck = True
            self._now()

    def without_the_wait(
        self, figures: dict[str, Any], intervals: Sequence[BurstInterval]
    ) -> tuple[dict[str, Any], tuple[BurstInterval, ...]]:
        """The record's figures and intervals, up to when something moved last."""
        if not self._is_stuck:
            return figures, tuple(intervals)
        moving = list(intervals)
        while moving and not moving[-1].bps:
            moving.pop()
        rates = {
            rate: 8 * figures[size] / self._moved
            for rate, size in (("sender_bps", "sent_bytes"), ("receiver_bps", "received_bytes"))
            if figures[size] is not None and self._moved
        }
        return {**figures, **rates}, tuple(moving)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _now(self) -> None:
        if not self.came:
            self.came = True
            self._end()
