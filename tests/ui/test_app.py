"""The app around the screens: pace, freeze, background, hostile text, sizes that change while it runs."""

from __future__ import annotations

import asyncio
import os
import signal

import msgspec
import pytest
from rich.cells import cell_len
from scripted_mesh import ScriptedSource, scripted_view
from scripted_runs import PlanningSource, busy_view

from meshtop.burst import Bystander
from meshtop.engine.snapshot import Evidence
from meshtop.engine.view import View
from meshtop.model import LogLine, Mark
from meshtop.ui import terminal
from meshtop.ui.app import MeshtopApp
from meshtop.ui.pace import LEAST_PERIOD_S, QUICK_PERIOD_S, QUICK_UPTO_INTERVAL_S, Pace
from meshtop.ui.screens.overview import OverviewScreen


def test_pace_gathers_and_holds_back() -> None:
    pace = Pace()
    assert 0 < pace.delay(10.0) < 0.1, "the first news is painted almost at once"
    pace.painted(10.0)
    assert pace.delay(10.1) == pytest.approx(LEAST_PERIOD_S - 0.1)
    assert 0 < pace.delay(11.0) < 0.1
    assert not pace.heartbeat_due(10.5)
    assert pace.heartbeat_due(11.0)


def test_quick_sampling_is_painted_quicker() -> None:
    pace = Pace()
    pace.painted(10.0)
    assert pace.delay(10.1, QUICK_UPTO_INTERVAL_S) == pytest.approx(QUICK_PERIOD_S - 0.1)
    assert pace.delay(10.1, QUICK_UPTO_INTERVAL_S + 0.1) == pytest.approx(LEAST_PERIOD_S - 0.1)


async def test_a_flood_of_news_is_painted_at_most_four_times_a_second() -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        asked = source.asked
        loop = asyncio.get_running_loop()
        begin = loop.time()
        while loop.time() - begin < 1.0:
            source.give(scripted_view(45))
            await asyncio.sleep(0.005)
        took = loop.time() - begin
    assert 2 <= source.asked - asked <= took / LEAST_PERIOD_S + 1


async def test_freeze_stops_painting_never_asking_later(ticks, grid_of) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        ticks.now += 0.5
        await pilot.press("space")
        await pilot.pause()
        frozen = grid_of(app)
        assert "❚❚ FROZEN since 14:32:44" in frozen[0]
        ticks.now += 30
        source.give(scripted_view(74))
        app._heartbeat()
        await pilot.pause(0.3)
        assert grid_of(app) == frozen
        await pilot.press("2")
        await pilot.pause()
        assert "Rate bit/s" in grid_of(app)[1], "what was frozen can still be looked at from all sides"
        assert "FROZEN since 14:32:44" in grid_of(app)[0]
        assert grid_of(app)[0].rstrip().endswith("14:32:44 UTC")
        await pilot.press("space")
        await pilot.pause()
        assert "LIVE" in grid_of(app)[0]
        assert "14:33:14 UTC" in grid_of(app)[0]


async def test_what_stays_the_same_is_not_painted_again(ticks, monkeypatch) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        refreshed = []
        for part in app.screen.query("Canvas"):
            monkeypatch.setattr(part, "refresh", lambda *regions, part=part: refreshed.append((part.id, regions)))
        app.repaint()
        assert refreshed == []
        links = tuple(
            msgspec.structs.replace(link, rtt_ms=99.9) if (link.src, link.dst, link.path) == ("a", "b", "vpn") else link
            for link in source.current.snapshot.links
        )
        snapshot = msgspec.structs.replace(source.current.snapshot, links=links)
        source.current = msgspec.structs.replace(source.current, snapshot=snapshot)
        app.repaint()
        assert [name for name, _ in refreshed] == ["matrix"]
        assert len(refreshed[0][1]) == 1, "one line changed"
        assert refreshed[0][1][0].height == 1


HOSTILE = (
    "[bold red]x[/] \x1b[2J\x9b31m [link=file:///etc/passwd]y[/link] \u202e[@click=app.quit]q[/] "
    "❤\ufe0f🇩🇪👍🏽1\ufe0f\u20e3\u3164 z\u0335\u0321 שלום"
)


def hostile(view: View) -> View:
    """Every text of the view that a node or a config can put there, made as bad as it gets."""
    snapshot = view.snapshot
    nodes = tuple(
        msgspec.structs.replace(node, label=HOSTILE, problems=(HOSTILE,), kernel=HOSTILE)
        if node.name != "b"
        else msgspec.structs.replace(node, state="down", reason=HOSTILE, cure=HOSTILE, label=HOSTILE)
        for node in snapshot.nodes
    )
    links = tuple(msgspec.structs.replace(link, reason=HOSTILE) for link in snapshot.links)
    return msgspec.structs.replace(
        view,
        snapshot=msgspec.structs.replace(snapshot, nodes=nodes, links=links),
        mesh=msgspec.structs.replace(view.mesh, name=HOSTILE),
        log=(LogLine(at=view.at, node="[u]n[/u]", level="error", text=HOSTILE),),
        marks=(Mark(at=view.at, text=HOSTILE),),
    )


@pytest.mark.parametrize("size", [(120, 40), (100, 30), (60, 20), (40, 10), (30, 6)])
async def test_no_text_is_markup_and_none_steers_the_terminal(size, ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(hostile(scripted_view(44))), ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in ((), ("p",), ("p",), ("l",)):
            await pilot.press(*keys)
            await pilot.pause()
            lines = grid_of(app)
            assert all(cell_len(line) == size[0] for line in lines)
            assert all(line.isprintable() for line in lines)
            for strip in app.screen._compositor.render_strips():
                assert all(segment.style is None or not segment.style.link for segment in strip)
        if size[0] >= 60:
            assert "[bold red]x[/]" in "\n".join(lines), "the log screen shows it as it is"


def hostile_verdicts(view: View) -> View:
    """What findings, experiments and bursts repeat of what nodes said."""
    finding = msgspec.structs.replace(
        view.findings[0], summary=f"e → a: {HOSTILE}", next=(HOSTILE,) * 3,
        evidence=(Evidence(what=HOSTILE, value=HOSTILE, expected=HOSTILE),) * 2,
        against=(Evidence(what="a", value="b", expected=HOSTILE),),
    )  # fmt: skip
    flow = {"local": HOSTILE, "peer": "湖北" * 30, "process": HOSTILE}
    bursts = tuple(
        msgspec.structs.replace(
            one, tool=HOSTILE, reason=HOSTILE,
            bystanders=(Bystander(src="e", dst="a", path="vpn", flow=flow, bps_before=1.0, bps_during=None),),
        )
        for one in view.bursts
    )  # fmt: skip
    snapshot = msgspec.structs.replace(view.snapshot, findings=(finding,))
    return msgspec.structs.replace(view, snapshot=snapshot, findings=(finding,), bursts=bursts)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)])
async def test_verdicts_and_bursts_keep_the_columns_whatever_nodes_said(size, ticks, grid_of) -> None:
    app = MeshtopApp(PlanningSource(hostile_verdicts(hostile(busy_view()))), ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in ((), ("d",), ("down",), ("u",), ("down",), ("down",), ("c", "up"), ("enter",)):
            await pilot.press(*keys)
            await pilot.pause()
            lines = grid_of(app)
            assert {cell_len(line) for line in lines} == {size[0]}
            assert {sum(cell_len(char) for char in line) for line in lines} == {size[0]}
            assert all(line.isprintable() for line in lines)


def renamed(view: View, names: dict[str, str]) -> View:
    """The same view of nodes with other names."""
    nodes = tuple(msgspec.structs.replace(node, name=names[node.name]) for node in view.snapshot.nodes)
    links = tuple(
        msgspec.structs.replace(link, src=names[link.src], dst=names[link.dst]) for link in view.snapshot.links
    )
    mesh_nodes = tuple(msgspec.structs.replace(node, name=names[node.name]) for node in view.mesh.nodes)
    return msgspec.structs.replace(
        view,
        snapshot=msgspec.structs.replace(view.snapshot, nodes=nodes, links=links),
        mesh=msgspec.structs.replace(view.mesh, nodes=mesh_nodes),
        trails={},
    )


@pytest.mark.parametrize("size", [(120, 40), (100, 30), (80, 24), (60, 20), (40, 10), (30, 6)])
async def test_long_and_wide_names_keep_the_columns(size, ticks, grid_of) -> None:
    names = {"a": "gateway-hubei-01", "b": "湖北武汉入口节点", "c": "重庆", "d": "d" * 60, "e": "é́́"}
    view = renamed(scripted_view(44, down=("d",)), names)
    app = MeshtopApp(ScriptedSource(view), ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in ((), ("p", "p"), ("down", "left"), ("l",)):
            await pilot.press(*keys)
            await pilot.pause()
            lines = grid_of(app)
            assert {cell_len(line) for line in lines} == {size[0]}
            frames = [line for line in lines if line.startswith("│")]
            assert [line for line in frames if line[-1] not in "│╮╯"] == []


async def test_sizes_may_change_while_it_runs(ticks, grid_of) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        for size in [(60, 20), (30, 6), (1, 1), (200, 60), (80, 24), (40, 10), (300, 3), (120, 40)]:
            await pilot.resize_terminal(*size)
            source.give(scripted_view(45))
            app.repaint()
            await pilot.pause()
            lines = grid_of(app)
            assert len(lines) == size[1]
            assert {cell_len(line) for line in lines} == {size[0]}
        assert lines[1].startswith("╭─ RTT ms")
        assert lines[-1].startswith(" ↑↓←→ select")


@pytest.mark.parametrize("count", [0, 1, 2, 9, 20])
@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (30, 6)])
async def test_any_number_of_nodes(count, size, ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44, count)), ticks=ticks)
    async with app.run_test(size=size) as pilot:
        for keys in ((), ("down", "right"), ("p", "p"), ("left", "up")):
            await pilot.press(*keys)
            await pilot.pause()
            assert {cell_len(line) for line in grid_of(app)} == {size[0]}


async def test_a_matrix_larger_than_the_screen_follows_the_cursor(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44, 20)), ticks=ticks)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*["down"] * 19)
        await pilot.pause()
        assert app.choices.pair == ("n19", "n01")
        lines = grid_of(app)
        assert any(line.startswith(" n19") and "[ ● ]" in line for line in lines)
        assert "n01" in lines[2], "names of columns stay"
        await pilot.press(*["right"] * 17)
        await pilot.pause()
        assert app.choices.pair == ("n19", "n18")
        assert "n18" in grid_of(app)[2]


async def test_the_background_is_cancelled_and_awaited(ticks) -> None:
    events = []

    async def background() -> None:
        events.append("begin")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            events.append("cleaned up")

    app = MeshtopApp(ScriptedSource(scripted_view(44)), background=background, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert events == ["begin"]
        await pilot.press("q")
    assert events == ["begin", "cleaned up"]
    assert app.return_code == 0


async def test_signals_that_somebody_else_handles_are_left_alone(ticks) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, seen.put_nowait, "outer")
    try:
        app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(seen.get(), 5) == "outer"
            assert app.return_code is None
        os.kill(os.getpid(), signal.SIGTERM)  # nor was the handler taken away at the end
        assert await asyncio.wait_for(seen.get(), 5) == "outer"
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


async def test_a_background_that_fails_ends_the_app_with_1(ticks) -> None:
    async def background() -> None:
        raise RuntimeError("the collector broke")

    app = MeshtopApp(ScriptedSource(scripted_view(44)), background=background, ticks=ticks)
    with pytest.raises(Exception, match="the collector broke"):
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause(0.5)
    assert app.return_code == 1


async def test_a_terminal_that_takes_nothing_is_not_waited_for(monkeypatch, ticks) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        monkeypatch.setattr(terminal, "takes_output", lambda: False)
        asked = source.asked
        source.give(scripted_view(45))
        await pilot.pause(0.4)
        assert source.asked == asked
        monkeypatch.setattr(terminal, "takes_output", lambda: True)
        source.give(scripted_view(46))
        await pilot.pause(0.4)
        assert source.asked > asked


async def test_the_pair_survives_and_a_lost_one_is_replaced(ticks) -> None:
    source = ScriptedSource(scripted_view(44, 20))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.choices.pair = ("n19", "n18")
        source.current = scripted_view(45, 2)
        app.repaint()
        assert isinstance(app.screen, OverviewScreen)
        assert app.choices.pair == ("a", "b")
