"""Charts as numbers: columns of time, gaps that stay gaps, axes that are stated and do not stretch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.style import Style

from meshtop.engine.view import TrailPoint
from meshtop.ui import theme
from meshtop.ui.glyphs import ASCII, UNICODE
from meshtop.ui.plot import TimeAxis, activity, columns_where, means, ranges, rate_of, retransmitted, since, ticks
from meshtop.ui.raster import LABEL, Curve, Look, chart
from meshtop.ui.scales import Scale, rate_scale, round_up, rtt_scale, share_scale

PALETTE = theme.palette(theme.emergency_theme())


def rtt(point: TrailPoint) -> float | None:
    return point.rtt_ms


def point(at: float, rtt_ms: float | None = None, **more) -> TrailPoint:
    return TrailPoint(at=at, **{"rtt_ms": rtt_ms, "state": "ok", "interval_s": 1.0, **more})


def axis(start: float, end: float, columns: int) -> TimeAxis:
    found = TimeAxis.until(end - 1e-6, end - start, columns)
    assert (found.start_s, found.end_s) == (start, end)
    return found


# ── time ──


@given(st.floats(1e9, 2e9), st.sampled_from([30.0, 60.0, 120.0, 300.0, 900.0]), st.integers(1, 300))
def test_an_axis_ends_with_the_column_of_its_moment(at, window_s, columns) -> None:
    found = TimeAxis.until(at, window_s, columns)
    assert found.column(at) == columns - 1
    assert found.end_s - found.start_s == pytest.approx(window_s)


@given(st.floats(1e9, 2e9), st.floats(0, 60), st.integers(10, 200))
def test_a_moment_moves_left_by_whole_columns(at, later, columns) -> None:
    """What is drawn does not change its shape while time passes."""
    one, other = TimeAxis.until(at, 120.0, columns), TimeAxis.until(at + later, 120.0, columns)
    shift = one.column(at - 30) - other.column(at - 30)
    assert shift >= 0
    assert all(one.column(at - back) - other.column(at - back) == shift for back in (0, 7.3, 55))


def test_an_interval_covers_its_columns_and_not_the_next() -> None:
    found = axis(0, 10, 10)
    assert list(found.covered(2.0, 3.0)) == [2]
    assert list(found.covered(2.5, 4.5)) == [2, 3, 4]
    assert list(found.covered(-5.0, 0.5)) == [0]
    assert list(found.covered(9.5, 99.0)) == [9]
    assert list(found.covered(20.0, 21.0)) == []
    assert list(found.covered(3.0, 3.0)) == [3]


def test_labels_stand_at_round_times_and_apart() -> None:
    found = ticks(axis(1000, 1120, 60), 14)
    assert [at for _, at in found] == [1020.0, 1050.0, 1080.0, 1110.0]
    assert [column for column, _ in found] == [10, 25, 40, 55]


# ── values ──


def test_a_gap_is_a_gap() -> None:
    points = [point(1, 10), point(2, 12), point(5, 11)]
    assert ranges(points, axis(0, 6, 6), rtt, 3.0) == [(10, 10), (12, 12), None, None, (11, 11), None]


def test_a_lost_probe_is_never_joined_over() -> None:
    points = [point(1, 10), point(2, None, lost=1), point(3, 11)]
    assert ranges(points, axis(0, 3, 3), rtt, 9.0) == [(10, 10), None, (11, 11)]
    assert columns_where(points, axis(0, 3, 3), lambda one: one.lost) == {1}


def test_between_rarer_probes_the_last_answer_holds() -> None:
    points = [point(1, 10), point(2), point(3, 14), point(4)]
    assert ranges(points, axis(0, 4, 4), rtt, 2.0) == [(10, 10), (10, 10), (14, 14), None], "the newest is undecided"
    assert ranges(points, axis(0, 4, 4), rtt, 0.5) == [(10, 10), None, (14, 14), None]
    blind = [point(1, 10), point(2, state="no-data"), point(3, 14)]
    assert ranges(blind, axis(0, 3, 3), rtt, 9.0) == [(10, 10), None, (14, 14)]


def test_a_column_has_the_least_and_the_most() -> None:
    points = [point(1, 10), point(2, 30), point(3, 20), point(4, 40)]
    assert ranges(points, axis(0, 4, 2), rtt, 0.0) == [(10, 30), (20, 40)]
    assert ranges(points, axis(0, 4, 8), rtt, 0.0) == [(v, v) for v in (10, 10, 30, 30, 20, 20, 40, 40)]


def test_rates_are_means_and_shares_are_of_all_segments() -> None:
    points = [
        point(1, tx_bps=8e3, retrans=1, segments=10),
        point(2, tx_bps=0.0, retrans=0, segments=90),
        point(3, tx_bps=None, retrans=None, segments=None),
        point(4, tx_bps=4e3, retrans=0, segments=0),
    ]
    assert means(points, axis(0, 4, 2), rate_of) == [4e3, 4e3]
    assert means(points, axis(0, 4, 4), rate_of) == [8e3, 0.0, None, 4e3]
    assert means(points, axis(0, 4, 2), retransmitted) == [1.0, None], "of no segments there is no share"


def test_what_flows_did() -> None:
    points = [
        point(1, tx_bps=0.0, retrans=0, segments=0), point(2, tx_bps=9.0, retrans=0), point(3, tx_bps=9.0, retrans=2),
        point(5, tx_bps=9.0, retrans=0), point(6, retrans=None, tx_bps=None),
    ]  # fmt: skip
    found = activity(points, axis(-1, 12, 13), [(4.2, 4.8)], 12.0)
    assert found == [
        None, "idle", "sending", "retransmitting", "no-data", "stalled", "no-data", "no-data", "no-data", None, None,
        None, None,
    ]  # fmt: skip
    assert activity([], axis(0, 3, 3), [], 3.0) == [None] * 3


def test_since_takes_what_ends_later() -> None:
    points = tuple(point(at) for at in range(10))
    assert [one.at for one in since(points, 6.0)] == [7, 8, 9]
    assert since((), 0.0) == ()


# ── axes ──


@given(st.floats(0.1, 1e9))
def test_axes_end_at_round_numbers(value) -> None:
    top = round_up(value)
    assert value <= top * (1 + 1e-9)
    assert top < 2.51 * value
    assert f"{top:.0e}"[0] in "125"


def test_jitter_does_not_stretch_the_axis() -> None:
    quiet = rtt_scale("fit", 36.0, 37.2)
    assert quiet.top == 200.0
    assert quiet.words == "0–200 ms = 6× baseline"
    assert rtt_scale("fit", 36.0, 143.0).top == 200.0
    assert rtt_scale("fit", 36.0, 430.0).top == 500.0
    assert rtt_scale("fit", 0.05, 0.2).top == 5.0, "within a rack milliseconds are what matters"
    assert rtt_scale("fit", None, None).top == 100.0
    assert rtt_scale("wide", 36.0, 5000.0).top == 1000.0
    assert rtt_scale("log", 36.0, 5.0).words == "log 1 ms–10 s"


def test_rates_are_held_against_the_line() -> None:
    assert rate_scale("fit", 30e6, 2e3).top == 5e6
    assert rate_scale("fit", 30e6, 28e6).top == 50e6
    assert rate_scale("wide", 30e6, 2e3).top == 50e6
    assert "line 30M" in rate_scale("fit", 30e6, None).words
    assert "line" not in rate_scale("fit", None, None).words
    assert share_scale("fit", 0.2).top == 5.0
    assert share_scale("fit", 66.0).top == 100.0
    assert share_scale("wide", 0.2).top == 100.0


@pytest.mark.parametrize("scale", [Scale(200.0), Scale(10_000.0, 1.0, True), rate_scale("log", 30e6, None)])
def test_values_rise_with_their_places(scale) -> None:
    values = [scale.value(share / 20) for share in range(21)]
    places = [scale.place(value, 16) for value in values]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 15)
    assert scale.place(scale.low / 2, 16) == 0
    assert scale.place(scale.top * 9, 16) == 15
    assert len(scale.label(0.0)) <= 5
    assert len(scale.label(1.0)) <= 5


# ── cells ──


def drawn(curves, rows: int, columns: int, scale: Scale, *, glyphs=UNICODE, **more) -> list[str]:
    look = Look(rows, columns, glyphs, PALETTE, **more)
    return [
        "".join(part.text for part in line.strip(LABEL + columns))[LABEL:] for line in chart(curves, scale, look)
    ]  # fmt: skip


def test_two_series_can_be_told_apart_without_colour() -> None:
    first = Curve([(0, 0), (30, 30), (10, 30), None], Style())
    second = Curve([(30, 30), (0, 0), (10, 10), None], Style())
    upper, lower = drawn([first, second], 2, 4, Scale(40.0))
    assert (upper, lower) == ("˙▀█ ", "▄.▞ ")
    assert drawn([first, second], 2, 4, Scale(40.0), glyphs=ASCII) == ["'^# ", "_.% "]


def test_a_filled_one_is_drawn_in_eighths() -> None:
    curve = Curve([(0, 0), (0, 5), (0, 10), (0, 19.9), None], Style(), filled=True)
    assert drawn([curve], 2, 5, Scale(20.0)) == ["  ▁█ ", " ▅██ "]


def test_beyond_the_axis_is_said() -> None:
    assert drawn([Curve([(500, 500)], Style())], 3, 1, Scale(40.0))[0] == "↑"


def test_the_cursor_of_time_hides_nothing() -> None:
    curve = Curve([(0, 0), (0, 0), (0, 0)], Style())
    assert drawn([curve], 2, 3, Scale(40.0), cursor=1) == [" │ ", "▄▄▄"]


def test_braille_has_two_dots_a_column_and_four_a_row() -> None:
    ranges_of_dots = [(0, 0), (39, 39), None, (0, 39)]
    assert drawn([Curve(ranges_of_dots, Style())], 1, 2, Scale(40.0), braille=True) == ["⡈⢸"]
    assert drawn([Curve([(0, 0)] * 2, Style())], 1, 2, Scale(40.0), glyphs=ASCII, braille=True) == ["__"]
