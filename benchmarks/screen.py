"""What painting costs: the screen on a scripted feed, without nodes and without an engine, on a terminal of 120×40.

The feed gives a view each time a node reports, as a live mesh does. What it costs by itself is measured apart and taken
off. A key is answered when the terminal shows what it asks for.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.grid import Grid
from benchmarks.monitor import COLUMNS, LINES, Screen
from benchmarks.table import Figure, Table, median, percentile

SCRIPT = Path(__file__).parent.parent / "tests" / "ui" / "scripted_mesh.py"
START_S = 1.0  # after the first paint: as long as the layout may still move
SETTLE_S = 4.0
ROUNDS = 3
KEYS = 30
# Nodes, what is pressed first, name of what is shown then; budgets: painting and the whole process in % of a core.
CASES = ((5, "", "overview", 5.0), (5, "\r", "link", 5.0), (5, "n", "node", 5.0), (20, "", "overview", 50.0),
         (20, "\r", "link", 50.0), (20, "n", "node", 50.0))  # fmt: skip
# Key, and what stands on the overview when it is answered.
ANSWERS = (("2", "Rate bit/s"), ("3", "Retransmitted %"), ("1", "RTT ms"))
GIVE_UP_S = 3.0
_FIRST_PAINT_BYTES = 1000


def measure(quick: bool) -> list[Table]:
    table = Table(
        "screen",
        f"The screen alone, {COLUMNS}×{LINES}, a scripted feed at 1 Hz on two paths",
        ("nodes", "screen", "start bytes", "painting CPU %", "feed CPU %", "resident MiB", "terminal bytes/s"),
    )
    keys = Table(
        "screen_keys", "From a key to its answer on the terminal, ms", ("nodes", "keys", "median", "95 %", "most")
    )
    seconds = 5.0 if quick else 10.0
    fed = {nodes: _feed_pct(nodes, seconds) for nodes in sorted({case[0] for case in CASES})}
    for nodes, pressed, name, budget in CASES:
        asyncio.run(_case(table, nodes, pressed, name, budget, fed[nodes], seconds))
    for nodes in sorted({case[0] for case in CASES}):
        delays = asyncio.run(_keys(nodes))
        keys.add(
            f"{nodes}",
            Figure(len(delays), "", 0),
            Figure(median(delays), "ms", 1, budget=100),
            Figure(percentile(delays, 95), "ms", 1, budget=100),
            Figure(max(delays, default=None), "ms", 1),
        )
    table.notes.append(
        f"Medians of {ROUNDS} rounds of {seconds:g} s. Painting is the process without what the feed costs."
    )
    table.notes.append(
        f"Start: what is written until {START_S:g} s after the first paint; Textual writes 28 kB for one of all."
    )
    return [table, keys]


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def _command(nodes: int, *more: str) -> tuple[str, ...]:
    return sys.executable, str(SCRIPT), "--nodes", str(nodes), *more


def _feed_pct(nodes: int, seconds: float) -> float:
    child = subprocess.Popen(_command(nodes, "--no-screen"), env=_environment(), stdin=subprocess.DEVNULL)
    try:
        time.sleep(3 + SETTLE_S)  # with its imports
        process, rounds = psutil.Process(child.pid), []
        for _ in range(ROUNDS):
            before, began = sum(process.cpu_times()[:2]), time.monotonic()
            time.sleep(seconds)
            rounds.append(100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began))
    finally:
        child.kill()
        child.wait()
    return median(rounds) or 0.0


async def _case(
    table: Table, nodes: int, pressed: str, name: str, budget: float, fed_pct: float, seconds: float
) -> None:
    screen = Screen(None, command=_command(nodes), env=_environment())
    try:
        while screen.written < _FIRST_PAINT_BYTES:
            screen.usage()  # raises if it has ended
            await asyncio.sleep(0.1)
        await asyncio.sleep(START_S)
        started = screen.written
        screen.press(pressed)
        await asyncio.sleep(SETTLE_S)
        taken = [(time.monotonic(), *screen.usage(), screen.written)]
        for _ in range(ROUNDS):
            await asyncio.sleep(seconds)
            taken.append((time.monotonic(), *screen.usage(), screen.written))
    finally:
        await screen.end()
    rounds = list(pairwise(taken))
    whole_pct = median(100 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in rounds) or 0.0
    table.add(
        f"{nodes}",
        name,
        Figure(started, "B", 0, budget=60_000),
        Figure(max(whole_pct - fed_pct, 0.0), "%", 1, budget=budget),
        Figure(fed_pct, "%", 1),
        Figure(taken[-1][2], "MiB", 1),
        Figure(median((b[3] - a[3]) / (b[0] - a[0]) for a, b in rounds), "B/s", 0, budget=20_000),
    )


async def _keys(nodes: int) -> list[float]:
    """Milliseconds from the key to its answer."""
    grid, changed = Grid(COLUMNS, LINES), asyncio.Event()

    def heard(_: float, data: bytes) -> None:
        grid.feed(data)
        changed.set()

    screen = Screen(None, heard, command=_command(nodes), env=_environment())
    delays = []
    try:
        while screen.written < _FIRST_PAINT_BYTES:
            changed.clear()
            await changed.wait()
        await asyncio.sleep(SETTLE_S)
        for turn in range(KEYS):
            key, words = ANSWERS[turn % len(ANSWERS)]
            began = time.monotonic()
            screen.press(key)
            while grid.find(words) is None and time.monotonic() - began < GIVE_UP_S:
                changed.clear()
                await asyncio.wait_for(changed.wait(), GIVE_UP_S)
            delays.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(0.27)  # not in step with the feed
    finally:
        await screen.end()
    return delays
