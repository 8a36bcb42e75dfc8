"""A diagnosis as text: the nodes, the pairs path by path, then each trouble with its cure. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from meshtop.model import Mesh
from meshtop.setup.checks import Check, CheckState, Diagnosis, LinkChecks, NodeChecks, Problem
from meshtop.setup.node_checks import NODE_CHECKS
from meshtop.units import format_ms

# State = glyph and word: the glyph in the tables, the word with the trouble.
GLYPHS: dict[CheckState, str] = {"ok": "●", "warning": "▲", "failed": "✕", "skipped": "·"}
WORDS: dict[CheckState, str] = {"ok": "fine", "warning": "warning", "failed": "unusable", "skipped": "not looked at"}


def report(found: Diagnosis, mesh: Mesh, width: int = 100) -> str:
    """Of at most ``width`` columns where names allow it."""
    parts = [_nodes(found.nodes)]
    for path in mesh.paths:
        links = [link for link in found.links if link.path == path.name]
        parts.append(f"{path.name} ({path.kind}): {_matrix(links, mesh, width)}")
    parts.append("  ".join(f"{GLYPHS[state]} {WORDS[state]}" for state in GLYPHS))
    parts += [_problem(problem, width) for problem in found.problems]
    parts.append(_sum(found))
    return "\n\n".join(parts)


def _sum(found: Diagnosis) -> str:
    if found.usable and not found.warnings:
        words = "nothing is wrong"
    else:
        words = ", ".join(
            f"{count} {word}{'' if count == 1 else 's'}"
            for count, word in (
                (sum(each.state == "failed" for each in found.problems), "failure"),
                (sum(each.state == "warning" for each in found.problems), "warning"),
            )
            if count
        )
    return f"{found.mesh}: {words}; looked at in {found.took_s:.1f} s"


def _nodes(nodes: Sequence[NodeChecks]) -> str:
    rows: list[tuple[str, ...]] = [("node", *NODE_CHECKS)]
    rows += [(_name(node), *(_cell(node, name) for name in NODE_CHECKS)) for node in nodes]
    return _columns(rows)


def _name(node: NodeChecks) -> str:
    return node.name if node.label is None else f"{node.name} {node.label}"


def _cell(node: NodeChecks, name: str) -> str:
    state = node.state(name)
    return GLYPHS[state] if state else ""


def _matrix(links: Sequence[LinkChecks], mesh: Mesh, width: int) -> str:
    """With figures where they fit."""
    drawn = _pairs(links, mesh, with_figures=True)
    if max(map(len, drawn.split("\n"))) <= width:
        return f"row → column, ms and path MTU\n{drawn}"
    return f"row → column\n{_pairs(links, mesh, with_figures=False)}"


def _pairs(links: Sequence[LinkChecks], mesh: Mesh, *, with_figures: bool) -> str:
    by_pair = {(link.src, link.dst): link for link in links}
    names = [node.name for node in mesh.nodes]
    rows: list[tuple[str, ...]] = [("", *names)]
    for src in names:
        rows.append((src, *(_link(by_pair.get((src, dst)), with_figures) if src != dst else "–" for dst in names)))
    return _columns(rows)


def _link(link: LinkChecks | None, with_figures: bool) -> str:
    if link is None:
        return ""
    state = worst(link.checks)
    if state == "skipped" or not with_figures:
        return GLYPHS[state]
    figures = [format_ms(link.rtt_ms)] if link.rtt_ms is not None else []
    if link.pmtu is not None:
        figures.append(str(link.pmtu))
    return " ".join([GLYPHS[state], *figures])


def worst(checks: Iterable[Check]) -> CheckState:
    """Of a direction. What was skipped counts only if nothing was looked at."""
    states = {check.state for check in checks}
    order: tuple[CheckState, ...] = ("failed", "warning", "ok")
    return next((state for state in order if state in states), "skipped")


def _problem(problem: Problem, width: int) -> str:
    shown = list(problem.where[:4]) + ([f"and {len(problem.where) - 4} more"] if len(problem.where) > 4 else [])
    head = f"{GLYPHS[problem.state]} {', '.join(shown)}: {problem.check} {WORDS[problem.state]}"
    lines = [*textwrap.wrap(head, width, subsequent_indent="  "), *_wrapped(problem.detail, width)]
    if problem.cure:
        lines += _wrapped(f"→ {problem.cure}", width)
    return "\n".join(lines)


def _wrapped(text: str, width: int) -> list[str]:
    """Commands are long words and are not cut."""
    return textwrap.wrap(
        text,
        width,
        initial_indent="    ",
        subsequent_indent="      " if text.startswith("→") else "    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
