"""What stands in place of the matrix while no node gives anything: every node's reason, and what to do about it."""

from __future__ import annotations

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette


def unreachable_lines(scene: Scene, width: int, height: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    waiting = all(shown.node.state == "connecting" and shown.node.reason is None for shown in scene.nodes)
    headline = f"Connecting to {len(scene.nodes)} nodes" if waiting else "No node can be reached"
    style = palette.bold if waiting else palette.states_bold["down"]
    lines = [Line(), Line().gap(2).add(glyphs.fit(headline, width - 2).rstrip(), style)]
    roomy = height >= 4 + 3 * len(scene.nodes)
    name_width = max((len(shown.node.name) for shown in scene.nodes), default=1)
    name_width = min(name_width, max(8, width // 5))
    for shown in scene.nodes:
        node = shown.node
        if roomy:
            lines.append(Line())
        line = Line().gap(2).add(f"{glyphs.states[shown.state]} ", palette.node_states[shown.state])
        line.add(glyphs.fit(node.name, name_width + 1), palette.bold)
        line.add(glyphs.fit(shown.state, 11), palette.node_states[shown.state])
        indent = line.width
        for place, text in enumerate(glyphs.wrap(node.reason or "", width - indent - 1, 2)):
            if place:
                lines.append(line)
                line = Line().to(indent)
            line.add(text, palette.text)
        lines.append(line)
        if node.cure:
            for place, text in enumerate(glyphs.wrap(node.cure, width - indent - 3, 2)):
                lead = glyphs.text("→ ") if place == 0 else "  "
                lines.append(Line().to(indent).add(lead + text, palette.key))
    if not waiting:
        lines.append(Line())
        hope = glyphs.fit("meshtop goes on trying by itself.", width - 2).rstrip()
        lines.append(Line().gap(2).add(hope, palette.dim))
    return lines
