"""``meshtop diagnose`` without a mesh: which experiments are chosen, whose findings count, how they are told."""

from __future__ import annotations

from typing import Any

import pytest

from meshtop.commands import finding_text
from meshtop.commands.diagnose_run import Pair, chosen, not_taken_back
from meshtop.engine.experiments import CHEAP, KINDS
from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.model import ExperimentRecord

PAIR = Pair(src="e", dst="a", path=None, first="vpn")


def finding(code: str = "loss", **changes: Any) -> FindingView:
    values: dict[str, Any] = {
        "id": "f1",
        "severity": "warning",
        "confidence": 0.83,
        "src": "e",
        "dst": "a",
        "path": "vpn",
        "since": "2024-05-01T14:32:07.123Z",
        "summary": "e → a on vpn: 4.8% of the segments are lost",
        "experiments": ("paths", "tcp-udp"),
        **changes,
    }
    return FindingView(code=code, **values)


def test_nothing_found_tries_what_is_cheap_on_the_first_path() -> None:
    for found in ([], [finding("app-limited", severity="info")]):
        assert {kind for kind, _ in chosen(found, PAIR)} == set(CHEAP)
        assert {path for _, path in chosen(found, PAIR)} == {"vpn"}


def test_each_experiment_is_run_once_and_pings_come_first() -> None:
    found = [
        finding(),
        finding("policer", experiments=("tcp-udp", "streams")),
        finding("reordering", experiments=("probe-sizes", "streams")),
    ]
    assert chosen(found, PAIR) == [(kind, "vpn") for kind in ("probe-sizes", "paths", "tcp-udp", "streams")]


def test_paths_are_compared_once_whichever_is_sick() -> None:
    found = [finding(), finding("loss", path="public")]
    kinds = [kind for kind, _ in chosen(found, PAIR)]
    assert kinds == ["paths", "tcp-udp", "tcp-udp"]
    assert {path for kind, path in chosen(found, PAIR) if kind == "tcp-udp"} == {"vpn", "public"}


def test_every_experiment_has_its_place_in_the_order() -> None:
    found = [finding(experiments=KINDS)]
    assert {kind for kind, _ in chosen(found, PAIR)} == set(KINDS)


@pytest.mark.parametrize(
    ("one", "pair", "whether"),
    [
        (finding(), PAIR, True),
        (finding(path="public"), PAIR, True),
        (finding(path="public"), Pair(src="e", dst="a", path="vpn", first="vpn"), False),
        (finding(src="a", dst="e"), PAIR, False),
        (finding("unreachable", src=None, dst=None, path=None, node="a"), PAIR, True),
        (finding("unreachable", src=None, dst=None, path=None, node="d"), PAIR, False),
    ],
)
def test_whose_findings_count(one: FindingView, pair: Pair, whether: bool) -> None:
    assert pair.concerns(one) is whether


def test_findings_in_words() -> None:
    one = finding(
        evidence=(Evidence(what="retransmitted", value=4.82345, expected="> 1 %"),),
        against=(Evidence(what="pings lost", value=None, expected="> 1 %"),),
        next=("the other path",),
    )
    assert finding_text.conclusion([one]).splitlines() == [
        "▲ loss (warning, 83 % sure) e → a on vpn: 4.8% of the segments are lost",
        "    for it: retransmitted 4.82 (expected > 1 %)",
        "    against it: pings lost – (expected > 1 %)",
        "    try: the other path",
    ]
    assert finding_text.conclusion([]) == "nothing is found wrong"
    assert finding_text.listing([], "e → a") == "e → a: nothing is found wrong"
    assert finding_text.listing([one], "e → a").count("\n") == 1


def test_experiments_in_words() -> None:
    record = ExperimentRecord(
        id="x1", kind="paths", src="e", dst="a", path="vpn", sends="", state="failed", started=0.0,
        reason="iperf3 is not installed on a", cure="install it",
    )  # fmt: skip
    assert finding_text.experiment(record) == "  failed: iperf3 is not installed on a; install it"


def test_what_looked_alike_and_was_less_likely_does_not_stand() -> None:
    policer, doubted = finding("policer", confidence=0.88), finding("loss", confidence=0.65)
    elsewhere = finding("loss", confidence=0.65, dst="b")
    assert not_taken_back([doubted, elsewhere], [policer]) == [elsewhere]
    assert not_taken_back([finding("policer", confidence=0.65)], [policer]) == []
    assert not_taken_back([doubted], []) == [doubted]  # nothing else explains it
    comparison = finding("overlay-only", confidence=0.9)
    assert not_taken_back([doubted], [comparison]) == [doubted]
