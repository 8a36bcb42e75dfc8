"""Two bursts of the same kind, over an overlay and over what is below it: is it the overlay?

The comparison says on which path TCP is sick, by goodput, retransmissions and stalls; which kind of sick is a finding
of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from meshtop import units
from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.model import Value

SCHEMA = "meshtop.comparison/1"
# Encapsulation costs some percent, and a burst of a few seconds varies by some more.
MUCH_SLOWER = 0.7
# Segments sent again, of all: below, TCP fills a line of some Mbit/s all the same.
MANY_PCT = 3.0
TIMES_MORE = 4.0  # than on the other path
STALLED_S = 1.0  # the longest; shorter ones come and go with slow start
_SEGMENT_BYTES = 1448


class Comparison(Value, frozen=True, kw_only=True):
    """`meshtop burst --path both`. ``finding`` None: the overlay does as well as what is below it, or one of the two
    was not carried out."""

    schema: str = SCHEMA
    bursts: tuple[BurstRecord, BurstRecord]  # overlay, underlay
    finding: FindingView | None = None


class _Side(NamedTuple):
    bps: float
    retrans_pct: float | None
    longest_stall_s: float | None
    stalls: int | None


def compare(overlay: BurstRecord, underlay: BurstRecord) -> Comparison:
    """The two records, and what their difference says."""
    return Comparison(bursts=(overlay, underlay), finding=_finding(overlay, underlay))


def _side(record: BurstRecord) -> _Side | None:
    if record.state != "done" or record.receiver_bps is None:
        return None
    pct = None
    if record.retransmits is not None and record.sent_bytes:
        segments = record.sent_bytes / (record.requested.get("mss") or _SEGMENT_BYTES)
        pct = 100 * record.retransmits / (segments + record.retransmits)
    stalls = len(record.stalls) if record.stalls is not None else None
    return _Side(record.receiver_bps, pct, record.longest_stall_s, stalls)


def _finding(overlay: BurstRecord, underlay: BurstRecord) -> FindingView | None:
    above, below = _side(overlay), _side(underlay)
    if above is None or below is None or not below.bps:
        return None
    signs = _signs(above, below)
    if not signs:
        return None
    share = above.bps / below.bps
    severity = "critical" if share < MUCH_SLOWER / 2 or (above.longest_stall_s or 0.0) >= STALLED_S else "warning"
    return FindingView(
        id=f"{overlay.id}-{underlay.id}",
        code="overlay-only",
        severity=severity,  # type: ignore[arg-type]  # of the two words above
        confidence=round(min(0.95, 0.6 + 0.15 * len(signs)), 2),
        src=overlay.src,
        dst=overlay.dst,
        path=overlay.path,
        since=overlay.started or "",
        summary=_summary(overlay, underlay, above, below),
        evidence=tuple(signs),
        against=_against(above, below),
        next=("look at the overlay's own transport, not at what runs on top of it",),
    )


def _signs(above: _Side, below: _Side) -> list[Evidence]:
    signs = []
    if above.bps < MUCH_SLOWER * below.bps:
        signs.append(
            Evidence(
                what="goodput overlay/underlay",
                value=round(above.bps / below.bps, 3),
                expected=f"≥ {MUCH_SLOWER:g}: {_rate(above.bps)} against {_rate(below.bps)}",
            )
        )
    if _many(above.retrans_pct, below.retrans_pct):
        assert above.retrans_pct is not None  # noqa: S101  # there are many
        expected = f"< {MANY_PCT:g} % as on the underlay: {units.format_pct(below.retrans_pct)}"
        signs.append(
            Evidence(what="retransmitted, % of segments", value=round(above.retrans_pct, 2), expected=expected)
        )
    if (above.longest_stall_s or 0.0) >= STALLED_S > (below.longest_stall_s or 0.0) and below.stalls is not None:
        expected = f"< {STALLED_S:g} s as on the underlay: {units.format_duration(below.longest_stall_s)}"
        signs.append(Evidence(what="longest stall, s", value=above.longest_stall_s, expected=expected))
    return signs


def _many(above: float | None, below: float | None) -> bool:
    if above is None or above < MANY_PCT:
        return False
    return below is None or above >= TIMES_MORE * below


def _against(above: _Side, below: _Side) -> tuple[Evidence, ...]:
    if below.retrans_pct is not None and below.retrans_pct >= MANY_PCT:
        value = round(below.retrans_pct, 2)
        return (Evidence(what="retransmitted on the underlay, %", value=value, expected=f"< {MANY_PCT:g} %"),)
    return ()


def _rate(rate_bps: float) -> str:
    return f"{units.format_rate(rate_bps)}bit/s"


def _summary(overlay: BurstRecord, underlay: BurstRecord, above: _Side, below: _Side) -> str:
    def words(record: BurstRecord, side: _Side) -> str:
        parts = [_rate(side.bps)]
        if record.retransmits is not None:
            parts.append(f"{record.retransmits} retransmissions")
        if side.stalls is not None:
            longest = f", longest {units.format_duration(side.longest_stall_s)}" if side.stalls else ""
            parts.append(f"{side.stalls or 'no'} {'stall' if side.stalls == 1 else 'stalls'}{longest}")
        return f"{record.path} {', '.join(parts)}"

    way = f"{overlay.src} → {overlay.dst}"
    return f"{way}: TCP is sick on the overlay alone: {words(overlay, above)}; {words(underlay, below)}"
