"""What experiments and bursts have told of a link, as figures by name. What was tried long ago is no evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshtop.burst import BurstRecord
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.model import ExperimentRecord, LinkKey

# A line is as it was for some minutes; after that one has to try again.
FRESH_S = 600.0
_MSS = 1448  # of a segment on an ordinary path: retransmissions are counted in segments, what was sent in bytes
# Of what was offered above the rate: a loss that lies this close to 1 − rate/offered is a policer's.
_NEAR_PCT = 8.0
# Offered well above what TCP gets, and what loss there and below it is plainly of the one kind or the other.
_ABOVE, _ABOVE_PCT, _BELOW_PCT = 1.2, 5.0, 1.0


class Told(NamedTuple):
    at: float
    figures: dict[str, float]


class Tried:
    """By link, as it was asked for."""

    def __init__(self) -> None:
        self._told: dict[LinkKey, dict[str, Told]] = {}  # by what told it

    def experiment(self, at: float, record: ExperimentRecord) -> None:
        if record.state != "done":
            return
        figures = {name: float(value) for name, value in record.figures.items() if value is not None}
        self._add(LinkKey(record.src, record.dst, record.path), record.kind, Told(at, figures))

    def burst(self, at: float, record: BurstRecord) -> None:
        if record.state != "done":
            return
        reverse = bool(record.requested.get("reverse"))
        src, dst = (record.dst, record.src) if reverse else (record.src, record.dst)
        figures = dict(_of_burst(record))
        kind = "udp" if record.requested.get("udp") else f"tcp {record.streams}"
        self._add(LinkKey(src, dst, record.path), kind, Told(at, figures))

    def _add(self, link: LinkKey, kind: str, told: Told) -> None:
        self._told.setdefault(link, {})[kind] = told

    def links(self, now: float) -> set[LinkKey]:
        """Of which something is known."""
        return {link for link, told in self._told.items() if any(now - each.at <= FRESH_S for each in told.values())}

    def of(self, link: LinkKey, now: float) -> dict[str, float]:
        told = self._told.get(link)
        if not told:
            return {}
        figures: dict[str, float] = {}
        for each in sorted(told.values(), key=lambda each: each.at):
            if now - each.at <= FRESH_S:
                figures.update(each.figures)
        return figures


def _of_burst(record: BurstRecord) -> Iterator[tuple[str, float]]:
    if record.requested.get("udp"):
        if record.sender_bps and record.receiver_bps is not None:
            # At whatever rate it was sent: what exceeds a line's is lost on the best of them.
            yield "burst_offered_bps", record.sender_bps
            yield "burst_loss_pct", max(0.0, 100 * (1 - record.receiver_bps / record.sender_bps))
        return
    name = {1: "one", 8: "eight"}.get(record.streams, "tcp")
    if record.receiver_bps is not None:
        yield f"{name}_bps", record.receiver_bps
    if record.retransmits is not None and record.sent_bytes:
        yield f"{name}_retrans_pct", 100 * record.retransmits * _MSS / record.sent_bytes


def draw(link: LinkSignals) -> None:
    """What follows from what was tried, together with what is seen."""
    figures = dict(link.tried)
    link.loaded_ratio = loaded_ratio(figures)
    link.udp_policed = udp_policed(figures, link.goodput_bps)
    link.tried_size_ratio = _ratio(figures, "full_rtt_ms", "small_rtt_ms")
    link.tried_paths_ratio = _ratio(figures, "overlay_bps", "underlay_bps")


def _ratio(figures: dict[str, float], part: str, whole: str) -> float | None:
    return figures[part] / figures[whole] if part in figures and figures.get(whole) else None


def loaded_ratio(figures: dict[str, float]) -> float | None:
    """Ping under load against ping at rest."""
    idle, loaded = figures.get("idle_rtt_ms"), figures.get("loaded_rtt_ms")
    return loaded / idle if idle and loaded is not None else None


def udp_policed(figures: dict[str, float], goodput_bps: float | None) -> bool | None:
    """Whether UDP loses what exceeds the rate that TCP gets, and nothing below it. Loss by chance is the same at any
    rate. None where it was not tried, or not above that rate."""
    rate = figures.get("tcp_bps") or goodput_bps
    half, ramp = figures.get("udp_loss_pct"), figures.get("ramp_loss_pct")
    if half is not None and ramp is not None:
        return half < _BELOW_PCT and ramp > _ABOVE_PCT
    offered, loss = figures.get("burst_offered_bps"), figures.get("burst_loss_pct")
    if not offered or loss is None or not rate or offered < _ABOVE * rate:
        return None
    return abs(loss - 100 * (1 - rate / offered)) <= _NEAR_PCT
