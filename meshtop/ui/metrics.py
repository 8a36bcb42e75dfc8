"""The five ways to look at a link: what a cell says under each, and how grave that is.

Gravity is judged against the link itself: RTT by its inflation over the link's own baseline, losses and
retransmissions by the configured thresholds. An absent figure is ``–``, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from meshtop.engine.snapshot import LinkView
from meshtop.model import Thresholds
from meshtop.units import UNKNOWN, format_age, format_ms, format_pct, format_rate

MetricName = Literal["rtt", "rate", "retx", "loss", "stall"]


class Gravity(IntEnum):
    """How far a figure is from what it should be; each has its colour."""

    UNKNOWN = 0
    FINE = 1
    RAISED = 2
    BAD = 3
    WORST = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """At most five cells of text."""

    text: str
    gravity: Gravity


@dataclass(frozen=True, slots=True)
class Metric:
    """``main`` stands beside the state glyph, ``side`` right of it, ``lower`` on the line below where there is one."""

    name: MetricName
    title: str
    main: Callable[[LinkView, Thresholds], Figure]
    side: Callable[[LinkView, Thresholds], Figure]
    lower: tuple[Callable[[LinkView, Thresholds], Figure], Callable[[LinkView, Thresholds], Figure]]
    headings: tuple[str, str, str, str]  # of main, side and lower, at most five cells each


def format_ratio(ratio: float | None) -> str:
    """At most four cells: 1.04 → ``1.0×``, 11.3 → ``11×``, 250 → ``>99×``."""
    if ratio is None:
        return UNKNOWN
    if ratio > 99.4:
        return ">99×"
    return f"{ratio:.1f}×" if ratio < 9.95 else f"{ratio:.0f}×"


def inflation_gravity(ratio: float | None, thresholds: Thresholds) -> Gravity:
    """Each doubling beyond the threshold of ``degraded`` is one step."""
    if ratio is None:
        return Gravity.UNKNOWN
    limit = thresholds.degraded_inflation
    if ratio <= limit:
        return Gravity.FINE
    if ratio <= 2 * limit:
        return Gravity.RAISED
    return Gravity.BAD if ratio <= 4 * limit else Gravity.WORST


def share_gravity(pct: float | None, limit_pct: float) -> Gravity:
    """A share of packets against the limit of ``lossy``; five times that much is the worst."""
    if pct is None:
        return Gravity.UNKNOWN
    if pct <= limit_pct / 2:
        return Gravity.FINE
    if pct <= limit_pct:
        return Gravity.RAISED
    return Gravity.BAD if pct <= 5 * limit_pct else Gravity.WORST


def rtt(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_ms(link.rtt_ms), _known(link.rtt_ms, _rtt_gravity(link, thresholds)))


def inflation(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_ratio(link.inflation), _rtt_gravity(link, thresholds))


def _rtt_gravity(link: LinkView, thresholds: Thresholds) -> Gravity:
    """As for the state: what was added must be worth mentioning too."""
    if link.rtt_ms is not None and link.rtt_ms - (link.rtt_baseline_ms or 0.0) < thresholds.degraded_added_ms:
        return Gravity.FINE if link.inflation is not None else Gravity.UNKNOWN
    return inflation_gravity(link.inflation, thresholds)


def rtt_full(link: LinkView, thresholds: Thresholds) -> Figure:
    """Of full-size probes, against the baseline of small ones: what only large packets suffer is seen here alone."""
    full, base = link.rtt_full_ms, link.rtt_baseline_ms
    if full is None or not base or full - base < thresholds.degraded_added_ms:
        return Figure(format_ms(full), _known(full))
    return Figure(format_ms(full), inflation_gravity(full / base, thresholds))


def rate(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_rate(link.tx_bps), _known(link.tx_bps))


def retx(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_pct(link.retrans_pct), share_gravity(link.retrans_pct, thresholds.lossy_retrans_pct))


def retx_per_s(link: LinkView, thresholds: Thresholds) -> Figure:
    value = link.retrans_per_s
    text = UNKNOWN if value is None else f"{value:.1f}/s"[:5] if value < 9.95 else f"{format_rate(value)}/s"[:5]
    return Figure(text, _known(value, share_gravity(link.retrans_pct, thresholds.lossy_retrans_pct)))


def dsack(link: LinkView, thresholds: Thresholds) -> Figure:
    """At most all: a duplicate is reported a round trip after it was sent, and so may be counted in the next window."""
    share = link.dsack_pct
    return Figure(format_pct(share if share is None else min(100.0, share)), _known(share))


def loss(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_pct(link.loss_pct), share_gravity(link.loss_pct, thresholds.lossy_loss_pct))


def loss_full(link: LinkView, thresholds: Thresholds) -> Figure:
    return Figure(format_pct(link.loss_full_pct), share_gravity(link.loss_full_pct, thresholds.lossy_loss_pct))


def stall(link: LinkView, thresholds: Thresholds) -> Figure:
    """How many overlap the window; ``now`` behind it while one stands."""
    if link.stalled_now:
        return Figure(f"{link.stalls} now" if link.stalls and link.stalls < 10 else "now", Gravity.WORST)
    if link.stalls is None:
        return Figure(UNKNOWN, Gravity.UNKNOWN)
    return Figure(str(min(link.stalls, 99999)), Gravity.BAD if link.stalls else Gravity.FINE)


def longest_stall(link: LinkView, thresholds: Thresholds) -> Figure:
    if link.longest_stall_s is None:
        return Figure(UNKNOWN, Gravity.UNKNOWN)
    return Figure(format_age(link.longest_stall_s), Gravity.WORST if link.stalled_now else Gravity.BAD)


def stalled_share(link: LinkView, thresholds: Thresholds) -> Figure:
    """Of the window, in which at least one flow stood still."""
    return Figure(format_pct(link.stalled_pct), _known(link.stalled_pct))


def crawling(link: LinkView, thresholds: Thresholds) -> Figure:
    """Flows whose goodput collapsed while data waits."""
    return _trouble_count(link.crawling)


def connecting(link: LinkView, thresholds: Thresholds) -> Figure:
    """Connections that do not get through SYN-SENT."""
    return _trouble_count(link.connecting)


def _trouble_count(count: int | None) -> Figure:
    if count is None:
        return Figure(UNKNOWN, Gravity.UNKNOWN)
    return Figure(str(min(count, 999)), Gravity.BAD if count else Gravity.FINE)


def flows(link: LinkView, thresholds: Thresholds) -> Figure:
    if link.flows is None:
        return Figure(UNKNOWN, Gravity.UNKNOWN)
    return Figure(f"{min(link.flows, 999)}fl", Gravity.FINE)


def _known(value: float | None, gravity: Gravity = Gravity.FINE) -> Gravity:
    """A known figure that nothing can be held against is fine."""
    if value is None:
        return Gravity.UNKNOWN
    return gravity if gravity is not Gravity.UNKNOWN else Gravity.FINE


METRICS: Mapping[MetricName, Metric] = {
    metric.name: metric
    for metric in (
        Metric("rtt", "RTT ms ÷ baseline", rtt, inflation, (rate, retx), ("rtt", "infl", "rate", "retx")),
        Metric("rate", "Rate bit/s · flows", rate, flows, (rtt, retx), ("rate", "flows", "rtt", "retx")),
        Metric("retx", "Retransmitted % · /s", retx, retx_per_s, (rate, dsack), ("retx", "/s", "rate", "dsack")),
        Metric("loss", "Loss % small · 1200 B", loss, loss_full, (rtt, inflation), ("loss", "full", "rtt", "infl")),
        Metric(
            "stall",
            "Stalls · longest",
            stall,
            longest_stall,
            (flows, stalled_share),
            ("stall", "long", "flows", "share"),
        ),
    )
}
