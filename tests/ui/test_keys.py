"""The table of keys, and what each key does on the real screen."""

from __future__ import annotations

import pytest
from act_checks import ACT_CHECKS
from chart_checks import CHART_CHECKS
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.requests import AddMark, ResetBaselines, SetInterval
from meshtop.ui import keys
from meshtop.ui.app import MeshtopApp
from meshtop.ui.dialogs.help import HelpDialog
from meshtop.ui.dialogs.mark import MarkDialog
from meshtop.ui.keys import KEYS, Key, clashes, hints, remapped
from meshtop.ui.repaint import PiecesUpdate
from meshtop.ui.screens.log import LogScreen
from meshtop.ui.screens.overview import OverviewScreen
from meshtop.ui.screens.stalls import StallsScreen
from meshtop.ui.widgets.stall_list import newest_first


def key(name: str, scope: keys.Scope, *pressed: str) -> Key:
    return Key(name, pressed, scope, "go", "app.quit", name, name)


def test_no_key_serves_two_bindings() -> None:
    assert clashes() == ()


def test_ids_are_unique() -> None:
    ids = [one.id for one in KEYS]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("everywhere", "overview", True),
        ("everywhere", "log", True),
        ("overview", "overview", True),
        ("overview", "log", False),
        ("everywhere", "stalls", True),
        ("overview", "stalls", False),
        ("log", "stalls", False),
        ("everywhere", "dialog", False),
        ("always", "dialog", True),
        ("always", "overview", True),
    ],
)
def test_clashes_are_found_where_scopes_are_live_together(one, other, clash) -> None:
    table = (key("first", one, "a", "x"), key("second", other, "x"))
    assert bool(clashes(table)) is clash
    assert bool(clashes(table[::-1])) is clash
    if clash:
        assert str(clashes(table)[0]) == 'key "x" is bound to both first and second'


def test_a_keymap_moves_keys_and_refuses_nonsense() -> None:
    moved = {one.id: one.keys for one in remapped({"app.quit": "Q, ctrl+q"})}
    assert moved["app.quit"] == ("Q", "ctrl+q")
    assert moved["app.help"] == ("question_mark",)
    with pytest.raises(ValueError, match=r'key "p" is bound to both path\.next and app\.quit'):
        remapped({"app.quit": "p"})
    with pytest.raises(ValueError, match=r'no binding is called "app.leave"; there are app\.freeze'):
        remapped({"app.leave": "x"})


def test_the_footer_gathers_keys_of_one_label() -> None:
    found = {hint.label: hint.signs for hint in hints("overview")}
    assert found["select"] == "↑↓←→"
    assert found["metric"] == "1–5"
    assert found["interval"] == "+ -"
    assert "back" not in found
    assert {hint.label: hint.signs for hint in hints("log")}["back"] == "esc"


class Pressed:
    """A running overview at 120×40, and what was pressed."""

    def __init__(self, app, pilot, source) -> None:
        self.app, self.pilot, self.source = app, pilot, source

    async def press(self, *names: str) -> None:
        await self.pilot.press(*names)
        await self.pilot.pause()


async def check_quit(run: Pressed) -> None:
    await run.press("q")
    assert run.app.return_code == 0
    assert not run.app.is_running or run.app._exit


async def check_interrupt(run: Pressed) -> None:
    await run.press("ctrl+c")
    assert run.app.return_code == 130


async def check_help(run: Pressed) -> None:
    await run.press("question_mark")
    assert isinstance(run.app.screen, HelpDialog)
    await run.press("escape")
    assert isinstance(run.app.screen, OverviewScreen)


async def check_freeze(run: Pressed) -> None:
    await run.press("space")
    assert run.app.frozen_at is not None
    await run.press("space")
    assert run.app.frozen_at is None


async def check_longer(run: Pressed) -> None:
    await run.press("plus")
    assert run.source.sent == [SetInterval(interval_s=2.0)]
    assert run.app.interval_s == 2.0
    await run.press(*["plus"] * 6)
    assert run.source.sent[-1] == SetInterval(interval_s=60.0)
    assert len(run.source.sent) == 5, "at the longest interval there is nothing left to ask for"


async def check_shorter(run: Pressed) -> None:
    await run.press("minus")
    assert run.source.sent == [SetInterval(interval_s=0.5)]
    await run.press(*["minus"] * 4)
    assert run.source.sent[-1] == SetInterval(interval_s=0.1)


async def check_reset(run: Pressed) -> None:
    await run.press("ctrl+r")
    assert run.source.sent == [ResetBaselines()]


def moves(name: str, begin: tuple[str, str], end: tuple[str, str]):
    async def check(run: Pressed) -> None:
        run.app.choices.pair = begin
        await run.press(name)
        assert run.app.choices.pair == end

    return check


def shows_metric(name: str, pressed: str):
    async def check(run: Pressed) -> None:
        run.app.choices.metric = "stall" if name != "stall" else "rtt"
        await run.press(pressed)
        assert run.app.choices.metric == name

    return check


async def check_path(run: Pressed) -> None:
    seen = []
    for _ in range(4):
        seen.append(run.app.choices.paths(run.app.scene()))
        await run.press("p")
    assert seen == [("vpn",), ("public",), ("vpn", "public"), ("vpn",)]


async def check_log(run: Pressed) -> None:
    await run.press("l")
    assert isinstance(run.app.screen, LogScreen)


async def check_log_close(run: Pressed) -> None:
    for name in ("escape", "l"):
        await run.press("l")
        assert isinstance(run.app.screen, LogScreen)
        await run.press(name)
        assert isinstance(run.app.screen, OverviewScreen)


def scrolls(*presses: tuple[str, int]):
    async def check(run: Pressed) -> None:
        await run.pilot.resize_terminal(100, 6)  # three lines for seven entries
        await run.press("l")
        for name, back in presses:
            await run.press(name)
            assert run.app.screen._back == back

    return check


async def check_stalls(run: Pressed) -> None:
    await run.press("t")
    assert isinstance(run.app.screen, StallsScreen)


async def check_stalls_close(run: Pressed) -> None:
    for name in ("escape", "t"):
        await run.press("t")
        assert isinstance(run.app.screen, StallsScreen)
        await run.press(name)
        assert isinstance(run.app.screen, OverviewScreen)


def selects(*presses: tuple[str, int | None]):
    """After each key the stall at that place of the list is selected; None: whichever is the newest."""

    async def check(run: Pressed) -> None:
        await run.press("t")
        stalls = newest_first(run.app.scene())
        assert len(stalls) == 3
        for name, place in presses:
            await run.press(name)
            assert run.app.screen._selected == (None if place is None else stalls[place].id)

    return check


async def check_mark(run: Pressed) -> None:
    await run.press("m")
    assert isinstance(run.app.screen, MarkDialog)
    await run.press(*"push q", "enter")
    assert run.source.sent == [AddMark(text="push q")], "letters that are keys elsewhere are text here"
    await run.press("m", "enter")
    assert run.source.sent[1:] == [AddMark(text="mark")]


async def check_dialog_close(run: Pressed) -> None:
    for name in ("m", "question_mark"):
        await run.press(name, "escape")
        assert isinstance(run.app.screen, OverviewScreen)
    assert run.source.sent == []


async def check_redraw(run: Pressed) -> None:
    painted: list[object] = []
    reduced = run.app._shadow.reduced

    def seen(*given: object) -> object:
        painted.append(reduced(*given))
        return painted[-1]

    run.app._shadow.reduced = seen
    await run.press("ctrl+l")
    places = [[(piece.x, piece.y) for piece in one.pieces] for one in painted if isinstance(one, PiecesUpdate)]
    assert [(0, y) for y in range(40)] in places


CHECKS = {
    "app.quit": check_quit,
    "app.redraw": check_redraw,
    "app.interrupt": check_interrupt,
    "app.help": check_help,
    "app.freeze": check_freeze,
    "app.interval_longer": check_longer,
    "app.interval_shorter": check_shorter,
    "app.reset_baselines": check_reset,
    "select.up": moves("up", ("e", "a"), ("d", "a")),
    "select.down": moves("down", ("a", "b"), ("c", "b")),  # over the diagonal
    "select.left": moves("left", ("e", "b"), ("e", "a")),
    "select.right": moves("right", ("a", "e"), ("a", "e")),  # at the edge
    "metric.rtt": shows_metric("rtt", "1"),
    "metric.rate": shows_metric("rate", "2"),
    "metric.retx": shows_metric("retx", "3"),
    "metric.loss": shows_metric("loss", "4"),
    "metric.stall": shows_metric("stall", "5"),
    "path.next": check_path,
    "log.open": check_log,
    "log.close": check_log_close,
    "log.up": scrolls(("up", 1), ("up", 2)),
    "log.down": scrolls(("up", 1), ("down", 0), ("down", 0)),
    "log.page_up": scrolls(("pageup", 2), ("pageup", 4), ("pageup", 4)),
    "log.page_down": scrolls(("pageup", 2), ("pagedown", 0)),
    "log.end": scrolls(("up", 1), ("end", 0)),
    "stalls.open": check_stalls,
    "stalls.close": check_stalls_close,
    "stalls.up": selects(("down", 1), ("up", 0), ("up", 0)),
    "stalls.down": selects(("down", 1), ("down", 2), ("down", 2)),
    "stalls.page_up": selects(("pagedown", 2), ("pageup", 0)),
    "stalls.page_down": selects(("pagedown", 2), ("pagedown", 2)),
    "stalls.newest": selects(("down", 1), ("home", None)),
    "mark.add": check_mark,
    "dialog.close": check_dialog_close,
}


def test_every_binding_is_tried() -> None:
    elsewhere = {"run.switch"}  # test_run_screen.py
    elsewhere |= {"report.make", "record.toggle", "play.back", "play.on"}  # test_report_dialog.py
    assert set(CHECKS) | set(ACT_CHECKS) | set(CHART_CHECKS) | elsewhere == {one.id for one in KEYS}


@pytest.mark.parametrize("name", [*CHECKS, *CHART_CHECKS])
async def test_each_key_does_what_it_says(name, ticks) -> None:
    source = ScriptedSource(scripted_view(44))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await {**CHECKS, **CHART_CHECKS}[name](Pressed(app, pilot, source))


async def test_a_remapped_key_works_and_the_old_one_does_not(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks, keymap={"app.freeze": "f12"})
    async with app.run_test(size=(200, 40)) as pilot:
        await pilot.press("space")
        assert app.frozen_at is None
        await pilot.press("f12")
        assert app.frozen_at is not None
        await pilot.pause()
        assert "f12 freeze" in grid_of(app)[-1]


async def test_the_help_names_every_key(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 200)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        text = "\n".join(grid_of(app))
    for one in KEYS:
        if one.scope not in keys.DIALOGS:
            assert one.help in text


async def test_arrows_walk_the_list_on_a_narrow_screen(ticks) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        assert app.choices.pair == ("e", "a"), "the worst link is chosen at first"
        await pilot.press("down")
        assert app.choices.pair == ("d", "c")
        await pilot.press("up", "up")
        assert app.choices.pair == ("e", "a")


async def test_what_the_source_refuses_is_said(ticks, grid_of, until) -> None:
    source = ScriptedSource(scripted_view(44))
    source.refusal = "a replay cannot be sampled [bold]otherwise"
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("plus")
        assert app.interval_s == 1.0
        await until(pilot, lambda: "a replay cannot be sampled [bold]otherwise" in "\n".join(grid_of(app)))


async def test_a_click_selects(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        row = next(y for y, line in enumerate(grid_of(app)) if line.startswith("│ b "))
        await pilot.click("#matrix", offset=(1 + 7 + 14 * 2 + 5, row - 1))
        await pilot.pause()
        assert app.choices.pair == ("b", "c")
        await pilot.click("#matrix", offset=(1 + 7 + 14 + 5, row - 1))
        await pilot.pause()
        assert app.choices.pair == ("b", "c"), "there is no link from b to b"


@pytest.mark.parametrize("opens", ["question_mark", "colon", "m", "slash", "r"])
async def test_no_dialog_keeps_from_leaving(opens, ticks) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(opens)
        assert len(app.screen_stack) == 2
        await pilot.press("ctrl+c")
    assert app.return_code == 130


@pytest.mark.parametrize("opens", ["question_mark", "m"])
async def test_a_dialog_has_its_picture(opens, ticks, until, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(opens, "ctrl+s")
        await until(pilot, lambda: len(list(tmp_path.iterdir())) == 3)
    assert ("Mark this moment as" if opens == "m" else "Everywhere") in next(tmp_path.glob("*.txt")).read_text()
