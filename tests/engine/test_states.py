"""The tables of states: which row holds first, and how trouble clears."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.states import (
    LINK_TABLE,
    NODE_TABLE,
    TROUBLE,
    LinkFacts,
    NodeFacts,
    SizeCount,
    Verdict,
    hold,
    judge,
    judge_node,
)
from meshtop.model import Thresholds

LIMITS = Thresholds()
HEALTHY = LinkFacts(ever_answered=True, unanswered_s=0.5, answered=True, small=SizeCount(0, 10), flows=0)


def verdict(**changes):
    return judge(msgspec.structs.replace(HEALTHY, **changes), LIMITS)


def test_the_rows_are_in_the_documented_order():
    assert [row.state for row in LINK_TABLE] == ["no-data", "down", "stalled", "lossy", "degraded", "ok", "idle"]
    assert [row.state for row in NODE_TABLE] == ["down", "up", "connecting", "silent"]


DOWN = {"unanswered_s": 5.0, "answered": False}
STALLED = {"stalled_s": 1.0}
LOSSY = {"small": SizeCount(2, 10)}
DEGRADED = {"inflated_intervals": 3, "rtt_ms": 100.0, "baseline_ms": 38.0}


def test_the_first_row_that_holds_wins():
    assert verdict(obstacle="behind NAT", **DOWN).state == "no-data"
    assert verdict(**DOWN, **STALLED, **LOSSY, **DEGRADED).state == "down"
    assert verdict(**STALLED, **LOSSY, **DEGRADED).state == "stalled"
    assert verdict(**LOSSY, **DEGRADED).state == "lossy"
    assert verdict(**DEGRADED).state == "degraded"
    assert verdict() == Verdict("ok", None)
    assert verdict(answered=False, ever_answered=False).state == "idle"


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"unanswered_s": 4.9, "answered": True}, "ok"),
        ({**DOWN, "ever_answered": False}, "idle"),
        ({**DOWN, "unanswered_s": None}, "idle"),  # no ping is being sent: nothing is unanswered
        ({**DOWN, "tcp_idle_s": 4.0}, "ok"),
        ({**DOWN, "tcp_idle_s": 6.0}, "down"),
        ({**DOWN, "unanswered_limit_s": 10.0}, "idle"),  # pinged every ten seconds
        ({"small": SizeCount(1, 10)}, "ok"),
        ({"small": SizeCount(2, 200)}, "ok"),  # exactly 1 %
        ({"small": SizeCount(3, 200)}, "lossy"),
        ({"full": SizeCount(2, 2)}, "lossy"),
        ({"small": SizeCount(5, 5), "ever_answered": False}, "ok"),
        ({"retrans": 5, "data_segs": 99}, "ok"),
        ({"retrans": 1, "data_segs": 100}, "ok"),
        ({"retrans": 2, "data_segs": 100}, "lossy"),
        ({**DEGRADED, "inflated_intervals": 2}, "ok"),
        ({**DEGRADED, "baseline_ms": None}, "ok"),
        ({"stalled_s": 0.9}, "ok"),
        ({"stalled_s": None}, "ok"),
    ],
)
def test_each_row_holds_exactly_where_its_words_say(changes, state):
    assert verdict(**changes).state == state


@given(st.lists(st.sampled_from(["ok", "idle", *TROUBLE, "no-data"]), min_size=1, max_size=20))
def test_trouble_stands_until_five_clean_intervals(states):
    shown = hold([Verdict(state, state) for state in states], LIMITS).state
    if states[-1] == "no-data":
        assert shown == "no-data"
        return
    recent = [state for state in states[-LIMITS.clear_intervals :] if state in TROUBLE]
    assert shown == (max(recent, key=TROUBLE.index) if recent else states[-1])


def test_what_is_held_says_for_how_long_it_has_been_clean():
    assert hold([Verdict("lossy", "3 lost"), Verdict("ok", None), Verdict("ok", None)], LIMITS) == Verdict(
        "lossy", "3 lost; clean for 2 of 5 intervals"
    )


@pytest.mark.parametrize(
    ("facts", "state", "words"),
    [
        (NodeFacts(), "connecting", "not connected yet"),
        (NodeFacts(ever_connecting=True), "connecting", "connecting"),
        (NodeFacts(failed=True, failure="refused"), "down", "refused"),
        (NodeFacts(failed=True, failure="refused", sample_age_s=0.1), "down", "refused"),
        (NodeFacts(failed=True, failure="refused", ping_paths=("public",), pinged=True), "down", "answers pings"),
        (NodeFacts(failed=True, failure="refused", pinged=True), "down", "not answer pings"),
        (NodeFacts(session_up=True, session_age_s=1.0), "connecting", "waiting"),
        (NodeFacts(session_up=True, session_age_s=4.0), "silent", "no sample came yet"),
        (NodeFacts(session_up=True, session_age_s=9.0, sample_age_s=3.0), "up", None),
        (NodeFacts(session_up=True, session_age_s=9.0, sample_age_s=3.1), "silent", "no sample for 3 s"),
        (NodeFacts(session_up=True, session_age_s=1.0, sample_age_s=30.0), "connecting", "waiting"),
        (NodeFacts(sample_age_s=0.5), "up", None),
        (NodeFacts(sample_age_s=9.0), "silent", "no sample for 9 s"),
        (NodeFacts(session_up=True, sample_age_s=0.5, problems=("ss: not found",)), "up", "ss: not found"),
    ],
)
def test_states_of_a_node(facts, state, words):
    got, reason = judge_node(facts)
    assert got == state
    assert (reason is None) if words is None else (words in reason)
