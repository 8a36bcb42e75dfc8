"""The nodes: sessions, the host's own TCP counters, clock, and what meshtop costs there and could not read."""

from __future__ import annotations

from collections.abc import Callable

from meshtop.engine.snapshot import NodeView
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import NODE_WORDS, Scene, ShownNode, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.watch_lines import CELL, watch_cell
from meshtop.units import UNKNOWN, format_age, format_bytes, format_ms, format_pct, format_rate

_NAME = 14
_STATE = 10


def _operator_rtt(node: NodeView) -> str:
    known = [rtt for rtt in node.operator_rtt_ms.values() if rtt is not None]
    return format_ms(min(known)) if known else UNKNOWN


def clock_words(node: NodeView) -> str:
    offset = node.clock_offset_s
    if offset is None:
        return UNKNOWN
    if abs(offset) < 0.9995:
        return f"{offset * 1000:+.0f}ms"
    return f"{'+' if offset > 0 else '-'}{format_age(abs(offset))}"


def _per_s(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}" if value < 99.95 else format_rate(value)


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else format_rate(value)


def _unread(node: NodeView) -> str:
    """Lines that no parser understood and bytes that belonged to no frame: counted, never dropped in silence."""
    return _count(node.unparsed + node.dropped_bytes)


# Heading, width, figure; the ones that matter least come last, where a narrow screen cuts.
_COLUMNS: tuple[tuple[str, int, Callable[[NodeView], str]], ...] = (
    ("ssh ms", 7, lambda node: format_ms(node.ssh_rtt_ms)),
    ("ping", 6, _operator_rtt),
    ("retx", 6, lambda node: format_pct(node.tcp.retrans_pct)),
    ("rto/s", 6, lambda node: _per_s(node.tcp.timeouts_per_s)),
    ("socks", 6, lambda node: _count(node.sockets)),
    ("clock", 7, clock_words),
    ("cpu", 6, lambda node: format_pct(node.cost.cpu_pct)),
    ("B/s", 6, lambda node: format_bytes(node.cost.rx_bytes_per_s)),
    ("missed", 7, lambda node: _count(node.missed)),
    ("late", 6, lambda node: _count(node.late)),
    ("unread", 7, _unread),
    ("drops", 6, lambda node: _count(node.softnet_drops)),
)


class NodesPanel(Canvas):
    def draw(self, scene: Scene, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette) -> None:
        inner = width - (2 if framed else 0)
        watched = CELL if scene.view.mesh.watches else 0
        body = [_headings(inner, watched, glyphs, palette)]
        for shown in _in_order(scene, height - (3 if framed else 2)):
            body.append(_node_line(shown, inner, watched, glyphs, palette))
        title = Line().add("Nodes", palette.title)
        self.show(panel(title, body, width, height, framed, glyphs, palette))


def _in_order(scene: Scene, rows: int) -> list[ShownNode]:
    """As configured; where not all fit, those in trouble first."""
    if len(scene.nodes) <= rows:
        return list(scene.nodes)
    return sorted(scene.nodes, key=lambda shown: shown.usable)[: max(rows, 0)]


def _fitting(width: int, watched: int) -> list[tuple[str, int, Callable[[NodeView], str]]]:
    chosen, used = [], 3 + _NAME + _STATE + watched
    for column in _COLUMNS:
        used += column[1]
        if used > width - 1:
            break
        chosen.append(column)
    return chosen


def _headings(width: int, watched: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap(3).add(glyphs.fit("node", _NAME) + glyphs.fit("state", _STATE), palette.dim)
    line.add(glyphs.fit("watch" if watched else "", watched, ">"), palette.dim)
    for name, size, _ in _fitting(width, watched):
        line.add(glyphs.fit(name, size, ">"), palette.dim)
    return line


def _node_line(shown: ShownNode, width: int, watched: int, glyphs: Glyphs, palette: Palette) -> Line:
    node = shown.node
    style = palette.node_states[shown.state]
    line = Line().gap().add(f"{glyphs.states[shown.state]} ", style)
    name = glyphs.fit(node.name, _NAME - 1).rstrip()
    line.add(name, palette.bold)
    left = 3 + _NAME - 2 - line.width
    if left >= 2 and node.label and node.label != node.name:
        line.gap().add(glyphs.fit(node.label, left).rstrip(), palette.dim)
    line.to(3 + _NAME)
    if not shown.usable:
        return _trouble(line, shown, width, glyphs, palette)
    line.add(glyphs.fit("up", _STATE), palette.dim)
    if watched:
        line.join(watch_cell(shown, glyphs, palette))
    for _, size, read in _fitting(width, watched):
        text = read(node)
        line.add(glyphs.fit(text, size, ">"), palette.dim if text == UNKNOWN else palette.text)
    return line


def _trouble(line: Line, shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """In place of figures: why, and what to do."""
    node = shown.node
    age = f" {age_words(shown.age_s)}" if shown.age_s is not None and shown.state != "connecting" else ""
    line.add(glyphs.fit(NODE_WORDS[shown.state] + age, _STATE + 1), palette.node_states[shown.state])
    left = width - line.width - 1
    reason = glyphs.text(node.reason or "")
    shown_reason = glyphs.cut(reason, left)
    line.add(shown_reason, palette.text)
    left = width - line.width - 4
    if node.cure and left > 12:
        line.add(glyphs.text(" → "), palette.dim).add(glyphs.fit(node.cure, left).rstrip(), palette.key)
    return line
