"""The first line: which mesh, how much of it is there, whether what is shown is live, and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from meshtop.model import PathName
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import TROUBLE, WORDS, Scene, ShownState, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas
from meshtop.units import format_duration

_COUNTED: tuple[ShownState, ...] = ("stalled", "down", "lossy", "degraded", "stale", "no-data")


@dataclass(frozen=True)
class HeaderLook:
    """``frozen_at``: operator's UTC at which painting stopped, None while it goes on."""

    paths: tuple[PathName, ...]
    frozen_at: float | None = None


class Header(Canvas):
    def draw(self, scene: Scene, look: HeaderLook, width: int, glyphs: Glyphs, palette: Palette) -> None:
        self.show([header_line(scene, look, width, glyphs, palette).strip(width)])


def header_line(scene: Scene, look: HeaderLook, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """Left to right by importance; what does not fit is left out from the end, the clock stays at the right."""
    clock = _right_end(scene, look, width, glyphs, palette)
    left = Line().gap()
    if width >= 60:
        left.add("meshtop", palette.title).add(glyphs.text(" · "), palette.faint)
    left.add(_short(glyphs, scene.view.mesh.name, 16 if width >= 60 else 8), palette.bold)
    pieces = [_nodes(scene, width, palette), live_line(scene, look, width, glyphs, palette)]
    if width < 60:
        pieces.reverse()  # whether to believe the rest comes first where not all fits
    pieces += _counts(scene.counts(look.paths), width, glyphs, palette)
    hidden = _hidden_trouble(scene, look.paths, glyphs, palette)
    if hidden.width:
        pieces.append(hidden)
    for place, piece in enumerate(pieces):
        space = 1 if width < 80 else 3 if place < 3 else 2
        if left.width + space + piece.width + clock.width + 1 <= width:
            left.gap(space).join(piece)
    return left.to(max(width - clock.width, left.width)).join(clock)


def live_line(scene: Scene, look: HeaderLook, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """The one word that says whether to believe the rest."""
    playback = scene.view.playback
    if scene.view.past and playback is not None and playback.seeking:
        # of a recording, shown until all of that time is known
        reading = f" · reading{glyphs.ellipsis}" if width >= 60 else glyphs.ellipsis
        return Line().add(glyphs.text(f" AS OF {clock_text(scene.now_s)}{reading} "), palette.alarm)
    if scene.view.past:
        back = scene.live_s - scene.now_s if scene.live_s is not None else None
        ago = f" · {age_words(back)} ago" if back is not None and width >= 60 else ""
        words = f"{clock_text(scene.now_s)}{ago} · esc live" if width >= 60 else f"{clock_text(scene.now_s)} esc"
        return Line().add(glyphs.text(f" AS OF {words} "), palette.alarm)
    interval = f"{scene.interval_s:.1f}s" if scene.interval_s < 10 else format_duration(scene.interval_s)
    if look.frozen_at is not None:
        since = f" since {clock_text(look.frozen_at)}" if width >= 60 else ""
        return Line().add(f" {glyphs.pause} FROZEN{since} ", palette.alarm)
    if scene.source_lost:
        return Line().add(f" NO NEW DATA for {age_words(scene.silence_s)} ", palette.alarm)
    if scene.nodes_up == 0:
        connecting = any(shown.state == "connecting" for shown in scene.nodes)
        word = "CONNECTING" if connecting else "NO NODE UP"
        state = "connecting" if connecting else "down"
        return Line().add(f"{glyphs.states[state]} {word}", palette.bold if connecting else palette.states_bold["down"])
    if scene.view.replay:
        paused = scene.view.playback is not None and scene.view.playback.paused
        return (
            Line()
            .add("REPLAY paused" if paused else "REPLAY ", palette.bold)
            .add("" if paused else interval, palette.dim)
        )
    return (
        Line()
        .add(f"{glyphs.states['ok']} ", palette.states_bold["ok"])
        .add("LIVE ", palette.bold)
        .add(interval, palette.dim)
    )


def clock_text(at: float) -> str:
    """``14:32:07`` in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _right_end(scene: Scene, look: HeaderLook, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """The path that is shown, where there is room, and the time."""
    line = Line()
    if width >= 100:
        for place, name in enumerate(look.paths):
            line.add(" | " if place else "", palette.faint)
            line.add(_short(glyphs, name, 12), palette.bold)
        line.gap(3)
    return line.add(clock_text(scene.now_s) + (" UTC" if width >= 60 else ""), palette.dim).gap()


def _short(glyphs: Glyphs, text: str, limit: int) -> str:
    return glyphs.fit(text, limit).rstrip()


def _nodes(scene: Scene, width: int, palette: Palette) -> Line:
    up, total = scene.nodes_up, len(scene.nodes)
    style = palette.text if up == total else palette.states_bold["degraded"]
    line = Line().add(f"{up}/{total}", style).add(" nodes" if width >= 60 else "", palette.dim)
    if width >= 100:
        pairs = total * (total - 1)
        line.gap(2).add(str(pairs), palette.text).add(" links", palette.dim)
    return line


def _counts(counts: Mapping[ShownState, int], width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    words = width >= 100
    return [
        Line()
        .add(f"{glyphs.states[state]} {counts[state]}", palette.states_bold[state])
        .add(f" {WORDS[state]}" if words else "", palette.text if state in TROUBLE else palette.dim)
        for state in _COUNTED
        if counts[state]
    ]


def _hidden_trouble(scene: Scene, shown: tuple[PathName, ...], glyphs: Glyphs, palette: Palette) -> Line:
    """Trouble on paths that are not shown must not hide behind the one that is."""
    line = Line()
    for path in scene.paths:
        if path.name in shown:
            continue
        bad = sum(count for state, count in scene.counts((path.name,)).items() if state in TROUBLE)
        if bad:
            line.add(glyphs.text(f"{'· ' if not line.width else ' '}+{bad} on {path.name}"), palette.states["degraded"])
    return line
