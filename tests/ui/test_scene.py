"""How old is too old: judged when it is painted, never before."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.engine.snapshot import LinkState
from meshtop.model import LinkKey, Thresholds
from meshtop.ui.app import MeshtopApp
from meshtop.ui.metrics import dsack
from meshtop.ui.scene import BY_SEVERITY, RANK, WORDS, Scene
from meshtop.ui.theme import palette as palette_of
from meshtop.units import UNKNOWN

KEY = LinkKey("a", "b", "vpn")


def scene(silence_s: float = 0.0, interval_s: float = 1.0, **changes: object) -> Scene:
    """The script with other figures for the link from a to b."""
    view = scripted_view(44)
    links = tuple(msgspec.structs.replace(link, **changes) if link.key == KEY else link for link in view.snapshot.links)
    snapshot = msgspec.structs.replace(view.snapshot, links=links)
    return Scene(msgspec.structs.replace(view, snapshot=snapshot), silence_s, interval_s)


def test_every_state_has_its_rank_and_word() -> None:
    assert set(BY_SEVERITY) == {*get_args(LinkState), "stale"} == set(RANK) == set(WORDS)


@pytest.mark.parametrize(
    ("age_s", "silence_s", "interval_s", "state"),
    [
        (0.4, 0.0, 1.0, "ok"),
        (1.9, 0.0, 1.0, "ok"),
        (2.1, 0.0, 1.0, "stale"),
        (0.4, 1.7, 1.0, "stale"),
        (9.0, 0.0, 5.0, "ok"),
        (11.0, 0.0, 5.0, "stale"),
        (0.4, 3.1, 60.0, "stale"),  # a source that fell silent, whatever the interval
        (0.9, 0.0, 0.1, "ok"),  # two intervals of 0.1 s are no age
        (1.1, 0.0, 0.1, "stale"),
    ],
)
def test_a_sample_is_stale_after_two_intervals(age_s, silence_s, interval_s, state) -> None:
    shown = scene(silence_s, interval_s, sample_age_s=age_s).links[KEY]
    assert shown.state == state
    assert shown.age_s == pytest.approx(age_s + silence_s)


def test_a_link_without_an_age_has_that_of_its_sender() -> None:
    assert scene(0.0, 1.0, sample_age_s=None).links[KEY].age_s == pytest.approx(0.4)
    lonely = scripted_view(44, down=("a",))
    node = lonely.snapshot.nodes[0]
    assert node.sample_age_s is None
    links = tuple(
        msgspec.structs.replace(link, state="ok") if link.key == KEY else link for link in lonely.snapshot.links
    )
    view = msgspec.structs.replace(lonely, snapshot=msgspec.structs.replace(lonely.snapshot, links=links))
    assert Scene(view, 0.0, 1.0).links[KEY].state == "stale", "what nobody measured is not well"


@pytest.mark.parametrize("state", ["stalled", "down", "lossy", "degraded", "idle", "ok"])
def test_nothing_that_was_said_outlives_its_sample(state) -> None:
    assert scene(0.0, 1.0, state=state, sample_age_s=60.0).links[KEY].state == "stale"


def test_no_data_is_not_made_to_look_like_more() -> None:
    assert scene(9.0, 1.0, state="no-data").links[KEY].state == "no-data"


def test_order_is_by_severity_then_as_configured() -> None:
    ordered = [(shown.state, shown.key) for shown in Scene(scripted_view(44), 0.0, 1.0).worst_first]
    assert [RANK[state] for state, _ in ordered] == sorted(RANK[state] for state, _ in ordered)
    well = [key for state, key in ordered if state == "ok"]
    assert well == [link.key for link in scripted_view(44).snapshot.links if link.key in set(well)]


def test_an_unreachable_mesh_is_recognised_and_old_data_kept_a_while() -> None:
    assert Scene(scripted_view(44, down=tuple("abcde")), 0.0, 1.0).nothing_to_show
    assert not Scene(scripted_view(44, down=tuple("abcd")), 0.0, 1.0).nothing_to_show
    assert not Scene(scripted_view(44), 5.0, 1.0).nothing_to_show, "stale figures are still worth reading"


async def test_within_four_seconds_of_silence_nothing_looks_well(ticks, grid_of) -> None:
    """The source hangs: it goes on answering, always with the same view."""
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert _well(app) > 20
        ticks.now += 3.9
        app.repaint()
        await pilot.pause()
        lines = grid_of(app)
        assert _well(app) == 0
        assert "NO NEW DATA for 3s" in lines[0]
        assert "LIVE" not in lines[0]
        assert "no news" in "\n".join(lines)
        assert sum(line.count("4s") for line in lines) >= 20, "each cell says how old it is"
        app.source.give(scripted_view(45))
        app.repaint()
        await pilot.pause()
        assert _well(app) > 20


async def test_the_screen_ages_by_itself(ticks, grid_of, until) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        ticks.now += 5.0  # no callback, no key
        await until(pilot, lambda: "NO NEW DATA" in grid_of(app)[0])


async def test_one_silent_node_greys_its_row_alone(ticks, grid_of) -> None:
    view = scripted_view(44)
    links = tuple(
        msgspec.structs.replace(link, sample_age_s=7.0) if link.src == "b" else link for link in view.snapshot.links
    )
    view = msgspec.structs.replace(view, snapshot=msgspec.structs.replace(view.snapshot, links=links))
    app = MeshtopApp(ScriptedSource(view), ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        rows = {line[2]: line[:80] for line in grid_of(app)[3:18] if line[2] in "abcde"}
    assert rows["b"].count("?") == 4
    assert rows["b"].count("7s") == 4
    assert all("?" not in rows[name] for name in "acde")


def _well(app: MeshtopApp) -> int:
    """Cells anywhere on the screen in the colour of ok, or with its glyph outside of the legend."""
    ok = palette_of(app.themes[app.theme]).states["ok"].color
    legend = "idle ● ok ▲"
    count = 0
    for strip in app.screen._compositor.render_strips():
        text = "".join(segment.text for segment in strip)
        coloured = sum(segment.style is not None and segment.style.color == ok for segment in strip)
        count += max(0, coloured - (1 if legend in text else 0))
        count += text.replace(legend, "").count("●") if not coloured else 0
    return count


@pytest.mark.parametrize(("told", "shown"), [(66.0, "66%"), (117.3, "100%"), (None, UNKNOWN)])
def test_no_more_than_all_is_needless(told: float | None, shown: str) -> None:
    """Duplicates of the seconds before are reported in these, which the machine output leaves as it is."""
    link = scene(dsack_pct=told).links[KEY].link
    assert dsack(link, Thresholds()).text == shown
