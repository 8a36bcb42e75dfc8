"""The selected pair: every figure of every path side by side, what its state rests on, and how its two ends are.

"Is it the tunnel or the Internet?" is answered by reading one line across.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from meshtop.engine.snapshot import FindingView, LinkView
from meshtop.model import LinkKey, NodeName, Thresholds
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.metrics import (
    Figure,
    Gravity,
    connecting,
    crawling,
    dsack,
    format_ratio,
    inflation,
    longest_stall,
    loss,
    loss_full,
    rate,
    retx,
    retx_per_s,
    rtt,
    rtt_full,
    stall,
    stalled_share,
)
from meshtop.ui.scene import NODE_WORDS, RANK, WORDS, Scene, ShownLink, ShownNode, ShownState, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.watch_lines import watch_line
from meshtop.units import UNKNOWN, format_ms

Pair = tuple[NodeName, NodeName]
_Read = Callable[[LinkView, Thresholds], Figure]
_Row = tuple[str, str | _Read, _Read]
_Told = Literal["all", "reasons", "brief"]
_TOLD: tuple[_Told, ...] = ("all", "reasons", "brief")
_LABEL = 13
_COLUMN = 12
# The state that a finding of this severity looks like; the gravest first.
LOOKS_LIKE: dict[str, ShownState] = {"critical": "stalled", "warning": "degraded", "info": "idle"}


def _plain(read: Callable[[LinkView], str]) -> Callable[[LinkView, Thresholds], Figure]:
    def figure(link: LinkView, thresholds: Thresholds) -> Figure:
        text = read(link)
        return Figure(text, Gravity.UNKNOWN if text == UNKNOWN else Gravity.FINE)

    return figure


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)


def _bloat(link: LinkView) -> str:
    if link.srtt_ms is None or not link.minrtt_ms:
        return UNKNOWN
    return format_ratio(link.srtt_ms / link.minrtt_ms)


# Name, unit or second figure, figure. A blank line parts ICMP from TCP.
_ROWS: tuple[_Row | None, ...] = (
    ("rtt, ÷base", inflation, rtt),
    ("baseline", "ms", _plain(lambda link: format_ms(link.rtt_baseline_ms))),
    ("rtt 1200 B", "ms", rtt_full),
    ("jitter pdv", "ms", _plain(lambda link: format_ms(link.pdv_ms))),
    ("loss, 1200 B", loss_full, loss),
    None,
    ("rate", "b/s", rate),
    ("retrans, /s", retx_per_s, retx),
    ("needless", "", dsack),
    ("srtt, ÷min", _plain(_bloat), _plain(lambda link: format_ms(link.srtt_ms))),
    ("flows, stall", stall, _plain(lambda link: _count(link.flows))),
    ("long, share", stalled_share, longest_stall),
    ("crawl, syn", connecting, crawling),
    ("pmtu", "B", _plain(lambda link: _count(link.pmtu))),
)
_BRIEF: tuple[tuple[str, Callable[[LinkView, Thresholds], Figure]], ...] = (
    ("rtt", rtt), ("full", rtt_full), ("infl", inflation), ("loss", loss),
    ("full", loss_full), ("rate", rate), ("retx", retx), ("dsack", dsack),
    ("flows", _plain(lambda link: _count(link.flows))), ("stall", stall),
)  # fmt: skip


class LinkPanel(Canvas):
    def draw(
        self, scene: Scene, pair: Pair | None, width: int, height: int, framed: bool, tall: bool, glyphs: Glyphs,
        palette: Palette,
    ) -> None:  # fmt: skip
        inner = width - (2 if framed else 0)
        rows = height - (2 if framed else 1)
        title = Line().add("Link", palette.title)
        body: list[Line] = []
        if pair is not None:
            title = _title(scene, pair, glyphs, palette, inner - 4)
            body = (_tall if tall else _brief)(scene, pair, inner, rows, glyphs, palette)
        self.show(panel(title, body, width, height, framed, glyphs, palette))


def pair_links(scene: Scene, pair: Pair) -> list[ShownLink]:
    """The pair on every path, in the order of the configuration."""
    keys = [LinkKey(pair[0], pair[1], path.name) for path in scene.paths]
    return [scene.links[key] for key in keys if key in scene.links]


def findings_of(scene: Scene, pair: Pair) -> list[FindingView]:
    """The open ones of the pair either way or of one of its nodes: of this direction before those of the other and of
    the nodes, the most important first as the engine has them."""
    open_ones = {finding.id for finding in scene.view.snapshot.findings}
    found = [
        finding
        for finding in scene.view.findings
        if finding.id in open_ones
        and ({finding.src, finding.dst} == set(pair) or (finding.node is not None and finding.node in pair))
    ]
    return sorted(found, key=lambda one: ((one.src, one.dst) != pair, tuple(LOOKS_LIKE).index(one.severity)))


def _title(scene: Scene, pair: Pair, glyphs: Glyphs, palette: Palette, width: int) -> Line:
    src, dst = pair
    line = Line().add(glyphs.fit(f"{src} → {dst}", min(width, 24)).rstrip(), palette.title)
    labels = [scene.node[name].node.label for name in pair if name in scene.node]
    if all(labels) and len(labels) == 2 and width - line.width > 8:
        line.gap(2).add(glyphs.fit(f"{labels[0]} → {labels[1]}", width - line.width - 2).rstrip(), palette.dim)
    return line


def _state_text(shown: ShownLink, glyphs: Glyphs) -> str:
    text = f"{glyphs.states[shown.state]} {WORDS[shown.state]}"
    return f"{text} {age_words(shown.age_s)}" if shown.stale else text


def _reason(shown: ShownLink) -> str:
    if shown.stale:
        return f"was {WORDS[shown.link.state]}; last sample {age_words(shown.age_s)} ago"
    return shown.link.reason or ""


def _tall(scene: Scene, pair: Pair, width: int, rows: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    links = pair_links(scene, pair)
    shown_links = links[: max(1, (width - _LABEL) // _COLUMN)]
    names = Line().gap().add(glyphs.fit("", _LABEL - 1), palette.dim)
    states = Line().gap().add(glyphs.fit("state", _LABEL - 1), palette.dim)
    for shown in shown_links:
        path = shown.link.path
        names.add(glyphs.fit(path, _COLUMN, ">"), palette.bold)
        states.add(glyphs.fit(_state_text(shown, glyphs), _COLUMN, ">"), palette.states_bold[shown.state])
    lines = [names, states]
    figures = [_figure_row(row, shown_links, scene, glyphs, palette) for row in _ROWS]
    least = len(lines) + sum(bool(line.width) for line in figures)
    words: list[Line] = []
    for told in _TOLD:  # the most that leaves all figures in sight
        words = _words(scene, pair, links, width, told, glyphs, palette)
        if least + len(words) <= rows:
            break
    room = rows - len(lines) - len(words)
    if room < len(figures):  # first the blank line goes, then figures from the end
        figures = [line for line in figures if line.width][: max(room, 0)]
    return [*lines, *figures, *words]


def _figure_row(row: _Row | None, links: Sequence[ShownLink], scene: Scene, glyphs: Glyphs, palette: Palette) -> Line:
    if row is None:
        return Line()
    name, unit, read = row
    line = Line().gap().add(glyphs.fit(glyphs.text(name), _LABEL - 1), palette.dim)
    for shown in links:
        figures = [read(shown.link, scene.view.mesh.thresholds)]
        if not isinstance(unit, str):
            figures.append(unit(shown.link, scene.view.mesh.thresholds))
        for figure, size in zip(figures, (_COLUMN - 4,) if len(figures) == 1 else (_COLUMN - 6, 6), strict=True):
            style = palette.states["stale"] if shown.stale else palette.gravity[figure.gravity]
            line.add(glyphs.fit(figure.text, size, ">"), style)
        if isinstance(unit, str):
            line.add(glyphs.fit(f" {unit}" if figures[0].text != UNKNOWN else "", 4), palette.dim)
    return line


def _words(
    scene: Scene, pair: Pair, links: Sequence[ShownLink], width: int, told: _Told, glyphs: Glyphs, palette: Palette
) -> list[Line]:
    """Reasons of states, then both ends. ``reasons``: no end that is well; ``brief``: a line a reason, too."""
    lines: list[Line] = []
    gap = [Line()] if told == "all" else []
    for shown in sorted(links, key=lambda shown: RANK[shown.state]):
        if reason := _reason(shown):
            lines += gap
            lead = f"{glyphs.states[shown.state]} {shown.link.path}: "
            for place, text in enumerate(glyphs.wrap(lead + reason, width - 4, 1 if told == "brief" else 3)):
                lines.append(Line().gap(1 if place == 0 else 3).add(text, palette.states[shown.state]))
    lines += gap
    for name in pair:
        if name in scene.node and (told == "all" or not scene.node[name].usable):
            lines.extend(node_words(scene.node[name], width, glyphs, palette))
            watch = watch_line(scene.node[name], width - 4, glyphs, palette) if told == "all" else None
            lines += [Line().gap(3).join(watch)] if watch is not None else []
    return lines


def node_words(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """One end of a link: its state, and for one in trouble why and what to do."""
    node = shown.node
    line = Line().gap().add(f"{glyphs.states[shown.state]} ", palette.node_states[shown.state])
    line.add(glyphs.fit(node.name, 12).rstrip(), palette.bold)
    line.gap().add(NODE_WORDS[shown.state], palette.node_states[shown.state])
    if shown.usable:
        line.add(f"  ssh {format_ms(node.ssh_rtt_ms)} ms" if node.ssh_rtt_ms is not None else "", palette.dim)
        if node.tcp.retrans_pct is not None:
            line.add(f"  retx {node.tcp.retrans_pct:.1f}%", palette.dim)
    lines = [line]
    for text in glyphs.wrap(node.reason or "", width - 4, 2):
        lines.append(Line().gap(3).add(text, palette.text))
    for place, text in enumerate(glyphs.wrap(node.cure or "", width - 6, 2)):
        lines.append(Line().gap(3).add((glyphs.text("→ ") if place == 0 else "  ") + text, palette.key))
    for problem in node.problems[:2]:
        lines.append(Line().gap(3).add(glyphs.fit(problem, width - 4).rstrip(), palette.states["degraded"]))
    return lines


def _brief(scene: Scene, pair: Pair, width: int, rows: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """A line of figures for each path; reasons and ends below as far as there is room."""
    links = pair_links(scene, pair)
    column = min(8, max(6, (width - 22) // len(_BRIEF)))
    fitting = _BRIEF[: max(1, (width - 22) // column)]
    heads = Line().gap().add(glyphs.fit("", 21), palette.dim)
    for name, _ in fitting:
        heads.add(glyphs.fit(name, column, ">"), palette.dim)
    lines = [heads]
    for shown in links:
        path = shown.link.path
        line = Line().gap().add(glyphs.fit(path, 8), palette.bold).gap()
        line.add(glyphs.fit(_state_text(shown, glyphs), 12), palette.states_bold[shown.state])
        for _, read in fitting:
            figure = read(shown.link, scene.view.mesh.thresholds)
            style = palette.states["stale"] if shown.stale else palette.gravity[figure.gravity]
            line.add(glyphs.fit(figure.text, column, ">"), style)
        lines.append(line)
    verdict = [] if scene.source_lost else _verdict(findings_of(scene, pair), width, glyphs, palette)
    return [*lines, *verdict, *_words(scene, pair, links, width, "brief", glyphs, palette)][:rows]


def _verdict(findings: Sequence[FindingView], width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """What is wrong in one line, for a screen without a list of what needs attention."""
    grave = [finding for finding in findings if finding.severity != "info"]
    if not grave:
        return []
    style = palette.states_bold[LOOKS_LIKE[grave[0].severity]]
    line = Line().gap().add(f"{glyphs.states[LOOKS_LIKE[grave[0].severity]]} ", style)
    for place, finding in enumerate(grave):
        text = f"{f'{finding.node}: ' if finding.node else ''}{finding.code} {finding.confidence:.0%}"
        if place and line.width + 3 + len(text) > width - 1:
            break
        if place:
            line.add(" · ", palette.dim)
        line.add(glyphs.cut(text, width - line.width - 1), style)
    return [line]
