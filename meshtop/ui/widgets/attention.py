"""What needs looking at, worst first: open findings, whole rows and columns in trouble as one entry, then single links
of which no finding speaks. Below it, dimly, what makes flows slow that is no trouble of a link."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from rich.style import Style
from textual import events

from meshtop.engine.snapshot import FindingView
from meshtop.model import NodeName, PathName
from meshtop.ui.draw import Line
from meshtop.ui.filtering import matches, told
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.messages import LinkPicked
from meshtop.ui.metrics import format_ratio
from meshtop.ui.scene import NODE_WORDS, RANK, TROUBLE, WORDS, Scene, ShownLink, ShownNode, ShownState, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.units import format_ms, format_pct, format_rate

RECOVERED_S = 60.0  # so long it is worth a line that something is over
# Fewer than three say little about what they share.
_TOGETHER = 3
_MOST = 0.7  # of a row or column; the other one may have been lucky
_CODE = 17  # cells of the longest code of a finding
_WHO = 17  # cells that a pair takes at most
_PATH = 14
_SENTENCE = 4  # lines in which the worst is told
_NOTED_AT = 0.7  # less sure, what only informs is for the diagnosis alone
_NOTES = 3


@dataclass(frozen=True, slots=True)
class Concern:
    """Links in one state on one path, or on several (``vpn, public``); ``src`` or ``dst`` None stands for every
    node."""

    state: ShownState
    src: NodeName | None
    dst: NodeName | None
    path: str
    words: str
    reason: str = ""  # in a sentence


class Recovery:
    """Findings that are over, for as long as it is news. What went with the source, or lies in another time, is not
    recovered: nobody measured that."""

    def __init__(self) -> None:
        self._open: dict[str, FindingView] = {}
        self._over: dict[str, tuple[FindingView, float]] = {}
        self._seen_s = float("-inf")

    def of(self, scene: Scene) -> list[tuple[FindingView, float]]:
        """What recovered lately and seconds ago, the newest first."""
        now_s = scene.view.at
        if scene.source_lost:
            return []
        if scene.view.past or now_s < self._seen_s:
            self._open, self._over = {}, {}
        self._seen_s = now_s
        current = {one.id: one for one in said(scene)}
        for identity, finding in self._open.items():
            if identity not in current and not _unheard(scene, finding):
                self._over[identity] = (finding, now_s)
        self._over = {
            identity: (finding, at)
            for identity, (finding, at) in self._over.items()
            if identity not in current and now_s - at <= RECOVERED_S
        }
        self._open = current
        return sorted(((one, now_s - at) for one, at in self._over.values()), key=lambda pair: pair[1])


def _unheard(scene: Scene, finding: FindingView) -> bool:
    """Whether a node that it speaks of is not heard now: then it is not known to be over."""
    names = {finding.src, finding.dst, finding.node} - {None}
    return any((shown := scene.node.get(name)) is not None and not shown.usable for name in names if name)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What it is about in one line, and in a sentence. ``brief``: what the line ends with where that has no room."""

    head: Line
    words: str
    brief: str = ""
    pair: tuple[NodeName, NodeName] | None = None


class AttentionPanel(Canvas):
    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._recovery = Recovery()
        self._rows: list[_Entry | None] = []  # whose each line is

    def draw(
        self, scene: Scene, words: str, key: str, width: int, height: int, framed: bool, glyphs: Glyphs,
        palette: Palette,
    ) -> None:  # fmt: skip
        """``words`` filter it; ``key`` leads to the diagnosis."""
        inner = width - (2 if framed else 0)
        rows = height - (2 if framed else 1)
        entries = _Entries(scene, words, inner, glyphs, palette)
        body, self._rows = _spread(entries.all(), inner, rows, glyphs, palette)
        for finding, ago_s in self._recovery.of(scene):
            if len(body) < rows and not words:
                who = max(scene.pair_width(_WHO), 8)
                body.append(_recovered_line(finding, ago_s, who, inner, glyphs, palette))
        notes = entries.notes()
        if not body and words:
            body = [] if notes else [Line().gap().add("nothing has these words", palette.dim)]
        elif not body:
            body = [Line().gap().add(text, palette.dim) for text in glyphs.wrap(_calm(scene), inner - 2, rows)]
        self._rows += [None] * (len(body) - len(self._rows))
        for note in notes[: max(rows - len(body), 0)]:
            body.append(note.head)
            self._rows.append(note)
        title = told(Line().add("Attention", palette.title), words, glyphs, palette, max(inner - 30, 1))
        hint = Line().add(glyphs.text(key), palette.key).add(" diagnosis", palette.dim)
        self.show(panel(title, body, width, height, framed, glyphs, palette, right=hint))

    def on_click(self, event: events.Click) -> None:
        row = event.y - 1
        entry = self._rows[row] if 0 <= row < len(self._rows) else None
        if entry is not None and entry.pair is not None:
            self.post_message(LinkPicked(*entry.pair, enter=event.chain == 2))


def _spread(
    entries: list[_Entry], width: int, rows: int, glyphs: Glyphs, palette: Palette
) -> tuple[list[Line], list[_Entry | None]]:
    """A line for each, as far as there is room; what is left goes to sentences, the worst one's first. And whose each
    line is."""
    body: list[Line] = []
    whose: list[_Entry | None] = []
    shown = entries if len(entries) <= rows else entries[: rows - 1]
    spare = rows - len(shown) - (len(entries) > len(shown))
    for place, entry in enumerate(shown):
        told = glyphs.wrap(entry.words, max(width - 4, 8), min(spare, _SENTENCE if place == 0 else 2))
        spare -= len(told)
        body.append(entry.head)
        body += [Line().gap(3).add(text, palette.text) for text in told]
        whose += [entry] * (1 + len(told))
        if not told and entry.brief:
            room = max(width - entry.head.width - 2, 0)
            entry.head.gap().add(glyphs.fit(entry.brief, room).rstrip(), palette.text)
    if len(entries) > len(shown):
        body.append(Line().gap().add(f"and {len(entries) - len(shown)} more", palette.dim))
    return body, whose


@dataclass(frozen=True)
class _Entries:
    """Findings, then nodes and links of which no finding speaks."""

    scene: Scene
    filter: str
    width: int
    glyphs: Glyphs
    palette: Palette

    def all(self) -> list[_Entry]:
        scene, words = self.scene, self.filter
        findings = self._matching(said(scene))
        nodes = [
            shown for shown in scene.nodes if not shown.usable and not _explained(findings, {shown.node.name}, None)
        ]
        links = [c for c in concerns(scene) if not _explained(findings, {c.src, c.dst}, (c.src, c.dst, c.path))]
        links = merged(links)
        return [
            *map(self._finding, findings),
            *(
                self._node(shown)
                for shown in nodes
                if matches(words, "node", shown.node.name, shown.state, shown.node.reason)
            ),
            *(
                self._link(one)
                for one in links
                if matches(words, one.src, one.dst, one.path, WORDS[one.state], one.words)
            ),
        ]

    def notes(self) -> list[_Entry]:
        """What is no trouble of a link, but makes its flows slow, in one line each."""
        found = self._matching(informing(self.scene))
        return [self._note(one) for one in found if one.confidence >= _NOTED_AT][:_NOTES]

    def _matching(self, findings: Iterable[FindingView]) -> tuple[FindingView, ...]:
        return tuple(one for one in findings if matches(self.filter, one.src, one.dst, one.path, one.node, one.summary))

    def _head(self, sign: str, about: str, style: Style) -> Line:
        who = max(self.scene.pair_width(_WHO), 8)
        return Line().gap().add(f"{sign} ", style).add(self.glyphs.fit(about, who), self.palette.bold).gap()

    def _finding(self, finding: FindingView) -> _Entry:
        glyphs, palette = self.glyphs, self.palette
        state: ShownState = "stalled" if finding.severity == "critical" else "degraded"
        style = palette.states_bold[state]
        line = self._head(glyphs.states[state], finding.node or f"{finding.src}→{finding.dst}", style)
        line.add(glyphs.fit(finding.code, _CODE).rstrip(), style).gap()
        line.add(glyphs.fit(f"{100 * finding.confidence:.0f}%", max(self.width - line.width - 1, 0)).rstrip(),
                 palette.dim)  # fmt: skip
        age = age_words(max(self.scene.now_s - utc(finding.since), 0.0))
        if line.width + len(age) + 2 <= self.width:
            line.to(self.width - 1 - len(age)).add(age, palette.dim)
        return _Entry(line, finding.summary.partition(": ")[2] or finding.summary, pair=_pair(finding))

    def _note(self, finding: FindingView) -> _Entry:
        glyphs, palette = self.glyphs, self.palette
        who = max(self.scene.pair_width(_WHO), 8)
        about = finding.node or f"{finding.src}→{finding.dst}"
        line = Line().gap().add(f"{glyphs.states['idle']} {glyphs.fit(about, who)}", palette.dim).gap()
        words = f"{finding.code} {100 * finding.confidence:.0f}%"
        line.add(glyphs.fit(words, max(self.width - line.width - 1, 0)).rstrip(), palette.dim)
        return _Entry(line, "", pair=_pair(finding))

    def _node(self, shown: ShownNode) -> _Entry:
        style = self.palette.node_states[shown.state]
        line = self._head(self.glyphs.states[shown.state], shown.node.name, style)
        reason = shown.node.reason or ""
        return _Entry(line.add(NODE_WORDS[shown.state], style), reason, reason)

    def _link(self, concern: Concern) -> _Entry:
        style = self.palette.states_bold[concern.state]
        line = self._head(self.glyphs.states[concern.state], f"{concern.src or '*'}→{concern.dst or '*'}", style)
        line.add(WORDS[concern.state], style).gap()
        line.add(self.glyphs.cut(concern.path, _PATH), self.palette.dim)
        return _Entry(line, concern.reason or concern.words, concern.words, _pair(concern))


def _pair(one: FindingView | Concern) -> tuple[NodeName, NodeName] | None:
    return (one.src, one.dst) if one.src is not None and one.dst is not None else None


def _calm(scene: Scene) -> str:
    states = Counter(shown.state for shown in scene.links.values())
    if states["ok"] == len(scene.links):
        return "all links are well"
    return f"{states['ok']} of {len(scene.links)} links are well; of the others nothing is known"


def said(scene: Scene) -> tuple[FindingView, ...]:
    """Open findings, the most important first, without what only informs."""
    return () if scene.source_lost else tuple(f for f in scene.view.snapshot.findings if f.severity != "info")


def informing(scene: Scene) -> tuple[FindingView, ...]:
    return () if scene.source_lost else tuple(f for f in scene.view.snapshot.findings if f.severity == "info")


def _explained(
    findings: Iterable[FindingView], nodes: Collection[NodeName | None], link: tuple[object, object, object] | None
) -> bool:
    """Whether one of them speaks of that link, or of a node that has part in it."""
    return any(
        (f.node is not None and f.node in nodes) or (link is not None and (f.src, f.dst, f.path) == link)
        for f in findings
    )


def concerns(scene: Scene) -> list[Concern]:
    """Links in trouble, worst first; those of a node's whole row or column on one path are one entry."""
    judged: Counter[tuple[PathName, bool, NodeName]] = Counter()
    sick: dict[tuple[PathName, bool, NodeName], list[ShownLink]] = defaultdict(list)
    for shown in scene.worst_first:
        for sends, name in ((False, shown.link.dst), (True, shown.link.src)):
            end = (shown.link.path, sends, name)
            judged[end] += shown.state not in ("no-data", "stale")
            if shown.state in TROUBLE:
                sick[end].append(shown)
    found: list[Concern] = []
    gathered: set[int] = set()
    for (path, sends, name), members in sick.items():
        known = judged[path, sends, name]
        if len(members) >= max(_TOGETHER, known * _MOST):
            count = f"all {known}" if len(members) == known else f"{len(members)} of {known}"
            words = f"{count} links {'out of' if sends else 'into'} it"
            found.append(Concern(members[0].state, name if sends else None, None if sends else name, path, words))
            gathered.update(id(shown) for shown in members)
    for shown in scene.worst_first:
        if shown.state in TROUBLE and id(shown) not in gathered:
            link = shown.link
            found.append(Concern(shown.state, link.src, link.dst, link.path, brief_figures(shown), link.reason or ""))
    return sorted(found, key=lambda concern: RANK[concern.state])


def merged(concerns: Iterable[Concern]) -> list[Concern]:
    """Those that differ in their path alone as one."""
    found: dict[tuple[ShownState, NodeName | None, NodeName | None], Concern] = {}
    for one in concerns:
        key = (one.state, one.src, one.dst)
        found[key] = replace(found[key], path=f"{found[key].path}, {one.path}") if key in found else one
    return list(found.values())


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
    if link.crawling:
        parts.append(f"{link.crawling} crawl{'s' if link.crawling == 1 else ''}")
    if link.connecting:
        parts.append(f"{link.connecting} in SYN-SENT")
    return " ".join(parts)


def _recovered_line(finding: FindingView, ago_s: float, who: int, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    about = finding.node or f"{finding.src}→{finding.dst}"
    line = Line().gap(3).add(glyphs.fit(about, who), palette.dim).gap()
    words = f"{finding.code} over for {age_words(ago_s)}"
    return line.add(glyphs.fit(words, max(width - line.width - 1, 0)).rstrip(), palette.dim)
