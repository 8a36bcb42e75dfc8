"""What screens draw from beside the document of the mesh: immutable, made anew for each picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import FindingView, LinkState, Snapshot, StallView
from meshtop.model import ExperimentRecord, LinkKey, LogLine, Mark, Mesh, NodeName, PathName, Value


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
