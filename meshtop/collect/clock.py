"""The operator's clock: UTC that never steps.

``time.time()`` is read once; from there ``CLOCK_BOOTTIME`` (clock_gettime(2)) carries on. It ticks like
``time.monotonic()`` and also counts the time for which a laptop slept, so that ages stay true after a resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def _ticker() -> Callable[[], float]:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)  # Linux alone has it
    return time.monotonic if boottime is None else partial(time.clock_gettime, boottime)


class Clock:
    """``now()`` in seconds since the epoch; ``wall`` and ``ticks`` are for tests."""

    def __init__(self, wall: Callable[[], float] = time.time, ticks: Callable[[], float] | None = None) -> None:
        self._ticks = ticks if ticks is not None else _ticker()
        self._offset = wall() - self._ticks()

    def now(self) -> float:
        """Operator's UTC in seconds since the epoch; never goes backwards, whatever is done to the wall clock."""
        return self._offset + self._ticks()
