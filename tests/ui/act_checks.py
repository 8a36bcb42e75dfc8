"""What each key of bursts, findings, dialogs and the palette does, for tests/ui/test_keys.py. They run on a view with
bursts, findings and experiments."""

from __future__ import annotations

from pathlib import Path

from scripted_runs import busy_view

from meshtop.requests import AbortBurst, AbortExperiment, ClearBursts, RunExperiment, StartBurst
from meshtop.ui.dialogs.ask import AskDialog, ChooseDialog
from meshtop.ui.dialogs.burst import BurstDialog
from meshtop.ui.dialogs.palette import PaletteDialog
from meshtop.ui.screens.bursts import BurstsScreen
from meshtop.ui.screens.diagnosis import DiagnosisScreen
from meshtop.ui.screens.link import LinkScreen
from meshtop.ui.screens.overview import OverviewScreen
from meshtop.ui.widgets.findings import listed


def opens(kind, *presses: str):
    async def check(run) -> None:
        await run.press(*presses)
        assert isinstance(run.app.screen, kind)

    return check


def closes(kind, opening: str, *closing: str):
    async def check(run) -> None:
        for name in closing:
            await run.press(opening)
            assert isinstance(run.app.screen, kind)
            await run.press(name)
            assert isinstance(run.app.screen, OverviewScreen)

    return check


def selects_finding(*presses: tuple[str, int | None]):
    async def check(run) -> None:
        await run.press("d")
        findings = listed(run.app.scene())
        for name, place in presses:
            await run.press(name)
            assert run.app.screen._selected == (None if place is None else findings[place].id)

    return check


def selects_burst(*presses: tuple[str, str | None]):
    async def check(run) -> None:
        await run.press("u")
        for name, identity in presses:
            await run.press(name)
            assert run.app.choices.burst == identity

    return check


def scrolls(opening: str, *presses: tuple[str, int]):
    async def check(run) -> None:
        await run.press(opening)
        for name, first in presses:
            await run.press(name)
            assert run.app.screen._first == first

    return check


async def picks_finding(run) -> None:
    await run.press("d", "enter")
    assert isinstance(run.app.screen, LinkScreen)
    assert run.app.choices.pair == ("e", "a")


async def picks_burst(run) -> None:
    await run.press("u", "enter")
    assert isinstance(run.app.screen, LinkScreen)
    assert run.app.choices.pair == ("e", "a")


def tries(number: int):
    """The first finding offers three experiments."""

    async def check(run) -> None:
        await run.press("d", str(number))
        if number > 3:
            assert isinstance(run.app.screen, DiagnosisScreen)
            assert run.source.sent == []
            return
        assert isinstance(run.app.screen, AskDialog)
        await run.press("enter")
        assert run.source.sent == [], "the focus is on Cancel"
        await run.press(str(number), "f5")
        kind = ("paths", "streams", "mss")[number - 1]
        assert run.source.sent == [RunExperiment(kind=kind, src="e", dst="a", path="vpn")]

    return check


async def compares(run) -> None:
    await run.press("u", "c")
    assert run.app.screen._pinned == "b3"
    await run.press("c")
    assert run.app.screen._pinned is None


async def clears(run) -> None:
    await run.press("u", "X")
    assert run.source.sent == [ClearBursts()]


async def asks(run) -> None:
    run.app.choices.pick("b", "c")
    run.app.choices.path = "public"
    await run.press("b")
    form = run.app.screen.form
    assert (form.src, form.dst, form.path) == ("b", "c", "public")
    await run.press("enter")
    assert isinstance(run.app.screen, OverviewScreen), "the focus is on Cancel"
    assert run.source.sent == []


async def asks_again(run) -> None:
    await run.press("B")
    form = run.app.screen.form
    assert (form.src, form.dst, form.path, form.size) == ("e", "a", "public", "20M"), "as the newest burst"
    await run.press("escape", "u", "down", "down", "B")
    assert run.app.screen.form.path == "vpn", "as the selected one"


async def aborts(run) -> None:
    await run.press("x")
    assert isinstance(run.app.screen, ChooseDialog), "an experiment, a burst and one that waits"
    await run.press("enter")
    assert run.source.sent == []
    await run.press("x", "down", "down", "enter")
    assert run.source.sent == [AbortBurst(id="b3")]
    await run.press("x", "down", "enter")
    assert run.source.sent[1:] == [AbortExperiment()]
    run.source.give(busy_view(bursts=run.source.current.bursts[3:4], experiments=()))
    await run.press("x")
    assert run.source.sent[2:] == [AbortBurst(id="b3")], "the only one that runs is aborted at once"


async def finds_commands(run) -> None:
    for name in ("colon", "ctrl+p"):
        await run.press(name)
        assert isinstance(run.app.screen, PaletteDialog)
        await run.press(*"whole log", "enter")
        assert run.app.screen.place() == "log"
        await run.press("escape")


def walks_palette(*presses: tuple[str, int]):
    async def check(run) -> None:
        await run.press("colon")
        for name, place in presses:
            await run.press(name)
            assert run.app.screen._place == place

    return check


async def erases_query(run) -> None:
    await run.press("colon", "a", "b", "backspace")
    assert run.app.screen._query == "a"


async def answers_palette(run) -> None:
    await run.press("colon", *"theme miku", "enter")
    assert run.app.theme == "miku"
    await run.press("colon", *"theme mono")
    assert run.app.theme == "mono", "worn as soon as the cursor stands on it"
    await run.press("escape")
    assert run.app.theme == "miku", "and taken off again when nothing was chosen"


def focuses(*presses: tuple[str, str]):
    async def check(run) -> None:
        await run.press("b")
        for name, field in presses:
            await run.press(name)
            assert run.app.screen.focused_field == field

    return check


async def changes_values(run) -> None:
    run.app.choices.pair, run.app.choices.path = ("e", "a"), "vpn"
    await run.press("b", "tab", "tab", "right")
    assert (run.app.screen.form.src, run.app.screen.form.dst) == ("e", "b")
    await run.press("left", "tab", "right", "right")
    assert run.app.screen.form.path == "both"
    await run.press("tab", "right")
    assert run.app.screen.form.direction == "reverse"
    await run.press("tab", "right", "tab", "4", "tab", "tab", "1", "2")
    form = run.app.screen.form
    assert (form.protocol, form.streams, form.size, form.time) == ("UDP", "4", "", "12"), "a time takes a size's place"


async def erases(run) -> None:
    await run.press("b", "up", "up", "backspace", "5", "M", "backspace")
    assert run.app.screen.focused_field == "size"
    assert run.app.screen.form.size == "5"


async def presses_button(run) -> None:
    await run.press("b", "tab", "enter")
    (command,) = run.source.sent
    assert isinstance(command, StartBurst)
    assert isinstance(run.app.screen, BurstsScreen)


async def starts(run) -> None:
    run.app.choices.pair, run.app.choices.path = ("e", "a"), "vpn"
    await run.press("b", "up", "up", *"bad", "f5")
    assert isinstance(run.app.screen, BurstDialog), "what cannot be read starts nothing"
    await run.press(*"1M", "f5")
    (command,) = run.source.sent
    assert command.confirmed
    assert [(one.src, one.dst, one.path, one.bytes) for one in command.requests] == [("e", "a", "vpn", 1 << 20)]


async def leaves_or_stays(run) -> None:
    for other in ("left", "right", "tab", "shift+tab"):
        await run.press("q", other, other, "enter")
        assert run.app.return_code is None, "the focus is on what does nothing"
    await run.press("q", "right", "enter")
    assert run.app.return_code == 0


async def says_yes(run) -> None:
    await run.press("q", "f5")
    assert run.app.return_code == 0


async def steps(run) -> None:
    await run.press("x", "down", "tab", "up", "shift+tab", "up", "enter")
    assert run.source.sent == []


async def pictures(run) -> None:
    await run.press("ctrl+s")
    for _ in range(500):
        if len(list(Path.cwd().glob("meshtop-miku-overview-*"))) == 3:
            break
        await run.pilot.pause(0.01)
    assert {path.suffix for path in Path.cwd().glob("meshtop-miku-*")} == {".svg", ".png", ".txt"}


ACT_CHECKS = {
    "diagnosis.open": opens(DiagnosisScreen, "d"),
    "diagnosis.close": closes(DiagnosisScreen, "d", "escape", "d"),
    "diagnosis.pick": picks_finding,
    "diagnosis.up": selects_finding(("down", 1), ("up", 0), ("up", 0)),
    "diagnosis.down": selects_finding(("down", 1), ("down", 2), ("down", 2)),
    "diagnosis.page_up": scrolls("d", ("pagedown", 5), ("pageup", 0), ("pageup", 0)),
    "diagnosis.page_down": scrolls("d", ("pagedown", 5), ("pagedown", 10), ("down", 0)),
    "diagnosis.gravest": selects_finding(("down", 1), ("home", None)),
    **{f"experiment.{number}": tries(number) for number in range(1, 8)},
    "bursts.open": opens(BurstsScreen, "u"),
    "burst.close": closes(BurstsScreen, "u", "escape", "u"),
    "burst.pick": picks_burst,
    "burst.up": selects_burst(("up", "b4"), ("up", "b4")),
    "burst.down": selects_burst(("down", "b2"), ("down", "b1"), ("down", "b0"), ("down", "b0")),
    "burst.page_up": scrolls("u", ("pagedown", 5), ("pageup", 0), ("pageup", 0)),
    "burst.page_down": scrolls("u", ("pagedown", 5), ("pagedown", 10), ("down", 0)),
    "burst.newest": selects_burst(("down", "b2"), ("home", None)),
    "burst.compare": compares,
    "burst.clear": clears,
    "burst.ask": asks,
    "burst.again": asks_again,
    "burst.abort": aborts,
    "app.palette": finds_commands,
    "app.screenshot": pictures,
    "ask.other": leaves_or_stays,
    "ask.answer": leaves_or_stays,
    "ask.yes": says_yes,
    "choose.up": steps,
    "choose.down": steps,
    "choose.answer": aborts,
    "form.next": focuses(("tab", "start"), ("tab", "link")),
    "form.previous": focuses(("shift+tab", "congestion"), ("shift+tab", "mss")),
    "form.up": focuses(("up", "mss"), ("up", "size")),
    "form.down": focuses(("down", "link"), ("down", "path")),
    "form.left": focuses(("left", "cancel"), ("right", "start"), ("left", "cancel")),
    "form.right": changes_values,
    "form.erase": erases,
    "form.answer": presses_button,
    "form.start": starts,
    "palette.up": walks_palette(("down", 1), ("up", 0), ("up", 0)),
    "palette.down": walks_palette(("tab", 1), ("down", 2), ("shift+tab", 1)),
    "palette.page_up": walks_palette(("pagedown", 10), ("pageup", 0)),
    "palette.page_down": walks_palette(("pagedown", 10), ("pagedown", 20)),
    "palette.erase": erases_query,
    "palette.answer": answers_palette,
}
