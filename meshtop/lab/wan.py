"""The network between the sites, as a pure state machine: packets and times in, packets and times out.

A packet goes through its source's uplink (a drop-tail queue before a serialiser), over the distance of the pair with
the faults in force there, and through its target's downlink (the same again). Time is an argument: ``inject`` takes a
packet at a moment, ``due`` gives what has arrived by a moment. Every event is worked off at the time that it was due
at, not at which it was looked at, so being called late does not add up. Line rates count IP bytes.
"""

from __future__ import annotations

import heapq
import ipaddress
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from meshtop.lab.faults import Fault
from meshtop.lab.faults.base import Happening
from meshtop.lab.faults.lines import Queue
from meshtop.lab.plan import PUBLIC, LineSpec, PortSpec, WanSpec

QUEUE_FULL = "queue-full"
NO_ROUTE = "no-route"
NOT_IPV4 = "not-ipv4"

# Time, what was done, the reason, the packet, and when it went on (for a drop the time again).
Witness = Callable[[float, "Happening", str, "Packet", float], None]


class Packet:
    """One IPv4 packet on its way. Slots, not a tuple of values: thousands a second are made and dropped."""

    __slots__ = ("data", "entered_at", "leg")

    def __init__(self, leg: Leg, data: bytes, entered_at: float) -> None:
        self.leg = leg
        self.data = data
        self.entered_at = entered_at


class Line:
    """One way of an access line. It serves one packet at a time; others wait in order, up to ``limit_bytes``."""

    __slots__ = (
        "busy",
        "dropped",
        "forwarded",
        "forwarded_bytes",
        "leave",
        "limit_bytes",
        "name",
        "rate_bps",
        "waiting",
        "waiting_bytes",
    )

    def __init__(self, name: str, rate_bps: float, limit_bytes: int) -> None:
        self.name = name
        self.rate_bps = rate_bps
        self.limit_bytes = limit_bytes
        self.waiting: deque[Packet] = deque()
        self.waiting_bytes = 0
        self.busy = False
        self.forwarded = 0
        self.forwarded_bytes = 0
        self.dropped = 0
        self.leave: Callable[[float, Packet], None] = _nowhere

    def serve_s(self, packet: Packet) -> float:
        return len(packet.data) * 8 / self.rate_bps


def _nowhere(at: float, packet: Packet) -> None:
    raise AssertionError("the line is not connected")


class Port:
    """Where packets of one site enter and leave one network."""

    __slots__ = ("address", "index", "legs", "net", "site")

    def __init__(self, index: int, spec: PortSpec) -> None:
        self.index = index
        self.net = spec.net
        self.site = spec.site
        self.address = ipaddress.IPv4Address(spec.address).packed
        self.legs: dict[bytes, Leg] = {}


class Leg:
    """The way from one port to another: what a packet of it meets, in order."""

    __slots__ = ("delay_s", "downlink", "faults", "source", "target", "uplink")

    def __init__(self, source: Port, target: Port, uplink: Line | None, downlink: Line | None, delay_s: float) -> None:
        self.source = source
        self.target = target
        self.uplink = uplink
        self.downlink = downlink
        self.delay_s = delay_s
        self.faults: tuple[Fault, ...] = ()

    def added_s(self) -> float:
        """What faults add to the delay of every packet."""
        return sum(fault.added_s for fault in self.faults)


class Arrival(NamedTuple):
    """A packet that has come through: hand ``data`` to the device of port number ``port``. It was due at ``due_at``."""

    port: int
    data: bytes
    due_at: float


class Wan:
    """All sites, lines, legs and packets under way."""

    def __init__(self, spec: WanSpec) -> None:
        self._spec = spec
        self.ports = [Port(index, port) for index, port in enumerate(spec.ports)]
        self.uplinks = {line.site: _line(line, up=True) for line in spec.lines}
        self.downlinks = {line.site: _line(line, up=False) for line in spec.lines}
        for line in self.uplinks.values():
            line.leave = self._leave_uplink
        for line in self.downlinks.values():
            line.leave = self._leave_downlink
        self.faults: list[Fault] = []
        self.drops: Counter[str] = Counter()
        self.injected = 0
        self.answered = 0  # packets of the WAN's own making: ICMP errors
        self.delivered = 0
        self.witness: Witness | None = None
        self.translate: Callable[[bytes], bytes | None] | None = None  # what NAT does to packets of our own on public
        self._random = Random(spec.seed)
        self._events: list[tuple[float, int, Callable[[float, Packet], None], Packet]] = []
        self._serial = 0  # keeps events of one moment in the order in which they were made
        self._arrived: list[Arrival] = []
        for source in self.ports:
            for target in self.ports:
                if source.net == target.net and source is not target:
                    source.legs[target.address] = self._leg(spec, source, target)

    def _leg(self, spec: WanSpec, source: Port, target: Port) -> Leg:
        if source.net in spec.direct_nets:
            return Leg(source, target, None, None, 0.0)
        delay_ms = spec.delays_ms[source.site] + spec.delays_ms[target.site]
        return Leg(source, target, self.uplinks.get(source.site), self.downlinks.get(target.site), delay_ms / 1000)

    def legs(self) -> Iterator[Leg]:
        for port in self.ports:
            yield from port.legs.values()

    # ── Packets ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def inject(self, now: float, port: int, data: bytes) -> None:
        """A packet enters at ``port``, not before those injected already. What cannot be carried is counted."""
        self._work_off(now)  # what was due before must not find the lines as this packet leaves them
        self.injected += 1
        if len(data) < 20 or data[0] >> 4 != 4:
            self.drops[NOT_IPV4] += 1
            return
        leg = self.ports[port].legs.get(data[16:20])
        if leg is None:
            self.drops[NO_ROUTE] += 1
            return
        packet = Packet(leg, data, now)
        if leg.uplink is None:
            self._cross(now, packet)
        else:
            self._enter_line(now, leg.uplink, packet)

    def next_due(self) -> float | None:
        """When ``due`` will next have something to do."""
        return self._events[0][0] if self._events else None

    def due(self, now: float) -> list[Arrival]:
        """Work off all that was due by ``now``; the packets that arrived, in order."""
        self._work_off(now)
        arrived, self._arrived = self._arrived, []
        self.delivered += len(arrived)
        return arrived

    def _work_off(self, now: float) -> None:
        events = self._events
        while events and events[0][0] <= now:
            at, _, act, packet = heapq.heappop(events)
            act(at, packet)

    def in_flight(self) -> int:
        """Packets under way, those that wait before a line included."""
        waiting = sum(len(line.waiting) for lines in (self.uplinks, self.downlinks) for line in lines.values())
        return len(self._events) + waiting + len(self._arrived)

    def drop(self, at: float, reason: str, packet: Packet) -> None:
        self.drops[reason] += 1
        if self.witness is not None:
            self.witness(at, "drop", reason, packet, at)

    def _at(self, at: float, act: Callable[[float, Packet], None], packet: Packet) -> None:
        self._serial += 1
        heapq.heappush(self._events, (at, self._serial, act, packet))

    def _enter_line(self, at: float, line: Line, packet: Packet) -> None:
        if not line.busy:
            line.busy = True
            self._at(at + line.serve_s(packet), line.leave, packet)
        elif line.waiting_bytes + len(packet.data) > line.limit_bytes:
            line.dropped += 1
            self.drop(at, QUEUE_FULL, packet)
        else:
            line.waiting.append(packet)
            line.waiting_bytes += len(packet.data)

    def _served(self, at: float, line: Line, packet: Packet) -> None:
        line.forwarded += 1
        line.forwarded_bytes += len(packet.data)
        if line.waiting:
            following = line.waiting.popleft()
            line.waiting_bytes -= len(following.data)
            self._at(at + line.serve_s(following), line.leave, following)
        else:
            line.busy = False

    def _leave_uplink(self, at: float, packet: Packet) -> None:
        assert packet.leg.uplink is not None  # noqa: S101  # only lines call this
        self._served(at, packet.leg.uplink, packet)
        self._cross(at, packet)

    def _cross(self, at: float, packet: Packet) -> None:
        leg = packet.leg
        if not leg.faults:
            self._at(at + leg.delay_s, self._arrive, packet)
            return
        times: Sequence[float] = (at,)
        for fault in leg.faults:
            times = [later for time in times for later in self._meet(time, fault, packet)]
        for time in times:
            self._at(time + leg.delay_s, self._arrive, packet)

    def _meet(self, at: float, fault: Fault, packet: Packet) -> Sequence[float]:
        """The times at which ``packet`` goes on after ``fault``; what happened to it is told and answered."""
        times = fault.passes(at, packet.data, self._random)
        if not times:
            self.drop(at, fault.kind, packet)
            self._answer(at, fault, packet)
        elif self.witness is not None and fault.told and (len(times) > 1 or times[0] > at):
            self.witness(at, fault.told, fault.kind, packet, times[-1])
        return times

    def _answer(self, at: float, fault: Fault, packet: Packet) -> None:
        answer = fault.answer(packet.data)
        if answer is not None and packet.leg.source.net == PUBLIC and self.translate is not None:
            answer = self.translate(answer)
        if answer is None:
            return
        way_back = packet.leg.target.legs[packet.leg.source.address]
        self.answered += 1
        self._cross(at, Packet(way_back, answer, at))  # from the middle of the way: no uplink, but the faults there

    def _arrive(self, at: float, packet: Packet) -> None:
        downlink = packet.leg.downlink
        if downlink is None:
            self._arrived.append(Arrival(packet.leg.target.index, packet.data, at))
        else:
            self._enter_line(at, downlink, packet)

    def _leave_downlink(self, at: float, packet: Packet) -> None:
        assert packet.leg.downlink is not None  # noqa: S101  # only lines call this
        self._served(at, packet.leg.downlink, packet)
        self._arrived.append(Arrival(packet.leg.target.index, packet.data, at))

    # ── Faults ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_fault(self, fault: Fault) -> None:
        """From now on, also for packets that wait before an uplink. The same kind on the same target is replaced."""
        self.faults = [each for each in self.faults if each.identity() != fault.identity()]
        self.faults.append(fault)
        self._connect_faults()

    def heal(self, target: str | None = None, kind: str | None = None, net: str | None = None) -> list[Fault]:
        """Take faults away: all, or those that fit. Which they were."""
        healed = [each for each in self.faults if each.fits(target, kind, net)]
        self.faults = [each for each in self.faults if each not in healed]
        self._connect_faults()
        return healed

    def _connect_faults(self) -> None:
        for leg in self.legs():
            net, site, peer = leg.source.net, leg.source.site, leg.target.site
            ways = (fault.way(net, site, peer) for fault in self.faults if fault.line_of() is None)
            leg.faults = tuple(way for way in ways if way is not None)
        # A queue may be told in time at the line's rate, so the rates come first, whichever was asked for first.
        of_lines = sorted((each for each in self.faults if each.line_of()), key=lambda each: each.kind == Queue.kind)
        for line, up in [(each, True) for each in self._spec.lines] + [(each, False) for each in self._spec.lines]:
            fresh = _line(line, up=up)
            changed = (fresh.rate_bps, fresh.limit_bytes)
            for fault in of_lines:
                if fault.line_of() == line.site:
                    changed = fault.set_line(*changed, up=up)
            there = (self.uplinks if up else self.downlinks)[line.site]
            there.rate_bps, there.limit_bytes = changed


def _line(spec: LineSpec, *, up: bool) -> Line:
    if up:
        return Line(f"{spec.site}:up", spec.up_bps, spec.up_queue_bytes)
    return Line(f"{spec.site}:down", spec.down_bps, spec.down_queue_bytes)
