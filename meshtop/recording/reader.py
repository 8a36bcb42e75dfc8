"""A recording out of its file or files."""

from __future__ import annotations

import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from meshtop.recording.blocks import FRESH, GLANCED, HEAD, MAX_BLOCK_BYTES, PLAIN, REPEATED, Unpacker
from meshtop.recording.blocks import MAGIC as BLOCK_MAGIC
from meshtop.recording.records import (
    DECODERS,
    FORMAT,
    GLANCE,
    GLANCE_KIND,
    MAGIC,
    Glance,
    Outline,
    Record,
    RecordingError,
    RecordingHeader,
)


class BlockPlace(NamedTuple):
    """Where a block is: in which part of the recording, from which byte on; and what its head says."""

    part: int
    offset: int
    fresh: bool
    repeated: bool
    first_at: float
    last_at: float
    plain_bytes: int
    packed_bytes: int
    crc: int
    glanced: bool


def part_path(path: Path, part: int) -> Path:
    """``push.mtr``, ``push.2.mtr``, ``push.3.mtr``, …"""
    return path if part == 1 else path.with_name(f"{path.stem}.{part}{path.suffix}")


class RecordingReader:
    """Opens a recording by its block heads alone; decompresses only what is asked for. The first part of one that was
    begun anew by its size opens all that follow; any other part opens alone.

    ``incomplete`` is None or says in words where and why the file ends early. Raises RecordingError when the file is no
    recording of a known format, OSError when it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.incomplete: str | None = None
        self.unknown_records = 0  # of kinds that a newer version of the same format added
        self._files: list[BinaryIO] = []
        self.blocks: list[BlockPlace] = []
        try:
            self.header = self._open(path)
            self._open_what_follows()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for file in self._files:
            file.close()

    def __enter__(self) -> RecordingReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def parts(self) -> int:
        return len(self._files)

    @property
    def size_bytes(self) -> int:
        return sum(file.seek(0, 2) for file in self._files)

    @property
    def first_at(self) -> float:
        """Time of the first record, or of the start where there is none."""
        return self.blocks[0].first_at if self.blocks else self.header.started_at

    @property
    def last_at(self) -> float:
        return self.blocks[-1].last_at if self.blocks else self.header.started_at

    @property
    def shown_from(self) -> float:
        """Where what was to be recorded begins: after the lead that brings the state up."""
        lead = self.header.lead_until
        return self.first_at if lead is None else min(max(lead, self.first_at), self.last_at)

    def records(self, start: float | None = None) -> Iterator[Record]:
        """Records in the order in which they arrived, from the last fresh block that begins at or before ``start``
        (the caller folds what comes before ``start`` to know the state there), or from the beginning."""
        for _, records in self.blocks_from(0 if start is None else self.fresh_block(start)):
            yield from records

    def blocks_from(self, first: int) -> Iterator[tuple[int, list[Record]]]:
        """From block number ``first`` on, each with its number. What has to be unpacked before it is not decoded."""
        begin = self._begin(first)
        unpacker = Unpacker()
        for number in range(begin, len(self.blocks)):
            block = self.blocks[number]
            packed = self._packed(block)
            if zlib.crc32(packed) != block.crc:
                self.incomplete = f"damaged at byte {block.offset}: checksum mismatch"
                return
            try:
                plain = unpacker.unpack(packed, block.plain_bytes, fresh=block.fresh)
                records = self._decoded(plain) if number >= first else []
            except (zlib.error, msgspec.DecodeError) as error:
                self.incomplete = f"damaged at byte {block.offset}: {error}"
                return
            if number >= first:
                yield number, records

    def glance(self, at: float) -> Glance | None:
        """The newest at or before ``at``; None where there is none, or it cannot be read. Unpacks up to a minute of
        blocks. May be asked while another thread reads records."""
        numbers = (number for number in range(self._number_before(at), -1, -1) if self.blocks[number].glanced)
        for number in islice(numbers, 2):  # of the block in which ``at`` is, the glance may come after it
            if (found := self._glance_in(number, at)) is not None:
                return found
        return None

    def _glance_in(self, number: int, at: float) -> Glance | None:
        unpacker, plain = Unpacker(), b""
        try:
            for block in self.blocks[self._begin(number) : number + 1]:
                plain = unpacker.unpack(self._packed(block), block.plain_bytes, fresh=block.fresh)
            glances = [GLANCE.decode(payload) for kind, payload in PLAIN.decode(plain) if kind == GLANCE_KIND]
        except (zlib.error, msgspec.DecodeError):
            return None  # whoever reads the records is told of the damage
        return next((glance for glance in reversed(glances) if glance.at <= at), None)

    def _begin(self, number: int) -> int:
        """From which block on there must be unpacked to know what stands in ``number``."""
        while number and number < len(self.blocks) and not self.blocks[number].fresh:
            number -= 1
        return number

    def _packed(self, block: BlockPlace) -> bytes:
        return os.pread(self._files[block.part].fileno(), block.packed_bytes, block.offset)

    def _number_before(self, at: float) -> int:
        """The last block that begins at or before ``at``; -1: none does."""
        return bisect_right(self.blocks, at, key=lambda block: block.first_at) - 1

    def _decoded(self, plain: bytes) -> list[Record]:
        records: list[Record] = []
        for kind, payload in PLAIN.decode(plain):
            if kind in DECODERS:
                records.append(DECODERS[kind].decode(payload))
            elif kind != GLANCE_KIND:
                self.unknown_records += 1
        return records

    def fresh_block(self, start: float | None) -> int:
        if start is None:
            return 0
        found = 0
        for number, block in enumerate(self.blocks):
            if block.first_at > start:
                break
            if block.fresh:
                found = number
        return found

    def _open(self, path: Path) -> RecordingHeader:
        file = path.open("rb")
        self._files.append(file)
        header = _read_header(file, path)
        self._index(file, len(self._files) - 1, self.path != path)
        return header

    def _open_what_follows(self) -> None:
        """All parts that go on where the one before ended, as long as none is missing or damaged."""
        if self.header.part != 1:
            return
        while self.incomplete is None:
            path = part_path(self.path, self.parts + 1)
            try:
                with path.open("rb") as file:
                    header = _read_header(file, path)
            except (OSError, RecordingError):
                return
            if header.started_at != self.header.started_at or header.part != self.parts + 1:
                return
            self._open(path)

    def _index(self, file: BinaryIO, part: int, following: bool) -> None:
        size = file.seek(0, 2)
        file.seek(0)
        offset = len(file.readline(MAX_BLOCK_BYTES))
        while offset < size:
            file.seek(offset)
            head = file.read(HEAD.size)
            if len(head) < HEAD.size:
                self._cut(part, f"ends within a block head at byte {offset}")
                break
            magic, flags, first_at, last_at, plain_bytes, packed_bytes, crc = HEAD.unpack(head)
            if magic != BLOCK_MAGIC or max(plain_bytes, packed_bytes) > MAX_BLOCK_BYTES:
                self._cut(part, f"damaged at byte {offset}: no block begins there")
                break
            body = offset + HEAD.size
            if body + packed_bytes > size:
                self._cut(part, f"ends within a block at byte {offset}")
                break
            offset = body + packed_bytes
            place = BlockPlace(
                part,
                body,
                bool(flags & FRESH),
                bool(flags & REPEATED),
                first_at,
                last_at,
                plain_bytes,
                packed_bytes,
                crc,
                bool(flags & GLANCED),
            )
            if not (following and place.repeated):
                self.blocks.append(place)

    def _cut(self, part: int, why: str) -> None:
        self.incomplete = why if part == 0 else f"part {part + 1} {why}"


def _read_header(file: BinaryIO, path: Path) -> RecordingHeader:
    line = file.readline(MAX_BLOCK_BYTES)
    if not line:
        raise RecordingError(f"{path}: empty, nothing was recorded into it")
    try:
        outline = msgspec.json.decode(line, type=Outline)
    except msgspec.DecodeError:
        begun = line.startswith(f'{{"magic":"{MAGIC}"'.encode()) and not line.endswith(b"\n")
        why = "cut off within its first line; nothing of it can be read" if begun else "not a meshtop recording"
        raise RecordingError(f"{path}: {why}") from None
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
