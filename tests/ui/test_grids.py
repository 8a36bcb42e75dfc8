"""The overview as text at every size, against stored grids. ``MESHTOP_UPDATE_GRIDS=1 pytest tests/ui`` stores new ones:
look at them before they are committed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.cells import cell_len
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.ui.app import MeshtopApp

NOTICE = "miku: ping is clean, TCP is sick, and p shows that the public path is fine: it is the overlay"
GRIDS = Path(__file__).parent / "grids"
SIZES = [(120, 40), (100, 30), (80, 24), (60, 20), (40, 10), (30, 6)]
CASES = (
    [(f"sick-{width}x{height}", width, height, {}, "") for width, height in SIZES]
    + [(f"down-{width}x{height}", width, height, {"down": ("b", "d")}, "") for width, height in SIZES[:4]]
    + [(f"unreachable-{width}x{height}", width, height, {"down": tuple("abcde")}, "") for width, height in SIZES]
    + [(f"both-{width}x{height}", width, height, {}, "pp") for width, height in SIZES[:3]]
    + [(f"nodes20-{width}x{height}", width, height, {"nodes": 20}, "") for width, height in SIZES[:3]]
    + [(f"nodes2-{width}x{height}", width, height, {"nodes": 2}, "") for width, height in SIZES[:2]]
    + [("wide-200x60", 200, 60, {}, ""), ("flat-120x12", 120, 12, {}, ""), ("retx-120x40", 120, 40, {}, "3")]
    + [("stall-120x40", 120, 40, {}, "5"), ("ascii-120x40", 120, 40, {"ascii": True}, "")]
    + [(f"stalls-{width}x{height}", width, height, {}, "t") for width, height in SIZES]
    + [("stalls-down-120x40", 120, 40, {"down": ("e",)}, ["t", "down"])]
    + [("stalls-ascii-120x40", 120, 40, {"ascii": True}, "t"), ("least-120x32", 120, 32, {}, "")]
    + [(f"watched-{width}x{height}", width, height, {"watched": True}, "") for width, height in SIZES[:3]]
    + [("watched-down-120x40", 120, 40, {"watched": True, "down": ("c",)}, "")]
    + [
        ("watched-ascii-120x40", 120, 40, {"watched": True, "ascii": True}, ""),
        ("watched-160x50", 160, 50, {"watched": True}, ""),
    ]
    + [(f"link-{width}x{height}", width, height, {}, ["enter"]) for width, height in SIZES]
    + [(f"link-past-{width}x{height}", width, height, {}, ["enter", "[", "["]) for width, height in SIZES[:5]]
    + [(f"link-nodes20-{width}x{height}", width, height, {"nodes": 20}, ["enter"]) for width, height in SIZES[:3]]
    + [("link-ascii-120x40", 120, 40, {"ascii": True}, ["enter", "Z"]), ("link-wide-200x60", 200, 60, {}, ["enter"])]
    + [
        ("link-braille-120x40", 120, 40, {}, ["enter", "Y", "y"]),
        ("link-down-120x40", 120, 40, {"down": ("e",)}, ["enter"]),
    ]
    + [(f"node-{width}x{height}", width, height, {}, ["n"]) for width, height in SIZES]
    + [("node-watched-120x40", 120, 40, {"watched": True}, ["n", "g"]), ("node-each-120x40", 120, 40, {}, "ngg")]
    + [("node-down-120x40", 120, 40, {"down": ("e",)}, ["n", "tab"]), ("past-120x40", 120, 40, {}, "[[")]
    + [("node-ascii-80x24", 80, 24, {"ascii": True}, "n"), ("filtered-60x20", 60, 20, {}, [*"/→c", "enter"])]
    + [("log-sorted-100x30", 100, 30, {}, ["l", "s", "/", "v", "enter"]), ("overview-past-40x10", 40, 10, {}, "[[")]
    + [(f"notice-{width}x{height}", width, height, {"notice": NOTICE}, "") for width, height in SIZES[:5]]
)


@pytest.mark.parametrize(("name", "width", "height", "options", "keys"), CASES, ids=[case[0] for case in CASES])
async def test_the_screen_is_what_it_was(name, width, height, options, keys, ticks, grid_of):
    options = dict(options)
    ascii_signs = options.pop("ascii", False)
    source = ScriptedSource(scripted_view(44, **options))
    app = MeshtopApp(source, ascii=ascii_signs, ticks=ticks)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
        await pilot.pause()
        lines = grid_of(app)
    assert {cell_len(line) for line in lines} == {width}, "every line fills the terminal exactly"
    assert len(lines) == height
    if ascii_signs:
        assert all(line.isascii() for line in lines)
    text = "\n".join(line.rstrip() for line in lines) + "\n"
    stored = GRIDS / f"{name}.txt"
    if os.environ.get("MESHTOP_UPDATE_GRIDS"):
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")
