"""One cell of the matrix, in its three sizes.

The glyph always says the state; figures are coloured by how far they are from what they should be. A cell whose sample
is old is grey and says how old instead of its second figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.style import Style

from meshtop.model import LinkKey, Node, NodeName, Thresholds
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.metrics import METRICS, Figure, Gravity, MetricName
from meshtop.ui.scene import Scene, ShownLink, ShownState, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets import sparkline, strips

FIGURE = 5  # cells that units' formats take at most
_SIDE_FROM = 2 + FIGURE + 5  # glyph, blank, figure, and four cells with a blank before them
_WIDEST_PAIR = _SIDE_FROM + 2  # further apart, two figures no longer read as one


@dataclass(frozen=True)
class CellPainter:
    """What all cells of one drawing share."""

    scene: Scene
    metric: MetricName
    glyphs: Glyphs
    palette: Palette

    @property
    def thresholds(self) -> Thresholds:
        return self.scene.view.mesh.thresholds

    def glyph(self, line: Line, shown: ShownLink | None, width: int) -> None:
        line.gap((width - 1) // 2)
        self._state(line, shown)

    def figures(self, line: Line, shown: ShownLink | None, width: int, *, more: bool = False) -> None:
        """Glyph and main figure, the second one where there is room; with ``more`` whatever else there is room for."""
        metric = METRICS[self.metric]
        start = line.width
        self._state(line, shown)
        main_end = min(2 + FIGURE, width)
        if shown is None:
            return
        self._right_aligned(line, metric.main(shown.link, self.thresholds), start + main_end, shown.stale)
        if width >= _SIDE_FROM:
            side = metric.side(shown.link, self.thresholds)
            if shown.stale:
                side = Figure(age_words(shown.age_s), Gravity.UNKNOWN)
            self._right_aligned(line, side, start + (_SIDE_FROM if more else min(width, _WIDEST_PAIR)), shown.stale)
        for place, read in enumerate(metric.lower if more else (), start=1):
            end = _SIDE_FROM + place * (FIGURE + 1)
            if end <= width:
                self._right_aligned(line, read(shown.link, self.thresholds), start + end, shown.stale, quiet=True)

    def tall(self, lines: Sequence[Line], shown: ShownLink | None, width: int) -> None:
        self.figures(lines[0], shown, width)
        if shown is None:
            return
        self._lower(lines[1], shown, width)
        self._bars(lines[2], shown, width)

    def _lower(self, line: Line, shown: ShownLink, width: int) -> None:
        start = line.width
        metric = METRICS[self.metric]
        pair = metric.lower
        if width < _SIDE_FROM:  # the second figure of the first line had no room there
            pair = (metric.side, metric.lower[1])
        first, second = (of(shown.link, self.thresholds) for of in pair)
        if shown.stale and width < _SIDE_FROM:
            first = Figure(age_words(shown.age_s), Gravity.UNKNOWN)
        first_end = 2 + FIGURE if width >= _SIDE_FROM else max(len(first.text), width - FIGURE)
        self._right_aligned(line, first, start + first_end, shown.stale, quiet=True)
        second_end = start + min(width, _WIDEST_PAIR)
        if second_end - len(second.text) > line.width:
            self._right_aligned(line, second, second_end, shown.stale, quiet=True)

    def _bars(self, line: Line, shown: ShownLink, width: int) -> None:
        scene = self.scene
        if self.metric == "stall":
            strip = scene.view.strips.get(shown.key)
            strips.draw(line, strips.seconds(strip, width, scene.now_s, scene.interval_s), self.glyphs, self.palette)
            return
        points = sparkline.columns(shown.trail, width, scene.interval_s, scene.now_s)
        baseline_ms = shown.link.rtt_baseline_ms
        decided_at = scene.now_s - scene.interval_s - max(sparkline.UNDECIDED_S, 4 * (baseline_ms or 0) / 1000)
        points = sparkline.without_short_waits(points, decided_at)
        bar = sparkline.bar_for(self.metric, baseline_ms, line_rate_bps(scene, shown.key), self.thresholds)
        sparkline.draw(line, points, bar, stale=shown.stale, glyphs=self.glyphs, palette=self.palette)

    def _state(self, line: Line, shown: ShownLink | None) -> None:
        state: ShownState = shown.state if shown is not None else "no-data"
        line.add(self.glyphs.states[state], self.palette.states_bold[state])

    def _right_aligned(self, line: Line, figure: Figure, end: int, stale: bool, *, quiet: bool = False) -> None:
        text = self.glyphs.text(figure.text)
        line.to(end - len(text))
        line.add(text, self._figure_style(figure.gravity, stale, quiet))

    def _figure_style(self, gravity: Gravity, stale: bool, quiet: bool) -> Style:
        if stale:
            return self.palette.states["stale"]
        if quiet and gravity is Gravity.FINE:
            return self.palette.dim
        return self.palette.gravity[gravity]


def line_rate_bps(scene: Scene, key: LinkKey) -> float | None:
    """The nominal rate of the slower end, as far as it is configured."""
    nodes: Mapping[NodeName, Node] = {node.name: node for node in scene.view.mesh.nodes}
    src, dst = nodes.get(key.src), nodes.get(key.dst)
    rates = [rate for rate in (src and src.up_bps, dst and dst.down_bps) if rate]
    return min(rates) if rates else None
