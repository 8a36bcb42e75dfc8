"""One node: its frames taken in, one probe stream after the other, and what they tell of its links.

A frame passes here in this order: its boot's clock, its probe stream (what was seen before is ignored), what the node
says of itself, its pings, its counters and sockets. The counters say which intervals are now measured; each such
interval closes one cell on every link of the node and makes one ``link`` event.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import NamedTuple

import msgspec

from meshtop.engine.attribution import (
    Attribution,
    OwnConnections,
    Services,
    address_owners,
    canonical,
    is_attributable,
    obstacle,
)
from meshtop.engine.boots import Boot, Measured, Sample, Stream
from meshtop.engine.chains import Reading, Step
from meshtop.engine.clockmap import BootClock
from meshtop.engine.counters import CounterReading
from meshtop.engine.events import LinkEvent, StallEvent
from meshtop.engine.flows import Gauges, fields_missing
from meshtop.engine.held import HELD_NONE, Held, crawls_in_words, held_by_link
from meshtop.engine.history import History, most_of_one
from meshtop.engine.links import STILL, Cell, Known, LinkRecord, SocketSight, standstill
from meshtop.engine.node_stalls import NodeStalls
from meshtop.engine.sessions import Sessions, Vantage
from meshtop.engine.snapshot import LinkState, NodeState
from meshtop.engine.stallbook import StallBook
from meshtop.engine.surroundings import Neighbourhood, Seen
from meshtop.engine.timeseries import Ring, rfc3339
from meshtop.model import FrameReceived, LinkKey, Mesh, Node, NodeName
from meshtop.parse.ss_fields import supported_fields
from meshtop.readings import Frame, HostCpu, NodeInfo, PingProblem, PingReply, PingStarted, SocketChanges

# Fresh is what is younger than this many intervals, and than this long.
FRESH_INTERVALS = 3
FRESH_FLOOR_S = 3.0
# Boots that are remembered: the newest, and the one before, of which frames may still come late.
_MAX_BOOTS = 2
# Bounds for numbers from a node; beyond them a frame or a ping is damaged.
_MAX_UPTIME_S = 1e10
_MIN_INTERVAL_S, _MAX_INTERVAL_S = 0.01, 86_400.0
_MAX_RTT_MS = 1e7
_MAX_SEQ = 2**31


def fresh_limit(interval_s: float) -> float:
    return max(FRESH_INTERVALS * interval_s, FRESH_FLOOR_S)


class Transition(NamedTuple):
    """A link's state changed, now."""

    link: LinkKey
    before: LinkState
    after: LinkState
    reason: str | None


class NodeRecord:
    def __init__(
        self,
        mesh: Mesh,
        node: Node,
        own: OwnConnections,
        book: StallBook,
        seen: MutableMapping[NodeName, Seen],
        boots: MutableMapping[NodeName, Boot],
    ) -> None:
        """``book``, ``seen`` and ``boots``, each node's newest, are shared by all nodes."""
        self.mesh = mesh
        self.node = node
        self.sessions = Sessions()
        self.vantage = Vantage(tuple(path.name for path in mesh.paths))
        self.links = {
            key: LinkRecord(
                key,
                obstacle(mesh, node, dst, key.path),
                mesh.thresholds,
                attributable=is_attributable(mesh, dst, key.path),
            )
            for dst in mesh.nodes
            if dst.name != node.name
            for key in (LinkKey(node.name, dst.name, path.name) for path in mesh.paths)
        }
        limit = most_of_one(len(mesh.nodes) * len(self.links))
        for link in self.links.values():
            link.history = History(limit)
        self._targets = {
            address: LinkKey(node.name, *owners[0])
            for address, owners in address_owners(mesh).items()
            if len(owners) == 1 and owners[0][0] != node.name
        }
        self.attribution = Attribution(mesh, node.name, own)
        self.services = Services(mesh, node.name)
        neighbourhood = Neighbourhood(mesh, node.name, self.links, seen)
        self.stalls = NodeStalls(node, self.links, self.attribution, self.services, neighbourhood, book, boots)
        self._own = own
        self._own_version = own.version
        self._boots: dict[str, Boot] = {}
        self.boot: Boot | None = None  # the newest
        self.stream: Stream | None = None  # the one that gave the newest frame
        self.info = NodeInfo()
        self.interval_s = mesh.interval_s
        self.expected_interval_s = 0.0
        self.missing: tuple[str, ...] = fields_missing(None, None, ())
        self._seen_fields: set[str] = set()
        self.samples: Ring[Sample] = Ring()
        self.measured: Ring[Measured] = Ring()
        self.late = 0
        self.unparsed = 0
        self.dropped_bytes = 0
        self.reboots = 0
        self._series_ids = 0
        self.transitions: list[Transition] = []

    # ── Time ──

    def axis_now(self, now: float) -> float:
        return now - (self.boot.clock.correction_s if self.boot is not None else 0.0)

    def sample_age_s(self, now: float) -> float | None:
        newest = self.boot.newest if self.boot is not None else None
        return max(0.0, self.axis_now(now) - newest) if newest is not None else None

    @property
    def fresh_limit_s(self) -> float:
        return fresh_limit(max(self.interval_s, self.expected_interval_s))

    @property
    def problems(self) -> tuple[str, ...]:
        """The sources that cannot be read there now, in words."""
        return tuple(text for _, text in sorted(self.stream.problems.items())) if self.stream is not None else ()

    @property
    def cpu(self) -> HostCpu | None:
        """Of the host, as it was told lately; None where it is not known."""
        newest = self.boot.newest if self.boot is not None else None
        if self.boot is None or newest is None:
            return None
        return self.boot.host.fresh_cpu(self.boot.clock.uptime(newest))

    def state(self, now: float) -> tuple[NodeState, str | None]:
        return self.sessions.state(now, self.sample_age_s(now), self.fresh_limit_s, self.vantage, self.problems)

    def process_of(self, inode: int | None) -> str | None:
        """Whose socket that is, as far as the node lets us see."""
        return self.boot.process_of(inode) if self.boot is not None else None

    @property
    def stalls_followed(self) -> bool:
        """Whether that node's ss tells what a stall is told by."""
        return "bytes_acked" not in self.missing

    # ── Taking in ──

    def receive(self, event: FrameReceived) -> list[LinkEvent | StallEvent]:
        """Take in one frame; what it tells of stalls, and the ``link`` events of the intervals that it completes."""
        frame = event.frame
        if not (0 <= frame.uptime_s < _MAX_UPTIME_S and _MIN_INTERVAL_S <= frame.interval_s <= _MAX_INTERVAL_S):
            self.unparsed += 1
            return []
        boot = self._boot_of(frame, event.at)
        stream = boot.stream(frame.probe)
        if frame.seq <= stream.seq:
            return []  # seen before; or it was overtaken, and what it counted is in the later ones
        stream.seq = frame.seq
        self.unparsed += frame.unparsed
        boot.clock.received(event.at, frame.uptime_s)
        newest_before = boot.newest
        self._learn(frame, boot, stream)
        self._take_pings(frame, boot, stream)
        events = list(self._take_counters(event, boot, stream))
        newest = boot.newest
        if boot is self.boot and newest is not None and (newest_before is None or newest > newest_before):
            self.stream = stream
            self.interval_s = frame.interval_s
        for link in self.links.values():
            link.decided.clear()
        return events

    def _boot_of(self, frame: Frame, received_at: float) -> Boot:
        boot = self._boots.get(frame.boot)
        if boot is not None:
            return boot
        newest = self.boot.newest if self.boot is not None else None
        boot = Boot(frame.boot, BootClock(received_at, frame.uptime_s, newest))
        self.stalls.follow(boot)
        if self.boot is not None:
            self.reboots += 1
            self.info = NodeInfo()
            self._seen_fields.clear()
            self.missing = fields_missing(None, None, ())
        self._boots[frame.boot] = self.boot = boot
        while len(self._boots) > _MAX_BOOTS:
            del self._boots[next(iter(self._boots))]
        return boot

    def _learn(self, frame: Frame, boot: Boot, stream: Stream) -> None:
        for problem in frame.problems:
            if problem.text:
                stream.problems[problem.source] = problem.text
            else:
                stream.problems.pop(problem.source, None)
        info = frame.info
        if info is not None:
            told = stream.cpu.newest
            # A frame repeats what the slow beat last said: only a new value is a reading.
            if info.probe_cpu_s is not None and (told is None or told[1] != info.probe_cpu_s):
                stream.cpu.add(frame.uptime_s, (frame.uptime_s, info.probe_cpu_s))
            boot.host.take(info)
            if info.processes is not None:
                boot.processes = {process.inode: process.name for process in info.processes}
            if info.ssh_socket is not None:
                self._own.add(self.node.name, info.ssh_socket)
            if boot is self.boot:
                self.info = _merged(self.info, info)
        if self._own.version != self._own_version:
            self._own_version = self._own.version
            for known in self._boots.values():
                known.chains.place_anew()
            self.stalls.leave_out_own()
        if boot is self.boot and self.missing and frame.sockets is not None:
            self._see_fields(frame.sockets)
        if info is not None:
            self.missing = fields_missing(self.info.ss, self.info.kernel, self._seen_fields)
            if boot is self.boot:
                boot.chains.support(supported_fields(self.info.ss, self.info.kernel))

    def _see_fields(self, sockets: SocketChanges) -> None:
        new = {name for name in self.missing for reading in sockets.changed if getattr(reading, name) is not None}
        if new:
            self._seen_fields |= new
            self.missing = fields_missing(self.info.ss, self.info.kernel, self._seen_fields)

    # ── Pings ──

    def _take_pings(self, frame: Frame, boot: Boot, stream: Stream) -> None:
        for event in frame.pings:
            key = self._targets.get(event.target) or self._targets.get(canonical(event.target))
            link = self.links.get(key) if key is not None else None
            if link is None or link.obstacle is not None:
                continue
            if isinstance(event, PingReply):
                self._take_reply(event, link, boot, stream)
            elif isinstance(event, PingProblem):
                stream.book.trouble(event, link.key)
            elif _plausible_start(event):
                self._series_ids += 1
                stream.book.start(event, link.key, boot.clock.axis(event.uptime_s), self._series_ids)
        horizon = boot.clock.axis(frame.uptime_s)
        for series in stream.book.all_running():
            link = self.links[series.link]
            link.lost(series.size, series.decide(horizon, link.deadline_s, link.outcomes(series.size)))

    def _take_reply(self, reply: PingReply, link: LinkRecord, boot: Boot, stream: Stream) -> None:
        sent_s = reply.sent_uptime_s
        if sent_s is None:
            sent_s = reply.uptime_s - reply.rtt_ms / 1000
        if not (0 <= reply.rtt_ms < _MAX_RTT_MS and 0 <= reply.seq < _MAX_SEQ and abs(sent_s) < _MAX_UPTIME_S):
            self.unparsed += 1
            return
        sent_at = boot.clock.axis(sent_s)
        self._series_ids += 1
        series = stream.book.series_of(reply, link.key, sent_at, self._series_ids)
        outcome = series.answer(reply, sent_at, link.deadline_s, link.outcomes(series.size))
        if outcome is not None:
            link.answered(series.size, outcome)

    # ── Counters and sockets ──

    def _take_counters(self, event: FrameReceived, boot: Boot, stream: Stream) -> Iterator[LinkEvent | StallEvent]:
        frame = event.frame
        redundant = boot.chains.redundant
        counters = CounterReading(frame.snmp, frame.netstat, frame.net_dev, frame.softnet)
        steps = boot.chains.fold(frame.probe, Reading(frame.uptime_s, frame.interval_s, counters, frame.sockets))
        yield from self.stalls.take(boot)
        limit_s = fresh_limit(frame.interval_s)
        if boot.chains.redundant == redundant:
            self.samples.add(boot.clock.axis(frame.uptime_s), Sample(boot.clock.axis(frame.uptime_s), frame.interval_s))
            self.late += event.at - boot.clock.operator_time(frame.uptime_s) > limit_s
        for step in steps:
            late = event.at - boot.clock.operator_time(step.end_s) > limit_s
            yield from self._close(step, boot, stream, late, step.end_s == frame.uptime_s)

    def _close(self, step: Step, boot: Boot, stream: Stream, late: bool, told: bool) -> Iterator[LinkEvent]:
        """An interval is measured: a cell and an event for each link. ``told``: it is the one that the frame's pings
        belong to."""
        start, end = boot.clock.axis(step.start_s), boot.clock.axis(step.end_s)
        at = boot.clock.operator_time(step.end_s)
        stamp = rfc3339(at)
        self.measured.add(end, Measured(start, end, step.counters, step.sockets_s))
        present = boot is self.boot and step.end_s == boot.chains.newest_s
        seconds = step.end_s - step.start_s
        crawls = crawls_in_words(boot.chains) if present else {}
        held = held_by_link(boot.chains) if present and self.stalls_followed else None
        for key, link in self.links.items():
            decided = link.decided
            if not told:
                link.decided = []
            moved = step.activities.get(key, STILL) if step.activities is not None else None
            gauges = boot.chains.gauges(key) if present and boot.chains.sockets_known else None
            before = link.newest
            known = self._known(link, stream, gauges, crawls.get(key))
            cell = link.interval(start, end, at, moved, stream.book.running(key), known, late=late)
            sight = SocketSight(step.sockets_s, self.missing, gauges)
            yield self._event(
                link, cell, stamp, seconds, late, sight, held.get(key, HELD_NONE) if held is not None else None
            )
            link.decided = decided
            if present and before is not None and before.shown.state != cell.shown.state:
                self.transitions.append(Transition(key, before.shown.state, cell.shown.state, cell.shown.reason))

    def _known(self, link: LinkRecord, stream: Stream, gauges: Gauges | None, crawl: str | None) -> Known:
        return Known(
            flows=gauges.flows if gauges is not None else None,
            ping_problem=stream.book.problem_of(link.key) or stream.problems.get("ping"),
            socket_problem=stream.problems.get("ss"),
            crawl=crawl,
        )

    def _event(
        self, link: LinkRecord, cell: Cell, stamp: str, seconds: float, late: bool, sight: SocketSight,
        held: Held | None,
    ) -> LinkEvent:  # fmt: skip
        moved = cell.moved
        stalls = None
        if not link.attributable:
            held = None
        elif sight.seconds > 0 and self.stalls_followed:
            stalls = standstill(link.stalls.overlapping(cell.start, cell.end), cell.start, cell.end)
        return LinkEvent(
            at=stamp,
            src=link.key.src,
            dst=link.key.dst,
            path=link.key.path,
            state=cell.shown.state,
            reason=cell.shown.reason,
            interval_s=round(seconds, 3),
            late=late,
            tx_bytes=moved.acked_bytes if moved is not None and "bytes_acked" not in self.missing else None,
            retrans=moved.retrans if moved is not None and "retrans_total" not in self.missing else None,
            stalls=stalls["stalls"] if stalls is not None else None,
            stalled_now=bool(link.stalls.standing(cell.end)) if stalls is not None else None,
            longest_stall_s=stalls["longest_stall_s"] if stalls is not None else None,
            stalled_pct=stalls["stalled_pct"] if stalls is not None else None,
            crawling=held.crawling if held is not None else None,
            connecting=held.connecting if held is not None else None,
            connecting_oldest_s=held.oldest_s if held is not None else None,
            **link.interval_figures(cell, sight),
        )


def _merged(known: NodeInfo, news: NodeInfo) -> NodeInfo:
    parts = {name: getattr(news, name) for name in NodeInfo.__struct_fields__}
    return msgspec.structs.replace(known, **{name: part for name, part in parts.items() if part is not None})


def _plausible_start(event: PingStarted) -> bool:
    in_time = 0 < event.interval_s <= _MAX_INTERVAL_S and abs(event.uptime_s) < _MAX_UPTIME_S
    return in_time and 0 <= event.first_seq < _MAX_SEQ
