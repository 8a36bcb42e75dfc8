"""The change-only encoding of a probe's rows (docs/frames.md), undone.

A row is a line of ``ss`` or of a file as a list of words. A frame brings it whole (``s12=ESTAB 0 0 …``), as what
changed in it (``s12 d~43.1 b1448``) or says that it went (``s12-``). What has been brought so far is kept here.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from meshtop.parse.errors import ParseError
from meshtop.parse.text import clean

# The probe follows at most 4000 sockets (agent.probe.MAX_SOCKETS), with as many owners, and a node's network devices.
MAX_ROWS = 20_000
MAX_ROW = 16_384  # characters; the longest of the kernel's is the header of netstat with 3000
# What all rows together may have taken in since they were last cleared: five minutes of 200 kB each second.
MAX_TAKEN = 64 * 1024 * 1024

_LINE = re.compile(r"([a-z])([0-9a-z_]{1,20})([-= ])(.*)", re.DOTALL)
_BLANKS = re.compile(r"[ \t]+")
_DIGIT = re.compile(r"[0-9]")
_NUMBER = re.compile(r"[0-9]{1,15}")
# Letters skip; then a number to add, or an edit whose text ends at the next blank, or a deletion.
_OPERATION = re.compile(r"(z*[a-y])(?:(-?[0-9]{1,10})|([~=+])([^ ]*)(?: |$)|(!))")


class RowChange(NamedTuple):
    """One line of a body. ``words`` is None when the row went."""

    table: str
    row: str
    words: list[str] | None


class Rows:
    """All rows of one probe, by table letter and row name."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[str]] = {}
        self._taken = 0

    def clear(self) -> None:
        self._rows.clear()
        self._taken = 0

    def table(self, table: str) -> dict[str, list[str]]:
        """The rows of a table by name, in the order in which they first came."""
        return {name: words for (letter, name), words in self._rows.items() if letter == table}

    def apply(self, line: str) -> RowChange | None:
        """Take in one line of a body; None if it is no row line at all. Raises ParseError if it does not fit what came
        before: then nothing that is kept can be relied on."""
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        table, row, sign, text = match.groups()
        self._taken += len(text)
        if len(text) > MAX_ROW or self._taken > MAX_TAKEN:
            raise ParseError(f"rows without end: {len(text)} characters in {table}{row}, {self._taken} in all")
        key = (table, row)
        if sign == "-":
            if text:
                return None
            self._rows.pop(key, None)
            return RowChange(table, row, None)
        if sign == "=":
            if key not in self._rows and len(self._rows) >= MAX_ROWS:
                raise ParseError(f"more than {MAX_ROWS} rows")
            words = _words(text)
        else:
            words = edited(self._known(key), text)
        self._rows[key] = words
        return RowChange(table, row, words)

    def _known(self, key: tuple[str, str]) -> list[str]:
        try:
            return self._rows[key]
        except KeyError:
            raise ParseError(f"a change to the row {key[0]}{key[1]}, which never came whole") from None


def _words(text: str) -> list[str]:
    return [word for word in _BLANKS.split(text) if word]


def edited(old: list[str], change: str) -> list[str]:
    """The words after a change. Raises ParseError for one that is malformed or does not fit."""
    new: list[str] = []
    at = position = 0
    while position < len(change):
        match = _OPERATION.match(change, position)
        if match is None:
            raise ParseError(f"not a change of a row: {clean(change[position:], 60)}")
        position = match.end()
        letters, number, edit, text, _ = match.groups()
        kept = 25 * (len(letters) - 1) + ord(letters[-1]) - ord("a")
        if at + kept > len(old) or (edit != "+" and at + kept == len(old)):
            raise ParseError("a change beyond the end of its row")
        new += old[at : at + kept]
        at += kept
        if edit != "+":
            word = old[at]
            at += 1
            if number is not None:
                new.append(_added(word, int(number)))
            elif edit == "~":
                new.append(word[: _value_at(word)] + text)
            elif edit == "=":
                new.append(text)
        else:
            new.append(text)
    new += old[at:]
    if len(new) > MAX_ROW:
        raise ParseError("a row of too many words")
    return new


def _value_at(word: str) -> int:
    colon = word.find(":")
    if colon >= 0:
        return colon + 1
    digit = _DIGIT.search(word)
    return digit.start() if digit else len(word)


def _added(word: str, number: int) -> str:
    match = _NUMBER.match(word, _value_at(word))
    if match is None:
        raise ParseError(f"no number to add to in {clean(word, 40)}")
    return f"{word[: match.start()]}{int(match.group()) + number}{word[match.end() :]}"
