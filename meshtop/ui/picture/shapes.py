"""Lines, blocks and dots as geometry, so that they join whatever font draws the letters.

The Unicode Standard, code charts "Box Drawing" (U+2500), "Block Elements" (U+2580) and "Braille Patterns" (U+2800).
What a box character is made of is in its name: ``BOX DRAWINGS LIGHT DOWN AND RIGHT``.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

# The cell that all of it is drawn in: the advance of DejaVu Sans Mono at 20 pixels is 12.04, its line height 23.3.
CELL = (12, 24)
LIGHT, HEAVY = 2, 4  # thickness of lines in pixels; both are even, as are the halves of a cell


class Box(NamedTuple):
    """A filled rectangle, in pixels from the cell's upper left corner. ``opacity`` of its colour over the ground."""

    x0: float
    y0: float
    x1: float
    y1: float
    opacity: float = 1.0


class Dot(NamedTuple):
    x: float
    y: float
    radius: float


class Arc(NamedTuple):
    """A quarter of a circle from the middle of one edge of the cell to that of another: it runs from (x, y0) along the
    vertical line to the circle around (cx, cy), then along the horizontal line to x1."""

    cx: float
    cy: float
    radius: float
    quadrant: int  # 0 right of and below its centre, then clockwise


Shape = Box | Dot | Arc

_QUADRANTS = {  # upper left, upper right, lower left, lower right
    "▖": "..x.", "▗": "...x", "▘": "x...", "▙": "x.xx", "▚": "x..x", "▛": "xxx.", "▜": "xx.x", "▝": ".x..", "▞": ".xx.",
    "▟": ".xxx",
}  # fmt: skip
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}
# Bit of a braille pattern → column and row of its dot.
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))


@lru_cache(maxsize=512)
def shapes(char: str) -> tuple[Shape, ...] | None:
    """What ``char`` is made of in a cell of :data:`CELL`; None: a letter, for a font to draw."""
    if len(char) != 1:
        return None
    code = ord(char)
    if 0x2500 <= code < 0x2580:
        return _line(unicodedata.name(char))
    if 0x2580 <= code < 0x25A0:
        return _block(char)
    if 0x2800 <= code < 0x2900:
        return _braille(code - 0x2800)
    return None


def _line(name: str) -> tuple[Shape, ...] | None:
    words = name.removeprefix("BOX DRAWINGS ").split()
    if ("DOUBLE" in words and "DASH" not in words) or "DIAGONAL" in words or {"LIGHT", "HEAVY"} <= set(words):
        return None
    thick = HEAVY if "HEAVY" in words else LIGHT
    arms: set[str] = {arm for arm in ("UP", "DOWN", "LEFT", "RIGHT") if arm in words}
    arms |= {"UP", "DOWN"} if "VERTICAL" in words else set()
    arms |= {"LEFT", "RIGHT"} if "HORIZONTAL" in words else set()
    if "ARC" in words:
        return _arc(arms)
    if "DASH" in words:
        dashes = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}[words[1]]
        return _dashes(dashes, "VERTICAL" in words, thick)
    width, height = CELL
    left, top = (width - thick) / 2, (height - thick) / 2
    found: list[Shape] = []
    if arms & {"UP", "DOWN"}:
        y0 = 0 if "UP" in arms else top
        found.append(Box(left, y0, left + thick, height if "DOWN" in arms else top + thick))
    if arms & {"LEFT", "RIGHT"}:
        x0 = 0 if "LEFT" in arms else left
        found.append(Box(x0, top, width if "RIGHT" in arms else left + thick, top + thick))
    return tuple(found)


def _dashes(count: int, vertical: bool, thick: int) -> tuple[Shape, ...]:
    width, height = CELL
    pitch = (height if vertical else width) / count
    left, top = (width - thick) / 2, (height - thick) / 2
    starts = [pitch * (number + 0.2) for number in range(count)]
    if vertical:
        return tuple(Box(left, start, left + thick, start + pitch * 0.6) for start in starts)
    return tuple(Box(start, top, start + pitch * 0.6, top + thick) for start in starts)


def _arc(arms: set[str]) -> tuple[Shape, ...]:
    """A corner as a quarter circle with a radius of half the cell's width, and the straight rest of the longer arm."""
    width, height = CELL
    middle_x, middle_y, radius = width / 2, height / 2, width / 2
    down, right = "DOWN" in arms, "RIGHT" in arms
    cx = width if right else 0
    cy = middle_y + radius if down else middle_y - radius
    quadrant = {(True, True): 2, (True, False): 3, (False, False): 0, (False, True): 1}[down, right]
    rest = (cy, height) if down else (0, cy)
    return (
        Arc(cx, cy, radius, quadrant),
        Box(middle_x - LIGHT / 2, rest[0], middle_x + LIGHT / 2, rest[1]),
    )


def _block(char: str) -> tuple[Shape, ...] | None:
    width, height = CELL
    code = ord(char)
    if char in _SHADES:
        return (Box(0, 0, width, height, _SHADES[char]),)
    if char in _QUADRANTS:
        places = ((0, 0), (1, 0), (0, 1), (1, 1))
        half_w, half_h = width / 2, height / 2
        return tuple(
            Box(x * half_w, y * half_h, (x + 1) * half_w, (y + 1) * half_h)
            for (x, y), on in zip(places, _QUADRANTS[char], strict=True)
            if on == "x"
        )
    if char == "▀":
        return (Box(0, 0, width, height / 2),)
    if char == "▔":
        return (Box(0, 0, width, height / 8),)
    if char == "▐":
        return (Box(width / 2, 0, width, height),)
    if char == "▕":
        return (Box(width * 7 / 8, 0, width, height),)
    if 0x2581 <= code <= 0x2588:
        return (Box(0, height * (0x2588 - code) / 8, width, height),)
    return (Box(0, 0, width * (0x2590 - code) / 8, height),)


def _braille(bits: int) -> tuple[Shape, ...]:
    width, height = CELL
    return tuple(
        Dot(width * (2 * column + 1) / 4, height * (2 * row + 1) / 8, width / 8)
        for bit, (column, row) in enumerate(_DOTS)
        if bits >> bit & 1
    )
