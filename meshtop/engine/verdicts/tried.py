"""What experiments and bursts have told of a link, as figures by name. What was tried long ago is no evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshtop.burst import BurstRecord
from meshtop.model import ExperimentRecord, LinkKey

# A line is as it was for some minutes; after that one has to try again.
FRESH_S = 600.0
_MSS = 1448  # of a segment on an ordinary path: retransmissions are counted in segments, what was sent in bytes
# Of what was offered above the rate: a loss that lies this close to 1 − rate/offered is a policer's.
_NEAR_PCT = 8.0


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
            yield "udp_offered_bps", record.sender_bps
            yield "udp_received_bps", record.receiver_bps
            yield "udp_loss_pct", max(0.0, 100 * (1 - record.receiver_bps / record.sender_bps))
        return
    name = {1: "one", 8: "eight"}.get(record.streams, "tcp")
    if record.receiver_bps is not None:
        yield f"{name}_bps", record.receiver_bps
    if record.retransmits is not None and record.sent_bytes:
        yield f"{name}_retrans_pct", 100 * record.retransmits * _MSS / record.sent_bytes


def loaded_ratio(figures: dict[str, float]) -> float | None:
    """Ping under load against ping at rest."""
    idle, loaded = figures.get("idle_rtt_ms"), figures.get("loaded_rtt_ms")
    return loaded / idle if idle and loaded is not None else None


def udp_policed(figures: dict[str, float], goodput_bps: float | None) -> bool | None:
    """Whether UDP lost what exceeds the rate that TCP gets, and no more; None where no more than that was offered."""
    kind = "ramp" if "ramp_loss_pct" in figures else "udp"  # an experiment also goes above TCP's rate, if there is room
    offered, received = figures.get(f"{kind}_offered_bps"), figures.get(f"{kind}_received_bps")
    loss = figures.get(f"{kind}_loss_pct")
    if not offered or loss is None:
        return None
    rate = received if goodput_bps is None else max(goodput_bps, received or 0.0)
    if rate is None or offered < 1.2 * rate:
        return None
    return abs(loss - 100 * (1 - rate / offered)) <= _NEAR_PCT
