"""Load on demand: what is asked, what it will cost, how far it is, what came of it. Nothing here sends anything.

A burst is one iperf3 test between two nodes. ``-n`` counts all streams together and ``-b`` each one, as in iperf3's
manual page; UDP without ``-b`` is 1 Mbit/s a stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import Literal

from meshtop import units
from meshtop.burst import (
    LEAST_LIMIT_S,
    BurstLimits,
    BurstPlan,
    BurstRecord,
    BurstRequest,
    BurstState,
    NodeLoad,
)
from meshtop.model import Mesh, Node, NodeName

MAX_STREAMS = 128  # iperf3's own limit
MAX_SECONDS = 86_400  # iperf3's own limit
# iperf3 has no larger one; below 88 the kernel refuses (net/ipv4/tcp.c, TCP_MIN_MSS)
MSS_BYTES = (88, 9216)
LIMIT_TIMES = 3.0
UDP_STREAM_BPS = 1_000_000  # iperf3's own default
# What every tunnel that carries IPv6 (minimum MTU 1280, RFC 8200) lets through with IP and UDP headers.
USUAL_DATAGRAM_BYTES = 1200
_UDP_HEADERS = {4: 28, 6: 48}
_CONGESTION = re.compile(r"[a-z0-9_-]{1,15}", re.ASCII)  # TCP_CA_NAME_MAX is 16 with its end


class BurstRefused(ValueError):
    """A burst that cannot be as it was asked. ``reason`` and ``cure`` are for the operator."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(f"{reason}; {cure}")
        self.reason = reason
        self.cure = cure


def check(request: BurstRequest, mesh: Mesh) -> None:
    """Raises BurstRefused for what no iperf3 could do."""
    names = [node.name for node in mesh.nodes]
    for name in (request.src, request.dst):
        if name not in names:
            raise BurstRefused(f"there is no node {name!r}", f"there are {', '.join(names)}")
    if request.src == request.dst:
        raise BurstRefused(f"{request.src} cannot send to itself", "name two nodes")
    paths = [path.name for path in mesh.paths]
    if request.path not in paths:
        raise BurstRefused(f"there is no path {request.path!r}", f"there are {', '.join(paths)}")
    _check_amount(request)
    _check_options(request)


def _check_amount(request: BurstRequest) -> None:
    if not 1 <= request.streams <= MAX_STREAMS:
        raise BurstRefused(f"{request.streams} streams cannot be", f"1 to {MAX_STREAMS} are possible")
    if (request.bytes is None) is (request.seconds is None):
        raise BurstRefused("a burst ends by size or by time", "give either -n or -t")
    if request.bytes is not None and request.bytes <= 0:
        raise BurstRefused("a burst of no bytes is none", "write a size such as 20M")
    if request.seconds is not None and not 1 <= request.seconds <= MAX_SECONDS:
        raise BurstRefused(f"{request.seconds} s cannot be", f"1 to {MAX_SECONDS} whole seconds are possible")


def _check_options(request: BurstRequest) -> None:
    if request.reverse and request.bidir:
        raise BurstRefused("both ways and the other way exclude each other", "choose one")
    if request.rate_bps is not None and request.rate_bps <= 0:
        raise BurstRefused("a rate of nothing sends nothing", "write a rate such as 10M")
    if request.mss is not None and not MSS_BYTES[0] <= request.mss <= MSS_BYTES[1]:
        raise BurstRefused(f"an MSS of {request.mss} cannot be", f"{MSS_BYTES[0]} to {MSS_BYTES[1]} are possible")
    if request.udp and (request.mss is not None or request.congestion is not None):
        raise BurstRefused("UDP has neither an MSS nor a congestion control", "leave them out")
    if request.congestion is not None and not _CONGESTION.fullmatch(request.congestion):
        raise BurstRefused(f"{request.congestion!r} is no congestion control", "write a name such as cubic")


def plan(
    request: BurstRequest,
    mesh: Mesh,
    limits: BurstLimits,
    loads: Mapping[NodeName, NodeLoad] | None = None,
    pmtu: int | None = None,
) -> BurstPlan:
    """Who serves, and what it will cost. ``loads`` is what the lines carry now, ``pmtu`` the path's where it is known.
    Raises BurstRefused."""
    check(request, mesh)
    nodes = {node.name: node for node in mesh.nodes}
    server, client = _roles(request, nodes)
    connect_to = nodes[server].address[request.path]
    rates = [
        share_bps(nodes[sender], nodes[receiver], request, loads or {}) for sender, receiver in _directions(request)
    ]
    predicted_bytes, predicted_s = _predict(request, rates)
    return BurstPlan(
        request=request,
        server=server,
        client=client,
        turned=server == request.src,
        connect_to=connect_to,
        datagram_bytes=_datagram_bytes(connect_to, pmtu) if request.udp else None,
        predicted_bytes=predicted_bytes,
        predicted_s=predicted_s,
        limit_s=max(LEAST_LIMIT_S, LIMIT_TIMES * (predicted_s or 0.0)),
        asks=_asks(predicted_bytes, predicted_s, limits),
    )


def _roles(request: BurstRequest, nodes: Mapping[NodeName, Node]) -> tuple[NodeName, NodeName]:
    """Server and client: the node that is dialled, unless only the other one can be."""
    for name in (request.src, request.dst):
        if request.path not in nodes[name].address:
            raise BurstRefused(
                f"{name} has no address on {request.path}", f"add it to [nodes.{name}] or take another path"
            )
    if request.path not in nodes[request.dst].nat:
        return request.dst, request.src
    if request.path not in nodes[request.src].nat:
        return request.src, request.dst
    raise BurstRefused(
        f"{request.src} and {request.dst} are both behind NAT on {request.path}: neither can connect to the other",
        "take another path",
    )


def _directions(request: BurstRequest) -> list[tuple[NodeName, NodeName]]:
    forward, back = (request.src, request.dst), (request.dst, request.src)
    if request.bidir:
        return [forward, back]
    return [back if request.reverse else forward]


def share_bps(sender: Node, receiver: Node, request: BurstRequest, loads: Mapping[NodeName, NodeLoad]) -> float | None:
    """What the burst will get of both lines: what they have left, or its share by number of flows where that is more.
    None where neither line's rate is known and no rate was asked for."""
    bounds: list[float] = []
    for line_bps, load in (
        (sender.up_bps, loads.get(sender.name, NodeLoad()).up),
        (receiver.down_bps, loads.get(receiver.name, NodeLoad()).down),
    ):
        if line_bps is not None:
            fair_bps = line_bps * request.streams / (request.streams + load.flows)
            bounds.append(max(line_bps - load.bps, fair_bps))
    wanted_bps = request.rate_bps or (UDP_STREAM_BPS if request.udp else None)
    if wanted_bps is not None:
        bounds.append(float(wanted_bps * request.streams))
    return min(bounds, default=None)


def _predict(request: BurstRequest, rates: Sequence[float | None]) -> tuple[int | None, float | None]:
    """Bytes in all directions together, and seconds."""
    known = [rate for rate in rates if rate is not None]
    complete = len(known) == len(rates)
    if request.bytes is not None:
        seconds = request.bytes * 8 / min(known) if complete else None
        return request.bytes * len(rates), seconds
    seconds = float(request.seconds or 0)
    return (round(sum(known) * seconds / 8) if complete else None), seconds


def _asks(predicted_bytes: int | None, predicted_s: float | None, limits: BurstLimits) -> tuple[str, ...]:
    asks = []
    if predicted_bytes is None or predicted_s is None:
        asks.append("the lines' rates are not known, so what it costs cannot be told")
    if predicted_bytes is not None and predicted_bytes > limits.max_bytes:
        most = units.format_bytes(limits.max_bytes)
        asks.append(f"it will send {units.format_bytes(predicted_bytes)}, more than [burst] max_bytes {most}")
    if predicted_s is not None and predicted_s > limits.max_time_s:
        most = units.format_duration(limits.max_time_s)
        asks.append(f"it will take {units.format_duration(predicted_s)}, more than [burst] max_time {most}")
    return tuple(asks)


def _datagram_bytes(address: str, pmtu: int | None) -> int:
    if pmtu is None:
        return USUAL_DATAGRAM_BYTES
    return max(64, pmtu - _UDP_HEADERS[ip_address(address).version])


# ── How far it is ────────────────────────────────────────────────────────────────────────────────────────────────────

BurstStep = Literal["begin", "load", "finish", "fail", "abort", "closed"]
Outcome = Literal["done", "failed", "aborted"]
OVER: frozenset[BurstState] = frozenset(("done", "failed", "aborted"))

# What has begun is always closed before it is over: no server may be left behind. ``closed`` leads to the outcome.
STEPS: Mapping[tuple[BurstState, BurstStep], BurstState] = {
    ("queued", "begin"): "starting",
    ("queued", "abort"): "aborted",
    ("queued", "fail"): "failed",
    ("starting", "load"): "running",
    ("starting", "finish"): "closing",  # so short that nothing was seen of it
    ("starting", "fail"): "closing",
    ("starting", "abort"): "closing",
    ("running", "finish"): "closing",
    ("running", "fail"): "closing",
    ("running", "abort"): "closing",
}
_OUTCOMES: Mapping[BurstStep, Outcome] = {"finish": "done", "fail": "failed", "abort": "aborted"}


class BurstCourse:
    """Where one burst is in the table. What came first decides how it ends; steps that are not in the table raise
    ValueError, but for those that come while it is closing: they change nothing."""

    def __init__(self) -> None:
        self.state: BurstState = "queued"
        self._outcome: Outcome | None = None

    def step(self, step: BurstStep) -> BurstState:
        if self.state == "closing" and step != "begin":
            if step == "closed":
                self.state = self._outcome or "failed"
            return self.state
        following = STEPS.get((self.state, step))
        if following is None:
            raise ValueError(f"a burst that is {self.state} cannot {step}")
        self.state = following
        self._outcome = _OUTCOMES.get(step)
        return following


def startable(waiting: Sequence[BurstPlan], running: Iterable[BurstPlan]) -> tuple[BurstPlan, ...]:
    """Those of the queue that may start: one burst on a node's line at a time, none overtakes another on its lines."""
    taken: set[NodeName] = set()
    for each in running:
        taken |= each.nodes
    free = []
    for each in waiting:
        if not each.nodes & taken:
            free.append(each)
        taken |= each.nodes
    return tuple(free)


# ── What came of it ──────────────────────────────────────────────────────────────────────────────────────────────────


def queued(identity: str, plan: BurstPlan) -> BurstRecord:
    """The record of a burst of which nothing has happened yet."""
    request = plan.request
    return BurstRecord(
        id=identity,
        src=request.src,
        dst=request.dst,
        path=request.path,
        client=plan.client,
        server=plan.server,
        connect_to=plan.connect_to,
        streams=request.streams,
        requested=request.asked(),
        predicted_s=None if plan.predicted_s is None else round(plan.predicted_s, 1),
        predicted_bytes=plan.predicted_bytes,
        state="queued",
    )
