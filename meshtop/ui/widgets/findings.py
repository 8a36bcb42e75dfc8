"""Findings: what is wrong and how sure that is, as a list; of one of them, what speaks for it and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.model import ExperimentRecord
from meshtop.ui.draw import Line
from meshtop.ui.experiments import QUESTIONS, TITLES
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import panel, scrolled
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_age, format_duration, format_figure

_SIGNS = {"critical": "stalled", "warning": "degraded", "info": "idle"}  # severity → the state that looks alike
_CODE = 18  # cells; the longest code has 17
_EXPECTED = 13  # cells that are kept for what was expected; what is longer is wrapped
_SENTENCE_FROM = 64  # cells of a line in which a sentence has room


def open_ids(scene: Scene) -> frozenset[str]:
    return frozenset(finding.id for finding in scene.view.snapshot.findings)


def listed(scene: Scene) -> list[FindingView]:
    """Open ones by severity, among equals in the engine's order of importance, then closed ones, the newest first."""
    standing = open_ids(scene)
    order = {"critical": 0, "warning": 1, "info": 2}
    current = [one for one in scene.view.findings if one.id in standing]
    known = {one.id for one in current}
    current += [one for one in scene.view.snapshot.findings if one.id not in known]
    current.sort(key=lambda one: order[one.severity])
    return current + [one for one in scene.view.findings if one.id not in standing]


def where(finding: FindingView) -> str:
    """``e→a vpn``; ``*`` stands for every node."""
    if finding.src is None and finding.dst is None:
        return finding.node or "*"
    return f"{finding.src or '*'}→{finding.dst or '*'}{f' {finding.path}' if finding.path else ''}"


def severity_style(finding: FindingView, palette: Palette) -> Style:
    return {
        "critical": palette.states_bold["stalled"], "warning": palette.states_bold["degraded"], "info": palette.dim,
    }[finding.severity]  # fmt: skip


def sign_of(finding: FindingView, glyphs: Glyphs) -> str:
    return glyphs.states[_SIGNS[finding.severity]]


@dataclass(frozen=True)
class FindingList:
    scene: Scene
    findings: Sequence[FindingView]
    selected: str | None
    glyphs: Glyphs
    palette: Palette

    def shown(self, height: int) -> Sequence[FindingView]:
        """Those that have a line of their own where ``height`` lines are given."""
        rows = max(height - 2, 0)
        place = next((place for place, one in enumerate(self.findings) if one.id == self.selected), 0)
        first = max(0, min(place - rows + 1, len(self.findings) - rows))
        return self.findings[first : first + rows]

    def strips(self, width: int, height: int) -> list[Strip]:
        glyphs, palette = self.glyphs, self.palette
        standing = open_ids(self.scene)
        body = [self._headings(width)] if self.findings else self._none(width, max(height - 2, 1))
        for one in self.shown(height):
            body.append(self._row(one, one.id in standing, width))
        title = Line().add("Diagnosis", palette.title)
        count = sum(one.id in standing for one in self.findings)
        title.add(glyphs.text(f" · {count} open, {len(self.findings) - count} closed"), palette.dim)
        return panel(title, body, width, height, False, glyphs, palette)

    def _none(self, width: int, rows: int) -> list[Line]:
        links = self.scene.links.values()
        unknown = sum(shown.state in ("no-data", "stale") for shown in links)
        if self.scene.source_lost:
            words = "no finding, but nothing new was heard either"
        elif unknown:
            words = f"no finding; {unknown} of {len(links)} links are not measured now, so little can be said of them"
        else:
            words = f"no finding: nothing is wrong on {len(links)} links that could be told from outside"
        return [
            Line(),
            *(Line().gap(2).add(part, self.palette.dim) for part in self.glyphs.wrap(words, width - 4, rows)),
        ]

    def _columns(self, width: int) -> tuple[int, int]:
        longest = max((len(path.name) for path in self.scene.paths), default=3)
        pair = min(self.scene.pair_width(15) + 1 + longest, 24, max(width // 3, 8))
        return (pair, min(_CODE, max(width - pair - 10, 8)))

    def _headings(self, width: int) -> Line:
        pair, code = self._columns(width)
        line = Line().gap(3).add(self.glyphs.fit("what", code), self.palette.dim).gap()
        line.add(self.glyphs.fit("where", pair), self.palette.dim).add(" sure", self.palette.dim)
        if width < _SENTENCE_FROM:
            return line
        line.add(" since UTC ", self.palette.dim)
        return line.add(self.glyphs.fit("in a sentence", max(width - line.width - 1, 0)).rstrip(), self.palette.dim)

    def _row(self, finding: FindingView, standing: bool, width: int) -> Line:
        glyphs, palette = self.glyphs, self.palette
        pair, code = self._columns(width)
        chosen = finding.id == self.selected
        style = severity_style(finding, palette) if standing else palette.dim
        plain = palette.text if standing else palette.dim
        line = Line().add(glyphs.bracket[0] if chosen else " ", palette.cursor)
        line.add(sign_of(finding, glyphs) if standing else " ", style).gap()
        line.add(glyphs.fit(finding.code, code), style).gap()
        line.add(glyphs.fit(where(finding), pair), palette.bold if standing else palette.dim).gap()
        line.add(f"{round(100 * finding.confidence):3d}%", plain).gap()
        if width < _SENTENCE_FROM:
            return line.to(width - 1).add(glyphs.bracket[1] if chosen else " ", palette.cursor)
        line.add(clock_text(utc(finding.since)), palette.dim).gap(2)
        words = finding.summary if standing else f"closed · {finding.summary}"
        line.add(glyphs.fit(words, max(width - line.width - 1, 0)), plain)
        return line.to(width - 1).add(glyphs.bracket[1] if chosen else " ", palette.cursor)


@dataclass(frozen=True)
class FindingPanel:
    scene: Scene
    finding: FindingView
    glyphs: Glyphs
    palette: Palette
    aborts: str  # the key that ends what runs
    first: int = 0  # so many lines are scrolled out above

    def reasons(self, width: int, height: int) -> list[Strip]:
        """The sentence, and what was measured: for it, and against it."""
        finding, palette = self.finding, self.palette
        standing = finding.id in open_ids(self.scene)
        style = severity_style(finding, palette) if standing else palette.dim
        body = [Line().gap().add(part, style) for part in self.glyphs.wrap(finding.summary, width - 2, 3)]
        body += [Line(), *self._evidence("Speaks for it", finding.evidence, width)]
        if finding.against:
            body += [Line(), *self._evidence("Speaks against it", finding.against, width)]
        title = Line().add(self.glyphs.fit(finding.code, max(width - 30, 8)).rstrip(), palette.title)
        told = f" · {finding.severity} · for {self._ago(finding.since)}"
        if not standing:
            told = f" · was {finding.severity} · closed"
            told += f" {self._ago(finding.until)} ago" if finding.until is not None else ""
        title.add(self.glyphs.text(told), palette.dim)
        return self._panel(title, body, width, height)

    def _ago(self, at: str) -> str:
        return format_age(max(self.scene.now_s - utc(at), 0.0))

    def _evidence(self, heading: str, facts: Sequence[Evidence], width: int) -> list[Line]:
        glyphs, palette = self.glyphs, self.palette
        lines = [Line().gap().add(heading, palette.title)]
        both = (*self.finding.evidence, *self.finding.against)
        value = min(max((12, *(cell_len(format_figure(fact.value)) for fact in both))), max(width // 3, 8))
        longest = max((cell_len(fact.what) for fact in both), default=8)
        reserved = min(max((cell_len(fact.expected) for fact in both), default=0), _EXPECTED)
        what = max(min(longest, width - value - 5 - reserved), 8)
        expected = max(width - what - value - 5, 0)
        for fact in facts:
            parts = glyphs.wrap(fact.expected, expected, 2) if 0 < min(reserved, 8) <= expected else [""]
            line = Line().gap(2).add(glyphs.fit(fact.what, what), palette.text).gap()
            line.add(glyphs.fit(format_figure(fact.value), value, ">"), palette.bold).gap()
            lines.append(line.add(parts[0] if parts else "", palette.dim))
            lines += [Line().gap(what + value + 4).add(part, palette.dim) for part in parts[1:]]
        if not facts:
            lines.append(Line().gap(2).add("nothing was told", palette.dim))
        return lines

    def advice(self, width: int, height: int) -> list[Strip]:
        """What to do, which experiments would settle it, and what came of those that were run. Where not all of it has
        room, what can be pressed and what came of it stand first."""
        steps, offers = self._steps(width), self._offers(width, asked=True)
        results = [self._result(record, width) for record in self._tried()]
        body = [*steps, *offers, *(line for lines in results for line in lines)]
        if len(body) > height - 1:
            body = [*self._offers(width, asked=False), *(results[0] if results else [])]
            body += [*([Line()] if body else []), *steps, *(line for lines in results[1:] for line in lines)]
            body = body if body[0].width else body[1:]
        return self._panel(Line().add("What next", self.palette.title), body, width, height)

    def _steps(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for step in self.finding.next:
            for place, part in enumerate(self.glyphs.wrap(step, width - 5, 3)):
                lines.append(
                    Line().gap().add("- " if not place else "  ", self.palette.dim).add(part, self.palette.text)
                )
        return lines or [Line().gap().add("nothing was told", self.palette.dim)]

    def _offers(self, width: int, *, asked: bool) -> list[Line]:
        """The experiments, each with its digit; ``asked``: with its question, too."""
        glyphs, palette, lines = self.glyphs, self.palette, list[Line]()
        if self.finding.experiments:
            lines += [Line(), Line().gap().add("Experiments that would settle it", palette.title)]
        for number, kind in enumerate(self.finding.experiments, start=1):
            lines.append(Line().gap(2).add(str(number), palette.key).gap().add(TITLES[kind], palette.text))
            if asked:
                lines += [Line().gap(4).add(part, palette.dim) for part in glyphs.wrap(QUESTIONS[kind], width - 6, 2)]
        return lines

    def _tried(self) -> list[ExperimentRecord]:
        """On this link, newest first; what runs elsewhere too, as only one can run at a time."""
        finding = self.finding
        ends = (finding.src, finding.dst)
        return [
            one for one in reversed(self.scene.view.experiments) if (one.src, one.dst) == ends or one.state == "running"
        ]

    def _result(self, record: ExperimentRecord, width: int) -> list[Line]:
        glyphs, palette = self.glyphs, self.palette
        head = (
            Line().gap().add(glyphs.fit(f"{record.id} {TITLES.get(record.kind, record.kind)}", width - 2), palette.bold)
        )
        lines = [Line(), head]
        if record.state == "running":
            elapsed = format_duration(int(max(self.scene.now_s - record.started, 0.0)))
            place = f"{record.src}→{record.dst} {record.path}"
            words, style = (
                f"runs on {place} for {elapsed}; {self.aborts} aborts it. It sends {record.sends}",
                palette.bold,
            )
        elif record.state == "done":
            words, style = record.summary or "done", palette.text
        else:
            why = f": {record.reason}{f'; {record.cure}' if record.cure else ''}" if record.reason else ""
            words, style = f"{record.state}{why}", palette.states_bold["lossy"]
        lines += [Line().gap(2).add(part, style) for part in glyphs.wrap(words, width - 4, 4)]
        figures = ", ".join(f"{name} {format_figure(value)}" for name, value in record.figures.items())
        if figures and record.state != "running":
            lines += [Line().gap(2).add(part, palette.dim) for part in glyphs.wrap(figures, width - 4, 3)]
        return lines

    def _panel(self, title: Line, body: list[Line], width: int, height: int) -> list[Strip]:
        return panel(
            title, scrolled(body, height - 1, self.first, self.palette), width, height, False, self.glyphs, self.palette
        )
