"""The link and node screens: nothing greener than measured, hostile text, any size, a moment that is looked at."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len
from scripted_mesh import EPOCH, ScriptedSource, scripted_flows, scripted_view
from test_app import HOSTILE, hostile, renamed

from meshtop.model import LinkKey
from meshtop.ui.app import MeshtopApp
from meshtop.ui.screens.link import LinkScreen
from meshtop.ui.screens.node import NodeScreen

NOW = EPOCH + 44
SIZES = [(120, 40), (100, 30), (80, 24), (60, 20), (40, 10), (30, 6)]
SCREENS = [("enter",), ("n",), ("n", "g"), ("n", "g", "g"), ("t",)]


@pytest.mark.parametrize("keys", [("enter",), ("n",), ("n", "g", "g")])
async def test_four_seconds_after_the_last_news_nothing_looks_healthy(keys, ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert "●" in "\n".join(grid_of(app))
        ticks.now += 4.0
        app._heartbeat()
        await pilot.pause()
        text = "\n".join(grid_of(app))
    assert "NO NEW DATA for 4s" in text
    assert "●" not in text
    assert " ok " not in text
    assert "tells nothing now: its flows are not visible" in text


@pytest.mark.parametrize("size", SIZES)
async def test_no_text_is_markup_there_either(size, ticks, grid_of) -> None:
    source = ScriptedSource(hostile(scripted_view(44)))
    flows = tuple(
        msgspec.structs.replace(flow, process=HOSTILE, cgroup=HOSTILE, watch=HOSTILE)
        for flow in scripted_flows(source.current, "e")
    )
    source.flows = lambda node, link=None: flows  # type: ignore[method-assign]
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in SCREENS:
            await pilot.press(*keys)
            await pilot.pause()
            lines = grid_of(app)
            assert {cell_len(line) for line in lines} == {size[0]}
            assert all(line.isprintable() for line in lines)
            await pilot.press("escape")


@pytest.mark.parametrize("size", [*SIZES, (300, 100), (40, 100), (300, 10)])
async def test_long_and_wide_names_keep_every_line_whole(size, ticks, grid_of) -> None:
    names = {"a": "gateway-hubei-01", "b": "湖北武汉入口节点", "c": "重庆", "d": "d" * 60, "e": "é́́"}
    app = MeshtopApp(ScriptedSource(renamed(scripted_view(44, down=("d",)), names)), ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in SCREENS:
            await pilot.press(*keys)
            await pilot.pause()
            for name in ("left", "y", "Y", "z") if keys[0] == "enter" else ("tab",):
                await pilot.press(name)
                await pilot.pause()
                lines = grid_of(app)
                assert len(lines) == size[1]
                assert {cell_len(line) for line in lines} == {size[0]}
            app.action_live()
            await pilot.press("escape")


@pytest.mark.parametrize("count", [0, 1, 2, 9, 20])
async def test_any_number_of_nodes_there_too(count, ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44, count)), ticks=ticks)
    async with app.run_test(size=(80, 24)) as pilot:
        for key in ("enter", "n"):
            await pilot.press(key)
            await pilot.pause()
            assert {cell_len(line) for line in grid_of(app)} == {80}
            await pilot.press("escape")


async def test_sizes_may_change_there_too(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        for size in [(60, 20), (30, 6), (1, 1), (200, 60), (80, 24), (40, 10), (300, 3), (120, 40)]:
            await pilot.resize_terminal(*size)
            app.repaint()
            await pilot.pause()
            lines = grid_of(app)
            assert len(lines) == size[1]
            assert {cell_len(line) for line in lines} == {size[0]}
        assert lines[1].startswith("── e → a")
        assert lines[-1].startswith(" esc back")


async def test_every_screen_shows_the_moment_that_is_looked_at(ticks, grid_of) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("[", "[")
        for key in ("", "enter", "t", "l"):
            await pilot.press(*([key] if key else []))
            await pilot.pause()
            assert "AS OF 14:32:18 · 26s ago · esc live" in grid_of(app)[0]
        source.give(scripted_view(50))
        ticks.now += 6
        app._heartbeat()
        await pilot.pause(0.3)
        assert "AS OF 14:32:18" in grid_of(app)[0], "news do not move it"
        assert len(set(source.asked_past)) == 2, "a moment is asked for once, however often it is painted"
        await pilot.press("escape")
        await pilot.pause()
        assert "LIVE" in grid_of(app)[0]
        assert "14:32:50 UTC" in grid_of(app)[0]


async def test_beyond_what_is_kept_the_cursor_stays(ticks, grid_of, until) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.look_at(NOW - 3600)
        await until(pilot, lambda: "Nothing is kept of 13:32:44." in "\n".join(grid_of(app)))
        assert app.time.at is None


async def test_freeze_and_the_past_end_together(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "space")
        ticks.now += 20
        await pilot.press("left")
        await pilot.pause()
        assert app.time.at == pytest.approx(NOW - app.screen.step_s), "from the frozen moment back"
        assert "AS OF" in grid_of(app)[0]
        await pilot.press("escape")
        await pilot.pause()
        assert app.frozen_at is None
        assert isinstance(app.screen, LinkScreen)
        assert "AS OF" not in grid_of(app)[0]


async def test_another_screen_opens_a_link_at_a_moment(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "n")
        assert isinstance(app.screen, NodeScreen)
        await app.open_link(LinkKey("d", "c", "public"), NOW - 600)
        await pilot.pause()
        assert isinstance(app.screen, LinkScreen)
        assert sum(isinstance(screen, LinkScreen) for screen in app.screen_stack) == 1
        lines = grid_of(app)
        assert "AS OF 14:22:44 · 10m ago" in lines[0]
        assert lines[1].startswith("── d → c")
        assert lines[3].startswith("[public"), "its path is the one whose flows are listed"
        assert any("↑14:22:44" in line for line in lines), "the cursor is on the chart, wherever that is"


async def test_what_came_later_is_faint_and_the_cursor_hides_nothing(ticks) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", *["left"] * 20)
        await pilot.pause()
        charts = app.screen.query_one("#charts")
        bottom = charts._strips[7]  # of the round trips
        faint = app.palette.faint.color
        styles = [style for _, style, _ in bottom for style in [style] if style is not None]
        assert styles[-1].color == faint
        assert any(style.color == app.palette.series["underlay"].color for style in styles)


async def test_the_mouse_opens_a_link_and_picks_a_moment(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        row = next(y for y, line in enumerate(grid_of(app)) if line.startswith("│ b "))
        await pilot.click("#matrix", offset=(1 + 7 + 14 * 2 + 5, row - 1), times=2)
        await pilot.pause()
        assert isinstance(app.screen, LinkScreen)
        assert app.choices.pair == ("b", "c")
        await pilot.click("#charts", offset=(6 + 56, 3))  # in the middle of two minutes
        await pilot.pause()
        assert app.time.at == pytest.approx(NOW - 60, abs=1.5)
        assert "AS OF 14:31:4" in grid_of(app)[0]
        await pilot.click("#charts", offset=(2, 3))
        await pilot.pause()
        assert "AS OF 14:31:4" in grid_of(app)[0], "beside the axis is no moment"


async def test_a_jump_says_to_what(ticks, seen) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("[", "[")
        await pilot.pause()
        text = "\n".join(seen(app))
    assert "stall b→*, undetermined" in text
    assert "rto-no-ack" not in text.split("Log")[0], "what the jump before led to is no longer said"
    assert "-15s" in text
    assert "now" not in text.split("Stalls")[1].split("Nodes")[0], "the strips end then"
