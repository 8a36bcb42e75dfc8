"""The directed matrix: a row for who sends, a column for who receives.

A row in trouble is a sender, a column a receiver, a cross a node, a single cell a path. Cells are tall (figures, rate,
sparkline), one line, or a glyph; names stay in sight when rows or columns scroll.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual import events

from meshtop.model import LinkKey, NodeName, PathName
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.layout import SEPARATOR, Grid
from meshtop.ui.messages import LinkPicked
from meshtop.ui.metrics import METRICS, MetricName
from meshtop.ui.scene import NODE_WORDS, WORDS, Scene, ShownNode, ShownState, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets import sparkline
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.cells import CellPainter
from meshtop.ui.widgets.unreachable import unreachable_lines

_LEGEND: tuple[ShownState, ...] = ("idle", "ok", "degraded", "lossy", "stalled", "down", "no-data")

_LABEL_CUT_FROM = 6  # fewer cells of a label than that say nothing


@dataclass(frozen=True)
class MatrixLook:
    """How to draw it. ``paths`` stand side by side; ``title_note`` says why not all that were asked for are."""

    grid: Grid
    metric: MetricName
    paths: tuple[PathName, ...]
    selected: tuple[NodeName, NodeName] | None
    framed: bool
    title_note: str = ""


class Matrix(Canvas):
    """Draws itself from a scene; a click picks a link."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._top = 0
        self._left = 0
        self._names: tuple[NodeName, ...] = ()
        self._look: MatrixLook | None = None

    def draw(self, scene: Scene, look: MatrixLook, width: int, height: int, glyphs: Glyphs, palette: Palette) -> None:
        self._look = look
        self._names = tuple(shown.node.name for shown in scene.nodes)
        inner_width = width - (2 if look.framed else 0)
        inner_height = height - (2 if look.framed else 1)
        self._scroll_to_selected(look, inner_width, inner_height)
        if scene.nothing_to_show:
            body = unreachable_lines(scene, inner_width, inner_height, glyphs, palette)
            title = Line().add("Nodes", palette.title)
            self.show(panel(title, body, width, height, look.framed, glyphs, palette))
        else:
            first, size = (self._top, self._left), (inner_width, inner_height)
            body = _Drawing(scene, look, glyphs, palette, first, size).lines()
            strips = panel(
                _title(scene, look, glyphs, palette), body, width, height, look.framed, glyphs, palette,
                right=_tabs(look.metric, palette), lower_left=_legend(glyphs, palette),
                lower_right=_scale(look, glyphs, palette),
            )  # fmt: skip
            self.show(strips)

    def _scroll_to_selected(self, look: MatrixLook, width: int, height: int) -> None:
        rows, columns = _visible(look, len(self._names), width, height)
        row = column = 0
        if look.selected is not None and look.selected[0] in self._names and look.selected[1] in self._names:
            row, column = (self._names.index(name) for name in look.selected)
        self._top = _window(self._top, row, rows, len(self._names))
        self._left = _window(self._left, column, columns, len(self._names))

    def on_click(self, event: events.Click) -> None:
        look = self._look
        if look is None or not self._names:
            return
        x = event.x - (1 if look.framed else 0) - look.grid.header
        y = event.y - 2  # the title and the line of column names
        if x < 0 or y < 0:
            return
        columns = _visible(look, len(self._names), self.size.width - (2 if look.framed else 0), 999)[1]
        block = columns * look.grid.pitch + SEPARATOR
        if x >= block * len(look.paths):
            return
        row, column = y // look.grid.rows + self._top, x % block // look.grid.pitch + self._left
        if row < len(self._names) and column < len(self._names) and row != column:
            self.post_message(LinkPicked(self._names[row], self._names[column], enter=event.chain == 2))


def _visible(look: MatrixLook, nodes: int, width: int, height: int) -> tuple[int, int]:
    """How many rows and columns (of each path) fit."""
    rows = (height - 1 + look.grid.gap) // look.grid.rows
    paths = max(len(look.paths), 1)
    columns = (width - look.grid.header - 1 - (paths - 1) * SEPARATOR) // look.grid.pitch // paths
    return max(1, min(rows, nodes)), max(1, min(columns, nodes))


def _window(first: int, wanted: int, size: int, total: int) -> int:
    """The first of ``size`` shown ones, moved as little as possible so that ``wanted`` is among them."""
    first = min(max(first, wanted - size + 1), wanted)
    return max(0, min(first, total - size))


def _title(scene: Scene, look: MatrixLook, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().add(glyphs.text(METRICS[look.metric].title), palette.title)
    kinds = {path.name: path.kind for path in scene.paths}
    for place, name in enumerate(look.paths):
        line.add(glyphs.text(" · " if place == 0 else " | "), palette.faint)
        line.add(glyphs.text(name), palette.bold)
        line.add(f" {kinds.get(name, '')}", palette.dim)
    if look.title_note:
        line.add(glyphs.text(f" · {look.title_note}"), palette.states["degraded"])
    return line


def _tabs(metric: MetricName, palette: Palette) -> Line:
    line = Line()
    for number, name in enumerate(METRICS, start=1):
        if number > 1:
            line.add(" ", palette.dim)
        line.add(f"{number} {name}", palette.chosen if name == metric else palette.dim)
    return line


def _legend(glyphs: Glyphs, palette: Palette) -> Line:
    line = Line()
    for place, state in enumerate(_LEGEND):
        line.add((" " if place else "") + glyphs.states[state], palette.states[state])
        line.add(f" {WORDS[state]}", palette.dim)
    return line


def _scale(look: MatrixLook, glyphs: Glyphs, palette: Palette) -> Line:
    if look.grid.kind != "tall":
        return Line()
    return Line().add(glyphs.text(sparkline.scale_words(look.metric, glyphs)), palette.dim)


class _Drawing:
    """One drawing of the matrix's inner lines."""

    def __init__(
        self,
        scene: Scene,
        look: MatrixLook,
        glyphs: Glyphs,
        palette: Palette,
        first: tuple[int, int],
        size: tuple[int, int],
    ) -> None:
        self.scene, self.look, self.glyphs, self.palette = scene, look, glyphs, palette
        self.cells = CellPainter(scene, look.metric, glyphs, palette)
        (top, left), total = first, len(scene.nodes)
        rows, columns = _visible(look, total, *size)
        self.senders = scene.nodes[top : top + rows]
        self.receivers = scene.nodes[left : left + columns]
        self.width = size[0]
        self.hidden = (top, total - top - rows, left, total - left - columns)

    def lines(self) -> list[Line]:
        lines = [self._column_names()]
        for sender in self.senders:
            if len(lines) > 1:
                lines.extend(Line() for _ in range(self.look.grid.gap))
            lines.extend(self._row(sender))
        return lines

    def _column_names(self) -> Line:
        grid, palette, glyphs = self.look.grid, self.palette, self.glyphs
        hidden = " ".join(f"{sign}{count}" for sign, count in zip("↑↓←→", self.hidden, strict=True) if count)
        line = Line().add(glyphs.fit(f" {hidden or 'from'}", grid.header), palette.dim)
        for place in range(len(self.look.paths)):
            if place:
                line.gap()
                self._separate([line])
            for receiver in self.receivers:
                line.gap()
                start = line.width
                if grid.kind == "glyph":
                    line.add(glyphs.fit(receiver.node.name, grid.cell, "^"), self._name_style(receiver))
                else:
                    self._name(line, receiver, grid.cell, arrow=True)
                line.to(start + grid.cell)
        return line

    def _name(self, line: Line, shown: ShownNode, width: int, *, arrow: bool = False, label: bool = True) -> None:
        """Where to, the name, the label; a glyph in front only for a node in trouble, so that quiet stays quiet."""
        glyphs, palette = self.glyphs, self.palette
        lead = (glyphs.text("→") if arrow else " ") if shown.usable else glyphs.states[shown.state]
        lead += " " if arrow else ""
        line.add(lead, palette.dim if shown.usable else palette.node_states[shown.state])
        name = glyphs.fit(shown.node.name, width - cell_len(lead)).rstrip()
        line.add(name, self._name_style(shown))
        left = width - 1 - cell_len(lead) - cell_len(name)
        text = glyphs.text(shown.node.label or "") if label else ""
        if text and text != shown.node.name and (cell_len(text) <= left or left >= _LABEL_CUT_FROM):
            line.gap().add(glyphs.fit(text, left).rstrip(), palette.dim)

    def _name_style(self, shown: ShownNode) -> Style:
        return self.palette.bold if shown.usable else self.palette.node_states[shown.state]

    def _row(self, sender: ShownNode) -> list[Line]:
        grid = self.look.grid
        lines = [Line() for _ in range(grid.height)]
        self._name(lines[0], sender, grid.header - 1, label=grid.kind != "tall")
        if grid.kind == "tall":
            self._below_name(lines, sender)
        for line in lines:
            line.to(grid.header)
        cells = lines
        if grid.kind == "tall" and self._silent_row(sender):
            cells = lines[:1]
        for place, path in enumerate(self.look.paths):
            if place:
                self._separate(cells)
            chosen_before = False
            for receiver in self.receivers:
                chosen = self.look.selected == (sender.node.name, receiver.node.name)
                self._edge(cells, closes=chosen_before, opens=chosen)
                self._cell(cells, sender.node.name, receiver.node.name, path)
                chosen_before = chosen
            self._edge(cells, closes=chosen_before, opens=False)
        if cells is not lines:
            self._why_silent(lines, sender)
        return lines

    def _silent_row(self, sender: ShownNode) -> bool:
        """Whether nothing below the first line of this row would be worth reading."""
        return not sender.usable and all(
            shown.state in ("no-data", "stale")
            for key, shown in self.scene.links.items()
            if key.src == sender.node.name
        )

    def _why_silent(self, lines: Sequence[Line], sender: ShownNode) -> None:
        """In place of figures that nobody gives: why, and what to do about it, across the row."""
        width = self.width - self.look.grid.header - 2
        node, palette, glyphs = sender.node, self.palette, self.glyphs
        for line, text in zip(lines[1:], glyphs.wrap(node.reason or "", width, 1 if node.cure else 2), strict=False):
            line.gap().add(text, palette.text)
        if node.cure:
            lines[2].gap().add(glyphs.text("→ "), palette.dim).add(
                glyphs.fit(node.cure, width - 2).rstrip(), palette.key
            )

    def _separate(self, lines: Sequence[Line]) -> None:
        for line in lines:
            line.add(f"{self.glyphs.frame.down:<{SEPARATOR - 1}}", self.palette.faint)

    def _below_name(self, lines: Sequence[Line], sender: ShownNode) -> None:
        width = self.look.grid.header - 1
        if sender.usable:
            lines[1].gap(1).add(self.glyphs.fit(sender.node.label or "", width - 1).rstrip(), self.palette.dim)
            return
        lines[1].gap(1).add(self.glyphs.fit(NODE_WORDS[sender.state], width), self.palette.node_states[sender.state])
        if sender.age_s is not None:
            lines[2].gap(1).add(self.glyphs.fit(f"{age_words(sender.age_s)} ago", width), self.palette.dim)

    def _cell(self, lines: Sequence[Line], src: NodeName, dst: NodeName, path: PathName) -> None:
        grid = self.look.grid
        start = lines[0].width
        if src == dst:
            lines[0].gap((grid.cell - 1) // 2 if grid.kind == "glyph" else 0)
            lines[0].add(self.glyphs.self_link, self.palette.faint)
        else:
            shown = self.scene.links.get(LinkKey(src, dst, path))
            if len(lines) < grid.height:
                self.cells.figures(lines[0], shown, grid.cell)
            elif grid.kind == "glyph":
                self.cells.glyph(lines[0], shown, grid.cell)
            elif grid.kind == "line":
                self.cells.figures(lines[0], shown, grid.cell, more=True)
            else:
                self.cells.tall(lines, shown, grid.cell)
        for line in lines:
            line.to(start + grid.cell)

    def _edge(self, lines: Sequence[Line], *, closes: bool, opens: bool) -> None:
        """The column between two cells: empty, or one side of the cursor."""
        if not (closes or opens):
            for line in lines:
                line.gap()
            return
        side = 0 if opens else 1
        if len(lines) == 1:
            lines[0].add(self.glyphs.bracket[side], self.palette.cursor)
            return
        first, middle, last = tuple(self.glyphs.tall_bracket[side])
        for index, line in enumerate(lines):
            line.add(first if index == 0 else last if index == len(lines) - 1 else middle, self.palette.cursor)
