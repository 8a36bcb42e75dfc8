"""Watched services on the screen: their state in a word, and no figure for what cannot be seen."""

from __future__ import annotations

import msgspec
import pytest
from scripted_mesh import scripted_view

from meshtop.engine.snapshot import WatchView
from meshtop.ui import theme
from meshtop.ui.glyphs import SETS
from meshtop.ui.scene import Scene, ShownNode
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.watch_lines import CELL, peer_words, watch_cell, watch_line, watch_lines, watch_state

GLYPHS = SETS["unicode"]


@pytest.fixture
def palette() -> Palette:
    return theme.palette(theme.emergency_theme())


def shown(name: str, *watches: WatchView, silence_s: float = 0.0, **options: object) -> ShownNode:
    view = scripted_view(44, watched=True, **options)
    node = Scene(view, silence_s, 1.0).node[name]
    if watches:
        node = ShownNode(msgspec.structs.replace(node.node, watches=watches), node.state, node.age_s)
    return node


def text(line) -> str:
    return "".join(segment.text for segment in line.strip(line.width))


SEEN = {"name": "push", "visible": True, "flows": 2, "stalls": 0, "stalled_now": False}


@pytest.mark.parametrize(
    ("fields", "state", "word"),
    [
        ({"stalls": 1, "stalled_now": True, "crawling": 1}, "stalled", "stalled"),
        ({"crawling": 1, "connecting": 2}, "degraded", "crawls"),
        ({"connecting": 2, "flows": 0}, "degraded", "connecting"),
        ({"stalls": 1}, "degraded", "has stalled"),
        ({}, "ok", "ok"),
        ({"flows": 0}, "idle", "no flows"),
        ({"visible": False, "flows": 3}, "no-data", "not visible"),
        ({"visible": False, "flows": None}, "no-data", "not visible"),
    ],
)
def test_the_state_of_a_watch(fields, state, word) -> None:
    assert watch_state(shown("e"), WatchView(**{**SEEN, **fields})) == (state, word)


def test_a_node_that_fell_silent_tells_nothing_of_now(palette) -> None:
    node = shown("e", WatchView(**SEEN), silence_s=9.0)
    assert watch_state(node, node.node.watches[0]) == ("stale", "no news")
    assert "flows" not in text(watch_line(node, 60, GLYPHS, palette))


def test_what_is_not_visible_has_no_figures_and_says_why(palette) -> None:
    lines = [text(line) for line in watch_lines(shown("c"), 90, GLYPHS, palette)]
    assert lines[1].split() == ["?", "push", "not", "visible", *"––––––––"]
    assert lines[2].strip() == "nobody listens on port 5000 in this network namespace"
    assert text(watch_line(shown("c"), 36, GLYPHS, palette)) == "? push not visible"


def test_each_hop_has_its_line(palette) -> None:
    lines = [text(line) for line in watch_lines(shown("a"), 90, GLYPHS, palette)]
    assert [line.split()[:3] for line in lines[1:4]] == [
        ["●", "push", "ok"],
        ["←", "e", "vpn"],
        ["→", "[2001:db8::17]:5000", "2"],
    ]
    assert lines[4].strip() == "by nginx · in /nginx.service"
    assert lines[5].split()[:4] == ["·", "web", "no", "flows"]
    few = [text(line) for line in watch_lines(shown("a"), 90, GLYPHS, palette, peers=1)]
    assert "and 1 more · by nginx" in few[3]


@pytest.mark.parametrize("width", [24, 36, 50, 78, 120])
def test_no_line_is_wider_than_its_room(palette, width) -> None:
    for name in "ace":
        assert all(line.width <= max(width, 33) for line in watch_lines(shown(name), width, GLYPHS, palette))
        assert watch_line(shown(name), width, GLYPHS, palette).width <= width
        assert watch_cell(shown(name), GLYPHS, palette).width == CELL


def test_of_several_the_worst_stands_in_the_cell(palette) -> None:
    idle, stalled = WatchView(**{**SEEN, "name": "web", "flows": 0}), WatchView(**{**SEEN, "stalled_now": True})
    hidden = WatchView(name="harbor")
    assert text(watch_cell(shown("e", idle, stalled), GLYPHS, palette)).strip() == "■push +1"
    assert text(watch_cell(shown("e", idle, hidden), GLYPHS, palette)).strip() == "?harb… +1"
    assert text(watch_cell(shown("b"), GLYPHS, palette)).strip() == "–"
    assert watch_line(shown("b"), 40, GLYPHS, palette) is None


def test_an_ipv6_peer_with_a_port_is_told_from_its_port() -> None:
    (_, store) = shown("a").node.watches[0].peers
    assert peer_words(store) == "→ [2001:db8::17]:5000"
