"""The flows that share a line with a burst: what they did before it, and what they get while it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshtop.burst import Bystander
from meshtop.engine.burst_meter import Meter, Metered
from meshtop.engine.burst_open import Flow, OpenBurst, Quiet
from meshtop.engine.nodes import NodeRecord
from meshtop.model import NodeName

MOST_BYSTANDERS = 32
# A rate over less says nothing of what a flow does.
_LEAST_BEFORE_S = 0.5

Meters = Mapping[NodeName, Meter]


def _sharing(burst: OpenBurst, meters: Meters) -> Iterator[tuple[Flow, Metered]]:
    """Flows that send over the sender's line, or into the receiver's."""
    for name, meter in meters.items():
        for socket, metered in meter.sockets():
            link = metered.link
            shares = name == burst.sender or (link is not None and link.dst == burst.receiver)
            if shares and not burst.is_own(name, socket):
                yield (name, socket), metered


def standing(burst: OpenBurst, meters: Meters, began: float) -> dict[Flow, int]:
    """The flows that are there when it begins, with the bytes that they have sent."""
    there = ((flow, each.stood(began)) for flow, each in _sharing(burst, meters) if not each.is_gone(began))
    return {flow: point.acked for flow, point in there if point is not None}


def quiet(burst: OpenBurst, meters: Meters, after: float, upto: float) -> Quiet:
    """What flows of both ends' lines did between these moments."""
    ends = (burst.record.src, burst.record.dst)
    rates = {
        (name, socket): _rate(meter, metered, after, upto)
        for name, meter in meters.items()
        for socket, metered in meter.sockets()
        if not burst.is_own(name, socket) and (name in ends or (metered.link is not None and metered.link.dst in ends))
    }
    return Quiet(after, upto, rates)


def _rate(meter: Meter, metered: Metered, after: float, upto: float) -> float | None:
    after = max(after, meter.first_at or upto)
    if not metered.born:
        after = max(after, metered.points[0].at)
    moved = metered.moved(after, upto) if upto - after >= _LEAST_BEFORE_S else None
    return 8 * moved[0] / (upto - after) if moved is not None else None


def bystanders(
    burst: OpenBurst, meters: Meters, nodes: Mapping[NodeName, NodeRecord], now: float
) -> tuple[Bystander, ...]:
    """The flows beside it that send, the fastest first."""
    began = burst.began_at or now
    seconds = min(now, burst.ended_at or now) - began
    found: list[Bystander] = []
    for flow, metered in _sharing(burst, meters):
        stood = burst.beside.get(flow)
        if stood is None and (metered.points[0].at <= began or not metered.born):
            continue  # it was over before
        name, socket = flow
        before_bps = burst.quiet.rates.get(flow)
        sent = metered.points[-1].acked - (stood or 0)
        if sent <= 0 and not before_bps:
            continue
        link = metered.link
        each = Bystander(
            src=name,
            dst=link.dst if link is not None else None,
            path=link.path if link is not None else None,
            flow={
                "local": _end(socket.local, socket.local_port),
                "peer": _end(socket.peer, socket.peer_port),
                "process": nodes[name].process_of(metered.inode),
            },
            bps_before=round(before_bps) if before_bps is not None else None,
            bps_during=round(8 * max(0, sent) / seconds) if seconds > 0 else None,
        )
        found.append(each)
    found.sort(key=lambda each: -max(each.bps_before or 0.0, each.bps_during or 0.0))
    return tuple(found[:MOST_BYSTANDERS])


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
