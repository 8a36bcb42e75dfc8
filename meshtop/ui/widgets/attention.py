"""What needs looking at, worst first: whole rows and columns in trouble as one entry, then single links."""

from __future__ import annotations

from dataclasses import dataclass

from meshtop.model import NodeName, PathName
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.metrics import format_ratio
from meshtop.ui.scene import RANK, TROUBLE, WORDS, Scene, ShownLink, ShownState
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.units import format_ms, format_pct, format_rate

# Fewer than three say little about what they share.
_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class Concern:
    """``src`` or ``dst`` None stands for every node."""

    state: ShownState
    src: NodeName | None
    dst: NodeName | None
    path: PathName
    words: str


class AttentionPanel(Canvas):
    def draw(self, scene: Scene, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette) -> None:
        inner = width - (2 if framed else 0)
        rows = height - (2 if framed else 1)
        found = concerns(scene)
        two_lines = 2 * len(found) <= rows
        body = [line for concern in found[:rows] for line in _lines(concern, inner, two_lines, glyphs, palette)]
        if len(found) > rows:
            body[-1] = Line().gap().add(f"and {len(found) - rows + 1} more", palette.dim)
        if not found:
            body = [Line().gap().add(_calm(scene), palette.dim)]
        title = Line().add("Attention", palette.title)
        self.show(panel(title, body, width, height, framed, glyphs, palette))


def _calm(scene: Scene) -> str:
    judged = sum(shown.state in ("ok", "idle") for shown in scene.links.values())
    if judged == len(scene.links) and judged:
        return "all links are well"
    return f"{judged} of {len(scene.links)} links can be judged: well" if judged else "no link can be judged"


def concerns(scene: Scene) -> list[Concern]:
    """Links in trouble, gathered where a node's whole row or column on one path is."""
    sick = [shown for shown in scene.worst_first if shown.state in TROUBLE]
    found: list[Concern] = []
    gathered: set[int] = set()
    for path in scene.paths:
        for node in scene.nodes:
            for sends in (False, True):
                name = node.node.name
                members = [shown for shown in sick if shown.link.path == path.name and _end(shown, sends) == name]
                if len(members) < max(_TOGETHER, _measured(scene, path.name, name, sends)):
                    continue
                worst = members[0].state
                words = f"{'sends badly' if sends else 'is reached badly'}: {len(members)} links"
                found.append(Concern(worst, name if sends else None, None if sends else name, path.name, words))
                gathered.update(id(shown) for shown in members)
    for shown in sick:
        if id(shown) not in gathered:
            link = shown.link
            found.append(Concern(shown.state, link.src, link.dst, link.path, brief_figures(shown)))
    return sorted(found, key=lambda concern: RANK[concern.state])


def _end(shown: ShownLink, sends: bool) -> NodeName:
    return shown.link.src if sends else shown.link.dst


def _measured(scene: Scene, path: PathName, name: NodeName, sends: bool) -> int:
    """How many links of that row or column can be judged at all."""
    return sum(
        shown.link.path == path and _end(shown, sends) == name and shown.state not in ("no-data", "stale")
        for shown in scene.links.values()
    )


def brief_figures(shown: ShownLink) -> str:
    """The figures that put a link into its state."""
    link = shown.link
    parts = []
    if link.retrans_pct is not None and link.retrans_pct >= 0.05:
        parts.append(f"{format_pct(link.retrans_pct)} retx")
    if link.loss_pct or link.loss_full_pct:
        parts.append(f"{format_pct(max(link.loss_pct or 0, link.loss_full_pct or 0))} loss")
    if link.inflation is not None and link.inflation >= 1.5:
        parts.append(f"{format_ms(link.rtt_ms)}ms {format_ratio(link.inflation)}")
    if link.tx_bps:
        parts.append(f"{format_rate(link.tx_bps)}b/s")
    return " ".join(parts)


def _lines(concern: Concern, width: int, two_lines: bool, glyphs: Glyphs, palette: Palette) -> list[Line]:
    style = palette.states_bold[concern.state]
    line = Line().gap().add(f"{glyphs.states[concern.state]} ", style)
    line.add(glyphs.fit(f"{concern.src or '*'}→{concern.dst or '*'}", 9), palette.bold)
    line.add(glyphs.fit(WORDS[concern.state], 9), style)
    lines = [line, Line().gap(3)] if two_lines else [line]
    if two_lines:
        line.add(glyphs.fit(concern.path, max(width - line.width - 1, 0)).rstrip(), palette.dim)
    lines[-1].add(glyphs.fit(concern.words, max(width - lines[-1].width - 1, 0)).rstrip(), palette.text)
    return lines
