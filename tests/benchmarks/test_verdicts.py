"""The score of verdicts itself, in short: the case that meshtop was made for, played once on a lab of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benchmarks import verdict_record, verdicts
from benchmarks.verdict_score import score
from meshtop.lab import registry


@pytest.mark.lab
def test_the_case_is_told_live_and_from_its_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.HOME_VARIABLE, str(tmp_path / "home"))  # put back afterwards
    asyncio.run(verdicts.play(["miku"], [1], 1, tmp_path / "runs"))
    (run,) = verdict_record.load_all(tmp_path / "runs")
    assert run.failures == ()
    (replayed,) = verdicts.judge_all(tmp_path / "runs", [run])
    live = score(run, run.live)
    for outcome in (live, replayed):
        assert outcome.right, verdicts.complaints(outcome)
    assert {each.key for each in live.said} == {each.key for each in replayed.said}
    asyncio.run(verdicts.play(["miku"], [1], 1, tmp_path / "runs"))  # what is there is not played again
    assert verdict_record.load_all(tmp_path / "runs") == [run]
