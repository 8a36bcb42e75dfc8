"""The keys that record, play and report, and the dialog that asks what a report shall have."""

from __future__ import annotations

import msgspec
import pytest
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.engine.view import PlaybackView, RecordingView, ReportView, View
from meshtop.requests import Command, MakeReport, Playback, StartRecording, StopRecording
from meshtop.ui.app import MeshtopApp
from meshtop.ui.dialogs.report import ReportDialog


class Deck(ScriptedSource):
    """A source that does what it is asked, for the eye."""

    def send(self, command: Command) -> None:
        super().send(command)
        match command:
            case StartRecording():
                self._set(recording=RecordingView(path="now.mtr", size_bytes=0, since=0.0))
            case StopRecording():
                self._set(recording=None)
            case MakeReport():
                self._set(report=ReportView(state="done", path="/r.zip", size_bytes=900_000))

    def _set(self, **values: object) -> None:
        self.current = msgspec.structs.replace(self.current, **values)


@pytest.fixture
def deck() -> Deck:
    return Deck(scripted_view(44))


async def test_a_key_records_and_ends_it(deck, ticks) -> None:
    app = MeshtopApp(deck, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("R")
        await pilot.press("R")
    assert deck.sent == [StartRecording(), StopRecording()]


async def test_the_dialog_asks_and_says_where_the_report_is(deck, ticks) -> None:
    app = MeshtopApp(deck, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("r")
        assert isinstance(app.screen, ReportDialog)
        await pilot.press(*"push", "space", *"hung")
        await pilot.press("tab", "right", "tab", "space", "f5")
        await pilot.pause()
        app.scene()
        said = [note.message for note in app._notifications]
    assert deck.sent == [MakeReport(title="push hung", last_s=600.0, redact=True)]
    assert any("/r.zip" in text for text in said)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (50, 12)])
async def test_the_dialog_fits_and_enter_goes_on_to_its_buttons(deck, ticks, grid_of, size) -> None:
    app = MeshtopApp(deck, ticks=ticks)
    async with app.run_test(size=size) as pilot:
        await pilot.press("r")
        await pilot.pause()
        text = "\n".join(grid_of(app))
        assert "Title" in text
        assert "Make" in text
        await pilot.press("enter", "enter", "enter", "enter")
        assert not isinstance(app.screen, ReportDialog), "the focus came to Cancel"
    assert deck.sent == []


async def test_in_a_recording_the_keys_play_it(ticks) -> None:
    playback = PlaybackView(first_at=0.0, last_at=1e10, at=1000.0, speed=1.0, paused=False)
    deck = Deck(playing(scripted_view(44), playback))
    app = MeshtopApp(deck, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("space", "plus", "minus", "full_stop")
    assert deck.sent == [Playback(paused=True), Playback(speed=2.0), Playback(speed=0.5), Playback(at=1010.0)]


def playing(view: View, playback: PlaybackView) -> View:
    return msgspec.structs.replace(view, playback=playback, replay=True)
