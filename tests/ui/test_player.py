"""The keys of a replay, its bar of time, and what the footer says of a recording that is made."""

from __future__ import annotations

import msgspec
import pytest
from scripted_mesh import scripted_view

from meshtop.engine.view import PlaybackStop, PlaybackView, RecordingView, View
from meshtop.requests import Command, Playback
from meshtop.ui import glyphs, theme
from meshtop.ui.player import Player
from meshtop.ui.scene import Scene
from meshtop.ui.widgets.footer import recording_line
from meshtop.ui.widgets.header import HeaderLook, clock_text, live_line
from meshtop.ui.widgets.time_bar import time_bar

STOPS = (
    PlaybackStop(at=1100.0, kind="stall", text="stall e→a"),
    PlaybackStop(at=1200.0, kind="mark", text="push"),
    PlaybackStop(at=1300.0, kind="finding", text="loss"),
)
PALETTE = theme.palette(theme.emergency_theme())


def state(at: float, **more: object) -> PlaybackView:
    given = {"first_at": 1000.0, "last_at": 1600.0, "speed": 1.0, "paused": False, "stops": STOPS, "read_until": 1600.0}
    return PlaybackView(at=at, **{**given, **more})  # type: ignore[arg-type]


class Deck:
    def __init__(self, playback: PlaybackView) -> None:
        self.playback = playback
        self.sent: list[Playback] = []
        self.said: list[str] = []
        self.player = Player(self.view, self.send, self.said.append)

    def view(self) -> View:
        return scripted_view(1)

    def send(self, command: Command) -> bool:
        assert isinstance(command, Playback)
        self.sent.append(command)
        return True


def test_jumps_go_from_stop_to_stop_and_say_where() -> None:
    deck = Deck(state(1000.0))
    at = 1000.0
    visited = []
    for _ in range(3):
        deck.player.jump(state(at), 1)
        to = deck.sent[-1].at
        assert to is not None
        visited.append(to)
        at = to
    assert visited == [1099.0, 1199.0, 1299.0]
    assert deck.said == ["stall e→a", "push", "loss"]
    deck.player.jump(state(at), 1)
    assert "No stall" in deck.said[-1]
    deck.player.jump(state(at), -1)
    assert deck.sent[-1].at == 1199.0


def test_before_all_is_read_nothing_is_called_the_last() -> None:
    deck = Deck(state(1500.0))
    deck.player.jump(state(1500.0, read_until=1400.0), 1)
    assert "still being read" in deck.said[-1]


def test_steps_add_up_while_the_source_is_on_its_way() -> None:
    deck = Deck(state(1300.0))
    deck.player.step(state(1300.0), 10)
    deck.player.step(state(1300.0, seeking=True), 10)
    assert [sent.at for sent in deck.sent] == [1310.0, 1320.0]
    deck.player.step(state(1005.0), -10)
    assert deck.sent[-1].at == 1000.0


def test_the_space_bar_stops_goes_on_and_begins_again_at_the_end() -> None:
    deck = Deck(state(1300.0))
    deck.player.toggle(state(1300.0))
    deck.player.toggle(state(1300.0, paused=True))
    deck.player.toggle(state(1600.0, paused=True))
    assert [(sent.paused, sent.at) for sent in deck.sent] == [(True, None), (False, None), (False, 1000.0)]


def test_speeds_have_their_ends() -> None:
    deck = Deck(state(1300.0))
    deck.player.faster(state(1300.0), 1)
    deck.player.faster(state(1300.0), -1)
    deck.player.faster(state(1300.0, speed=64.0), 1)
    assert [sent.speed for sent in deck.sent] == [2.0, 0.5]
    assert "fastest" in deck.said[-1]


@pytest.mark.parametrize("width", [48, 72, 120])
@pytest.mark.parametrize("signs", [glyphs.UNICODE, glyphs.ASCII], ids=["unicode", "ascii"])
def test_the_bar_is_as_wide_as_it_may_be_and_shows_its_stops(width: int, signs: glyphs.Glyphs) -> None:
    line = time_bar(state(1300.0), width, signs, PALETTE)
    text = line.strip(width).text
    assert line.width == width
    assert "00:21:40" in text
    assert signs.states["stalled"] in text
    assert signs.mark in text
    assert text.isascii() or signs is glyphs.UNICODE


def test_a_cut_recording_is_called_incomplete() -> None:
    assert "incomplete" in time_bar(state(1300.0, incomplete="ends"), 80, glyphs.UNICODE, PALETTE).strip(80).text


def test_the_footer_says_what_is_recorded_or_why_not() -> None:
    going = RecordingView(path="push.mtr", size_bytes=1_200_000, since=0.0)
    wide = recording_line(going, 120, glyphs.UNICODE, PALETTE).strip(60).text
    assert "REC 1.1MB push.mtr" in wide or "REC 1.2MB push.mtr" in wide
    assert "push.mtr" not in recording_line(going, 80, glyphs.UNICODE, PALETTE).strip(60).text
    ended = RecordingView(path="push.mtr", size_bytes=1, since=0.0, failure="No space left on device")
    assert "REC ended: No space left" in recording_line(ended, 80, glyphs.UNICODE, PALETTE).strip(60).text
    assert recording_line(None, 80, glyphs.UNICODE, PALETTE).width == 0


@pytest.mark.parametrize("width", [40, 80])
def test_what_is_shown_until_a_time_is_read_says_its_own_time(width: int) -> None:
    view = msgspec.structs.replace(scripted_view(1), past=True, replay=True, playback=state(1300.0, seeking=True))
    line = live_line(Scene(view, 0.0, 1.0), HeaderLook(paths=()), width, glyphs.UNICODE, PALETTE)
    text = line.strip(line.width).text
    assert text.startswith(f" AS OF {clock_text(view.at)}")
    assert text.rstrip().endswith("…")
    assert "live" not in text
