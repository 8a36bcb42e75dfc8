"""A node's clock is mapped by the frames that took least time, whatever the others did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.clockmap import BootClock

TRUE_OFFSET = 1_700_000_000.0


@given(st.lists(st.floats(0.0, 40.0), min_size=1, max_size=50))
def test_the_least_delayed_frame_sets_the_offset(delays):
    clock = BootClock(TRUE_OFFSET + 100 + delays[0], 100.0)
    for k, delay in enumerate(delays):
        clock.received(TRUE_OFFSET + 100 + k + delay, 100.0 + k)
    assert clock.operator_time(500.0) == pytest.approx(TRUE_OFFSET + 500 + min(delays), abs=1e-5)


def test_half_of_the_least_ssh_round_trip_is_taken_off():
    clock = BootClock(TRUE_OFFSET + 100.030, 100.0)
    clock.ssh_rtt(TRUE_OFFSET + 101, 60.0)
    clock.ssh_rtt(TRUE_OFFSET + 102, 900.0)  # a loaded moment says nothing of the way
    assert clock.operator_time(100.0) == pytest.approx(TRUE_OFFSET + 100, abs=1e-5)


def test_what_is_stored_on_the_axis_does_not_move_when_the_offset_is_learned():
    clock = BootClock(TRUE_OFFSET + 103.0, 100.0)
    before = clock.axis(100.0)
    clock.received(TRUE_OFFSET + 101.01, 101.0)
    assert clock.axis(100.0) == before
    assert clock.axis(101.0) - clock.axis(100.0) == 1.0
    assert clock.operator_time(100.0) == pytest.approx(TRUE_OFFSET + 100.01, abs=1e-5)
    assert clock.axis(100.0) + clock.correction_s == pytest.approx(clock.operator_time(100.0))


def test_an_outage_of_half_a_minute_changes_nothing():
    clock = BootClock(TRUE_OFFSET + 100.01, 100.0)
    for k in range(1, 31):
        clock.received(TRUE_OFFSET + 131.0, 100.0 + k)
    assert clock.operator_time(200.0) == pytest.approx(TRUE_OFFSET + 200.01, abs=1e-5)


def test_a_drift_is_followed_within_minutes():
    clock = BootClock(TRUE_OFFSET, 0.0)
    for second in range(3600):
        clock.received(TRUE_OFFSET + second * 1.0001, float(second))
    assert clock.operator_time(3600.0) == pytest.approx(TRUE_OFFSET + 3600 * 1.0001, abs=0.08)


def test_a_boot_does_not_reach_back_behind_the_one_before():
    clock = BootClock(TRUE_OFFSET + 50.0, 10.0, not_before=TRUE_OFFSET + 60.0)
    assert clock.axis(10.0) == TRUE_OFFSET + 60.0
    assert clock.operator_time(10.0) == pytest.approx(TRUE_OFFSET + 50.0)
