"""What really happened to each TCP flow, told from captures: the yardstick for stalls and verdicts.

Reads packets as they passed an interface of the sender (and, where there is one, of the receiver) and knows nothing of
``ss``, of counters or of the engine that it is to judge. Definitions:

* *Retransmission*: a data segment whose first byte had been sent before (RFC 9293 sequence space, 32-bit wrap).
* *Needless*: payload bytes that arrived at the receiver when it had them already. Needs the receiver's capture.
* *Toll*: what the WAN itself says that it did to the packets of a flow (``wanlog.py``): dropped, held, reordered.
* *Stall*: from the last ACK that advanced SND.UNA or, if nothing was outstanding then, from the first segment sent
  after it, to the next ACK that advances. Where the capture or the flow ends first, it is ``lost`` or ``open``. Where
  that ACK closed the window, data waits that no capture shows; a window probe proves it (RFC 9293, 3.8.6.1), and the
  stall began with the ACK.

Captures of both ends are taken on one machine with the kernel's receive time stamps, so that their clocks are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from meshtop.lab.segments import ACK, FIN, RST, SYN, FlowId, Packet, Segment, parse_segment, unwrap
from meshtop.lab.trips import RoundTrips
from meshtop.lab.wanlog import WanEvent
from meshtop.model import Value

# Below this a silence is ordinary pacing, delayed ACKs (40–200 ms) and round trips.
MIN_STALL_S = 0.2


class TrueStall(Value, frozen=True, kw_only=True):
    start: float
    end: float
    outcome: Literal["recovered", "lost", "open"]
    retransmissions: int  # sent within it
    una: int = 0  # the first byte that was not acknowledged, as an unbounded sequence number
    # How long a wait its own round trips explained when it began: two of them, or its retransmission time-out (RFC 6298
    # with Linux' least variance of 200 ms). Where a round trip takes seconds, a shorter wait is no trouble of its own.
    explained_s: float = 0.0
    # By reason, what the WAN did to what the flow waited for: packets from ``una`` on, and ACKs meanwhile. None without
    # the WAN's log.
    wan: Mapping[str, int] | None = None

    @property
    def duration_s(self) -> float:
        return self.end - self.start


class Toll(Value, frozen=True, kw_only=True):
    """What the WAN did to the packets of one direction of a connection; ``dropped`` is by reason."""

    dropped: Mapping[str, int]
    dropped_data: int  # of those, segments with data …
    dropped_bytes: int  # … and their payload
    held: int
    longest_hold_s: float
    reordered: int
    duplicated: int


class FlowTruth(Value, frozen=True, kw_only=True):
    """One direction of one connection. Counts are of what left the sender unless said otherwise."""

    flow: FlowId
    first_at: float
    last_at: float
    data_segments: int
    data_bytes: int
    retransmitted_segments: int
    retransmitted_bytes: int
    acked_bytes: int  # with one for the SYN and one for the FIN
    syn_retransmissions: int
    arrived_bytes: int | None  # payload at the receiver, duplicates counted; None without its capture
    needless_bytes: int | None
    needless_segments: int | None
    stalls: tuple[TrueStall, ...]
    toll: Toll | None = None  # on what the flow sent, and on what came back: None without the WAN's log
    toll_back: Toll | None = None

    @property
    def needless_pct(self) -> float | None:
        """Of the retransmitted bytes, those that the receiver had already; None where either is not known."""
        if self.needless_bytes is None or not self.retransmitted_bytes:
            return None
        return 100.0 * min(1.0, self.needless_bytes / self.retransmitted_bytes)


class _Received:
    """Which bytes have arrived: merged, sorted, disjoint ranges."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, left: int, right: int) -> int:
        """Takes [left, right) in and returns how many of its bytes were there already."""
        known = 0
        kept: list[tuple[int, int]] = []
        new_left, new_right = left, right
        for low, high in self._ranges:
            if high < left or low > right:
                kept.append((low, high))
                continue
            known += max(0, min(high, right) - max(low, left))
            new_left, new_right = min(new_left, low), max(new_right, high)
        kept.append((new_left, new_right))
        kept.sort()
        self._ranges = kept
        return known


class _Sender:
    """One direction of one connection at its sender."""

    def __init__(self, flow: FlowId, at: float) -> None:
        self.flow = flow
        self.first_at = self.last_at = at
        self.isn: int | None = None  # initial sequence number, where the SYN was seen
        self.started = False
        self.una = 0  # SND.UNA and SND.NXT, unbounded: they do not wrap
        self.nxt = 0
        self.acked_bytes = 0
        self.data_segments = self.data_bytes = 0
        self.retransmitted_segments = self.retransmitted_bytes = 0
        self.syn_retransmissions = 0
        self.closed = False
        self.stalls: list[TrueStall] = []
        self._waiting_since: float | None = None
        self._trips = RoundTrips()
        self._shut_since: float | None = None  # all is acknowledged, and the peer takes no more
        self._retransmitted_while_waiting = 0

    def sent(self, at: float, segment: Segment) -> None:
        self.last_at = at
        if segment.flags & RST:
            self._end(at, "lost")
            self.closed = True
            return
        length = segment.payload + bool(segment.flags & SYN) + bool(segment.flags & FIN)
        if not self.started:
            self.started = True
            self.una = self.nxt = segment.seq
            self.isn = segment.seq if segment.flags & SYN else None
        left = unwrap(segment.seq, self.nxt)
        if segment.payload:
            self.data_segments += 1
            self.data_bytes += segment.payload
        if length and left < self.nxt:
            self._sent_again(left, segment)
            self._trips.sent_again(left, at, segment.stamps[0])
        elif length:
            self._trips.sent(left + length, at, segment.stamps[0])
        self.nxt = max(self.nxt, left + length)
        if length and self._waiting_since is None and self.nxt > self.una:
            self._waiting_since = at
        elif not length and left < self.una and self._waiting_since is None:
            self._waiting_since = self._shut_since  # a window probe: there is something to send

    def _sent_again(self, left: int, segment: Segment) -> None:
        if segment.flags & SYN:
            self.syn_retransmissions += 1
        elif segment.payload:
            self.retransmitted_segments += 1
            self.retransmitted_bytes += min(segment.payload, self.nxt - left)
            self._retransmitted_while_waiting += 1

    def acked(self, at: float, segment: Segment) -> None:
        self.last_at = at
        if segment.flags & ACK:
            ack = unwrap(segment.ack, self.una)
            if self.una < ack <= self.nxt:
                self._end(at, "recovered")
                self._trips.acked(ack, at, segment.stamps[1])
                self.acked_bytes += ack - self.una
                self.una = ack
                self._waiting_since = at if self.nxt > self.una else None
                self._shut_since = None
            if segment.window or self.nxt > self.una:
                self._shut_since = None
            elif self._shut_since is None:
                self._shut_since = at
        if segment.flags & RST:
            self._end(at, "lost")
            self.closed = True

    def _end(self, at: float, outcome: Literal["recovered", "lost", "open"]) -> None:
        since = self._waiting_since
        if since is not None and at - since >= MIN_STALL_S:
            self.stalls.append(
                TrueStall(
                    start=since,
                    end=at,
                    outcome=outcome,
                    retransmissions=self._retransmitted_while_waiting,
                    una=self.una,
                    explained_s=self._trips.explained_s,
                )
            )
        self._waiting_since = None
        self._retransmitted_while_waiting = 0

    def finish(self, at: float) -> None:
        if not self.closed:
            self._end(at, "open")


class _Arrivals:
    def __init__(self) -> None:
        self.received = _Received()
        self.near: int | None = None
        self.bytes = 0
        self.needless_bytes = 0
        self.needless_segments = 0

    def take(self, segment: Segment) -> None:
        left = segment.seq if self.near is None else unwrap(segment.seq, self.near)
        self.near = left
        if not segment.payload:
            return
        left += bool(segment.flags & SYN)
        known = self.received.add(left, left + segment.payload)
        self.bytes += segment.payload
        self.needless_bytes += known
        self.needless_segments += known == segment.payload


def check(
    sender: Iterable[Packet], receiver: Iterable[Packet] | None = None, wan: Iterable[WanEvent] | None = None
) -> list[FlowTruth]:
    """The truth of every flow that sent data from the sender's side, in the order in which they began. ``wan`` is the
    WAN's log of that time; it knows the flows that it carries itself, and of a tunnel the outer ones only.

    A 4-tuple that is used again (a SYN with another initial sequence number) is a flow of its own. Packets must be
    in the order of their times.
    """
    live: dict[FlowId, _Sender] = {}
    flows: list[_Sender] = []
    end = 0.0
    for at, outgoing, data in sender:
        segment = parse_segment(data)
        if segment is None:
            continue
        end = at
        if outgoing:
            current = live.get(segment.flow)
            if current is None or _is_new_connection(current, segment):
                current = live[segment.flow] = _Sender(segment.flow, at)
                flows.append(current)
            current.sent(at, segment)
        else:
            back = segment.flow.back()
            if back in live:
                live[back].acked(at, segment)
    for flow in flows:
        flow.finish(end)
    arrivals = None if receiver is None else _arrivals(receiver)
    found = [_truth(flow, arrivals) for flow in flows if flow.data_segments]
    if wan is None:
        return found
    told = _told(wan)
    return [_with_tolls(flow, told) for flow in found]


def _is_new_connection(current: _Sender, segment: Segment) -> bool:
    return bool(segment.flags & SYN) and segment.seq != current.isn


def _arrivals(packets: Iterable[Packet]) -> dict[tuple[FlowId, int | None], _Arrivals]:
    """By flow and initial sequence number (None where the capture began later than the connection)."""
    isn: dict[FlowId, int] = {}
    found: dict[tuple[FlowId, int | None], _Arrivals] = {}
    for _, outgoing, data in packets:
        segment = None if outgoing else parse_segment(data)
        if segment is None:
            continue
        if segment.flags & SYN:
            isn[segment.flow] = segment.seq
        found.setdefault((segment.flow, isn.get(segment.flow)), _Arrivals()).take(segment)
    return found


def _truth(sender: _Sender, arrivals: dict[tuple[FlowId, int | None], _Arrivals] | None) -> FlowTruth:
    arrived = None
    if arrivals is not None:
        arrived = arrivals.get((sender.flow, sender.isn)) or arrivals.get((sender.flow, None)) or _Arrivals()
    return FlowTruth(
        flow=sender.flow,
        first_at=sender.first_at,
        last_at=sender.last_at,
        data_segments=sender.data_segments,
        data_bytes=sender.data_bytes,
        retransmitted_segments=sender.retransmitted_segments,
        retransmitted_bytes=sender.retransmitted_bytes,
        acked_bytes=sender.acked_bytes,
        syn_retransmissions=sender.syn_retransmissions,
        arrived_bytes=arrived.bytes if arrived else None,
        needless_bytes=arrived.needless_bytes if arrived else None,
        needless_segments=arrived.needless_segments if arrived else None,
        stalls=tuple(sender.stalls),
    )


# ── With the WAN's log ───────────────────────────────────────────────────────────────────────────────────────────────

Told = dict[FlowId, list[tuple[WanEvent, Segment]]]


def _told(events: Iterable[WanEvent]) -> Told:
    found: Told = {}
    for event in events:
        segment = parse_segment(event.head)
        if segment is not None:
            found.setdefault(segment.flow, []).append((event, segment))
    return found


def _with_tolls(flow: FlowTruth, told: Told) -> FlowTruth:
    forth, back = (
        [each for each in told.get(way, ()) if flow.first_at <= each[0].at <= flow.last_at]
        for way in (flow.flow, flow.flow.back())
    )
    stalls = tuple(msgspec.structs.replace(stall, wan=_meanwhile(stall, forth, back)) for stall in flow.stalls)
    return msgspec.structs.replace(flow, toll=_toll(forth), toll_back=_toll(back), stalls=stalls)


def _toll(told: list[tuple[WanEvent, Segment]]) -> Toll:
    holds = [event.until - event.at for event, _ in told if event.what == "hold"]
    counts = Counter(event.what for event, _ in told)
    return Toll(
        dropped=Counter(event.why for event, _ in told if event.what == "drop"),
        dropped_data=sum(event.what == "drop" and segment.payload > 0 for event, segment in told),
        dropped_bytes=sum(segment.payload for event, segment in told if event.what == "drop"),
        held=len(holds),
        longest_hold_s=max(holds, default=0.0),
        reordered=counts["reorder"],
        duplicated=counts["duplicate"],
    )


def _meanwhile(
    stall: TrueStall, forth: list[tuple[WanEvent, Segment]], back: list[tuple[WanEvent, Segment]]
) -> Mapping[str, int]:
    """What was sent before the stall began counts too, when the stall waited for it."""
    waited_for = [
        event.why
        for event, segment in forth
        if event.at <= stall.end and unwrap(segment.seq, stall.una) + segment.payload > stall.una
    ]
    return Counter(waited_for + [event.why for event, _ in back if stall.start <= event.at <= stall.end])
