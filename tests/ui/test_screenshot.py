"""Pictures of the screen: text, SVG and PNG, without a terminal."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as ET

import pytest
from PIL import Image
from rich.cells import cell_len
from scripted_mesh import ScriptedSource, scripted_view
from scripted_runs import PlanningSource, busy_view

from meshtop.ui import screenshot
from meshtop.ui.app import MeshtopApp
from meshtop.ui.picture import fonts
from meshtop.ui.picture.grid import Grid, Run
from meshtop.ui.picture.png import png
from meshtop.ui.picture.shapes import CELL, Arc, Box, Dot, shapes
from meshtop.ui.picture.svg import svg

INK, PAPER = (255, 255, 255), (0, 0, 0)
SVG = "{http://www.w3.org/2000/svg}"


def grid(*lines: str, ground=PAPER) -> Grid:
    width = max(cell_len(line) for line in lines)
    return Grid(width, len(lines), ground, tuple((Run(0, line, INK, ground),) for line in lines))


def drawn(*lines: str) -> Image.Image:
    return Image.open(io.BytesIO(png(grid(*lines), "title")[0]))


def inked(image: Image.Image, column: int, row: int, width: int = 1) -> set[tuple[int, int]]:
    """Pixels of a cell that are not the ground."""
    left, top = column * CELL[0], row * CELL[1]
    return {
        (x, y) for x in range(CELL[0] * width) for y in range(CELL[1]) if image.getpixel((left + x, top + y)) != PAPER
    }


@pytest.mark.parametrize("name", ["overview", "link:e:a", "node:a", "stalls", "diagnosis", "burst", "log"])
@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_every_view_is_drawn_without_a_terminal(name, size) -> None:
    picture = await screenshot.drawn(busy_view(), name, size)
    assert (picture.grid.width, picture.grid.height) == size
    assert all(sum(cell_len(run.text) for run in row) == size[0] for row in picture.grid.rows)
    assert "miku" in picture.text.splitlines()[0]
    assert picture.title == f"meshtop · miku · {name} · 2024-05-01 14:32:44 UTC"
    assert picture.stem == f"meshtop-miku-{name.replace(':', '-')}-20240501T143244Z"
    data, missing = picture.png()
    image = Image.open(io.BytesIO(data))
    assert image.size == (size[0] * CELL[0], size[1] * CELL[1])
    assert missing == frozenset()
    ET.fromstring(picture.svg())  # noqa: S314  # our own


async def test_views_differ() -> None:
    names = ("overview", "stalls", "diagnosis", "burst", "log")
    assert len({(await screenshot.drawn(busy_view(), name)).text for name in names}) == len(names)


def test_a_thread_without_a_loop_can_draw() -> None:
    assert "miku" in screenshot.draw(scripted_view(44)).text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("owerview", 'no view is called "owerview"; there are overview, link:SRC:DST'),
        ("link:e", "no view is called"),
        ("link:e:q", 'no node is called "q"; there are a, b, c, d, e'),
        ("link:e:e", "a link has two ends"),
        ("node:", 'no node is called ""'),
    ],
)
async def test_a_view_that_is_not_there_is_refused(name, words) -> None:
    with pytest.raises(screenshot.NoSuchView, match=re.escape(words)):
        await screenshot.drawn(scripted_view(44), name)


async def test_a_picture_is_unicode_whatever_the_terminal_is(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "●" in (await screenshot.drawn(scripted_view(44))).text


def test_an_svg_holds_text_and_calls_nobody() -> None:
    text = svg(grid("<b> & 湖北 ─┐", "▒█ ╭╯ ⣿"), "a < b")
    root = ET.fromstring(text)  # noqa: S314
    assert "".join(one.text or "" for one in root.iter(f"{SVG}text")) == "<b>&湖北"
    assert root.findtext(f"{SVG}title") == "a < b"
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@font-face|@import", text)
    assert len(list(root.iter(f"{SVG}circle"))) == 8
    assert len(list(root.iter(f"{SVG}path"))) == 2


def test_lines_join_across_cells() -> None:
    """In both directions, and around corners: the same two pixels on both sides of each border."""
    image = drawn("┌─╮", "│ │", "╰─┘")
    height, width = CELL[1], CELL[0]
    for row, columns in ((0, (0, 1)), (2, (0, 1))):
        for column in columns:
            right = {y for x, y in inked(image, column, row) if x == width - 1}
            left = {y for x, y in inked(image, column + 1, row) if x == 0}
            assert right & left == {CELL[1] // 2 - 1, CELL[1] // 2}
    for column in (0, 2):
        for row in (0, 1):
            below = {x for x, y in inked(image, column, row) if y == height - 1}
            above = {x for x, y in inked(image, column, row + 1) if y == 0}
            assert below & above == {CELL[0] // 2 - 1, CELL[0] // 2}


def test_blocks_fill_what_they_should() -> None:
    image = drawn("█▄▌▒ ")
    full, lower, left, shade, blank = (inked(image, column, 0) for column in range(5))
    assert len(full) == CELL[0] * CELL[1]
    assert {y for _, y in lower} == set(range(CELL[1] // 2, CELL[1]))
    assert {x for x, _ in left} == set(range(CELL[0] // 2))
    assert len(shade) == CELL[0] * CELL[1]
    assert image.getpixel((3 * CELL[0] + 5, 5)) == (128, 128, 128)
    assert blank == set()


def test_wide_signs_take_two_cells_and_what_follows_stands_in_its_column() -> None:
    image, plain = drawn("湖x"), drawn("  x")
    ink = inked(image, 0, 0, 2)
    assert {x for x, _ in ink} & set(range(CELL[0]))
    assert {x for x, _ in ink} & set(range(CELL[0], 2 * CELL[0]))
    assert inked(image, 2, 0) == inked(plain, 2, 0) != set()


def test_a_sign_that_no_font_has_is_told_and_drawn_as_a_box(monkeypatch) -> None:
    monkeypatch.setattr(fonts, "installed", lambda: ())
    fonts.font_for.cache_clear()
    data, missing = png(grid("a\U00012345b"), "title")
    fonts.font_for.cache_clear()
    assert missing == {"\U00012345"}
    assert "apt-get install" in screenshot.missing_words(missing)
    assert Image.open(io.BytesIO(data)).size[0] == 3 * CELL[0]


def test_every_sign_of_the_screen_has_a_font() -> None:
    from meshtop.ui.glyphs import UNICODE

    signs = [*UNICODE.states.values(), UNICODE.lost, UNICODE.self_link, UNICODE.ellipsis, *"→←↑↓⏎␣×÷≤≥–µ±Δ◂▸❚·"]
    assert [one for one in signs if shapes(one) is None and fonts.font_for(one, False, False) is None] == []


@pytest.mark.parametrize(("char", "kind"), [("─", Box), ("╭", Arc), ("⡇", Dot), ("▁", Box), ("┃", Box), ("╎", Box)])
def test_signs_that_are_geometry(char, kind) -> None:
    found = shapes(char)
    assert found
    assert isinstance(found[0], kind)


def test_letters_are_for_fonts() -> None:
    assert shapes("a") is None
    assert shapes("═") is None, "no light line is drawn for a double one"


async def test_a_picture_of_a_dialog_has_the_screen_below_it(ticks) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("b")
        await pilot.pause()
        text = screenshot.picture_of(app, app.scene(), "overview").text
    assert "esc cancel" in text
    assert "Attention" in text


async def test_two_pictures_of_one_second_have_two_names(tmp_path) -> None:
    picture = await screenshot.drawn(scripted_view(44), size=(40, 10))
    first, second = screenshot.save(picture, tmp_path), screenshot.save(picture, tmp_path)
    assert len({*first.files, *second.files}) == 6
    assert second.files[0].name.endswith("-2.svg")
    assert first.files[2].read_text(encoding="utf-8") == picture.text


async def test_a_folder_that_takes_nothing_is_said(ticks, monkeypatch, tmp_path, until, seen) -> None:
    monkeypatch.setattr(screenshot, "default_folder", lambda: tmp_path / "gone")
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "No screenshot:" in "\n".join(seen(app)))


async def test_the_path_is_shown(ticks, monkeypatch, tmp_path, until, seen) -> None:
    monkeypatch.setattr(screenshot, "default_folder", lambda: tmp_path)
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(200, 40), notifications=True) as pilot:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Screenshot: " in "\n".join(seen(app)))
        (told,) = app._notifications
        assert told.message == f"Screenshot: {tmp_path / 'meshtop-miku-overview-20240501T143244Z'}.svg .png .txt"
