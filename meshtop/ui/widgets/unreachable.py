"""What stands in place of the matrix while no node gives anything: every node's reason, and what to do about it."""

from __future__ import annotations

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import NODE_WORDS, Scene, ShownNode
from meshtop.ui.theme import Palette

_NARROW = 60  # cells; below, a reason stands under its node, not beside it


def unreachable_lines(scene: Scene, width: int, height: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """As much of it as fits: blank lines go first, then the cures; of more nodes than lines the last are counted."""
    waiting = all(shown.state == "connecting" and shown.node.cure is None for shown in scene.nodes)
    headline = f"Connecting to {len(scene.nodes)} nodes" if waiting else "No node can be reached"
    style = palette.bold if waiting else palette.states_bold["down"]
    head = [Line().gap(2).add(glyphs.fit(headline, width - 2).rstrip(), style)]
    hope = glyphs.fit("meshtop goes on trying by itself.", width - 2).rstrip()
    tail = [] if waiting else [Line().gap(2).add(hope, palette.dim)]
    for cures, space in ((True, True), (True, False), (False, False)):
        blank = [Line()] if space else []
        blocks = [_node_block(shown, scene, width, cures, glyphs, palette) for shown in scene.nodes]
        lines = [*blank, *head, *(line for block in blocks for line in [*blank, *block]), *blank, *tail]
        if len(lines) <= height:
            return lines
    room = max(height - len(head) - 1, 0)
    more = len(scene.nodes) - room
    lines = [*head, *(_short(shown, width, glyphs, palette) for shown in scene.nodes[: room if more > 0 else room + 1])]
    return [*lines, Line().gap(2).add(f"and {more} more", palette.dim)] if more > 0 else lines


def _node_block(
    shown: ShownNode, scene: Scene, width: int, cures: bool, glyphs: Glyphs, palette: Palette
) -> list[Line]:
    node = shown.node
    names = max(len(other.node.name) for other in scene.nodes)
    line = Line().gap(2).add(f"{glyphs.states[shown.state]} ", palette.node_states[shown.state])
    line.add(glyphs.fit(node.name, min(names, max(8, width // 5))), palette.bold).gap()
    line.add(glyphs.fit(NODE_WORDS[shown.state], 11), palette.node_states[shown.state])
    beside = width >= _NARROW
    indent = line.width if beside else 4
    lines = [line]
    reason = node.reason if node.reason != shown.state else None  # "connecting: connecting" says nothing more
    for text in glyphs.wrap(reason or "", width - indent - 1, 2):
        if line.width > indent or not beside:
            line = Line()
            lines.append(line)
        line.to(indent).add(text, palette.text)
    for place, text in enumerate(glyphs.wrap(node.cure or "", width - indent - 3, 2) if cures else []):
        lines.append(Line().to(indent).add((glyphs.text("→ ") if place == 0 else "  ") + text, palette.key))
    return lines


def _short(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap(2).add(f"{glyphs.states[shown.state]} ", palette.node_states[shown.state])
    line.add(glyphs.fit(shown.node.name, 8).rstrip(), palette.bold).gap()
    reason = shown.node.reason or NODE_WORDS[shown.state]
    return line.add(glyphs.fit(reason, max(width - line.width - 1, 0)).rstrip(), palette.text)
