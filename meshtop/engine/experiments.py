"""Experiments: what each of them sends at most, and what its figures say. Nothing here sends anything.

They settle what looking on cannot: two causes that give the same picture (docs/findings.md). What an experiment sends
is bounded by time and by bytes, and told before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from meshtop import units
from meshtop.burst import BurstRequest
from meshtop.model import ExperimentKind, Mesh, Node, Path, Value
from meshtop.requests import RunExperiment

KINDS: tuple[ExperimentKind, ...] = ExperimentKind.__args__  # type: ignore[attr-defined]  # the words of the Literal
# They load no line for seconds: what is tried where nothing is known to be wrong.
CHEAP: tuple[ExperimentKind, ...] = ("probe-sizes", "pmtu-sweep", "paths")

# Slow start is over and a retransmission time-out or two would show; what counts is seen ten times at two a second.
BURST_S = 5
# A burst that stalls is ended by its own limit; a look at how long it may take has to count on some of that.
_SLACK_S = 5
# Of all streams together, so that a fast line is not filled with hundreds of megabytes: 25 MB in five seconds. The
# troubles that are looked for are those of lines up to this; on faster ones it is the rate that a burst is held to.
MOST_BPS = 40_000_000
STREAMS = 4  # enough that one loss does not decide
MANY = 8
CLAMPED_MSS = 1200  # gets through every tunnel that carries IPv6's minimum of 1280 bytes

SMALL_BYTES, FULL_BYTES = 56, 1200  # payloads: those of the probes (stalls.md's two sizes)
PINGS = 10
PING_EVERY_S = 0.3  # ordinary users may ping five times a second

# UDP at half of TCP's rate is lost only where packets are lost whatever the rate is; at four thirds of it, what
# exceeds a policer's rate.
UDP_SHARE, UDP_RAMP = 0.5, 4 / 3
# Above what TCP got there has to be room on the line, or what is lost is what any full line loses.
_LINE_SHARE, _ROOM = 0.95, 1.15
LEAST_UDP_BPS = 100_000  # TCP that got nothing through still leaves something to be asked


class BurstStep(Value, frozen=True, kw_only=True):
    """One burst of an experiment. ``names``: which figure is the rate that was received, which the retransmissions."""

    request: BurstRequest
    bps: str
    retrans_pct: str | None = None


class ExperimentPlan(Value, frozen=True, kw_only=True):
    """What an experiment will send: ``bytes`` and ``seconds`` at most, ``sends`` the same in words. ``target`` is the
    address that is pinged, None where nothing is."""

    kind: ExperimentKind
    src: str
    dst: str
    path: str
    target: str | None
    bursts: tuple[BurstStep, ...]
    bytes: int
    seconds: int
    sends: str
    line_bps: int | None = None  # the nominal rate of the slower of both lines


def plan(command: RunExperiment, mesh: Mesh) -> ExperimentPlan:
    """Raises ValueError with plain words for what cannot be done."""
    nodes, paths = _checked(command, mesh)
    src, dst = nodes[command.src], nodes[command.dst]
    steps = _STEPS[command.kind](command, src, dst, paths)
    target = dst.address[command.path] if command.kind in _PINGS else None
    if target is not None and command.path in dst.nat:
        raise ValueError(f"nobody can reach {dst.name} on {command.path}: try it from {dst.name} to {src.name}")
    ping_bytes, ping_s, ping_words = _PINGS.get(command.kind, (0, 0, ""))
    most = ping_bytes + sum(_most_bytes(step.request, nodes) for step in steps)
    seconds = ping_s + sum(_most_s(step.request) for step in steps)
    return ExperimentPlan(
        kind=command.kind,
        src=command.src,
        dst=command.dst,
        path=command.path,
        target=target,
        bursts=tuple(steps),
        bytes=most,
        seconds=seconds,
        sends=_in_words(ping_words, steps, most, seconds),
        line_bps=min([rate for rate in (src.up_bps, dst.down_bps) if rate is not None], default=None),
    )


def _checked(command: RunExperiment, mesh: Mesh) -> tuple[Mapping[str, Node], Mapping[str, Path]]:
    """Raises ValueError."""
    nodes, paths = {node.name: node for node in mesh.nodes}, {path.name: path for path in mesh.paths}
    if command.kind not in KINDS:
        raise ValueError(f"there is no experiment {command.kind!r}; there are {', '.join(KINDS)}")
    for name in (command.src, command.dst):
        if name not in nodes:
            raise ValueError(f"there is no node {name!r}; there are {', '.join(nodes)}")
        if command.path in paths and command.path not in nodes[name].address:
            raise ValueError(f"{name} has no address on {command.path}; add it to [nodes.{name}]")
    if command.src == command.dst:
        raise ValueError(f"{command.src} is one node; name two")
    if command.path not in paths:
        raise ValueError(f"there is no path {command.path!r}; there are {', '.join(paths)}")
    return nodes, paths


# ── The bursts of each ───────────────────────────────────────────────────────────────────────────────────────────────

Steps = Callable[[RunExperiment, Node, Node, Mapping[str, Path]], list[BurstStep]]


def _burst(src: Node, dst: Node, path: str, streams: int, mss: int | None = None) -> BurstRequest:
    rates = [rate for rate in (src.up_bps, dst.down_bps) if rate is not None]
    held = None if rates and min(rates) <= MOST_BPS else MOST_BPS // streams
    return BurstRequest(src=src.name, dst=dst.name, path=path, streams=streams, seconds=BURST_S, rate_bps=held, mss=mss)


def udp_burst(tcp: BurstRequest, rate_bps: float) -> BurstRequest:
    """One stream of UDP at that rate, instead of a burst of TCP."""
    rate = round(min(MOST_BPS, max(LEAST_UDP_BPS, rate_bps)))
    return BurstRequest(src=tcp.src, dst=tcp.dst, path=tcp.path, streams=1, seconds=BURST_S, rate_bps=rate, udp=True)


def ramp_bps(tcp_bps: float, plan: ExperimentPlan) -> float | None:
    """The rate of the second burst of UDP; None where TCP has filled the line already and it would tell nothing."""
    most = min(UDP_RAMP * tcp_bps, plan.line_bps * _LINE_SHARE if plan.line_bps else math.inf, MOST_BPS)
    return most if most >= _ROOM * tcp_bps else None


def _none(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    return []


def _loaded(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    return [BurstStep(request=_burst(src, dst, command.path, STREAMS), bps="load_bps", retrans_pct="load_retrans_pct")]


def _tcp_udp(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    """The rates of the two UDP bursts follow TCP's; here they stand at the most that they may be."""
    tcp = _burst(src, dst, command.path, STREAMS)
    most = min([rate for rate in (src.up_bps, dst.down_bps, MOST_BPS) if rate is not None])
    return [
        BurstStep(request=tcp, bps="tcp_bps", retrans_pct="tcp_retrans_pct"),
        BurstStep(request=udp_burst(tcp, most * UDP_SHARE), bps="udp_received_bps"),
        BurstStep(request=udp_burst(tcp, most * UDP_RAMP), bps="ramp_received_bps"),
    ]


def _streams(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    return [
        BurstStep(request=_burst(src, dst, command.path, 1), bps="one_bps", retrans_pct="one_retrans_pct"),
        BurstStep(request=_burst(src, dst, command.path, MANY), bps="eight_bps", retrans_pct="eight_retrans_pct"),
    ]


def _paths(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    """The path that was asked for, and the first one of the other kind that both are on."""
    chosen = paths[command.path]
    pair = {chosen.kind: chosen}
    for path in paths.values():
        if path.kind not in pair and path.name in src.address and path.name in dst.address:
            pair[path.kind] = path
    if len(pair) < 2:
        missing = "underlay" if chosen.kind == "overlay" else "overlay"
        raise ValueError(f"{src.name} and {dst.name} are on no {missing} together: there is nothing to compare with")
    kinds: tuple[Literal["overlay", "underlay"], ...] = ("overlay", "underlay")
    return [
        BurstStep(
            request=_burst(src, dst, pair[kind].name, STREAMS), bps=f"{kind}_bps", retrans_pct=f"{kind}_retrans_pct"
        )
        for kind in kinds
    ]


def _mss(command: RunExperiment, src: Node, dst: Node, paths: Mapping[str, Path]) -> list[BurstStep]:
    return [
        BurstStep(request=_burst(src, dst, command.path, STREAMS), bps="usual_bps"),
        BurstStep(request=_burst(src, dst, command.path, STREAMS, CLAMPED_MSS), bps="clamped_bps"),
    ]


_STEPS: Mapping[ExperimentKind, Steps] = {
    "pmtu-sweep": _none,
    "probe-sizes": _none,
    "loaded-ping": _loaded,
    "tcp-udp": _tcp_udp,
    "streams": _streams,
    "paths": _paths,
    "mss": _mss,
}
_BOTH_SIZES = PINGS * (SMALL_BYTES + FULL_BYTES + 2 * 28)
# Of the pings: bytes at most, seconds, words.
_PINGS: Mapping[ExperimentKind, tuple[int, int, str]] = {
    "pmtu-sweep": (200_000, 30, "pings of growing size that must not be fragmented"),
    "probe-sizes": (_BOTH_SIZES, 8, f"{PINGS} pings of {SMALL_BYTES} bytes and {PINGS} of {FULL_BYTES}"),
    "loaded-ping": (3 * _BOTH_SIZES, 8, f"pings of {SMALL_BYTES} and {FULL_BYTES} bytes, without load and under it"),
}


def _most_bytes(request: BurstRequest, nodes: Mapping[str, Node]) -> int:
    rates = [rate for rate in (nodes[request.src].up_bps, nodes[request.dst].down_bps) if rate is not None]
    if request.rate_bps is not None:
        rates.append(request.rate_bps * request.streams)
    return round(min(rates) * BURST_S / 8)


def _most_s(request: BurstRequest) -> int:
    return (request.seconds or 0) + _SLACK_S


def _in_words(pings: str, steps: Iterable[BurstStep], most: int, seconds: int) -> str:
    parts = [pings] if pings else []
    for step in steps:
        request = step.request
        what = "UDP" if request.udp else f"TCP by {request.streams} stream{'s' if request.streams > 1 else ''}"
        if request.mss is not None:
            what += f" with an MSS of {request.mss}"
        parts.append(f"{what} over {request.path} for {request.seconds} s")
    return f"{', then '.join(parts)}: at most {units.format_bytes(most)}B in about {seconds} s"


# ── The sweep for the path MTU ───────────────────────────────────────────────────────────────────────────────────────

IP_HEADERS = {4: 28, 6: 48}  # with ICMP's
LEAST_MTU = {4: 576, 6: 1280}  # RFC 791 (what every host takes), RFC 8200
_JUMBO = 9000
_USUAL = 1500
_A_ROUND = 8


class Sweep:
    """The largest IP packet that gets an answer, by rounds of sizes that are tried at the same time."""

    def __init__(self, version: int = 4) -> None:
        self.low = 0  # the largest that passed
        self.high: int | None = None  # the smallest above it that did not
        self._least = LEAST_MTU[version]
        self._begun = False

    def next_sizes(self) -> tuple[int, ...]:
        """Of the next round; none, and all is known that can be."""
        if not self._begun:
            self._begun = True
            return tuple(dict.fromkeys((self._least, 1280, 1350, 1400, 1420, 1450, 1480, _USUAL, _JUMBO)))
        if not self.low or self.high is None or self.high - self.low <= 1:
            return ()
        apart = self.high - self.low
        if apart <= _A_ROUND + 1:
            return tuple(range(self.low + 1, self.high))
        return tuple(self.low + apart * place // (_A_ROUND + 1) for place in range(1, _A_ROUND + 1))

    def told(self, mtus: Iterable[int]) -> None:
        """What the sender's own stack, or a router, said is the most that it takes."""
        for mtu in mtus:
            if mtu >= self.low and (self.high is None or mtu < self.high):
                self.high = mtu + 1

    def take(self, passed: Mapping[int, bool]) -> None:
        """A larger one that passed outweighs a smaller one that did not: that one was lost."""
        good = [size for size, whether in passed.items() if whether]
        self.low = max([self.low, *good])
        bad = [size for size, whether in passed.items() if not whether and size > self.low]
        if self.high is not None and self.high > self.low:
            bad.append(self.high)
        self.high = min(bad, default=None)


# ── What the figures say ─────────────────────────────────────────────────────────────────────────────────────────────

Figures = Mapping[str, float | None]


def summary(kind: ExperimentKind, figures: Figures) -> str | None:
    """One sentence; None where too little was measured to say anything."""
    return _SUMMARIES[kind](figures)


def _said_sweep(figures: Figures) -> str | None:
    pmtu, vanish, local = (figures.get(name) for name in ("pmtu_bytes", "vanish_bytes", "local_mtu_bytes"))
    if pmtu is None:
        return None
    if vanish is not None:
        return f"packets of up to {pmtu:.0f} bytes pass, larger ones vanish without a word: a black hole"
    where = "which is all that the sender takes" if local == pmtu else "and larger ones are refused with a message"
    return f"packets of up to {pmtu:.0f} bytes pass, {where}"


def _said_sizes(figures: Figures) -> str | None:
    small, full, lost = figures.get("small_rtt_ms"), figures.get("full_rtt_ms"), figures.get("full_loss_pct")
    if small is None:
        return None
    if full is None:
        return f"small pings take {small:.0f} ms, full-size ones are not answered: size matters on this way"
    times = full / small if small else 0.0
    also = f", {lost:.0f} % of those are lost" if lost else ""
    if times >= 3:
        return f"full-size pings take {full:.0f} ms, small ones {small:.0f} ms: they wait in different queues{also}"
    return f"pings take {small:.0f} ms small and {full:.0f} ms full-size: size makes no difference{also}"


def _said_loaded(figures: Figures) -> str | None:
    idle, loaded = figures.get("idle_rtt_ms"), figures.get("loaded_rtt_ms")
    if idle is None:
        return None
    if loaded is None:
        return f"pings take {idle:.0f} ms without load and are not answered under it"
    full = figures.get("loaded_full_rtt_ms")
    longest = max(loaded, full or 0.0)
    words = f"a ping takes {idle:.0f} ms without load and {longest:.0f} ms under it"
    return f"{words}: the load waits in a queue" if longest > 3 * idle + 20 else f"{words}: no long queue builds up"


def _said_udp(figures: Figures) -> str | None:
    loss, ramp = figures.get("udp_loss_pct"), figures.get("ramp_loss_pct")
    tcp, received = figures.get("tcp_bps"), figures.get("ramp_received_bps")
    if loss is None:
        return None
    if loss >= 1:
        return f"{loss:.1f} % of UDP is lost at half of TCP's rate: packets are lost whatever the rate is"
    if ramp is not None and ramp >= 5 and received is not None:
        return (
            f"UDP passes at half of TCP's rate, above {_rate(received)} {ramp:.0f} % is lost: "
            "what exceeds a rate is dropped"
        )
    return f"UDP passes where TCP has {_rate(tcp)}: packets are not lost at that rate"


def _compared(figures: Figures, one: str, other: str, one_words: str, other_words: str) -> str | None:
    first, second = figures.get(f"{one}_bps"), figures.get(f"{other}_bps")
    if first is None or second is None:
        return None
    words = []
    for name, bps, what in ((one, first, one_words), (other, second, other_words)):
        retrans = figures.get(f"{name}_retrans_pct")
        words.append(f"{what} {_rate(bps)}" + (f" ({retrans:.1f} % sent again)" if retrans else ""))
    return ", ".join(words)


def _rate(bps: float | None) -> str:
    return f"{units.format_rate(bps)}bit/s"


_SUMMARIES: Mapping[ExperimentKind, Callable[[Figures], str | None]] = {
    "pmtu-sweep": _said_sweep,
    "probe-sizes": _said_sizes,
    "loaded-ping": _said_loaded,
    "tcp-udp": _said_udp,
    "streams": lambda figures: _compared(figures, "one", "eight", "one stream", "eight streams"),
    "paths": lambda figures: _compared(figures, "overlay", "underlay", "overlay", "underlay"),
    "mss": lambda figures: _compared(figures, "usual", "clamped", "usual MSS", f"MSS of {CLAMPED_MSS}"),
}
