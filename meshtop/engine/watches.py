"""What the snapshot says of the watched services of a node, hop by hop; and why of one it cannot say anything.

"No flows" is told only where flows would have been seen: the probe reads the sockets of its own network namespace, so
a port there that somebody listens on, or of which a flow was seen before, is in sight. A port with neither may well be
in use in a pod's namespace; that is not visible, never zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshtop.engine.attribution import Remote
from meshtop.engine.boots import Boot
from meshtop.engine.links import standstill
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import NodeState, WatchPeer, WatchView
from meshtop.engine.stallbook import StallRecord, cgroup_of
from meshtop.engine.waits import Waits
from meshtop.engine.watched import Moved
from meshtop.model import Watch
from meshtop.readings import SocketId, SocketReading

MOST_PEERS = 16
_MOST_OWNERS = 8


class Span(NamedTuple):
    """The window on the node's axis, and for how much of it sockets were followed."""

    after: float
    upto: float
    sockets_s: float


def watch_views(record: NodeRecord, span: Span, state: NodeState) -> tuple[WatchView, ...]:
    """All services that the configuration names for that node, seen or not, in its order."""
    watches = [watch for watch in record.mesh.watches if not watch.nodes or record.node.name in watch.nodes]
    return tuple(_view(record, watch, span, state) for watch in watches)


def _view(record: NodeRecord, watch: Watch, span: Span, state: NodeState) -> WatchView:
    waits = _waits(record)
    told = record.info.listening
    listening = any(port in told for port in watch.ports) if told is not None and state == "up" else None
    reason = _unseen(record, watch, state, waits, listening)
    if waits is None or record.boot is None or state != "up" or not record.boot.chains.sockets_known:
        return WatchView(name=watch.name, reason=reason, listening=listening)
    if reason is not None and not waits.watched.ever(watch.name) and not _trying(waits, watch.name):
        return WatchView(name=watch.name, reason=reason, listening=listening)
    return _seen(record, record.boot, waits, watch.name, span, reason, listening)


def _waits(record: NodeRecord) -> Waits | None:
    return record.boot.chains.waits if record.boot is not None else None


def _unseen(
    record: NodeRecord, watch: Watch, state: NodeState, waits: Waits | None, listening: bool | None
) -> str | None:
    """Why it is not visible; None where it is."""
    name = record.node.name
    if state != "up":
        return f"{name} is {state}"
    problem = record.stream.problems.get("ss") if record.stream is not None else None
    if problem:
        return f"sockets cannot be read on {name}: {problem}"
    if waits is None or record.boot is None or not record.boot.chains.sockets_known:
        return f"the sockets of {name} were not read yet"
    if not record.stalls_followed:
        return f"ss on {name} does not tell what was acknowledged: flows are counted, stalls are not seen"
    if listening or waits.watched.ever(watch.name) or _trying(waits, watch.name):
        return None
    ports = f"port{'s' if len(watch.ports) > 1 else ''} {', '.join(map(str, watch.ports))}"
    if listening is None:
        return f"no flow of {ports} was seen yet, and who listens on {name} is not known"
    return f"nobody listens on {ports} in this network namespace and no flow was seen: a pod's would be in another"


def _trying(waits: Waits, name: str) -> list[tuple[SocketId, float]]:
    trying = waits.connecting(waits.at_s or 0.0)
    return [(id_, age) for id_, age in trying if waits.watch_of(id_) == name]


def _seen(
    record: NodeRecord, boot: Boot, waits: Waits, name: str, span: Span, reason: str | None, listening: bool | None
) -> WatchView:
    flows = list(waits.watched.flows(name))
    stalls = [r for r in record.stalls.kept.overlapping(span.after, span.upto) if r.service.watch == name]
    offset_s = boot.clock.axis(0.0)
    moved = waits.watched.moved(name, span.after - offset_s, span.upto - offset_s) if span.sockets_s > 0 else {}
    trying = [age for _, age in _trying(waits, name)]
    crawling = sum(waits.watch_of(id_) == name for id_, _ in waits.crawls.now(waits.at_s or 0.0))
    followed = record.stalls_followed
    trouble = standstill(stalls, span.after, span.upto)
    peers = _peers(record, flows, stalls, moved, span, followed)
    return WatchView(
        name=name,
        visible=reason is None,
        reason=reason,
        listening=listening,
        flows=len(flows),
        stalls=trouble["stalls"] if followed else None,
        stalled_now=trouble["stalled_now"] if followed else None,
        longest_stall_s=trouble["longest_stall_s"] if followed else None,
        stalled_pct=trouble["stalled_pct"] if followed else None,
        crawling=crawling if followed else None,
        connecting=len(trying),
        connecting_oldest_s=round(max(trying), 3) if trying else None,
        tx_bps=_rate((step.acked for step in moved.values()), span) if followed else None,
        rx_bps=_rate((step.received for step in moved.values()), span) if followed else None,
        processes=_names(record.process_of(reading.inode) for _, reading in flows),
        cgroups=_names(cgroup_of(reading) for _, reading in flows),
        peers=peers[:MOST_PEERS],
        more_peers=len(peers) - len(peers[:MOST_PEERS]),
    )


def _rate(counts: Iterable[int], span: Span) -> float | None:
    return round(8 * sum(counts) / span.sockets_s, 3) if span.sockets_s > 0 else None


def _names(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))[:_MOST_OWNERS]


def _peers(
    record: NodeRecord,
    flows: list[tuple[Remote, SocketReading]],
    stalls: list[StallRecord],
    moved: Mapping[Remote, Moved],
    span: Span,
    followed: bool,
) -> tuple[WatchPeer, ...]:
    count: dict[Remote, int] = dict.fromkeys(moved, 0)
    for remote, _ in flows:
        count[remote] = count.get(remote, 0) + 1
    stood: dict[Remote, list[StallRecord]] = {}
    for stall in stalls:
        remote = record.services.remote(stall.key.socket)
        stood.setdefault(remote, []).append(stall)
        count.setdefault(remote, 0)
    peers = []
    for remote, open_flows in count.items():
        link = record.attribution.place(SocketId("", 0, remote.address, remote.port or 0, None)).link
        step = moved.get(remote, Moved(0, 0))
        trouble = standstill(stood.get(remote, ()), span.after, span.upto)
        peers.append(
            WatchPeer(
                address=remote.address,
                port=remote.port,
                dst=link.dst if link is not None else None,
                path=link.path if link is not None else None,
                flows=open_flows,
                stalls=trouble["stalls"] if followed else None,
                stalled_now=trouble["stalled_now"] if followed else None,
                longest_stall_s=trouble["longest_stall_s"] if followed else None,
                tx_bps=_rate((step.acked,), span) if followed else None,
                rx_bps=_rate((step.received,), span) if followed else None,
            )
        )
    return tuple(sorted(peers, key=_order))


def _order(peer: WatchPeer) -> tuple[float, ...]:
    traffic = (peer.tx_bps or 0.0) + (peer.rx_bps or 0.0)
    return (not peer.stalled_now, -(peer.stalls or 0), -traffic, -peer.flows)
