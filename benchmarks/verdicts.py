"""How right the verdicts are: ``python -m benchmarks.verdicts`` (as root).

Each scenario of the lab is played once for each seed, on a lab of its own, watched and recorded as an operator would.
The recordings are then replayed, and the findings held against what the scenario says is right; beside it stands what
the monitor said live.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from benchmarks import verdict_record
from benchmarks.table import Figure, Table, median
from benchmarks.verdict_cases import Case, all_names, cases
from benchmarks.verdict_record import Run
from benchmarks.verdict_score import SURE, WITHIN_S, Outcome, Seen, score
from meshtop.collect.replay import events
from meshtop.engine.engine import Engine
from meshtop.engine.events import FindingEvent
from meshtop.lab import registry
from meshtop.lab.netns import LabError
from meshtop.lab.play import TrafficError
from meshtop.lab.scenario import ScenarioError
from meshtop.recording import RecordingReader, TickRecord

PROMISED_SHARE = 0.9  # of the seeds of each scenario


def replay(folder: Path, run: Run) -> list[FindingEvent]:
    """What the engine says of the recording, with the code as it is now."""
    found: list[FindingEvent] = []
    with RecordingReader(verdict_record.recording(folder, run)) as reader:
        engine = Engine(reader.header.mesh)
        for event in events(reader.records()):
            told = engine.tick(event.at) if isinstance(event, TickRecord) else engine.receive(event)
            found += [each for each in told if isinstance(each, FindingEvent)]
    return found


def judge(folder: Path, run: Run) -> Outcome:
    return score(run, replay(folder, run))


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def score_table(outcomes: Sequence[Outcome], title: str, name: str) -> Table:
    columns = (
        "scenario",
        "runs",
        "right",
        "found",
        "verdict s",
        "most s",
        "forbidden",
        "elsewhere",
        "again",
        "missing",
    )
    table = Table(name, title, columns)
    for scenario, those in _by_scenario(outcomes).items():
        times = [each.verdict_s for each in those if each.verdict_s is not None]
        missing = Counter(
            " or ".join(each.group) for one in those for each in one.wanted if each.found_s is None
        ).most_common()
        table.add(
            scenario,
            Figure(len(those), "", 0),
            Figure(sum(each.right for each in those), "", 0),
            Figure(sum(each.found for each in those), "", 0),
            Figure(median(times), "s", 0),
            Figure(max(times, default=None), "s", 0, budget=WITHIN_S),
            Figure(sum(bool(each.forbidden) or each.many for each in those), "", 0),
            Figure(sum(bool(each.elsewhere) for each in those), "", 0),
            Figure(sum(each.reopened for each in those), "", 0),
            ", ".join(f"{codes} {count}" for codes, count in missing) or "–",
        )
    return table


def confusion_table(outcomes: Sequence[Outcome]) -> Table:
    """In how many runs of a scenario (rows) a code (columns) was told of the node in trouble, surely and above info;
    with ! where it must not be."""
    by_scenario = _by_scenario(outcomes)
    sure = {
        name: Counter(code for one in those for code in {each.code for each in one.said if _is_told(each, one)})
        for name, those in by_scenario.items()
    }
    codes = sorted({code for counts in sure.values() for code in counts})
    table = Table("verdicts-confusion", "Which codes were told, in how many runs", ("scenario", "runs", *codes))
    for name, those in by_scenario.items():
        bad = Counter(code for one in those for code in {each.code for each in one.forbidden})
        row = [f"{sure[name][code] or ''}{'!' if bad[code] else ''}" or "·" for code in codes]
        table.add(name, Figure(len(those), "", 0), *row)
    return table


def _is_told(one: Seen, outcome: Outcome) -> bool:
    return one.confidence >= SURE and one.severity != "info" and one.touches(outcome.run.sick)


def _by_scenario(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for each in outcomes:
        found.setdefault(each.run.scenario.name, []).append(each)
    return found


def complaints(outcome: Outcome) -> list[str]:
    """All that is not as it should be in one run, in words."""
    run = outcome.run
    lines = [f"missing: {each}" for each in outcome.wanted if each.found_s is None]
    lines += [f"forbidden: {each}" for each in outcome.forbidden]
    if outcome.many:
        lines.append(f"{outcome.together} findings at a time where one was to be told")
    lines += [f"elsewhere: {each}" for each in outcome.elsewhere if each not in outcome.forbidden]
    lines += [f"before the trouble: {each}" for each in outcome.early if each not in outcome.forbidden]
    lines += [f"opened {each.opens} times: {each}" for each in outcome.said if each.opens > 1]
    lines += list(run.failures)
    title = f"{run.name}{f' ({run.how})' if run.how else ''}"
    return [f"{title}: {line}" for line in lines]


def promises_broken(outcomes: Sequence[Outcome]) -> list[str]:
    broken = []
    for name, those in _by_scenario(outcomes).items():
        found = sum(each.found for each in those)
        if found < PROMISED_SHARE * len(those):
            broken.append(f"{name}: the right codes in {found} of {len(those)} runs")
        if bad := sum(bool(each.forbidden) or each.many for each in those):
            broken.append(f"{name}: forbidden codes in {bad} of {len(those)} runs")
    return broken


# ── Running ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def play(chosen: Sequence[str], seeds: Sequence[int], jobs: int, folder: Path) -> None:
    """Those that are not in the folder already."""
    # a home of their own: no `lab down --all` elsewhere meets these labs
    os.environ[registry.HOME_VARIABLE] = str(folder / "home")
    places = asyncio.Semaphore(jobs)
    there = {run.name for run in verdict_record.load_all(folder)}

    async with asyncio.TaskGroup() as tasks:
        for each in cases(chosen, seeds):
            if f"{each.name}-{each.seed}" in there:
                continue

            async def one(case: Case = each) -> None:
                async with places:
                    try:
                        await verdict_record.record(case, folder)
                    except (LabError, TrafficError, OSError, TimeoutError) as error:  # the others can still be told
                        why = str(error) or type(error).__name__
                        print(f"{case.name}-{case.seed} failed: {why}", file=sys.stderr, flush=True)
                        return
                    print(f"{case.name}-{case.seed} is over", file=sys.stderr, flush=True)

            tasks.create_task(one())


def judge_all(folder: Path, runs: Sequence[Run]) -> list[Outcome]:
    with ProcessPoolExecutor(2, initializer=os.nice, initargs=(10,)) as judges:
        return list(judges.map(judge, [folder] * len(runs), runs))


def report(outcomes: Sequence[Outcome], *, just_played: bool = True) -> list[Table]:
    """What was said live is of the code as it was then: that of old recordings is left out."""
    shipped = [each for each in outcomes if not each.run.how]
    varied = [each for each in outcomes if each.run.how]
    live = [score(each.run, each.run.live) for each in outcomes] if just_played else []
    tables = [score_table(shipped, "Scenarios as they are", "verdicts")]
    if varied:
        tables.append(score_table(varied, "Other lines, ways, tunnels and sizes", "verdicts-varied"))
    if live:
        tables.append(score_table(live, "What the monitor said live", "verdicts-live"))
    return [*tables, confusion_table(outcomes)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.verdicts", description=__doc__)
    parser.add_argument("--scenarios", metavar="A,B", default="", help="only these")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--seeds", type=int, default=2, metavar="N", help="seeds 1 to N; the even ones are varied")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="labs at a time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave recordings there; what is there is not played")
    parser.add_argument("--again", type=Path, metavar="DIR", help="judge the recordings there; plays nothing")
    parser.add_argument("--no-save", action="store_true", help="leave benchmarks/results as it is")
    options = parser.parse_args()
    chosen = [name for name in options.scenarios.split(",") if name]
    if unknown := set(chosen) - set(all_names()):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(all_names())}")
    seeds = range(1, options.seeds + 1)
    if options.list:
        print("\n".join(f"{each.name}-{each.seed}  {each.how or 'as it is'}" for each in cases(chosen, seeds)))
        return 0
    if options.again is None and os.geteuid() != 0:
        print("the lab needs root", file=sys.stderr)
        return 2
    with ExitStack() as stack:
        folder = options.again or options.keep
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshtop-verdicts-")))
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if options.again is None:
            asyncio.run(play(chosen, seeds, options.jobs, folder))
        runs = [run for run in verdict_record.load_all(folder) if not chosen or run.scenario.name in chosen]
        if options.again is None:
            runs = [run for run in runs if run.seed in seeds]
        outcomes = judge_all(folder, runs)
    for table in report(outcomes, just_played=options.again is None):
        if not options.no_save:
            table.save()
        print(f"{table.markdown()}\n", flush=True)
    for outcome in outcomes:
        print("".join(f"{line}\n" for line in complaints(outcome)), end="")
    broken = promises_broken(outcomes)
    if options.again is None and (failed := len(cases(chosen, seeds)) - len(runs)):
        broken.append(f"{failed} runs failed")
    print(f"\nnot as promised: {'; '.join(broken)}" if broken else "\nas promised")
    return 1 if broken else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ScenarioError as error:
        sys.exit(str(error))
