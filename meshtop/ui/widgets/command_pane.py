"""A command's terminal in a pane: what it draws, as a grid of cells; what is typed, as the bytes of a terminal.

The grid is pyte's, an emulator of a VT100 and what of xterm commands use (ECMA-48). Nothing is ever answered to the
command but keys: requests for reports go unheard, titles and links are not taken over, and what prints nothing or has
another width than it claims is replaced.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol

import pyte
from pyte.screens import Char
from rich.cells import cell_len
from rich.color import Color, ColorParseError
from rich.style import Style
from textual import events
from textual.message import Message

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel

LEAST_COLUMNS, LEAST_ROWS = 20, 2
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEYS = {
    "enter": b"\r", "tab": b"\t", "shift+tab": b"\x1b[Z", "backspace": b"\x7f", "escape": b"\x1b", "space": b" ",
    "up": b"\x1b[A", "down": b"\x1b[B", "right": b"\x1b[C", "left": b"\x1b[D", "home": b"\x1b[H", "end": b"\x1b[F",
    "pageup": b"\x1b[5~", "pagedown": b"\x1b[6~", "insert": b"\x1b[2~", "delete": b"\x1b[3~",
    "ctrl+space": b"\0", "ctrl+backslash": b"\x1c", "ctrl+right_square_bracket": b"\x1d",
}  # fmt: skip
_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}  # as pyte calls them


class Command(Protocol):
    """What runs on the terminal."""

    title: str

    def write(self, data: bytes) -> None: ...

    def resize(self, columns: int, rows: int) -> None:
        """The first call says that the pane is there."""
        ...

    def status(self) -> tuple[str, bool | None]:
        """In a few words; whether it ended well, None while it runs."""
        ...

    def listen(self, output: Callable[[bytes], None]) -> None: ...


class Terminal:
    """The grid. Whatever is fed, it keeps working."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._colours = "NO_COLOR" not in os.environ

    def feed(self, data: bytes) -> None:
        try:
            self._stream.feed(data)
        except Exception:  # pyte raises various things at sequences that it half knows
            self._stream = pyte.ByteStream(self._screen)

    def resize(self, columns: int, rows: int) -> None:
        if (columns, rows) != (self._screen.columns, self._screen.lines):
            self._screen.resize(rows, columns)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Column and row, unless it is hidden."""
        at = self._screen.cursor
        return None if at.hidden else (min(at.x, self._screen.columns - 1), at.y)

    def lines(self, *, cursor: bool, palette: Palette, glyphs: Glyphs) -> list[Line]:
        at = self.cursor if cursor else None
        return [self._line(row, at, palette, glyphs) for row in range(self._screen.lines)]

    def text(self) -> list[str]:
        """The grid without its styles, from the first line to the last that holds anything."""
        rows = ["".join(data for data, _, _ in self._cells(row)).rstrip() for row in range(self._screen.lines)]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _cells(self, row: int) -> list[tuple[str, Char, int]]:
        """Text, what pyte has of it, and the column. A wide one takes two columns, of which the second is empty."""
        cells = self._screen.buffer[row]
        found = []
        column = 0
        while column < self._screen.columns:
            char = cells[column]
            wide = column + 1 < self._screen.columns and cells[column + 1].data == ""
            width = 2 if wide else 1
            data = char.data if char.data.isprintable() and cell_len(char.data) == width else _REPLACEMENT
            found.append((data if char.data else " ", char, column))
            if wide and cell_len(data) < width:
                found.append((" ", char, column + 1))
            column += width
        return found

    def _line(self, row: int, at: tuple[int, int] | None, palette: Palette, glyphs: Glyphs) -> Line:
        line = Line()
        for data, char, column in self._cells(row):
            style = self._style(char, palette)
            if at == (column, row):
                style = style + Style(reverse=not char.reverse)
            line.add(glyphs.text(data) or " ", style)
        return line

    def _style(self, char: Char, palette: Palette) -> Style:
        if char[1:] == _PLAIN[1:]:
            return palette.text
        return Style(
            color=self._colour(char.fg) or palette.text.color,
            bgcolor=self._colour(char.bg),
            bold=char.bold,
            italic=char.italics,
            underline=char.underscore,
            strike=char.strikethrough,
            reverse=char.reverse,
        )

    def _colour(self, name: str) -> Color | None:
        if name == "default" or not self._colours:
            return None
        name = _NAMES.get(name, name)
        if name.startswith("bright") and not name.startswith("bright_"):
            name = f"bright_{name.removeprefix('bright')}"
        try:
            return Color.parse(f"#{name}" if len(name) == 6 and _is_hexadecimal(name) else name)
        except ColorParseError:
            return None


_PLAIN = Char(" ")


def _is_hexadecimal(text: str) -> bool:
    return all(sign in "0123456789abcdefABCDEF" for sign in text)


def bytes_of(key: str, character: str | None) -> bytes | None:
    """What a terminal sends for a key of Textual's; None for one that it has no bytes for."""
    if key in _KEYS:
        return _KEYS[key]
    if key.startswith("ctrl+") and len(key) == 6 and key[-1].isascii() and key[-1].isalpha():
        return bytes([ord(key[-1].lower()) - ord("a") + 1])
    return character.encode("utf-8", "replace") if character and character.isprintable() else None


class CommandPane(Canvas):
    """Takes the keyboard while it has the focus: then every key but those of scope ``run`` is the command's."""

    can_focus = True

    class Output(Message):
        """There is something new to draw."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CommandPane.Output)

    def __init__(self, command: Command, *, id: str) -> None:
        super().__init__(id=id)
        self.command = command
        self.terminal = Terminal()
        self._sized: tuple[int, int] | None = None

    def on_mount(self) -> None:
        self.command.listen(self._take)

    def _take(self, data: bytes) -> None:
        self.terminal.feed(data)
        self.post_message(self.Output())

    def draw(self, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette) -> None:
        columns = max(width - (2 if framed else 0), LEAST_COLUMNS)
        rows = max(height - (2 if framed else 1), LEAST_ROWS)
        if (columns, rows) != self._sized:
            self._sized = (columns, rows)
            self.terminal.resize(columns, rows)
            self.command.resize(columns, rows)
        words, well = self.command.status()
        style = palette.text if well is None else palette.states["ok" if well else "down"]
        title = Line().add(glyphs.cut(self.command.title, width // 2), palette.title)
        right = Line().add(words, style)
        body = self.terminal.lines(cursor=self.has_focus and well is None, palette=palette, glyphs=glyphs)
        lower = "keys go to the command; F6: to meshtop" if self.has_focus else "keys go to meshtop; F6: to the command"
        left = Line().add(lower, palette.dim) if well is None else Line()
        self.show(panel(title, body, width, height, framed, glyphs, palette, right=right, lower_left=left))

    # The app's own bindings are looked at when a key has bubbled up to it: one that is stopped here is the command's.
    def on_key(self, event: events.Key) -> None:
        if self.command.status()[1] is not None or event.key == "f6":
            return
        data = bytes_of(event.key, event.character)
        if data is not None:
            event.stop()
            event.prevent_default()
            self.command.write(data)

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.command.write(event.text.encode("utf-8", "replace"))
