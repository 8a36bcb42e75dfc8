"""The engine: events in, snapshots and stream events out. It does no I/O and reads no clock.

``receive`` folds one event, ``tick`` lets time pass, ``snapshot`` and ``view`` read. The same events with the same
times give the same answers, whether they come from live sessions or from a recording.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from meshtop.burst import BurstRecord, NodeLoad
from meshtop.engine.attribution import OwnConnections
from meshtop.engine.boots import Boot
from meshtop.engine.burstbook import BurstBook
from meshtop.engine.events import FindingEvent, LinkEvent, LogEvent, MarkEvent, NodeEvent, StreamEvent
from meshtop.engine.figures import Window, cpu_s_a_frame, link_view, node_view
from meshtop.engine.flowlist import flow_views
from meshtop.engine.looks import Look, is_worth_it, pace
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.parts import Part, Parts
from meshtop.engine.past import Archive, view_of
from meshtop.engine.snapshot import NodeState, Snapshot
from meshtop.engine.stallbook import StallBook
from meshtop.engine.states import TROUBLE
from meshtop.engine.surroundings import Seen
from meshtop.engine.timeseries import rfc3339
from meshtop.engine.verdicts.verdicts import Verdicts
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import (
    BaselinesForgotten,
    BaselinesKnown,
    BurstTold,
    BytesDropped,
    EngineEvent,
    ExperimentRecord,
    ExperimentTold,
    FrameReceived,
    IntervalAsked,
    LinkKey,
    LogLine,
    LookTaken,
    Mark,
    Mesh,
    NodeName,
    OperatorPing,
    SessionChanged,
    SessionStats,
)

WINDOW_S = 10.0
NODE_EVENT_S = 10.0  # of `meshtop stream`
# What these tell may be shown a moment later: it makes no state.
_AT_LEISURE = (OperatorPing, SessionStats, LogLine, Mark, BurstTold, ExperimentTold)
_LOG_LINES = 500
_MARKS = 200

Level = Literal["info", "warning", "error"]
Receiver = Callable[[Any], list[StreamEvent]]


class Engine:
    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        own = OwnConnections()
        self._book = StallBook()
        seen: dict[NodeName, Seen] = {}
        boots: dict[NodeName, Boot] = {}
        self._nodes: dict[NodeName, NodeRecord] = {
            node.name: NodeRecord(mesh, node, own, self._book, seen, boots) for node in mesh.nodes
        }
        self._parts = Parts(WINDOW_S)
        self.archive = Archive(sum(len(record.links) for record in self._nodes.values()))
        self._verdicts = Verdicts(mesh, self._nodes, own)
        self._told_state: dict[NodeName, tuple[NodeState, float]] = {}  # with the time of the last node event
        self._usual_s = mesh.interval_s
        self._looks = {node.name: Look() for node in mesh.nodes}
        self._looked_at: dict[NodeName, float] = {}
        self._told_silence: dict[NodeName, float] = {}
        self._heard_garbage: dict[NodeName, int] = {}  # the connection that garbage was logged of
        self._log: deque[LogLine] = deque(maxlen=_LOG_LINES)
        self._marks: deque[Mark] = deque(maxlen=_MARKS)
        self._bursts = BurstBook(mesh, self._nodes, self._book, own)
        self._experiments: dict[str, ExperimentRecord] = {}
        self._receivers: Mapping[type, Receiver] = {
            FrameReceived: self._frame,
            SessionChanged: self._session,
            SessionStats: self._stats,
            OperatorPing: self._ping,
            BytesDropped: self._garbage,
            LogLine: self._log_line,
            Mark: self._mark,
            IntervalAsked: self._interval,
            LookTaken: self._look,
            BaselinesForgotten: self._baselines,
            BaselinesKnown: self._baselines_known,
            BurstTold: self._burst,
            ExperimentTold: self._experiment,
        }

    # ── In ──

    def receive(self, event: EngineEvent) -> tuple[StreamEvent, ...]:
        """Take in one event; what `meshtop stream` has to say about it. Events of unknown nodes are ignored."""
        node = getattr(event, "node", None)
        if node is not None and node not in self._nodes:
            return ()
        if not isinstance(event, _AT_LEISURE):
            self._parts.changed(node)
        return tuple(self._receivers[type(event)](event))

    def tick(self, now: float) -> tuple[StreamEvent, ...]:
        """Time has passed: nodes may have fallen silent, and periodic events are due. Call it about once a second."""
        told: list[StreamEvent] = []
        for name, record in self._nodes.items():
            told.extend(self._node_events(name, now))
            told.extend(self._silence(record, now))
        for finding in self._verdicts.evaluate(now):
            told.append(finding)
            if finding.severity != "info" and finding.phase != "changed":
                told.append(self._log_finding(finding, now))
        return tuple(told)

    def _baselines(self, _: BaselinesForgotten) -> list[StreamEvent]:
        for record in self._nodes.values():
            for link in record.links.values():
                link.baseline.reset()
        return []

    def baselines(self, now: float) -> BaselinesKnown:
        """What a recording that begins now has to know from the start."""
        known = ((key, link.baseline.rtt_ms) for record in self._nodes.values() for key, link in record.links.items())
        return BaselinesKnown(at=now, rtt_ms=tuple((key, rtt_ms) for key, rtt_ms in known if rtt_ms is not None))

    def _baselines_known(self, event: BaselinesKnown) -> list[StreamEvent]:
        for key, rtt_ms in event.rtt_ms:
            record = self._nodes.get(key.src)
            if record is not None and key in record.links:
                record.links[key].baseline.known(rtt_ms)
        return []

    def _interval(self, event: IntervalAsked) -> list[StreamEvent]:
        """Until frames at the new pace come, the slower of the two says from when on a node is silent."""
        for record in self._nodes.values():
            record.expected_interval_s = event.interval_s
        self._usual_s = event.interval_s
        self._looked_at.clear()
        return []

    def _look(self, event: LookTaken) -> list[StreamEvent]:
        self._nodes[event.node].expected_interval_s = event.interval_s
        self._looked_at[event.node] = event.interval_s
        return []

    def _frame(self, event: FrameReceived) -> list[StreamEvent]:
        record = self._nodes[event.node]
        reboots = record.reboots
        told: list[StreamEvent] = []
        told.extend(record.receive(event))
        self._verdicts.frame(event)
        if record.reboots != reboots:
            told.append(self._say(event.at, event.node, "warning", f"{event.node} was booted: its counters restart"))
        for change in record.transitions:
            trouble = change.after in TROUBLE
            if not trouble and change.before not in TROUBLE:
                continue  # idle or not is no news
            why = f": {change.reason}" if change.reason else ""
            text = f"{change.link.src} → {change.link.dst} {change.link.path}: {change.before} → {change.after}{why}"
            told.append(self._say(event.at, event.node, "warning" if trouble else "info", text))
        record.transitions.clear()
        if record.boot is not None:
            told.extend(self._bursts.frame(event, record.boot.clock.operator_time(event.frame.uptime_s)))
        told.extend(self._node_events(event.node, event.at))
        return told

    def _session(self, event: SessionChanged) -> list[StreamEvent]:
        self._nodes[event.node].sessions.changed(event)
        told: list[StreamEvent] = []
        if event.phase == "up":
            told.append(self._say(event.at, event.node, "info", f"{event.node} is connected"))
        elif event.phase == "down":
            why = event.reason or "the session ended"
            cure = f" ({event.cure})" if event.cure else ""
            told.append(self._say(event.at, event.node, "error", f"{event.node} is down: {why}{cure}"))
        told.extend(self._node_events(event.node, event.at))
        return told

    def _stats(self, event: SessionStats) -> list[StreamEvent]:
        record = self._nodes[event.node]
        record.sessions.measured(event)
        if event.ssh_rtt_ms is not None and record.boot is not None:
            record.boot.clock.ssh_rtt(event.at, event.ssh_rtt_ms)
        return []

    def _ping(self, event: OperatorPing) -> list[StreamEvent]:
        self._nodes[event.node].vantage.add(event)
        return []

    def _garbage(self, event: BytesDropped) -> list[StreamEvent]:
        self._nodes[event.node].dropped_bytes += event.count
        if self._heard_garbage.get(event.node) == event.connection:
            return []
        self._heard_garbage[event.node] = event.connection
        what = "a frame that cannot be read" if event.framed else f"{event.count} bytes that are no frame"
        text = f"{event.node} sent {what}: {event.excerpt}"
        return [self._say(event.at, event.node, "warning", text)]

    def _log_line(self, event: LogLine) -> list[StreamEvent]:
        self._log.append(event)
        return [LogEvent(at=rfc3339(event.at), node=event.node, level=event.level, text=event.text)]

    def _mark(self, event: Mark) -> list[StreamEvent]:
        self._marks.append(event)
        return [MarkEvent(at=rfc3339(event.at), text=event.text)]

    def _burst(self, event: BurstTold) -> list[StreamEvent]:
        if event.phase == "closed":
            self._verdicts.burst(event.at, event.burst)
        return list(self._bursts.told(event))

    def _experiment(self, event: ExperimentTold) -> list[StreamEvent]:
        self._experiments[event.experiment.id] = event.experiment
        self._verdicts.experiment(event.at, event.experiment)
        return []

    # ── Said by the engine itself ──

    def _say(self, at: float, node: NodeName | None, level: Level, text: str) -> LogEvent:
        self._log.append(LogLine(at=at, node=node, level=level, text=text))
        return LogEvent(at=rfc3339(at), node=node, level=level, text=text)

    def _log_finding(self, finding: FindingEvent, now: float) -> LogEvent:
        about = f"{finding.code}: {finding.summary}"
        if finding.phase == "closed":
            return self._say(now, finding.node or finding.src, "info", f"no longer {about}")
        return self._say(now, finding.node or finding.src, "warning", about)

    def _node_events(self, name: NodeName, now: float) -> list[StreamEvent]:
        """A node event, if its state changed or one is due."""
        record = self._nodes[name]
        state, _ = record.state(now)
        told = self._told_state.get(name)
        if told is not None and told[0] == state and now - told[1] < NODE_EVENT_S:
            return []
        self._told_state[name] = (state, now)
        view = node_view(record, now, Window.of(record, now, WINDOW_S))
        return [NodeEvent(at=rfc3339(now), **msgspec.structs.asdict(view))]

    def _silence(self, record: NodeRecord, now: float) -> list[StreamEvent]:
        """Links whose source is not heard have no frames to report by: that there is no data is said each interval."""
        name = record.node.name
        state, _ = record.state(now)
        if state == "up":
            self._told_silence.pop(name, None)
            return []
        last = self._told_silence.get(name)
        if last is not None and now - last < record.interval_s * 0.9:
            return []
        self._told_silence[name] = now
        window = Window.of(record, now, WINDOW_S)
        source = node_view(record, now, window)
        at = rfc3339(now)
        views = [link_view(record, link, now, window, source) for link in record.links.values()]
        return [
            LinkEvent(
                at=at,
                src=view.src,
                dst=view.dst,
                path=view.path,
                state=view.state,
                reason=view.reason,
                interval_s=record.interval_s,
                rtt_baseline_ms=view.rtt_baseline_ms,
            )
            for view in views
        ]

    # ── Bursts ──

    def loads(self, now: float) -> dict[NodeName, NodeLoad]:
        """What the nodes' lines carry now."""
        return self._bursts.loads(now)

    def pmtu(self, link: LinkKey) -> int | None:
        """Of a link's open flows, the smallest; None: not known."""
        record = self._nodes.get(link.src)
        return record.boot.chains.gauges(link).pmtu if record is not None and record.boot is not None else None

    def burst(self, identity: str) -> BurstRecord | None:
        """With what the probes saw of it, without ``raw``."""
        return self._bursts.get(identity)

    def seen_until(self, node: NodeName) -> float | None:
        """The operator's UTC of that node's newest sample of sockets."""
        return self._bursts.seen_until(node)

    # ── Closer looks ──

    def closer_looks(self, now: float, usual_s: float) -> dict[NodeName, float]:
        """The nodes to be sampled closely now, and at which interval. For who watches live, about once a second."""
        stalling: set[NodeName] = set()
        for stall in self._book.open_records():
            if is_worth_it(stall.stall.duration_s):
                stalling.add(stall.key.node)
                if stall.link is not None:
                    stalling.update((stall.link.src, stall.link.dst))
        loaded = self._bursts.loaded_nodes(now)
        looks = {}
        for name, look in self._looks.items():
            record = self._nodes[name]
            state, _ = record.state(now)
            if look.due(now, stalling=name in stalling) and state == "up":
                interval_s = pace(usual_s, self._mesh.burst_interval_s, cpu_s_a_frame(record))
                if interval_s is not None:
                    looks[name] = interval_s
            if name in loaded and self._mesh.burst_interval_s < usual_s:
                looks[name] = self._mesh.burst_interval_s
        return looks

    # ── Out ──

    def snapshot(self, now: float, window_s: float = WINDOW_S) -> Snapshot:
        """The mesh over the last ``window_s`` seconds (at most about ten minutes are kept), as of ``now``."""
        return self._snapshot(now, window_s, [Part.of(record, now, window_s) for record in self._nodes.values()])

    def _snapshot(self, now: float, window_s: float, parts: Sequence[Part]) -> Snapshot:
        return Snapshot(
            mesh=self._mesh.name,
            at=rfc3339(now),
            window_s=window_s,
            nodes=tuple(part.node for part in parts),
            links=tuple(link for part in parts for link in part.links),
            stalls=tuple(stall for part in parts for stall in part.stalls),
            bursts=self._bursts.overlapping(now - window_s),
            findings=self._verdicts.open,
        )

    def view(self, now: float, *, operator_cpu_pct: float | None = None, operator_rss_bytes: int | None = None) -> View:
        """All that a screen draws from. What the operator's own process costs is told by who composes."""
        drawn = [self._parts.at(record, now) for record in self._nodes.values()]
        return View(
            at=now,
            mesh=self._mesh,
            snapshot=self._snapshot(now, WINDOW_S, [each.part for each in drawn]),
            trails={key: trail for each in drawn for key, trail in each.trails.items()},
            strips={key: strip for each in drawn for key, strip in each.strips.items()},
            looking=tuple(name for name, interval_s in self._looked_at.items() if interval_s < self._usual_s),
            stalls=tuple(record.view() for record in self._book),
            log=tuple(self._log),
            marks=tuple(self._marks),
            bursts=tuple(self._bursts),
            findings=self._verdicts.all,
            experiments=tuple(self._experiments.values()),
            operator_cpu_pct=operator_cpu_pct,
            operator_rss_bytes=operator_rss_bytes,
        )

    # ── The past, and what is looked at one by one ──

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        """All that is kept of a link, oldest first; nothing of one that is not there."""
        record = self._nodes.get(key.src)
        link = record.links.get(key) if record is not None else None
        return link.history.all_points() if link is not None else ()

    def past(self, at: float, now: View) -> View | None:
        """The mesh as it was at ``at``; ``now`` is the view of this moment. None where nothing is kept of then."""
        kept = self.archive.at(at)
        if kept is None:
            return None
        histories = {key: link.history for record in self._nodes.values() for key, link in record.links.items()}
        return view_of(kept, histories, now)

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        """The open sockets of a node, or those of one of its links, as of its newest sample."""
        record = self._nodes.get(node)
        return flow_views(record, link) if record is not None else ()
