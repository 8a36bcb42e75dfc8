"""From the surveys of some nodes to the paths between them: overlays first, then the underlay that they run on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_interface, ip_network
from typing import Literal, NamedTuple

from meshtop.model import NodeName, PathName, Value
from meshtop.parse.survey import Interface, NodeSurvey
from meshtop.setup.interfaces import MANAGEMENT_NAMES, PUBLIC_NAMES, carrier, outer_sockets, use_of

UNDERLAY = "public"
_ROUTER_PORTS = 1024  # below: a server's own


class ProposedPath(Value, frozen=True, kw_only=True):
    """``address`` by node. ``why``: for a comment. ``behind_nat``: nodes that others do not get to there."""

    name: PathName
    kind: Literal["overlay", "underlay"]
    address: Mapping[NodeName, str]
    why: str
    interfaces: Mapping[NodeName, str] = {}
    outer_ports: tuple[int, ...] = ()
    from_operator: bool = True
    behind_nat: tuple[NodeName, ...] = ()
    notes: tuple[str, ...] = ()


class Host(Value, frozen=True, kw_only=True):
    """One machine that was reached. ``dialled``: the address at the far end of the SSH connection."""

    name: NodeName
    survey: NodeSurvey
    dialled: str | None = None


class _Found(NamedTuple):
    host: Host
    interface: Interface
    address: str
    prefix: int | None


def propose(hosts: Sequence[Host], operator_networks: Sequence[str] = ()) -> tuple[ProposedPath, ...]:
    """``operator_networks``: those that the operator's machine has an address in. Only paths that two nodes are on."""
    overlays = _overlays(hosts)
    underlay = _underlay(hosts)
    paths = [*overlays, *([underlay] if underlay is not None else [])]
    return tuple(_seen_by_operator(path, hosts, operator_networks) for path in paths)


# ── Overlays ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _overlays(hosts: Sequence[Host]) -> list[ProposedPath]:
    found = [each for host in hosts for each in _overlay_addresses(host)]
    groups: list[list[_Found]] = []
    for one in found:
        group = next((group for group in groups if any(_same_overlay(one, other) for other in group)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    shared = [group for group in groups if len({each.host.name for each in group}) > 1]
    shared.sort(key=lambda group: -len({each.host.name for each in group}))
    taken: set[str] = {UNDERLAY}
    return [_overlay(group, taken, hosts) for group in shared]


def _overlay_addresses(host: Host) -> Iterator[_Found]:
    for interface in host.survey.interfaces:
        if use_of(interface, host.survey) == "overlay":
            usable = sorted(interface.addresses, key=lambda each: ":" in each[0])  # IPv4 first
            for address, prefix in usable[:1]:
                yield _Found(host, interface, address, prefix)


def _same_overlay(one: _Found, other: _Found) -> bool:
    """In one network; where addresses stand for themselves alone (/32), of one kind and name."""
    if (":" in one.address) != (":" in other.address):
        return False
    for first, second in ((one, other), (other, one)):
        if first.prefix is not None:
            network = ip_interface(f"{first.address}/{first.prefix}").network
            if network.num_addresses > 1 and ip_address(second.address) in network:
                return True
    alone = all(each.prefix is None or each.prefix >= 32 for each in (one, other))
    return alone and one.interface.kind == other.interface.kind and _stem(one) == _stem(other)


def _stem(found: _Found) -> str:
    return re.sub(r"[0-9]+$", "", found.interface.name)


def _overlay(group: Sequence[_Found], taken: set[str], hosts: Sequence[Host]) -> ProposedPath:
    first = group[0]
    by_host: dict[NodeName, _Found] = {}
    for each in group:
        by_host.setdefault(each.host.name, each)
    name = unique(_path_name(first.interface), taken)
    tunnels = {process for each in group if (process := carrier(each.interface.name, each.host.survey)) is not None}
    kinds = sorted({each.interface.kind for each in group})
    why = f"{'/'.join(kinds)} {', '.join(sorted({each.interface.name for each in group}))}"
    if tunnels:
        why += f", carried by {', '.join(sorted(tunnels))}"
    return ProposedPath(
        name=name,
        kind="overlay",
        address={host: each.address for host, each in by_host.items()},
        interfaces={host: each.interface.name for host, each in by_host.items()},
        why=why,
        outer_ports=_outer_ports(group, hosts),
        notes=tuple(_wireguard_notes(group)),
    )


def _path_name(interface: Interface) -> str:
    if interface.kind == "wireguard":
        return "wg"
    for word, name in (("tailscale", "tailscale"), ("zt", "zerotier"), ("nebula", "nebula"), ("wt", "netbird")):
        if interface.name.startswith(word):
            return name
    return "vpn" if interface.kind in ("tun", "tap", "bridge") else interface.kind


def _outer_ports(group: Sequence[_Found], hosts: Sequence[Host]) -> tuple[int, ...]:
    """TCP ports of the tunnel's servers: to which its clients are connected."""
    listening: set[int] = set()
    dialled: set[int] = set()
    addresses = {
        address for host in hosts for address in (*host.survey.addresses, *([host.dialled] if host.dialled else []))
    }
    for each in group:
        for socket in outer_sockets(each.interface.name, each.host.survey):
            if socket.protocol != "tcp":
                continue
            if socket.peer_port is None:
                listening.add(socket.port)
            elif socket.peer in addresses or socket.peer_port < _ROUTER_PORTS:
                dialled.add(socket.peer_port)
    both = listening & dialled
    return tuple(sorted(both or {port for port in dialled if port < _ROUTER_PORTS}))


def _wireguard_notes(group: Sequence[_Found]) -> Iterator[str]:
    ports = {port for each in group if (port := each.host.survey.wireguard_ports.get(each.interface.name))}
    if ports:
        yield f"WireGuard on UDP {', '.join(map(str, sorted(ports)))}: it has no TCP sockets of its own to watch"


# ── The underlay ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _underlay(hosts: Sequence[Host]) -> ProposedPath | None:
    best = {host.name: found for host in hosts if (found := _best_underlay(host)) is not None}
    address = {name: found.address for name, found in best.items()}
    notes = []
    for host in hosts:
        if _behind_one_to_one_nat(host, address.get(host.name)):
            assert host.dialled is not None  # noqa: S101  # what was just asked
            address[host.name] = host.dialled
            notes.append(f"{host.name} does not own {host.dialled}: one-to-one NAT, as this machine dials it")
    if len(address) < 2:
        return None
    names = sorted({found.interface.name for found in best.values()})
    return ProposedPath(
        name=UNDERLAY,
        kind="underlay",
        address=address,
        interfaces={name: found.interface.name for name, found in best.items()},
        why=", ".join(names),
        notes=tuple(notes),
    )


def _best_underlay(host: Host) -> _Found | None:
    survey = host.survey
    outer = {
        socket.local
        for tun in survey.tuns
        for socket in outer_sockets(tun.device, survey)
        if socket.peer is not None and use_of_device(tun.device, survey) == "overlay"
    }
    best: tuple[int, _Found] | None = None
    for interface in survey.interfaces:
        if use_of(interface, survey) != "underlay" or interface.master:
            continue
        for address, prefix in interface.addresses:
            score = _underlay_score(host, interface, address) + (6 if address in outer else 0)
            if best is None or score > best[0]:
                best = (score, _Found(host, interface, address, prefix))
    return best[1] if best is not None else None


def use_of_device(device: str, survey: NodeSurvey) -> str:
    interface = survey.interface(device)
    return "nothing" if interface is None else use_of(interface, survey)


def _underlay_score(host: Host, interface: Interface, address: str) -> int:
    score = 4 if ip_address(address).is_global else 0
    score += 3 if interface.name in host.survey.default_devices else 0
    score += 3 if PUBLIC_NAMES.match(interface.name) else 0
    score -= 3 if MANAGEMENT_NAMES.match(interface.name) else 0
    score += 2 if address in (host.dialled, host.survey.ssh_local) else 0
    return score - (1 if ":" in address else 0)


def _behind_one_to_one_nat(host: Host, own: str | None) -> bool:
    dialled = host.dialled
    if dialled is None or dialled in host.survey.addresses or not ip_address(dialled).is_global:
        return False
    return own is None or not ip_address(own).is_global


# ── What was tried ───────────────────────────────────────────────────────────────────────────────────────────────────


def with_reached(path: ProposedPath, reached: Mapping[NodeName, bool | None], hosts: Sequence[Host]) -> ProposedPath:
    """``reached``: whether others got an answer from a node there; None: nobody could try."""
    lost = tuple(name for name in path.address if reached.get(name) is False)
    if not lost:
        return path
    if len(lost) == len(path.address):
        note = "no node got an answer from another there: meshtop doctor says why"
        return _changed(path, notes=(*path.notes, note))
    if path.kind == "overlay":
        return _changed(path, notes=(*path.notes, f"no answer from {', '.join(lost)}: meshtop doctor says why"))
    seen = _seen_from_outside(path, hosts)
    address = {name: its for name, its in path.address.items() if name not in lost}
    notes = list(path.notes)
    if seen is not None:
        address |= dict.fromkeys(lost, seen)
        notes.append(f"{', '.join(lost)}: nobody gets there, but they are seen as {seen}: behind NAT")
    else:
        notes.append(f"{', '.join(lost)}: nobody gets there; taken to be behind NAT")
    return _changed(path, address=address, behind_nat=lost, notes=tuple(notes))


def _seen_from_outside(path: ProposedPath, hosts: Sequence[Host]) -> str | None:
    """The one address from which tunnels come that no node owns."""
    owned = {address for host in hosts for address in host.survey.addresses} | {
        host.dialled for host in hosts if host.dialled
    }
    strangers = {
        socket.peer
        for host in hosts
        for tun in host.survey.tuns
        for socket in outer_sockets(tun.device, host.survey)
        if socket.peer is not None and socket.peer != "*" and socket.peer not in owned
    }
    strangers = {each for each in strangers if not ip_address(each).is_loopback}
    return strangers.pop() if len(strangers) == 1 else None


def _seen_by_operator(path: ProposedPath, hosts: Sequence[Host], networks: Sequence[str]) -> ProposedPath:
    """Whether the operator's own pings make sense there."""
    known = [ip_network(network, strict=False) for network in networks]
    dialled = {host.dialled for host in hosts}
    on_it = any(
        ip_address(address).is_global or address in dialled or any(ip_address(address) in network for network in known)
        for address in path.address.values()
    )
    return _changed(path, from_operator=on_it)


def _changed(path: ProposedPath, **changes: object) -> ProposedPath:
    values = {field: getattr(path, field) for field in path.__struct_fields__}
    return ProposedPath(**{**values, **changes})


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def name_for(text: str) -> str:
    """A name of the configuration (up to 16 of ``A-Za-z0-9._-``, a letter or digit first) from a host's name."""
    short = text if re.fullmatch(r"[0-9.]+|.*:.*", text) else text.split(".")[0]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", short).strip("-._")[:16].rstrip("-._")
    return cleaned if re.match(r"[A-Za-z0-9]", cleaned) else "node"


def unique(name: str, taken: set[str]) -> str:
    """``name``, or with a number behind it; then taken as well."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name[: 16 - len(str(number))]}{number}"
    taken.add(found)
    return found
