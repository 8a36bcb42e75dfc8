"""What carries an overlay: which sockets are its tunnel's own, where its hub is, how those sockets fare.

A tunnel's sockets are those of the configured ports. Where none are configured they are found: connections between two
nodes' underlay addresses whose bytes follow those of the overlay's interface. Where the interface's bytes grow and no
such connection's do, the tunnel does not use TCP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshtop.engine.attribution import address_owners, canonical
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.verdicts.tally import ACKED, RECEIVED, RETRANS, SEGS, Group, NodeTally, total
from meshtop.model import LinkKey, Mesh, NodeName, PathName
from meshtop.readings import SocketId

_WINDOW_S = 20.0
# Less than this over the interface says nothing of what carries it: keep-alives and pings come to as much.
_TELLING_BYTES = 60_000
# Of the interface's bytes: the tunnel's own connections carry nearly all of them and some framing, or nearly nothing.
_CARRIES, _IDLE = 0.5, 0.2
# For a connection that nobody named: its bytes are the interface's, plus framing, minus what waits in the tunnel. What
# once followed is let go when it plainly does not any more.
_FOLLOWS, _STRAYS = (0.93, 1.4), (0.5, 2.0)
_FOLLOWS_BYTES = 200_000
_ENOUGH_SEGS = 50
# What was found out holds for a while: a tunnel that stands still carries nothing.
_REMEMBERED_S = 60.0
_STANDS_S = 1.0
_MOST_ADDRESSES = 4096
_UNKNOWN = ""

Side = tuple[str, str, int]  # ("peer" or "local", the peer's address or "", port)


class Outer(NamedTuple):
    """How the tunnel's own sockets on the way of a link fare; None: not known."""

    transport: str | None
    connections: int | None
    retrans_pct: float | None
    backoff: int | None
    notsent: int | None
    stalled: bool | None
    added_ms: float | None


class Tunnels:
    """Of the whole mesh."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._owners = address_owners(mesh)
        self._overlays = tuple(path.name for path in mesh.paths if path.kind == "overlay")
        self._underlays = frozenset(path.name for path in mesh.paths if path.kind == "underlay")
        self._unnamed = tuple(p.name for p in mesh.paths if p.kind == "overlay" and not p.outer_ports)
        self._found: dict[tuple[NodeName, PathName], frozenset[SocketId]] = {}
        self._transport: dict[tuple[NodeName, PathName], tuple[str, float]] = {}
        self._sockets: dict[tuple[NodeName, PathName], dict[SocketId, tuple[Group, NodeName | None]]] = {}
        self._node_of: dict[tuple[str, NodeName], NodeName | None] = {}
        self._at: dict[NodeName, float] = {}
        self._moved: dict[NodeName, Mapping[SocketId, int]] = {}  # bytes of each connection on underlays
        self.hubs: dict[PathName, NodeName] = {}

    # ── Finding out ──

    def look(self, now: float, records: Mapping[NodeName, NodeRecord], tallies: Mapping[NodeName, NodeTally]) -> None:
        """Once an evaluation, of all nodes with fresh samples."""
        self._sockets.clear()
        self._moved = {name: _bytes_moved(tally) for name, tally in tallies.items()}
        for path in self._unnamed:
            self._find(path, records, tallies)
        self._at = {name: tally.at for name, tally in tallies.items() if tally.at is not None}
        for name, tally in tallies.items():
            record = records[name]
            if tally.at is None:
                continue
            for path in self._overlays:
                self._sockets[name, path] = self._of(name, path, tally)
                self._tell_transport(name, path, now, record, tally, tally.at)
        for path in self._overlays:
            hub = self._hub(path)
            if hub is not None:
                self.hubs[path] = hub

    def _of(self, name: NodeName, path: PathName, tally: NodeTally) -> dict[SocketId, tuple[Group, NodeName | None]]:
        sockets: dict[SocketId, tuple[Group, NodeName | None]] = {}
        for id_, group in tally.tunnels.items():
            if tally.service(id_) == path:
                sockets[id_] = (group, self._node_at(id_.peer, name))
        for id_ in self._found.get((name, path), ()):
            known = tally.outer.get(id_)
            if known is not None:
                sockets[id_] = (known, self._node_at(id_.peer, name))
        return sockets

    def _node_at(self, address: str, here: NodeName) -> NodeName | None:
        known = self._node_of.get((address, here), _UNKNOWN)
        if known is _UNKNOWN:
            if len(self._node_of) > _MOST_ADDRESSES:
                self._node_of.clear()
            known = self._node_of[address, here] = self._look_up(address, here)
        return known

    def _look_up(self, address: str, here: NodeName) -> NodeName | None:
        nodes = {node for node, path in self._owners.get(canonical(address), ()) if path in self._underlays}
        nodes.discard(here)
        return nodes.pop() if len(nodes) == 1 else None

    def _find(
        self, path: PathName, records: Mapping[NodeName, NodeRecord], tallies: Mapping[NodeName, NodeTally]
    ) -> None:
        """Connections that nobody named, by their bytes. One that carries as much by chance does so at one end: a
        tunnel's are seen to follow at both, where both ends carry anything."""
        likely: dict[NodeName, tuple[SocketId, ...]] = {}
        for name, tally in tallies.items():
            moved = self._moved[name]
            carried = _interface_bytes(records[name], path, tally.at or 0.0)
            known = tuple(id_ for id_ in self._found.get((name, path), ()) if id_ in tally.outer)
            if carried is not None and carried >= _FOLLOWS_BYTES:
                if not _within(sum(moved.get(id_, 0) for id_ in known), carried, _STRAYS):
                    known = ()
                likely[name] = _following(tally, moved, carried)
            self._found[name, path] = frozenset(known)
        ends = {id_[:4] for ids in likely.values() for id_ in ids}
        for name, ids in likely.items():
            seen = any((id_.peer, id_.peer_port, id_.local, id_.local_port) in ends for id_ in ids)
            unseen = all(self._node_at(id_.peer, name) not in likely for id_ in ids)
            if ids and (seen or unseen) and len(ids) >= len(self._found[name, path]):
                self._found[name, path] = frozenset(ids)

    def _tell_transport(
        self, name: NodeName, path: PathName, now: float, record: NodeRecord, tally: NodeTally, at: float
    ) -> None:
        known = self._transport.get((name, path))
        if known is not None and now - known[1] > _REMEMBERED_S:
            del self._transport[name, path]
        carried = _interface_bytes(record, path, at)
        if carried is None or carried < _TELLING_BYTES:
            return
        share = sum(_bytes(group, at) for group, _ in self._sockets[name, path].values()) / carried
        if share >= _CARRIES:
            self._transport[name, path] = ("tcp", now)
        elif share <= _IDLE and not (path in self._unnamed and _might_carry(self._moved[name], carried)):
            self._transport[name, path] = ("udp", now)

    def _hub(self, path: PathName) -> NodeName | None:
        """The node that the tunnels of all others lead to."""
        peers = [
            {peer for _, peer in sockets.values() if peer is not None}
            for (_, of), sockets in self._sockets.items()
            if of == path and sockets
        ]
        ends = [node for each in peers if len(each) == 1 for node in each]
        return ends[0] if len(ends) >= 2 and len(set(ends)) == 1 else None

    # ── Reading ──

    def outer(self, link: LinkKey) -> Outer | None:
        """Of the sockets that send what goes over that link: ours to its end or the hub, and the hub's to its end."""
        if link.path not in self._overlays:
            return None
        transport = self._transport.get((link.src, link.path))
        if transport is None:
            transport = self._transport.get((link.dst, link.path))
        ours = self._leg(link.src, link.dst, link.path)
        hub = self.hubs.get(link.path)
        first, second = ours, list[tuple[Group, float]]()
        if not ours and hub is not None and hub not in (link.src, link.dst):
            first, second = self._leg(link.src, hub, link.path), self._leg(hub, link.dst, link.path)
        kind = transport[0] if transport is not None else None
        if not first and not second:
            return Outer(kind, None, None, None, None, None, None)
        return _fare([*first, *second], kind, len(first) or len(second))

    def _leg(self, src: NodeName, dst: NodeName, path: PathName) -> list[tuple[Group, float]]:
        at = self._at.get(src)
        if at is None:
            return []
        return [(group, at) for group, peer in self._sockets.get((src, path), {}).values() if peer == dst]

    def flows(self, link: LinkKey) -> int:
        """How many of the connections on an underlay's link are a tunnel's own."""
        if link.path not in self._underlays:
            return 0
        return sum(len(self._leg(link.src, link.dst, path)) for path in self._overlays)

    def legs(self, link: LinkKey) -> tuple[tuple[NodeName, NodeName], ...]:
        """The pairs whose underlay carries that link."""
        hub = self.hubs.get(link.path)
        if hub is None or hub in (link.src, link.dst):
            return ((link.src, link.dst),)
        return ((link.src, hub), (hub, link.dst))


def _fare(groups: Iterable[tuple[Group, float]], transport: str | None, connections: int | None) -> Outer:
    segs = retrans = notsent = backoff = 0
    stalled = False
    added: list[float] = []
    for group, at in groups:
        cells = group.since(at - _WINDOW_S)
        segs += total(cells, SEGS)
        retrans += total(cells, RETRANS)
        for reading in group.sockets.values():
            notsent += reading.notsent or 0
            backoff = max(backoff, reading.backoff or 0)
            waits = bool(reading.unacked) and (reading.lastack_ms or 0) > 1000 * _STANDS_S
            stalled = stalled or (waits and (reading.backoff or 0) > 0)
            if reading.srtt_ms is not None and reading.minrtt_ms:
                added.append(reading.srtt_ms - reading.minrtt_ms)
    return Outer(
        transport=transport,
        connections=connections,
        retrans_pct=100 * retrans / segs if segs >= _ENOUGH_SEGS else None,
        backoff=backoff,
        notsent=notsent,
        stalled=stalled,
        added_ms=max(added, default=None),
    )


def _bytes_moved(tally: NodeTally) -> Mapping[SocketId, int]:
    """Bytes of the connections on underlays; most stand still and are left out."""
    at = tally.at or 0.0
    return {id_: _bytes(group, at) for id_, group in tally.outer.items() if not group.still(at - _WINDOW_S)}


def _following(tally: NodeTally, moved: Mapping[SocketId, int], carried: int) -> tuple[SocketId, ...]:
    """The connections that together moved what the interface carried: put together by the port that they have in
    common, as a tunnel may have several, and a hub has those of all the others."""
    sides: dict[Side, list[SocketId]] = {}
    for id_ in tally.outer:
        sides.setdefault(("peer", id_.peer, id_.peer_port), []).append(id_)
        sides.setdefault(("local", "", id_.local_port), []).append(id_)
    found: tuple[SocketId, ...] = ()
    for ids in sides.values():
        if len(ids) > len(found) and _within(sum([moved.get(id_, 0) for id_ in ids]), carried, _FOLLOWS):
            found = tuple(ids)
    return found


def _might_carry(moved: Mapping[SocketId, int], carried: int) -> bool:
    """Whether TCP below moved enough that a tunnel could be among it."""
    return sum(moved.values()) > _IDLE * carried


def _within(moved: int, carried: int, bounds: tuple[float, float]) -> bool:
    return bounds[0] * carried <= moved <= bounds[1] * carried


def _bytes(group: Group, now: float) -> int:
    cells = group.since(now - _WINDOW_S)
    return total(cells, ACKED) + total(cells, RECEIVED)


def _interface_bytes(record: NodeRecord, path: PathName, now: float) -> int | None:
    """What the interface with that path's address carried, both ways."""
    name = interface(record, path)
    if name is None:
        return None
    moved = 0
    for measured in record.measured.between(now - _WINDOW_S, now):
        devices = measured.counters.devices
        if devices is None:
            return None
        delta = devices.get(name)
        if delta is not None:
            moved += delta.rx_bytes + delta.tx_bytes
    return moved


def interface(record: NodeRecord, path: PathName) -> str | None:
    """The interface that has the node's address on that path; behind one-to-one NAT none has."""
    address = record.node.address.get(path)
    if address is None or record.info.addresses is None:
        return None
    wanted = canonical(address)
    return next((name for name, owned in record.info.addresses if canonical(owned) == wanted), None)
