"""Losses of pings that print nothing when they are lost: told by a timer that the answers correct."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshtop.engine.probes import Outcomes, PingBook, Series, lost_after_s, size_of
from meshtop.model import LinkKey
from meshtop.readings import PingProblem, PingReply, PingStarted

LINK = LinkKey("e", "a", "vpn")
TARGET = "10.10.10.1"


def reply(seq, rtt_ms=30.0):
    return PingReply(target=TARGET, payload_bytes=56, seq=seq, rtt_ms=rtt_ms, uptime_s=0.0)


def started(at=0.0, interval=1.0, first=1):
    series = Series(1, LINK, "small", at, interval)
    series.begin_at(first)
    return series


def tally(outcomes):
    rtts, lost = outcomes.tally(-1e9, 1e9)
    return len(rtts), lost


def test_sizes_and_deadlines():
    assert (size_of(56), size_of(128), size_of(1200)) == ("small", "small", "full")
    assert lost_after_s(None) == 5.0
    assert lost_after_s(38.0) == 5.0
    assert lost_after_s(3400.0) == 13.6


def test_undecided_probes_do_not_count():
    series, outcomes = started(), Outcomes()
    series.answer(reply(1), 0.0, 5.0, outcomes)
    assert series.decide(4.9, 5.0, outcomes) == []  # numbers 2 to 5 were sent; they may still be answered
    assert tally(outcomes) == (1, 0)
    assert [loss.number for loss in series.decide(6.5, 5.0, outcomes)] == [2]
    assert tally(outcomes) == (1, 1)


def test_a_duplicate_counts_once():
    series, outcomes = started(), Outcomes()
    assert series.answer(reply(1), 0.0, 5.0, outcomes) is not None
    assert series.answer(reply(1, 31.0), 0.0, 5.0, outcomes) is None
    series.decide(20.0, 5.0, outcomes)
    assert series.answer(reply(1, 31.0), 0.0, 5.0, outcomes) is None
    assert tally(outcomes)[0] == 1


def test_an_answer_that_came_in_time_and_was_told_late_takes_the_loss_back():
    series, outcomes = started(), Outcomes()
    series.decide(6.0, 5.0, outcomes)
    assert tally(outcomes) == (0, 2)
    assert series.answer(reply(2), 1.0, 5.0, outcomes) is not None
    assert tally(outcomes) == (1, 1)


def test_an_answer_after_its_time_stays_a_loss():
    series, outcomes = started(), Outcomes()
    series.decide(6.0, 5.0, outcomes)
    assert series.answer(reply(1, 5500.0), 0.0, 5.0, outcomes) is None
    assert tally(outcomes) == (0, 2)
    assert series.answer(reply(5, 6000.0), 4.0, 5.0, outcomes) is None  # before the timer has said so
    series.decide(9.5, 5.0, outcomes)
    assert tally(outcomes) == (0, 5)


def test_a_timer_that_ran_ahead_is_set_back_and_its_losses_are_withdrawn():
    """ping was stopped from second 3 to second 30: it sent nothing in that time."""
    series, outcomes = started(), Outcomes()
    for seq in (1, 2, 3):
        series.answer(reply(seq), seq - 1.0, 5.0, outcomes)
    series.decide(31.0, 5.0, outcomes)
    assert tally(outcomes) == (3, 24)
    series.answer(reply(4), 30.0, 5.0, outcomes)
    assert tally(outcomes) == (4, 0)
    for seq in range(5, 20):
        series.answer(reply(seq), seq + 26.0, 5.0, outcomes)
    series.decide(60.0, 5.0, outcomes)
    rtts, lost = outcomes.tally(-1e9, 1e9)
    assert (len(rtts), lost) == (19, 10)  # numbers 20 to 29, sent at 46 to 55


def test_a_timer_that_lags_catches_up():
    series, outcomes = started(interval=1.0), Outcomes()
    for seq in range(1, 101):
        series.answer(reply(seq), (seq - 1) * 0.99, 5.0, outcomes)
        series.decide((seq - 1) * 0.99 + 0.1, 5.0, outcomes)
    assert tally(outcomes) == (100, 0)


def test_sequence_numbers_wrap_at_16_bits():
    series, outcomes = started(first=65530), Outcomes()
    for k in range(20):
        if k != 12:
            series.answer(reply((65530 + k) % 65536), float(k), 5.0, outcomes)
    series.decide(25.0, 5.0, outcomes)
    rtts, lost = outcomes.tally(-1e9, 1e9)
    assert (len(rtts), lost) == (19, 2)  # the one left out, and that of second 20


def test_after_a_long_silence_only_the_last_probes_are_decided():
    series, outcomes = started(), Outcomes()
    assert len(series.decide(100_000.0, 5.0, outcomes)) == 1200


def test_without_a_start_the_numbers_of_the_answers_tell():
    book, outcomes = PingBook(), Outcomes()
    for seq in (7, 8, 11):
        series = book.series_of(reply(seq), LINK, float(seq), 1)
        series.answer(reply(seq), float(seq), 5.0, outcomes)
        series.decide(seq + 0.5, 5.0, outcomes)
    assert tally(outcomes) == (3, 2)
    assert book.series_of(reply(9), LINK, 9.0, 1).answer(reply(9), 9.0, 5.0, outcomes) is not None
    assert tally(outcomes) == (4, 1)


def test_a_restart_leaves_the_undecided_undecided():
    book, outcomes = PingBook(), Outcomes()
    start = PingStarted(target=TARGET, payload_bytes=56, interval_s=1.0, uptime_s=0.0, first_seq=1)
    book.start(start, LINK, 0.0, 1)
    book.start(start, LINK, 3.0, 2)
    (series,) = book.running(LINK)
    assert [loss.sent_at for loss in series.decide(9.0, 5.0, outcomes)] == [3.0, 4.0]


def test_a_ping_that_ended_sends_no_more_and_says_why():
    book = PingBook()
    start = PingStarted(target=TARGET, payload_bytes=56, interval_s=1.0, uptime_s=0.0, first_seq=1)
    book.start(start, LINK, 0.0, 1)
    book.trouble(
        PingProblem(target=TARGET, payload_bytes=56, uptime_s=1.0, text="Network is unreachable", ended=True), LINK
    )
    assert list(book.running(LINK)) == []
    assert book.problem_of(LINK) == "Network is unreachable"
    book.series_of(reply(1), LINK, 2.0, 2)
    assert book.problem_of(LINK) is None


@settings(deadline=None)
@given(
    answered=st.lists(st.booleans(), min_size=1, max_size=60),
    duplicates=st.lists(st.integers(1, 60), max_size=10),
    drift=st.floats(0.98, 1.03),
    frames=st.integers(1, 7),
)
def test_every_probe_is_answered_or_lost_once_whatever_the_timing(answered, duplicates, drift, frames):
    """ping's own pace differs from its nominal one; frames come every few probes."""
    series, outcomes = started(), Outcomes()
    end = 0.0
    for k, came in enumerate(answered):
        sent = k * drift
        if came:
            series.answer(reply(k + 1), sent, 5.0, outcomes)
            if k + 1 in duplicates:
                series.answer(reply(k + 1), sent, 5.0, outcomes)
        end = sent + 0.5
        if k % frames == 0:
            series.decide(end, 5.0, outcomes)
    series.answer(reply(len(answered) + 1), len(answered) * drift, 5.0, outcomes)
    series.decide(len(answered) * drift + 0.5, 5.0, outcomes)
    rtts, lost = outcomes.tally(-1e9, 1e9)
    assert len(rtts) == sum(answered) + 1
    overdue = sum(not came and len(answered) * drift + 0.5 - k * drift > 5.2 for k, came in enumerate(answered))
    undue = sum(not came and len(answered) * drift + 0.5 - k * drift < 4.8 for k, came in enumerate(answered))
    assert overdue <= lost <= len(answered) - sum(answered) - undue


@pytest.mark.parametrize("interval", [0.01, 0.2, 5.0])
def test_other_intervals(interval):
    series, outcomes = started(interval=interval), Outcomes()
    series.decide(5.0 + interval * 10, 5.0, outcomes)
    assert tally(outcomes)[1] in (10, 11)
