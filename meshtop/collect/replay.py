"""Recordings back into events: each record goes through the same intake as when it was live.

Folding one at once is a loop over :func:`events`; :class:`Player` hands them out at the pace at which they came, in the
place of the collector.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from meshtop.collect.clock import Clock
from meshtop.collect.feed import Sink, frame_event
from meshtop.model import EngineEvent, NodeName
from meshtop.parse.frame import FrameReader
from meshtop.recording import FrameRecord, Record, RecordingReader, TickRecord


def events(records: Iterable[Record]) -> Iterator[EngineEvent | TickRecord]:
    """What the engine received, and when it was asked to look at the clock, in that order.

    A recording that is entered in its middle begins with frames that say only what changed: until a connection's next
    key frame these become ``BytesDropped``, as after damage on a live connection.
    """
    readers: dict[tuple[NodeName, int], FrameReader] = {}
    for record in records:
        if not isinstance(record, FrameRecord):
            yield record
            continue
        reader = readers.setdefault((record.node, record.connection), FrameReader())
        yield frame_event(reader, record.node, record.connection, record.at, record.raw)


class ReplayClock(Clock):
    """The time of a recording: starts with it, runs ``speed`` times as fast as the wall
    clock, stands still at its end."""

    def __init__(
        self, first_at: float, last_at: float, speed: float = 1.0, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(wall=lambda: first_at, ticks=ticks)
        self.first_at, self.last_at, self.speed = first_at, last_at, speed

    def now(self) -> float:
        """The operator's UTC at the time of the recording."""
        return min(self.last_at, self.first_at + self.speed * (super().now() - self.first_at))

    def seconds_until(self, at: float) -> float:
        """Of the wall clock; 0 when it is past."""
        return max(0.0, (min(at, self.last_at) - self.now()) / self.speed)


class Player:
    """Plays a recording in the place of a live collector. ``said_end`` is called once all has been played."""

    def __init__(self, reader: RecordingReader, sink: Sink, clock: ReplayClock, said_end: Callable[[], None]) -> None:
        self._reader = reader
        self._sink = sink
        self._clock = clock
        self._said_end = said_end

    async def run(self) -> None:
        """Until cancelled: the end of the recording is shown until then."""
        for event in events(self._reader.records()):
            if isinstance(event, TickRecord):
                continue  # time passes by the clock
            if (wait_s := self._clock.seconds_until(event.at)) > 0:
                await asyncio.sleep(wait_s)
            self._sink(event)
        self._said_end()
        await asyncio.Event().wait()

    async def set_interval(self, interval_s: float) -> None:
        """What was recorded cannot be sampled anew."""

    async def set_node_interval(self, node: NodeName, interval_s: float) -> None:
        """What was recorded cannot be looked at more closely."""

    async def all_settled(self) -> None:
        """A recording has no nodes to wait for."""

    def session(self, node: NodeName) -> None:
        """Nor any to run something on."""
