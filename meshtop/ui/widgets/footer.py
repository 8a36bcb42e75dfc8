"""The last line: the keys that work here, and what meshtop itself costs."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.engine.view import RecordingView
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.keys import Hint
from meshtop.ui.scene import Scene, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.time_bar import time_bar
from meshtop.units import UNKNOWN, format_bytes

# Narrower than that, keys and then the figures from the end give way.
_COST_FROM = 40
_MEMORY_FROM = 60
_RATES_FROM = 80
_WORDS_FROM = 112


class Footer(Canvas):
    def draw(self, scene: Scene, hints: Sequence[Hint], width: int, glyphs: Glyphs, palette: Palette) -> None:
        self.show([footer_line(scene, hints, width, glyphs, palette).strip(width)])


def footer_line(scene: Scene | None, hints: Sequence[Hint], width: int, glyphs: Glyphs, palette: Palette) -> Line:
    cost = _right_end(scene, width, glyphs, palette) if scene is not None else Line()
    room = width - cost.width - 2
    chosen: list[Hint] = []
    used = 1
    for hint in hints:  # most important first
        size = len(hint.signs) + len(hint.label) + 3
        if used + size <= room:
            chosen.append(hint)
            used += size
    line = Line()
    for hint in sorted(chosen, key=lambda hint: hint.order):
        line.gap(1 if line.width == 0 else 2)
        line.add(glyphs.text(hint.signs), palette.key).add(f" {hint.label}", palette.dim)
    return line.to(width - cost.width).join(cost)


def _right_end(scene: Scene, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """What goes on: a recording that is played, or one that is made; else what meshtop costs."""
    if scene.view.playback is not None:
        return time_bar(scene.view.playback, max(width * 3 // 5, min(width, 48)), glyphs, palette)
    recording = recording_line(scene.view.recording, width, glyphs, palette)
    beside_recording = width >= 150 or not recording.width
    cost = cost_line(scene, width if beside_recording else min(width - 40, _RATES_FROM - 1), glyphs, palette)
    return recording.join(cost)


def recording_line(recording: RecordingView | None, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """``● REC 1.2MB push.mtr``, or why it ended."""
    if recording is None:
        return Line()
    if recording.failure is not None:
        text = glyphs.fit(f"REC ended: {recording.failure}", width * 2 // 5).rstrip()
        return Line().add(f" {text} ", palette.alarm)
    line = Line().add(f"{glyphs.states['ok']} REC ", palette.states_bold["stalled"])
    line.add(f"{_bytes(recording.size_bytes)}B", palette.text).gap()
    if width >= 100:
        line.add(glyphs.cut(recording.path, width // 3), palette.dim).gap()
    return line


def cost_line(scene: Scene, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """The operator's CPU and memory, the dearest probe's CPU, what all nodes send per second, the age of the oldest
    sample of those that are up. Always there: on a narrow screen without words, then from the end less of it."""
    if width < _COST_FROM:
        return Line()
    view, words = scene.view, width >= _WORDS_FROM
    cpus = [shown.node.cost.cpu_pct for shown in scene.nodes if shown.node.cost.cpu_pct is not None]
    rates = [shown.node.cost.rx_bytes_per_s for shown in scene.nodes if shown.node.cost.rx_bytes_per_s is not None]
    ages = [shown.age_s for shown in scene.nodes if shown.usable and shown.age_s is not None]
    memory = f"{_bytes(view.operator_rss_bytes)}B" if view.operator_rss_bytes is not None else UNKNOWN
    items = [
        ("meshtop", _pct(view.operator_cpu_pct), 5, _COST_FROM),
        ("", memory, 5, _MEMORY_FROM),
        ("nodes", f"≤{_pct(max(cpus))}" if cpus else UNKNOWN, 5, _COST_FROM),
        ("", f"{_bytes(sum(rates))}B/s" if rates else UNKNOWN, 7, _RATES_FROM),
        ("age", age_words(max(ages, default=None)), 3, _RATES_FROM),
    ]
    line = Line()
    for name, value, size, least in items:
        if width < least:
            continue
        if words and name:
            line.add(f"{'  ' if line.width else ''}{name}", palette.dim)
        line.gap(1 if line.width else 0)
        line.add(glyphs.fit(value, size, ">"), palette.text)
    return line.gap()


def _pct(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}%"


def _bytes(value: float | None) -> str:
    return format_bytes(value)
