"""What waits on one node, over one unbroken chain of readings: stalls, crawls, connections that do not get through.

Everything here is in the node's uptime, and costs next to nothing for sockets at rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from meshtop.engine.attribution import OwnConnections, Service, Services
from meshtop.engine.crawl import Crawls
from meshtop.engine.flows import WITHOUT_INFO
from meshtop.engine.receivers import Receivers
from meshtop.engine.stall import Stall, Waiting
from meshtop.engine.stall_machine import State
from meshtop.engine.stalls import StallDetector
from meshtop.engine.watched import WatchedFlows
from meshtop.model import PathName
from meshtop.readings import SocketChanges, SocketId, SocketReading

# A SYN is sent again after a second (RFC 6298); who is not through by then does not get through at once.
SYN_AFTER_S = 1.0
# As of which pace an acknowledgement must have been of full segments: many at once, or full on average.
_BULK_SEGMENTS = 10
_FULL_SHARE = 0.8
# What is acknowledged within this time of an onset was sent before it.
_UNDER_WAY_S = 0.5
# Segment sizes of one peer that are told apart; there are as many as there are paths and tunnels to it.
_MAX_SIZES = 16
_MAX_PEERS = 512
_TUNNEL_STALLS = 64
# A tunnel that stood still for this share of a wait explains it, though it moves again.
_EXPLAINS_SHARE = 0.5
_MAX_SYN_DOUBLINGS = 10

JudgeOf = Callable[["Waits", Waiting], tuple[str, bool]]


class Waits:
    def __init__(self, own: OwnConnections, services: Services, judge: JudgeOf, supported: frozenset[str]) -> None:
        self._own = own
        self._services = services
        self._judge = judge
        self.detector = StallDetector(self._judged, supported)
        self.crawls = Crawls()
        self.receivers = Receivers()
        self.at_s: float | None = None
        self._connecting: dict[SocketId, float] = {}  # since when
        self._full_size: dict[str, dict[int, float]] = {}  # peer → segment size → when such segments were last acked
        self._tunnel: dict[SocketId, Service] = {}
        self.watched = WatchedFlows()
        self._tunnel_stalls: deque[Stall] = deque(maxlen=_TUNNEL_STALLS)

    def fork(self) -> Waits:
        """For readings that go on after a gap."""
        twin = Waits(self._own, self._services, self._judge, self.detector.supported)
        twin.detector = self.detector.fork(twin._judged)
        twin._connecting = dict(self._connecting)
        twin.receivers = self.receivers.fork()
        twin._tunnel = dict(self._tunnel)
        twin.watched = self.watched
        return twin

    def _judged(self, waiting: Waiting) -> tuple[str, bool]:
        return self._judge(self, waiting)

    # ── Taking in ──

    def observe(self, at: float, changes: SocketChanges, period_s: float) -> list[Stall]:
        """One reading of all sockets; the stalls that opened, changed or closed."""
        self.at_s = at
        gone = set(changes.gone)
        followed: list[SocketReading] = []
        seen: set[SocketId] = set()
        for reading in changes.changed:
            id_ = reading.id
            seen.add(id_)
            gone.discard(id_)
            if reading.state == "SYN-SENT":
                self._see_syn(reading, at)
            elif reading.state in WITHOUT_INFO:
                gone.add(id_)
            else:
                self._connecting.pop(id_, None)
                if self._is_followed(reading):
                    self._see_full_size(reading, at, period_s)
                    followed.append(reading)
                    self.crawls.see(reading, at, period_s)
        if changes.full:
            gone.update(id_ for id_ in self.detector.known if id_ not in seen)
            gone.update(id_ for id_ in self._connecting if id_ not in seen)
        found = self.detector.observe(at, followed, gone, period_s=period_s)
        for reading in followed:
            found += self.receivers.see(reading, at)
        found += self.receivers.unchanged(seen, at)
        self.crawls.unchanged(seen, at, period_s)
        self.watched.observe(at, followed, gone, period_s)
        for id_ in gone:
            found += self.receivers.gone(id_, at)
            self._connecting.pop(id_, None)
            self._tunnel.pop(id_, None)
            self.crawls.forget(id_)
        self._tunnel_stalls.extend(stall for stall in found if stall.outcome != "open" and stall.id in self._tunnel)
        return found

    @property
    def open_stalls(self) -> list[Stall]:
        return [*self.detector.open_stalls, *self.receivers.open_stalls]

    def _is_followed(self, reading: SocketReading) -> bool:
        if self.detector.state(reading.id) is not None:
            return True
        if self._own and reading.id[:4] in self._own:
            return False
        service = self._services.of(reading.id)
        if service.tunnel is not None:
            self._tunnel[reading.id] = service
        if service.watch is not None:
            self.watched.admit(reading.id, service.watch, self._services.remote(reading.id))
        return True

    def leave_out_own(self) -> None:
        """Which connections are meshtop's own has become known."""
        for id_ in [id_ for id_ in self.detector.known if id_[:4] in self._own]:
            self.detector.forget(id_)
            self.crawls.forget(id_)
            self.receivers.gone(id_, 0.0)
            self.watched.forget(id_)
        for id_ in [id_ for id_ in self._connecting if id_[:4] in self._own]:
            del self._connecting[id_]

    def _see_syn(self, reading: SocketReading, at: float) -> None:
        if reading.id in self._connecting or (self._own and reading.id[:4] in self._own):
            return
        sent = max(0, min(reading.timer.retransmits if reading.timer is not None else 0, _MAX_SYN_DOUBLINGS))
        self._connecting[reading.id] = max(0.0, at - (2.0**sent - 1))  # after n time-outs at least 2^n − 1 s

    def _see_full_size(self, reading: SocketReading, at: float, period_s: float) -> None:
        before = self.detector.last(reading.id)
        if before is None or not reading.mss:
            return
        acked = (reading.bytes_acked or 0) - (before.bytes_acked or 0)
        if acked < reading.mss:
            return
        segments = (reading.delivered or 0) - (before.delivered or 0)
        bulk = acked >= _BULK_SEGMENTS * reading.mss
        if bulk or (segments > 0 and acked >= _FULL_SHARE * reading.mss * segments):
            sizes = self._full_size.setdefault(reading.id.peer, {})
            sizes[reading.mss] = at - min(reading.lastack_ms or 0, 1000 * period_s) / 1000
            if len(sizes) > _MAX_SIZES:
                del sizes[min(sizes, key=sizes.__getitem__)]
            if len(self._full_size) > _MAX_PEERS:
                del self._full_size[next(iter(self._full_size))]

    # ── Reading ──

    def connecting(self, at: float) -> list[tuple[SocketId, float]]:
        """The connections that do not get through, and for how long each has been trying."""
        return [(id_, at - since) for id_, since in self._connecting.items() if at - since >= SYN_AFTER_S]

    def full_size_moved(self, reading: SocketReading, since: float) -> bool:
        """Whether segments as large as that socket's were acknowledged by the same peer, to any flow."""
        sizes = self._full_size.get(reading.id.peer, {})
        after = since + max(_UNDER_WAY_S, 2 * (reading.srtt_ms or 0.0) / 1000)
        return any(size >= _FULL_SHARE * (reading.mss or 0) and at > after for size, at in sizes.items())

    def watch_of(self, id_: SocketId) -> str | None:
        return self._services.of(id_).watch

    def tunnel_sockets(self, path: PathName) -> list[tuple[SocketId, Service]]:
        return [(id_, service) for id_, service in self._tunnel.items() if service.tunnel == path]

    def stood_still(self, sockets: set[SocketId], since: float, until: float) -> bool:
        """Whether any of these stalls now, or did so for most of that time."""
        if any(self.detector.state(id_) is State.STALLED for id_ in sockets):
            return True
        still_s = sum(
            min(stall.end_uptime_s, until) - max(stall.start_uptime_s, since)
            for stall in self._tunnel_stalls
            if stall.id in sockets and stall.end_uptime_s > since and stall.start_uptime_s < until
        )
        return still_s > 0 and still_s >= _EXPLAINS_SHARE * (until - since)
