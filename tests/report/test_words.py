"""report.md in words: findings in the order of their gravity, each once, with its times; what is shown in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.recording import RecordingReader
from meshtop.report.markdown import report
from meshtop.report.story import Story, story

MINUTE = "2026-11-22T22:43:"


def finding(id_: str, severity: Any, since: int, until: int | None = None, **more: Any) -> FindingView:
    return FindingView(
        id=id_, severity=severity, since=f"{MINUTE}{since:02}.000Z", until=until and f"{MINUTE}{until:02}.000Z",
        **{"code": "loss", "confidence": 0.9, "src": "e", "dst": "a", "path": "vpn", "summary": "it is so", **more},
    )  # fmt: skip


@pytest.fixture(scope="module")
def told() -> Story:
    with RecordingReader(Path(__file__).parents[2] / "meshtop" / "lab" / "recordings" / "miku.mtr") as reader:
        return story(reader)


def test_the_gravest_comes_first_and_stands_before_what_is_over(told: Story) -> None:
    gravity = [("critical", "warning", "info").index(one.severity) for one in told.findings]
    assert gravity == sorted(gravity)
    for severity in ("critical", "warning", "info"):
        over = [one.until is not None for one in told.findings if one.severity == severity]
        assert over == sorted(over)


def test_a_finding_that_came_again_is_told_once_with_its_times(told: Story) -> None:
    again = (
        finding("f1", "critical", 10, 20),
        finding("f2", "critical", 40, evidence=(Evidence(what="unsent", value=231423.0, expected="> 32k"),)),
        finding("f3", "warning", 11, 30, code="blackout", src=None, dst=None, path=None, node="b"),
    )
    text = report(replace(told, findings=again), "a title", [])
    assert text.count("### loss: e → a on vpn") == 1
    assert "critical, 90 % sure, from 22:43:10 to 22:43:20, since 22:43:40." in text
    assert "warning, 90 % sure, from 22:43:11 to 22:43:30." in text
    assert "| unsent | 231,423 | \\> 32k |" in text


def test_the_pictures_that_tell_the_most_are_in_the_text(told: Story) -> None:
    files = [(f"pictures/{name}", "a screen") for name in ("overview-worst.png", "overview-end.png")]
    text = report(told, "a title", [*files, ("charts/e a-b.svg", "round trips")])
    assert "![a screen](pictures/overview-worst.png)" in text
    assert "![round trips](charts/e%20a-b.svg)" in text
    assert "![a screen](pictures/overview-end.png)" not in text
