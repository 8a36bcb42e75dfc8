"""What stands in a recording: its header and its records, as values and as MessagePack."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from meshtop.model import (
    BaselinesForgotten,
    BaselinesKnown,
    BurstTold,
    BytesDropped,
    ExperimentTold,
    IntervalAsked,
    LogLine,
    LookTaken,
    Mark,
    Mesh,
    NodeName,
    OperatorPing,
    SessionChanged,
    SessionStats,
    Value,
)

FORMAT = 1
MAGIC = "meshtop-recording"
SUFFIX = ".mtr"


class RecordingError(Exception):
    """The file is no recording, or none that this version can read. The text says which and what to do."""


class FrameRecord(NamedTuple):
    """A raw frame as it came from a node."""

    at: float
    node: NodeName
    connection: int
    raw: bytes


class TickRecord(NamedTuple):
    """Time passed: the engine was asked to look at the clock."""

    at: float


class Glance(NamedTuple):
    """What a screen showed, packed (``engine.past``): for going to a time before what led to it has been folded. No
    ``Record``: nothing is ever learnt from it, and whoever reads a recording's records does not meet it."""

    at: float
    packed: bytes


RecordedEvent = (
    SessionChanged
    | SessionStats
    | OperatorPing
    | BytesDropped
    | LogLine
    | Mark
    | IntervalAsked
    | BaselinesForgotten
    | LookTaken
    | BurstTold
    | ExperimentTold
    | BaselinesKnown
)
Record = FrameRecord | TickRecord | RecordedEvent

# What stands in the file for each kind; may be added to, never re-used.
_FRAME_KIND, _TICK_KIND, GLANCE_KIND = 0, 1, 14
_EVENT_KINDS: dict[int, type[RecordedEvent]] = {
    2: SessionChanged,
    3: SessionStats,
    4: OperatorPing,
    5: BytesDropped,
    6: LogLine,
    7: Mark,
    8: IntervalAsked,
    9: BaselinesForgotten,
    10: LookTaken,
    11: BurstTold,
    12: ExperimentTold,
    13: BaselinesKnown,
}
_KIND_OF_EVENT = {event: kind for kind, event in _EVENT_KINDS.items()}


class RecordingHeader(Value, frozen=True, kw_only=True):
    """The first line of the file. ``part`` counts the files of a recording that was begun anew by its size; they have
    ``started_at`` in common. What comes before ``lead_until`` is there so that the state is whole by then."""

    magic: str = MAGIC
    format: int = FORMAT
    meshtop: str  # version of the writer
    started_at: float
    mesh: Mesh
    fresh_s: float = 60.0
    part: int = 1
    lead_until: float | None = None
    redacted: bool = False


class Outline(Value, frozen=True, kw_only=True):
    """What every format's first line has, so that a newer one can be named."""

    magic: str
    format: int
    meshtop: str = "?"


def typed(record: Record | Glance) -> tuple[int, Record | Glance]:
    """The record with its kind, as it is encoded."""
    if isinstance(record, Glance):
        return (GLANCE_KIND, record)
    if isinstance(record, FrameRecord):
        return (_FRAME_KIND, record)
    if isinstance(record, TickRecord):
        return (_TICK_KIND, record)
    return (_KIND_OF_EVENT[type(record)], record)


GLANCE: msgspec.msgpack.Decoder[Glance] = msgspec.msgpack.Decoder(Glance)
DECODERS: dict[int, msgspec.msgpack.Decoder[Any]] = {
    _FRAME_KIND: msgspec.msgpack.Decoder(FrameRecord),
    _TICK_KIND: msgspec.msgpack.Decoder(TickRecord),
    **{kind: msgspec.msgpack.Decoder(event) for kind, event in _EVENT_KINDS.items()},
}
