"""The last minutes of what came, packed and in memory, and the state that they begin with.

From it a recording that is begun later gets its lead, and a report its window although nobody recorded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from meshtop.model import (
    BaselinesKnown,
    BurstTold,
    ExperimentTold,
    IntervalAsked,
    LookTaken,
    NodeName,
    SessionChanged,
)
from meshtop.recording.blocks import Block, Packer
from meshtop.recording.records import FrameRecord, Glance, Record, RecordedEvent

KEPT_S = 15 * 60.0
# Before a time that is still to be told whole there must be a key frame of every connection (one a minute) and a fresh
# block before those (one a minute).
LEAD_S = 130.0
# Five nodes with 20 moving sockets each come to some 17 MB an hour; what is much busier keeps fewer minutes.
MOST_BYTES = 32 << 20
# A connection without frames for that long before a moment says nothing about it.
_SILENT_S = 75.0


class Standing:
    """What holds until something else is said, to be said again at the beginning of a file."""

    def __init__(self) -> None:
        self._sessions: dict[NodeName, SessionChanged] = {}
        self._interval: IntervalAsked | None = None
        self._looks: dict[NodeName, LookTaken] = {}
        self._running: dict[str, BurstTold | ExperimentTold] = {}

    def learn(self, event: Record) -> None:
        match event:
            case SessionChanged(node=node, phase=phase, connection=connection):
                known = self._sessions.get(node)
                # A node that is tried again beside a connection that works is not "connecting"
                if known is None or (phase != "connecting" and connection >= known.connection):
                    self._sessions[node] = event
            case IntervalAsked():
                self._interval = event
                self._looks.clear()
            case LookTaken(node=node):
                self._looks[node] = event
            case BurstTold(phase=phase, burst=burst):
                self._keep(f"burst {burst.id}", event, over=phase == "closed")
            case ExperimentTold(experiment=experiment):
                self._keep(f"experiment {experiment.id}", event, over=experiment.state != "running")
            case _:
                pass

    def _keep(self, name: str, event: BurstTold | ExperimentTold, *, over: bool) -> None:
        if over:
            self._running.pop(name, None)
        else:
            self._running[name] = event

    def events(self) -> tuple[RecordedEvent, ...]:
        interval = () if self._interval is None else (self._interval,)
        return (*self._sessions.values(), *interval, *self._looks.values(), *self._running.values())


class KeyFrames:
    """When each connection last sent a whole frame, and when it last sent any."""

    def __init__(self) -> None:
        self._keys: dict[tuple[NodeName, int], deque[float]] = {}
        self._last: dict[tuple[NodeName, int], float] = {}

    def see(self, frame: FrameRecord) -> None:
        connection = (frame.node, frame.connection)
        self._last[connection] = frame.at
        if is_key(frame.raw):
            self._keys.setdefault(connection, deque()).append(frame.at)

    def forget(self, before: float) -> None:
        for connection in [each for each, at in self._last.items() if at < before]:
            del self._last[connection]
            self._keys.pop(connection, None)
        for times in self._keys.values():
            while len(times) > 1 and times[1] < before:
                times.popleft()

    def needed_from(self, at: float) -> float:
        """The earliest frame that is needed to understand all that comes from ``at`` on."""
        needed = at
        for connection, times in self._keys.items():
            if self._last[connection] < at - _SILENT_S:
                continue
            before = [time for time in times if time <= at]
            if before:
                needed = min(needed, before[-1])
        return needed


def is_key(raw: bytes) -> bool:
    """Whether a frame builds on nothing (docs/frames.md)."""
    words = raw[: raw.find(b"\n", 0, 160)].split(b" ")
    return len(words) == 9 and words[7] == b"K"


class _Kept(NamedTuple):
    block: Block
    standing: tuple[RecordedEvent, ...]  # of a fresh one: what held before it


class Recent:
    """``baselines`` tells what is known of the links' RTTs at this moment."""

    def __init__(self, baselines: Callable[[], BaselinesKnown]) -> None:
        self._baselines = baselines
        self._packer = Packer()
        self._standing = Standing()
        self._before_block: tuple[RecordedEvent, ...] = ()
        self._keys = KeyFrames()
        self._kept: deque[_Kept] = deque()
        self._learnt: list[Record] = []  # of the block in the making
        self.bytes_kept = 0

    def add(self, record: Record | Glance) -> Block | None:
        """The block that is full now, if one is."""
        if isinstance(record, FrameRecord):
            self._keys.see(record)
        elif not isinstance(record, Glance):
            self._learnt.append(record)
        return self._keep(self._packer.add(record))

    def flush(self, *, fresh: bool = False) -> Block | None:
        """Give what is pending; ``fresh``: what comes next can be read without it."""
        block = self._keep(self._packer.flush())
        if fresh:
            self._packer.begin_fresh()
        return block

    def lead(self, at: float) -> tuple[tuple[RecordedEvent, ...], tuple[Block, ...]]:
        """What a file has to begin with so that all is known at ``at``: what held, then blocks."""
        needed = self._keys.needed_from(at)
        starts = [number for number, kept in enumerate(self._kept) if kept.block.fresh]
        usable = [number for number in starts if self._kept[number].block.first_at <= needed] or starts[:1]
        if not usable:
            return self._standing.events(), ()
        start = usable[-1]
        blocks = tuple(kept.block for kept in list(self._kept)[start:])
        began = blocks[0].first_at
        return tuple(msgspec.structs.replace(event, at=began) for event in self._kept[start].standing), blocks

    def _keep(self, block: Block | None) -> Block | None:
        if block is None:
            return None
        standing: tuple[RecordedEvent, ...] = ()
        if block.fresh:
            standing = (*self._standing.events(), self._baselines())
        for record in self._learnt:
            self._standing.learn(record)
        self._learnt.clear()
        self._kept.append(_Kept(block, standing))
        self.bytes_kept += len(block.packed)
        self._forget(block.last_at)
        return block

    def _forget(self, now: float) -> None:
        """Whole stretches from fresh block to fresh block, when the next one is old enough too."""
        while (second := self._second_stretch()) is not None and (
            self._kept[second].block.first_at < now - KEPT_S - LEAD_S or self.bytes_kept > MOST_BYTES
        ):
            for _ in range(second):
                self.bytes_kept -= len(self._kept.popleft().block.packed)
        self._keys.forget(self._kept[0].block.first_at)

    def _second_stretch(self) -> int | None:
        return next(self._stretches(), None)

    def _stretches(self) -> Iterator[int]:
        return (number for number, kept in enumerate(self._kept) if number and kept.block.fresh)
