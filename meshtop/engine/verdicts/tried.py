"""What experiments and bursts have told of a link, as figures by name, and how old each is. What was tried long ago is
no evidence, and what was tried some minutes ago is less than what was tried just now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from meshtop.burst import BurstRecord
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.model import ExperimentRecord, LinkKey, PathName

# A line is as it was for some minutes; after that one has to try again.
FRESH_S = 600.0
# The two bursts of a comparison meet the same line if they are no further apart.
_TOGETHER_S = 180.0
_MSS = 1448  # of a segment on an ordinary path: retransmissions are counted in segments, what was sent in bytes
# Of what was offered above the rate: a loss that lies this close to 1 − rate/offered is a policer's.
_NEAR_PCT = 8.0
# Offered well above what TCP gets, or well below; and what loss there and below it is plainly of the one kind or the
# other.
_ABOVE, _BELOW, _ABOVE_PCT, _BELOW_PCT = 1.2, 0.8, 5.0, 1.0


_Drawn = TypeVar("_Drawn")


class Told(NamedTuple):
    """``source`` names what told it: ``burst b4``, or an experiment."""

    at: float
    source: str
    figures: dict[str, float]


class Tried:
    """By link, as it was asked for."""

    def __init__(self) -> None:
        self._told: dict[LinkKey, dict[str, Told]] = {}  # by what told it

    def experiment(self, at: float, record: ExperimentRecord) -> None:
        if record.state != "done":
            return
        figures = {name: float(value) for name, value in record.figures.items() if value is not None}
        told = Told(at, f"{record.kind} {record.id}", figures)
        self._add(LinkKey(record.src, record.dst, record.path), record.kind, told)

    def burst(self, at: float, record: BurstRecord) -> None:
        if record.state != "done":
            return
        reverse = bool(record.requested.get("reverse"))
        src, dst = (record.dst, record.src) if reverse else (record.src, record.dst)
        kind = "udp" if record.requested.get("udp") else f"tcp {record.streams}"
        told = Told(at, f"burst {record.id}", dict(_of_burst(record)))
        self._add(LinkKey(src, dst, record.path), kind, told)

    def _add(self, link: LinkKey, kind: str, told: Told) -> None:
        self._told.setdefault(link, {})[kind] = told

    def links(self, now: float) -> set[LinkKey]:
        """Of which something is known."""
        return {link for link in self._told if self._fresh(link, now)}

    def of(self, link: LinkKey, now: float, underlays: Iterable[PathName] = ()) -> list[Told]:
        """What is fresh, oldest first: what is newer holds. With ``underlays`` also two bursts of one kind, the other
        over one of these."""
        told = self._fresh(link, now)
        for underlay in underlays:
            told += self._compared(link, LinkKey(link.src, link.dst, underlay), now)
        return sorted(told, key=lambda each: each.at)

    def _fresh(self, link: LinkKey, now: float) -> list[Told]:
        return [each for each in self._told.get(link, {}).values() if now - each.at <= FRESH_S]

    def _compared(self, overlay: LinkKey, underlay: LinkKey, now: float) -> Iterator[Told]:
        below = self._told.get(underlay, {})
        for kind, above in self._told.get(overlay, {}).items():
            other = below.get(kind)
            if other is None or not kind.startswith("tcp ") or abs(above.at - other.at) > _TOGETHER_S:
                continue
            at = min(above.at, other.at)
            if now - at <= FRESH_S:
                figures = {
                    f"{side}_{name}": told.figures[f"burst_{name}"]
                    for side, told in (("overlay", above), ("underlay", other))
                    for name in ("bps", "retrans_pct", "stall_s")
                    if f"burst_{name}" in told.figures
                }
                yield Told(at, f"bursts {above.source.split()[-1]} and {other.source.split()[-1]}", figures)


def _of_burst(record: BurstRecord) -> Iterator[tuple[str, float]]:
    if record.requested.get("udp"):
        if record.sender_bps and record.receiver_bps is not None:
            # At whatever rate it was sent: what exceeds a line's is lost on the best of them.
            yield "burst_offered_bps", record.sender_bps
            yield "burst_loss_pct", max(0.0, 100 * (1 - record.receiver_bps / record.sender_bps))
        return
    yield from _of_tcp(record)
    pings = record.pings
    if pings is None:
        return
    if pings.rtt_full_before_ms and pings.rtt_full_ms is not None:
        yield "idle_rtt_ms", pings.rtt_full_before_ms
        yield "loaded_rtt_ms", pings.rtt_full_ms
    elif pings.rtt_before_ms and pings.rtt_ms is not None:
        yield "idle_rtt_ms", pings.rtt_before_ms
        yield "loaded_rtt_ms", pings.rtt_ms


def _of_tcp(record: BurstRecord) -> Iterator[tuple[str, float]]:
    names = ["burst", *({1: ["one"], 8: ["eight"]}.get(record.streams, []))]
    for name in names:
        if record.receiver_bps is not None:
            yield f"{name}_bps", record.receiver_bps
        if record.retransmits is not None and record.sent_bytes:
            segments = record.sent_bytes / (record.requested.get("mss") or _MSS)
            yield f"{name}_retrans_pct", min(100.0, 100 * record.retransmits / segments)
    if record.stalls is not None:
        yield "burst_stall_s", record.longest_stall_s or 0.0


# ── Into the signals ──


def draw(link: LinkSignals, told: Iterable[Told], now: float) -> None:
    """What was tried, and what follows from it together with what is seen."""
    figures: dict[str, float] = {}
    for each in told:
        if "vanishes" in each.figures and link.blackholed_s is not None and now - each.at > link.blackholed_s:
            continue  # a sweep from before the hole tells nothing of it
        figures.update(each.figures)
        link.tried_by.update(dict.fromkeys(each.figures, (each.source, now - each.at)))
    link.tried = figures
    half = udp_at_half(figures, link.goodput_bps)
    if half is not None and "udp_loss_pct" not in figures:
        figures["udp_loss_pct"] = half
        link.tried_by["udp_loss_pct"] = link.tried_by["burst_loss_pct"]
    alone_bps = figures.get("one_bps") or _tcp_bps(figures, None)
    if link.goodput_bps and alone_bps:
        gain = alone_bps / link.goodput_bps
        link.tried_gain = _drawn(link, "tried_gain", gain, "one_bps", "tcp_bps", "burst_bps")
    link.loaded_ratio = _drawn(link, "loaded_ratio", loaded_ratio(figures), "loaded_rtt_ms")
    policed = udp_policed(figures, link.goodput_bps)
    link.udp_policed = _drawn(link, "udp_policed", policed, "ramp_loss_pct", "burst_loss_pct")
    link.tried_size_ratio = _drawn(
        link, "tried_size_ratio", _ratio(figures, "full_rtt_ms", "small_rtt_ms"), "full_rtt_ms"
    )
    link.tried_paths_ratio = _drawn(
        link, "tried_paths_ratio", _ratio(figures, "overlay_bps", "underlay_bps"), "overlay_bps"
    )


def _drawn(link: LinkSignals, name: str, value: _Drawn, *parts: str) -> _Drawn:
    """Notes that it is as old as what it was drawn from."""
    for part in parts:
        if value is not None and part in link.tried_by:
            link.tried_by[name] = link.tried_by[part]
            break
    return value


def _ratio(figures: dict[str, float], part: str, whole: str) -> float | None:
    return figures[part] / figures[whole] if part in figures and figures.get(whole) else None


def loaded_ratio(figures: dict[str, float]) -> float | None:
    """Ping under load against ping at rest: of the larger ones where both sizes are known, as some tunnels let small
    packets pass by a queue."""
    ratios = [
        figures[loaded] / figures[idle]
        for idle, loaded in (("idle_rtt_ms", "loaded_rtt_ms"), ("idle_full_rtt_ms", "loaded_full_rtt_ms"))
        if figures.get(idle) and loaded in figures
    ]
    return max(ratios, default=None)


def _tcp_bps(figures: dict[str, float], goodput_bps: float | None) -> float | None:
    return figures.get("tcp_bps") or figures.get("burst_bps") or goodput_bps


def udp_at_half(figures: dict[str, float], goodput_bps: float | None) -> float | None:
    """The loss of a burst of UDP well below what TCP gets, in percent: that is loss whatever the rate."""
    rate, offered = _tcp_bps(figures, goodput_bps), figures.get("burst_offered_bps")
    if not rate or offered is None or offered > _BELOW * rate:
        return None
    return figures.get("burst_loss_pct")


def udp_policed(figures: dict[str, float], goodput_bps: float | None) -> bool | None:
    """Whether UDP loses what exceeds the rate that TCP gets, and nothing below it. Loss by chance is the same at any
    rate. None where it was not tried, or not above that rate."""
    rate = _tcp_bps(figures, goodput_bps)
    half, ramp = figures.get("udp_loss_pct"), figures.get("ramp_loss_pct")
    if half is not None and ramp is not None:
        return half < _BELOW_PCT and ramp > _ABOVE_PCT
    offered, loss = figures.get("burst_offered_bps"), figures.get("burst_loss_pct")
    if not offered or loss is None or not rate or offered < _ABOVE * rate:
        return None
    return abs(loss - 100 * (1 - rate / offered)) <= _NEAR_PCT
