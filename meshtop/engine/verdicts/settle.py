"""Of several causes that are possible on one link: which are said. What explains another's picture completely silences
it; two that look alike on what is known are both said, less surely, with the experiment that tells them apart.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

from meshtop.engine.verdicts.lifecycle import OPENS_AT, SURE
from meshtop.engine.verdicts.weigh import Weighed
from meshtop.model import ExperimentKind


class Explains(NamedTuple):
    """Where ``cause`` is as likely as this, its picture includes that of the ``others``."""

    cause: str
    others: frozenset[str]
    from_confidence: float = 0.6


EXPLAINS: tuple[Explains, ...] = (
    Explains(
        "blackout",
        frozenset(("loss", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp", "ack-path-loss", "policer", "reordering")),
        OPENS_AT,
    ),
    Explains("pmtu-blackhole", frozenset(("loss", "policer", "bufferbloat", "tcp-over-tcp"))),
    Explains("reordering", frozenset(("loss", "policer"))),
    Explains("ack-path-loss", frozenset(("loss",))),
    Explains("receiver-limited", frozenset(("sender-limited", "app-limited"))),
    Explains("bufferbloat", frozenset(("app-limited", "sender-limited", "loss")), OPENS_AT),
    Explains("tcp-over-tcp", frozenset(("app-limited", "sender-limited"))),
)


class Alike(NamedTuple):
    """Two causes with the same picture but for what ``by`` shows. Where neither is surer by ``margin``, both are
    said, unless one of them is known already."""

    one: str
    other: str
    by: ExperimentKind
    margin: float = 0.15


ALIKE: tuple[Alike, ...] = (
    Alike("policer", "loss", "tcp-udp"),
    Alike("bufferbloat", "tcp-over-tcp", "paths"),
)
_MOST_WHERE_ALIKE = 0.65


class Settled(NamedTuple):
    """What is said, and the codes of what is not said because it is explained by that."""

    said: list[Weighed]
    explained: frozenset[str]


def settled(found: Iterable[Weighed], *, new_loss: bool = False, known: Container[str] = ()) -> Settled:
    """``new_loss``: it is too early to tell a policer from loss by chance, even where it is not likely yet. ``known``:
    the codes that were told, and surely; on those what is as likely, and not sure by itself, casts no doubt."""
    possible = _surest(found)
    likely = dict(possible)
    if new_loss and "loss" in likely:
        likely = {**likely, "loss": _doubted(likely["loss"])}
    for explains in EXPLAINS:
        cause = likely.get(explains.cause)
        if cause is not None and cause.confidence >= explains.from_confidence:
            likely = {code: each for code, each in likely.items() if code not in explains.others}
    for pair in ALIKE:
        one, other = likely.get(pair.one), likely.get(pair.other)
        if one is None or other is None or min(one.confidence, other.confidence) < OPENS_AT:
            continue
        if abs(one.confidence - other.confidence) >= pair.margin:
            weaker = one if one.confidence < other.confidence else other
            likely = {code: each for code, each in likely.items() if code != weaker.rule.code}
            continue
        newer = other if pair.one in known else one
        if (pair.one in known) != (pair.other in known) and newer.confidence < SURE:
            del likely[newer.rule.code]
            continue
        likely = {**likely, pair.one: _doubted(one), pair.other: _doubted(other)}
    return Settled(list(likely.values()), frozenset(possible.keys() - likely.keys()))


def _surest(found: Iterable[Weighed]) -> dict[str, Weighed]:
    """By code: several rules may tell of one cause."""
    surest: dict[str, Weighed] = {}
    for each in found:
        known = surest.get(each.rule.code)
        if known is None or each.confidence > known.confidence:
            surest[each.rule.code] = each
    return surest


def _doubted(each: Weighed) -> Weighed:
    return each._replace(confidence=min(each.confidence, _MOST_WHERE_ALIKE), doubted=True)
