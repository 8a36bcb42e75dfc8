"""A recording read through once, by a process of its own: what may be gone to, and folds to go back to.

Run as ``python -m meshtop.collect.scan FILE``; writes messages to standard output and ends with it.
"""

from __future__ import annotations

import gc
import os
import pickle
import struct
import sys
import zlib
from pathlib import Path
from typing import BinaryIO

import msgspec

from meshtop.collect.fold import Fold
from meshtop.engine.events import BurstEvent, FindingEvent, MarkEvent, StallEvent, StreamEvent
from meshtop.engine.timeseries import utc_seconds
from meshtop.engine.view import PlaybackStop, View
from meshtop.model import Value
from meshtop.recording import RecordingReader

# From one to the next a replay has to fold at most that much: below a second for five busy nodes at one sample a
# second, of some two megabytes each. What is shown until then is a view, and these are small and close together.
KEEP_EVERY_S = 20.0
VIEW_EVERY_S = 2.0
LENGTH = struct.Struct("<I")
_VIEW_ENCODER = msgspec.msgpack.Encoder()
_VIEW_DECODER = msgspec.msgpack.Decoder(View)
# A stall is worth a jump from where a link is called stalled; below that there is one wherever something is lossy.
_WORTH_S = 1.0


class Told(Value, frozen=True, kw_only=True):
    """All stops up to ``until``, and the packed view of that moment; with ``fold``, one that was kept then."""

    until: float
    stops: tuple[PlaybackStop, ...]
    view: bytes | None = None
    fold: bytes | None = None


class Stops:
    """What may be gone to, out of the stream of events. A later word on the same thing replaces the earlier."""

    def __init__(self) -> None:
        self._stops: dict[tuple[str, str], PlaybackStop] = {}

    def learn(self, event: StreamEvent) -> None:
        match event:
            case StallEvent() if event.duration_s >= _WORTH_S:
                until = None if event.end is None else utc_seconds(event.end)
                whose = f"{event.src or event.node}→{event.dst or event.flow.peer}"
                text = f"stall {whose} {event.duration_s:.1f} s, {event.cause}"
                self._put(
                    "stall", event.id, PlaybackStop(at=utc_seconds(event.start), until=until, kind="stall", text=text)
                )
            case FindingEvent(phase="open"):
                stop = PlaybackStop(at=utc_seconds(event.at), kind="finding", text=f"{event.code}: {event.summary}")
                self._put("finding", f"{event.id} {event.at}", stop)
            case BurstEvent(phase="started"):
                text = f"burst {event.id} {event.src}→{event.dst} {event.path}"
                self._put("burst", event.id, PlaybackStop(at=utc_seconds(event.at), kind="burst", text=text))
            case MarkEvent():
                stop = PlaybackStop(at=utc_seconds(event.at), kind="mark", text=event.text)
                self._put("mark", f"{event.at} {event.text}", stop)
            case _:
                pass

    def _put(self, kind: str, name: str, stop: PlaybackStop) -> None:
        self._stops[kind, name] = stop

    def all(self) -> tuple[PlaybackStop, ...]:
        return tuple(sorted(self._stops.values(), key=lambda stop: stop.at))


def scan(reader: RecordingReader, out: BinaryIO) -> None:
    """Tell of the whole recording, in its order."""
    fold, stops = Fold(reader.header.mesh), Stops()
    kept_at = viewed_at = reader.first_at
    keeping = True
    for number, records in reader.blocks_from(0):
        for record in records:
            for event in fold.take(record):
                stops.learn(event)
        fold.after = number
        at = fold.at
        if at is None or at - viewed_at < VIEW_EVERY_S:
            continue
        viewed_at = at
        kept: bytes | None = None
        if keeping and at - kept_at >= KEEP_EVERY_S:
            kept_at = at
            try:
                kept = fold.kept()
            except (pickle.PicklingError, TypeError, AttributeError, RecursionError):
                keeping = False  # going on from a seek has to fold more then, and does
        _tell(out, Told(until=at, stops=stops.all(), view=packed_view(fold.engine.view(at)), fold=kept))
    _tell(out, Told(until=reader.last_at, stops=stops.all()))


def packed_view(view: View) -> bytes:
    return zlib.compress(_VIEW_ENCODER.encode(view), 1)


def unpacked_view(packed: bytes) -> View:
    return _VIEW_DECODER.decode(zlib.decompress(packed))


def _tell(out: BinaryIO, told: Told) -> None:
    data = msgspec.msgpack.encode(told)
    out.write(LENGTH.pack(len(data)) + data)
    out.flush()


def main() -> None:
    os.nice(10)  # whoever watches comes first
    gc.set_threshold(100_000, 20, 100)  # little of it is garbage, and what is kept is much
    with RecordingReader(Path(sys.argv[1])) as reader:
        try:
            scan(reader, sys.stdout.buffer)
        except BrokenPipeError:
            # nobody listens any more; Python would complain once more when it flushes at its end
            os._exit(0)


if __name__ == "__main__":
    main()
