"""The keys of a recording that is played: stop and go on, faster and slower, to and fro, from stop to stop."""

from __future__ import annotations

from collections.abc import Callable

from meshtop.engine.view import PlaybackStop, PlaybackView, View
from meshtop.requests import Command, Playback

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
# A jump lands just before what it goes to, so that it is seen to begin; the next jump must still get past it.
_BEFORE_S = 1.0
_SAME_S = _BEFORE_S + 0.5


class Player:
    """``view`` gives the state now, ``send`` asks the source, ``say`` tells the operator."""

    def __init__(self, view: Callable[[], View], send: Callable[[Command], bool], say: Callable[[str], None]) -> None:
        self._view = view
        self._send = send
        self._say = say
        self._going_to: float | None = None  # where the last key went, while the source is on its way

    @property
    def playback(self) -> PlaybackView | None:
        """None where what is shown is live."""
        return self._view().playback

    def toggle(self, playback: PlaybackView) -> None:
        at_end = playback.at >= playback.last_at
        self._send(Playback(paused=not playback.paused and not at_end, at=playback.first_at if at_end else None))

    def step(self, playback: PlaybackView, seconds: float) -> None:
        self._go(playback, self._at(playback) + seconds)

    def faster(self, playback: PlaybackView, direction: int) -> None:
        further = [speed for speed in SPEEDS if (speed - playback.speed) * direction > 0]
        if not further:
            self._say(f"{playback.speed:g}× is the {'fastest' if direction > 0 else 'slowest'}")
            return
        self._send(Playback(speed=further[0] if direction > 0 else further[-1]))

    def jump(self, playback: PlaybackView, direction: int) -> None:
        stop = neighbour(playback.stops, self._at(playback), direction)
        if stop is None:
            self._say(_nothing(playback, direction))
            return
        self._say(stop.text)
        self._go(playback, stop.at - _BEFORE_S)

    def _at(self, playback: PlaybackView) -> float:
        if not playback.seeking:
            self._going_to = None
        return playback.at if self._going_to is None else self._going_to

    def _go(self, playback: PlaybackView, at: float) -> None:
        at = min(max(at, playback.first_at), playback.last_at)
        self._going_to = at
        self._send(Playback(at=at))


def neighbour(stops: tuple[PlaybackStop, ...], at: float, direction: int) -> PlaybackStop | None:
    """The next stop in that direction, seen from where a jump to it lands."""
    lands = ((stop, stop.at - _BEFORE_S - at) for stop in stops)
    beyond = [(abs(away), stop) for stop, away in lands if away * direction > _SAME_S - _BEFORE_S]
    return min(beyond, key=lambda pair: pair[0])[1] if beyond else None


def _nothing(playback: PlaybackView, direction: int) -> str:
    if direction > 0 and (playback.read_until or 0.0) < playback.last_at:
        return "Nothing to go to yet: the recording is still being read through."
    return f"No stall, mark, burst or finding {'after' if direction > 0 else 'before'} this."
