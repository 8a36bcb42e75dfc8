"""The operator's clock."""

from __future__ import annotations

import time

import pytest

from meshtop.collect.clock import Clock


def test_it_starts_at_the_wall_clock() -> None:
    assert abs(Clock().now() - time.time()) < 0.1


def test_steps_of_the_wall_clock_do_not_touch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: before - 3600)
    assert 0 <= clock.now() - before < 1


def test_it_goes_on_with_its_ticks() -> None:
    ticks = iter([100.0, 107.5])
    assert Clock(lambda: 1_000_000.0, lambda: next(ticks)).now() == 1_000_007.5


def test_the_time_of_a_sleep_counts() -> None:
    """CLOCK_MONOTONIC stands still while the machine is suspended."""
    clock = Clock()
    assert clock._ticks() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=1)
