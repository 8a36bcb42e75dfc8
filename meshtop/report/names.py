"""One name for each name, the same wherever it stands: what a redacted report says instead of the real ones.

Addresses become those that are set aside for documentation (RFC 5737, RFC 3849; beyond them RFC 2544), so that nobody
takes them for real ones. Ports, figures, times and versions stay: without them there is nothing to find out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from meshtop.model import Mesh, Node, Path, Watch

_V4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_V6 = re.compile(
    r"(?<![0-9A-Za-z:.])(?=[0-9a-fA-F:]*:[0-9a-fA-F:]*:)[0-9a-fA-F:]{2,39}(?:\.[0-9.]{3,12})?(?![0-9A-Za-z:])"
)
# Processes that are meshtop's own on a node. They tell nothing of who uses it.
OWN_PROCESSES = frozenset({"iperf3", "ping", "ss", "sshd", "awk", "sh"})
# Kinds of interfaces that help to see what is an overlay; what follows in the real name does not matter.
_INTERFACES = ("docker", "veth", "bond", "vlan", "eth", "tun", "tap", "ppp", "wg", "br", "en", "wl")
_SHORT = 3  # a name shorter than that is a word of many sentences, and tells nothing


class Names:
    def __init__(self) -> None:
        self._given: dict[tuple[str, str], str] = {}
        self._counts: dict[str, int] = {}
        self._v4, self._v6 = _documentation_v4(), _documentation_v6()
        self._words: list[tuple[str, str]] = []  # of meshes and sites, with what is said instead

    def learn(self, mesh: Mesh) -> None:
        """All names of a configuration, in its order."""
        for node in mesh.nodes:
            self.node(node.name)
            for address in node.address.values():
                self.address(address)
        for path in mesh.paths:
            self.path(path.name, path.kind)
        for watch in mesh.watches:
            self.watch(watch.name)
        self._words.append((mesh.name, "mesh"))
        self._words += [(node.label, "site") for node in mesh.nodes if node.label]

    # ── names by kind ────────────────────────────────────────────────────────────────────────────────────────────────

    def node(self, name: str) -> str:
        return self._name("node", name, lambda count: f"n{count}")

    def path(self, name: str, kind: str = "path") -> str:
        return self._name("path", name, lambda count: f"{kind}{count}")

    def watch(self, name: str) -> str:
        return self._name("watch", name, lambda count: f"watch{count}")

    def process(self, name: str) -> str:
        return name if name in OWN_PROCESSES else self._name("process", name, lambda count: f"proc{count}")

    def cgroup(self, name: str) -> str:
        return self._name("cgroup", name, lambda count: f"/cg{count}")

    def boot(self, name: str) -> str:
        return self._name("boot", name, lambda count: f"00000000-0000-4000-8000-{count:012x}")

    def user(self, uid: str) -> str:
        return uid if uid == "0" else self._name("uid", uid, lambda count: str(999 + count))

    def interface(self, name: str) -> str:
        if name == "lo":
            return name
        kind = next((kind for kind in _INTERFACES if name.startswith(kind)), "if")
        return self._name("interface", name, lambda count: f"{kind}{count}")

    def address(self, text: str) -> str:
        """Of an address without port or scope; what is none is returned as a name. Loopback and "any" stay."""
        try:
            parsed = ip_address(text)
        except ValueError:
            return self._name("host", text, lambda count: f"host{count}")
        if parsed.is_loopback or parsed.is_unspecified:
            return text
        mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
        if mapped is not None:
            return f"::ffff:{self.address(str(mapped))}"
        fresh = self._v4 if isinstance(parsed, IPv4Address) else self._v6
        return self._name("address", str(parsed), lambda _: next(fresh))

    def _name(self, kind: str, name: str, make: Callable[[int], str]) -> str:
        given = self._given.get((kind, name))
        if given is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            given = self._given[kind, name] = make(self._counts[kind])
        return given

    # ── what holds names ─────────────────────────────────────────────────────────────────────────────────────────────

    def endpoint(self, text: str) -> str:
        """``10.0.0.1:443``, ``[2001:db8::1]:443``, with or without ``%eth0``, as ss writes them."""
        host, colon, port = text.rpartition(":")
        if not colon:
            return self.address(text)
        bracketed = host.startswith("[") and "]" in host
        address = host[1:].partition("]")[0] if bracketed else host
        address, percent, scope = address.partition("%")
        outside = host.partition("]")[2] if bracketed else ""
        new = self.address(address) if address != "*" else "*"
        if percent:
            new += f"%{self.interface(scope)}"
        new = f"[{new}]" if bracketed else new
        if outside.startswith("%"):
            new += f"%{self.interface(outside[1:])}"
        return f"{new}:{port}"

    def text(self, text: str) -> str:
        """A sentence of meshtop's own: known names and all addresses in it replaced."""
        text = _V4.sub(lambda match: self._checked(match[0]), text)
        text = _V6.sub(lambda match: self._checked(match[0]), text)
        for real, given in self._replacements():
            if len(real) >= _SHORT:
                text = re.sub(re.escape(real), given, text, flags=re.IGNORECASE)
        for (kind, real), given in self._given.items():
            if kind == "node" and len(real) < _SHORT:
                word = re.escape(real)
                text = re.sub(rf"\b{word}(?=\s*(?:→|->))|(?<=→ ){word}\b|(?<=→){word}\b|\bon {word}\b", given, text)
        return text

    def _checked(self, text: str) -> str:
        try:
            ip_address(text)
        except ValueError:
            return text
        return self.address(text)

    def _replacements(self) -> list[tuple[str, str]]:
        """Longest first, so that no name is replaced within another."""
        kinds = ("node", "path", "watch", "process", "cgroup", "interface", "host")
        known = [(real, given) for (kind, real), given in self._given.items() if kind in kinds and real != given]
        return sorted(self._words + known, key=lambda pair: -len(pair[0]))

    def mesh(self, mesh: Mesh) -> Mesh:
        """The configuration, with the names of this."""
        self.learn(mesh)
        return Mesh(
            name="mesh",
            nodes=tuple(
                Node(
                    name=self.node(node.name),
                    address={self.path(path): self.address(address) for path, address in node.address.items()},
                    up_bps=node.up_bps,
                    down_bps=node.down_bps,
                    nat=tuple(self.path(path) for path in node.nat),
                )
                for node in mesh.nodes
            ),
            paths=tuple(
                Path(
                    name=self.path(path.name),
                    kind=path.kind,
                    outer_ports=path.outer_ports,
                    from_operator=path.from_operator,
                )
                for path in mesh.paths
            ),
            interval_s=mesh.interval_s,
            burst_interval_s=mesh.burst_interval_s,
            ping_s=mesh.ping_s,
            ping_full_s=mesh.ping_full_s,
            watches=tuple(
                Watch(name=self.watch(watch.name), ports=watch.ports, nodes=tuple(self.node(n) for n in watch.nodes))
                for watch in mesh.watches
            ),
            thresholds=mesh.thresholds,
        )


def _documentation_v4() -> Iterator[str]:
    for network in ("198.51.100.0/24", "203.0.113.0/24", "192.0.2.0/24", "198.18.0.0/15"):
        yield from (str(host) for host in ip_network(network).hosts())


def _documentation_v6() -> Iterator[str]:
    return (str(host) for host in ip_network("2001:db8::/64").hosts())
