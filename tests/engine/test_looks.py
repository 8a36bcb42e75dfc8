"""Closer looks: when, for how long, at which pace."""

from __future__ import annotations

import pytest

from meshtop.engine.looks import LINGER_S, LOOK_S, PAUSE_S, Look, is_worth_it, pace


def told(look: Look, stalling: list[bool]) -> list[bool]:
    """Second by second."""
    return [look.due(float(now), stalling=stalls) for now, stalls in enumerate(stalling)]


def test_nothing_stalls_and_nobody_looks() -> None:
    assert not any(told(Look(), [False] * 100))


def test_a_look_goes_on_until_ten_seconds_after_the_stall() -> None:
    looked = told(Look(), [False, True, True, False, *[False] * 20])
    assert looked.index(True) == 1
    assert looked.count(True) == 1 + LINGER_S  # from 1 to 11, the last that stalled being 2


def test_a_look_lasts_a_minute_at_most_and_then_pauses_as_long() -> None:
    looked = told(Look(), [True] * 200)
    assert looked[:60] == [True] * int(LOOK_S)
    assert looked[60:120] == [False] * int(PAUSE_S)
    assert looked[120]


def test_after_a_pause_only_what_stalls_then_is_looked_at() -> None:
    looked = told(Look(), [True] * 61 + [False] * 100)
    assert not any(looked[60:])


def test_stalls_that_have_stood_for_a_minute_are_known() -> None:
    assert is_worth_it(59.0)
    assert not is_worth_it(61.0)


@pytest.mark.parametrize(
    ("usual_s", "close_s", "cpu_s", "expected"),
    [
        (1.0, 0.2, None, 0.2),
        (1.0, 0.2, 0.002, 0.2),
        (1.0, 0.2, 0.012, 0.2),  # exactly six percent
        (1.0, 0.2, 0.020, 0.4),  # a poor node: 0.02 s a frame is 5 % at 0.4 s
        (1.0, 0.2, 0.070, None),  # it can afford nothing faster
        (0.1, 0.2, 0.001, None),  # the operator's own pace is closer already
        (0.2, 0.2, 0.001, None),
    ],
)
def test_the_pace_is_what_the_node_can_afford(
    usual_s: float, close_s: float, cpu_s: float | None, expected: float | None
) -> None:
    assert pace(usual_s, close_s, cpu_s) == expected
