"""One run of a scenario on a lab of its own: a recording at 10 Hz, captures at every node of the traffic, and when what
was over, all in one folder."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from benchmarks.stall_score import Flow, TrueOne
from meshtop import compose, config
from meshtop.lab.capture import Capture, read_pcap
from meshtop.lab.network import Lab
from meshtop.lab.play import playing
from meshtop.lab.scenario import Scenario
from meshtop.lab.truth import check
from meshtop.model import Value

FASTEST_S = 0.1
INTERFACES = {"vpn": "vpn0", "public": "pub0"}
SETTLE_S = 60.0
# Baselines, round trips and the first key frames are there before anything happens.
CALM_S = 1.0


class Run(Value, frozen=True, kw_only=True):
    """``wall_s``: UTC minus uptime of the machine. ``end``: when the traffic was told to stop; what comes later is not
    judged."""

    case: str
    seed: int
    start: float
    end: float
    wall_s: float
    late_ms: float | None = None  # how late the WAN handed its packets over: 99th percentile of the last seconds


def recording(folder: Path) -> Path:
    return folder / "run.mtr"


def load(folder: Path) -> Run:
    return msgspec.json.decode((folder / "run.json").read_bytes(), type=Run)


def nodes_of(scenario: Scenario) -> list[str]:
    """Those with traffic, and the hub of a tunnel."""
    nodes = {each.on for each in scenario.traffic} | {each.to.node for each in scenario.traffic if each.to}
    return sorted(nodes | ({"a"} if scenario.overlay != "direct" else set()))


def interfaces_of(scenario: Scenario) -> list[str]:
    """Networks with TCP flows to be judged; a tunnel's own connections are on the public one."""
    nets = {end.path for each in scenario.traffic for end in (each.bind, each.to) if end}
    return sorted(nets | ({"public"} if scenario.overlay != "direct" else set()))


async def record(name: str, scenario: Scenario, seed: int, seconds: float, folder: Path) -> Run:
    """Plays it for so long. Raises what the lab raises."""
    await asyncio.to_thread(folder.mkdir, parents=True)
    async with _lab(f"stalls-{name}-{seed}", folder / "lab", seed) as lab:
        settings = _only(config.load(lab.config_path), nodes_of(scenario))
        monitor = compose.watch(settings, recording(folder))
        async with _capturing(lab, scenario, folder):
            watching = asyncio.create_task(monitor.run())
            try:
                await asyncio.wait_for(monitor.settled(), SETTLE_S)
                await asyncio.sleep(CALM_S)
                start = time.time()
                async with playing(lab, scenario):
                    await asyncio.sleep(seconds)
                    end = time.time()
                    late_ms = lab.status().lateness_recent.p99_ms
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
    wall_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    run = Run(case=name, seed=seed, start=start, end=end, wall_s=wall_s, late_ms=late_ms)
    (folder / "run.json").write_bytes(msgspec.json.encode(run))
    return run


@contextlib.asynccontextmanager
async def _lab(name: str, folder: Path, seed: int) -> AsyncIterator[Lab]:
    """Down again also when it is interrupted while it comes up."""
    coming = asyncio.create_task(asyncio.to_thread(Lab.up, name, folder, seed=seed))
    try:
        yield await asyncio.shield(coming)
    finally:
        lab = await coming
        await asyncio.to_thread(lab.down)


def _only(settings: config.MeshConfig, nodes: list[str]) -> config.MeshConfig:
    """Sampled at 10 Hz, and of the mesh only what takes part: five nodes at that pace are much for two cores."""
    mesh = settings.mesh
    kept = tuple(node for node in mesh.nodes if node.name in nodes)
    return msgspec.structs.replace(
        settings,
        mesh=msgspec.structs.replace(mesh, nodes=kept, interval_s=FASTEST_S),
        targets={name: target for name, target in settings.targets.items() if name in nodes},
    )


@contextlib.asynccontextmanager
async def _capturing(lab: Lab, scenario: Scenario, folder: Path) -> AsyncIterator[None]:
    """In threads, as each takes a moment to begin and another lab may be watched meanwhile."""
    captures = [
        Capture(INTERFACES[net], folder / f"{node}-{net}.pcap", lab.command(node, ()))
        for node in nodes_of(scenario)
        for net in interfaces_of(scenario)
    ]
    with contextlib.ExitStack() as stack:
        await asyncio.gather(*(asyncio.to_thread(stack.enter_context, capture) for capture in captures))
        try:
            yield
        finally:
            await asyncio.to_thread(stack.close)


def truth(folder: Path) -> list[TrueOne]:
    """The true stalls of all flows; what a connection waits for while it is made is not one of them."""
    found = []
    for file in sorted(folder.glob("*.pcap")):
        node = file.stem.partition("-")[0]
        for flow in check(read_pcap(file)):
            found += [
                TrueOne(
                    Flow(node, *_ends(flow.flow)), stall.start, stall.end, stall.outcome != "open", stall.explained_s
                )
                for stall in flow.stalls
                if stall.start > flow.first_at
            ]
    return found


def _ends(flow: tuple[str, int, str, int]) -> tuple[str, int, str, int]:
    local, local_port, peer, peer_port = flow
    return local, local_port, peer, peer_port


def judged(folder: Path) -> set[tuple[str, str]]:
    """(node, network) of which the truth is known."""
    return {(node, net) for file in folder.glob("*.pcap") for node, _, net in [file.stem.partition("-")]}
