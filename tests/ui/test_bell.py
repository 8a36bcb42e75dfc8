"""The bell rings once for a stall that was not there before, and never for those that were."""

from __future__ import annotations

import msgspec
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.ui.app import MeshtopApp
from meshtop.ui.bell import StallBell

CALM, STALLED = scripted_view(34), scripted_view(44)  # an open stall in the second alone


def test_off_it_is_silent() -> None:
    bell = StallBell()
    assert not bell.rings(CALM, 0.0)
    assert not bell.rings(STALLED, 1.0)


def test_it_rings_once_for_each_new_stall() -> None:
    bell = StallBell(on=True)
    assert not bell.rings(CALM, 0.0)
    assert bell.rings(STALLED, 1.0)
    assert not bell.rings(STALLED, 10.0)
    assert not bell.rings(CALM, 20.0)
    assert not bell.rings(STALLED, 30.0), "the same one, told again"
    (another,) = (stall for stall in STALLED.stalls if stall.outcome == "open")
    later = msgspec.structs.replace(STALLED, stalls=(msgspec.structs.replace(another, id="s9"),))
    assert bell.rings(later, 40.0)


def test_what_stood_when_it_was_switched_on_rings_nothing() -> None:
    bell = StallBell()
    bell.switch()
    assert not bell.rings(STALLED, 0.0)


def test_many_at_once_are_one_sound() -> None:
    bell = StallBell(on=True)
    bell.rings(CALM, 0.0)
    assert bell.rings(STALLED, 1.0)
    (another,) = (stall for stall in STALLED.stalls if stall.outcome == "open")
    more = msgspec.structs.replace(STALLED, stalls=(another, msgspec.structs.replace(another, id="s9")))
    assert not bell.rings(more, 1.5)


async def test_the_screen_rings_it_frozen_or_not(ticks, monkeypatch) -> None:
    rung = []
    source = ScriptedSource(CALM)
    app = MeshtopApp(source, ticks=ticks, bell=True)
    monkeypatch.setattr(app, "bell", lambda: rung.append(True))
    async with app.run_test(size=(120, 40)) as pilot:
        source.give(CALM)
        await pilot.press("space")
        ticks.now += 5
        source.give(STALLED)
        await pilot.pause()
    assert rung == [True]
