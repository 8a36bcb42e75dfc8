"""Every key of bursts, findings, dialogs and the palette, tried on the real screen."""

from __future__ import annotations

import pytest
from act_checks import ACT_CHECKS
from scripted_runs import PlanningSource, busy_view

from meshtop.ui.app import MeshtopApp


class Pressed:
    """A running overview at 120×40, and what was pressed."""

    def __init__(self, app, pilot, source) -> None:
        self.app, self.pilot, self.source = app, pilot, source

    async def press(self, *names: str) -> None:
        await self.pilot.press(*("space" if name == " " else name for name in names))
        await self.pilot.pause()


@pytest.mark.parametrize("name", ACT_CHECKS)
async def test_each_key_does_what_it_says(name, ticks, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    source = PlanningSource(busy_view())
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await ACT_CHECKS[name](Pressed(app, pilot, source))
