"""One node: its frames taken in, one probe stream after the other, and what they tell of its links.

A frame passes here in this order: its boot's clock, its probe stream (what was seen before is ignored), what the node
says of itself, its pings, its counters and sockets. The counters say which intervals are now measured; each such
interval closes one cell on every link of the node and makes one ``link`` event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from typing import NamedTuple

import msgspec

from meshtop import units
from meshtop.engine import causes, stallbook
from meshtop.engine.attribution import (
    Attribution,
    OwnConnections,
    Services,
    address_owners,
    canonical,
    is_attributable,
    obstacle,
)
from meshtop.engine.chains import Chains, Reading, Step
from meshtop.engine.clockmap import BootClock
from meshtop.engine.counters import CounterDeltas, CounterReading
from meshtop.engine.crawl import Crawl
from meshtop.engine.flows import Gauges, fields_missing
from meshtop.engine.history import History, most_of_one
from meshtop.engine.hosts import Host
from meshtop.engine.links import STILL, Cell, Known, LinkRecord, SocketSight, standstill
from meshtop.engine.probes import PingBook, Series
from meshtop.engine.sessions import Sessions, Vantage
from meshtop.engine.snapshot import LinkEvent, LinkState, NodeState, StallEvent
from meshtop.engine.stallbook import StallBook, StallList, StallRecord
from meshtop.engine.stalls import Stall, Waiting
from meshtop.engine.surroundings import Moment, Neighbourhood, Seen
from meshtop.engine.timeseries import Ring, rfc3339
from meshtop.engine.waits import JudgeOf, Waits
from meshtop.model import FrameReceived, LinkKey, Mesh, Node, NodeName
from meshtop.parse.ss_fields import supported_fields
from meshtop.readings import (
    Frame,
    HostCpu,
    NodeInfo,
    PingProblem,
    PingReply,
    PingStarted,
    SocketChanges,
    SocketId,
    SocketReading,
)

# Fresh is what is younger than this many intervals, and than this long.
FRESH_INTERVALS = 3
FRESH_FLOOR_S = 3.0
# Streams of one boot that are remembered: the one that runs, those that drain, and some for what may still come.
_MAX_STREAMS = 16
_MAX_BOOTS = 2
# Bounds for numbers from a node; beyond them a frame or a ping is damaged.
_MAX_UPTIME_S = 1e10
_MIN_INTERVAL_S, _MAX_INTERVAL_S = 0.01, 86_400.0
_MAX_RTT_MS = 1e7
# What the other end of a socket shows says something of now if it is not older than this.
_OTHER_END_S = 2.0
_MAX_SEQ = 2**31


def fresh_limit(interval_s: float) -> float:
    return max(FRESH_INTERVALS * interval_s, FRESH_FLOOR_S)


class Sample(NamedTuple):
    at: float  # on the axis
    interval_s: float


class Measured(NamedTuple):
    """One interval of the node, on the axis: what its counters did, and for how long its sockets were followed."""

    start: float
    end: float
    counters: CounterDeltas
    sockets_s: float


class Held(NamedTuple):
    """What of a link does not stall and hardly gets on: flows that crawl, connections that stay in SYN-SENT."""

    crawling: int = 0
    connecting: int = 0
    oldest_s: float | None = None  # of those connections


_HELD_NONE = Held()


class Transition(NamedTuple):
    """A link's state changed, now."""

    link: LinkKey
    before: LinkState
    after: LinkState
    reason: str | None


class Stream:
    """One probe's frames."""

    __slots__ = ("book", "cpu", "problems", "seq")

    def __init__(self) -> None:
        self.seq = -1
        self.book = PingBook()
        self.problems: dict[str, str] = {}
        self.cpu: Ring[tuple[float, float]] = Ring()  # (uptime, CPU seconds of the probe)


class Boot:
    def __init__(self, name: str, clock: BootClock) -> None:
        self.name = name
        self.clock = clock
        self.chains: Chains
        self.streams: dict[str, Stream] = {}
        self.host = Host()

    def follow(self, attribution: Attribution, services: Services, judge: JudgeOf) -> None:
        self.chains = Chains(attribution, Waits(attribution.own, services, judge, frozenset()))

    def pings(self, link: LinkKey) -> tuple[Series, ...]:
        """All series on a link, those of a probe that drains too."""
        return tuple(series for stream in self.streams.values() for series in stream.book.running(link))

    def stream(self, probe: str) -> Stream:
        stream = self.streams.get(probe)
        if stream is None:
            stream = self.streams[probe] = Stream()
            while len(self.streams) > _MAX_STREAMS:
                oldest = next(iter(self.streams))
                del self.streams[oldest]
        return stream

    @property
    def newest(self) -> float | None:
        """Time of the newest reading on the axis."""
        uptime_s = self.chains.newest_s
        return self.clock.axis(uptime_s) if uptime_s is not None else None


class NodeRecord:
    def __init__(
        self, mesh: Mesh, node: Node, own: OwnConnections, book: StallBook, seen: MutableMapping[NodeName, Seen]
    ) -> None:
        """``book`` and ``seen`` are shared by all nodes."""
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
        self._neighbourhood = Neighbourhood(mesh, node.name, self.links, seen)
        self._book = book
        self.stalls = StallList()
        self._open: dict[int, StallRecord] = {}  # by number
        self.others: Mapping[NodeName, NodeRecord] = {}
        self._process_of: dict[int, str] = {}  # by inode
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
        self._gone_stalls: list[StallEvent] = []  # of a boot that is over
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
        return self._process_of.get(inode) if inode is not None else None

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
        events: list[LinkEvent | StallEvent] = [*self._gone_stalls, *self._take_counters(event, boot, stream)]
        self._gone_stalls.clear()
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
        boot.follow(self.attribution, self.services, partial(self._judge, boot))
        if self.boot is not None:
            over = self._book.end_of_boot(self.node.name, self.boot.name)
            self._gone_stalls.extend(stallbook.event(record) for record in over)
            self._open.clear()
            self._process_of.clear()
            self.reboots += 1
            self.info = NodeInfo()
            self._seen_fields.clear()
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
            if info.ssh_socket is not None:
                self._own.add(self.node.name, info.ssh_socket)
            if boot is self.boot:
                self.info = _merged(self.info, info)
                if info.processes is not None:
                    self._process_of = {process.inode: process.name for process in info.processes}
        if self._own.version != self._own_version:
            self._own_version = self._own.version
            for known in self._boots.values():
                known.chains.place_anew()
            self._leave_out_own()
        if self.missing and frame.sockets is not None:
            self._see_fields(frame.sockets)
        if info is not None:
            self.missing = fields_missing(self.info.ss, self.info.kernel, self._seen_fields)
            if boot is self.boot:
                boot.chains.support(supported_fields(self.info.ss, self.info.kernel))

    def _leave_out_own(self) -> None:
        own = {r.key.socket for r in self.stalls if r.key.socket[:4] in self._own}
        if not own:
            return
        self._book.leave_out(self.node.name, own)
        self._open = {number: r for number, r in self._open.items() if r.key.socket not in own}
        for stalls in (self.stalls, *(link.stalls for link in self.links.values())):
            stalls.leave_out(own)

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

    # ── Stalls ──

    @property
    def stalls_followed(self) -> bool:
        """Whether that node's ss tells what a stall is told by."""
        return "bytes_acked" not in self.missing

    def _judge(self, boot: Boot, waits: Waits, waiting: Waiting) -> tuple[str, bool]:
        link = self.attribution.place(waiting.reading.id).link
        moment = Moment(
            at=boot.clock.operator_time(waiting.at_s),
            onset=boot.clock.axis(waiting.onset_s),
            until=boot.clock.axis(waiting.at_s),
            series=boot.pings(link) if link is not None else (),
        )
        return causes.judge(waiting, self._neighbourhood.around(link, waits, waiting, moment))

    def _take_stalls(self, boot: Boot) -> Iterator[StallEvent]:
        """Fold what the frame told of stalls into their records."""
        chains = boot.chains
        for stall in chains.found:
            yield from self._recorded(boot, stall)
        chains.found.clear()
        waits = chains.waits
        if waits is None or waits.at_s is None:
            return
        if boot is self.boot:
            self._neighbourhood.told(Seen(waits, boot.clock.operator_time(waits.at_s)))
        for stall in waits.open_stalls:
            yield from self._recorded(boot, stall)  # those that nothing new is told of have grown older
        for number, record in list(self._open.items()):
            if not record.open:
                del self._open[number]
            elif (other := self._other_end(record)) is not None:
                record.receiver = other

    def _recorded(self, boot: Boot, stall: Stall) -> Iterator[StallEvent]:
        if stall.seen_by == "receiver" and self._sender_is_seen(stall, boot.clock.operator_time(stall.end_uptime_s)):
            return
        record, is_new, telling = self._book.take(self.node.name, boot.name, boot.clock, stall)
        if is_new:
            self._place(record)
            record.receiver = self._other_end(record)
            self.stalls.add(record)
            if record.link in self.links:
                self.links[record.link].stalls.add(record)
        if record.open:
            self._open[record.number] = record
        if record.process is None:
            record.process = self.process_of(stall.reading.inode)
        if telling:
            yield stallbook.event(record)

    def _place(self, record: StallRecord) -> None:
        """Where it stands. What a receiver sees is of the link towards it."""
        socket = record.key.socket
        link = self.attribution.place(socket).link
        record.service = self.services.of(socket)
        if record.stall.seen_by == "sender":
            record.link = link
            return
        record.link = LinkKey(link.dst, link.src, link.path) if link is not None else None
        local = canonical(socket.local)
        record.path = next((path for path, address in self.node.address.items() if canonical(address) == local), None)

    def _sender_is_seen(self, stall: Stall, at: float) -> bool:
        """Its own socket tells more, and exactly."""
        link = self.attribution.place(stall.id).link
        return link is not None and self._mirror(stall.id, link.dst, at) is not None

    def _other_end(self, record: StallRecord) -> Mapping[str, object] | None:
        """The socket at the other end, where that node is seen now."""
        if record.link is None or record.stall.seen_by == "receiver":
            return None
        reading = self._mirror(
            record.key.socket, record.link.dst, record.clock.operator_time(record.stall.end_uptime_s)
        )
        return stallbook.receiver_evidence(reading) if reading is not None else None

    def _mirror(self, socket: SocketId, node: NodeName, at: float) -> SocketReading | None:
        """The socket at the other end, as that node told of it at about that time."""
        other = self.others.get(node)
        if other is None or other.boot is None or other.boot.newest is None:
            return None
        if abs(other.boot.newest + other.boot.clock.correction_s - at) > _OTHER_END_S:
            return None
        return other.boot.chains.reading_of((socket.peer, socket.peer_port, socket.local, socket.local_port))

    def _crawls(self, boot: Boot) -> dict[LinkKey, str]:
        """The slowest flow of each link that crawls, in words."""
        words: dict[LinkKey, tuple[float, str]] = {}
        for link, crawl in self.crawls(boot):
            slowest = words.get(link)
            if slowest is None or crawl.goodput_bps < slowest[0]:
                now, peak = units.format_rate(crawl.goodput_bps), units.format_rate(crawl.peak_bps)
                words[link] = (crawl.goodput_bps, f"crawl: {now} of a flow that did {peak}, while data waits")
        return {link: text for link, (_, text) in words.items()}

    def crawls(self, boot: Boot) -> Iterator[tuple[LinkKey, Crawl]]:
        """Flows whose goodput collapsed while data waits, as of the newest reading."""
        waits = boot.chains.waits
        if waits is None or waits.at_s is None:
            return
        for id_, crawl in waits.crawls.now(waits.at_s):
            link = boot.chains.link_of(id_)
            if link is not None:
                yield link, crawl

    def _held(self, boot: Boot) -> dict[LinkKey, Held] | None:
        """By link, as of the newest reading; None where it cannot be told."""
        waits = boot.chains.waits
        if waits is None or waits.at_s is None or not (boot.chains.sockets_known and self.stalls_followed):
            return None
        held: dict[LinkKey, Held] = {}
        for link, _ in self.crawls(boot):
            known = held.get(link, _HELD_NONE)
            held[link] = known._replace(crawling=known.crawling + 1)
        for id_, age_s in waits.connecting(waits.at_s):
            link_of = boot.chains.link_of(id_)
            if link_of is not None:
                known = held.get(link_of, _HELD_NONE)
                oldest_s = round(max(age_s, known.oldest_s or 0.0), 3)
                held[link_of] = known._replace(connecting=known.connecting + 1, oldest_s=oldest_s)
        return held

    # ── Counters and sockets ──

    def _take_counters(self, event: FrameReceived, boot: Boot, stream: Stream) -> Iterator[LinkEvent | StallEvent]:
        frame = event.frame
        redundant = boot.chains.redundant
        counters = CounterReading(frame.snmp, frame.netstat, frame.net_dev, frame.softnet)
        steps = boot.chains.fold(frame.probe, Reading(frame.uptime_s, frame.interval_s, counters, frame.sockets))
        yield from self._take_stalls(boot)
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
        crawls = self._crawls(boot) if present else {}
        held = self._held(boot) if present else None
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
                link, cell, stamp, seconds, late, sight, held.get(key, _HELD_NONE) if held is not None else None
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
