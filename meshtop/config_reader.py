"""Reading a TOML document strictly: every mistake is collected with its line and key, none stops the reading.

The pieces here know nothing of meshtop's own keys; ``meshtop.config`` does.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from meshtop.model import Value
from meshtop.toml_lines import KeyPath, Lines

T = TypeVar("T")
D = TypeVar("D")

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")
_UNQUOTED = re.compile(r"\s*[\w.\"'-]+\s*=\s*(?!true|false|inf|nan)([^\s\"'\[{#,][^\s#,]*)\s*(#.*)?")


class Mistake(Value, frozen=True, kw_only=True):
    """One thing wrong with the file. ``line`` counts from 1; None where no line can be blamed (no such file)."""

    line: int | None
    text: str


class ConfigErrors(Exception):
    """Every mistake of one configuration file. ``str()`` gives them as ``file:line: key: what; cure``, one a line."""

    def __init__(self, file: str, mistakes: Iterable[Mistake]) -> None:
        self.file = file
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line or 0))
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        return [
            f"{self.file}: {mistake.text}" if mistake.line is None else f"{self.file}:{mistake.line}: {mistake.text}"
            for mistake in self.mistakes
        ]


def shown(value: object, limit: int = 60) -> str:
    """A value as an error may quote it: printable, bounded, text in double quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = _printable(str(value))
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` for the known word that looks most like this one, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def dotted(path: KeyPath) -> str:
    """The key as people write it: ``nodes.a.nat[0]``."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        else:
            key = part if _BARE_KEY.fullmatch(part) else shown(part)
            parts.append(f".{key}" if parts else key)
    return "".join(parts)


class Document:
    """A parsed file and the mistakes found in it so far."""

    def __init__(self, text: str) -> None:
        """Raises :class:`SyntaxMistake` where the text is no TOML."""
        self.mistakes: list[Mistake] = []
        try:
            self.data: Mapping[str, object] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SyntaxMistake(_explained(str(error), text)) from error
        except RecursionError as error:
            raise SyntaxMistake(Mistake(line=1, text="not valid TOML: nested too deeply")) from error
        self._lines = Lines(text)

    def blame(self, path: KeyPath, text: str) -> None:
        whole = f"{dotted(path)}: {text}" if path else text
        self.mistakes.append(Mistake(line=self.line(path), text=_printable(whole)))

    def line(self, path: KeyPath) -> int:
        return self._lines.of(path)

    def root(self, known: Sequence[str]) -> Table:
        return Table(self, (), self.data, known)


class SyntaxMistake(Exception):
    """The text is not TOML; nothing further can be read from it."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.text)
        self.mistake = mistake


class Table:
    """One table of the document. Unknown keys are mistakes from the start, each with the nearest known one."""

    def __init__(self, document: Document, path: KeyPath, data: Mapping[str, object], known: Sequence[str] | None):
        self.document = document
        self.path = path
        self.data = data
        for key in data:
            if known is not None and key not in known:
                hint = nearest(key, known) or f"; known here: {', '.join(known)}"
                document.blame((*path, key), f"unknown key{hint}")

    def __contains__(self, key: str) -> bool:
        return key in self.data

    def blame(self, text: str, *keys: str | int) -> None:
        self.document.blame((*self.path, *keys), text)

    def read(self, key: str, reader: Callable[[object], T], default: D) -> T | D:
        """The value of ``key`` as ``reader`` understands it. A ValueError of the reader becomes a mistake there, and
        the default is returned, as it is where the key is absent."""
        if key not in self.data:
            return default
        try:
            return reader(self.data[key])
        except ValueError as error:
            self.blame(str(error), key)
            return default

    def require(self, key: str, reader: Callable[[object], T], cure: str) -> T | None:
        """As :meth:`read`, and absence is a mistake that ``cure`` mends."""
        if key not in self.data:
            self.blame(f"{key} is missing; {cure}")
            return None
        return self.read(key, reader, None)

    def each(self, key: str, reader: Callable[[object], T], what: str) -> tuple[T, ...]:
        """A list of values, each judged for itself; repeated ones are mistakes."""
        raw = self.data.get(key, [])
        if not isinstance(raw, list):
            self.blame(f"{shown(raw)} is not a list; write {what}", key)
            return ()
        good: list[T] = []
        for index, item in enumerate(raw):
            try:
                value = reader(item)
            except ValueError as error:
                self.blame(str(error), key, index)
                continue
            if value in good:
                self.blame(f"{shown(item)} is there twice", key, index)
            else:
                good.append(value)
        return tuple(good)

    def table(self, key: str, known: Sequence[str] | None) -> Table:
        """The table ``key``, empty where it is absent."""
        raw = self.data.get(key, {})
        if not isinstance(raw, dict):
            self.blame(f"{shown(raw)} is not a table; write [{dotted((*self.path, key))}]", key)
            raw = {}
        return Table(self.document, (*self.path, key), raw, known)

    def tables(self, known: Sequence[str]) -> list[tuple[str, Table]]:
        """All tables in this one by name, in the order of the file."""
        found: list[tuple[str, Table]] = []
        for name, raw in self.data.items():
            if isinstance(raw, dict):
                found.append((name, Table(self.document, (*self.path, name), raw, known)))
            else:
                self.blame(f"{shown(raw)} is not a table; write [{dotted((*self.path, name))}]", name)
        return found


def _explained(message: str, text: str) -> Mistake:
    """tomllib's message with its place taken out, and a cure where the cause is plain."""
    lines = text.splitlines() or [""]
    place = _TOML_PLACE.search(message)
    number = int(place[1]) if place and place[1] else len(lines)
    what = _TOML_PLACE.sub("", message)
    cure = ""
    if what == "Illegal character '\\n'":
        what = "a text is not closed on its line"
    elif declared := re.fullmatch(r"Cannot declare \(('.*',?)\) twice", what):
        names = re.findall(r"'([^']*)'", declared[1])
        what = f"[{dotted(tuple(names))}] is there twice"
    elif what == "Cannot overwrite a value":
        what = "this key is there twice"
    unquoted = _UNQUOTED.fullmatch(lines[number - 1]) if number <= len(lines) else None
    if unquoted and len(unquoted[1]) <= 60:
        cure = f"; text stands in quotes: {shown(unquoted[1])}"
    return Mistake(line=number, text=f"not valid TOML: {what}{cure}")
