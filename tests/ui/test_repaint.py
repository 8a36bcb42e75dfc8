"""Large updates reach the terminal as the cells that differ, and the terminal shows the same."""

from __future__ import annotations

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from scripted_mesh import ScriptedSource, scripted_view
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from meshtop.ui.app import MeshtopApp
from meshtop.ui.repaint import Piece, PiecesUpdate, Shadow, changed_pieces


def whole(app) -> LayoutUpdate:
    strips = [[strip] for strip in app.screen._compositor.render_strips()]
    return LayoutUpdate(strips, Region(0, 0, *app.size))


@pytest.fixture
def shadow() -> Shadow:
    return Shadow()


async def test_what_is_shown_already_is_not_sent_again(ticks, shadow) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        first = shadow.reduced(app.screen, whole(app))
        assert isinstance(first, PiecesUpdate)
        assert [piece.y for piece in first.pieces] == list(range(40))
        assert shadow.reduced(app.screen, whole(app)) is None
        ticks.now += 1  # the clock of the header moves on, and nothing else
        app.repaint()
        await pilot.pause()
        second = shadow.reduced(app.screen, whole(app))
        assert isinstance(second, PiecesUpdate)
        assert 0 in [piece.y for piece in second.pieces]
        assert len(second.pieces) < 20
        shadow.forget()
        again = shadow.reduced(app.screen, whole(app))
        assert isinstance(again, PiecesUpdate)
        assert len(again.pieces) == 40


async def test_another_size_is_painted_whole(ticks, shadow) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        shadow.reduced(app.screen, whole(app))
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        update = shadow.reduced(app.screen, whole(app))
        assert isinstance(update, PiecesUpdate)
        assert len(update.pieces) == 30


async def test_dialogs_pass_and_are_not_remembered(ticks, shadow) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        shadow.reduced(app.screen, whole(app))
        await pilot.press("m")
        update = whole(app)
        assert shadow.reduced(app.screen, update) is update
        await pilot.press("escape")
        after = shadow.reduced(app.screen, whole(app))
        assert isinstance(after, PiecesUpdate)
        assert len(after.pieces) == 40


def test_nothing_to_show_is_nothing(shadow) -> None:
    assert shadow.reduced(None, None) is None  # type: ignore[arg-type]


async def test_a_line_is_written_where_it_belongs(ticks, shadow) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        update = shadow.reduced(app.screen, whole(app))
        written = update.render_segments(Console(force_terminal=True, color_system="truecolor", width=60))
    assert written.count("\x1b[1;1H") == 1
    assert "\x1b[20;1H" in written
    assert "\n" not in written


STYLES = [Style.parse(words) for words in ("red on black", "green on black", "bold red on black", "red on blue")]
CONSOLE = Console(force_terminal=True, color_system="truecolor", width=40)
LENGTH = 24


def strips(letters: str) -> st.SearchStrategy[Strip]:
    cells = st.lists(st.tuples(st.sampled_from(letters), st.sampled_from(STYLES)), min_size=LENGTH, max_size=LENGTH)
    made = cells.map(lambda each: Strip([Segment(letter, style) for letter, style in each], LENGTH))
    return st.one_of(made, made.map(Strip.simplify))


def edited(strip: Strip, changes: list[tuple[int, str, Style]]) -> Strip:
    for x, letter, style in changes:
        before, after = strip.crop(0, x), strip.crop(x + 1, LENGTH)
        strip = Strip([*before, Segment(letter, style), *after], LENGTH).simplify()
    return strip


changes = st.lists(st.tuples(st.integers(0, LENGTH - 1), st.sampled_from("ab█ "), st.sampled_from(STYLES)), max_size=4)


def after_writing(*pieces: Piece) -> list[object]:
    screen = pyte.Screen(LENGTH, 1)
    pyte.Stream(screen).feed(PiecesUpdate(pieces).render_segments(CONSOLE))
    return [screen.buffer[0][x] for x in range(LENGTH)]


@given(strips("ab█ "), changes)
def test_what_differs_is_enough(before: Strip, change: list[tuple[int, str, Style]]) -> None:
    after = edited(before, change)
    pieces = list(changed_pieces(0, before, after))
    assert after_writing(Piece(0, 0, before), *pieces) == after_writing(Piece(0, 0, after))
    assert sum(piece.strip.cell_length for piece in pieces) <= 7 * len(change)  # and the short gaps between two


def test_what_stays_between_two_changes_is_not_painted() -> None:
    before = Strip([Segment("12 and a long way to 34")])
    after = Strip([Segment("13 and a long way to 44")])
    assert [(x, strip.text) for x, _, strip in changed_pieces(3, before, after)] == [(1, "3"), (21, "4")]
    assert [(x, strip.text) for x, _, strip in changed_pieces(3, before, Strip([Segment("1 2")]))] == [(0, "1 2")]
    in_two_runs = Strip([Segment("12 and "), Segment("a long way to 34")])
    assert list(changed_pieces(3, before, in_two_runs)) == []


@pytest.mark.parametrize("text", ["湖北 1", "e\u0301 1", "⌚ 1"])
def test_a_line_of_other_widths_is_painted_whole(text: str) -> None:
    before, after = Strip([Segment(text)]), Strip([Segment(f"{text[:-1]}2")])
    assert [(x, strip.text) for x, _, strip in changed_pieces(0, before, after)] == [(0, after.text)]
