"""Bars stand where their time puts them, at a scale that never moves; gaps stay gaps, lost probes are marks."""

from __future__ import annotations

import pytest

from meshtop.engine.view import TrailPoint
from meshtop.model import Thresholds
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import UNICODE
from meshtop.ui.metrics import Gravity
from meshtop.ui.theme import emergency_theme, palette
from meshtop.ui.widgets.sparkline import (
    bar_for,
    columns,
    draw,
    inflation_bar,
    rate_bar,
    retrans_bar,
    without_short_waits,
)

PALETTE = palette(emergency_theme())
NOW = 1000.0


def text(trail, width: int = 8, now: float = NOW, baseline_ms: float | None = 10.0, metric: str = "rtt") -> str:
    bar = bar_for(metric, baseline_ms, 10e6, Thresholds())
    line = draw(Line(), columns(trail, width, 1.0, now), bar, stale=False, glyphs=UNICODE, palette=PALETTE)
    return "".join(segment.text for segment in line.strip(width))


def rtts(*values: float | None, end: float = NOW) -> tuple[TrailPoint, ...]:
    """One point a second, the last at ``end``; None is a lost probe."""
    begin = end - len(values) + 1
    return tuple(TrailPoint(at=begin + place, rtt_ms=value, lost=value is None) for place, value in enumerate(values))


def test_the_baseline_is_the_second_bar_and_four_times_it_the_last() -> None:
    assert text(rtts(10, 15, 20, 25, 30, 35, 40, 400)) == "▂▃▄▅▆▇██"


def test_the_scale_does_not_follow_what_is_shown() -> None:
    assert text(rtts(*[10.0] * 7, 11)) == "▂" * 8
    assert text(rtts(*[10.0] * 7, 39)) == "▂" * 7 + "█"


def test_lost_probes_are_marks_and_what_was_not_measured_is_empty() -> None:
    trail = (*rtts(10, None, 10, end=NOW - 4), *rtts(10, end=NOW - 1), TrailPoint(at=NOW))
    assert text(trail) == " ▂×▂  ▂ "


def test_jitter_makes_no_holes() -> None:
    trail = [TrailPoint(at=NOW - 7 + place + (0.3 if place % 2 else -0.15), rtt_ms=10) for place in range(8)]
    assert text(trail) == "▂" * 8


def closely(*pings: float | None, end: float = NOW) -> tuple[TrailPoint, ...]:
    """Five points a second, of which the middle one has the ping; None is a lost probe."""
    begin = end - len(pings) + 1
    return tuple(
        TrailPoint(at=begin + second + part / 5, interval_s=0.2, rtt_ms=ping if part == 0 else None,
                   lost=int(part == 0 and ping is None), retrans=1, tx_bps=1e6 if part else 9e6)
        for second, ping in enumerate(pings) for part in (-2, -1, 0, 1, 2)
    )  # fmt: skip


@pytest.mark.parametrize("late", [0.0, 0.2, 0.4])
def test_a_closer_look_leaves_the_columns_as_they_were(late) -> None:
    trail = (*rtts(10, 20, 30, end=NOW - 3), *closely(10, None, 40, end=NOW))
    assert text(trail, now=NOW + late) == "  ▂▄▆▂×█"
    upto = len(trail) - 1  # the next column begins with the first point of it, and stays where it was
    assert text(trail[:upto], now=NOW + late) == "  ▂▄▆▂×█"


def test_points_of_one_column_are_told_together() -> None:
    (point,) = columns(closely(10.0), 1, 1.0, NOW)
    assert point is not None
    assert (point.rtt_ms, point.retrans, point.lost) == (10.0, 5, 0)
    assert point.tx_bps == pytest.approx(2.6e6)


def test_what_is_overdue_moves_left() -> None:
    assert text(rtts(10, 20, end=NOW - 1.4)) == "      ▂▄"
    assert text(rtts(10, 20, end=NOW - 5)) == "   ▂▄   "
    assert text(rtts(10, 20, end=NOW - 500)) == " " * 8


def test_nothing_is_drawn_without_a_baseline_or_points() -> None:
    assert text(rtts(10, 10), baseline_ms=None) == " " * 8
    assert text(()) == " " * 8
    assert columns((), 0, 1.0, NOW) == []


def filled(*values: float | str, decided_at: float = NOW) -> list[float | None]:
    """RTTs after filling. "-" was sampled without an answer, "x" lost, "?" not sampled, " " no point at all."""
    points: list[TrailPoint | None] = []
    for place, value in enumerate(values):
        at = NOW - len(values) + 1 + place
        if value == " ":
            points.append(None)
        elif isinstance(value, str):
            points.append(TrailPoint(at=at, lost=int(value == "x"), state="no-data" if value == "?" else "ok"))
        else:
            points.append(TrailPoint(at=at, rtt_ms=value, state="ok"))
    return [point.rtt_ms if point else None for point in without_short_waits(points, decided_at)]


def test_intervals_in_which_no_probe_was_due_are_no_gaps() -> None:
    assert filled(1, "-", 2) == [1, 1, 2]
    assert filled(1, "-", "-", 2) == [1, 1, 1, 2]


def test_what_may_yet_be_lost_is_not_filled_in() -> None:
    assert filled(1, "-", 2, decided_at=NOW - 1.5) == [1, None, 2]
    assert filled(1, "-", 2, decided_at=NOW - 1) == [1, 1, 2]


@pytest.mark.parametrize("gap", [("x",), ("?",), (" ",), ("-", "-", "-"), ("x", "-"), ("?", "-")])
def test_losses_and_gaps_stay(gap) -> None:
    assert filled(1, *gap, 2)[1] is None


def test_nothing_goes_on_after_the_last_answer() -> None:
    assert filled("-", 1, "-", "-") == [None, 1, None, None]


@pytest.mark.parametrize(
    ("bps", "level"), [(None, None), (0.0, 0), (9e3, 0), (11e3, 1), (100e3, 3), (1e6, 5), (10e6, 7), (80e6, 7)]
)
def test_rates_are_drawn_against_the_line(bps, level) -> None:
    bar = rate_bar(TrailPoint(at=NOW, tx_bps=bps), 10e6)
    assert (bar and bar[0]) == level


@pytest.mark.parametrize(("segments", "level"), [(None, None), (0, 0), (1, 1), (2, 2), (8, 4), (64, 7), (99_999, 7)])
def test_retransmissions_double_from_bar_to_bar(segments, level) -> None:
    bar = retrans_bar(TrailPoint(at=NOW, retrans=segments))
    assert (bar and bar[0]) == level


def test_gravity_grows_by_doublings() -> None:
    thresholds = Thresholds()
    found = [inflation_bar(TrailPoint(at=NOW, rtt_ms=rtt), 10, thresholds)[1] for rtt in (10, 20, 21, 41, 81)]
    assert found == [Gravity.FINE, Gravity.FINE, Gravity.RAISED, Gravity.BAD, Gravity.WORST]
