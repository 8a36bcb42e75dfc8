"""How well stalls are found: ``python -m benchmarks.stalls`` (as root).

Each case is played once on a lab of its own, sampled at 10 Hz, with captures at its nodes. The recording is then
replayed as slower probes would have sent it, and what the engine says is compared with what the captures say.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from benchmarks import stall_record, stall_replay
from benchmarks.stall_cases import Case, cases
from benchmarks.stall_score import (
    DURATION_SLACK_S,
    FoundOne,
    Score,
    TrueOne,
    agreement,
    clip_found,
    clip_true,
    length,
    score,
    together,
)
from benchmarks.table import Figure, Table, median, percentile
from meshtop.lab import registry
from meshtop.lab.capture import CaptureError
from meshtop.lab.netns import LabError
from meshtop.lab.play import TrafficError

RATES_HZ = (10, 5, 1)
LEAST_S = (1.0, 0.5)
# Of these every stall that was missed or invented is named; at 1 Hz there are too many by nature.
COMPLAINTS = ((10, 1.0), (5, 1.0), (5, 0.5))
# Of these the socket's readings are shown too, with some before and after.
SHOWN = ((5, 1.0),)
AROUND_S = 0.5
# What must hold for stalls of a second and more at 5 Hz.
PROMISED_HZ, PROMISED_S = 5, 1.0
PROMISED_SHARE, PROMISED_ONSET_S = 0.95, 0.2


class Options(NamedTuple):
    """``seconds`` None: as long as each case says. ``jobs``: labs at a time."""

    seeds: int = 1
    seconds: float | None = None
    jobs: int = 2
    directly: bool = False


class Result(NamedTuple):
    """One run: a score for each rate and least length, and how late the WAN's packets were."""

    case: str
    seed: int
    scores: dict[tuple[int, float], Score]
    start: float
    late_ms: float | None
    readings: dict[tuple[int, TrueOne | FoundOne], list[str]]  # around what was missed or invented, by rate


def evaluate(folder: Path, directly: bool = False) -> Result:
    """Judges one run from its folder."""
    run = stall_record.load(folder)
    true = clip_true(stall_record.truth(folder), run.end)
    scope = stall_record.judged(folder)
    mesh, recorded = stall_replay.read(stall_record.recording(folder))
    scores = {}
    around: dict[tuple[int, TrueOne | FoundOne], list[str]] = {}
    for hertz in RATES_HZ:
        events = list(stall_replay.slower(recorded, 1 / hertz))
        if directly:
            found = stall_replay.find_directly(events, run.wall_s, run.end)
        else:
            found = stall_replay.find(events, msgspec.structs.replace(mesh, interval_s=1 / hertz), run.end)
        found = clip_found(found, run.end)
        found = [one for one in found if (one.flow.node, network(one.flow.local)) in scope]
        for least_s in LEAST_S:
            one = scores[hertz, least_s] = score(true, found, least_s, 1 / hertz)
            if (hertz, least_s) in SHOWN:
                wrong: list[TrueOne | FoundOne] = [*one.missed, *one.invented]
                for each in wrong:
                    near = stall_replay.readings(
                        events, each.flow, each.start - AROUND_S, each.end + AROUND_S, run.wall_s
                    )
                    around[hertz, each] = [f"{at - run.start:8.2f}  {words}" for at, words in near]
    return Result(run.case, run.seed, scores, run.start, run.late_ms, around)


def network(address: str) -> str:
    """Of the lab's: the overlay's addresses are the only ones in 10.10.10.0/24."""
    return "vpn" if address.startswith("10.10.10.") else "public"


# ── Tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────

_COLUMNS = (
    "of",
    "Hz",
    "true",
    "found",
    "precision",
    "recall",
    "onset ms",
    "95 %",
    "most",
    "duration ms",
    "95 %",
    "most",
)


def _row(name: str, hertz: int, one: Score) -> list[str | Figure]:
    promised = (hertz, one.least_s) == (PROMISED_HZ, PROMISED_S)
    onset = [1000 * error for error in one.onset_errors_s]
    duration = [1000 * error for error in one.duration_errors_s]
    return [
        name,
        Figure(hertz, "Hz", 0),
        Figure(one.true, "", 0),
        Figure(one.found, "", 0),
        Figure(one.precision, "", 3),
        Figure(one.recall, "", 3),
        Figure(median(onset), "ms", 0),
        Figure(percentile(onset, 95), "ms", 0, budget=1000 * PROMISED_ONSET_S if promised else None),
        Figure(max(onset, default=None), "ms", 0),
        Figure(median(duration), "ms", 0),
        Figure(percentile(duration, 95), "ms", 0, budget=1000 * (1 / hertz + DURATION_SLACK_S) if promised else None),
        Figure(max(duration, default=None), "ms", 0),
    ]


def overall_table(results: Sequence[Result], least_s: float) -> Table:
    name = f"stalls-{least_s:g}s"
    table = Table(name, f"Stalls of {least_s:g} s and more, all cases", _COLUMNS)
    for hertz in RATES_HZ:
        table.add(*_row("all", hertz, together([result.scores[hertz, least_s] for result in results])))
    return table


def case_table(results: Sequence[Result], hertz: int, least_s: float) -> Table:
    title = f"Stalls of {least_s:g} s and more by case, at {hertz} Hz"
    table = Table(f"stalls-{least_s:g}s-{hertz}hz", title, _COLUMNS)
    for name in dict.fromkeys(result.case for result in results):
        table.add(*_row(name, hertz, together([r.scores[hertz, least_s] for r in results if r.case == name])))
    return table


def cause_table(results: Sequence[Result], known: Sequence[Case], hertz: int, least_s: float) -> Table:
    table = Table(f"stalls-causes-{hertz}hz", f"Causes at {hertz} Hz", ("case", "agree", "causes", "expected, because"))
    for case in known:
        causes: Counter[str] = Counter()
        for result in results:
            if result.case == case.name:
                causes += result.scores[hertz, least_s].causes
        if causes:
            told = ", ".join(f"{cause} {count}" for cause, count in causes.most_common())
            expected = f"{', '.join(sorted(case.causes)) or 'none'}: {case.why}"
            table.add(case.name, Figure(agreement(causes, case.causes), "", 2), told, expected)
    return table


def complaints(result: Result, hertz: int, least_s: float) -> list[str]:
    """Every stall that was missed or invented, in words."""
    one = result.scores[hertz, least_s]
    told: list[tuple[str, TrueOne | FoundOne, str]] = [("missed", each, "") for each in one.missed]
    told += [("invented", each, f", {each.cause}") for each in one.invented]
    lines = []
    for kind, each, cause in told:
        lines.append(_complaint(f"{kind} at {hertz} Hz, {least_s:g} s", result, each, cause))
        if (hertz, least_s) in SHOWN:
            lines += result.readings[hertz, each]
    return lines


def _complaint(what: str, result: Result, one: TrueOne | FoundOne, cause: str) -> str:
    flow = one.flow
    ends = f"{flow.local}:{flow.local_port} → {flow.peer}:{flow.peer_port}"
    times = f"{one.start - result.start:.2f} … {one.end - result.start:.2f} s, {length(one):.2f} s"
    return f"{what}: {result.case} (seed {result.seed}), {flow.node} {ends}, {times}{cause}"


def promises_broken(results: Sequence[Result], known: Sequence[Case]) -> list[str]:
    """What of the goals was not reached."""
    broken = []
    one = together([result.scores[PROMISED_HZ, PROMISED_S] for result in results])
    for what, share in (("precision", one.precision), ("recall", one.recall)):
        if share is not None and share < PROMISED_SHARE:
            broken.append(f"{what} {share:.3f} < {PROMISED_SHARE}")
    onset, duration = (percentile(errors, 95) for errors in (one.onset_errors_s, one.duration_errors_s))
    if onset is not None and onset > PROMISED_ONSET_S:
        broken.append(f"onset off by {onset:.3f} s > {PROMISED_ONSET_S} s")
    if duration is not None and duration > 1 / PROMISED_HZ + DURATION_SLACK_S:
        broken.append(f"duration off by {duration:.3f} s > {1 / PROMISED_HZ + DURATION_SLACK_S:.1f} s")
    quiet = {case.name for case in known if case.quiet}
    for result in results:
        invented = result.scores[PROMISED_HZ, PROMISED_S].invented if result.case in quiet else ()
        if invented:
            broken.append(f"{len(invented)} stalls invented in {result.case}")
    return broken


# ── Running ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def run_all(chosen: Sequence[Case], options: Options, folder: Path) -> list[Result]:
    """Plays every case with every seed; what is over is judged beside what runs."""
    # a home of their own: no `lab down --all` elsewhere meets these labs
    os.environ[registry.HOME_VARIABLE] = str(folder / "home")
    runs = [(case, seed) for seed in range(1, options.seeds + 1) for case in chosen]
    # not forked: a child would keep the pipes open that tell captures to end
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, fresh, initializer=os.nice, initargs=(10,)) as judges:
        return asyncio.run(_play(runs, options, folder, judges))


async def _play(
    runs: Sequence[tuple[Case, int]], options: Options, folder: Path, judges: ProcessPoolExecutor
) -> list[Result]:
    places = asyncio.Semaphore(options.jobs)

    async def play(case: Case, seed: int) -> Result | None:
        place = folder / f"{case.name}-{seed}"
        try:
            async with places:
                await stall_record.record(case.name, case.scenario, seed, options.seconds or case.seconds, place)
        except (LabError, TrafficError, CaptureError, OSError) as error:  # the others can still be told
            why = str(error) or type(error).__name__
            print(f"{case.name} (seed {seed}) failed: {why}", file=sys.stderr, flush=True)
            return None
        print(f"{case.name} (seed {seed}) is over", file=sys.stderr, flush=True)
        return await asyncio.get_running_loop().run_in_executor(judges, evaluate, place, options.directly)

    async with asyncio.TaskGroup() as tasks:
        playing = [tasks.create_task(play(case, seed)) for case, seed in runs]
    return [result for task in playing if (result := task.result()) is not None]


def judge_again(folder: Path, names: Sequence[str], directly: bool = False) -> list[Result]:
    """Runs that were kept, with the code as it is now."""
    places = [file.parent for file in sorted(folder.glob("*/run.json"))]
    places = [place for place in places if not names or stall_record.load(place).case in names]
    with ProcessPoolExecutor(2) as judges:
        return list(judges.map(evaluate, places, [directly] * len(places)))


def report(results: Sequence[Result], known: Sequence[Case]) -> list[Table]:
    tables = [overall_table(results, least_s) for least_s in LEAST_S]
    tables += [case_table(results, hertz, PROMISED_S) for hertz in RATES_HZ]
    tables += [case_table(results, PROMISED_HZ, 0.5), cause_table(results, known, PROMISED_HZ, PROMISED_S)]
    return tables


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stalls", description=__doc__)
    parser.add_argument("--scenarios", metavar="A,B", default="", help="only these")
    parser.add_argument("--list", action="store_true", help="name them")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="each with N seeds of the WAN")
    parser.add_argument("--seconds", type=float, help="each for so long")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="labs at a time")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave recordings and captures there")
    parser.add_argument("--again", type=Path, metavar="DIR", help="judge the runs that were kept there; plays nothing")
    parser.add_argument("--directly", action="store_true", help="the detector alone, without the engine")
    parser.add_argument("--no-save", action="store_true", help="leave benchmarks/results as it is")
    options = parser.parse_args()
    known = cases()
    names = [name for name in options.scenarios.split(",") if name]
    if options.list:
        print("\n".join(case.name for case in known))
        return 0
    if unknown := set(names) - {case.name for case in known}:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(c.name for c in known)}")
    if options.again is None and os.geteuid() != 0:
        print("the lab needs root", file=sys.stderr)
        return 2
    chosen = [case for case in known if not names or case.name in names]
    with ExitStack() as stack:
        if options.again is not None:
            results = judge_again(options.again, names, options.directly)
        else:
            folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshtop-stalls-")))
            how = Options(options.seeds, options.seconds, options.jobs, options.directly)
            results = run_all(chosen, how, folder.absolute())
    for table in report(results, known):
        if not options.no_save:
            table.save()
        print(f"{table.markdown()}\n", flush=True)
    for hertz, least_s in COMPLAINTS:
        for result in results:
            print("".join(f"{line}\n" for line in complaints(result, hertz, least_s)), end="")
    broken = promises_broken(results, known)
    if options.again is None and len(results) < len(chosen) * options.seeds:
        broken.append(f"{len(chosen) * options.seeds - len(results)} runs failed")
    print(f"\nnot as promised: {'; '.join(broken)}" if broken else "\nas promised")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
