"""Recordings: everything that reached the engine, as it arrived.

A recording holds the raw frames, not what was made of them, so that a better parser or a better rule can be run over
yesterday's incident. The format is described in docs/recordings.md; in short: one line of JSON with magic, version and
the mesh, then blocks. A block holds up to about a second of records, is compressed with the text before it as the
dictionary, carries its own checksum and is written by one ``write``. Every minute a block begins anew without a
dictionary: there a reader can start. A file that ends within a block (a killed writer, a full disk) opens up to there.

Pure but for the file object that it is given.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from meshtop.model import (
    BaselinesForgotten,
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

# A killed monitor loses at most the block in the making.
BLOCK_S = 0.5
# Seeking means decompressing from the last fresh block on; probes send key frames once a minute as well.
FRESH_S = 60.0
# deflate looks back this far and no farther (RFC 1951).
_DICTIONARY_BYTES = 32768
# A block is about a second of data; nothing sane comes near, and a damaged length must not allocate gigabytes.
_MAX_BLOCK_BYTES = 64 << 20

_BLOCK = struct.Struct("<2sBxddIII")  # magic, flags, first at, last at, plain bytes, packed bytes, CRC-32 of the packed
_BLOCK_MAGIC = b"MB"
_FRESH = 1


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
)
Record = FrameRecord | TickRecord | RecordedEvent

# What stands in the file for each kind; may be added to, never re-used.
_FRAME_KIND, _TICK_KIND = 0, 1
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
}
_KIND_OF_EVENT = {event: kind for kind, event in _EVENT_KINDS.items()}


class RecordingHeader(Value, frozen=True, kw_only=True):
    """The first line of the file."""

    magic: str = MAGIC
    format: int = FORMAT
    meshtop: str  # version of the writer
    started_at: float
    mesh: Mesh
    fresh_s: float = FRESH_S


class RecordingWriter:
    """Appends records to ``file`` (opened for binary writing at its end, unbuffered).

    ``add`` and ``flush`` raise OSError when the disk is full or gone; what was written until then stays readable.
    """

    def __init__(self, file: BinaryIO, header: RecordingHeader) -> None:
        self._file = file
        self._encoder = msgspec.msgpack.Encoder()
        self._pending: list[tuple[int, Record]] = []
        self._first_at = 0.0
        self._last_at = 0.0
        self._fresh_at: float | None = None
        self._dictionary = b""
        self.bytes_written = 0
        self._write(msgspec.json.encode(header) + b"\n")

    def add(self, record: Record) -> None:
        """Take one record; a block is written once it spans ``BLOCK_S``."""
        if not self._pending:
            self._first_at = record.at
        self._last_at = record.at
        self._pending.append(_typed(record))
        if self._last_at - self._first_at >= BLOCK_S:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        if not self._pending:
            return
        plain = self._encoder.encode(self._pending)
        self._pending.clear()
        fresh = self._fresh_at is None or self._first_at - self._fresh_at >= FRESH_S
        if fresh:
            self._fresh_at = self._first_at
            packer = zlib.compressobj(6)
        else:
            packer = zlib.compressobj(6, zdict=self._dictionary)
        packed = packer.compress(plain) + packer.flush()
        self._dictionary = (b"" if fresh else self._dictionary) + plain
        self._dictionary = self._dictionary[-_DICTIONARY_BYTES:]
        flags = _FRESH if fresh else 0
        head = _BLOCK.pack(
            _BLOCK_MAGIC, flags, self._first_at, self._last_at, len(plain), len(packed), zlib.crc32(packed)
        )
        self._write(head + packed)

    def close(self) -> None:
        try:
            self.flush()
        finally:
            self._file.close()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = self._file.write(view)
            view = view[done:]
        self.bytes_written += len(data)


class _Block(NamedTuple):
    offset: int  # of the packed bytes
    fresh: bool
    first_at: float
    last_at: float
    plain_bytes: int
    packed_bytes: int
    crc: int


class RecordingReader:
    """Opens a recording by its block heads alone; decompresses only what is asked for.

    ``incomplete`` is None or says in words where and why the file ends early. Raises RecordingError when the file is no
    recording of a known format, OSError when it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self.header = _read_header(self._file, path)
            self.incomplete: str | None = None
            self.unknown_records = 0  # of kinds that a newer version of the same format added
            self._blocks = self._index()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def first_at(self) -> float:
        """Time of the first record, or of the start where there is none."""
        return self._blocks[0].first_at if self._blocks else self.header.started_at

    @property
    def last_at(self) -> float:
        return self._blocks[-1].last_at if self._blocks else self.header.started_at

    def records(self, start: float | None = None) -> Iterator[Record]:
        """Records in the order in which they arrived, from the last fresh block that begins at or before ``start``
        (the caller folds what comes before ``start`` to know the state there), or from the beginning."""
        dictionary = b""
        for block in self._blocks[self._fresh_block(start) :]:
            self._file.seek(block.offset)
            packed = self._file.read(block.packed_bytes)
            if zlib.crc32(packed) != block.crc:
                self.incomplete = f"damaged at byte {block.offset}: checksum mismatch"
                return
            unpacker = zlib.decompressobj() if block.fresh else zlib.decompressobj(zdict=dictionary)
            try:
                plain = unpacker.decompress(packed, block.plain_bytes)
                for kind, payload in _BLOCK_DECODER.decode(plain):
                    if kind in _DECODERS:
                        yield _DECODERS[kind].decode(payload)
                    else:
                        self.unknown_records += 1
            except (zlib.error, msgspec.DecodeError) as error:
                self.incomplete = f"damaged at byte {block.offset}: {error}"
                return
            dictionary = ((b"" if block.fresh else dictionary) + plain)[-_DICTIONARY_BYTES:]

    def _fresh_block(self, start: float | None) -> int:
        if start is None:
            return 0
        found = 0
        for number, block in enumerate(self._blocks):
            if block.first_at > start:
                break
            if block.fresh:
                found = number
        return found

    def _index(self) -> list[_Block]:
        size = self._file.seek(0, 2)
        self._file.seek(0)
        offset = len(self._file.readline(_MAX_BLOCK_BYTES))
        blocks: list[_Block] = []
        while offset < size:
            self._file.seek(offset)
            head = self._file.read(_BLOCK.size)
            if len(head) < _BLOCK.size:
                self.incomplete = f"ends within a block head at byte {offset}"
                break
            magic, flags, first_at, last_at, plain_bytes, packed_bytes, crc = _BLOCK.unpack(head)
            if magic != _BLOCK_MAGIC or max(plain_bytes, packed_bytes) > _MAX_BLOCK_BYTES:
                self.incomplete = f"damaged at byte {offset}: no block begins there"
                break
            body = offset + _BLOCK.size
            if body + packed_bytes > size:
                self.incomplete = f"ends within a block at byte {offset}"
                break
            blocks.append(_Block(body, bool(flags & _FRESH), first_at, last_at, plain_bytes, packed_bytes, crc))
            offset = body + packed_bytes
        return blocks


def _read_header(file: BinaryIO, path: Path) -> RecordingHeader:
    line = file.readline(_MAX_BLOCK_BYTES)
    try:
        outline = msgspec.json.decode(line, type=_Outline)
    except msgspec.DecodeError:
        raise RecordingError(f"{path}: not a meshtop recording") from None
    if outline.magic != MAGIC:
        raise RecordingError(f"{path}: not a meshtop recording")
    if outline.format > FORMAT:
        raise RecordingError(
            f"{path}: recorded by meshtop {outline.meshtop} in format {outline.format}; this version reads up to "
            f"{FORMAT}. Use meshtop {outline.meshtop} or newer"
        )
    try:
        return msgspec.json.decode(line, type=RecordingHeader)
    except msgspec.DecodeError as error:
        raise RecordingError(f"{path}: damaged header: {error}") from None


class _Outline(Value, frozen=True, kw_only=True):
    """What every format's first line has, so that a newer one can be named."""

    magic: str
    format: int
    meshtop: str = "?"


def _typed(record: Record) -> tuple[int, Record]:
    if isinstance(record, FrameRecord):
        return (_FRAME_KIND, record)
    if isinstance(record, TickRecord):
        return (_TICK_KIND, record)
    return (_KIND_OF_EVENT[type(record)], record)


_DECODERS: dict[int, msgspec.msgpack.Decoder[Any]] = {
    _FRAME_KIND: msgspec.msgpack.Decoder(FrameRecord),
    _TICK_KIND: msgspec.msgpack.Decoder(TickRecord),
    **{kind: msgspec.msgpack.Decoder(event) for kind, event in _EVENT_KINDS.items()},
}
_BLOCK_DECODER = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
