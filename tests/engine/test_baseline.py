"""The baseline is what a link does when nothing is in its way."""

from __future__ import annotations

import pytest

from meshtop.engine.baseline import Baseline


def feed(baseline, rtts, start=0.0):
    for k, rtt in enumerate(rtts):
        baseline.add(start + k, rtt)
    return start + len(rtts)


def test_five_answers_make_it_known():
    baseline = Baseline()
    feed(baseline, [40.0] * 4)
    assert baseline.rtt_ms is None
    baseline.add(5.0, 39.0)
    assert baseline.rtt_ms == 39.0


def test_it_falls_at_once_and_one_odd_value_does_not_set_it():
    baseline = Baseline()
    now = feed(baseline, [100.0] * 60)
    now = feed(baseline, [1.0], now)
    assert baseline.rtt_ms == 100.0
    feed(baseline, [38.0] * 10, now)
    assert baseline.rtt_ms == 38.0


def test_twenty_minutes_of_congestion_do_not_become_the_measure():
    baseline = Baseline()
    now = feed(baseline, [38.0] * 600)
    feed(baseline, [400.0] * 1200, now)
    assert baseline.rtt_ms is not None
    assert 38.0 <= baseline.rtt_ms < 60.0


def test_a_longer_route_becomes_the_measure_in_the_end_and_at_once_by_reset():
    baseline = Baseline()
    now = feed(baseline, [38.0] * 600)
    now = feed(baseline, [80.0] * 3600, now)
    assert baseline.rtt_ms == 80.0
    baseline.reset()
    assert baseline.rtt_ms is None
    feed(baseline, [90.0] * 5, now)
    assert baseline.rtt_ms == 90.0


def test_it_forgets_after_ten_minutes():
    baseline = Baseline()
    now = feed(baseline, [10.0] * 100)
    feed(baseline, [10.1] * 700, now)
    assert baseline.rtt_ms == pytest.approx(10.1)
