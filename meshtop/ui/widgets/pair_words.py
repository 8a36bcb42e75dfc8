"""What to make of a pair: the finding with the next step, and what the kernels of both ends say."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.engine.snapshot import FindingView, NodeView
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import NODE_WORDS, RANK, Scene, ShownNode, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.findings import where
from meshtop.ui.widgets.header import clock_text
from meshtop.ui.widgets.link_panel import LOOKS_LIKE, Pair, findings_of, pair_links
from meshtop.units import format_figure, format_ms, format_pct


class FindingPanel(Canvas):
    def draw(self, scene: Scene, pair: Pair | None, width: int, height: int, glyphs: Glyphs, palette: Palette) -> None:
        findings = findings_of(scene, pair) if pair is not None else []
        title = Line().add("Finding" if len(findings) < 2 else f"{len(findings)} findings", palette.title)
        others = Line()
        body: list[Line] = []
        if pair is not None and findings:
            body = _finding_lines(scene, findings[0], pair, width, height - 1, glyphs, palette)
            others = _others(findings[1:], palette)
        elif pair is not None:
            title = Line().add("No finding", palette.title)
            body = _reasons(scene, pair, width, glyphs, palette)
        body = body[: max(height - 1, 0)]
        self.show(panel(title, body, width, height, False, glyphs, palette, right=others))


def _others(findings: Sequence[FindingView], palette: Palette) -> Line:
    """Those that are not told here, by their codes."""
    codes = list(dict.fromkeys(finding.code for finding in findings))
    return Line().add(f"also {', '.join(codes)}", palette.dim) if codes else Line()


def _finding_lines(
    scene: Scene, finding: FindingView, pair: Pair, width: int, rows: int, glyphs: Glyphs, palette: Palette
) -> list[Line]:
    state = LOOKS_LIKE[finding.severity]
    head = Line().gap().add(f"{glyphs.states[state]} {finding.code} ", palette.states_bold[state])
    tail = f"  {finding.confidence:.0%} sure, since {clock_text(utc(finding.since))}"
    about = finding.path or "" if (finding.src, finding.dst) == pair else where(finding)
    sentence = finding.summary.partition(": ")[2] or finding.summary
    text = f"{about}: {sentence}" if about else sentence
    room = max(width - head.width - len(tail) - 1, 10)
    head.add(glyphs.fit(text, room).rstrip(), palette.bold)
    if head.width + len(tail) < width:
        head.add(tail, palette.dim)
    lines = [head]
    for step in finding.next[:1]:
        line = Line().gap(3).add(glyphs.text("→ "), palette.dim)
        lines.append(line.add(glyphs.fit(step, max(width - line.width - 1, 0)).rstrip(), palette.key))
    parts = [f"{one.what} {format_figure(one.value)} ({one.expected})" for one in finding.evidence]
    for told in glyphs.wrap(" · ".join(parts), max(width - 4, 8), max(rows - len(lines), 0)):
        lines.append(Line().gap(3).add(told, palette.text))
    return lines


def _reasons(scene: Scene, pair: Pair, width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """Why the paths are in their states, the worst first; that nothing stands out is said, too."""
    lines = []
    for shown in sorted(pair_links(scene, pair), key=lambda one: RANK[one.state]):
        reason = f"last sample {age_words(shown.age_s)} ago" if shown.stale else shown.link.reason
        if reason:
            text = glyphs.fit(f"{glyphs.states[shown.state]} {shown.link.path}: {reason}", max(width - 2, 0)).rstrip()
            lines.append(Line().gap().add(text, palette.states[shown.state]))
    return lines or [Line().gap().add("nothing stands out on this pair", palette.dim)]


class EndsPanel(Canvas):
    """Both ends of a pair, a line each: what the kernel counts for the whole node."""

    def draw(self, scene: Scene, pair: Pair | None, width: int, height: int, glyphs: Glyphs, palette: Palette) -> None:
        body = []
        for name in pair or ():
            if name in scene.node:
                body.append(end_line(scene.node[name], width, glyphs, palette))
        title = Line().add("Kernels", palette.title).add(glyphs.text(" · of the whole node, 10 s"), palette.dim)
        self.show(panel(title, body, width, height, False, glyphs, palette))


def end_line(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    node = shown.node
    style = palette.node_states[shown.state]
    line = Line().gap().add(f"{glyphs.states[shown.state]} ", style)
    line.add(glyphs.fit(node.name, 10), palette.bold).gap()
    if not shown.usable:
        line.add(f"{NODE_WORDS[shown.state]} ", style)
        return line.add(glyphs.fit(node.reason or "", max(width - line.width - 1, 0)).rstrip(), palette.text)
    for name, text in kernel_figures(node):
        if line.width + len(name) + len(text) + 3 > width - 1:
            break
        line.add(f"{glyphs.text(name)} ", palette.dim).add(f"{glyphs.text(text)}  ", palette.text)
    return line


def kernel_figures(node: NodeView) -> list[tuple[str, str]]:
    """Name and text, what matters most first; what the node cannot tell is left out. Retransmissions by type are
    segments a second."""
    tcp = node.tcp
    figures = [("retx", format_pct(tcp.retrans_pct) if tcp.retrans_pct is not None else None)]
    figures += [
        (name, None if rate is None else f"{rate:.1f}/s")
        for name, rate in (
            ("all", tcp.retrans_per_s), ("fast", tcp.fast_per_s), ("after RTO", tcp.slow_start_per_s),
            ("tail probe", tcp.tlp_per_s), ("SYN", tcp.syn_per_s), ("needless", tcp.dsack_per_s),
            ("undone", tcp.spurious_per_s), ("RTOs", tcp.timeouts_per_s),
        )
    ]  # fmt: skip
    figures.append(("softnet drops", None if node.softnet_drops is None else str(node.softnet_drops)))
    figures.append(("ssh", None if node.ssh_rtt_ms is None else f"{format_ms(node.ssh_rtt_ms)} ms"))
    return [(name, text) for name, text in figures if text is not None]
