"""The words of the house: what is measured, where, and how it is called.

Everything here is an immutable value. Nothing reads a clock, a file or a socket. Three rules hold throughout:

* ``None`` means *not known*: it is neither zero nor "as before".
* A number carries its unit in its name (``rtt_ms``, ``rate_bps``, ``age_s``); counters keep the kernel's spelling.
* A time called ``at`` is the operator's UTC in seconds since the epoch; a time called ``uptime_s`` is the node's own
  ``/proc/uptime``, which wall-clock steps do not touch.

Kernel names: ``include/uapi/linux/tcp.h`` (``struct tcp_info``), ``net/ipv4/proc.c`` (snmp, netstat); socket fields as
iproute2's ``misc/ss.c`` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from meshtop.burst import BurstRecord, BurstRequest
from meshtop.value import NodeName as NodeName
from meshtop.value import PathName as PathName
from meshtop.value import Value as Value

# ── The mesh as it was configured ────────────────────────────────────────────────────────────────────────────────────


class Path(Value, frozen=True, kw_only=True):
    """One way by which all nodes reach each other, such as an overlay or the public addresses below it."""

    name: PathName
    kind: Literal["overlay", "underlay"]
    outer_ports: tuple[int, ...] = ()  # an overlay's own sockets, where a port tells them
    from_operator: bool = True  # whether the operator's machine is on it: if not, it never sends there


class Node(Value, frozen=True, kw_only=True):
    """One server of the mesh. ``address`` maps a path to what the *other* nodes dial, in canonical text form."""

    name: NodeName
    label: str | None = None
    address: Mapping[PathName, str] = {}
    up_bps: int | None = None  # nominal line rates
    down_bps: int | None = None
    nat: tuple[PathName, ...] = ()  # paths on which others cannot reach it


class Watch(Value, frozen=True, kw_only=True):
    """Flows to follow by name wherever they are seen: TCP with either port in ``ports``."""

    name: str
    ports: tuple[int, ...]
    nodes: tuple[NodeName, ...] = ()  # empty: every node


class Thresholds(Value, frozen=True, kw_only=True):
    """What the link states and findings are judged by. Defaults and their grounds: docs/operations.md."""

    lossy_loss_pct: float = 1.0
    lossy_min_lost: int = 2
    lossy_retrans_pct: float = 1.0
    lossy_min_data_segs: int = 100
    lossy_window_s: float = 10.0
    degraded_inflation: float = 2.0
    degraded_intervals: int = 3
    degraded_added_ms: float = 2.0
    clear_intervals: int = 5
    down_after_s: float = 5.0


class Mesh(Value, frozen=True, kw_only=True):
    """All that the engine and the probes need to know of the configuration. Orders are those of the file."""

    name: str
    nodes: tuple[Node, ...]
    paths: tuple[Path, ...]
    interval_s: float = 1.0
    burst_interval_s: float = 0.2
    ping_s: float = 1.0
    ping_full_s: float = 5.0
    watches: tuple[Watch, ...] = ()
    thresholds: Thresholds = Thresholds()


class LinkKey(NamedTuple):
    """A directed link on one path: segments and probes that ``src`` sends to ``dst``."""

    src: NodeName
    dst: NodeName
    path: PathName


# ── What a node reports ──────────────────────────────────────────────────────────────────────────────────────────────


class SocketId(NamedTuple):
    """The identity of a TCP socket within one network namespace. Addresses are canonical; ``::ffff:a.b.c.d`` is
    given as ``a.b.c.d``. ``cookie`` is ss's ``sk:`` (hexadecimal) or None from an ss that does not print it."""

    local: str
    local_port: int
    peer: str
    peer_port: int
    cookie: str | None


class Timer(Value, frozen=True, kw_only=True):
    """``timer:(kind,expires,retransmits)``. Kinds: on, keepalive, timewait, persist, unknown."""

    kind: str
    expires_ms: float
    retransmits: int


class SocketMemory(Value, frozen=True, kw_only=True):
    """``skmem:(…)`` in bytes; ``drops`` is a counter of packets (include/uapi/linux/sock_diag.h)."""

    rmem_alloc: int | None = None
    rcvbuf: int | None = None
    wmem_alloc: int | None = None
    sndbuf: int | None = None
    fwd_alloc: int | None = None
    wmem_queued: int | None = None
    optmem: int | None = None
    backlog: int | None = None
    drops: int | None = None


class SocketReading(Value, frozen=True, kw_only=True):
    """One TCP socket as ``ss -tinmoe`` shows it at one moment.

    ss omits zeros, so None is *zero or unsupported*; ``meshtop.parse.ss.supported_fields`` decides which.
    """

    id: SocketId
    state: str
    recv_q: int
    send_q: int
    inode: int | None = None
    uid: int | None = None
    cgroup: str | None = None
    timer: Timer | None = None
    skmem: SocketMemory | None = None
    congestion: str | None = None
    rto_ms: float | None = None
    backoff: int | None = None
    srtt_ms: float | None = None
    rttvar_ms: float | None = None
    minrtt_ms: float | None = None
    ato_ms: float | None = None
    mss: int | None = None
    pmtu: int | None = None
    rcvmss: int | None = None
    advmss: int | None = None
    cwnd: int | None = None
    ssthresh: int | None = None
    snd_wnd: int | None = None
    rcv_wnd: int | None = None
    rcv_rtt_ms: float | None = None
    rcv_space: int | None = None
    rcv_ssthresh: int | None = None
    reordering: int | None = None
    unacked: int | None = None
    sacked: int | None = None
    lost: int | None = None
    notsent: int | None = None
    retrans: int | None = None  # of retrans:CUR/TOTAL, segments in flight now
    lastsnd_ms: int | None = None
    lastrcv_ms: int | None = None
    lastack_ms: int | None = None
    delivery_rate_bps: int | None = None
    pacing_rate_bps: int | None = None
    app_limited: bool | None = None
    # cumulative from here on
    bytes_sent: int | None = None
    bytes_retrans: int | None = None
    bytes_acked: int | None = None
    bytes_received: int | None = None
    segs_out: int | None = None
    segs_in: int | None = None
    data_segs_out: int | None = None
    data_segs_in: int | None = None
    retrans_total: int | None = None
    dsack_dups: int | None = None
    reord_seen: int | None = None
    rcv_ooopack: int | None = None
    delivered: int | None = None
    rehash: int | None = None
    busy_ms: int | None = None
    rwnd_limited_ms: int | None = None
    sndbuf_limited_ms: int | None = None
    unknown: tuple[str, ...] = ()  # names of tokens that the parser did not know


class SocketChanges(Value, frozen=True, kw_only=True):
    """What moved since the frame before of the same probe. ``full`` frames carry every socket and replace all."""

    full: bool
    changed: tuple[SocketReading, ...]
    gone: tuple[SocketId, ...] = ()
    total: int = 0  # sockets that the filter matched on the node, changed or not


class DevCounters(Value, frozen=True, kw_only=True):
    """One line of /proc/net/dev (net/core/net-procfs.c), cumulative."""

    rx_bytes: int
    rx_packets: int
    rx_errs: int
    rx_drop: int
    rx_fifo: int
    tx_bytes: int
    tx_packets: int
    tx_errs: int
    tx_drop: int
    tx_fifo: int
    tx_carrier: int


class SoftnetRow(Value, frozen=True, kw_only=True):
    """One CPU's line of /proc/net/softnet_stat (hexadecimal, net/core/net-procfs.c), cumulative."""

    cpu: int
    processed: int
    dropped: int
    time_squeeze: int


class PingStarted(Value, frozen=True, kw_only=True):
    """A ping process began: from here on one probe each ``interval_s``, sequence numbers from ``first_seq``."""

    target: str
    payload_bytes: int
    interval_s: float
    uptime_s: float
    first_seq: int


class PingReply(Value, frozen=True, kw_only=True):
    """An echo reply. ``sent_uptime_s`` (node clock) is known where ping stamps its lines, else None and
    ``uptime_s``, the time at which the line was seen, is the better guess."""

    target: str
    payload_bytes: int
    seq: int
    rtt_ms: float
    uptime_s: float
    sent_uptime_s: float | None = None


class PingProblem(Value, frozen=True, kw_only=True):
    """ping said something other than a reply (no route, message too long, not permitted …), or ended."""

    target: str
    payload_bytes: int
    uptime_s: float
    text: str
    ended: bool = False


PingEvent = PingStarted | PingReply | PingProblem


class Process(Value, frozen=True, kw_only=True):
    """Who owns a socket inode, where the node lets us see it."""

    inode: int
    pid: int
    name: str


class HostCpu(Value, frozen=True, kw_only=True):
    """/proc/stat over some ten seconds up to ``at_s`` of the node's uptime, in percent of all cores; ``busiest_…`` of
    the core that is highest in that. Without iowait and steal, which are no work of the node's."""

    at_s: float
    cores: int
    cpu_pct: float | None = None
    softirq_pct: float | None = None
    steal_pct: float | None = None
    iowait_pct: float | None = None
    busiest_core_pct: float | None = None
    busiest_core_softirq_pct: float | None = None


class Qdisc(Value, frozen=True, kw_only=True):
    """A queue discipline of ``tc -s qdisc show``; what it counts is cumulative. ``parent`` None: the device's own,
    whose counts hold those of the ones below it. ``rate`` is what it is set to, in tc's words."""

    device: str
    kind: str
    parent: str | None = None
    sent_packets: int
    dropped: int
    overlimits: int | None = None
    requeues: int | None = None
    backlog_bytes: int | None = None
    backlog_packets: int | None = None
    rate: str | None = None


class NodeInfo(Value, frozen=True, kw_only=True):
    """The slow beat: what a node is. Each part is None until it was seen."""

    kernel: str | None = None
    ss: str | None = None  # "6.1.0"
    iperf3: str | None = None  # "3.12"
    ping: str | None = None  # "iputils 20221126" or "busybox 1.35.0"
    root: bool | None = None
    wall_s: float | None = None  # node's UTC at wall_uptime_s
    wall_uptime_s: float | None = None
    addresses: tuple[tuple[str, str], ...] | None = None  # (interface, address)
    processes: tuple[Process, ...] | None = None
    probe_cpu_s: float | None = None  # CPU seconds of the probe with all its children since it began
    ssh_socket: tuple[str, int, str, int] | None = None  # of the session itself: local, port, peer, port
    listening: tuple[int, ...] | None = None  # those of the watched ports that somebody listens on, ascending
    host: HostCpu | None = None
    qdiscs: tuple[Qdisc, ...] | None = None
    qdiscs_at_s: float | None = None  # the node's uptime at which they were asked
    qdisc_problem: str | None = None  # why they are not known; empty where they are


class ProbeProblem(Value, frozen=True, kw_only=True):
    """A source that the probe could not read on that node, in words, such as ``ss: not found``.
    ``text`` empty: the source works again."""

    source: str
    text: str


class Frame(Value, frozen=True, kw_only=True):
    """One tick of one probe, decoded. A part that is None was not in the frame: unchanged counters are repeated by the
    decoder, so None there means that the node cannot give them."""

    boot: str
    probe: str
    seq: int
    uptime_s: float
    interval_s: float
    sockets: SocketChanges | None = None
    snmp: Mapping[str, Mapping[str, int]] | None = None  # {"Tcp": {"RetransSegs": 3, …}, …}
    netstat: Mapping[str, Mapping[str, int]] | None = None  # {"TcpExt": {…}, …}
    net_dev: Mapping[str, DevCounters] | None = None
    softnet: tuple[SoftnetRow, ...] | None = None
    pings: tuple[PingEvent, ...] = ()
    info: NodeInfo | None = None
    problems: tuple[ProbeProblem, ...] = ()
    unparsed: int = 0  # lines or tokens of this frame that no parser understood
    raw_bytes: int = 0


# ── Experiments ──────────────────────────────────────────────────────────────────────────────────────────────────────

ExperimentKind = Literal[
    "pmtu-sweep",  # DF pings of growing size
    "probe-sizes",  # small against full-size ping
    "loaded-ping",  # ping idle against ping under a burst
    "tcp-udp",  # TCP against UDP at a part of its rate
    "streams",  # one stream against eight
    "paths",  # overlay against underlay
    "mss",  # the MSS clamped
]


class ExperimentRecord(Value, frozen=True, kw_only=True):
    """What was tried on a link to settle a question, and what came of it. ``figures`` are measured values by name with
    the unit in the name; one that could not be measured is None. ``sends`` says in words what is sent at most."""

    id: str
    kind: ExperimentKind
    src: NodeName
    dst: NodeName
    path: PathName
    sends: str
    state: Literal["running", "done", "failed", "aborted"]
    reason: str | None = None
    cure: str | None = None
    started: float  # operator's UTC
    ended: float | None = None
    figures: Mapping[str, float | None] = {}
    summary: str | None = None  # one sentence, what it says
    bursts: tuple[str, ...] = ()  # ids of the bursts that it was made with


# ── What reaches the engine ──────────────────────────────────────────────────────────────────────────────────────────


class FrameReceived(Value, frozen=True, kw_only=True):
    """``connection`` numbers the SSH sessions of a node, so that one that drains can be told from the new."""

    at: float
    node: NodeName
    connection: int
    frame: Frame


class SessionChanged(Value, frozen=True, kw_only=True):
    """The state of a node's session. ``fault`` is a short stable word (see ``meshtop.transport.base.FAULTS``),
    ``reason`` plain words for the operator, ``cure`` what to do about it."""

    at: float
    node: NodeName
    connection: int
    phase: Literal["connecting", "up", "down"]
    fault: str | None = None
    reason: str | None = None
    cure: str | None = None


class SessionStats(Value, frozen=True, kw_only=True):
    """Of a node's SSH connection, from the operator's own kernel (TCP_INFO): smoothed RTT and bytes received so far on
    the wire with TCP/IP headers."""

    at: float
    node: NodeName
    connection: int
    ssh_rtt_ms: float | None
    rx_wire_bytes: int | None


class OperatorPing(Value, frozen=True, kw_only=True):
    """One ICMP echo from the operator's machine. ``rtt_ms`` None: not answered in time; ``problem`` says why none could
    be sent at all."""

    at: float
    node: NodeName
    path: PathName
    rtt_ms: float | None
    problem: str | None = None


class BytesDropped(Value, frozen=True, kw_only=True):
    """Bytes from a node that belong to no frame: a banner, garbage, a damaged frame. ``excerpt`` is cleaned text.
    ``framed``: a whole frame that no parser understood; a recording has it as a frame, and a better parser may."""

    at: float
    node: NodeName
    connection: int
    count: int
    excerpt: str
    framed: bool = False


class LogLine(Value, frozen=True, kw_only=True):
    """One line of the event log. The text is clean."""

    at: float
    node: NodeName | None
    level: Literal["info", "warning", "error"]
    text: str


class Mark(Value, frozen=True, kw_only=True):
    """A moment that the operator wants to find again."""

    at: float
    text: str


class IntervalAsked(Value, frozen=True, kw_only=True):
    """The operator wants every node sampled at this interval from now on."""

    at: float
    interval_s: float


class LookTaken(Value, frozen=True, kw_only=True):
    """One node is sampled at this interval from now on, because something stalls at it or no longer does."""

    at: float
    node: NodeName
    interval_s: float


class BaselinesForgotten(Value, frozen=True, kw_only=True):
    """The operator wants every link's RTT baseline learnt anew."""

    at: float


class BaselinesKnown(Value, frozen=True, kw_only=True):
    """The RTT baselines as they were known at this moment: with what a recording begins that was not begun with the
    monitor, since no minute of frames tells them."""

    at: float
    rtt_ms: tuple[tuple[LinkKey, float], ...]


class BurstTold(Value, frozen=True, kw_only=True):
    """How far a burst is. ``phase`` as in `meshtop stream`; an ``interval`` has the newest alone, ``raw`` is only in
    the last."""

    at: float
    phase: Literal["queued", "started", "interval", "closed"]
    burst: BurstRecord


class ExperimentTold(Value, frozen=True, kw_only=True):
    """An experiment was begun, or is over. ``id`` is the same in both."""

    at: float
    experiment: ExperimentRecord


EngineEvent = (
    FrameReceived
    | SessionChanged
    | SessionStats
    | OperatorPing
    | BytesDropped
    | LogLine
    | Mark
    | IntervalAsked
    | LookTaken
    | BaselinesForgotten
    | BurstTold
    | ExperimentTold
    | BaselinesKnown
)


# ── What the operator asks for ───────────────────────────────────────────────────────────────────────────────────────


class SetInterval(Value, frozen=True, kw_only=True):
    """Sample every node at this interval from now on (0.1 … 60 s)."""

    interval_s: float


class AddMark(Value, frozen=True, kw_only=True):
    text: str


class ResetBaselines(Value, frozen=True, kw_only=True):
    """Forget every link's RTT baseline and learn it anew."""


class StartBurst(Value, frozen=True, kw_only=True):
    """Queue these bursts; several run one after the other (both paths back to back). ``confirmed``: the operator has
    seen what they cost. Refused (ValueError) where one asks for confirmation and it was not given."""

    requests: tuple[BurstRequest, ...]
    confirmed: bool = False


class AbortBurst(Value, frozen=True, kw_only=True):
    """End this burst, or the running ones where ``id`` is None."""

    id: str | None = None


class ClearBursts(Value, frozen=True, kw_only=True):
    """Drop all bursts that wait; what runs goes on."""


class RunExperiment(Value, frozen=True, kw_only=True):
    kind: ExperimentKind
    src: NodeName
    dst: NodeName
    path: PathName


class AbortExperiment(Value, frozen=True, kw_only=True):
    """End the running experiment, with the bursts it is made with."""


class StartRecording(Value, frozen=True, kw_only=True):
    """Record into a new file; None: one named by mesh and time in the current folder."""

    path: str | None = None


class StopRecording(Value, frozen=True, kw_only=True):
    pass


class MakeReport(Value, frozen=True, kw_only=True):
    """Make a report of the last ``last_s`` seconds; ``path`` None: a zip named by the time, in the current folder."""

    title: str | None = None
    last_s: float = 300.0
    redact: bool = False
    path: str | None = None


class Playback(Value, frozen=True, kw_only=True):
    """For a replay: what is not None changes. ``at`` seeks (operator's UTC of the recording)."""

    at: float | None = None
    speed: float | None = None
    paused: bool | None = None


Command = (
    SetInterval
    | AddMark
    | ResetBaselines
    | StartBurst
    | AbortBurst
    | ClearBursts
    | RunExperiment
    | AbortExperiment
    | StartRecording
    | StopRecording
    | Playback
    | MakeReport
)
