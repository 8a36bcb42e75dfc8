"""Scoring: partners by overlap, what counts as missed or invented, errors of onset and duration."""

from __future__ import annotations

import pytest

from benchmarks.stall_score import (
    Flow,
    FoundOne,
    TrueOne,
    agreement,
    clip_found,
    clip_true,
    match,
    score,
    together,
)

FLOW = Flow("e", "10.10.10.5", 40112, "10.10.10.1", 5201)
OTHER = FLOW._replace(local_port=40113)


def true(start: float, end: float, flow: Flow = FLOW, ended: bool = True) -> TrueOne:
    return TrueOne(flow, start, end, ended)


def found(start: float, end: float, flow: Flow = FLOW, cause: str = "rto-no-ack", ended: bool = True) -> FoundOne:
    return FoundOne(flow, start, end, cause, ended)


def test_partners_are_of_one_flow_and_overlap() -> None:
    assert match([true(1, 3)], [found(1.1, 3.1, OTHER), found(5, 6), found(2.9, 4)]) == [
        (true(1, 3), found(2.9, 4)),
    ]


def test_stalls_that_only_touch_are_no_partners() -> None:
    assert match([true(1, 3)], [found(3, 4)]) == []


def test_each_has_one_partner_that_it_shares_most_with() -> None:
    """Two true stalls told as one: only the longer one is found."""
    pairs = match([true(1, 2), true(2.1, 5)], [found(1, 5)])
    assert pairs == [(true(2.1, 5), found(1, 5))]


def test_what_has_no_partner_is_missed_or_invented() -> None:
    one = score([true(1, 3), true(10, 12)], [found(1, 3), found(20, 21.5)], 1.0, 0.2)
    assert (one.true, one.found, one.recall, one.precision) == (2, 2, 0.5, 0.5)
    assert one.missed == (true(10, 12),)
    assert one.invented == (found(20, 21.5),)


def test_short_stalls_are_neither_asked_for_nor_held_against_anyone() -> None:
    one = score([true(1, 1.9)], [found(5, 5.9)], 1.0, 0.2)
    assert (one.true, one.found, one.recall, one.precision) == (0, 0, None, None)


def test_at_the_border_the_promised_accuracy_is_allowed_for() -> None:
    """1.05 s told as 0.8 s at 5 Hz is found; the same told as 0.6 s is not."""
    assert score([true(1, 2.05)], [found(1, 1.8)], 1.0, 0.2).recall == 1
    assert score([true(1, 2.05)], [found(1, 1.6)], 1.0, 0.2).recall == 0
    assert score([true(1, 1.8)], [found(1, 2.05)], 1.0, 0.2).precision == 1
    assert score([true(1, 1.6)], [found(1, 2.05)], 1.0, 0.2).precision == 0


def test_a_wait_that_round_trips_explain_is_neither_asked_for_nor_held_against_anyone() -> None:
    wait = true(1, 5)._replace(explained_s=4.0)
    assert score([wait], [], 1.0, 0.2).true == 0
    one = score([wait], [found(1, 5)], 1.0, 0.2)
    assert (one.true, one.recall, one.precision) == (0, None, 1.0)
    assert score([wait._replace(explained_s=3.0)], [], 1.0, 0.2).recall == 0


def test_a_longer_partner_is_right_too() -> None:
    one = score([true(1, 9)], [found(1, 2)], 1.0, 0.2)
    assert one.recall == 1
    assert one.duration_errors_s == [pytest.approx(7.0)]


def test_errors_are_those_of_the_pairs() -> None:
    one = score([true(1, 3), true(5, 8)], [found(1.1, 3.2), found(4.8, 8)], 1.0, 0.2)
    assert sorted(one.onset_errors_s) == [pytest.approx(0.1), pytest.approx(0.2)]
    assert sorted(one.duration_errors_s) == [pytest.approx(0.1), pytest.approx(0.2)]


def test_what_the_end_of_the_run_cuts_off_has_an_onset_but_no_duration() -> None:
    one = score(clip_true([true(1, 30)], 10), clip_found([found(1.1, 12, ended=False)], 10), 1.0, 0.2)
    assert one.onset_errors_s == [pytest.approx(0.1)]
    assert one.duration_errors_s == []


def test_what_begins_after_the_end_of_the_run_is_not_judged() -> None:
    assert clip_true([true(11, 12)], 10) == []
    assert clip_found([found(11, 12)], 10) == []


def test_several_runs_add_up() -> None:
    one = together([score([true(1, 3)], [found(1, 3)], 1.0, 0.2), score([true(1, 3)], [], 1.0, 0.2)])
    assert (one.true, one.found, one.recall, one.precision) == (2, 1, 0.5, 1.0)
    assert one.causes == {"rto-no-ack": 1}


def test_causes_agree_by_share() -> None:
    assert agreement({"rto-no-ack": 3, "delay": 1}, frozenset({"rto-no-ack"})) == 0.75
    assert agreement({}, frozenset({"rto-no-ack"})) is None
