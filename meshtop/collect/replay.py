"""Recordings back into events: each record goes through the same intake as when it was live.

Folding one at once is a loop over :func:`events`; ``collect.playback`` plays one at the pace at which it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshtop.collect.feed import frame_event
from meshtop.model import EngineEvent, NodeName
from meshtop.parse.frame import FrameReader
from meshtop.recording import FrameRecord, Record, TickRecord


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
