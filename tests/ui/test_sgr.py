"""Fewer bytes, and the terminal shows the same."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.ui.sgr import shortened

COLUMNS, LINES = 12, 3

colours = st.sampled_from(("31", "38;5;9", "38;2;1;2;3", "38;2;1;2;4", "97", ""))
grounds = st.sampled_from(("44", "48;5;7", "48;2;9;8;7", "48;2;9;8;8", "107", ""))
attributes = st.lists(st.sampled_from(("1", "3", "4", "5", "7", "9")), max_size=3, unique=True)
styles = st.builds(lambda *words: ";".join(filter(None, words)), attributes.map(";".join), colours, grounds)
texts = st.text(" ab▁│", min_size=0, max_size=4)
moves = st.builds(lambda y, x: f"\x1b[{y};{x}H", st.integers(1, LINES), st.integers(1, COLUMNS))
# As Textual writes: a run has all of its style, then a reset; some have none.
runs = st.builds(lambda style, text: f"\x1b[{style}m{text}\x1b[0m" if style else text, styles, texts)
odd = st.sampled_from(
    ("\x1b[2J", "\x1b[K", "\x1b[31m", "\x1b[0m", "\x1b[m", "\x1b[12m", "\x1b[38;2m", "\x1b]0;t\x07", "\n")
)
written = st.lists(st.one_of(runs, runs, runs, moves, odd), max_size=24).map("".join)


def shown(*writes: str) -> list[list[tuple[object, ...]]]:
    """Every cell as it looks: of a blank the colour of letters does not matter, unless it has a line or is reversed."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.Stream(screen)
    for text in writes:
        stream.feed(text)
    cells = []
    for y in range(LINES):
        line = []
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            blank = cell.data == " " and not (cell.underscore or cell.strikethrough or cell.reverse)
            line.append((" ", cell.bg) if blank else tuple(cell))
        cells.append(line)
    return cells


@given(written)
def test_the_terminal_shows_the_same(text: str) -> None:
    assert shown(shortened(text)) == shown(text)


@given(written, st.integers(0, 400))
def test_it_does_not_matter_where_a_write_is_cut(text: str, at: int) -> None:
    assert shown(shortened(text[:at]), shortened(text[at:])) == shown(text)


@given(written)
def test_it_is_never_longer(text: str) -> None:
    assert len(shortened(text)) <= len(text)


BEGUN = "\x1b[0m\x1b[31;40ma\x1b[0m"
SHORT = "\x1b[0;31;40ma"


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("plain", "plain"),
        (BEGUN, f"{SHORT}\x1b[m"),
        (f"{BEGUN}b", f"{SHORT}\x1b[mb"),  # what has no style has none
        (f"{BEGUN}\x1b[1;31;40mb\x1b[0m\x1b[31;40mc\x1b[0m", f"{SHORT}\x1b[1mb\x1b[22mc\x1b[m"),
        (f"{BEGUN}\x1b[2;1H\x1b[32;40mb\x1b[0m", f"{SHORT}\x1b[2;1H\x1b[32mb\x1b[m"),
        (f"{BEGUN}\x1b[32;40m  \x1b[0m\x1b[31;40mb\x1b[0m", f"{SHORT}  b\x1b[m"),
        (f"{BEGUN}\x1b[32;41m  \x1b[0m", f"{SHORT}\x1b[32;41m  \x1b[m"),
        (f"{BEGUN}\x1b[4;31;40m  \x1b[0m", f"{SHORT}\x1b[4m  \x1b[m"),  # a line under blanks is seen
        (f"{BEGUN}\x1b[Kb", f"{SHORT}\x1b[m\x1b[Kb"),  # what is erased takes the style's background
    ],
)
def test_examples(text: str, short: str) -> None:
    assert shortened(text) == short
