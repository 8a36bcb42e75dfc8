"""The words of bursts: what is asked, what it will cost, what came of it. Values only; the rules are the engine's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from meshtop.value import NodeName, PathName, Value

SCHEMA = "meshtop.burst/1"
LEAST_LIMIT_S = 60.0  # a burst that was predicted to be short may meet a line that stalls


class BurstRequest(Value, frozen=True, kw_only=True):
    """``src`` sends to ``dst``; with ``reverse`` it is the other way, with ``bidir`` both at once. Either ``bytes``
    (all streams together) or ``seconds``. ``rate_bps`` is for each stream."""

    src: NodeName
    dst: NodeName
    path: PathName
    streams: int = 8
    bytes: int | None = None
    seconds: int | None = None
    reverse: bool = False
    bidir: bool = False
    udp: bool = False
    rate_bps: int | None = None
    mss: int | None = None
    congestion: str | None = None

    def asked(self) -> dict[str, Any]:
        """What the operator asked for beside the two ends, without what was left at its default."""
        named = ("bytes", "seconds", "reverse", "bidir", "udp", "rate_bps", "mss", "congestion")
        return {name: value for name in named if (value := getattr(self, name))}


class BurstLimits(Value, frozen=True, kw_only=True):
    """Above either, a burst asks first."""

    max_bytes: int
    max_time_s: float


class Load(Value, frozen=True, kw_only=True):
    """What a node's line carries already, in one direction."""

    bps: float = 0.0
    flows: int = 0


class NodeLoad(Value, frozen=True, kw_only=True):
    up: Load = Load()
    down: Load = Load()


class BurstPlan(Value, frozen=True, kw_only=True):
    """A burst before anything is sent. ``turned``: the client is ``dst``, since nobody can connect to it. ``asks`` are
    the reasons for which the operator has to confirm; none, and it may start at once. ``predicted_…`` None: the lines'
    nominal rates are not known."""

    request: BurstRequest
    server: NodeName
    client: NodeName
    turned: bool
    connect_to: str  # the server's address on the path
    datagram_bytes: int | None = None
    predicted_bytes: int | None = None
    predicted_s: float | None = None
    limit_s: float = LEAST_LIMIT_S
    asks: tuple[str, ...] = ()

    @property
    def server_sends(self) -> bool:
        """iperf3's ``-R``: the client receives."""
        return self.request.reverse is not self.turned and not self.request.bidir

    @property
    def nodes(self) -> frozenset[NodeName]:
        return frozenset((self.server, self.client))


BurstState = Literal["queued", "starting", "running", "closing", "done", "failed", "aborted"]


class BurstStream(Value, frozen=True, kw_only=True):
    """One stream in one interval, as its sender sees it; ``port`` is the client's where it is known."""

    port: int | None
    bps: float | None
    retransmits: int | None = None
    rtt_ms: float | None = None
    cwnd_bytes: int | None = None


class BurstInterval(Value, frozen=True, kw_only=True):
    """``t`` is its end, in seconds since the load began; ``rtt_ms`` the streams' mean, ``cwnd_bytes`` their sum."""

    t: float
    bps: float | None
    retransmits: int | None = None
    rtt_ms: float | None = None
    cwnd_bytes: int | None = None
    streams: tuple[BurstStream, ...] = ()
    source: Literal["iperf3", "ss"] = "iperf3"  # who counted it; "ss": the sender's kernel, bytes acknowledged


class Bystander(Value, frozen=True, kw_only=True):
    """A flow that shares a line with the burst: its rate over the ten seconds before (before the first, where several
    bursts followed each other), and while the burst ran. None: it was not there yet, or not seen."""

    src: NodeName
    dst: NodeName | None
    path: PathName | None
    flow: Mapping[str, str | None]  # local, peer, process
    bps_before: float | None
    bps_during: float | None


class BurstPings(Value, frozen=True, kw_only=True):
    """The probe's own pings from ``src`` to ``dst`` on the burst's path: medians over the ten seconds before (as
    those of bystanders) and while it ran, and the share of those that were decided meanwhile and lost."""

    rtt_before_ms: float | None = None
    rtt_ms: float | None = None
    rtt_full_before_ms: float | None = None
    rtt_full_ms: float | None = None
    loss_pct: float | None = None
    loss_full_pct: float | None = None


class BurstRaw(Value, frozen=True, kw_only=True):
    """What both ends printed: the client's document, the server's text."""

    client: Any = None
    server: Any = None


class BurstRecord(Value, frozen=True, kw_only=True):
    """`meshtop.burst/1`. ``sent`` and ``received`` are of the direction that was asked for, with ``bidir`` that from
    ``src``. ``stalls`` and ``bystanders`` None: nobody watched, which is not the same as none."""

    schema: str = SCHEMA
    id: str
    src: NodeName
    dst: NodeName
    path: PathName
    tool: str | None = None
    client: NodeName | None = None  # who connects, and to whom
    server: NodeName | None = None
    connect_to: str | None = None
    port: int | None = None
    streams: int
    requested: Mapping[str, Any]
    predicted_s: float | None = None
    predicted_bytes: int | None = None
    state: BurstState
    reason: str | None = None
    cure: str | None = None
    started: str | None = None  # RFC 3339, UTC; iperf3 was being started …
    loaded: str | None = None  # … and sent; ``t`` counts from here
    ended: str | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None
    sender_bps: float | None = None
    receiver_bps: float | None = None
    retransmits: int | None = None
    lost_pct: float | None = None  # from here on UDP, as the receiver counted it
    jitter_ms: float | None = None
    other: Mapping[str, Any] | None = None  # the same of the second direction of a burst both ways
    intervals: tuple[BurstInterval, ...] = ()
    stalls: tuple[Any, ...] | None = None
    longest_stall_s: float | None = None
    bystanders: tuple[Any, ...] | None = None
    pings: BurstPings | None = None
    raw: BurstRaw = BurstRaw()
