"""A recording into a file."""

from __future__ import annotations

from typing import BinaryIO

import msgspec

from meshtop.recording.blocks import Block, Packer
from meshtop.recording.records import Glance, Record, RecordingHeader


class BlockFile:
    """Header and blocks into ``file`` (opened for binary writing at its end, unbuffered). Raises OSError when the disk
    is full or gone; what was written until then stays readable."""

    def __init__(self, file: BinaryIO, header: RecordingHeader) -> None:
        self.header = header
        self._file = file
        self.bytes_written = 0
        self._write(msgspec.json.encode(header) + b"\n")

    def put(self, block: Block, *, repeated: bool = False) -> None:
        self._write(block.encoded(repeated=repeated))

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = self._file.write(view)
            view = view[done:]
        self.bytes_written += len(data)


class RecordingWriter:
    """Appends records to a file, packing them itself. ``add`` and ``flush`` raise OSError as above."""

    def __init__(self, file: BinaryIO, header: RecordingHeader) -> None:
        self._blocks = BlockFile(file, header)
        self._packer = Packer()

    @property
    def bytes_written(self) -> int:
        return self._blocks.bytes_written

    def add(self, record: Record | Glance) -> None:
        """Take one record; a block is written once it is full."""
        self._put(self._packer.add(record))

    def begin_fresh(self) -> None:
        """Write what is pending; what comes next can be read without it."""
        self.flush()
        self._packer.begin_fresh()

    def flush(self) -> None:
        """Write what is pending."""
        self._put(self._packer.flush())

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._blocks.close()

    def _put(self, block: Block | None) -> None:
        if block is not None:
            self._blocks.put(block)
