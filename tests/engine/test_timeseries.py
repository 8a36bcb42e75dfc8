"""Rings keep time's order whatever the order of arrival, and the statistics are those that are named."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.timeseries import Ring, delay_variation, median, percentile, rfc3339


@given(st.lists(st.integers(0, 100)), st.integers(-1, 101), st.integers(-1, 101))
def test_a_ring_gives_what_lies_between_in_order(times, after, upto):
    ring: Ring[int] = Ring()
    for time in times:
        ring.add(float(time), time)
    assert list(ring.between(after, upto)) == sorted(time for time in times if after < time <= upto)
    assert list(ring.last(3, upto)) == sorted(time for time in times if time <= upto)[-3:]
    assert ring.after(after) == min((time for time in times if time > after), default=None)
    assert ring.newest == max(times, default=None)


def test_entries_of_one_time_stay_in_the_order_in_which_they_came():
    ring: Ring[str] = Ring()
    for time, name in ((1.0, "a"), (2.0, "b"), (1.0, "c"), (1.0, "d")):
        ring.add(time, name)
    assert list(ring.between(0, 9)) == ["a", "c", "d", "b"]


def test_old_entries_go_but_some_stay_however_old():
    ring: Ring[int] = Ring(retention_s=100.0, at_least=10, at_most=500)
    for time in range(5000):
        ring.add(time * 60.0, time)
    assert 10 <= len(ring) <= 10 + 64
    assert ring.newest == 4999
    dense: Ring[int] = Ring(retention_s=100.0, at_least=10, at_most=500)
    for time in range(5000):
        dense.add(time * 0.01, time)
    assert len(dense) <= 500 + 64
    for time in range(5000, 7000):
        dense.add(time * 1.0, time)
    assert dense.oldest_time is not None
    assert dense.oldest_time >= 6999 - 100 - 64


def test_discard_takes_the_newest_that_matches():
    ring: Ring[int] = Ring()
    for time in (1, 2, 3, 4):
        ring.add(float(time), time)
    assert ring.discard(lambda item: item % 2 == 0) == 1
    assert list(ring.between(0, 9)) == [1, 2, 3]
    assert ring.discard(lambda item: item > 9) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_median_is_the_median(values):
    assert median(values) == pytest.approx(statistics.median(values))


def test_of_nothing_nothing_is_known():
    assert median([]) is None
    assert delay_variation([]) is None
    assert delay_variation([5.0]) is None


def test_percentiles_are_nearest_rank():
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([7.0], 0.10) == 7.0
    assert percentile(list(range(1, 12)), 0.10) == 2
    assert delay_variation([3.0, 1.0, 2.0]) == 2.0


def test_times_are_utc_in_milliseconds():
    assert rfc3339(1_714_573_927.123) == "2024-05-01T14:32:07.123Z"
