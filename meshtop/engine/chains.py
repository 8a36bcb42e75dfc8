"""The readings of several probes of one boot, put together so that every moment is counted once.

All probes of a node read the same counters of the same kernel. After an outage a fresh probe runs while an old one's
buffered frames still arrive. A chain is a stretch of time that is counted without a gap; a fresh probe begins a chain
of its own, the late frames of the old one make its chain longer, and when the two meet they become one. The last bit
in between is exact, because the counters of the later chain's first reading are kept. If the late frames never come,
the stretch between the chains stays a gap.

What waits on the node is followed chain by chain as well: a fresh chain goes on with what the one before knew, over a
gap; when the gap fills, what was learnt of it replaces what was assumed.
"""

from __future__ import annotations

from typing import NamedTuple

from meshtop.engine.attribution import Attribution
from meshtop.engine.counters import CounterDeltas, CounterReading, difference
from meshtop.engine.flows import Activities, FlowTable, Gauges, Standing
from meshtop.engine.stall import Stall
from meshtop.engine.waits import Waits
from meshtop.model import LinkKey
from meshtop.readings import SocketChanges, SocketId, SocketReading

# Two readings closer than this many intervals have no reading missing in between (a tick may be a little late).
_ADJACENT = 1.1
# Stretches apart that are waited for; more than a few outages within the retention never heal anyhow.
_MAX_CHAINS = 8
_MAX_PROBES = 16


class Reading(NamedTuple):
    """The cumulative part of one frame."""

    uptime_s: float
    interval_s: float
    counters: CounterReading
    sockets: SocketChanges | None


class Step(NamedTuple):
    """One interval that is now measured, in seconds of the node's uptime. ``activities`` is what the sockets did in the
    last ``sockets_s`` seconds of it (more than the interval, if they could not be read at its start); None where that
    is not known."""

    start_s: float
    end_s: float
    counters: CounterDeltas
    activities: Activities | None
    sockets_s: float


class _Chain:
    __slots__ = (
        "counters",
        "end_s",
        "first_counters",
        "first_interval_s",
        "first_sockets",
        "first_standing",
        "flows",
        "forked_at_s",
        "found",
        "sockets_at_s",
        "start_s",
        "waits",
    )

    def __init__(self, reading: Reading, attribution: Attribution, waits: Waits | None, found: list[Stall]) -> None:
        self.start_s = self.end_s = reading.uptime_s
        self.counters = self.first_counters = reading.counters
        self.flows = FlowTable(attribution)
        self.waits = waits
        self.forked_at_s: float | None = None  # up to when the chain before had told what waits, when this one began
        self.found = found
        self.first_sockets = reading.sockets
        self.first_interval_s = reading.interval_s
        self.sockets_at_s: float | None = None  # when the sockets were last read
        if reading.sockets is not None:
            self.flows.fold(reading.sockets, reading.interval_s)
            self.sockets_at_s = reading.uptime_s
            self._follow(reading.uptime_s, reading.sockets, reading.interval_s)
        self.first_standing: Standing | None = self.flows.standing() if self.flows.complete else None

    def _follow(self, uptime_s: float, sockets: SocketChanges, interval_s: float) -> None:
        if self.waits is not None:
            self.found.extend(self.waits.observe(uptime_s, sockets, interval_s))

    def _go_on_from(self, earlier: _Chain) -> None:
        """What waited until this chain began is known now."""
        first = self.first_sockets
        if self.waits is None or earlier.waits is None or earlier.end_s == self.forked_at_s:
            return
        if first is not None and first.full:
            earlier._follow(self.start_s, first, self.first_interval_s)
            self.found.extend(self.waits.detector.continue_from(earlier.waits.detector, self.start_s))

    def extend(self, reading: Reading) -> Step:
        seconds = reading.uptime_s - self.end_s
        activities, sockets_s = None, 0.0
        if reading.sockets is not None:
            since_s = reading.uptime_s - (self.end_s if self.sockets_at_s is None else self.sockets_at_s)
            activities = self.flows.fold(reading.sockets, since_s)
            sockets_s = since_s if activities is not None else 0.0
            self.sockets_at_s = reading.uptime_s
            self._follow(reading.uptime_s, reading.sockets, reading.interval_s)
        counters = difference(self.counters, reading.counters, seconds)
        step = Step(self.end_s, reading.uptime_s, counters, activities, sockets_s)
        self.end_s, self.counters = reading.uptime_s, reading.counters
        return step

    def absorb_earlier(self, earlier: _Chain) -> Step:
        """Join with the chain before this one: the bit in between is measured."""
        seconds = self.start_s - earlier.end_s
        activities, sockets_s = None, 0.0
        if self.first_standing is not None and earlier.sockets_at_s is not None:
            since_s = self.start_s - earlier.sockets_at_s
            activities = earlier.flows.moved_until(self.first_standing, since_s)
            sockets_s = since_s if activities is not None else 0.0
        counters = difference(earlier.counters, self.first_counters, seconds)
        step = Step(earlier.end_s, self.start_s, counters, activities, sockets_s)
        self._go_on_from(earlier)
        self.start_s, self.forked_at_s = earlier.start_s, earlier.forked_at_s
        self.first_counters, self.first_standing = earlier.first_counters, earlier.first_standing
        self.first_sockets, self.first_interval_s = earlier.first_sockets, earlier.first_interval_s
        return step


class Chains:
    """All chains of one boot, in the order of their time."""

    def __init__(self, attribution: Attribution, waits: Waits | None = None) -> None:
        """``waits``: what each chain begins to follow with; None: nothing."""
        self._attribution = attribution
        self._waits = waits
        self.found: list[Stall] = []  # stalls that opened, changed or closed; who reads them takes them out
        self._chains: list[_Chain] = []
        self._of_probe: dict[str, _Chain] = {}
        self.redundant = 0  # readings of stretches that were counted already

    @property
    def newest_s(self) -> float | None:
        """Uptime of the newest reading."""
        return self._chains[-1].end_s if self._chains else None

    @property
    def counters(self) -> CounterReading | None:
        return self._chains[-1].counters if self._chains else None

    @property
    def sockets_known(self) -> bool:
        """Whether the newest reading tells all sockets."""
        return bool(self._chains) and self._chains[-1].flows.complete and self._chains[-1].sockets_at_s == self.newest_s

    @property
    def sockets_total(self) -> int:
        return self._chains[-1].flows.total if self._chains else 0

    @property
    def unattributed(self) -> int:
        return self._chains[-1].flows.unattributed if self._chains else 0

    @property
    def flows(self) -> FlowTable | None:
        """The sockets as of the newest reading."""
        return self._chains[-1].flows if self._chains else None

    def gauges(self, link: LinkKey) -> Gauges:
        return self._chains[-1].flows.gauges(link) if self._chains else Gauges()

    @property
    def waits(self) -> Waits | None:
        """What waits, as of the newest reading."""
        return self._chains[-1].waits if self._chains else None

    def link_of(self, socket: SocketId) -> LinkKey | None:
        return self._chains[-1].flows.link_of(socket) if self._chains else None

    def reading_of(self, ends: tuple[str, int, str, int]) -> SocketReading | None:
        """The newest reading of the socket between these ends."""
        if not self._chains:
            return None
        chain = self._chains[-1]
        socket = chain.flows.socket_of(ends)
        return chain.waits.detector.last(socket) if socket is not None and chain.waits is not None else None

    def support(self, fields: frozenset[str]) -> None:
        """The node's ss leaves these fields out only when they are zero."""
        if self._waits is not None:
            self._waits.detector.supported = fields
        for chain in self._chains:
            if chain.waits is not None:
                chain.waits.detector.supported = fields

    def place_anew(self) -> None:
        for chain in self._chains:
            chain.flows.place_anew()
            if chain.waits is not None:
                chain.waits.leave_out_own()

    def fold(self, probe: str, reading: Reading) -> tuple[Step, ...]:
        """Take in one reading; the intervals that it measures, in the order of time. A reading within a stretch that is
        counted already measures none."""
        chain = self._of_probe.get(probe)
        if chain is None:
            return self._begin(probe, reading)
        steps: list[Step] = []
        while (later := self._after(chain)) is not None and reading.uptime_s >= later.start_s:
            steps.append(self._join(chain, later))
            chain = later
        if reading.uptime_s <= chain.end_s:
            self.redundant += 1
            return tuple(steps)
        steps.append(chain.extend(reading))
        later = self._after(chain)
        if later is not None and later.start_s - chain.end_s <= _ADJACENT * reading.interval_s:
            steps.append(self._join(chain, later))
        return tuple(steps)

    def _begin(self, probe: str, reading: Reading) -> tuple[Step, ...]:
        now = reading.uptime_s
        for known in self._chains:
            if known.start_s <= now <= known.end_s:
                self._of_probe[probe] = known
                self.redundant += 1
                return ()
        where = sum(known.end_s < now for known in self._chains)
        before = self._chains[where - 1] if where else None
        waits = self._waits
        if before is not None and before.waits is not None:
            waits = before.waits
        chain = _Chain(reading, self._attribution, waits.fork() if waits is not None else None, self.found)
        chain.forked_at_s = before.end_s if before is not None else None
        self._chains.insert(where, chain)
        self._of_probe[probe] = chain
        steps: list[Step] = []
        near = _ADJACENT * reading.interval_s
        if where > 0 and now - self._chains[where - 1].end_s <= near:
            steps.append(self._join(self._chains[where - 1], chain))
        later = self._after(chain)
        if later is not None and later.start_s - now <= near:
            steps.append(self._join(chain, later))
        self._limit()
        return tuple(steps)

    def _after(self, chain: _Chain) -> _Chain | None:
        if chain is self._chains[-1]:
            return None
        return self._chains[self._chains.index(chain) + 1]

    def _join(self, earlier: _Chain, later: _Chain) -> Step:
        step = later.absorb_earlier(earlier)
        self._chains.remove(earlier)
        for probe, chain in self._of_probe.items():
            if chain is earlier:
                self._of_probe[probe] = later
        return step

    def _limit(self) -> None:
        while len(self._of_probe) > _MAX_PROBES:
            del self._of_probe[next(iter(self._of_probe))]
        while len(self._chains) > _MAX_CHAINS:
            dropped = self._chains.pop(0)
            for probe in [probe for probe, chain in self._of_probe.items() if chain is dropped]:
                del self._of_probe[probe]
