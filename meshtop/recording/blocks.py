"""Records into blocks: packed against what came before, checkable each by itself."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import msgspec

from meshtop.recording.records import Glance, Record, typed

# A killed monitor loses at most the block in the making.
BLOCK_S = 0.5
# Seeking means decompressing from the last fresh block on; probes send key frames once a minute as well.
FRESH_S = 60.0
# deflate looks back this far and no farther (RFC 1951).
DICTIONARY_BYTES = 32768
# A block is about a second of data; nothing sane comes near, and a damaged length must not allocate gigabytes.
MAX_BLOCK_BYTES = 64 << 20

HEAD = struct.Struct("<2sBxddIII")  # magic, flags, first at, last at, plain bytes, packed bytes, CRC-32 of the packed
MAGIC = b"MB"
FRESH, REPEATED, GLANCED = 1, 2, 4


class Block(NamedTuple):
    """``fresh``: packed without a dictionary, so that reading can begin there. ``glanced``: there is a glance in it."""

    fresh: bool
    first_at: float
    last_at: float
    plain_bytes: int
    packed: bytes
    glanced: bool = False

    def encoded(self, *, repeated: bool = False) -> bytes:
        """As it stands in a file. ``repeated``: it stands in the part before as well."""
        flags = (FRESH if self.fresh else 0) | (REPEATED if repeated else 0) | (GLANCED if self.glanced else 0)
        packed = self.packed
        return (
            HEAD.pack(MAGIC, flags, self.first_at, self.last_at, self.plain_bytes, len(packed), zlib.crc32(packed))
            + packed
        )


class Packer:
    """Gives a block whenever one is full."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._pending: list[tuple[int, Record | Glance]] = []
        self._glanced = False
        self._first_at = 0.0
        self._last_at = 0.0
        self._fresh_at: float | None = None
        self._dictionary = b""

    def add(self, record: Record | Glance) -> Block | None:
        """A block once it spans ``BLOCK_S``."""
        if not self._pending:
            self._first_at = record.at
        self._last_at = record.at
        self._pending.append(typed(record))
        self._glanced = self._glanced or isinstance(record, Glance)
        return self.flush() if self._last_at - self._first_at >= BLOCK_S else None

    def begin_fresh(self) -> None:
        """The next block needs none before it."""
        self._fresh_at = None

    def flush(self) -> Block | None:
        """What is pending, if there is anything."""
        if not self._pending:
            return None
        plain = self._encoder.encode(self._pending)
        self._pending.clear()
        fresh = self._fresh_at is None or self._first_at - self._fresh_at >= FRESH_S
        if fresh:
            self._fresh_at = self._first_at
            packer = zlib.compressobj(6)
        else:
            packer = zlib.compressobj(6, zdict=self._dictionary)
        packed = packer.compress(plain) + packer.flush()
        self._dictionary = ((b"" if fresh else self._dictionary) + plain)[-DICTIONARY_BYTES:]
        glanced, self._glanced = self._glanced, False
        return Block(fresh, self._first_at, self._last_at, len(plain), packed, glanced)


class Unpacker:
    """The other way; blocks must come in their order, a fresh one first. Raises zlib.error."""

    def __init__(self) -> None:
        self._dictionary = b""

    def unpack(self, packed: bytes, plain_bytes: int, *, fresh: bool) -> bytes:
        unpacker = zlib.decompressobj() if fresh else zlib.decompressobj(zdict=self._dictionary)
        plain = unpacker.decompress(packed, plain_bytes)
        self._dictionary = ((b"" if fresh else self._dictionary) + plain)[-DICTIONARY_BYTES:]
        return plain


PLAIN = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
