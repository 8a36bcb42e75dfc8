"""What the engine shows: immutable views, and the names of `meshtop.snapshot/1`.

:class:`Snapshot` is the JSON document of ``meshtop snapshot --json``; its field names and definitions are the contract
in docs/manual.md and may only be added to. :class:`View` wraps it with what only screens need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from meshtop.burst import BurstRecord
from meshtop.model import (
    ExperimentKind,
    ExperimentRecord,
    LinkKey,
    LogLine,
    Mark,
    Mesh,
    NodeName,
    PathName,
    Value,
)

SCHEMA = "meshtop.snapshot/1"
EVENT_SCHEMA = "meshtop.event/1"

NodeState = Literal["up", "connecting", "silent", "down"]
LinkState = Literal["no-data", "down", "stalled", "lossy", "degraded", "ok", "idle"]


class ProbeCost(Value, frozen=True, kw_only=True):
    """What meshtop costs that node: CPU of the probe with its children, bytes on the wire from it."""

    cpu_pct: float | None = None
    rx_bytes_per_s: float | None = None


class NodeTcp(Value, frozen=True, kw_only=True):
    """Rates over the window from /proc/net/snmp and netstat, for the whole network namespace.
    ``retrans_pct`` = 100·ΔRetransSegs/(ΔTCPOrigDataSent+ΔRetransSegs)."""

    retrans_per_s: float | None = None
    retrans_pct: float | None = None
    timeouts_per_s: float | None = None
    dsack_per_s: float | None = None
    # retransmissions by type, segments: by duplicate ACKs or SACK; after a time-out; tail-loss probes; of SYNs
    fast_per_s: float | None = None
    slow_start_per_s: float | None = None
    tlp_per_s: float | None = None
    syn_per_s: float | None = None
    spurious_per_s: float | None = None  # recoveries that were undone, as nothing had been lost


class InterfaceRate(Value, frozen=True, kw_only=True):
    """One interface over the window; drops and errors are counts within it."""

    name: str
    rx_bps: float | None
    tx_bps: float | None
    rx_drop: int | None
    tx_drop: int | None


class HostCpuView(Value, frozen=True, kw_only=True):
    """What a node's CPUs did over some ten seconds, ``age_s`` ago: percent of all cores, and of the core that is
    highest in it. ``cpu_pct`` is without iowait and steal. ``cpu_wait_ms``: how long the probe waited for a CPU
    each time that it wanted one. All None where it is not known or too old."""

    cpu_pct: float | None = None
    softirq_pct: float | None = None
    steal_pct: float | None = None
    iowait_pct: float | None = None
    cores: int | None = None
    busiest_core_pct: float | None = None
    busiest_core_softirq_pct: float | None = None
    cpu_wait_ms: float | None = None
    age_s: float | None = None


class QdiscView(Value, frozen=True, kw_only=True):
    """A queue discipline; counts are over the last ``seconds``, ``age_s`` ago. ``parent`` None: the device's own, whose
    counts hold those of the ones below it. ``rate`` is what it is set to, in tc's words."""

    device: str
    kind: str
    parent: str | None = None
    rate: str | None = None
    seconds: float | None = None
    sent: int | None = None
    dropped: int | None = None
    overlimits: int | None = None
    requeues: int | None = None
    backlog_bytes: int | None = None
    backlog_packets: int | None = None
    age_s: float | None = None


class WatchPeer(Value, frozen=True, kw_only=True):
    """Where flows of a watched service lead. ``port`` is told where the service is there; None where it is here, and
    its clients come from any port. ``dst`` and ``path`` are None for an address outside of the mesh."""

    address: str
    port: int | None = None
    dst: NodeName | None = None
    path: PathName | None = None
    flows: int = 0
    stalls: int | None = None
    stalled_now: bool | None = None
    longest_stall_s: float | None = None
    tx_bps: float | None = None
    rx_bps: float | None = None


class WatchView(Value, frozen=True, kw_only=True):
    """A watched service on one node: its open flows there, whatever they lead to, and their stalls that overlap the
    window. Where it cannot be seen ``visible`` is False and ``reason`` says why; the figures then tell nothing of it,
    and those that are not known are None."""

    name: str
    visible: bool = False
    reason: str | None = None
    listening: bool | None = None  # whether one of its ports is listened on in the node's network namespace
    flows: int | None = None
    stalls: int | None = None
    stalled_now: bool | None = None
    longest_stall_s: float | None = None
    stalled_pct: float | None = None  # share of the window in which at least one of its flows stalled
    crawling: int | None = None
    connecting: int | None = None
    connecting_oldest_s: float | None = None
    tx_bps: float | None = None
    rx_bps: float | None = None
    processes: tuple[str, ...] = ()  # who has its flows and where, as far as the node lets us see
    cgroups: tuple[str, ...] = ()
    peers: tuple[WatchPeer, ...] = ()  # stalled ones first, then the busiest
    more_peers: int = 0  # left out of ``peers``


class NodeView(Value, frozen=True, kw_only=True):
    name: NodeName
    label: str | None = None
    state: NodeState
    reason: str | None = None
    cure: str | None = None
    sample_age_s: float | None = None
    samples: int = 0
    missed: int = 0
    late: int = 0
    unparsed: int = 0
    dropped_bytes: int = 0
    clock_offset_s: float | None = None
    kernel: str | None = None
    ss: str | None = None
    iperf3: str | None = None
    ping: str | None = None
    root: bool | None = None
    ssh_rtt_ms: float | None = None
    operator_rtt_ms: Mapping[PathName, float | None] = {}
    cost: ProbeCost = ProbeCost()
    tcp: NodeTcp = NodeTcp()
    softnet_drops: int | None = None
    udp_drops: int | None = None
    interfaces: tuple[InterfaceRate, ...] = ()
    host: HostCpuView = HostCpuView()
    qdiscs: tuple[QdiscView, ...] | None = None  # None: not visible there, ``qdiscs_reason`` says why
    qdiscs_reason: str | None = None
    sockets: int | None = None
    unattributed: int | None = None  # sockets whose peer is no configured address
    problems: tuple[str, ...] = ()  # sources that cannot be read there, in words
    flow_fields_missing: tuple[str, ...] = ()  # what that node's ss or kernel cannot give
    # of all its sockets, those to addresses outside of the mesh too; as in LinkView
    stalls: int | None = None
    stalled_now: bool | None = None
    longest_stall_s: float | None = None
    stalled_pct: float | None = None
    connecting: int | None = None
    connecting_oldest_s: float | None = None
    watches: tuple[WatchView, ...] = ()


class LinkFigures(Value, frozen=True, kw_only=True):
    """What is known of a link over a time: the window of a snapshot, or one interval of its source."""

    src: NodeName
    dst: NodeName
    path: PathName
    state: LinkState
    reason: str | None = None
    rtt_ms: float | None = None
    rtt_baseline_ms: float | None = None
    rtt_full_ms: float | None = None
    pdv_ms: float | None = None
    loss_pct: float | None = None
    loss_full_pct: float | None = None
    tx_bps: float | None = None
    srtt_ms: float | None = None
    minrtt_ms: float | None = None
    retrans_per_s: float | None = None
    retrans_pct: float | None = None
    dsack_pct: float | None = None
    flows: int | None = None
    stalls: int | None = None
    stalled_now: bool | None = None
    pmtu: int | None = None
    longest_stall_s: float | None = None  # of those that overlap the time, what of them was before it included
    stalled_pct: float | None = None  # share of the time in which at least one flow stalled
    crawling: int | None = None  # flows whose goodput collapsed while data waits: as of now
    connecting: int | None = None  # connections that have been in SYN-SENT for a second or more: as of now
    connecting_oldest_s: float | None = None


class LinkView(LinkFigures, frozen=True, kw_only=True):
    sample_age_s: float | None = None

    @property
    def key(self) -> LinkKey:
        return LinkKey(self.src, self.dst, self.path)

    @property
    def inflation(self) -> float | None:
        """RTT over the link's own baseline."""
        if self.rtt_ms is None or not self.rtt_baseline_ms:
            return None
        return self.rtt_ms / self.rtt_baseline_ms


class StallFlow(Value, frozen=True, kw_only=True):
    """The socket that stalled, as its node sees it. ``tunnel``: the overlay that it carries."""

    local: str
    peer: str
    cookie: str | None = None
    process: str | None = None
    cgroup: str | None = None
    watch: str | None = None
    tunnel: PathName | None = None


class StallCause(Value, frozen=True, kw_only=True):
    at: str
    cause: str


class StallView(Value, frozen=True, kw_only=True):
    """One stall. ``dst`` and ``path`` are None where the peer is no node of the mesh, ``end`` is while it is open. The
    true duration lies in [duration_s, duration_s + resolution_s]."""

    id: str
    src: NodeName | None
    dst: NodeName | None
    path: PathName | None
    node: NodeName  # whose socket was seen
    flow: StallFlow
    start: str
    end: str | None
    duration_s: float
    resolution_s: float
    outcome: Literal["open", "recovered", "lost"]
    cause: str
    settled: bool
    causes: tuple[StallCause, ...] = ()
    evidence: Mapping[str, Any] = {}


class Evidence(Value, frozen=True, kw_only=True):
    """One measured fact: its name, its value, and what it was held against, in words."""

    what: str
    value: float | str | None
    expected: str


class FindingView(Value, frozen=True, kw_only=True):
    """What is wrong, how sure, and why. ``src``, ``dst`` and ``path`` are None where a whole node is meant, which is
    ``node`` then. ``experiments`` would settle it; they are kinds of ``model.ExperimentKind``."""

    id: str
    code: str
    severity: Literal["info", "warning", "critical"]
    confidence: float
    src: NodeName | None = None
    dst: NodeName | None = None
    path: PathName | None = None
    node: NodeName | None = None
    since: str
    until: str | None = None  # when it was closed
    summary: str
    evidence: tuple[Evidence, ...] = ()
    against: tuple[Evidence, ...] = ()
    next: tuple[str, ...] = ()
    experiments: tuple[ExperimentKind, ...] = ()


class Snapshot(Value, frozen=True, kw_only=True):
    """The state of the whole mesh over the last ``window_s`` seconds."""

    schema: str = SCHEMA
    mesh: str
    at: str  # RFC 3339, UTC, milliseconds
    window_s: float
    nodes: tuple[NodeView, ...]
    links: tuple[LinkView, ...]
    stalls: tuple[StallView, ...] = ()
    bursts: tuple[BurstRecord, ...] = ()  # without ``raw``
    findings: tuple[FindingView, ...] = ()


class TrailPoint(Value, frozen=True, kw_only=True):
    """One interval of a link's recent past, for sparklines and strips. ``rtt_ms`` None with ``lost`` > 0 is a lost
    probe; with ``lost`` 0 nothing was measured."""

    at: float
    rtt_ms: float | None = None
    lost: int = 0
    tx_bps: float | None = None
    retrans: int | None = None
    state: LinkState = "no-data"
    interval_s: float | None = None  # it lasted so long, up to ``at``
    rtt_full_ms: float | None = None  # of 1200-byte probes, which are sent less often
    lost_full: int = 0
    segments: int | None = None  # data segments sent, those that were sent again too
    late: bool = False  # it was told after its time

    @property
    def retrans_pct(self) -> float | None:
        """Of the data segments; None where none was sent or it is not known."""
        return 100 * self.retrans / self.segments if self.segments and self.retrans is not None else None


class FlowView(Value, frozen=True, kw_only=True):
    """An open TCP socket of ``node`` as its kernel sees it. ``link`` is None where its peer is no node of the mesh.
    A figure is None where that node's ``ss`` cannot give it, or where there is nothing to measure yet."""

    node: NodeName
    link: LinkKey | None
    local: str
    local_port: int
    peer: str
    peer_port: int
    state: str
    process: str | None = None
    cgroup: str | None = None
    watch: str | None = None
    tunnel: PathName | None = None  # the overlay that it carries
    stalled: bool = False
    tx_bps: float | None = None  # acknowledged, over the last interval
    rx_bps: float | None = None
    srtt_ms: float | None = None
    minrtt_ms: float | None = None
    retrans: int | None = None  # segments since it was made
    segments: int | None = None
    cwnd: int | None = None
    rto_ms: float | None = None
    backoff: int | None = None
    unacked: int | None = None
    notsent: int | None = None
    recv_q: int | None = None
    snd_wnd: int | None = None
    mss: int | None = None
    pmtu: int | None = None
    timer: str | None = None
    timer_ms: float | None = None
    congestion: str | None = None

    @property
    def retrans_pct(self) -> float | None:
        return 100 * self.retrans / self.segments if self.segments and self.retrans is not None else None


StripState = Literal["no-data", "idle", "sending", "retransmitting", "stalled"]


class Strip(Value, frozen=True, kw_only=True):
    """A link's recent past by the second, oldest first; the last one ends at ``until`` (operator's UTC)."""

    until: float
    seconds: tuple[StripState, ...]


class RecordingView(Value, frozen=True, kw_only=True):
    """What is being recorded now, or why it ended."""

    path: str
    size_bytes: int
    since: float
    failure: str | None = None


class ReportView(Value, frozen=True, kw_only=True):
    """A report that was asked for on the screen."""

    state: Literal["making", "done", "failed"]
    path: str
    size_bytes: int | None = None
    reason: str | None = None


class PlaybackStop(Value, frozen=True, kw_only=True):
    """A moment of a recording that one may want to go to. ``until`` is the end of what lasts."""

    at: float
    kind: Literal["stall", "finding", "burst", "mark"]
    text: str
    until: float | None = None


class PlaybackView(Value, frozen=True, kw_only=True):
    """Where in a recording we are. ``incomplete``: why the file ends before its end. ``read_until``: how far it was
    read through for its stops; what comes later is not known yet."""

    first_at: float
    last_at: float
    at: float
    speed: float
    paused: bool
    incomplete: str | None = None
    file: str = ""
    seeking: bool = False
    read_until: float | None = None
    stops: tuple[PlaybackStop, ...] = ()


class View(Value, frozen=True, kw_only=True):
    """All that a screen may draw from. ``trails`` hold about the last two minutes, oldest first."""

    at: float
    mesh: Mesh
    snapshot: Snapshot
    trails: Mapping[LinkKey, tuple[TrailPoint, ...]] = {}
    strips: Mapping[LinkKey, Strip] = {}
    stalls: tuple[StallView, ...] = ()  # the last few hundred, in the order in which they were found
    looking: tuple[NodeName, ...] = ()  # nodes that are sampled closely now, because something stalls
    log: tuple[LogLine, ...] = ()
    marks: tuple[Mark, ...] = ()
    findings: tuple[FindingView, ...] = ()  # open ones, then closed ones of this session, newest first
    experiments: tuple[ExperimentRecord, ...] = ()  # of this session, newest last
    bursts: tuple[BurstRecord, ...] = ()  # all of this session, those that wait too, oldest first
    recording: RecordingView | None = None
    playback: PlaybackView | None = None
    report: ReportView | None = None
    past: bool = False  # as it was at ``at``, which the operator asked for
    replay: bool = False  # a recording is played: nothing of it is now
    notice: str | None = None  # one line about what is being watched, for who sees it for the first time
    operator_cpu_pct: float | None = None
    operator_rss_bytes: int | None = None


# ── Events of `meshtop stream` ───────────────────────────────────────────────────────────────────────────────────────


class LinkEvent(LinkFigures, frozen=True, kw_only=True, tag_field="type", tag="link"):
    """One link over one sampling interval of its source. ``at`` is the interval's end, measured; what is as of now is
    None in one that is late."""

    at: str
    interval_s: float
    late: bool = False
    tx_bytes: int | None = None
    retrans: int | None = None


class NodeEvent(NodeView, frozen=True, kw_only=True, tag_field="type", tag="node"):
    """A node's view, on every change of its state and every 10 s."""

    at: str


class StallEvent(StallView, frozen=True, kw_only=True, tag_field="type", tag="stall"):
    """A stall when it opens, when its cause becomes another (``open`` again), and when it closes. A closed one is told
    again if frames that come late tell more of it: the last line of an id holds."""

    phase: Literal["open", "closed"]
    at: str


class MarkEvent(Value, frozen=True, kw_only=True, tag_field="type", tag="mark"):
    at: str
    text: str


class LogEvent(Value, frozen=True, kw_only=True, tag_field="type", tag="log"):
    at: str
    node: NodeName | None
    level: str
    text: str


class BurstEvent(BurstRecord, frozen=True, kw_only=True, tag_field="type", tag="burst"):
    """``interval``: with the newest interval alone in ``intervals``. ``closed``: the whole record."""

    at: str
    phase: Literal["queued", "started", "interval", "closed"]


class FindingEvent(FindingView, frozen=True, kw_only=True, tag_field="type", tag="finding"):
    at: str
    phase: Literal["open", "changed", "closed"]


StreamEvent = LinkEvent | NodeEvent | StallEvent | MarkEvent | LogEvent | BurstEvent | FindingEvent
