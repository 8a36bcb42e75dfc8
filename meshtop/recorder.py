"""Writes what reaches the engine into a recording while it is watched. A disk that is full or gone ends the recording,
never the monitor, and is said once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import meshtop
from meshtop.model import BytesDropped, EngineEvent, FrameReceived, Mesh, NodeName
from meshtop.recording import FrameRecord, Record, RecordingHeader, RecordingWriter, TickRecord


class Recorder:
    """One file that is being written. Raises OSError if it cannot be made; an existing file is never written over."""

    def __init__(self, path: Path, mesh: Mesh, started_at: float, on_failure: Callable[[str], None]) -> None:
        self.path = path
        self._on_failure = on_failure
        header = RecordingHeader(meshtop=meshtop.__version__, started_at=started_at, mesh=mesh)
        # unbuffered: what a killed process has written is in the kernel's hands
        self._writer: RecordingWriter | None = RecordingWriter(path.open("xb", buffering=0), header)

    @property
    def bytes_written(self) -> int | None:
        """None once the recording has ended."""
        return None if self._writer is None else self._writer.bytes_written

    def raw_frame(self, node: NodeName, connection: int, at: float, raw: bytes) -> None:
        self._add(FrameRecord(at, node, connection, raw))

    def event(self, event: EngineEvent) -> None:
        """What is made of a raw frame is left out: the frame itself is recorded."""
        if isinstance(event, FrameReceived) or (isinstance(event, BytesDropped) and event.framed):
            return
        self._add(event)

    def tick(self, at: float) -> None:
        self._add(TickRecord(at))

    def close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self._guarded(writer.close)

    def _add(self, record: Record) -> None:
        if self._writer is not None:
            writer = self._writer
            self._guarded(lambda: writer.add(record))

    def _guarded(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._writer = None
            self._on_failure(f"the recording {self.path} has ended: {error.strerror or error}")
