"""A link beside others: the opposite direction, those of other nodes, the tunnel that carries it, the underlay below.

``overlay-only`` is the verdict of the comparison: an overlay's link is sick and the same pair is well below, or each
leg of it where the tunnel's hub lies between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from meshtop import units
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import OPENS_AT, Candidate, Subject
from meshtop.engine.verdicts.signals import Below, LinkSignals, at_most, worst
from meshtop.engine.verdicts.tunnels import Tunnels, interface
from meshtop.engine.verdicts.weigh import MOST, Rule, Sign, Weighed, ago, typed, weigh
from meshtop.model import LinkKey, Mesh, NodeName, PathName

_LINE_S = 5.0
# A line that is as full as this, with a queue before it: what is lost there is what overflows. Above so much of its
# nominal rate, that is not what it can carry.
_FULL, _QUEUE_MS, _WRONG = 0.85, 15.0, 1.15
# What makes an overlay sick, of the codes of a link.
SICK = frozenset(("loss", "reordering", "policer", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp", "blackout"))
_SICK_AT = 0.6
# That trouble would show in pings as well; the others can be seen by TCP alone.
_SEEN_BY_PINGS = frozenset(("bufferbloat", "blackout"))
# And these are delays: what is sent again below says less of them, and BBR by itself loses some percent on a full line.
_DELAYS = frozenset(("bufferbloat", "tcp-over-tcp"))


def _is_beside(other: LinkKey, key: LinkKey) -> bool:
    """Another node's link to the same end."""
    return other.dst == key.dst and other.path == key.path and other.src != key.src


class Comparison:
    """Of one evaluation."""

    def __init__(
        self,
        mesh: Mesh,
        records: Mapping[NodeName, NodeRecord],
        tunnels: Tunnels,
        signals: Gathered,
    ) -> None:
        self._records = records
        self._tunnels = tunnels
        self._signals = signals
        self._overlays = frozenset(path.name for path in mesh.paths if path.kind == "overlay")
        self._underlays = tuple(path.name for path in mesh.paths if path.kind == "underlay")
        self._shares: dict[tuple[NodeName, str], float | None] = {}
        self._nodes = {node.name: node for node in mesh.nodes}

    def fill(self) -> None:
        """Into the signals of each link what others tell of it."""
        for key in self._signals.active:
            link = self._signals[key]
            back = self._signals.get(LinkKey(key.dst, key.src, key.path))
            both = [link, back] if back is not None else [link]
            link.pair_lost = sum(each.pings_lost for each in both)
            link.pair_decided = sum(each.small_decided + each.full_decided for each in both)
            link.pair_runs = sum(each.loss_runs for each in both)
            if link.pair_decided:
                link.pair_loss_pct = 100 * link.pair_lost / link.pair_decided
            if link.pair_lost and link.expected_share is not None:
                # there and back: twice the chance, were both directions as the one that segments take
                link.echo_chance = 1 - at_most(link.pair_lost - 1, 2 * link.expected_share * link.pair_decided)
            if back is not None:
                link.back_loss_pct = back.small_loss_pct
                link.back_silent = back.silent_for_s is not None
                link.back_segs = back.data_segs
                if back.data_segs >= 20:
                    link.back_retrans_pct = back.retrans_pct
            if link.pair_lost:
                others = (self._signals[other] for other in self._signals if _is_beside(other, key))
                link.peers_loss_pct = worst(other.small_loss_pct for other in others)
            if link.flows:
                link.tunnel_share = self._tunnels.flows(key) / link.flows
            if link.data_segs or link.pair_lost:
                link.line_use = self._line_use(key, both_ways=not link.data_segs)
                if (link.line_use or 0.0) >= _FULL:
                    link.flatness = None  # it is the line that holds goodput there
                added_ms = link.tcp_added_ms if link.data_segs else link.rtt_added_ms
                if link.line_use is not None and added_ms is not None:
                    link.overflows = link.line_use >= _FULL and added_ms >= _QUEUE_MS
            if key.path in self._overlays:
                link.overlay = True
                self._outer(link)
                self._below(link)

    def _outer(self, link: LinkSignals) -> None:
        outer = self._tunnels.outer(link.key)
        if outer is None:
            return
        link.outer = outer.transport
        if outer.transport != "tcp":
            return
        link.outer_connections = outer.connections
        link.outer_retrans_pct = outer.retrans_pct
        link.outer_backoff = outer.backoff
        link.outer_notsent = outer.notsent
        link.outer_stalled = outer.stalled
        link.outer_added_ms = outer.added_ms

    # ── The line ──

    def _line_use(self, key: LinkKey, *, both_ways: bool) -> float | None:
        """Of the nominal rates, the sender's up and the receiver's down; a ping goes both ways. None also where a line
        carries more than it is said to: that rate is wrong."""
        ends = [(key.src, "up"), (key.dst, "down")]
        if both_ways:
            ends += [(key.dst, "up"), (key.src, "down")]
        return worst(self._share(*end) for end in ends)

    def _share(self, name: NodeName, way: str) -> float | None:
        if (name, way) not in self._shares:
            self._shares[name, way] = self._share_of(name, way)
        return self._shares[name, way]

    def _share_of(self, name: NodeName, way: str) -> float | None:
        """By what crosses the underlay's interfaces, or the overlays' where that is more: not every overlay is carried
        by what is called the underlay here."""
        node = self._nodes[name]
        nominal = node.up_bps if way == "up" else node.down_bps
        if not nominal:
            return None
        carried = worst(self._carried_bps(name, paths, way) for paths in (self._underlays, self._overlays))
        if carried is None or carried > _WRONG * nominal:
            return None
        return carried / nominal

    def _carried_bps(self, name: NodeName, paths: Iterable[PathName], way: str) -> float | None:
        record = self._records[name]
        if record.boot is None or record.boot.newest is None:
            return None
        names = {each for path in paths if (each := interface(record, path)) is not None}
        now = record.boot.newest
        moved, seconds = 0, 0.0
        for measured in record.measured.between(now - _LINE_S, now):
            devices = measured.counters.devices
            if devices is None:
                continue
            seconds += measured.end - measured.start
            for each in names:
                delta = devices.get(each)
                if delta is not None:
                    moved += delta.tx_bytes if way == "up" else delta.rx_bytes
        return 8 * moved / seconds if seconds > 0 and names else None

    # ── Below ──

    def _below(self, link: LinkSignals) -> None:
        for path in self._underlays:
            legs = self._tunnels.legs(link.key)
            found = [self._best(src, dst, path) for src, dst in legs]
            if None in found and len(legs) > 1:
                continue
            known = [leg for leg in found if leg is not None]
            if known:
                link.below = _worst_of(known)
                break
        if link.below is not None and link.tcp_added_ms is not None:
            added = max(link.below.rtt_added_ms or 0.0, link.below.tcp_added_ms or 0.0, 1.0)
            if link.below.rtt_added_ms is not None:
                link.above_ratio = link.tcp_added_ms / added

    def _best(self, src: NodeName, dst: NodeName, path: PathName) -> LinkSignals | None:
        """That direction, or the opposite one where only that can be measured (NAT): a ping goes both ways."""
        there = self._signals.get(LinkKey(src, dst, path))
        if there is not None and there.measurable and (there.small_decided or there.data_segs):
            return there
        back = self._signals.get(LinkKey(dst, src, path))
        return back if back is not None and back.measurable and back.small_decided else there

    # ── The verdict ──

    def overlay_only(self, weighed: Mapping[LinkKey, Sequence[Weighed]]) -> Iterator[Candidate]:
        for key in self._signals.active:
            link, found = self._signals[key], weighed.get(key, ())
            sick = [each for each in found if each.rule.code in SICK and each.confidence >= _SICK_AT]
            if not link.overlay:
                continue
            if link.below is None or not sick:
                yield from _tried(link)
                continue
            below_sick = [
                each
                for leg in link.below.links
                for each in weighed.get(leg, ())
                if each.rule.code in SICK and each.confidence >= OPENS_AT
            ]
            if below_sick:
                continue
            yield from _verdict(link, sick)


def _worst_of(legs: Sequence[LinkSignals]) -> Below:
    enough = [leg for leg in legs if leg.data_segs >= 50]
    measured = len(enough) == len(legs)  # of a way over two legs one alone says nothing
    return Below(
        links=tuple(leg.key for leg in legs),
        data_segs=min((leg.data_segs for leg in legs), default=0),
        retrans_pct=worst(leg.retrans_pct for leg in enough) if measured else None,
        dsack_share=worst(leg.dsack_share for leg in enough) if measured else None,
        rtt_inflation=worst(leg.rtt_inflation for leg in legs),
        rtt_added_ms=worst(leg.rtt_added_ms for leg in legs),
        tcp_added_ms=worst(leg.tcp_added_ms for leg in enough) if measured else None,
        loss_pct=worst(leg.ping_loss_pct for leg in legs),
        pings=min(leg.small_decided + leg.full_decided for leg in legs),
        stalled=any(leg.stalls for leg in legs),
        silent=any(leg.silent_for_s is not None for leg in legs),
    )


def _signs(link: LinkSignals, by_pings: bool, by_delay: bool) -> tuple[Sign, ...]:
    """What of the underlay is held against what of the overlay: TCP against TCP, pings against pings, delays against
    delays."""
    retrans = link.retrans_pct or 0.0
    limit = max(1.0, round(retrans / 4, 2))
    added = max(50.0, round((link.tcp_added_ms or 0.0) / 3, 0))
    return (
        Sign("pings of the underlay", "below.pings", ">=", 8, 0.2, needed=True),
        Sign("underlay without any answer", "below.silent", "=", False, 0.0, needed=True),
        Sign("underlay pings lost", "below.loss_pct", "<", 2.0, 0.9 if by_pings else 0.5, 1.2, contra=5.0, unit="%"),
        Sign("underlay ping, added", "below.rtt_added_ms", "<", added, 0.6 if by_pings else 0.3, 1.0, unit="ms"),
        Sign("underlay TCP retransmitted", "below.retrans_pct", "<=", limit, 1.3, 0.5 if by_delay else 2.0, unit="%"),
        Sign("underlay TCP, added", "below.tcp_added_ms", "<", added, 0.9 if by_delay else 0.4, 0.4, unit="ms"),
        Sign("burst below retransmitted", "tried.underlay_retrans_pct", "<=", limit, 1.3, 2.0, unit="%"),
        Sign("burst here / below", "tried_paths_ratio", "<", 0.7, 0.8, 0.8, contra=0.9),
        Sign("stalls on the underlay", "below.stalled", "=", False, 0.1, 0.6),
    )


def _verdict(link: LinkSignals, sick: Sequence[Weighed]) -> Iterator[Candidate]:
    worst_first = sorted(sick, key=lambda each: each.confidence, reverse=True)
    by_pings = any(each.rule.code in _SEEN_BY_PINGS for each in sick) or (link.ping_loss_pct or 0.0) > 5.0
    by_delay = all(each.rule.code in _DELAYS for each in sick)
    rule = Rule(
        code="overlay-only",
        prior=-0.6,
        signs=_signs(link, by_pings, by_delay),
        severity=worst_first[0].rule.severity,
        summary=lambda s: _summary(s, worst_first),
        next=typed(_NEXT, link.key),
        experiments=("paths",),
        most=MOST if link.below is not None and link.below.retrans_pct is not None else 0.8,
    )
    weighed = weigh(rule, link)
    if weighed is None:
        return
    sickness = worst_first[0]
    own = Evidence(what=f"found on {link.key.path}", value=sickness.rule.code, expected="no trouble")
    yield Candidate(
        subject=Subject("overlay-only", link.key.src, link.key.dst, link.key.path),
        severity=rule.severity(link),
        confidence=round(min(weighed.confidence, sickness.confidence + 0.1), 3),
        summary=rule.summary(link),
        evidence=(own, *weighed.evidence),
        against=weighed.against,
        next=typed(rule.next, link.key),
        experiments=rule.experiments,
        both_ways=all(each.rule.both_ways for each in sick),
    )


_MANY_PCT = 3.0  # sent again: below, TCP fills a line of some Mbit/s all the same

_TRIED = Rule(
    code="overlay-only",
    prior=-1.0,
    signs=(
        Sign("burst here / below", "tried_paths_ratio", "<", 0.7, 1.0, needed=True),
        Sign("burst here / below", "tried_paths_ratio", "<", 0.5, 0.6),
        Sign("burst here retransmitted", "tried.overlay_retrans_pct", ">=", _MANY_PCT, 0.7, unit="%"),
        Sign("burst below retransmitted", "tried.underlay_retrans_pct", "<", _MANY_PCT, 0.7, 1.0, unit="%"),
        Sign("burst below: longest stall", "tried.underlay_stall_s", "<", 1.0, 0.3, 0.5, unit="s"),
        Sign("underlay pings lost", "below.loss_pct", "<", 2.0, 0.3, 1.0, contra=5.0, unit="%"),
    ),
    severity=lambda s: "critical" if (s.tried_paths_ratio or 1.0) < _HALF else "warning",
    summary=lambda s: _tried_summary(s),
    next=(),
    experiments=("paths",),
    most=0.9,
)
_HALF = 0.35


def _tried(link: LinkSignals) -> Iterator[Candidate]:
    """Nothing flows that shows it; what was tried did."""
    weighed = weigh(_TRIED, link)
    if weighed is not None:
        yield Candidate(
            subject=Subject("overlay-only", link.key.src, link.key.dst, link.key.path),
            severity=_TRIED.severity(link),
            confidence=weighed.confidence,
            summary=_TRIED.summary(link),
            evidence=weighed.evidence,
            against=weighed.against,
            next=typed(_NEXT, link.key),
            experiments=_TRIED.experiments,
        )


def _tried_summary(link: LinkSignals) -> str:
    above, below = (units.format_rate(link.tried.get(f"{side}_bps")) for side in ("overlay", "underlay"))
    when = ago(link.tried_by["tried_paths_ratio"][1]) if "tried_paths_ratio" in link.tried_by else "before"
    return (
        f"{link.key.src} → {link.key.dst}: it is the overlay. {link.key.path} gave {above}bit/s "
        f"where the path below gave {below}bit/s, as tried {when}"
    )


_NEXT = (
    "`meshtop burst {src} {dst} --path both`: slow here and fast below confirms it; with -u the same for UDP",
    "change the overlay: its transport, its number of connections, its MTU; leave the applications on it alone",
)


def _summary(link: LinkSignals, sick: Iterable[Weighed]) -> str:
    below = link.below
    paths = sorted({key.path for key in below.links}) if below is not None else []
    legs = " by each leg" if below is not None and len(below.links) > 1 else ""
    codes = " and ".join(dict.fromkeys(each.rule.code for each in sick))
    figure = ""
    if below is not None and below.retrans_pct is not None:
        figure = f" ({units.format_pct(below.retrans_pct)} sent again)"
    return (
        f"{link.key.src} → {link.key.dst}: it is the overlay. {link.key.path} shows {codes}; "
        f"{' and '.join(paths)}{legs} is well{figure}"
    )
