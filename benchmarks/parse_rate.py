"""How fast text from nodes becomes values: lines of ss, and whole frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.nodes import BenchMesh, run
from benchmarks.table import Figure, Table, median
from meshtop.parse.ss import parse_ss

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures" / "ss"
ROUNDS = 7


def per_second(work: Callable[[], int], seconds: float = 0.5) -> float:
    """Things done a second: the median of some rounds. ``work`` returns how many it did."""
    rates = []
    for _ in range(ROUNDS):
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds / ROUNDS:
            done += work()
        rates.append(done / (time.perf_counter() - started))
    return median(rates) or 0.0


def measure(quick: bool) -> list[Table]:
    table = Table("parse_rate", "Parsing ss", ("capture", "lines", "bytes a line", "lines/s", "not understood"))
    captures = {path.stem: path.read_text(errors="replace") for path in sorted(FIXTURES.glob("*.txt"))}
    with BenchMesh(("a", "b")) as mesh:
        mesh.traffic({"a": 200}, 20)
        time.sleep(1.0)
        captures["here, 200 sockets"] = run("ip", "netns", "exec", "a", "ss", "-tinmoeHO")
    for name, text in captures.items():
        readings, failed = parse_ss(text)
        if len(readings) < 50:
            continue

        def once(text: str = text) -> int:
            return len(parse_ss(text)[0])

        table.add(
            name,
            Figure(len(readings), "lines", 0),
            Figure(len(text) / len(readings), "bytes", 0),
            Figure(per_second(once), "lines/s", 0),
            Figure(failed, "lines", 0),
        )
    table.notes.append("All fields into typed values, one core.")
    return [table]
