"""The line about what is being watched."""

from __future__ import annotations

import msgspec
import pytest
from rich.cells import cell_len
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.ui.app import MeshtopApp
from meshtop.ui.glyphs import UNICODE
from meshtop.ui.theme import emergency_theme, palette
from meshtop.ui.widgets.notice import notice_line


@pytest.mark.parametrize(
    "text", ["miku: 看 [bold]p[/bold] \x1b[31m", "no name at all", "x" * 300, "长" * 90 + ": 句", ":"]
)
@pytest.mark.parametrize("width", [40, 79, 80, 200])
def test_it_fits_and_is_never_markup(text, width) -> None:
    line = notice_line(text, width, UNICODE, palette(emergency_theme()))
    assert line.width <= width
    shown = "".join(segment.text for segment in line.strip(width))
    assert cell_len(shown) == width
    assert "\x1b" not in shown
    assert "[bold]" in shown or "[bold]" not in text


async def test_it_stays_on_the_log_and_goes_without_leaving_a_hole(ticks, grid_of) -> None:
    source = ScriptedSource(scripted_view(44, notice="RECORDING · miku: look at p"))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert grid_of(app)[1].startswith(" RECORDING · miku: look at p")
        await pilot.press("l")
        await pilot.pause()
        assert grid_of(app)[1].startswith(" RECORDING · miku: look at p")
        assert grid_of(app)[2].startswith("── Log")
        await pilot.press("l")
        source.current = scripted_view(44)
        app.repaint()
        await pilot.pause()
        assert grid_of(app)[1].startswith("── RTT")


async def test_what_is_replayed_is_never_called_live(ticks, grid_of) -> None:
    source = ScriptedSource(msgspec.structs.replace(scripted_view(44), replay=True))
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert "REPLAY" in grid_of(app)[0]
        assert "LIVE" not in grid_of(app)[0]
