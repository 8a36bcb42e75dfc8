"""One boot of a node: its clock, its probes' streams of frames, and the chains of readings put together from them."""

from __future__ import annotations

from typing import NamedTuple

from meshtop.engine.attribution import Attribution, Services
from meshtop.engine.chains import Chains
from meshtop.engine.clockmap import BootClock
from meshtop.engine.counters import CounterDeltas
from meshtop.engine.hosts import Host
from meshtop.engine.probes import PingBook, Series
from meshtop.engine.timeseries import Ring
from meshtop.engine.waits import JudgeOf, Waits
from meshtop.model import LinkKey

# Streams of one boot that are remembered: the one that runs, those that drain, and some for what may still come.
_MAX_STREAMS = 16


class Sample(NamedTuple):
    at: float  # on the axis
    interval_s: float


class Measured(NamedTuple):
    """One interval of the node, on the axis: what its counters did, and for how long its sockets were followed."""

    start: float
    end: float
    counters: CounterDeltas
    sockets_s: float


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
        self.processes: dict[int, str] = {}  # by the inode of their sockets, as far as the node lets us see

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

    def process_of(self, inode: int | None) -> str | None:
        return self.processes.get(inode) if inode is not None else None

    @property
    def newest(self) -> float | None:
        """Time of the newest reading on the axis."""
        uptime_s = self.chains.newest_s
        return self.clock.axis(uptime_s) if uptime_s is not None else None
