"""The signs of the screen, as Unicode and as ASCII, and text fitted to terminal cells.

Widths are those of rich.cells (Unicode East Asian Width; ambiguous signs count as one cell, as terminals outside of CJK
locales draw them). Text from nodes was cleaned by the parsers; what could still move a cursor or turn the reading
direction is replaced here once more, because this is the last place before the terminal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from unicodedata import category, normalize

from rich.cells import cell_len, get_character_cell_size

Align = Literal["<", ">", "^"]
UNKNOWN = "–"  # as units.format_* spell it

# Categories that draw nothing or steer the terminal: control, format, surrogate, private use, unassigned, separators.
_UNSAFE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# What makes the sign before it wider or not, as each terminal sees it: variation selectors, the enclosing keycap, skin
# tones (Unicode TR 51). Left out, the sign itself stays.
_MODIFIER = re.compile("[\ufe00-\ufe0f\u20e3\U0001f3fb-\U0001f3ff]")
# Two of these are a flag of two cells, of four, or two letters; Hangul fillers are blank and of any width.
_UNSURE = re.compile("[\U0001f1e6-\U0001f1ff\u115f\u1160\u3164\uffa0]")

# What units and this package write beyond ASCII, for terminals that know nothing else.
_TO_ASCII = str.maketrans({
    "–": "-", "×": "x", "·": "|", "→": ">", "←": "<", "↑": "^", "↓": "v", "≥": ">", "≤": "<", "÷": "/", "…": "~",
    "µ": "u", "±": "~", "Δ": "d", "−": "-", "—": "-", "’": "'", "“": '"', "”": '"', "␣": "_", "⏎": "<",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Frame:
    """The lines around a panel: corners clockwise from the upper left, then the horizontal and the vertical line."""

    upper_left: str
    upper_right: str
    lower_right: str
    lower_left: str
    across: str
    down: str


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One set of signs. ``states`` has every link state, ``stale`` and the node states; all are one cell wide."""

    name: Literal["unicode", "ascii"]
    states: Mapping[str, str]
    bars: str  # eight levels, low to high
    strips: Mapping[str, str]  # what the flows of a link did within a second
    lost: str
    gap: str
    frame: Frame
    bracket: tuple[str, str]  # the cursor on a cell of one line
    tall_bracket: tuple[str, str]  # on a tall cell: its first, middle and last line, left and right
    self_link: str
    mark: str
    pause: str
    ellipsis: str
    # of charts, where two series share the axes: in the lower half of a cell, in the upper one, in both
    solid: tuple[str, str, str]  # the first series
    dotted: tuple[str, str, str]  # the second one
    both: str  # one cell with both of them
    full_size: tuple[str, str]  # probes of full size, of the first and of the second series

    @property
    def is_ascii(self) -> bool:
        return self.name == "ascii"

    def text(self, text: str) -> str:
        """``text`` made harmless, in this set's alphabet."""
        return _ascii_text(text) if self.name == "ascii" else _plain_text(text)

    def fit(self, text: str, width: int, align: Align = "<") -> str:
        """``text`` in exactly ``width`` cells: padded, or cut with an ellipsis."""
        return _fitted(self.text(text), max(width, 0), align, self.ellipsis)

    def cut(self, text: str, width: int) -> str:
        """``text`` in at most ``width`` cells, an ellipsis at its end where it was longer."""
        whole = self.text(text)
        return whole if cell_len(whole) <= width else _fitted(whole, max(width, 0), "<", self.ellipsis).rstrip()

    def wrap(self, text: str, width: int, limit: int) -> list[str]:
        """``text`` in at most ``limit`` lines of at most ``width`` cells, broken between words where possible; an
        ellipsis ends what does not fit."""
        return list(_wrapped(self.text(text), max(width, 1), limit, self.ellipsis))


def safe(char: str) -> bool:
    return char == " " or (category(char) not in _UNSAFE_CATEGORIES and not _UNSURE.match(char))


@lru_cache(maxsize=2048)
def _plain_text(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if safe(char) else "�" for char in normalize("NFC", text) if not _MODIFIER.match(char))


@lru_cache(maxsize=2048)
def _ascii_text(text: str) -> str:
    return "".join(
        char if char.isascii() else "?" * get_character_cell_size(char)  # as wide as it was, so that columns stay
        for char in _plain_text(text).translate(_TO_ASCII)
    )


@lru_cache(maxsize=4096)
def _fitted(text: str, width: int, align: Align, ellipsis: str) -> str:
    length = cell_len(text)
    if length > width:
        if width == 0:
            return ""
        text = _head(text, width - 1) + ellipsis
        length = cell_len(text)
    space = width - length
    if align == ">":
        return " " * space + text
    if align == "^":
        return " " * (space // 2) + text + " " * (space - space // 2)
    return text + " " * space


@lru_cache(maxsize=1024)
def _wrapped(text: str, width: int, limit: int, ellipsis: str) -> tuple[str, ...]:
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < limit:
        if len(lines) == limit - 1 or cell_len(rest) <= width:
            lines.append(_fitted(rest, width, "<", ellipsis).rstrip())
            break
        head = _head(rest, width)
        broken = head.rfind(" ") if rest[len(head) : len(head) + 1] != " " else len(head)
        if broken <= 0:
            broken = len(head)
        if broken == 0:  # not even one wide sign fits
            lines.append(ellipsis)
            break
        lines.append(rest[:broken].rstrip())
        rest = rest[broken:].lstrip()
    return tuple(lines)


def _head(text: str, width: int) -> str:
    """The longest beginning of ``text`` that takes at most ``width`` cells."""
    used = 0
    for index, char in enumerate(text):
        used += get_character_cell_size(char)
        if used > width:
            return text[:index]
    return text


UNICODE = Glyphs(
    name="unicode",
    states={
        "ok": "●", "degraded": "▲", "lossy": "◆", "stalled": "■", "down": "✕", "no-data": "?", "idle": "·",
        "stale": "?", "up": "●", "connecting": "○", "silent": "?",
    },
    bars="▁▂▃▄▅▆▇█",
    strips={"no-data": "?", "idle": "·", "sending": "▁", "retransmitting": "▒", "stalled": "█"},
    lost="×", gap=" ",
    frame=Frame("╭", "╮", "╯", "╰", "─", "│"),
    bracket=("[", "]"), tall_bracket=("┌│└", "┐│┘"),
    self_link="─", mark="╎", pause="❚❚", ellipsis="…",
    solid=("▄", "▀", "█"), dotted=(".", "˙", ":"), both="▞", full_size=("◇", "○"),
)  # fmt: skip

ASCII = Glyphs(
    name="ascii",
    states={
        "ok": "o", "degraded": "!", "lossy": "%", "stalled": "#", "down": "X", "no-data": "?", "idle": ".",
        "stale": "?", "up": "o", "connecting": "~", "silent": "?",
    },
    bars="_.-=+*&@",
    strips={"no-data": "?", "idle": ".", "sending": "_", "retransmitting": "%", "stalled": "#"},
    lost="x", gap=" ",
    frame=Frame("+", "+", "+", "+", "-", "|"),
    bracket=("[", "]"), tall_bracket=("[[[", "]]]"),
    self_link="-", mark=":", pause="||", ellipsis="~",
    solid=("_", "^", "#"), dotted=(".", "'", ":"), both="%", full_size=("O", "o"),
)  # fmt: skip
SETS: Mapping[str, Glyphs] = {"unicode": UNICODE, "ascii": ASCII}


def terminal_is_poor(term: str, encoding: str) -> bool:
    """Whether a terminal of type ``term`` whose text is in ``encoding`` is better served with ASCII. The Linux console
    knows UTF-8, but its fonts have few of the signs."""
    return "utf" not in encoding.lower() or term in {"", "dumb", "unknown", "linux"} or term.startswith(("vt1", "vt2"))
