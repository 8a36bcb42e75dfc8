"""What a terminal of a fixed size shows, from the bytes written to it: as much of ECMA-48 as Textual writes.

Enough to find a word on the screen and to see a cell change; colours are left out.
"""

from __future__ import annotations

import codecs
import re

_TOKEN = re.compile(
    r"\x1b\[(?P<private>[?<>=]?)(?P<numbers>[0-9;:]*)(?P<kind>[ -/]*[@-~])"
    r"|\x1b[\]P^_](?:[^\x07\x1b]|\x1b(?!\\))*(?:\x07|\x1b\\)"
    r"|\x1b[()*+][0-9A-Z]|\x1b(?![\[\]P^_])[0-~]"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)


class Grid:
    """``lines`` is the screen, padded with spaces."""

    def __init__(self, columns: int, lines: int) -> None:
        self.columns = columns
        self.lines = [" " * columns for _ in range(lines)]
        self._row = self._column = 0
        self._pending = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> None:
        text = self._pending + self._decoder.decode(data)
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:  # a sequence that is not whole yet
                break
            at = match.end()
            if match["text"]:
                self._write(match["text"])
            elif match["control"]:
                self._control(match["control"])
            elif match["kind"] and not match["private"]:
                self._sequence(match["kind"], [int(n) if n.isdigit() else 0 for n in match["numbers"].split(";")])
        self._pending = text[at:][-256:]

    def find(self, word: str) -> tuple[int, int] | None:
        """(row, column) of its first appearance."""
        for row, line in enumerate(self.lines):
            column = line.find(word)
            if column >= 0:
                return row, column
        return None

    def _write(self, text: str) -> None:
        line = self.lines[self._row]
        self.lines[self._row] = (line[: self._column] + text + line[self._column + len(text) :])[: self.columns]
        self._column = min(self.columns - 1, self._column + len(text))

    def _control(self, code: str) -> None:
        if code == "\r":
            self._column = 0
        elif code == "\n":
            self._row = min(len(self.lines) - 1, self._row + 1)
        elif code == "\b":
            self._column = max(0, self._column - 1)

    def _sequence(self, kind: str, numbers: list[int]) -> None:
        first = numbers[0] or 1
        if kind in "Hf":
            self._row = min(len(self.lines), first) - 1
            self._column = min(self.columns, (numbers[1] if len(numbers) > 1 else 1) or 1) - 1
        elif kind == "A":
            self._row = max(0, self._row - first)
        elif kind == "B":
            self._row = min(len(self.lines) - 1, self._row + first)
        elif kind == "C":
            self._column = min(self.columns - 1, self._column + first)
        elif kind == "D":
            self._column = max(0, self._column - first)
        elif kind == "G":
            self._column = min(self.columns, first) - 1
        elif kind == "J" and numbers[0] == 2:
            self.lines = [" " * self.columns for _ in self.lines]
        elif kind == "K":
            line = self.lines[self._row]
            self.lines[self._row] = line[: self._column].ljust(self.columns)
