"""A pair on one axis of time: round trips, goodput and retransmissions of overlay and underlay, what their flows did,
and what happened meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from rich.style import Style
from textual import events

from meshtop.engine.view import TrailPoint
from meshtop.model import LinkKey, PathName
from meshtop.ui import plot
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.link_layout import LinkPlan
from meshtop.ui.messages import MomentPicked
from meshtop.ui.plot import Range, TimeAxis
from meshtop.ui.raster import LABEL, Curve, Look, chart
from meshtop.ui.scales import Scale, ScaleName, rate_scale, rtt_scale, share_scale
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets import strips
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.cells import line_rate_bps
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_duration

WINDOWS_S = (30.0, 60.0, 120.0, 300.0, 900.0)
MARGIN = 1  # blank cells at the right
# Between answers further apart than this many ping intervals something is missing.
_HOLD_PINGS = 2.5
_FULL_WORDS = "1200 B"


@dataclass(frozen=True)
class ChartLook:
    """``keys``: one or two links of the pair, the overlay first. ``end_s``: the operator's UTC at the right edge.
    ``cursor_s``: the moment that is looked at, if that is not now."""

    keys: tuple[LinkKey, ...]
    window_s: float
    end_s: float
    scale: ScaleName
    braille: bool
    cursor_s: float | None = None


class LinkCharts(Canvas):
    """Draws itself from a scene; nothing in it is joined over what was not measured."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._content: object = None  # all that the last drawing was made of
        self._axis: TimeAxis | None = None

    def draw(self, scene: Scene, look: ChartLook, plan: LinkPlan, width: int, glyphs: Glyphs, palette: Palette) -> None:
        drawing = _Drawing(scene, look, plan, width, glyphs, palette)
        content, self._axis = drawing.content(), drawing.axis
        if content != self._content:  # several paints show the same columns: news are of other links most of the time
            self._content = content
            self.show([line.strip(width) for line in drawing.lines()])

    def on_click(self, event: events.Click) -> None:
        """To the moment that was clicked at."""
        if self._axis is not None and 0 <= event.x - LABEL < self._axis.columns:
            self.post_message(MomentPicked(self._axis.start_s + (event.x - LABEL + 1) * self._axis.column_s))


def chart_columns(width: int) -> int:
    return max(width - LABEL - MARGIN, 1)


def charted_paths(scene: Scene, subject: PathName) -> tuple[PathName, ...]:
    """Two at most: an overlay and an underlay where there are both, in any case the one that is asked about."""
    chosen = {path.kind: path.name for path in reversed(scene.paths)}
    for path in scene.paths:
        if path.name == subject:
            chosen[path.kind] = path.name
    names = [chosen[kind] for kind in ("overlay", "underlay") if kind in chosen]
    if len(names) < 2:
        names += [path.name for path in scene.paths if path.name not in names]
    return tuple(names[:2])


@dataclass(frozen=True)
class _Drawing:
    """What all lines of one drawing share."""

    scene: Scene
    look: ChartLook
    plan: LinkPlan
    width: int
    glyphs: Glyphs
    palette: Palette

    @cached_property
    def axis(self) -> TimeAxis:
        return TimeAxis.until(self.look.end_s, self.look.window_s, chart_columns(self.width))

    @cached_property
    def dots(self) -> TimeAxis:
        return self.axis.finer(2) if self._braille else self.axis

    @property
    def _braille(self) -> bool:
        return self.look.braille and not self.glyphs.is_ascii

    @cached_property
    def trails(self) -> Mapping[LinkKey, Sequence[TrailPoint]]:
        """Of what is shown, and a little of before, which may hold on into it."""
        since = self.axis.start_s - self._hold_s
        return {key: plot.since(self.scene.trail(key), since) for key in self.look.keys}

    @property
    def _hold_s(self) -> float:
        mesh = self.scene.view.mesh
        return _HOLD_PINGS * max(mesh.ping_s, self.scene.interval_s)

    @property
    def _cursor(self) -> int | None:
        return self.axis.column(self.look.cursor_s) if self.look.cursor_s is not None else None

    def content(self) -> object:
        """Equal for drawings that would be equal."""
        view, links = self.scene.view, [self.scene.links.get(key) for key in self.look.keys]
        whole = [self.scene.trail(key) for key in self.look.keys]
        return (
            self.plan, self.width, self.glyphs.name, self.palette,
            self.axis, self.look.keys, self.look.scale, self.look.braille, self.look.cursor_s,
            [(trail, self.axis.column(plot.due_until(trail, self.look.end_s))) for trail in whole if trail],
            [(stall.id, stall.end) for stall in view.stalls if (stall.src, stall.dst, stall.path) in self.look.keys],
            view.marks, [(burst.id, burst.started, burst.ended) for burst in view.bursts],
            [shown.link.rtt_baseline_ms for shown in links if shown is not None],
        )  # fmt: skip

    def style(self, key: LinkKey) -> Style:
        return self.palette.series["underlay" if self.look.keys.index(key) else "overlay"]

    def look_of(self, rows: int) -> Look:
        return Look(rows, self.axis.columns, self.glyphs, self.palette, self._cursor, self._braille)

    def lines(self) -> list[Line]:
        plan = self.plan
        lines: list[Line] = []
        rtt, rtt_axis = self._rtt()
        if plan.rtt_heading:
            lines.append(self._heading("RTT", rtt_axis.words, legend=True))
        lines += chart(rtt, rtt_axis, self.look_of(plan.rtt))
        if plan.lost:
            lines += [self._lost(key) for key in self.look.keys]
        if plan.rate > 1:
            lines += self._rate(plan.rate - 1)
        if plan.retx > 1:
            lines += self._retx(plan.retx - 1)
        for key in self.look.keys[: plan.strips]:
            lines.append(self._strip(key))
        if plan.events:
            lines.append(self._events())
        lines.append(self._axis_line())
        return lines

    # ── plots ──

    def _rtt(self) -> tuple[list[Curve], Scale]:
        curves = []
        most: list[float] = []
        for key in self.look.keys:
            small = plot.ranges(self.trails[key], self.dots, lambda point: point.rtt_ms, self._hold_s)
            full = plot.ranges(self.trails[key], self.axis, lambda point: point.rtt_full_ms, 0.0)
            most += [high for _, high in filter(None, (*small, *full))]
            curves.append(Curve(small, self.style(key), points=_tops(full)))
        links = [self.scene.links.get(key) for key in self.look.keys]
        baselines = [shown.link.rtt_baseline_ms for shown in links if shown is not None and shown.link.rtt_baseline_ms]
        return curves, rtt_scale(self.look.scale, max(baselines, default=None), max(most, default=None))

    def _rate(self, rows: int) -> list[Line]:
        lines = [line for key in self.look.keys if (line := line_rate_bps(self.scene, key))]
        values = [plot.means(self.trails[key], self.dots, plot.rate_of) for key in self.look.keys]
        axis = rate_scale(self.look.scale, min(lines, default=None), _most(values))
        return [self._heading("Goodput", axis.words), *self._filled(values, axis, rows)]

    def _retx(self, rows: int) -> list[Line]:
        values = [plot.means(self.trails[key], self.dots, plot.retransmitted) for key in self.look.keys]
        axis = share_scale(self.look.scale, _most(values))
        return [self._heading("Retransmitted", axis.words), *self._filled(values, axis, rows)]

    def _filled(self, values: Sequence[Sequence[float | None]], axis: Scale, rows: int) -> list[Line]:
        curves = [
            Curve([None if value is None else (0.0, value) for value in row], self.style(key), filled=True)
            for key, row in zip(self.look.keys, values, strict=True)
        ]
        return chart(curves, axis, self.look_of(rows))

    def _heading(self, title: str, scale: str, *, legend: bool = False) -> Line:
        glyphs, palette = self.glyphs, self.palette
        line = Line().gap().add(title, palette.bold).gap(2).add(glyphs.text(scale), palette.dim)
        tail = self._legend() if legend else Line()
        if tail.width and line.width + tail.width + 2 <= self.width:
            line.to(self.width - tail.width - MARGIN).join(tail)
        return line

    def _legend(self) -> Line:
        line = Line()
        for place, key in enumerate(self.look.keys):
            sign = (self.glyphs.solid[2], self.glyphs.dotted[2])[place]
            line.gap(2 if line.width else 0).add(sign, self.style(key))
            line.add(f" {self.glyphs.text(key.path)}", self.palette.text)
            line.add(f" {self.glyphs.full_size[place]}", self.style(key)).add(f" {_FULL_WORDS}", self.palette.dim)
        if len(self.look.keys) > 1:
            line.gap(2).add(self.glyphs.both, self.palette.dim).add(" both", self.palette.dim)
        return line

    # ── rows of one line ──

    def _row(self, label: str, key: LinkKey | None = None) -> Line:
        line = Line()
        style = self.palette.dim if key is None else self.style(key)
        return line.add(self.glyphs.fit(label, LABEL - 1), style).gap()

    def _lost(self, key: LinkKey) -> Line:
        small = plot.columns_where(self.trails[key], self.axis, lambda point: point.lost)
        full = plot.columns_where(self.trails[key], self.axis, lambda point: point.lost_full)
        place = self.look.keys.index(key)
        line = self._row(f"{self.glyphs.lost}{self.glyphs.text(key.path)}", key)
        for column in range(self.axis.columns):
            if column in small:
                line.add(self.glyphs.lost, self.palette.states_bold["stalled"])
            elif column in full:
                line.add(self.glyphs.full_size[place], self.palette.states["lossy"])
            else:
                line.gap()
        return line

    def _strip(self, key: LinkKey) -> Line:
        stalls = [
            (utc(stall.start), utc(stall.end) if stall.end else self._open_until(key))
            for stall in self.scene.view.stalls
            if (stall.src, stall.dst, stall.path) == key
        ]
        cells = plot.activity(self.scene.trail(key), self.axis, stalls, self.look.end_s)
        return strips.draw(self._row(key.path, key), cells, self.glyphs, self.palette)

    def _open_until(self, key: LinkKey) -> float:
        """A stall is open as far as it was told."""
        trail = self.scene.trail(key)
        if self.look.cursor_s is not None:
            return self.scene.now_s
        return trail[-1].at if trail else self.scene.now_s

    def _events(self) -> Line:
        """Bursts as a line from their start to their end, marks and bursts with their words."""
        line = self._row("marks")
        named: dict[int, str] = {}
        running: set[int] = set()
        for burst in self.scene.view.bursts:
            if burst.started is None or not {burst.src, burst.dst} & {self.look.keys[0].src, self.look.keys[0].dst}:
                continue
            start_s, end_s = utc(burst.started), utc(burst.ended) if burst.ended else self.scene.now_s
            if end_s > self.axis.start_s:
                running.update(self.axis.covered(start_s, end_s))
                named[max(self.axis.column(start_s), 0)] = f"{burst.id} {burst.src}→{burst.dst} {burst.path}"
        for mark in self.scene.view.marks:
            if 0 <= self.axis.column(mark.at) < self.axis.columns:
                named[self.axis.column(mark.at)] = mark.text
        across = self.glyphs.frame.across
        for column, following in pairwise([*sorted(c for c in named if c < self.axis.columns), self.axis.columns]):
            self._line_until(line, column, running, across)
            line.add(self.glyphs.mark, self.palette.cursor)
            room = following - column - 2
            line.add(self.glyphs.cut(named[column], room), self.palette.text)
        self._line_until(line, self.axis.columns, running, across)
        return line

    def _line_until(self, line: Line, column: int, running: set[int], sign: str) -> None:
        while line.width - LABEL < column:
            if line.width - LABEL in running:
                line.add(sign, self.palette.cursor)
            else:
                line.gap()

    def _axis_line(self) -> Line:
        """The window at the left, round times, the cursor's time above all."""
        palette, axis = self.palette, self.axis
        placed: list[tuple[int, str, Style]] = []
        if self.look.cursor_s is not None:
            words = self.glyphs.text(f"↑{clock_text(self.look.cursor_s)}")
            column = min(max(axis.column(self.look.cursor_s), 0), max(axis.columns - len(words), 0))
            placed.append((column, words, palette.cursor))
        else:
            placed.append((axis.columns - 3, "now", palette.dim))
        for column, at in plot.ticks(axis, 14):
            text = clock_text(at)
            apart = all(column + len(text) < there or column > there + len(other) for there, other, _ in placed)
            if apart and column + len(text) <= axis.columns:
                placed.append((column, text, palette.dim))
        line = Line().add(self.glyphs.fit(format_duration(self.look.window_s), LABEL - 1, ">"), palette.dim).gap()
        for column, text, style in sorted(placed, key=lambda item: item[0]):
            line.to(LABEL + column).add(text, style)
        return line


def _tops(values: Sequence[Range | None]) -> list[float | None]:
    return [None if value is None else value[1] for value in values]


def _most(rows: Sequence[Sequence[float | None]]) -> float | None:
    return max((value for row in rows for value in row if value is not None), default=None)
