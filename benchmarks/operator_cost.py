"""What the screen costs the operator: five nodes through OpenSSH, 200 sockets each, ``meshtop`` on a terminal."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

from benchmarks.monitor import COLUMNS, LINES, Screen
from benchmarks.nodes import NAMES, BenchMesh
from benchmarks.table import Figure, Table, median

OUTGOING = 100  # a connection has two ends: 200 sockets a node
MOVING = 10
SETTLE_S = 10.0  # five logins, imports, the first full frames
BUDGET_PCT = {1: 10.0, 5: 25.0}


def measure(quick: bool) -> list[Table]:
    table = Table(
        "operator_cost",
        f"Cost on the operator's machine, 5 nodes × 200 sockets, screen {COLUMNS}×{LINES} on",
        ("Hz", "CPU %", "resident MiB", "MiB at the end", "terminal bytes/s", "kbit/s received"),
    )
    seconds = 5.0 if quick else 10.0
    for hertz in (1, 5):
        with BenchMesh() as mesh:
            for node in mesh.nodes.values():
                node.serve()
            mesh.write_files(f"{1000 / hertz:g}ms")
            mesh.traffic(dict.fromkeys(NAMES, OUTGOING), MOVING)
            asyncio.run(_measure_case(mesh, table, hertz, seconds))
    table.notes.append("CPU with children, all threads. A tenth of the sockets moves, ten small writes a second each.")
    table.notes.append(f"Medians of three rounds of {seconds:g} s. ui aim for terminal bytes: 20 kB/s.")
    return [table]


async def _measure_case(mesh: BenchMesh, table: Table, hertz: int, seconds: float) -> None:
    screen = Screen(mesh.config)
    try:
        await asyncio.sleep(SETTLE_S)
        taken = [(time.monotonic(), *screen.usage(), screen.written, _received(mesh))]
        for _ in range(3):
            await asyncio.sleep(seconds)
            taken.append((time.monotonic(), *screen.usage(), screen.written, _received(mesh)))
    finally:
        await screen.end()
    rounds = list(pairwise(taken))
    table.add(
        f"{hertz}",
        Figure(median(100 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in rounds), "%", 1, budget=BUDGET_PCT[hertz]),
        Figure(taken[0][2], "MiB", 1),
        Figure(taken[-1][2], "MiB", 1),
        Figure(median((b[3] - a[3]) / (b[0] - a[0]) for a, b in rounds), "B/s", 0, budget=20_000),
        Figure(median(8e-3 * (b[4] - a[4]) / (b[0] - a[0]) for a, b in rounds), "kbit/s", 1),
    )


def _received(mesh: BenchMesh) -> int:
    return sum(node.wire_bytes()[0] for node in mesh.nodes.values())
