"""All bursts of this session: what was told of them, with what the probes saw of their sockets, of the flows beside
them, and of the pings.

iperf3 before 3.17 tells nothing of its streams while it runs, and the receiving end never knows RTT and
retransmissions; the sender's kernel does. So live intervals are made of the readings of the burst's own sockets, which
are told by the server's port, and of what iperf3 tells only where those are not seen. At the end iperf3's own account
holds, and what it lacks is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from meshtop.burst import (
    BurstInterval,
    BurstPings,
    BurstRaw,
    BurstRecord,
    BurstStream,
    NodeLoad,
)
from meshtop.engine import burst_beside, burst_meter
from meshtop.engine.attribution import Attribution, OwnConnections, Services
from meshtop.engine.burst_intervals import is_whole, merged, summed, thinned
from meshtop.engine.burst_meter import Meter, Metered, Point
from meshtop.engine.burst_open import OpenBurst, Quiet
from meshtop.engine.events import BurstEvent
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.stallbook import StallBook, StallRecord
from meshtop.engine.timeseries import median, rfc3339, utc_seconds
from meshtop.model import BurstTold, FrameReceived, LinkKey, Mesh, NodeName
from meshtop.readings import SocketId

KEPT = 200
BEFORE_S = 10.0
LINGER_S = 3.0  # so long both ends are sampled closely afterwards: flows recover, and bursts come in rows
OVER = frozenset(("done", "failed", "aborted"))
# iperf3 tells of itself twice a second; sockets that were not seen for longer than this are not seen.
_UNSEEN_S = 0.9
# By as much iperf3's beginning and the one that was seen may differ.
_CLOCKS_S = 0.1
# What a burst leaves in the queues of its lines has gone by then …
_SETTLED_S = 0.5
# … and a ping a second was answered. Before a burst that follows sooner, what counts is how it was before the first.
_LEAST_QUIET_S = 2.0
_NEWS_LATE_S = 3.0  # half a second, and what a full line adds
_TALK_BYTES = 2000  # a stream's cookie is less, a load's first round trip more


class Past(NamedTuple):
    """The last burst of a node."""

    ended_at: float
    quiet: Quiet


class BurstBook:
    def __init__(
        self, mesh: Mesh, nodes: Mapping[NodeName, NodeRecord], stalls: StallBook, own: OwnConnections
    ) -> None:
        self._nodes = nodes
        self._stalls = stalls
        self._meters = {
            node.name: Meter(Attribution(mesh, node.name, own), Services(mesh, node.name)) for node in mesh.nodes
        }
        self._records: dict[str, BurstRecord] = {}  # without ``raw``
        self._open: dict[str, OpenBurst] = {}
        self._past: dict[NodeName, Past] = {}

    # ── In ──

    def told(self, event: BurstTold) -> Iterator[BurstEvent]:
        record = event.burst
        burst = self._open.get(record.id)
        if burst is None:
            burst = self._open[record.id] = OpenBurst(record)
        known = self._records.get(record.id)
        match event.phase:
            case "started":
                burst.record = record
                burst.began_at = self._began(burst, event.at)
                burst.quiet = self._quiet(burst, burst.began_at)
                burst.beside = burst_beside.standing(burst, self._meters, burst.began_at)
                burst.record = msgspec.structs.replace(record, intervals=(), loaded=rfc3339(burst.began_at))
            case "interval":
                if not self._tells(burst, record.intervals):
                    return
                intervals = self._with_news(burst, known, record.intervals)
                burst.record = msgspec.structs.replace(record, intervals=intervals, loaded=burst.record.loaded)
            case "closed":
                burst.ended_at = event.at
                if burst.began_at is not None:
                    self._past.update(dict.fromkeys((record.src, record.dst), Past(event.at, burst.quiet)))
                del self._open[record.id]
                burst.record = self._complete(burst, record, known)
            case _:
                burst.record = record
        if event.phase != "closed":
            burst.record = self._seen(burst, burst.record, event.at)
        yield self._keep(burst, event.phase, event.at, record.raw)
        if event.phase == "started":
            yield from self._catch_up(burst)

    def _began(self, burst: OpenBurst, told_at: float) -> float:
        """When the load began. iperf3's server says that somebody has connected when it tells its first interval, half
        a second later; the frames of the sender's probe show it sooner."""
        meter = self._meters[burst.sender]
        moving = [m.first_above(_TALK_BYTES) for _, m in self._streams(burst, told_at - _NEWS_LATE_S)]
        first = min((at for at in moving if at is not None), default=None)
        if first is None:
            return told_at
        begun = utc_seconds(burst.record.started) if burst.record.started else 0.0
        return max(begun, min(told_at, meter.frame_before(first) or first))

    def _tells(self, burst: OpenBurst, news: Sequence[BurstInterval]) -> bool:
        """Whether iperf3's interval is of use: its sockets tell more, unless it tells of each stream itself."""
        if any(each.streams for each in news):
            burst.told_streams = True
            return True
        if burst.told_streams or burst.began_at is None or not news:
            return False
        if burst.is_udp:
            return True
        seen_s = burst.seen_at - burst.began_at if burst.seen_at is not None else 0.0
        return news[-1].t > seen_s + _UNSEEN_S

    def _with_news(
        self, burst: OpenBurst, known: BurstRecord | None, news: Sequence[BurstInterval]
    ) -> tuple[BurstInterval, ...]:
        before = known.intervals if known is not None else ()
        if burst.told_streams:
            before = tuple(each for each in before if each.source != "ss")
        t = before[-1].t if before else 0.0
        return (*before, *(self._filled(burst, each, t) for each in news))

    def frame(self, event: FrameReceived, at: float) -> Iterator[BurstEvent]:
        """``at``: the operator's UTC at which the frame was made."""
        sockets = event.frame.sockets
        if sockets is None:
            return
        self._meters[event.node].take(sockets, at)
        for burst in self._open.values():
            if burst.sender == event.node:
                yield from self._catch_up(burst)

    def _catch_up(self, burst: OpenBurst) -> Iterator[BurstEvent]:
        """An interval for each frame of the sender since the last."""
        if burst.began_at is None or burst.is_udp or burst.told_streams:
            return
        meter = self._meters[burst.sender]
        for at in meter.frames_after(burst.seen_at or burst.began_at):
            interval = self._of_sockets(burst, at)
            if interval is not None:
                intervals = thinned((*burst.record.intervals, interval))
                record = msgspec.structs.replace(burst.record, intervals=intervals)
                burst.record = self._seen(burst, record, at)
                yield self._keep(burst, "interval", at, BurstRaw())

    def _keep(self, burst: OpenBurst, phase: Any, at: float, raw: BurstRaw) -> BurstEvent:
        record = self._records[burst.record.id] = burst.record
        while len(self._records) > KEPT:
            oldest = next((each for each in self._records if each not in self._open), None)
            if oldest is None:
                break
            del self._records[oldest]
        if phase == "interval":
            record = msgspec.structs.replace(record, intervals=record.intervals[-1:])
        fields = {name: getattr(record, name) for name in record.__struct_fields__ if name != "raw"}
        return BurstEvent(at=rfc3339(at), phase=phase, raw=raw, **fields)

    # ── Its sockets ──

    def _streams(self, burst: OpenBurst, since: float) -> list[tuple[SocketId, Metered]]:
        """The sender's sockets of the burst that carry data; that which iperf3 talks over moves next to nothing."""
        sender = burst.sender
        own = [
            (id_, each)
            for id_, each in self._meters[sender].sockets()
            if burst.is_own(sender, id_) and each.points[-1].at >= since
        ]
        expected = burst.record.streams * (2 if burst.record.requested.get("bidir") else 1)
        if len(own) > expected:
            own.sort(key=lambda pair: max(pair[1].points[-1].acked, pair[1].points[-1].received))
            own = own[len(own) - expected :]
        if burst.record.requested.get("bidir"):
            own = [(id_, each) for id_, each in own if each.points[-1].acked > each.points[-1].received]
        return sorted(own)

    def _of_sockets(self, burst: OpenBurst, at: float) -> BurstInterval | None:
        """From the last such interval to ``at``; None while there is no socket to see, or nothing new."""
        assert burst.began_at is not None  # noqa: S101  # it has begun
        streams = self._streams(burst, burst.began_at)
        if not streams:
            return None
        interval = _interval(burst, streams, burst.seen_at or burst.began_at, at)
        burst.seen_at = at
        through = all(each.gone_at is not None or not each.points[-1].pending for _, each in streams)
        return None if interval.bps == 0 and through else interval  # what follows is iperf3's own talk

    def _filled(self, burst: OpenBurst, told: BurstInterval, since_t: float) -> BurstInterval:
        """iperf3's interval with what only the sender's kernel knows, where iperf3 did not say it."""
        if burst.began_at is None or burst.is_udp or is_whole(told) or told.t <= since_t:
            return told
        streams = self._streams(burst, burst.began_at)
        if not streams:
            return told
        return merged(told, _interval(burst, streams, burst.began_at + since_t, burst.began_at + told.t))

    # ── What the probes saw ──

    def _seen(self, burst: OpenBurst, record: BurstRecord, now: float) -> BurstRecord:
        if burst.began_at is None:
            return record
        stalls = self._stalls_of(burst)
        watched = self._is_watched(burst)
        beside = burst_beside.bystanders(burst, self._meters, self._nodes, now)
        return msgspec.structs.replace(
            record,
            stalls=tuple(each.view() for each in stalls) if watched else None,
            longest_stall_s=_longest(stalls) if watched else None,
            bystanders=beside if watched or burst.is_udp else None,
            pings=self._pings(burst, now),
        )

    def _complete(self, burst: OpenBurst, record: BurstRecord, known: BurstRecord | None) -> BurstRecord:
        if burst.began_at is None:
            return msgspec.structs.replace(record, raw=BurstRaw())
        intervals: list[BurstInterval] = []
        for each in record.intervals:
            since_t = intervals[-1].t if intervals else 0.0
            seen = [k for k in (known.intervals if known is not None else ()) if since_t < k.t - _CLOCKS_S <= each.t]
            intervals.append(each if is_whole(each) or not seen else merged(each, summed(seen)))
        if known is not None and not any(each.streams for each in intervals):
            intervals = list(known.intervals) or intervals
        record = msgspec.structs.replace(record, intervals=tuple(intervals), loaded=burst.record.loaded, raw=BurstRaw())
        return self._seen(burst, record, burst.ended_at or burst.began_at)

    def _is_watched(self, burst: OpenBurst) -> bool:
        """Whether the sender's sockets were read while it ran."""
        node = self._nodes[burst.sender]
        newest = self._meters[burst.sender].newest_at
        return not burst.is_udp and node.stalls_followed and newest is not None and newest >= (burst.began_at or 0.0)

    def _stalls_of(self, burst: OpenBurst) -> list[StallRecord]:
        ends = (burst.record.client, burst.record.server)
        return [
            each
            for each in self._stalls
            if each.key.node in ends
            and burst.is_own(each.key.node, each.key.socket)
            and each.clock.operator_time(each.stall.end_uptime_s) >= (burst.began_at or 0.0)
            and (burst.ended_at is None or each.clock.operator_time(each.stall.start_uptime_s) <= burst.ended_at)
        ]

    def _quiet(self, burst: OpenBurst, began: float) -> Quiet:
        ends = (burst.record.src, burst.record.dst)
        after = began - BEFORE_S
        last = max((self._past[end] for end in ends if end in self._past), key=attrgetter("ended_at"), default=None)
        if last is not None:
            after = max(after, last.ended_at + _SETTLED_S)
            if began - after < _LEAST_QUIET_S:
                return last.quiet
        return burst_beside.quiet(burst, self._meters, after, began)

    def _pings(self, burst: OpenBurst, now: float) -> BurstPings | None:
        record = burst.record
        node = self._nodes[record.src]
        link = node.links.get(LinkKey(record.src, record.dst, record.path))
        if link is not None and link.obstacle is not None:  # it cannot be dialled, but it can dial
            node = self._nodes[record.dst]
            link = node.links.get(LinkKey(record.dst, record.src, record.path))
        if link is None or burst.began_at is None or node.boot is None or not link.ever_answered:
            return None
        began, until = node.axis_now(burst.began_at), node.axis_now(min(now, burst.ended_at or now))
        quiet = node.axis_now(burst.quiet.after), node.axis_now(burst.quiet.upto)
        before, _ = link.small.tally(*quiet)
        full_before, _ = link.full.tally(*quiet)
        rtts, lost = link.small.tally(began, until)
        full_rtts, full_lost = link.full.tally(began, until)
        return BurstPings(
            rtt_before_ms=_rounded(median(before)),
            rtt_ms=_rounded(median(rtts)),
            rtt_full_before_ms=_rounded(median(full_before)),
            rtt_full_ms=_rounded(median(full_rtts)),
            loss_pct=_loss_pct(lost, len(rtts)),
            loss_full_pct=_loss_pct(full_lost, len(full_rtts)),
        )

    # ── Out ──

    def __iter__(self) -> Iterator[BurstRecord]:
        """In the order in which they were asked for, which is not always that in which they were told of."""
        return iter(sorted(self._records.values(), key=_place))

    def get(self, identity: str) -> BurstRecord | None:
        return self._records.get(identity)

    def loaded_nodes(self, now: float) -> set[NodeName]:
        """The ends of what is being sent now, is about to be or just was: they are sampled closely."""
        active = (burst.record for burst in self._open.values() if burst.record.state not in ("queued", *OVER))
        lately = {node for node, past in self._past.items() if now - past.ended_at < LINGER_S}
        return lately | {node for record in active for node in (record.src, record.dst)}

    def overlapping(self, after: float) -> tuple[BurstRecord, ...]:
        """Those that wait or run, and those that ended after that moment (operator's UTC)."""
        stamp = rfc3339(after)
        return tuple(each for each in self if each.ended is None or each.ended > stamp)

    def loads(self, now: float) -> dict[NodeName, NodeLoad]:
        return burst_meter.loads(self._meters, now)

    def seen_until(self, node: NodeName) -> float | None:
        meter = self._meters.get(node)
        return meter.newest_at if meter is not None else None


def _place(record: BurstRecord) -> tuple[int, str]:
    return len(record.id), record.id  # b2, b10


def _interval(
    burst: OpenBurst, streams: Iterable[tuple[SocketId, Metered]], after: float, upto: float
) -> BurstInterval:
    client_side = burst.sender == burst.record.client
    parts = []
    for socket, metered in streams:
        last = metered.stood(upto)
        if last is None:
            continue
        first = metered.stood(after) or Point(after)
        parts.append(
            BurstStream(
                port=socket.local_port if client_side else socket.peer_port,
                bps=round(8 * max(0, last.acked - first.acked) / (upto - after)),
                retransmits=max(0, last.retrans - first.retrans),
                rtt_ms=last.srtt_ms,
                cwnd_bytes=last.cwnd_bytes,
            )
        )
    rtts = [each.rtt_ms for each in parts if each.rtt_ms is not None]
    windows = [each.cwnd_bytes for each in parts if each.cwnd_bytes is not None]
    return BurstInterval(
        t=round(upto - (burst.began_at or after), 3),
        bps=sum(each.bps or 0.0 for each in parts),
        retransmits=sum(each.retransmits or 0 for each in parts),
        rtt_ms=round(sum(rtts) / len(rtts), 3) if rtts else None,
        cwnd_bytes=sum(windows) if windows else None,
        streams=tuple(parts),
        source="ss",
    )


def _longest(stalls: Sequence[StallRecord]) -> float:
    return round(max((each.stall.duration_s for each in stalls), default=0.0), 3)


def _loss_pct(lost: int, answered: int) -> float | None:
    return round(100 * lost / (lost + answered), 2) if lost + answered else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
