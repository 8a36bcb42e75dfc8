"""Rows of figures beside their budgets, as text for people and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``budget`` is the most it may be; None where the number is only told."""

    value: float | None
    unit: str
    digits: int = 2
    budget: float | None = None

    @property
    def over(self) -> bool:
        return self.budget is not None and self.value is not None and self.value > self.budget

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        text = f"{self.value:,.{self.digits}f}"
        if self.budget is None:
            return text
        return f"{text} {'OVER' if self.over else 'of'} {self.budget:g}"


@dataclass(slots=True)
class Table:
    """One benchmark's result. Cells are text or Figures; ``notes`` are sentences below the table."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str | Figure]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str | Figure) -> None:
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    @property
    def over(self) -> bool:
        return any(isinstance(cell, Figure) and cell.over for row in self.rows for cell in row)

    def markdown(self) -> str:
        """A table that reads alike as plain text and as Markdown."""
        texts = [[str(cell) for cell in row] for row in self.rows]
        widths = [max(len(row[i]) for row in [list(self.columns), *texts]) for i in range(len(self.columns))]
        right = [all(isinstance(row[i], Figure) for row in self.rows) for i in range(len(self.columns))]

        def line(cells: Iterable[str]) -> str:
            filled = (
                text.rjust(width) if on_right else text.ljust(width)
                for text, width, on_right in zip(cells, widths, right, strict=True)
            )
            return f"| {' | '.join(filled)} |"

        rule = f"|{'|'.join('-' * (w + 1) + (':' if r else '-') for w, r in zip(widths, right, strict=True))}|"
        body = [f"### {self.title}", "", line(self.columns), rule, *(line(row) for row in texts)]
        if self.notes:
            body += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(body)

    def save(self) -> Path:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.name}.json"
        document = {
            "benchmark": self.name,
            "machine": machine(),
            "columns": list(self.columns),
            "rows": [[_plain(cell) for cell in row] for row in self.rows],
            "notes": self.notes,
        }
        path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return path


def median(values: Iterable[float]) -> float | None:
    kept = list(values)
    return statistics.median(kept) if kept else None


def percentile(values: Iterable[float], percent: float) -> float | None:
    """By nearest rank."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, max(0, round(percent / 100 * len(ordered) + 0.5) - 1))]


def machine() -> Mapping[str, Any]:
    return {
        "cpu": _cpu_model(),
        "cpus": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "load": os.getloadavg()[0],  # what else ran: figures of a busy machine are worse than they need be
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _plain(cell: str | Figure) -> Any:
    if isinstance(cell, str):
        return cell
    return {"value": cell.value, "unit": cell.unit, "budget": cell.budget, "over": cell.over}
