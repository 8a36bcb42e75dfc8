"""What a node reports: sockets, counters, pings, itself, and the frame in which they come.

The rules of :mod:`meshtop.model` hold. Kernel names: ``include/uapi/linux/tcp.h`` (``struct tcp_info``),
``net/ipv4/proc.c`` (snmp, netstat); socket fields as iproute2's ``misc/ss.c`` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from meshtop.value import Value


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
    the core that is highest in that. Without iowait and steal, which are no work of the node's. ``wait_ms``: how
    long the probe, an ordinary process, waited for a CPU each time that it wanted one (the kernel's
    Documentation/scheduler/sched-stats.rst)."""

    at_s: float
    cores: int
    cpu_pct: float | None = None
    softirq_pct: float | None = None
    steal_pct: float | None = None
    iowait_pct: float | None = None
    busiest_core_pct: float | None = None
    busiest_core_softirq_pct: float | None = None
    wait_ms: float | None = None


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
