"""How rules are written, and how sure they make one.

A rule is a list of signs. Each holds one figure against a limit, and moves the odds of the cause: by ``weight`` where
it holds, back by ``against`` where the figure lies beyond ``contra``, and not at all where the figure is not known or
lies between the two. Confidence is the logistic function of the sum, so that no amount of weak evidence ever makes
certainty, and a contradiction always costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import exp
from typing import Any, Literal, NamedTuple

from meshtop import units
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.model import ExperimentKind, LinkKey

Severity = Literal["info", "warning", "critical"]
Unit = Literal["", "%", "×", "ms", "s", "bytes", "share"]
# What was tried tells all that it can for so long, and nothing any more after the second.
_NEW_S, _OLD_S = 120.0, 600.0
_JUST_S, _MINUTE_S = 10.0, 60.0
MOST = 0.97  # what is concluded from the outside is never certain


class Sign(NamedTuple):
    """``figure`` names a field of LinkSignals, or ``below.FIELD``, or ``tried.NAME``."""

    what: str
    figure: str
    op: Literal[">", ">=", "<", "<=", "="]
    limit: float | str | bool
    weight: float = 0.0
    against: float = 0.0
    contra: float | None = None  # None: whatever does not hold contradicts
    needed: bool = False  # without it there is no such finding
    unit: Unit = ""
    expected: str | None = None  # in words; else made of op and limit


class Rule(NamedTuple):
    code: str
    prior: float  # log-odds once the needed signs hold
    signs: tuple[Sign, ...]
    severity: Callable[[LinkSignals], Severity]
    summary: Callable[[LinkSignals], str]
    next: tuple[str, ...]  # with {src}, {dst} and {path} where the link's names stand
    experiments: tuple[ExperimentKind, ...] = ()
    most: float = MOST  # the confidence that this evidence alone can give
    both_ways: bool = False  # it shows in both directions of a pair alike, and is said of one


class Weighed(NamedTuple):
    """A cause that is possible for what is known."""

    rule: Rule
    confidence: float
    evidence: tuple[Evidence, ...]
    against: tuple[Evidence, ...]
    doubted: bool = False  # another cause looks alike on what is known


def figure(signals: LinkSignals, name: str) -> Any:
    if name.startswith("tried."):
        return signals.tried.get(name[6:])
    if name.startswith("below."):
        return getattr(signals.below, name[6:]) if signals.below is not None else None
    return getattr(signals, name)


def weigh(rule: Rule, signals: LinkSignals) -> Weighed | None:
    """None where something needed does not hold, or is not known."""
    odds = rule.prior
    evidence: list[Evidence] = []
    against: list[Evidence] = []
    for sign in rule.signs:
        value = figure(signals, sign.figure)
        if value is None:
            if sign.needed:
                return None
            continue
        source, age_s = signals.tried_by.get(sign.figure.removeprefix("tried."), (None, 0.0))
        if _holds(value, sign.op, sign.limit):
            odds += sign.weight * _freshness(age_s)
            if sign.weight or sign.needed:
                evidence.append(_evidence(sign, value, source, age_s))
        elif sign.needed:
            return None
        elif sign.against and _contradicts(value, sign):
            odds -= sign.against * _freshness(age_s)
            against.append(_evidence(sign, value, source, age_s))
    confidence = round(min(rule.most, 1 / (1 + exp(-odds))), 3)
    return Weighed(rule, confidence, _each_once(evidence), _each_once(against))


def _each_once(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """A figure that was held against several limits stands with the last, which is the strictest that holds."""
    return tuple({(one.what, one.value): one for one in evidence}.values())


def _holds(value: Any, op: str, limit: Any) -> bool:
    match op:
        case ">":
            return bool(value > limit)
        case ">=":
            return bool(value >= limit)
        case "<":
            return bool(value < limit)
        case "<=":
            return bool(value <= limit)
    return bool(value == limit)


def _contradicts(value: Any, sign: Sign) -> bool:
    if sign.contra is None:
        return True
    return bool(value < sign.contra) if sign.op in (">", ">=") else bool(value > sign.contra)


def _freshness(age_s: float) -> float:
    """Of what was tried: 1 for two minutes, then less and less."""
    return min(1.0, max(0.0, 1 - (age_s - _NEW_S) / (_OLD_S - _NEW_S)))


def _evidence(sign: Sign, value: Any, source: str | None = None, age_s: float = 0.0) -> Evidence:
    expected = sign.expected or f"{sign.op} {_limit(sign)}"
    what = f"{sign.what} ({source}, {ago(age_s)})" if source else sign.what
    return Evidence(what=what, value=_shown(value, sign.unit), expected=expected)


def ago(age_s: float) -> str:
    """In steps, so that what is shown does not change with every second."""
    if age_s < _MINUTE_S:
        return f"{max(10, round(age_s, -1)):.0f} s ago" if age_s >= _JUST_S else "just now"
    return f"{age_s / _MINUTE_S:.0f} min ago"


def _limit(sign: Sign) -> str:
    if isinstance(sign.limit, bool):
        return "yes" if sign.limit else "no"
    if isinstance(sign.limit, str):
        return sign.limit
    match sign.unit:
        case "%":
            return f"{sign.limit:g} %"
        case "ms" | "s":
            return f"{sign.limit:g} {sign.unit}"
        case "bytes":
            return units.format_bytes(sign.limit)
    return f"{sign.limit:g}"


def _shown(value: Any, unit: Unit) -> float | str:
    """Three digits are all that such a figure means."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "bytes":
        return float(round(value))
    return float(f"{value:.3g}")


def typed(steps: Iterable[str], link: LinkKey) -> tuple[str, ...]:
    """What to do next, with the names of that link in the commands."""
    return tuple(step.format(src=link.src, dst=link.dst, path=link.path) for step in steps)
