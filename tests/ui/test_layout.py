"""The parts always fill the terminal, at any size, for any mesh; the breakpoints are those of the manual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.ui.layout import SEPARATOR, Plan, plan, plan_without_nodes


def column(chosen: Plan, side: bool) -> int:
    if side:
        return chosen.link + chosen.attention
    beside = 0 if chosen.side else chosen.link + chosen.attention
    return chosen.matrix + chosen.worst + chosen.stalls + chosen.nodes + chosen.log + beside


@given(
    st.integers(1, 300),
    st.integers(1, 100),
    st.integers(0, 60),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 70),
    st.booleans(),
)
def test_the_parts_fill_the_terminal(width, height, nodes, shown, paths, name, notice) -> None:
    for chosen in (
        plan(width, height, nodes, min(shown, paths), paths, name, notice),
        plan_without_nodes(width, height, notice),
    ):
        if chosen.mode == "line":
            assert width < 40 or height < 10
            continue
        assert chosen.notice == (notice and height >= 24)
        assert column(chosen, side=False) == height - 2 - chosen.notice
        if chosen.side:
            assert column(chosen, side=True) == height - 2 - chosen.notice
            assert width >= 120
        parts = (chosen.matrix, chosen.worst, chosen.stalls, chosen.nodes, chosen.log, chosen.link)
        assert all(part >= 0 for part in parts)
        assert not chosen.stalls or (width >= 120 and height >= 32)


@given(st.integers(80, 300), st.integers(10, 100), st.integers(1, 60), st.integers(1, 3), st.integers(1, 70))
def test_what_is_wider_than_a_glyph_shows_all_columns(width, height, nodes, shown, name) -> None:
    chosen = plan(width, height, nodes, shown, 3, name)
    assert chosen.grid is not None
    matrices = shown if chosen.paths_fit else 1
    inner = width - chosen.side - (2 if chosen.framed else 0)
    if chosen.grid.kind != "glyph":
        cells = nodes * matrices * chosen.grid.pitch + (matrices - 1) * SEPARATOR
        assert chosen.grid.header + cells + 1 <= inner


@pytest.mark.parametrize(
    ("width", "height", "mode", "kind", "side"),
    [
        (120, 40, "grid", "tall", True),
        (120, 32, "grid", "tall", True),
        (120, 31, "grid", "line", True),
        (119, 40, "grid", "line", False),
        (80, 24, "grid", "line", False),
        (79, 24, "list", None, False),
        (40, 10, "list", None, False),
        (39, 10, "line", None, False),
        (40, 9, "line", None, False),
        (200, 5, "line", None, False),
    ],
)
def test_breakpoints(width, height, mode, kind, side) -> None:
    chosen = plan(width, height, 5, 1, 2)
    assert chosen.mode == mode
    assert (chosen.grid.kind if chosen.grid else None) == kind
    assert bool(chosen.side) is side


@pytest.mark.parametrize("notice", [False, True])
def test_strips_come_before_the_nodes_where_room_is_scarce(notice) -> None:
    least = plan(120, 32, 5, 1, 2, notice=notice)
    assert min(least.stalls, least.log) > 0 == least.nodes
    usual = plan(120, 40, 5, 1, 2, notice=notice)
    assert min(usual.stalls, usual.nodes, usual.log) > 0
    assert plan(120, 31, 5, 1, 2, notice=notice).stalls == 0


def test_more_than_eight_nodes_are_glyphs() -> None:
    assert plan(200, 60, 8, 1, 2).grid.kind == "tall"
    assert plan(200, 60, 9, 1, 2).grid.kind == "glyph"


def test_both_paths_side_by_side_where_they_fit() -> None:
    assert plan(120, 40, 5, 2, 2).paths_fit
    assert plan(80, 24, 5, 2, 2).paths_fit
    narrow = plan(80, 24, 7, 2, 2)
    assert not narrow.paths_fit
    assert narrow.grid == plan(80, 24, 7, 1, 2).grid


@pytest.mark.parametrize("height", [20, 24, 30, 32, 40, 60])
@pytest.mark.parametrize("watched", [False, True])
def test_a_side_panel_says_what_needs_attention(height, watched) -> None:
    chosen = plan(120, height, 5, 1, 2, notice=True, watched=watched)
    assert chosen.side
    assert chosen.attention >= 4
    assert chosen.link >= chosen.attention
