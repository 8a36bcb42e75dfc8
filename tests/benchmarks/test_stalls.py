"""The score of stalls itself, in short: two cases on labs of their own, held to generous bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import stalls
from benchmarks.stall_cases import cases
from benchmarks.stall_record import interfaces_of, nodes_of
from benchmarks.stall_score import together
from benchmarks.table import percentile
from meshtop.lab import registry
from meshtop.lab.faults import FaultRequest, make_fault
from meshtop.lab.overlay import parse_overlay
from meshtop.lab.plan import CASE

SITES = [site.name for site in CASE]


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_makes_sense(case: stalls.Case) -> None:
    scenario = case.scenario
    parse_overlay(scenario.overlay)
    assert set(nodes_of(scenario)) <= set(SITES)
    assert "vpn" in interfaces_of(scenario)
    for fault in scenario.faults:
        make_fault(
            FaultRequest(
                target=fault.target, kind=fault.kind, value=fault.value, one_way=fault.one_way, net=fault.path
            ),
            SITES,
        )
    assert not scenario.faults or min(fault.at_s for fault in scenario.faults) < case.seconds


def test_names_of_cases_are_unique() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)


@pytest.mark.lab
def test_stalls_are_found_where_they_are_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.HOME_VARIABLE, str(tmp_path / "home"))  # put back afterwards
    chosen = [case for case in cases() if case.name in ("short-cuts", "app-limited")]
    results = stalls.run_all(chosen, stalls.Options(seconds=24.0), tmp_path / "runs")
    quiet = next(result for result in results if result.case == "app-limited")
    one = together([result.scores[5, 1.0] for result in results])
    wrong = [line for result in results for line in stalls.complaints(result, 5, 1.0)]
    assert one.true >= 6, "the cuts did not bite"
    assert quiet.scores[5, 1.0].found == 0, wrong
    assert one.recall is not None, wrong
    assert one.recall >= 0.8, wrong
    assert one.precision is not None, wrong
    assert one.precision >= 0.8, wrong
    assert (percentile(one.onset_errors_s, 95) or 0.0) <= 0.4
    assert (percentile(one.duration_errors_s, 95) or 0.0) <= 0.6
    assert set(one.causes) <= {"blackout", "rto-no-ack", "repeated-loss"}
