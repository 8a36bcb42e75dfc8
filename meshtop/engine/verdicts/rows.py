"""The same trouble on a whole row or column of the matrix: all that a node sends, or is sent, on a path. It is said of
that node once; and where the same pairs are well below the overlay, that, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import OPENS_AT, STAYS_AT, Candidate, OfNode, Subject
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import NodeName

# Fewer links than this say nothing of what they share.
FEWEST_LINKS = 3
_FEWEST_COMPARED = 2
# Trouble that a row or a column of links can share; that of applications is theirs.
_SHARED = ("blackout", "loss", "reordering", "policer", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp")


def together(
    candidates: Sequence[Candidate], signals: Gathered, covers: Callable[[Subject], bool]
) -> Iterator[tuple[str, list[OfNode]]]:
    """The code that all links of a row or column share, which is its node's from then on, and what is said of the node.
    ``covers``: what is part of another finding of a node already."""
    rows: dict[tuple[str, NodeName, bool, str], list[Candidate]] = {}
    for each in candidates:
        subject = each.subject
        if subject.code not in _SHARED or each.confidence < STAYS_AT or subject.path is None or covers(subject):
            continue
        for name, sends in ((subject.src, True), (subject.dst, False)):
            if name is not None:
                rows.setdefault((subject.code, name, sends, subject.path), []).append(each)
    for (code, name, sends, path), members in sorted(rows.items(), key=lambda row: -len(row[1])):
        if len(members) < FEWEST_LINKS or all(covers(each.subject) for each in members):
            continue
        judged = [
            key
            for key in signals
            if key.path == path and name == (key.src if sends else key.dst) and _could_show(code, signals[key])
        ]
        if len(members) < len(judged):
            continue
        ends = {frozenset((each.subject.src, each.subject.dst)) for each in members}
        compared = [
            each
            for each in candidates
            if is_above(each, code)
            and each.confidence >= OPENS_AT
            and each.subject.path == path
            and frozenset((each.subject.src, each.subject.dst)) in ends
            and not covers(each.subject)
        ]
        well = len(compared) >= _FEWEST_COMPARED
        found = [OfNode(_shared(code, name, sends, path, members, well))]
        if well:
            found.append(OfNode(comparison(name, code, compared), frozenset(each.subject for each in compared)))
        yield code, found


def is_above(candidate: Candidate, code: str) -> bool:
    """Whether it is a comparison of paths that found this on the overlay."""
    return candidate.subject.code == "overlay-only" and candidate.evidence[0].value == code


def comparison(name: NodeName, code: str, pairs: Sequence[Candidate]) -> Candidate:
    """One comparison instead of one for each of its pairs."""
    surest = max(pairs, key=lambda each: each.confidence)
    path = surest.subject.path
    return surest._replace(
        subject=Subject("overlay-only", node=name),
        severity="critical" if any(each.severity == "critical" for each in pairs) else "warning",
        summary=f"{name}: it is the overlay. {path} shows {code} on its links; the same pairs are well below it",
        evidence=(
            Evidence(what=f"pairs with {code} on {path} alone", value=len(pairs), expected="none"),
            *surest.evidence,
        ),
        at_once=False,
        both_ways=False,
    )


def _could_show(code: str, link: LinkSignals) -> bool:
    """Whether that trouble would be seen on that link, were it there."""
    if code in ("blackout", "loss"):
        return link.measurable and link.small_decided >= 8
    return link.data_segs >= 100


def _shared(code: str, name: NodeName, sends: bool, path: str, members: Sequence[Candidate], well: bool) -> Candidate:
    """``well``: below the overlay, the same pairs are."""
    severity: Severity = "critical" if any(each.severity == "critical" for each in members) else "warning"
    surest = max(members, key=lambda each: each.confidence)
    way = "out of" if sends else "into"
    return Candidate(
        subject=Subject("node-wide", node=name),
        severity=severity,
        confidence=max(OPENS_AT, min(0.95, surest.confidence + 0.1)),
        summary=f"{name}: {code} on all {len(members)} links {way} it on {path}: look at its "
        f"{'tunnel' if well else 'line'}, not at its peers",
        evidence=(
            Evidence(what=f"links {way} it with {code}", value=len(members), expected=f"all {len(members)} of {path}"),
            Evidence(
                what="the surest of them",
                value=f"{surest.subject.src} → {surest.subject.dst}",
                expected="the others alike",
            ),
            *surest.evidence,
        ),
        against=surest.against,
        next=surest.next,
        experiments=surest.experiments,
    )
