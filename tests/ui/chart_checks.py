"""What each key of the link and node screens, of lists and of time does. Names are ids of bindings."""

from __future__ import annotations

from scripted_mesh import EPOCH

from meshtop.ui.dialogs.filter import FilterDialog
from meshtop.ui.screens.link import LinkScreen
from meshtop.ui.screens.node import NodeScreen
from meshtop.ui.screens.overview import OverviewScreen
from meshtop.ui.screens.stalls import StallsScreen
from meshtop.ui.timecursor import moments

NOW = EPOCH + 44


async def check_link(run) -> None:
    run.app.choices.pair = ("e", "a")
    await run.press("enter")
    assert isinstance(run.app.screen, LinkScreen)
    assert run.app.screen.place() == "link:e:a"


async def check_link_close(run) -> None:
    """From the past to now first, then back to where it was opened."""
    await run.press("enter", "left")
    assert run.app.scene().view.past
    await run.press("escape")
    assert isinstance(run.app.screen, LinkScreen)
    assert not run.app.scene().view.past
    await run.press("escape")
    assert isinstance(run.app.screen, OverviewScreen)


async def check_link_path(run) -> None:
    await run.press("enter")
    seen = []
    for _ in range(3):
        seen.append(run.app.choices.paths(run.app.scene()))
        await run.press("p")
    assert seen == [("vpn",), ("public",), ("vpn",)]


async def check_reverse(run) -> None:
    run.app.choices.pair = ("e", "a")
    await run.press("enter", "v")
    assert run.app.choices.pair == ("a", "e")
    await run.press("v")
    assert run.app.choices.pair == ("e", "a")


def scrolls_flows(opening: str, *presses: tuple[str, int]):
    async def check(run) -> None:
        run.app.choices.pair = ("e", "a")
        await run.pilot.resize_terminal(100, 24)  # fewer lines than there are flows
        await run.press(*opening)
        for name, first in presses:
            await run.press(name)
            found = run.app.screen._first_flow if isinstance(run.app.screen, LinkScreen) else run.app.screen._first
            assert found == first, name

    return check


def pages(*presses: tuple[str, int]):
    """After each key so many pages have been passed."""

    async def check(run) -> None:
        run.app.choices.pair = ("e", "a")
        await run.pilot.resize_terminal(100, 24)
        await run.press("n", "g", "g")
        rows = run.app.screen._rows
        assert 3 <= rows < 9
        for name, count in presses:
            await run.press(name)
            assert run.app.screen._first == count * rows

    return check


async def check_node(run) -> None:
    run.app.choices.pair = ("e", "a")
    await run.press("n")
    assert isinstance(run.app.screen, NodeScreen)
    assert run.app.choices.node == "e"


async def check_node_close(run) -> None:
    await run.press("n", "escape")
    assert isinstance(run.app.screen, OverviewScreen)


async def check_node_other(run) -> None:
    run.app.choices.pair = ("e", "a")
    await run.press("n", "v")
    assert run.app.choices.node == "a"
    await run.press("v")
    assert run.app.choices.node == "e"


def walks_nodes(name: str, *nodes: str):
    async def check(run) -> None:
        run.app.choices.pair = ("e", "a")
        await run.press("n")
        for node in nodes:
            await run.press(name)
            assert run.app.choices.node == node

    return check


async def check_group(run) -> None:
    await run.press("n")
    seen = []
    for _ in range(4):
        seen.append(run.app.screen._by)
        await run.press("g")
    assert seen == ["peer", "service", "each", "peer"]


async def check_filter(run) -> None:
    await run.press("t", "slash")
    assert isinstance(run.app.screen, FilterDialog)
    await run.press(*"dock")
    stalls = run.app.screen_stack[-2]
    assert isinstance(stalls, StallsScreen)
    assert [one.id for one in stalls._listed(run.app.scene())] == ["s3", "s1"], "as it is typed"
    await run.press("enter", "slash", *"nothing", "escape")
    assert run.app.screen.filter == "dock", "closed, the words of before hold"
    await run.press("slash", *["backspace"] * 4, "enter")
    assert len(run.app.screen._listed(run.app.scene())) == 3


async def check_sort(run) -> None:
    await run.press("t")
    assert [one.id for one in run.app.screen._listed(run.app.scene())] == ["s3", "s2", "s1"]
    await run.press("s")
    assert [one.id for one in run.app.screen._listed(run.app.scene())] == ["s1", "s3", "s2"], "the longest first"
    await run.press("escape", "l", "s")
    levels = [getattr(entry, "level", "mark") for entry in run.app.screen._entries(run.app.scene())]
    assert levels[-1] == "error"


def steps(*presses: tuple[str, float | None], opening: str = "enter"):
    """After each key the moment that is looked at, in seconds before now; None: now."""

    async def check(run) -> None:
        await run.press(opening)
        for name, back in presses:
            await run.press(name)
            at = run.app.time.at
            assert (None if at is None else round((NOW - at) / run.app.screen.step_s)) == back, name

    return check


def jumps(*presses: tuple[str, int | None]):
    """After each key the moment of that place among all that can be jumped to; None: now."""

    async def check(run) -> None:
        times = [one.at for one in moments(run.app.scene().view, None)]
        assert len(times) == 4
        for name, place in presses:
            await run.press(name)
            assert run.app.time.at == (None if place is None else times[place])
        assert isinstance(run.app.screen, OverviewScreen), "also where no chart is"

    return check


async def check_live(run) -> None:
    await run.press("[", "[")
    assert run.app.scene().view.past
    await run.press("escape")
    assert not run.app.scene().view.past
    await run.press("escape")
    assert isinstance(run.app.screen, OverviewScreen)


async def check_zoom(run) -> None:
    await run.press("enter")
    seen = []
    for name in ("z", "z", "z", "Z", "Z", "Z", "Z", "Z"):
        await run.press(name)
        seen.append(run.app.choices.window_s)
    assert seen == [60, 30, 30, 60, 120, 300, 900, 900]


async def check_scale(run) -> None:
    await run.press("enter")
    seen = []
    for _ in range(3):
        await run.press("y")
        seen.append(run.app.choices.scale)
    assert seen == ["wide", "log", "fit"]


async def check_braille(run) -> None:
    await run.press("enter", "Y")
    assert run.app.choices.braille
    await run.press("Y")
    assert not run.app.choices.braille


async def check_pick(run) -> None:
    run.app.choices.pair, run.app.choices.path = ("a", "b"), "public"
    await run.press("t", "down", "enter")
    assert isinstance(run.app.screen, StallsScreen), "its peer is no node: there is no link to go to"
    await run.press("down", "enter")
    assert isinstance(run.app.screen, LinkScreen)
    assert run.app.choices.pair == ("e", "a")
    assert run.app.choices.paths(run.app.scene()) == ("vpn",)
    assert run.app.time.at == EPOCH + 10, "two seconds into the stall that was over"
    await run.press("escape", "escape")
    assert isinstance(run.app.screen, StallsScreen)
    await run.press("home", "enter")
    assert run.app.time.at is None, "what stands now is looked at now"


CHART_CHECKS = {
    "link.open": check_link,
    "link.close": check_link_close,
    "link.path": check_link_path,
    "link.reverse": check_reverse,
    "link.up": scrolls_flows(["enter"], ("down", 1), ("up", 0), ("up", 0)),
    "link.down": scrolls_flows(["enter"], ("down", 1), ("down", 2)),
    "node.open": check_node,
    "node.close": check_node_close,
    "node.other": check_node_other,
    "node.next": walks_nodes("tab", "a", "b"),
    "node.previous": walks_nodes("shift+tab", "d", "c"),
    "node.group": check_group,
    "node.up": scrolls_flows(["n", "g", "g"], ("down", 1), ("up", 0), ("up", 0)),
    "node.down": scrolls_flows(["n", "g", "g"], ("down", 1), ("down", 2)),
    "node.page_up": pages(("pagedown", 1), ("pageup", 0), ("pageup", 0)),
    "node.page_down": pages(("pagedown", 1), ("pagedown", 2)),
    "list.filter": check_filter,
    "list.sort": check_sort,
    "time.left": steps(("left", 1), ("left", 2)),
    "time.right": steps(("left", 1), ("left", 2), ("right", 1), ("right", None), ("right", None)),
    "time.back": steps(("<", 1), ("<", 2), opening="l"),
    "time.on": steps(("<", 1), (">", None), opening="l"),
    "time.previous": jumps(("[", 3), ("[", 2), ("[", 1), ("[", 0), ("[", 0)),
    "time.next": jumps(("[", 3), ("[", 2), ("]", 3), ("]", None), ("]", None)),
    "time.live": check_live,
    "chart.in": check_zoom,
    "chart.out": check_zoom,
    "chart.scale": check_scale,
    "chart.braille": check_braille,
    "stalls.pick": check_pick,
}
