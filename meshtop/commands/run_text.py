"""What stalled while a command ran, as text. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from meshtop.engine.runs import RunSummary, hop_name
from meshtop.parse.text import clean
from meshtop.units import format_bytes, format_duration

MOST_HOPS = 8
_MOST_FINDINGS = 3
_LEAST_S = 0.05


def summary_text(summary: RunSummary, styled: bool = False) -> str:
    """A few lines for the end of a terminal. ``styled``: with a rule above, to stand out from the command's output."""
    lines = ["─" * 72] if styled else []
    title = clean(shlex.join(summary.command), 60)
    lines.append(f"meshtop: `{title}` ended with {summary.exit_code} after {format_duration(summary.duration_s)}")
    lines.append(f"  {summary.verdict}")
    if not summary.seen:
        return "\n".join(lines)
    of = f"of {', '.join(summary.watches)}" if summary.watches else "of all flows between the nodes"
    lines.append(
        f"  {of}: moving {_s(summary.moving_s)}, stalled {_s(summary.stalled_s)}, crawling {_s(summary.crawling_s)}"
    )
    rows = [("  hop", "moving", "stalled", "crawling", "stalls", "longest", "sent", "cause")]
    for hop in summary.hops[:MOST_HOPS]:
        rows.append(
            (
                f"  {hop_name(hop)}",
                _s(hop.moving_s),
                _s(hop.stalled_s),
                _s(hop.crawling_s),
                str(hop.stalls),
                format_duration(hop.longest_stall_s) if hop.longest_stall_s is not None else "–",
                format_bytes(hop.tx_bytes) if hop.tx_bytes is not None else "–",
                ", ".join(f"{name} {_s(seconds)}" for name, seconds in _longest_first(hop.causes)) or "–",
            )
        )
    if len(rows) > 1:
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        for row in rows:
            first, *others = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
            figures = [cell.strip().rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            lines.append("  ".join([first, *figures, row[-1]]).rstrip())
    if len(summary.hops) > MOST_HOPS:
        lines.append(f"  and {len(summary.hops) - MOST_HOPS} hops more")
    for finding in summary.findings[:_MOST_FINDINGS]:
        lines.append(f"  {finding.code}: {finding.summary}")
    return "\n".join(lines)


def _longest_first(causes: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(causes.items(), key=lambda each: -each[1])[:3]


def _s(seconds: float) -> str:
    return "0 s" if seconds < _LEAST_S else f"{seconds:.1f} s"
