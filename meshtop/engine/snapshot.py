"""The document of ``meshtop snapshot --json`` (`meshtop.snapshot/1`): immutable, for everyone who shows something. Its
names are the contract in docs/manual.md and may only be added to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from meshtop.burst import BurstRecord
from meshtop.model import (
    ExperimentKind,
    LinkKey,
    NodeName,
    PathName,
    Value,
)

SCHEMA = "meshtop.snapshot/1"

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
