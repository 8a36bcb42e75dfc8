"""The histogram of how late packets were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.lateness import Histogram, LatenessMeter


@given(st.lists(st.floats(0, 0.09), min_size=1, max_size=300), st.floats(0.01, 1.0))
def test_a_quantile_is_off_by_a_step_at_most(values: list[float], share: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    exact = next(value for count, value in enumerate(sorted(values), 1) if count >= share * len(values))
    found = histogram.quantile_ms(share)
    assert found is not None
    assert exact * 1000 - 1e-6 <= found <= exact * 1000 + 0.1 + 1e-6


def test_what_is_over_five_milliseconds_is_counted() -> None:
    histogram = Histogram()
    for late_s in (0.0, 0.0049, 0.0051, 3.0):
        histogram.add(late_s)
    summary = histogram.summary()
    assert (summary.packets, summary.over_5ms, summary.max_ms) == (4, 2, 3000.0)


def test_without_packets_nothing_is_known() -> None:
    summary = Histogram().summary()
    assert (summary.p50_ms, summary.p99_ms, summary.max_ms) == (None, None, None)


@pytest.mark.parametrize(("looked_at", "recent"), [(5.0, 1), (15.0, 1), (19.9, 1), (20.1, 0), (500.0, 0)])
def test_the_recent_ones_are_forgotten_after_one_to_two_periods(looked_at: float, recent: int) -> None:
    meter = LatenessMeter(0.0)
    meter.add(1.0, 0.002)
    assert meter.recent(looked_at).total == recent
    assert meter.all.total == 1
