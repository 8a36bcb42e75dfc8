"""Findings open, change and close, and never flicker."""

from __future__ import annotations

from meshtop.engine.timeseries import rfc3339
from meshtop.engine.verdicts.lifecycle import CLOSES_AFTER_S, OPENS_AFTER_S, Candidate, Findings, Subject

LINK = Subject("loss", "e", "a", "vpn")


def likely(confidence: float = 0.8, severity: str = "warning", subject: Subject = LINK) -> Candidate:
    return Candidate(subject=subject, severity=severity, confidence=confidence, summary="…")  # type: ignore[arg-type]


def over(findings: Findings, seconds: range, *candidates: Candidate) -> list[tuple[int, str]]:
    return [(now, event.phase) for now in seconds for event in findings.update(candidates, float(now))]


def test_a_moment_is_not_enough() -> None:
    findings = Findings()
    assert over(findings, range(2), likely()) == []
    assert over(findings, range(2, 20)) == []


def test_it_opens_once_it_has_been_likely_for_a_while_and_closes_once_it_has_been_gone_for_longer() -> None:
    findings = Findings()
    assert over(findings, range(10), likely()) == [(int(OPENS_AFTER_S), "open")]
    assert [f.id for f in findings.open] == ["f1"]
    assert over(findings, range(10, 30)) == [(9 + int(CLOSES_AFTER_S), "closed")]
    assert findings.open == ()
    assert [f.id for f in findings.closed] == ["f1"]
    assert [f.until for f in findings.closed] == [rfc3339(9 + CLOSES_AFTER_S)]


def test_a_gap_that_is_shorter_than_the_hold_is_not_seen() -> None:
    findings = Findings()
    told = over(findings, range(5), likely()) + over(findings, range(5, 12)) + over(findings, range(12, 20), likely())
    assert [phase for _, phase in told] == ["open"]


def test_what_comes_back_later_is_another_finding() -> None:
    findings = Findings()
    over(findings, range(5), likely())
    over(findings, range(5, 30))
    over(findings, range(30, 35), likely())
    assert [f.id for f in findings.open] == ["f2"]


def test_what_is_open_may_become_less_likely_than_it_takes_to_open() -> None:
    findings = Findings()
    over(findings, range(5), likely(0.8))
    assert over(findings, range(5, 40), likely(0.45)) == [(7, "changed"), (12, "changed")]
    assert findings.open[0].confidence < 0.5
    assert over(Findings(), range(10), likely(0.45)) == []


def test_what_is_not_likely_any_more_keeps_the_words_of_the_rule_that_said_it() -> None:
    """Several rules lead to one code; each has its own next steps."""
    findings = Findings()
    said = likely()._replace(summary="its window is small", next=("a larger buffer",))
    over(findings, range(5), said)
    over(findings, range(5, 8), likely(0.3)._replace(summary="it reads slowly", next=("look at its disk",)))
    assert findings.open[0].summary == "its window is small"
    over(findings, range(8, 10), said._replace(confidence=0.3, summary="its window was small"))
    assert findings.open[0].summary == "its window was small"


def test_confidence_moves_in_steps_that_are_told_and_not_with_every_breath() -> None:
    findings = Findings()
    told = []
    for now in range(60):
        told += findings.update([likely(0.80 if now % 2 else 0.74)], float(now))
    assert [event.phase for event in told] == ["open"]
    rising = over(findings, range(60, 80), likely(0.95))
    assert [phase for _, phase in rising] == ["changed"]


def test_it_gets_worse_at_once_and_better_after_a_while() -> None:
    findings = Findings()
    over(findings, range(10), likely())
    assert over(findings, range(10, 12), likely(severity="critical")) == [(10, "changed")]
    eased = over(findings, range(12, 60), likely(severity="warning"))
    assert len(eased) == 1
    assert eased[0][0] >= 25
    flickering = Findings()
    told = []
    for now in range(60):
        told += flickering.update([likely(severity="critical" if now % 3 else "warning")], float(now))
    assert len(told) <= 2


def test_the_worst_and_surest_come_first() -> None:
    findings = Findings()
    each = [
        likely(0.9, "info", Subject("app-limited", "e", "a", "vpn")),
        likely(0.7, "critical", Subject("blackout", "e", "a", "vpn")),
        likely(0.8, "warning", Subject("loss", "e", "c", "vpn")),
        likely(0.95, "warning", Subject("loss", "d", "c", "vpn")),
    ]
    over(findings, range(5), *each)
    assert [(f.code, f.src) for f in findings.open] == [
        ("blackout", "e"), ("loss", "d"), ("loss", "e"), ("app-limited", "e"),
    ]  # fmt: skip


def test_what_becomes_part_of_another_finding_closes_at_once() -> None:
    findings = Findings()
    over(findings, range(5), likely())
    assert [event.phase for event in findings.drop([LINK], 5.0)] == ["closed"]
    assert findings.open == ()
