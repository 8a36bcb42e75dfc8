"""The last of what a command said on standard error, in bounded memory."""

from __future__ import annotations

from meshtop.parse.text import clean_bytes

_KEEP_BYTES = 4096  # more than any message worth showing
_LINES = 5
_LINE_CHARS = 200


class Tail:
    """Feed it everything, it keeps the end."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> None:
        self._kept = (self._kept + data[-_KEEP_BYTES:])[-_KEEP_BYTES:]

    def excerpt(self) -> str:
        """The last lines that say anything, cleaned, joined by `` / ``."""
        lines = (clean_bytes(line, _LINE_CHARS) for line in self._kept.splitlines())
        return " / ".join([line for line in lines if line][-_LINES:])
