"""Large updates reach the terminal as the lines that differ, and the terminal shows the same."""

from __future__ import annotations

import pytest
from rich.console import Console
from scripted_mesh import ScriptedSource, scripted_view
from textual._compositor import LayoutUpdate
from textual.geometry import Region

from meshtop.ui.app import MeshtopApp
from meshtop.ui.repaint import LinesUpdate, Shadow


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
        assert isinstance(first, LinesUpdate)
        assert [y for y, _ in first.lines] == list(range(40))
        assert shadow.reduced(app.screen, whole(app)) is None
        ticks.now += 1  # the clock of the header moves on, and nothing else
        app.repaint()
        await pilot.pause()
        second = shadow.reduced(app.screen, whole(app))
        assert isinstance(second, LinesUpdate)
        assert 0 in [y for y, _ in second.lines]
        assert len(second.lines) < 20
        shadow.forget()
        again = shadow.reduced(app.screen, whole(app))
        assert isinstance(again, LinesUpdate)
        assert len(again.lines) == 40


async def test_another_size_is_painted_whole(ticks, shadow) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        shadow.reduced(app.screen, whole(app))
        await pilot.resize_terminal(100, 30)
        await pilot.pause()
        update = shadow.reduced(app.screen, whole(app))
        assert isinstance(update, LinesUpdate)
        assert len(update.lines) == 30


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
        assert isinstance(after, LinesUpdate)
        assert len(after.lines) == 40


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
