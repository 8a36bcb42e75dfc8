"""One run of a case on a lab of its own, recorded as an operator's monitor sees it: all nodes, once a second, with the
closer looks that it takes by itself. ``NAME-SEED.mtr`` is the recording, ``NAME-SEED.json`` when what was over."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from benchmarks.verdict_cases import AFTER_S, Case, all_names
from meshtop import compose, config
from meshtop.engine.events import FindingEvent, StreamEvent
from meshtop.lab.network import Lab
from meshtop.lab.play import playing
from meshtop.lab.scenario import Scenario
from meshtop.model import Value
from meshtop.monitor import Monitor

SETTLE_S = 60.0
# Baselines, round trips and the first key frames are there before anything happens.
CALM_S = 3.0


class Run(Value, frozen=True, kw_only=True):
    """``scenario`` as it was played. Times are the operator's UTC; ``trouble`` is when something went wrong, or when
    it could be seen first. ``live``: what the monitor said while it was recorded, with the code as it was then."""

    scenario: Scenario
    seed: int
    sick: tuple[str, ...]
    once: bool
    how: str
    start: float
    trouble: float
    end: float
    late_ms: float | None = None  # how late the WAN handed its packets over: 99th percentile of the last seconds
    failures: tuple[str, ...] = ()  # parts of the story that did not happen
    live: tuple[FindingEvent, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.scenario.name}-{self.seed}"


def recording(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.mtr"


def load_all(folder: Path) -> list[Run]:
    """Those whose recording is there, by scenario and seed."""
    runs = [msgspec.json.decode(file.read_bytes(), type=Run) for file in folder.glob("*-*.json")]
    kept = [run for run in runs if recording(folder, run).exists()]
    places = {name: place for place, name in enumerate(all_names())}
    return sorted(kept, key=lambda run: (places.get(run.scenario.name, len(places)), run.seed))


async def record(case: Case, folder: Path) -> Run:
    """Plays it for its time. Raises what the lab raises; a run that failed leaves nothing in ``folder``."""
    place = folder / f".{case.name}-{case.seed}"
    file = folder / f"{case.name}-{case.seed}.mtr"
    growing = file.with_suffix(".part")
    growing.unlink(missing_ok=True)
    live: list[FindingEvent] = []
    failures: list[str] = []
    try:
        async with _lab(f"verdicts-{case.name}-{case.seed}", place, case) as lab:
            for fault in case.ground:
                await asyncio.to_thread(lab.fault, fault.target, fault.kind, fault.value)
            monitor = compose.watch(_settings(lab, case), growing)
            monitor.listen(lambda event: _keep(event, live))
            story = playing(lab, case.scenario, lambda text: _failed(text, failures))
            if case.late:
                async with story:
                    await asyncio.sleep(case.scenario.trouble_s + CALM_S)
                    async with _watched(monitor):
                        start = trouble = time.time()
                        end, late_ms = await _wait(lab, AFTER_S)
            else:
                async with _watched(monitor):
                    await asyncio.sleep(CALM_S)
                    async with story:
                        start = time.time()
                        trouble = start + case.scenario.trouble_s
                        end, late_ms = await _wait(lab, case.seconds)
        run = Run(
            scenario=case.scenario,
            seed=case.seed,
            sick=case.sick,
            once=case.once,
            how=case.how,
            start=start,
            trouble=trouble,
            end=end,
            late_ms=late_ms,
            failures=tuple(failures),
            live=tuple(live),
        )
        growing.replace(file)
        file.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1))
        return run
    finally:
        growing.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _watched(monitor: Monitor) -> AsyncIterator[None]:
    """From when every node is up or has failed."""
    watching = asyncio.create_task(monitor.run())
    try:
        await asyncio.wait_for(monitor.settled(), SETTLE_S)
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _wait(lab: Lab, seconds: float) -> tuple[float, float | None]:
    """The time at its end, and how late the WAN's packets were."""
    await asyncio.sleep(seconds)
    return time.time(), lab.status().lateness_recent.p99_ms


def _settings(lab: Lab, case: Case) -> config.MeshConfig:
    settings = config.load(lab.config_path)
    mesh = settings.mesh
    if not case.named:
        paths = tuple(msgspec.structs.replace(path, outer_ports=()) for path in mesh.paths)
        mesh = msgspec.structs.replace(mesh, paths=paths)
    if case.nodes:
        mesh = msgspec.structs.replace(mesh, nodes=tuple(node for node in mesh.nodes if node.name in case.nodes))
    if case.interval_s is not None:
        mesh = msgspec.structs.replace(mesh, interval_s=case.interval_s)
    return msgspec.structs.replace(settings, mesh=mesh)


def _keep(event: StreamEvent, findings: list[FindingEvent]) -> None:
    if isinstance(event, FindingEvent):
        findings.append(event)


def _failed(text: str, failures: list[str]) -> None:
    if text.startswith("failed"):
        failures.append(text)


@contextlib.asynccontextmanager
async def _lab(name: str, folder: Path, case: Case) -> AsyncIterator[Lab]:
    """Down again also when it is interrupted while it comes up."""
    up = asyncio.to_thread(Lab.up, name, folder, seed=case.seed, nat=case.nat, congestion=case.congestion)
    coming = asyncio.create_task(up)
    try:
        yield await asyncio.shield(coming)
    finally:
        lab = await coming
        await asyncio.to_thread(lab.down)
