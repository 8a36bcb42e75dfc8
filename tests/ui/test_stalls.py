"""Stalls on the screen: strips of seconds on one axis, the panel's rows, the table that stays where it is."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_mesh import EPOCH, ScriptedSource, rfc3339, scripted_view

from meshtop.engine.snapshot import StallFlow
from meshtop.engine.view import Strip
from meshtop.model import LinkKey
from meshtop.ui.app import MeshtopApp
from meshtop.ui.glyphs import SETS
from meshtop.ui.metrics import Gravity, longest_stall, stall, stalled_share
from meshtop.ui.widgets.strips import NOT_DUE_S, seconds

SIGN = {"no-data": "?", "idle": ".", "sending": "_", "retransmitting": "%", "stalled": "#", None: " "}
STATE = {sign: state for state, sign in SIGN.items()}


def drawn(signs: str, width: int, *, until: float = 100.0, now: float = 100.0, interval_s: float = 1.0) -> str:
    strip = Strip(until=until, seconds=tuple(STATE[sign] for sign in signs))
    return "".join(SIGN[state] for state in seconds(strip, width, now, interval_s))


@pytest.mark.parametrize(
    ("signs", "width", "now", "shown"),
    [
        ("._%#", 4, 100.0, "._%#"),
        ("._%#", 6, 100.0, "  ._%#"),
        ("._%#", 3, 100.0, "_%#"),
        ("._%#", 6, 101.7, "._%#  "),  # the second after it runs and the one before has just ended
        ("._%#", 10, 105.0, " ._%#??   "),  # what has been due for longer is missing
        ("??._??%#", 8, 100.0, "  ._??%#"),  # nobody looked before the first measurement
        ("._%#????", 8, 100.0, "._%#?   "),
        ("????", 4, 100.0, "    "),
        ("._%#", 4, 200.0, "?   "),
    ],
)
def test_seconds_stand_where_they_were(signs, width, now, shown) -> None:
    assert drawn(signs, width, now=now) == shown


def test_slow_sampling_is_not_called_missing() -> None:
    assert drawn("._%#", 8, now=104.0, interval_s=5.0) == "._%#    "
    assert drawn("._%#", 8, now=104.0, interval_s=0.1).endswith("?   ")


def test_nothing_measured_is_nothing_shown() -> None:
    assert seconds(None, 5, 100.0, 1.0) == [None] * 5
    assert seconds(Strip(until=100.0, seconds=()), 5, 100.0, 1.0) == [None] * 5


@given(st.floats(0, 3), st.floats(0, 0.99), st.integers(1, 60))
def test_a_second_only_ever_moves_to_the_left(lag, fraction, width) -> None:
    """However the paints fall: what stood at a column is later there or further left, one cell a second."""
    strip = Strip(until=1000.0 + fraction, seconds=("sending",) * 40 + ("stalled",) + ("sending",) * 5)
    places = []
    for step in range(30):
        cells = seconds(strip, width, 1000.0 + lag + step / 7, 1.0)
        places.append(cells.index("stalled") if "stalled" in cells else -1)
    assert places == sorted(places, reverse=True)
    assert all(one - other <= 1 or other == -1 for one, other in pairwise(places))


@given(st.floats(0, 400), st.integers(1, 80), st.sampled_from([0.1, 1.0, 5.0]))
def test_what_is_not_measured_now_is_never_shown_as_moving(silence, width, interval_s) -> None:
    cells = seconds(Strip(until=1000.0, seconds=("sending",) * 120), width, 1000.0 + silence, interval_s)
    assert len(cells) == width
    late = [state for state in cells[-int(silence) :] if state == "sending"] if silence >= 1 else []
    assert late == []
    assert NOT_DUE_S < 5


@pytest.mark.parametrize("glyphs", SETS.values(), ids=list(SETS))
def test_signs_of_strips_are_told_apart_without_colour(glyphs) -> None:
    assert set(glyphs.strips) == {"no-data", "idle", "sending", "retransmitting", "stalled"}
    assert len(set(glyphs.strips.values())) == 5


def link_with(**figures):
    link = scripted_view(44).snapshot.links[0]
    return msgspec.structs.replace(link, **figures)


@pytest.mark.parametrize(
    ("figures", "count", "longest", "gravity"),
    [
        ({"stalls": None, "stalled_now": None}, "–", "–", Gravity.UNKNOWN),
        ({"stalls": 0, "stalled_now": False}, "0", "–", Gravity.FINE),
        ({"stalls": 3, "stalled_now": False, "longest_stall_s": 2.31}, "3", "2.3s", Gravity.BAD),
        ({"stalls": 3, "stalled_now": True, "longest_stall_s": 61.0}, "3 now", "61s", Gravity.WORST),
        ({"stalls": 12, "stalled_now": True, "longest_stall_s": 7300.0}, "now", "2h", Gravity.WORST),
    ],
)
def test_the_fifth_metric_says_how_many_and_how_long(figures, count, longest, gravity) -> None:
    link = link_with(longest_stall_s=figures.pop("longest_stall_s", None), stalled_pct=None, **figures)
    thresholds = scripted_view(44).mesh.thresholds
    assert stall(link, thresholds).text == count
    assert stall(link, thresholds).gravity is gravity
    assert longest_stall(link, thresholds).text == longest
    assert stalled_share(link, thresholds).text == "–"


def with_strips(tick: int, stalled: dict[LinkKey, int]):
    """The script's view, in which only these links stalled, for so many seconds."""
    view = scripted_view(tick)
    strips = {
        key: Strip(
            until=view.at,
            seconds=("sending",) * (119 - stalled.get(key, 0)) + ("stalled",) * stalled.get(key, 0) + ("sending",),
        )
        for key in view.strips
    }
    return msgspec.structs.replace(view, strips=strips)


async def test_rows_of_the_panel_stay_in_the_order_of_the_configuration(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(), ticks=ticks)
    links = {LinkKey("d", "c", "vpn"): 2, LinkKey("a", "b", "public"): 1, LinkKey("b", "a", "vpn"): 3}
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        for more in (0, 5):
            app.source.current = with_strips(44 + more, {**links, LinkKey("d", "c", "vpn"): 2 + more})
            app.repaint()
            await pilot.pause()
            lines = grid_of(app)
            top = next(y for y, line in enumerate(lines) if "1 cell = 1 s" in line)
            assert [line[2:13].split() for line in lines[top + 2 : top + 4]] == [["e→a", "vpn"], ["e→a", "public"]]
            assert "and 2 more" in lines[top + 6]
            assert lines[top + 4][2:13].split() == (["d→c", "vpn"] if more else ["b→a", "vpn"])


def newer(view, count: int):
    """``view`` with so many more stalls than before, each later than the last."""
    pattern = view.stalls[0]
    more = tuple(
        msgspec.structs.replace(pattern, id=f"n{place}", start=rfc3339(EPOCH + 100 + place)) for place in range(count)
    )
    return msgspec.structs.replace(view, stalls=(*view.stalls, *more))


async def test_the_selected_stall_stays_where_it_is_while_others_come(ticks, grid_of) -> None:
    view = scripted_view(44)
    app = MeshtopApp(ScriptedSource(newer(view, 30)), ticks=ticks)
    async with app.run_test(size=(120, 24)) as pilot:
        await pilot.press("t", *["down"] * 12)
        await pilot.pause()
        chosen = [(y, line) for y, line in enumerate(grid_of(app)) if line.startswith("[")]
        assert len(chosen) == 1
        app.source.current = newer(view, 34)
        app.repaint()
        await pilot.pause()
        assert [(y, line) for y, line in enumerate(grid_of(app)) if line.startswith("[")] == chosen
        await pilot.press("home")
        await pilot.pause()
        assert "14:34:13" in next(line for line in grid_of(app) if line.startswith("["))


async def test_text_of_nodes_is_shown_as_it_is(ticks, grid_of) -> None:
    view = scripted_view(44)
    flow = StallFlow(local="10.0.0.1:1", peer="10.0.0.2:2", process="[red]sh\x1b[2J", cgroup="长" * 90)
    bad = msgspec.structs.replace(view.stalls[-1], flow=flow, evidence={"[b]x": "\x07", "receiver": {"y": None}})
    app = MeshtopApp(ScriptedSource(msgspec.structs.replace(view, stalls=(bad,))), ticks=ticks)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("t")
        await pilot.pause()
        text = "\n".join(grid_of(app))
    assert "[red]sh" in text
    assert "[b]x" in text
    assert "y –" in text
    assert "\x1b" not in text
    assert "\x07" not in text


async def test_without_stalls_the_screen_says_so(ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(msgspec.structs.replace(scripted_view(44), stalls=())), ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("t", "down", "enter")
        await pilot.pause()
        assert "no stall was seen" in "\n".join(grid_of(app))
        assert "There is no stall to select." in "\n".join(grid_of(app))
