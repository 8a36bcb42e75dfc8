"""What ``agent/survey.sh`` says of a node: its tools, addresses, interfaces, tunnels and clock.

Read for it: iproute2's ``ip -d -o link``, ``ip -o addr``, ``ip -o route`` and ``ss -Htanp``; where there is no ``ip``,
``/sys/class/net`` and ``/proc/net/fib_trie``, ``route``, ``if_inet6`` (proc(5), Documentation/ABI/testing/
sysfs-class-net); os-release(5). Whatever is damaged is left out: a survey has no line that another depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from meshtop.model import Value
from meshtop.parse.text import clean
from meshtop.parse.versions import parse_iperf3_version, parse_ping_version, parse_ss_version

MAX_NAME = 40
_MARK = "#mt "
_PID = re.compile(r'\("((?:[^"\\]|\\.){0,64})",pid=(\d{1,10})')
_LINK = re.compile(r"\d{1,9}: ([^:@\s]{1,64})(?:@[^:\s]{1,64})?: <([A-Z,_-]*)> mtu (\d{1,6})")
_MASTER = re.compile(r" master (\S{1,64})")
_ADDRESS = re.compile(
    r"\d{1,9}:\s+(\S{1,64})\s+inet6?\s+([0-9a-fA-F:.]{2,45})(?: peer [0-9a-fA-F:.]{2,45})?/?(\d{1,3})?\b"
)
_DEFAULT = re.compile(r"default .*\bdev (\S{1,64})")
# The word by which `ip -d link` begins what it says of a kind of interface (iproute2, ip/iplink_*.c).
_KINDS = frozenset(
    [
        *(
            "wireguard",
            "vxlan",
            "geneve",
            "gretap",
            "ip6gretap",
            "gre",
            "ip6gre",
            "ipip",
            "sit",
            "ip6tnl",
            "vti",
            "vti6",
        ),
        *("xfrm", "bareudp", "l2tp", "bridge", "bond", "team", "veth", "vlan", "macvlan", "macvtap", "ipvlan", "dummy"),
        *("ifb", "vrf", "tun"),
    ]
)
_ARPHRD = {"772": "loopback", "768": "ipip", "776": "sit", "778": "gre", "823": "ip6gre", "769": "ip6tnl"}


class Interface(Value, frozen=True, kw_only=True):
    """``kind``: as ``ip -d link`` calls it (tun, tap, wireguard, vxlan, bridge, …), ``ether`` for what it says nothing
    of. ``addresses``: canonical, with the length of their prefix (None: not known), without link-local ones."""

    name: str
    kind: str = "ether"
    up: bool = True
    mtu: int | None = None
    master: str | None = None  # the bridge or bond that it is a port of
    addresses: tuple[tuple[str, int | None], ...] = ()


class OwnSocket(Value, frozen=True, kw_only=True):
    """A socket and who has it. ``peer`` is None for one that listens."""

    protocol: str  # tcp or udp
    process: str
    pid: int
    local: str
    port: int
    peer: str | None = None
    peer_port: int | None = None


class TunHolder(Value, frozen=True, kw_only=True):
    """The process that carries a TUN or TAP device."""

    device: str
    pid: int
    process: str


class NodeSurvey(Value, frozen=True, kw_only=True):
    """One node. None is *not known*. ``tools``: what it said of itself, empty for a tool that is there and says nothing
    of its version. ``own_pings``: by payload in bytes, whether the node may ping itself and what was said."""

    whole: bool = False  # the survey ran to its end
    uid: int | None = None
    user: str | None = None
    kernel: str | None = None
    host: str | None = None
    system: str | None = None
    shell: str | None = None
    wall_s: float | None = None
    ssh_local: str | None = None  # the address of the node's own end of the SSH connection
    tools: Mapping[str, str] = {}
    ss: str | None = None
    ping: str | None = None
    iperf3: str | None = None
    ss_complaint: str | None = None  # why ss cannot do what the probe asks of it
    own_pings: Mapping[int, tuple[bool, str]] = {}
    listening: tuple[int, ...] = ()  # TCP ports, of any address
    interfaces: tuple[Interface, ...] = ()
    default_devices: tuple[str, ...] = ()
    sockets: tuple[OwnSocket, ...] = ()
    tuns: tuple[TunHolder, ...] = ()
    wireguard_ports: Mapping[str, int] = {}

    @property
    def addresses(self) -> frozenset[str]:
        """All of its own."""
        return frozenset(address for interface in self.interfaces for address, _ in interface.addresses)

    def interface(self, name: str) -> Interface | None:
        return next((each for each in self.interfaces if each.name == name), None)

    def owner_of(self, address: str) -> Interface | None:
        return next((each for each in self.interfaces if address in {own for own, _ in each.addresses}), None)


def parts_of(lines: Sequence[str]) -> dict[str, list[str]]:
    """The survey by its ``#mt`` lines."""
    parts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith(_MARK):
            current = parts.setdefault(line.removeprefix(_MARK).strip(), [])
        elif line.strip():
            current.append(line)
    return parts


def parse_survey(lines: Sequence[str]) -> NodeSurvey:
    """Raises nothing: what cannot be read is not known."""
    parts = parts_of(lines)
    tools = {
        name.removeprefix("tool "): " ".join(clean(line, 120) for line in said)
        for name, said in parts.items()
        if name.startswith("tool ")
    }
    who = [clean(line, MAX_NAME) for line in parts.get("who", [])]
    return NodeSurvey(
        whole="end" in parts,
        uid=_number(who[0]) if who else None,
        user=who[1] if len(who) > 1 else None,
        kernel=_first(parts, "kernel"),
        host=_first(parts, "host"),
        system=(_first(parts, "system") or "").strip("\"'") or None,
        shell=_first(parts, "shell"),
        wall_s=_seconds(_first(parts, "wall")),
        ssh_local=_ssh_local(_first(parts, "ssh")),
        tools=tools,
        ss=parse_ss_version(tools.get("ss", "")),
        ping=parse_ping_version(tools.get("ping", "")),
        iperf3=parse_iperf3_version(tools.get("iperf3", "")),
        ss_complaint=_ss_complaint(parts),
        own_pings=dict(_own_pings(parts)),
        listening=tuple(sorted({port for port in map(_hex_port, parts.get("listening", [])) if port})),
        interfaces=_interfaces(parts),
        default_devices=_default_devices(parts),
        sockets=(*_sockets(parts.get("tcp", []), "tcp"), *_sockets(parts.get("udp", []), "udp")),
        tuns=tuple(_tuns(parts.get("tun", []))),
        wireguard_ports=dict(_wireguard_ports(parts.get("wg", []))),
    )


def canonical(text: str) -> str | None:
    """An address in canonical form, ``::ffff:a.b.c.d`` as ``a.b.c.d``; None for what is none."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _first(parts: Mapping[str, list[str]], name: str) -> str | None:
    found = parts.get(name)
    return (clean(found[0], 100) or None) if found else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None


def _seconds(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,12}(?:\.\d{1,9})?", text, re.ASCII) else None


def _ssh_local(text: str | None) -> str | None:
    words = (text or "").split()
    return canonical(words[2]) if len(words) == 4 else None


def _ss_complaint(parts: Mapping[str, list[str]]) -> str | None:
    """None as well where there is no ss."""
    lines = [clean(line, 120) for line in parts.get("ss-answers", [])]
    if not lines or lines[-1] == "status 0":
        return None
    said = "; ".join(line for line in lines if not line.startswith("status "))
    return said or f"it ends with {lines[-1]}"


def _own_pings(parts: Mapping[str, list[str]]) -> Iterator[tuple[int, tuple[bool, str]]]:
    for name, lines in parts.items():
        size = _number(name.removeprefix("ping ")) if name.startswith("ping ") else None
        if size is None:
            continue
        answered = any(" bytes from " in line for line in lines)
        complaints = [clean(line, 160) for line in lines if re.match(r"\S{0,40}ping6?\S{0,20}: ", line)]
        yield size, (answered, "; ".join(complaints) or clean(lines[-1], 160) if lines else "")


def _hex_port(text: str) -> int | None:
    return int(text, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,4}", text.strip()) else None


# ── Interfaces ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _interfaces(parts: Mapping[str, list[str]]) -> tuple[Interface, ...]:
    if "link" in parts:
        addresses: dict[str, list[tuple[str, int | None]]] = {}
        for line in parts.get("addr", []):
            found = _ADDRESS.match(line)
            if found:
                _keep(addresses, found[1], found[2], _number(found[3] or ""))
        return tuple(_with(each, addresses) for each in map(_linked, parts["link"]) if each is not None)
    known = [each for each in map(_from_sysfs, parts.get("sysfs", [])) if each is not None]
    addresses = _addresses_without_ip(parts)
    names = {each.name for each in known}
    nameless = {name: own for name, own in addresses.items() if name not in names}
    extra = [Interface(name=name, addresses=tuple(own)) for name, own in nameless.items()]
    return (*(_with(each, addresses) for each in known), *extra)


def _with(interface: Interface, addresses: Mapping[str, list[tuple[str, int | None]]]) -> Interface:
    return Interface(
        name=clean(interface.name, MAX_NAME),
        kind=interface.kind,
        up=interface.up,
        mtu=interface.mtu,
        master=interface.master,
        addresses=tuple(addresses.get(interface.name, ())),
    )


def _keep(into: dict[str, list[tuple[str, int | None]]], name: str, text: str, prefix: int | None) -> None:
    address = canonical(text)
    if address is None:
        return
    parsed = ip_address(address)
    if not (parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified):
        into.setdefault(name.partition("@")[0], []).append((address, prefix))


def _linked(line: str) -> Interface | None:
    found = _LINK.match(line)
    if found is None:
        return None
    name, flags, mtu = found.groups()
    return Interface(
        name=name,
        kind=_kind(line, flags),
        up="UP" in flags.split(","),
        mtu=int(mtu),
        master=clean(master[1], MAX_NAME) if (master := _MASTER.search(line)) else None,
    )


def _kind(line: str, flags: str) -> str:
    if "LOOPBACK" in flags:
        return "loopback"
    for part in line.split("\\")[2:]:
        words = part.split()
        if words and words[0] in _KINDS:
            return words[2] if words[0] == "tun" and words[1:2] == ["type"] and len(words) > 2 else words[0]
    return "ether"


def _from_sysfs(line: str) -> Interface | None:
    name, *words = line.split()
    values = dict(word.partition("=")[::2] for word in words)
    if not name or "type" not in values:
        return None
    flags = values.get("tun", "-")
    if re.fullmatch(r"0x[0-9a-fA-F]{1,8}", flags):
        kind = "tap" if int(flags, 16) & 0x2 else "tun"  # IFF_TAP (include/uapi/linux/if_tun.h)
    elif values.get("devtype", "-") != "-":
        kind = clean(values["devtype"], 20)
    else:
        kind = _ARPHRD.get(values["type"], "ether")
    return Interface(
        name=name,
        kind=kind,
        up=values.get("state") != "down",
        mtu=_number(values.get("mtu", "")),
        master=None if values.get("master", "-") == "-" else clean(values["master"], MAX_NAME),
    )


def _addresses_without_ip(parts: Mapping[str, list[str]]) -> dict[str, list[tuple[str, int | None]]]:
    """fib_trie has the addresses, route the interface of the network that each is in."""
    networks = []
    for line in parts.get("route4", []):
        words = line.split()
        if len(words) > 7 and re.fullmatch(r"[0-9A-F]{8}", words[1]) and re.fullmatch(r"[0-9A-F]{8}", words[7]):
            base, mask = (int.from_bytes(bytes.fromhex(word)[::-1], "big") for word in (words[1], words[7]))
            if mask:
                networks.append((mask, base, words[0]))
    networks.sort(reverse=True)
    found: dict[str, list[tuple[str, int | None]]] = {}
    for text in parts.get("local4", []):
        address = canonical(text.strip())
        if address is None or ":" in address:
            continue
        number = int(IPv4Address(address))
        mask, _, name = next((each for each in networks if number & each[0] == each[1]), (0, 0, "?"))
        _keep(found, name, address, mask.bit_count() or None)
    for line in parts.get("local6", []):
        words = line.split()
        if len(words) == 6 and re.fullmatch(r"[0-9a-f]{32}", words[0]):
            _keep(found, words[5], str(IPv6Address(bytes.fromhex(words[0]))), int(words[2], 16))
    return found


def _default_devices(parts: Mapping[str, list[str]]) -> tuple[str, ...]:
    found = [match[1] for match in map(_DEFAULT.match, parts.get("route", [])) if match]
    for line in parts.get("route4", []):
        words = line.split()
        if len(words) > 7 and words[1] == words[7] == "00000000":
            found.append(words[0])
    return tuple(dict.fromkeys(clean(name, MAX_NAME) for name in found))


# ── Sockets and who has them ─────────────────────────────────────────────────────────────────────────────────────────


def _sockets(lines: Sequence[str], protocol: str) -> Iterator[OwnSocket]:
    for line in lines:
        words = line.split(None, 5)
        owner = _PID.search(line)
        if len(words) < 6 or owner is None:
            continue
        local, peer = _endpoint(words[3]), _endpoint(words[4])
        if local is None or local[1] is None:
            continue
        yield OwnSocket(
            protocol=protocol,
            process=clean(owner[1], MAX_NAME),
            pid=int(owner[2]),
            local=local[0],
            port=local[1],
            peer=peer[0] if peer and peer[1] is not None else None,
            peer_port=peer[1] if peer else None,
        )


def _endpoint(text: str) -> tuple[str, int | None] | None:
    address, _, port = text.rpartition(":")
    if address == "*":
        return "*", _number(port)
    found = canonical(address)
    return None if found is None else (found, _number(port))


def _tuns(lines: Sequence[str]) -> Iterator[TunHolder]:
    for line in lines:
        words = line.split(None, 2)
        if len(words) == 3 and words[1].isdigit():
            yield TunHolder(device=clean(words[0], MAX_NAME), pid=int(words[1]), process=clean(words[2], MAX_NAME))


def _wireguard_ports(lines: Sequence[str]) -> Iterator[tuple[str, int]]:
    for line in lines:
        words = line.split()
        port = _number(words[1]) if len(words) == 2 else None
        if port:
            yield clean(words[0], MAX_NAME), port
