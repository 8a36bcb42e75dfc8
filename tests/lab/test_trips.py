"""Round trips as the kernel would have them."""

from __future__ import annotations

import pytest

from meshtop.lab.trips import RoundTrips


def steady(rtt_s: float) -> RoundTrips:
    """After a hundred segments that took so long each."""
    trips = RoundTrips()
    for n in range(100):
        trips.sent(n + 1, float(n), 1000 * n + 1)
        trips.acked(n + 1, n + rtt_s, 1000 * n + 1)
    return trips


def test_without_any_the_least_time_out_is_all() -> None:
    assert RoundTrips().explained_s == pytest.approx(0.2)


def test_short_ones_explain_the_time_out_and_long_ones_two_of_them() -> None:
    assert steady(0.03).explained_s == pytest.approx(0.23, abs=0.001)
    assert steady(0.8).explained_s == pytest.approx(1.6, abs=0.001)


def test_what_was_sent_again_says_nothing_without_stamps() -> None:
    trips = steady(0.1)
    trips.sent(101, 100.0, 0)
    trips.sent_again(100, 101.0, 0)
    trips.acked(101, 105.0, 0)
    assert trips.explained_s == pytest.approx(0.3, abs=0.001)


def test_what_was_sent_again_is_told_by_its_stamp() -> None:
    trips = steady(0.1)
    trips.sent(101, 100.0, 7_000_000)
    trips.sent_again(100, 101.0, 7_000_001)
    trips.acked(101, 105.0, 7_000_001)  # 4 s
    assert trips.explained_s == pytest.approx(2 * (0.1 + 3.9 / 8), abs=0.01)


def test_the_oldest_of_those_acknowledged_counts() -> None:
    trips = RoundTrips()
    trips.sent(100, 0.0, 0)
    trips.sent(200, 0.9, 0)
    trips.acked(200, 1.0, 0)
    assert trips.explained_s == pytest.approx(2.0)
