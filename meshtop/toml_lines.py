"""On which line of a TOML 1.0 document each key and array element stands.

``tomllib`` gives values without positions, and an error that names no line sends people searching. The scanner walks
the text of a document that ``tomllib`` has already accepted, so it need not tell valid from invalid; on anything else
it stops early, and what it did not reach is looked up by its nearest parent.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections.abc import Mapping

KeyPath = tuple[str | int, ...]

_BARE_END = frozenset("=.]}, \t\n#")
_SCALAR_END = frozenset(",]}#\n")


class Lines:
    """Lines, counted from 1, by key path: ``("nodes", "a", "nat", 0)`` is the first element of ``nodes.a.nat``."""

    def __init__(self, text: str) -> None:
        self._by_path: Mapping[KeyPath, int] = _Scanner(text.replace("\r\n", "\n")).run()

    def of(self, path: KeyPath) -> int:
        """The line of that key, or of its nearest parent that is in the text; 1 for the document itself."""
        for length in range(len(path), 0, -1):
            line = self._by_path.get(path[:length])
            if line is not None:
                return line
        return 1

    def paths(self) -> frozenset[KeyPath]:
        return frozenset(self._by_path)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.newlines = [i for i, c in enumerate(text) if c == "\n"]
        self.found: dict[KeyPath, int] = {}
        self.last_element: dict[KeyPath, int] = {}  # of arrays of tables

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        try:
            while self._skip_blank():
                table = self._statement(table)
        except (IndexError, ValueError, RecursionError):
            pass  # not TOML after all: what was found so far is what can be known
        return self.found

    def _statement(self, table: KeyPath) -> KeyPath:
        """A header or one ``key = value``; returns the table that the next statement belongs to."""
        if self.text[self.at] != "[":
            path = self._note(table, self._keys("="))
            self._value(path)
            return table
        is_array = self.text.startswith("[[", self.at)
        start = self.at
        self.at += 2 if is_array else 1
        keys = self._keys("]")
        self.at += 1 if is_array else 0
        parent = self._note((), keys[:-1], start)
        path = (*parent, keys[-1])
        if is_array:
            self.found.setdefault(path, self._line(start))
            self.last_element[path] = self.last_element.get(path, -1) + 1
            path = (*path, self.last_element[path])
            self.found[path] = self._line(start)
        else:
            self.found[path] = self._line(start)  # a header tells more than an earlier dotted mention
        return path

    def _note(self, table: KeyPath, keys: list[str], start: int | None = None) -> KeyPath:
        """Remember the line of each key of a dotted key below ``table``; a key that is an array of tables means its
        last element."""
        path = table
        line = self._line(self.at - 1 if start is None else start)
        for key in keys:
            path = (*path, key)
            self.found.setdefault(path, line)
            if path in self.last_element:
                path = (*path, self.last_element[path])
        return path

    def _keys(self, end: str) -> list[str]:
        """The parts of a dotted key, up to and past ``end``."""
        keys: list[str] = []
        while True:
            self._skip_spaces()
            char = self.text[self.at]
            if char == end:
                self.at += 1
                return keys
            if char == ".":
                self.at += 1
            elif char in "\"'":
                keys.append(self._quoted_key())
            else:
                start = self.at
                while self.text[self.at] not in _BARE_END:
                    self.at += 1
                if start == self.at:
                    raise ValueError("no key here")
                keys.append(self.text[start : self.at])

    def _quoted_key(self) -> str:
        start = self.at
        self._string()
        return str(tomllib.loads(f"k = {self.text[start : self.at]}")["k"])

    def _string(self) -> None:
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        self.at += len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if self.text[self.at] == "\\" and quote == '"' else 1
        self.at += len(mark)
        while len(mark) == 3 and self.at < len(self.text) and self.text[self.at] == quote:
            self.at += 1  # up to two quotes may stand before the closing three

    def _value(self, path: KeyPath) -> None:
        self._skip_spaces()
        char = self.text[self.at]
        if char in "\"'":
            self._string()
        elif char == "[":
            self._array(path)
        elif char == "{":
            self._inline_table(path)
        else:
            start = self.at
            while self.at < len(self.text) and self.text[self.at] not in _SCALAR_END:
                self.at += 1
            if start == self.at:
                raise ValueError("no value here")  # every step moves on, whatever the text is

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self._skip_blank() and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            element = (*path, index)
            self.found[element] = self._line(self.at)
            self._value(element)
            index += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self._skip_blank() and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._value(self._note(path, self._keys("=")))
        self.at += 1

    def _skip_spaces(self) -> None:
        while self.text[self.at] in " \t":
            self.at += 1

    def _skip_blank(self) -> bool:
        """Past white space, newlines and comments; False at the end of the text."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif self.text[self.at] in " \t\n":
                self.at += 1
            else:
                return True
        return False

    def _line(self, position: int) -> int:
        return bisect_right(self.newlines, position - 1) + 1
