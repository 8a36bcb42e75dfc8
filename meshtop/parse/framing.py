"""Frames cut out of whatever comes from a node: banners, a shell's complaints, and in between what the probe wrote.

A frame is a header line, a body of as many bytes as the header says, and an end mark (docs/frames.md). No line of a
body begins with ``@``, so that damage shows at the next line that does. Bytes that belong to no whole frame are counted
and told, never passed on.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from meshtop.model import Value
from meshtop.parse.errors import ParseError
from meshtop.parse.text import clean_bytes

MAGIC = b"@meshtop1 "
END = b"@end\n"
# A key frame with the most sockets that a probe follows (agent.probe.MAX_SOCKETS) is some 3 MB; what claims to be
# more than this is not a frame, and the decoder holds no more than one.
MAX_BODY = 8 * 1024 * 1024
MAX_HEADER = 160
EXCERPT = 80

_HEADER = re.compile(
    rb"@meshtop1 ([0-9a-f-]{1,36}) ([0-9a-f]{1,32}) ([0-9]{1,10}) ([0-9]{1,10}\.[0-9]{1,2}) "
    rb"([0-9]{1,4}(?:\.[0-9]{1,2})?) ([0-9]{1,10}) ([KD]) ([0-9]{1,8})\n"
)


class Dropped(Value, frozen=True, kw_only=True):
    """``count`` bytes that belong to no frame; ``excerpt`` is the clean text of the first of them."""

    count: int
    excerpt: str


class Header(NamedTuple):
    """``skipped``: ticks left out since the frame before because one took too long. ``key``: a whole frame that needs
    none before it. ``length``: of the body, in bytes."""

    boot: str
    probe: str
    seq: int
    uptime_s: float
    interval_s: float
    skipped: int
    key: bool
    length: int


def parse_header(line: bytes) -> Header:
    """The first line of a frame, with its line end. Raises ParseError."""
    match = _HEADER.fullmatch(line)
    if match is None:
        raise ParseError(f"not a frame header: {clean_bytes(line[:MAX_HEADER], EXCERPT)}")
    boot, probe, seq, uptime, interval, skipped, kind, length = match.groups()
    header = Header(
        boot=boot.decode(),
        probe=probe.decode(),
        seq=int(seq),
        uptime_s=float(uptime),
        interval_s=float(interval),
        skipped=int(skipped),
        key=kind == b"K",
        length=int(length),
    )
    if header.length > MAX_BODY or header.interval_s <= 0:
        raise ParseError(f"a frame of {header.length} bytes for {header.interval_s} s cannot be")
    return header


def split_frame(raw: bytes) -> tuple[Header, bytes]:
    """Header and body of one whole frame, such as :class:`FrameDecoder` gives. Raises ParseError."""
    line_end = raw.find(b"\n", 0, MAX_HEADER) + 1
    header = parse_header(raw[:line_end])
    body = raw[line_end : line_end + header.length]
    if raw[line_end + header.length :] != END or not (body.endswith(b"\n") or not body):
        raise ParseError(f"frame {header.seq} is not as long as it says")
    return header, body


class FrameDecoder:
    """Feed it the bytes of one stream as they come. Never raises; holds at most one frame and the chunk just fed."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no "\n@" begins before this place of the buffer's body

    def feed(self, data: bytes) -> list[bytes | Dropped]:
        """Whole frames and what was dropped between them, in the order of the stream."""
        self._buffer += data
        found: list[bytes | Dropped] = []
        at = refuse = 0  # everything before ``at`` is dealt with, from ``refuse`` on is to be dropped
        while True:
            start = self._buffer.find(MAGIC, at)
            if start < 0:
                at = self._tail(at)
                break
            size = self._frame_size(start)
            if size == 0:
                at = start
                break
            if size < 0:
                at = start + len(MAGIC)
                self._searched = 0
                continue
            self._drop(found, refuse, start)
            found.append(bytes(self._buffer[start : start + size]))
            at = refuse = start + size
            self._searched = 0
        self._drop(found, refuse, at)
        del self._buffer[:at]
        return found

    def finish(self) -> list[Dropped]:
        """The stream ended: what was held back in hope of more."""
        found: list[bytes | Dropped] = []
        self._drop(found, 0, len(self._buffer))
        self._buffer.clear()
        self._searched = 0
        return [item for item in found if isinstance(item, Dropped)]

    def _tail(self, at: int) -> int:
        """Where the last bytes begin that may still become the magic."""
        for length in range(min(len(MAGIC) - 1, len(self._buffer) - at), 0, -1):
            if self._buffer.endswith(MAGIC[:length]):
                return len(self._buffer) - length
        return len(self._buffer)

    def _frame_size(self, start: int) -> int:
        """Of the frame at ``start``; 0 when more bytes are needed to know, -1 when it is none."""
        line_end = self._buffer.find(b"\n", start, start + MAX_HEADER) + 1
        if line_end == 0:
            return 0 if len(self._buffer) - start < MAX_HEADER else -1
        try:
            header = parse_header(bytes(self._buffer[start:line_end]))
        except ParseError:
            return -1
        end = line_end + header.length
        # The line end before the end mark is the body's last byte, or the header's where the body is empty.
        mark = self._buffer.find(b"\n@", max(line_end - 1, start + self._searched), end)
        if mark >= 0 or bytes(self._buffer[end - 1 : end]) not in (b"\n", b""):
            return -1
        tail = self._buffer[end : end + len(END)]
        if tail == END:
            return end + len(END) - start
        self._searched = max(min(len(self._buffer), end) - 1 - start, 0)
        return 0 if END.startswith(tail) else -1

    def _drop(self, found: list[bytes | Dropped], start: int, end: int) -> None:
        if start < end:
            excerpt = clean_bytes(bytes(self._buffer[start : min(end, start + 4 * EXCERPT)]), EXCERPT)
            found.append(Dropped(count=end - start, excerpt=excerpt))
