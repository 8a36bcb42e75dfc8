"""What a check is, and the document of ``meshtop doctor --json`` (schema meshtop.doctor/1, docs/manual.md)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from meshtop.model import NodeName, PathName, Value

SCHEMA = "meshtop.doctor/1"

CheckState = Literal["ok", "warning", "failed", "skipped"]


class Check(Value, frozen=True, kw_only=True):
    """One thing looked at. ``cure`` says what to do about a warning or a failure."""

    check: str
    state: CheckState
    detail: str
    cure: str | None = None


class NodeChecks(Value, frozen=True, kw_only=True):
    name: NodeName
    label: str | None = None
    ssh: str  # what the configuration says
    checks: tuple[Check, ...]

    def state(self, name: str) -> CheckState | None:
        return next((each.state for each in self.checks if each.check == name), None)


class LinkChecks(Value, frozen=True, kw_only=True):
    """One direction on one path. Figures are None where nothing was measured."""

    src: NodeName
    dst: NodeName
    path: PathName
    rtt_ms: float | None = None
    rtt_full_ms: float | None = None
    pmtu: int | None = None
    checks: tuple[Check, ...] = ()


class Problem(Value, frozen=True, kw_only=True):
    """A check that is not fine, and where. Of one cause on several links only the first is told, with all ``where``."""

    state: CheckState
    check: str
    where: tuple[str, ...]
    detail: str
    cure: str | None


class Diagnosis(Value, frozen=True, kw_only=True):
    """Everything that was looked at. ``usable``: nothing has failed."""

    schema: str = SCHEMA
    mesh: str
    at: str
    took_s: float
    usable: bool
    failed: int
    warnings: int
    nodes: tuple[NodeChecks, ...]
    links: tuple[LinkChecks, ...]
    problems: tuple[Problem, ...]


def ok(check: str, detail: str) -> Check:
    return Check(check=check, state="ok", detail=detail)


def failed(check: str, detail: str, cure: str) -> Check:
    return Check(check=check, state="failed", detail=detail, cure=cure)


def warning(check: str, detail: str, cure: str) -> Check:
    return Check(check=check, state="warning", detail=detail, cure=cure)


def skipped(check: str, detail: str) -> Check:
    return Check(check=check, state="skipped", detail=detail)


def diagnosis(
    mesh: str, at: str, took_s: float, nodes: tuple[NodeChecks, ...], links: tuple[LinkChecks, ...]
) -> Diagnosis:
    """The checks as one document: failures first, then warnings."""
    every = [check for node in nodes for check in node.checks] + [check for link in links for check in link.checks]
    counted = {state: sum(check.state == state for check in every) for state in ("failed", "warning")}
    found = list(_problems(nodes, links))
    return Diagnosis(
        mesh=mesh,
        at=at,
        took_s=round(took_s, 1),
        usable=not counted["failed"],
        failed=counted["failed"],
        warnings=counted["warning"],
        nodes=nodes,
        links=links,
        problems=tuple(sorted(found, key=lambda problem: problem.state != "failed")),
    )


def _problems(nodes: tuple[NodeChecks, ...], links: tuple[LinkChecks, ...]) -> Iterator[Problem]:
    """Links that have the same cure are told of once."""
    for node in nodes:
        for check in node.checks:
            if check.state in ("failed", "warning"):
                yield _problem(check, (node.name,))
    alike: dict[tuple[str, str | None], tuple[Check, list[str]]] = {}
    for link in links:
        for check in link.checks:
            if check.state in ("failed", "warning"):
                _, where = alike.setdefault((check.check, check.cure), (check, []))
                where.append(f"{link.src}→{link.dst} {link.path}")
    for check, where in alike.values():
        yield _problem(check, tuple(where))


def _problem(check: Check, where: tuple[str, ...]) -> Problem:
    return Problem(state=check.state, check=check.check, where=where, detail=check.detail, cure=check.cure)
