"""What is kept of a link for charts: every interval where it belongs, little memory, no false precision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.flows import Activity
from meshtop.engine.history import FEWEST_OF_ONE, HISTORY_S, MOST_OF_ONE, MOST_POINTS, History, most_of_one

MOVED = Activity(acked_bytes=1250, data_segs=10, retrans=1)


def filled(count: int, *, limit: int = MOST_OF_ONE, moved: Activity | None = MOVED, offset: float = 0.0) -> History:
    """``count`` intervals of a second, the first from 0 to 1; the operator's time is ``offset`` ahead of the axis."""
    history = History(limit)
    for second in range(count):
        history.add(second, second + 1, second + 1 + offset, (30.0 + second, None), moved, "ok", late=False)
    return history


def test_an_interval_is_told_as_it_was_measured() -> None:
    history = History()
    history.add(9.5, 10.0, 1010.0, (38.25, 41.5), MOVED, "lossy", late=True)
    (point,) = history.points()
    assert (point.at, point.interval_s, point.rtt_ms, point.rtt_full_ms) == (1010.0, 0.5, 38.25, 41.5)
    assert (point.tx_bps, point.retrans, point.segments, point.retrans_pct) == (20_000.0, 1, 10, 10.0)
    assert (point.state, point.late, point.lost, point.lost_full) == ("lossy", True, 0, 0)


def test_what_was_not_measured_is_none_never_zero() -> None:
    history = History()
    history.add(0, 1, 1, (None, None), None, "no-data", late=False)
    history.add(1, 2, 2, (None, None), Activity(), "idle", late=False)
    blind, still = history.points()
    assert (blind.rtt_ms, blind.rtt_full_ms, blind.tx_bps, blind.retrans, blind.segments) == (None,) * 5
    assert (still.tx_bps, still.retrans, still.segments, still.retrans_pct) == (0.0, 0, 0, None)


def test_a_late_interval_finds_its_place_and_a_loss_its_interval() -> None:
    history = History()
    for start in (0, 1, 4, 5, 2, 3):
        history.add(start, start + 1, start + 1, (float(start), None), MOVED, "ok", late=start in (2, 3))
    assert [point.at for point in history.points()] == [1, 2, 3, 4, 5, 6]
    assert [point.late for point in history.points()] == [False, False, True, True, False, False]
    history.lose("small", 2.5)
    history.lose("small", 2.6)
    history.lose("full", 0.1)
    history.lose("small", 77.0)
    history.lose("small", -20.0)
    assert [(point.lost, point.lost_full) for point in history.points()] == [(0, 1), (0, 0), (2, 0), *[(0, 0)] * 3]


def test_points_are_chosen_by_the_operators_time() -> None:
    history = filled(20, offset=1000.0)
    assert [point.at for point in history.points(1010.0, 1013.0)] == [1011.0, 1012.0, 1013.0]


def test_fifteen_minutes_are_kept_and_no_more_than_it_says() -> None:
    history = filled(4000)
    ats = [point.at for point in history.points()]
    assert ats[-1] - ats[0] >= 15 * 60
    assert ats[-1] - ats[0] <= HISTORY_S + 70


def test_beyond_its_limit_the_older_half_is_thinned() -> None:
    history = filled(300, limit=200)
    points = history.points()
    assert len(points) <= 200
    assert [point.at for point in points[-50:]] == list(range(251, 301)), "what is new is whole"
    assert sum(point.interval_s or 0.0 for point in points) == pytest.approx(300)
    assert sum(point.segments or 0 for point in points) == 3000
    assert points[0].tx_bps == pytest.approx(10_000.0)


@given(st.lists(st.floats(0.1, 2.0), min_size=1, max_size=80), st.integers(10, 40))
def test_thinning_loses_no_count(spans, limit) -> None:
    history = History(limit)
    end = 0.0
    for span in spans:
        history.add(end, end + span, end + span, (None, None), MOVED, "ok", late=False)
        history.lose("small", end + span / 2)
        end += span
    points = history.points()
    assert len(points) <= limit
    assert sum(point.lost for point in points) == len(spans)
    assert sum(point.retrans or 0 for point in points) == len(spans)
    assert [point.at for point in points] == sorted(point.at for point in points)


@pytest.mark.parametrize(("links", "limit"), [(1, MOST_OF_ONE), (40, MOST_OF_ONE), (760, MOST_POINTS // 760)])
def test_memory_is_bounded_however_large_the_mesh(links, limit) -> None:
    assert most_of_one(links) == limit
    assert limit >= FEWEST_OF_ONE


def test_seconds_of_the_past_have_the_worst_of_what_was_measured() -> None:
    history = History()
    history.add(100, 101, 101, (None, None), Activity(), "idle", late=False)
    history.add(101, 102, 102, (None, None), Activity(acked_bytes=9, data_segs=1), "ok", late=False)
    history.add(102, 103, 103, (None, None), MOVED, "ok", late=False)
    history.add(104, 105, 105, (None, None), MOVED, "ok", late=False)
    strip = history.strip(105.4, 6, [(104.2, 104.9)])
    assert strip.until == 105.0
    assert strip.seconds == ("no-data", "idle", "sending", "retransmitting", "no-data", "stalled")
    assert history.strip(103.0, 2, []).seconds == ("sending", "retransmitting")
