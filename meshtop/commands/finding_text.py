"""Findings and experiments in words for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.model import ExperimentRecord
from meshtop.units import format_figure

_GLYPHS = {"critical": "✖", "warning": "▲", "info": "·"}


def place(finding: FindingView) -> str:
    if finding.node is not None:
        return finding.node
    return f"{finding.src} → {finding.dst} {finding.path}"


def listing(findings: Sequence[FindingView], of: str) -> str:
    """A line each, as a first answer."""
    if not findings:
        return f"{of}: nothing is found wrong"
    return "\n".join([f"{of}:", *(f"  {_head(each)}" for each in findings)])


def conclusion(findings: Sequence[FindingView]) -> str:
    """All that stands, with what speaks for and against it and what to try."""
    if not findings:
        return "nothing is found wrong"
    return "\n\n".join("\n".join(_whole(each)) for each in findings)


def _head(finding: FindingView) -> str:
    sure = f"({finding.severity}, {100 * finding.confidence:.0f} % sure)"
    return f"{_GLYPHS[finding.severity]} {finding.code} {sure} {finding.summary}"


def _whole(finding: FindingView) -> Iterator[str]:
    yield _head(finding)
    yield from _evidence("for it", finding.evidence)
    yield from _evidence("against it", finding.against)
    for text in finding.next:
        yield f"    try: {text}"


def _evidence(title: str, entries: Iterable[Evidence]) -> Iterator[str]:
    for each in entries:
        yield f"    {title}: {each.what} {format_figure(each.value)} (expected {each.expected})"


def experiment(record: ExperimentRecord) -> str:
    if record.state == "done":
        return f"  {record.summary or 'done; too little was measured to say anything'}"
    cure = f"; {record.cure}" if record.cure else ""
    return f"  {record.state}: {record.reason}{cure}"
