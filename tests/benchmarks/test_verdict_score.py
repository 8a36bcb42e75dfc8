"""Scoring of verdicts: what counts as found in time, as forbidden, as elsewhere, as one for each pair."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import verdicts
from benchmarks.verdict_cases import case, cases
from benchmarks.verdict_record import Run
from benchmarks.verdict_score import Outcome, score
from meshtop.engine.events import FindingEvent
from meshtop.engine.timeseries import rfc3339
from meshtop.lab.faults import FaultRequest, make_fault
from meshtop.lab.overlay import parse_overlay
from meshtop.lab.plan import CASE
from meshtop.lab.scenario import names

TROUBLE = 1_000_000.0
SITES = [site.name for site in CASE]


def run(name: str, seed: int = 1) -> Run:
    made = case(name, seed)
    return Run(
        scenario=made.scenario,
        seed=seed,
        sick=made.sick,
        once=made.once,
        how=made.how,
        start=TROUBLE - made.scenario.trouble_s,
        trouble=TROUBLE,
        end=TROUBLE + 32,
    )


def told(code: str, at_s: float, confidence: float = 0.9, **changes: Any) -> FindingEvent:
    values: dict[str, Any] = {
        "id": f"{code}-{changes.get('src', 'e')}",
        "severity": "warning",
        "src": "e",
        "dst": "a",
        "path": "vpn",
        "since": rfc3339(TROUBLE + at_s),
        "summary": code,
        "phase": "open",
        **changes,
    }
    return FindingEvent(at=rfc3339(TROUBLE + at_s), code=code, confidence=confidence, **values)


def judged(name: str, *events: FindingEvent) -> Outcome:
    return score(run(name), events)


def test_found_in_time_and_place() -> None:
    outcome = judged("loss", told("loss", 12.0))
    assert outcome.right
    assert outcome.verdict_s == pytest.approx(12, abs=0.01)
    assert not outcome.also


@pytest.mark.parametrize(
    "event",
    [
        told("loss", 30.5),
        told("loss", 12.0, 0.69),
        told("loss", 12.0, src="d"),
        told("reorder", 12.0),
        told("loss", 33.0),
    ],
    ids=["late", "unsure", "elsewhere", "another", "after the end"],
)
def test_not_found(event: FindingEvent) -> None:
    outcome = judged("loss", event)
    assert not outcome.found
    assert not outcome.right
    assert outcome.verdict_s is None


def test_confidence_may_grow_in_time() -> None:
    assert judged("loss", told("loss", 5.0, 0.5), told("loss", 20.0, 0.8, phase="changed")).verdict_s == pytest.approx(
        20, abs=0.01
    )
    assert not judged("loss", told("loss", 5.0, 0.5), told("loss", 31.0, 0.8, phase="changed")).found


def test_what_must_not_be_may_not_be_at_any_confidence() -> None:
    outcome = judged("loss", told("loss", 5.0), told("policer", 6.0, 0.2))
    assert outcome.found
    assert [each.code for each in outcome.forbidden] == ["policer"]
    assert not outcome.right


def test_a_forbidden_code_of_one_path_is_free_on_the_other() -> None:
    needed = (told("overlay-only", 5.0), told("reordering", 5.0))
    assert judged("miku", *needed, told("loss", 5.0)).right
    assert not judged("miku", *needed, told("loss", 5.0, path="public")).right


def test_one_of_a_group_is_enough_and_each_group_is_needed() -> None:
    assert not judged("miku", told("overlay-only", 5.0)).found
    assert judged("miku", told("overlay-only", 5.0), told("tcp-over-tcp", 25.0)).verdict_s == pytest.approx(
        25, abs=0.01
    )


def test_healthy_is_silent_but_for_information() -> None:
    assert judged("healthy", told("app-limited", 5.0, severity="info")).right
    assert not judged("healthy", told("loss", 5.0)).right


def test_elsewhere_early_and_again_are_told() -> None:
    outcome = judged(
        "loss",
        told("loss", -2.0),
        told("loss", 4.0, phase="closed"),
        told("loss", 6.0),
        told("bufferbloat", 7.0, src="b", dst="c"),
    )
    assert outcome.reopened == 1
    assert [each.code for each in outcome.elsewhere] == ["bufferbloat"]
    assert [each.code for each in outcome.early] == ["loss"]
    assert len(verdicts.complaints(outcome)) == 3


def test_a_node_that_is_gone_is_one_finding() -> None:
    node: dict[str, Any] = {"src": None, "dst": None, "path": None, "node": "d"}
    assert judged("node-down", told("unreachable", 5.0, **node)).right
    pairs = [told("unreachable", 5.0, src=src, dst="d", id=f"f{src}") for src in "abc"]
    outcome = judged("node-down", told("unreachable", 5.0, **node), *pairs)
    assert outcome.many
    assert not outcome.right


def test_promises() -> None:
    good, bad = judged("loss", told("loss", 5.0)), judged("loss")
    assert verdicts.promises_broken([good] * 9 + [bad]) == []
    assert verdicts.promises_broken([good] * 8 + [bad]) == ["loss: the right codes in 8 of 9 runs"]
    assert len(verdicts.promises_broken([judged("healthy", told("loss", 1.0))])) == 1


def test_tables_have_a_row_for_each_scenario() -> None:
    outcomes = [judged("loss", told("loss", 5.0)), judged("healthy")]
    for table in verdicts.report(outcomes):
        assert [row[0] for row in table.rows] == ["loss", "healthy"]


@pytest.mark.parametrize("seed", range(1, 11))
def test_cases_make_sense(seed: int) -> None:
    for made in cases([], [seed]):
        parse_overlay(made.scenario.overlay)
        assert set(made.sick) <= set(SITES)
        for fault in (*made.ground, *made.scenario.faults):
            make_fault(
                FaultRequest(
                    target=fault.target, kind=fault.kind, value=fault.value, one_way=fault.one_way, net=fault.path
                ),
                SITES,
            )
            assert made.scenario.overlay == "direct" or fault.path != "vpn"
        assert bool(made.how) is (seed % 2 == 0 and made.name in names())


def test_the_same_seed_is_the_same_case() -> None:
    assert cases([], [2, 4]) == cases([], [2, 4])
    assert {each.name for each in cases([], [1])} > set(names())
