"""From bytes that move on a node to the screen that shows it.

A process on a node writes 3000 bytes on a connection that had been idle and tells the moment; the screen's rate of that
link changes when meshtop has sampled, sent, parsed, folded and painted it. Each link is left alone until its rate is
back at rest. The target is one interval (the wait for the next sample) and 200 ms for everything else.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.grid import Grid
from benchmarks.monitor import COLUMNS, LINES, Screen
from benchmarks.nodes import NAMES, BenchMesh
from benchmarks.table import Figure, Table, median, percentile

SETTLE_S = 12.0
REST_S = 13.0  # the rates shown are over the last 10 s
REST_OF_IT_S = 0.2
GIVE_UP_S = 6.0


@dataclass(slots=True)
class Link:
    """One directed link with the process that makes it move."""

    src: str
    dst: str
    child: subprocess.Popen[str]
    ready_at: float = 0.0


def measure(quick: bool) -> list[Table]:
    table = Table(
        "delay",
        "From moved bytes to the screen, ms",
        ("Hz", "pulses", "not seen", "least", "median", "95 %", "most"),
    )
    pulses = 12 if quick else 60
    for hertz in (1, 5):
        with BenchMesh() as mesh:
            for node in mesh.nodes.values():
                node.serve()
            mesh.write_files(f"{1000 / hertz:g}ms")
            mesh.traffic(dict.fromkeys(NAMES, 20), 0)
            delays = asyncio.run(_measure_case(mesh, pulses))
        seen = [1000 * delay for delay in delays if delay is not None]
        budget = 1000 * (1 / hertz + REST_OF_IT_S)
        table.add(
            f"{hertz}",
            Figure(len(delays), "", 0),
            Figure(len(delays) - len(seen), "", 0),
            Figure(min(seen, default=None), "ms", 0),
            Figure(median(seen), "ms", 0),
            Figure(percentile(seen, 95), "ms", 0, budget=budget),
            Figure(max(seen, default=None), "ms", 0),
        )
    table.notes.append("Pulses come at random moments, so half an interval of the median is the wait for the sample.")
    return [table]


async def _measure_case(mesh: BenchMesh, pulses: int) -> list[float | None]:
    script = str(Path(__file__).with_name("traffic.py"))
    grid = Grid(COLUMNS, LINES)
    changed = asyncio.Event()
    last = 0.0

    def heard(at: float, data: bytes) -> None:
        nonlocal last
        last = at
        grid.feed(data)
        changed.set()

    links = []
    for src in NAMES:
        for dst in NAMES:
            if dst == src:
                continue
            address = mesh.nodes[dst].address("vpn")
            child = mesh.nodes[src].start(sys.executable, script, "pulse", address, stdin=subprocess.PIPE)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            links.append(Link(src, dst, child))
    screen = Screen(mesh.config, heard)
    loop = asyncio.get_running_loop()
    delays: list[float | None] = []
    try:
        await asyncio.sleep(SETTLE_S)
        screen.press("2")
        await asyncio.sleep(2.0)
        for turn in range(pulses):
            link = links[turn * 7 % len(links)]
            await asyncio.sleep(max(0.0, link.ready_at - loop.time()) + random.uniform(0.3, 1.3))
            screen.usage()  # raises if it has ended
            before = cell(grid, link.src, link.dst)
            moved_at = _pulse(link)
            delay = None
            while loop.time() - moved_at < GIVE_UP_S and delay is None:
                changed.clear()
                try:
                    await asyncio.wait_for(changed.wait(), 0.5)
                except TimeoutError:
                    continue
                if cell(grid, link.src, link.dst) != before:
                    delay = last - moved_at
            delays.append(delay)
            link.ready_at = loop.time() + REST_S
    finally:
        await screen.end()
    return delays


def _pulse(link: Link) -> float:
    """The moment of the write, by the monotonic clock that all processes share."""
    assert link.child.stdin is not None
    assert link.child.stdout is not None
    link.child.stdin.write("\n")
    link.child.stdin.flush()
    return float(link.child.stdout.readline())


def cell(grid: Grid, src: str, dst: str) -> str:
    """The first line of a link's cell in the matrix. Raises if the matrix is not on the screen."""
    header = grid.find("→ a")
    if header is None:
        raise RuntimeError("no matrix on the screen:\n" + "\n".join(grid.lines))
    head_row, _ = header
    names = grid.lines[head_row]
    starts = {name: names.index(f"→ {name}") for name in NAMES}
    pitch = starts["b"] - starts["a"]
    for row in range(head_row + 1, len(grid.lines)):
        words = grid.lines[row][: starts["a"] - 1].split()
        if src in words:
            left = starts[dst] - pitch // 2
            return grid.lines[row][max(left, 0) : left + pitch]
    raise RuntimeError(f"no row {src} on the screen:\n" + "\n".join(grid.lines))
