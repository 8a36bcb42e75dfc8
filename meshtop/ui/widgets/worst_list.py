"""On a narrow terminal: nodes in trouble, then every link of the shown paths, worst first. And one line for less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual import events

from meshtop.model import PathName
from meshtop.ui.draw import Line
from meshtop.ui.filtering import matches, told
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.messages import LinkPicked
from meshtop.ui.metrics import METRICS, MetricName
from meshtop.ui.scene import BY_SEVERITY, NODE_WORDS, WORDS, Scene, ShownLink, ShownNode, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.link_panel import Pair

_STATE = 10
_HEADINGS = 2  # lines above the first entry


ORDERS = ("worst first", "by metric", "by name")


@dataclass(frozen=True)
class ListLook:
    """What is listed and how: the shown paths and metric, the selected pair, words to filter by, the order."""

    paths: tuple[PathName, ...]
    metric: MetricName
    selected: Pair | None
    words: str = ""
    order: str = ORDERS[0]


class WorstList(Canvas):
    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._first = 0
        self._shown: list[ShownNode | ShownLink] = []

    def draw(self, scene: Scene, look: ListLook, width: int, height: int, glyphs: Glyphs, palette: Palette) -> None:
        paths, metric, selected = look.paths, look.metric, look.selected
        rows = height - _HEADINGS
        pair = max(scene.pair_width(max(10, width // 3)), 10)
        drawing = _Drawing(scene, metric, len(paths) > 1, pair, width, glyphs, palette)
        entries: list[ShownNode | ShownLink] = [
            shown
            for shown in scene.nodes
            if not shown.usable and matches(look.words, "node", shown.node.name, shown.state, shown.node.reason)
        ]
        entries += listed(scene, paths, metric, look.words, look.order)
        place = next((place for place, entry in enumerate(entries) if _is(entry, selected)), 0)
        self._first = max(0, min(max(self._first, place - rows + 1), place, max(len(entries) - rows, 0)))
        body = [drawing.headings()]
        self._shown = entries[self._first : self._first + max(rows, 0)]
        for entry in self._shown:
            if isinstance(entry, ShownNode):
                body.append(drawing.node(entry))
            else:
                body.append(drawing.link(entry, selected=_is(entry, selected)))
        title = Line().add("Worst links" if look.order == ORDERS[0] else f"Links {look.order}", palette.title)
        title.add(glyphs.text(f" · {', '.join(paths)} · {metric}"), palette.dim)
        told(title, look.words, glyphs, palette, 12)
        hidden = len(entries) - self._first - rows
        right = Line().add(glyphs.text(f"↓{hidden} more"), palette.dim) if hidden > 0 else Line()
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))

    def on_click(self, event: events.Click) -> None:
        row = event.y - _HEADINGS
        entry = self._shown[row] if 0 <= row < len(self._shown) else None
        if isinstance(entry, ShownLink):
            self.post_message(LinkPicked(entry.link.src, entry.link.dst, enter=event.chain == 2))


def listed(
    scene: Scene, paths: Sequence[PathName], metric: MetricName, words: str = "", order: str = ORDERS[0]
) -> list[ShownLink]:
    """Those that pass the filter, in the chosen order."""
    found = [
        shown
        for shown in scene.worst_first
        if shown.link.path in paths
        and matches(words, f"{shown.link.src}→{shown.link.dst}", shown.link.path, WORDS[shown.state], shown.link.reason)
    ]
    if order == "by name":
        return sorted(found, key=lambda shown: shown.key)
    if order == "by metric":
        limits, read = scene.view.mesh.thresholds, METRICS[metric]
        return sorted(found, key=lambda shown: -max(read.main(shown.link, limits).gravity,
                                                    read.side(shown.link, limits).gravity))  # fmt: skip
    return found


def _is(entry: ShownNode | ShownLink, selected: Pair | None) -> bool:
    return isinstance(entry, ShownLink) and (entry.link.src, entry.link.dst) == selected


@dataclass(frozen=True)
class _Drawing:
    """What all lines of one drawing share. ``pair``: cells for ``src→dst``."""

    scene: Scene
    metric: MetricName
    with_path: bool
    pair: int
    width: int
    glyphs: Glyphs
    palette: Palette

    def headings(self) -> Line:
        glyphs, palette = self.glyphs, self.palette
        path = glyphs.fit("path", 8) if self.with_path else ""
        line = Line().gap(3).add(glyphs.fit("link", self.pair + 1) + path, palette.dim)
        line.add(glyphs.fit("state", _STATE), palette.dim)
        for heading in METRICS[self.metric].headings:
            if self._room(line):
                line.add(glyphs.fit(heading, 6, ">"), palette.dim)
        return line

    def link(self, shown: ShownLink, *, selected: bool) -> Line:
        link, glyphs, palette = shown.link, self.glyphs, self.palette
        line = Line().add(glyphs.bracket[0] if selected else " ", palette.cursor)
        line.add(f"{glyphs.states[shown.state]} ", palette.states_bold[shown.state])
        line.add(glyphs.fit(f"{link.src}→{link.dst}", self.pair), palette.bold).gap()
        if self.with_path:
            line.add(glyphs.fit(link.path, 7), palette.dim).gap()
        state = f"stale {age_words(shown.age_s)}" if shown.stale else WORDS[shown.state]
        line.add(glyphs.fit(state, _STATE), palette.states[shown.state])
        chosen = METRICS[self.metric]
        for read in (chosen.main, chosen.side, *chosen.lower):
            figure = read(link, self.scene.view.mesh.thresholds)
            style = palette.states["stale"] if shown.stale else palette.gravity[figure.gravity]
            if self._room(line):
                line.add(glyphs.fit(figure.text, 6, ">"), style)
        if selected:
            line.gap().add(glyphs.bracket[1], palette.cursor)
        return line

    def node(self, shown: ShownNode) -> Line:
        glyphs, palette = self.glyphs, self.palette
        style = palette.node_states[shown.state]
        line = Line().gap().add(f"{glyphs.states[shown.state]} ", style)
        line.add(glyphs.fit(f"node {shown.node.name}", self.pair), palette.bold).gap()
        line.add(glyphs.fit(NODE_WORDS[shown.state], _STATE), style).gap()
        room = max(self.width - line.width - 1, 0)
        return line.add(glyphs.fit(shown.node.reason or "", room).rstrip(), palette.text)

    def _room(self, line: Line) -> bool:
        """For one figure more, and the cursor behind it."""
        return line.width + 6 <= self.width - 2


def state_line(scene: Scene, live: Line, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """All there is to say in one line: counts of trouble, nodes, the worst link, and whether to believe it."""
    line = Line()
    counts = scene.counts(tuple(path.name for path in scene.paths))
    for state in BY_SEVERITY:
        if counts[state] and state not in ("idle", "ok"):
            line.add(f"{glyphs.states[state]}{counts[state]} ", palette.states_bold[state])
    line.add(f"{scene.nodes_up}/{len(scene.nodes)}", palette.text)
    if line.width + live.width + 1 <= width:
        line.gap().join(live)
    sick = [shown for shown in scene.nodes if not shown.usable and shown.node.reason]
    if scene.nodes_up == 0 and sick:
        text = f" {sick[0].node.name}: {sick[0].node.reason}"
        return line.add(glyphs.fit(text, max(width - line.width, 0)).rstrip(), palette.text)
    worst = scene.worst_first[0] if scene.worst_first else None
    if worst is not None and worst.state not in ("ok", "idle") and width - line.width > 4:
        text = f" {worst.link.src}→{worst.link.dst} {WORDS[worst.state]}"
        line.add(glyphs.fit(text, max(width - line.width, 0)).rstrip(), palette.states_bold[worst.state])
    return line
