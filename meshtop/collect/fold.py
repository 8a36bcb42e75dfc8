"""Recordings folded: an engine with the readers of the frames that it was fed, at one moment of a recording.

A fold can be kept as bytes and taken up again, and so a replay goes back in time without folding all that came before.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import zlib
from collections.abc import Iterator

from meshtop.collect.feed import frame_event
from meshtop.engine.engine import Engine
from meshtop.engine.events import StreamEvent
from meshtop.model import Mesh, NodeName
from meshtop.parse.frame import FrameReader
from meshtop.recording import FrameRecord, Record, RecordingReader, TickRecord
from meshtop.recording.recent import is_key

# Where nothing was kept: a key frame of each connection comes once a minute, and a few seconds of slack with it.
WARM_UP_S = 70.0


class Fold:
    """``after``: the number of the last block that is folded whole; -1: none is."""

    def __init__(self, mesh: Mesh, engine: Engine | None = None) -> None:
        self.engine = engine or Engine(mesh)
        self.after = -1
        self.at: float | None = None
        self._readers: dict[tuple[NodeName, int], FrameReader] = {}

    def take(self, record: Record) -> tuple[StreamEvent, ...]:
        """Fold one record; what `meshtop stream` says of it."""
        self.at = record.at if self.at is None else max(self.at, record.at)
        if isinstance(record, TickRecord):
            return self.engine.tick(record.at)
        if isinstance(record, FrameRecord):
            if (record.node, record.connection) not in self._readers and not is_key(record.raw):
                return ()  # builds on what was before the beginning
            reader = self._readers.setdefault((record.node, record.connection), FrameReader())
            event = frame_event(reader, record.node, record.connection, record.at, record.raw)
            return self.engine.receive(event)
        return self.engine.receive(record)

    def kept(self) -> bytes:
        with without_looking_for_garbage():
            return zlib.compress(pickle.dumps(self, pickle.HIGHEST_PROTOCOL), 1)

    @staticmethod
    def again(kept: bytes) -> Fold:
        """From bytes that this very version of meshtop has made, on this machine, a moment ago."""
        data = zlib.decompress(kept)
        with without_looking_for_garbage():
            fold = pickle.loads(data)  # noqa: S301  # never from a file that somebody gave us
        assert isinstance(fold, Fold)  # noqa: S101
        return fold


@contextlib.contextmanager
def without_looking_for_garbage() -> Iterator[None]:
    """Of hundreds of thousands of new objects none is garbage; looking takes four times as long as making them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class Reel:
    """A recording that is played: the fold, and the records that come next."""

    def __init__(self, reader: RecordingReader, fold: Fold) -> None:
        self.fold = fold
        self._coming = self._records(reader, fold)
        self._next: Record | None = next(self._coming, None)

    @classmethod
    def cold(cls, reader: RecordingReader, at: float) -> Reel:
        """At ``at``, with nothing kept: folds the minute before it, from the last fresh block on."""
        fold = Fold(reader.header.mesh)
        if at - WARM_UP_S > reader.first_at:
            fold.after = reader.fresh_block(at - WARM_UP_S) - 1
        reel = cls(reader, fold)
        reel.forward(at)
        return reel

    @property
    def over(self) -> bool:
        return self._next is None

    @property
    def next_at(self) -> float | None:
        return None if self._next is None else self._next.at

    def step(self) -> None:
        """Fold one record. There must be one."""
        record = self._next
        if record is not None:
            self.fold.take(record)
            self._next = next(self._coming, None)

    def forward(self, at: float) -> None:
        """Fold all that came up to ``at``."""
        while self._next is not None and self._next.at <= at:
            self.step()

    @staticmethod
    def _records(reader: RecordingReader, fold: Fold) -> Iterator[Record]:
        for _, records in reader.blocks_from(fold.after + 1):
            yield from records
