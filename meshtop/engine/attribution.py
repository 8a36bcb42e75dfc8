"""Which link a socket belongs to: told by its peer's address, or not told at all.

A socket of src belongs to (src, dst, path) when its peer address is what others dial for dst on that path. An address
that stands for more than one node or path (several nodes behind one NAT) tells nothing, and nothing is guessed from it.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from meshtop.model import LinkKey, Mesh, Node, NodeName, PathName
from meshtop.readings import SocketId


class Place(NamedTuple):
    """``link`` None: of no link. ``unattributed``: it may well be traffic of the mesh, but of whom cannot be told."""

    link: LinkKey | None
    unattributed: bool


_ELSEWHERE = Place(None, False)
_UNATTRIBUTED = Place(None, True)

FourTuple = tuple[str, int, str, int]


class OwnConnections:
    """The TCP connections that meshtop itself made, as their ends see them: left out of every figure."""

    __slots__ = ("_of_node", "version")

    # A node has at most a draining and a fresh session; a few more cost nothing.
    _KEPT = 8

    def __init__(self) -> None:
        self._of_node: dict[NodeName, list[FourTuple]] = {}
        self.version = 0  # rises with every connection that was not known before

    def add(self, node: NodeName, connection: FourTuple) -> None:
        """``connection`` is local address and port, peer address and port, as ``node`` sees them."""
        local, local_port, peer, peer_port = connection
        connection = (canonical(local), local_port, canonical(peer), peer_port)
        known = self._of_node.setdefault(node, [])
        if connection not in known:
            known.append(connection)
            del known[: -self._KEPT]
            self.version += 1

    def __bool__(self) -> bool:
        return bool(self._of_node)

    def __contains__(self, socket: FourTuple) -> bool:
        other_end = (socket[2], socket[3], socket[0], socket[1])
        return any(socket in known or other_end in known for known in self._of_node.values())


class Attribution:
    """Of the sockets of one node. ``unattributed`` are those whose peer address is ambiguous, and those whose peer is
    nobody of the mesh although their *local* address is one that the mesh dials: somebody whom we cannot name (perhaps
    a node behind NAT) uses the path. All other sockets, such as those of watched ports elsewhere, are of no link."""

    def __init__(self, mesh: Mesh, src: NodeName, own: OwnConnections) -> None:
        self._src = src
        self.own = own
        self._owners = address_owners(mesh)
        self._local = frozenset(
            address for address, owners in self._owners.items() if any(node == src for node, _ in owners)
        )

    def place(self, socket: SocketId) -> Place:
        if socket[:4] in self.own:
            return _ELSEWHERE
        peer = canonical(socket.peer)
        owners = self._owners.get(peer)
        if owners is None:
            local = canonical(socket.local)
            return _UNATTRIBUTED if local in self._local and peer != local else _ELSEWHERE
        if len(owners) > 1:
            return _UNATTRIBUTED
        dst, path = owners[0]
        return Place(LinkKey(self._src, dst, path), False) if dst != self._src else _ELSEWHERE


class Service(NamedTuple):
    """What a socket belongs to beside its link: a watched service by name; an overlay, if it is one of the sockets that
    the overlay's tunnel itself uses (``peer``: the node at its other end, where that can be told; ``dials``: our end
    opened it)."""

    watch: str | None = None
    tunnel: PathName | None = None
    peer: NodeName | None = None
    dials: bool = False


class Remote(NamedTuple):
    """The other end of a watched service's flows. ``port`` is told where the service is there; None where it is here,
    and clients come from any port."""

    address: str
    port: int | None


class Services:
    """Tells the services of one node's sockets by their ports."""

    def __init__(self, mesh: Mesh, node: NodeName) -> None:
        self._watch = {
            port: watch.name
            for watch in reversed(mesh.watches)  # the first that names a port has it
            if not watch.nodes or node in watch.nodes
            for port in watch.ports
        }
        self._tunnel = {port: path.name for path in mesh.paths for port in path.outer_ports}
        self._owners = address_owners(mesh)

    def remote(self, socket: SocketId) -> Remote:
        return Remote(canonical(socket.peer), socket.peer_port if socket.peer_port in self._watch else None)

    def of(self, socket: SocketId) -> Service:
        watch = self._watch.get(socket.peer_port) or self._watch.get(socket.local_port)
        dials = socket.peer_port in self._tunnel
        tunnel = self._tunnel.get(socket.peer_port) or self._tunnel.get(socket.local_port)
        if tunnel is None:
            return Service(watch) if watch is not None else _NO_SERVICE
        owners = self._owners.get(canonical(socket.peer), ())
        if any(path == tunnel for _, path in owners):
            return Service(watch)  # a service of the same port, within the overlay
        nodes = {name for name, _ in owners}
        return Service(watch, tunnel, nodes.pop() if len(nodes) == 1 else None, dials)


_NO_SERVICE = Service()


def address_owners(mesh: Mesh) -> dict[str, tuple[tuple[NodeName, str], ...]]:
    """For each configured address the (node, path) pairs that it stands for."""
    owners: dict[str, tuple[tuple[NodeName, str], ...]] = {}
    for node in mesh.nodes:
        for path, address in node.address.items():
            key = canonical(address)
            owners[key] = (*owners.get(key, ()), (node.name, path))
    return owners


@lru_cache(maxsize=8192)
def canonical(address: str) -> str:
    """The one spelling of an IP address, with mapped IPv4 as IPv4; what is no address stays as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    mapped = parsed.ipv4_mapped if parsed.version == 6 else None
    return str(mapped or parsed)


def is_attributable(mesh: Mesh, dst: Node, path: str) -> bool:
    """Whether a socket to dst on that path can be told from others: dst has an address there that is its alone."""
    address = dst.address.get(path)
    return address is not None and len(address_owners(mesh)[canonical(address)]) == 1


def obstacle(mesh: Mesh, src: Node, dst: Node, path: str) -> str | None:
    """Why src cannot probe dst on that path whatever the network does, in words; None if it can."""
    address = dst.address.get(path)
    if path not in src.address and path not in src.nat:
        return f"{src.name} has no address on {path}"
    if address is None:
        return f"{dst.name} has no address on {path}"
    if path in dst.nat:
        return f"{dst.name} is behind NAT on {path}: others cannot reach it there"
    others = [
        f"{name} on {other_path}"
        for name, other_path in address_owners(mesh)[canonical(address)]
        if (name, other_path) != (dst.name, path)
    ]
    return f"{address} is also the address of {others[0]}: what answers there cannot be told" if others else None
