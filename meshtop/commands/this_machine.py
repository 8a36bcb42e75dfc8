"""The operator's machine as an end of a burst where it is no node of the mesh: ``meshtop burst local a``.

It is added as a node of the name "local" that nobody can connect to, so that it is always the client: a laptop is
behind NAT or a firewall as a rule, and nothing is lost where it is not, since iperf3 can send either way.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable

import click
import msgspec

from meshtop.config import LOCAL, MeshConfig
from meshtop.model import Node, PathName

_ANY_PORT = 9  # nothing is sent: the kernel is only asked which address it would send from


def with_this_machine(config: MeshConfig, ends: Iterable[str]) -> tuple[MeshConfig, tuple[str, ...]]:
    """The configuration in which every end is a node, and the names of the ends there. Raises a usage error where this
    machine has no route to the other end."""
    names = tuple(ends)
    known = {node.name for node in config.mesh.nodes}
    if LOCAL not in names or LOCAL in known:
        return config, names
    same = [name for name, target in config.targets.items() if target == LOCAL]
    if same:
        return config, tuple(same[0] if name == LOCAL else name for name in names)
    others = [node for node in config.mesh.nodes if node.name in names]
    reachable = {path.name for path in config.mesh.paths if path.from_operator}
    here = Node(
        name=LOCAL,
        address={path: own for node in others for path, own in _own_addresses(node, reachable).items()},
        nat=tuple(path.name for path in config.mesh.paths),
    )
    if others and not here.address:
        raise click.UsageError(f"this machine has no route to any address of {others[0].name}")
    mesh = msgspec.structs.replace(config.mesh, nodes=(*config.mesh.nodes, here))
    return msgspec.structs.replace(config, mesh=mesh, targets={**config.targets, LOCAL: LOCAL}), names


def _own_addresses(node: Node, paths: Collection[PathName]) -> dict[PathName, str]:
    """By path, the address from which this machine would reach that node."""
    found = {}
    for path, address in node.address.items():
        if path not in paths:
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as asking:
                asking.connect((address, _ANY_PORT))
                found[path] = str(asking.getsockname()[0])
        except OSError:
            continue
    return found
