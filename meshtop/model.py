"""The words of the house: what is measured, where, and how it is called.

Everything here is an immutable value. Nothing reads a clock, a file or a socket. Three rules hold throughout:

* ``None`` means *not known*: it is neither zero nor "as before".
* A number carries its unit in its name (``rtt_ms``, ``rate_bps``, ``age_s``); counters keep the kernel's spelling.
* A time called ``at`` is the operator's UTC in seconds since the epoch; a time called ``uptime_s`` is the node's own
  ``/proc/uptime``, which wall-clock steps do not touch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from meshtop.burst import BurstRecord
from meshtop.readings import Frame
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
