"""Diagnosis, bursts and the dialogs as text at three sizes, against stored grids. ``MESHTOP_UPDATE_GRIDS=1 pytest
tests/ui`` stores new ones: look at them before they are committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.cells import cell_len
from scripted_mesh import scripted_view
from scripted_runs import PlanningSource, busy_view
from textual import events

from meshtop.ui.app import MeshtopApp

GRIDS = Path(__file__).parent / "grids"
SIZES = [(120, 40), (80, 24), (40, 10)]
SCREENS = {
    "diagnosis": ["d"], "bursts": ["u"], "compared": ["u", "down", "c", "up"], "burst-dialog": ["b"],
    "palette": ["colon", *"theme"], "ask": ["d", "1"], "abort": ["x"], "quit": ["q"],
}  # fmt: skip
CASES = [
    (f"{name}-{width}x{height}", width, height, keys, False)
    for name, keys in SCREENS.items()
    for width, height in SIZES
] + [(f"{name}-ascii-120x40", 120, 40, SCREENS[name], True) for name in ("diagnosis", "bursts", "burst-dialog")]


def cut(line: str, column: int, width: int) -> str:
    """So many cells from that column on."""
    at = 0
    kept = ""
    for char in line:
        if column <= at < column + width:
            kept += char
        at += cell_len(char)
    return kept


@pytest.mark.parametrize(("name", "width", "height", "keys", "ascii_signs"), CASES, ids=[case[0] for case in CASES])
async def test_the_screen_is_what_it_was(name, width, height, keys, ascii_signs, ticks, seen):
    app = MeshtopApp(PlanningSource(busy_view()), ascii=ascii_signs, ticks=ticks)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        lines = seen(app)
        boxes = [widget.region for widget in app.screen.query("#dialog-box")]
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}, "every line fills the terminal exactly"
    for box in boxes:  # what lies around it has tests of its own
        lines = [cut(line, box.x, box.width) for line in lines[box.y : box.bottom]]
    if ascii_signs:
        assert all(line.isascii() for line in lines)
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    stored = GRIDS / f"{name}.txt"
    if os.environ.get("MESHTOP_UPDATE_GRIDS"):
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")


@pytest.mark.parametrize(("keys", "words"), [("d", "no finding"), ("u", "no burst yet")])
async def test_nothing_is_said_to_be_nothing(keys, words, ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(keys)
        await pilot.pause()
        assert words in "\n".join(seen(app))


async def test_no_finding_is_no_good_news_where_nothing_is_measured(ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(scripted_view(44, down=("a", "b", "c", "d", "e"))), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("d")
        await pilot.pause()
        text = "\n".join(seen(app))
        assert "40 of 40 links are not measured now" in text
        assert "nothing is wrong" not in text


async def test_a_burst_keeps_ticking_while_nothing_arrives(ticks, seen, until) -> None:
    source = PlanningSource(busy_view())
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("u")
        await pilot.pause()
        assert "no interval for 3.2 s" in "\n".join(seen(app))
        ticks.now += 1.5
        await until(pilot, lambda: "no interval for 4.7 s" in "\n".join(seen(app)))


async def test_a_burst_says_whom_it_will_meet_and_what_it_costs(ticks, seen) -> None:
    source = PlanningSource(busy_view(34))  # the push from e to a runs
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        app.choices.pair, app.choices.all_paths = ("e", "a"), True
        await pilot.press("b")
        await pilot.pause()
        text = "\n".join(seen(app))
    assert "both, back to back" in text
    assert "e→a vpn carries 3.1Mbit/s in 8 flows" in text
    assert "2 × 20MB will cross the link, in about" in text


async def test_a_burst_above_the_limits_says_why_it_asks(ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("b", "up", "up", *"900M")
        await pilot.pause()
        assert "more than [burst] max_bytes 250M" in "\n".join(seen(app))


async def test_a_burst_that_cannot_be_says_why(ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("b", "tab", "tab", "tab", "tab", "tab", "tab", *"999", "f5")
        await pilot.pause()
        assert "999 streams cannot be; 1 to 128 are possible" in "\n".join(seen(app))
        assert app.source.sent == []


async def test_nothing_is_sent_from_a_recording(ticks) -> None:
    source = PlanningSource(busy_view(replay=True))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("b")
        await pilot.press("B")
        await pilot.press("d", "1")
        await pilot.pause()
        assert app.screen.id == "diagnosis-screen"
        assert source.sent == []
        await pilot.press("q")
        assert app.return_code == 0, "what ran when it was recorded does not run now"


@pytest.mark.parametrize(("opening", "line", "chosen"), [("u", 2, "b2"), ("d", 1, "f2")])
async def test_a_click_selects_and_a_second_one_enters(opening, line, chosen, ticks) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(opening)
        await pilot.pause()
        screen = app.screen
        await pilot.click("#lines", offset=(20, 2 + line))
        await pilot.pause()
        assert (app.choices.burst if opening == "u" else screen._selected) == chosen
        assert app.screen is screen
        await pilot.click("#lines", offset=(20, 2), times=2)
        await pilot.pause()
        assert app.screen is not screen


async def test_a_click_on_a_stall_or_what_needs_attention_leads_to_its_link(ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        app.choices.pick("a", "b")
        await pilot.click("#attention", offset=(10, 1))
        await pilot.pause()
        assert (app.choices.pair, app.screen.id) == (("e", "a"), "overview")
        await pilot.press("t")
        await pilot.click("#stall-list", offset=(10, 4))
        await pilot.pause()
        assert app.screen._selected == "s1"
        await pilot.click("#stall-list", offset=(10, 4), times=2)
        await pilot.pause()
        assert app.screen.id == "link-screen"
        assert app.time.at is not None


async def test_a_click_in_the_list_of_links_selects(ticks) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.click("#worst", offset=(10, 3))
        await pilot.pause()
        assert app.choices.pair == ("d", "c")
        await pilot.click("#worst", offset=(10, 4), times=2)
        await pilot.pause()
        assert (app.choices.pair, app.screen.id) == (("a", "c"), "link-screen")


@pytest.mark.parametrize("opening", ["t", "d", "u"])
async def test_the_wheel_moves_through_a_list(opening, ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(busy_view()), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press(opening)
        await pilot.pause()
        before = "\n".join(seen(app))
        at = app.screen.query("Canvas").first().region.offset
        for kind, same in ((events.MouseScrollDown, False), (events.MouseScrollUp, True)):
            app.screen.post_message(kind(app.screen, at.x, at.y, 0, 1, 0, False, False, False))
            await pilot.pause()
            assert ("\n".join(seen(app)) == before) is same


async def test_keys_and_letters_that_come_all_at_once_keep_their_order(ticks) -> None:
    """As they do from a terminal, when whoever types is quicker than the screen."""
    source = PlanningSource(busy_view())
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        app.choices.pair, app.choices.path = ("e", "a"), "vpn"
        await pilot.press("b")
        await pilot.pause()
        for name in (*["tab"] * 3, "right", "right", *["tab"] * 4, "1", "0", "M", "backspace", "k"):
            character = name if len(name) == 1 else None
            app.post_message(events.Key(name, character))
        await pilot.pause()
        await pilot.press("f5")
        (command,) = source.sent
    assert [(one.path, one.bytes) for one in command.requests] == [("vpn", 10 << 10), ("public", 10 << 10)]
