"""The probe as the operator sees it: what it shall measure on a node, how it is started, what it can be told.

``probe.sh`` and ``probe.awk`` are what runs there; docs/frames.md is what comes back. Every value that reaches the node
is made here out of addresses, numbers and our own texts, never out of a string from outside.
"""

from __future__ import annotations

import re
import secrets
import shlex
from functools import cache
from importlib.resources import files
from ipaddress import IPv6Address, ip_address

from meshtop.agent.script import COMMAND
from meshtop.model import Mesh, Node, Value

RENEW_EVERY_S = 15.0  # five renewals may be lost before the lease runs out
LEASE_S = 75.0  # with the polling of the node's keeper (4 s) well within 90 s
POLL_S = 4.0  # how often the keeper looks whether the others live: an orphan is gone within 5 s
BEAT_S = 10.0
RARE_BEAT_S = 60.0
RETRY_S = 20.0  # until a ping that ended is tried again
KEY_FRAME_S = 60.0  # a recording that is opened in the middle shows nothing for longer than this
MAX_SOCKETS = 4000  # with about 700 bytes each, a key frame stays within framing.MAX_FRAME
MIN_INTERVAL_S = 0.1
MAX_INTERVAL_S = 60.0

SMALL_PAYLOAD = 56  # ping's own default; VPNs that favour small ICMP let it pass ahead of bulk
FULL_PAYLOAD = 1200  # goes the way of bulk data, and under every sane MTU
PROBE_SHARE = 0.01  # of the nominal line, in either direction
PROBE_HEADERS = 28  # bytes beside the payload: IPv4 and ICMP; IPv6 has 20 more
TUNNEL_HEADERS = 60  # what an overlay adds at most: an outer IPv4 and UDP header, its own, an inner Ethernet header
MAX_PROBES_PER_S = 10.0  # one probe costs the node 0.4 ms of CPU: the pings stay under half a percent of a core
MAX_PINGS = 128  # processes


class PingPlan(Value, frozen=True, kw_only=True):
    """One ping process: ``payload_bytes`` to ``target`` each ``interval_s``, begun ``delay_s`` after the probe."""

    target: str
    payload_bytes: int
    interval_s: float
    delay_s: float = 0.0


class ProbePlan(Value, frozen=True, kw_only=True):
    """What one node's probe does. ``addresses`` and ``ports`` are the filter of ``ss``: sockets with that peer address,
    or with that port at either end. ``services``: ports of which it tells whether somebody listens on them."""

    interval_s: float = 1.0
    burst_interval_s: float = 0.2
    pings: tuple[PingPlan, ...] = ()
    addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    services: tuple[int, ...] = ()
    beat_s: float = BEAT_S
    rare_beat_s: float = RARE_BEAT_S
    key_frame_s: float = KEY_FRAME_S
    retry_s: float = RETRY_S
    lease_s: float = LEASE_S
    poll_s: float = POLL_S
    max_sockets: int = MAX_SOCKETS


def plan_for(mesh: Mesh, node_name: str) -> ProbePlan:
    """What the node of that name measures. Raises KeyError for a name that the mesh does not have."""
    node = next((node for node in mesh.nodes if node.name == node_name), None)
    if node is None:
        raise KeyError(node_name)
    others = [other for other in mesh.nodes if other.name != node_name]
    addresses = {address: None for other in others for address in other.address.values()}
    services = {
        port: None for watch in mesh.watches if not watch.nodes or node_name in watch.nodes for port in watch.ports
    }
    ports = {port: None for path in mesh.paths for port in path.outer_ports} | services
    return ProbePlan(
        interval_s=mesh.interval_s,
        burst_interval_s=mesh.burst_interval_s,
        pings=_pings(mesh, node),
        addresses=tuple(addresses),
        ports=tuple(ports),
        services=tuple(services),
    )


def _targets(mesh: Mesh, node: Node) -> list[tuple[Node, str]]:
    """The peers that ``node`` pings and at which address: all, on every path that both are on and the peer is reachable
    by, beginning with the next in the file's order, so that where not all can be pinged each pair still is by one."""
    at = mesh.nodes.index(node)
    peers = mesh.nodes[at + 1 :] + mesh.nodes[:at]
    return [
        (peer, peer.address[path.name])
        for peer in peers
        for path in mesh.paths
        if path.name in node.address and path.name in peer.address and path.name not in peer.nat
    ]


def unpinged(mesh: Mesh) -> tuple[int, int]:
    """How many links of a large mesh no ping is sent on, and how many there could be."""
    ways = [len(_targets(mesh, node)) for node in mesh.nodes]
    return sum(max(0, count - MAX_PINGS) for count in ways), sum(ways)


def _slowings(mesh: Mesh) -> dict[str, float]:
    """By what factor each node's probing must be slower than configured.

    Its own probes and its answers to the others' go out by the same line, and as many come in; so both directions carry
    the sum. A pair goes at the pace of the slower of its two ends, so that neither line carries more than its share.
    """
    series = [(SMALL_PAYLOAD, mesh.ping_s), (FULL_PAYLOAD, mesh.ping_full_s)]
    target_rate = sum(1 / interval for _, interval in series)
    bps = dict.fromkeys((node.name for node in mesh.nodes), 0.0)
    rate = dict(bps)
    for path in mesh.paths:
        members = [node for node in mesh.nodes if path.name in node.address]
        reachable = {node.name for node in members if path.name not in node.nat}
        headers = PROBE_HEADERS + (TUNNEL_HEADERS if path.kind == "overlay" else 0)
        if any(":" in node.address[path.name] for node in members):
            headers += 20
        pair_bps = sum(8 * (payload + headers) / interval for payload, interval in series)
        for node in members:
            own = len(reachable - {node.name})
            foreign = len(members) - 1 if node.name in reachable else 0
            bps[node.name] += (own + foreign) * pair_bps
            rate[node.name] += own * target_rate
    slowings = {}
    for node in mesh.nodes:
        lines = [line for line in (node.up_bps, node.down_bps) if line]
        by_line = bps[node.name] / (PROBE_SHARE * min(lines)) if lines else 0.0
        slowings[node.name] = max(1.0, by_line, rate[node.name] / MAX_PROBES_PER_S)
    return slowings


def _pings(mesh: Mesh, node: Node) -> tuple[PingPlan, ...]:
    slowings = _slowings(mesh)
    targets = _targets(mesh, node)[:MAX_PINGS]
    series = [(SMALL_PAYLOAD, mesh.ping_s)]
    if 2 * len(targets) <= MAX_PINGS:
        series.append((FULL_PAYLOAD, mesh.ping_full_s))
    pings = []
    for payload, base_s in series:
        for index, (peer, address) in enumerate(targets):
            factor = max(slowings[node.name], slowings[peer.name])
            # Rounded up to tenths: a ping that takes whole seconds only rounds up once more.
            interval_s = -(-round(base_s * factor * 1000) // 100) / 10
            # The series of a size follow each other evenly instead of all at once.
            delay_s = round(interval_s * index / len(targets), 2)
            pings.append(PingPlan(target=address, payload_bytes=payload, interval_s=interval_s, delay_s=delay_s))
    return tuple(pings)


def bootstrap(plan: ProbePlan) -> tuple[str, bytes]:
    """The command line for the login shell, and what to write to its standard input first. What is written afterwards
    are control lines."""
    return COMMAND, _preamble(plan) + _scripts() + b"#go\n"


def renew_lease() -> bytes:
    """To be written each :data:`RENEW_EVERY_S`, or the probe ends itself after ``lease_s``."""
    return b"k\n"


def set_interval(s: float) -> bytes:
    """Sample at this interval from now on. Raises ValueError outside of 0.1 to 60 s."""
    return f"i {_hundredths(_checked_interval(s))}\n".encode()


def request_key_frame() -> bytes:
    """Let the next frame be a whole one, as after damage."""
    return b"f\n"


_PORT_MAX = 65535


def _hundredths(s: float) -> int:
    return round(s * 100)


def _checked_interval(s: float) -> float:
    if not MIN_INTERVAL_S <= s <= MAX_INTERVAL_S:
        raise ValueError(f"an interval of {s} s is outside of {MIN_INTERVAL_S} to {MAX_INTERVAL_S} s")
    return s


def _filter(plan: ProbePlan) -> str:
    """Only ``or``, so no brackets are needed. Raises ValueError for what is no address or port."""
    terms = []
    for text in plan.addresses:
        address = ip_address(text)
        terms.append(f"dst [{address}]" if isinstance(address, IPv6Address) else f"dst {address}")
    for port in plan.ports:
        terms.append(f"sport = :{_checked_port(port)} or dport = :{port}")
    return " or ".join(terms)


def _checked_port(port: int) -> int:
    if not 0 < port <= _PORT_MAX:
        raise ValueError(f"{port} is not a port")
    return port


def _ping_list(plan: ProbePlan) -> str:
    """``number/target/payload/interval/delay`` for each, apart by blanks. Raises ValueError."""
    return " ".join(
        f"{number}/{ip_address(ping.target)}/{ping.payload_bytes:d}/{_hundredths(ping.interval_s)}"
        f"/{_hundredths(ping.delay_s)}"
        for number, ping in enumerate(plan.pings)
    )


def _preamble(plan: ProbePlan) -> bytes:
    values = {
        "MT_PROBE": secrets.token_hex(8),
        "MT_INTERVAL": str(_hundredths(_checked_interval(plan.interval_s))),
        "MT_RETRY": str(_hundredths(plan.retry_s)),
        "MT_LEASE": str(_hundredths(plan.lease_s)),
        "MT_POLL": str(_hundredths(plan.poll_s)),
        "MT_BEAT": str(_hundredths(plan.beat_s)),
        "MT_RARE": str(_hundredths(plan.rare_beat_s)),
        "MT_KEY": str(_hundredths(plan.key_frame_s)),
        "MT_MOST": f"{plan.max_sockets:d}",
        "MT_FILTER": _filter(plan),
        "MT_SERVICES": " or ".join(f"sport = :{_checked_port(port)}" for port in plan.services),
        "MT_PINGS": _ping_list(plan),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode()


@cache
def _scripts() -> bytes:
    """probe.awk as a shell variable, then probe.sh; both without their comments, as each byte is read singly."""
    folder = files("meshtop.agent")
    awk = _without_comments((folder / "probe.awk").read_text("utf-8"))
    sh = _without_comments((folder / "probe.sh").read_text("utf-8"))
    return f"MT_AWK={shlex.quote(awk)}\n{sh}".encode()


def _without_comments(text: str) -> str:
    return re.sub(r"^\s+", "", re.sub(r"^\s*(#.*)?\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)
