"""Stalls as a table, the newest on top, and what is known of one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.style import Style

from meshtop.engine.snapshot import StallView
from meshtop.ui.draw import Line
from meshtop.ui.filtering import matches, told
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_age

_FULL_FROM = 110  # cells; below, addresses stand with the evidence only
_LABEL = 12


ORDERS = ("newest first", "longest first", "by link", "by cause", "by service")


@dataclass(frozen=True)
class ListLook:
    """``following``: the newest is selected, whichever that is. ``of``: how many there are without the filter."""

    selected: str | None
    following: bool
    order: str
    words: str
    of: int


class StallList(Canvas):
    """``selected`` is the id of a stall; it stays in sight, and where it is while others come."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._first = 0
        self.shown: tuple[str, ...] = ()  # those that have a line, by their ids
        self._top: str | None = None  # the newest at the last drawing

    def draw(
        self, scene: Scene, stalls: Sequence[StallView], look: ListLook, width: int, height: int, glyphs: Glyphs,
        palette: Palette,
    ) -> None:  # fmt: skip
        selected = look.selected
        rows = max(height - 2, 0)  # the title and the headings
        place = next((place for place, stall in enumerate(stalls) if stall.id == selected), 0)
        came = next((place for place, stall in enumerate(stalls) if stall.id == self._top), 0)
        self._top = stalls[0].id if stalls else None
        first = 0 if look.following else self._first + came
        self._first = max(0, min(max(first, place - rows + 1), place, max(len(stalls) - rows, 0)))
        drawing = _Drawing(scene, width, glyphs, palette)
        body = [drawing.headings()] if stalls else [Line(), Line().gap(2).add(_none(scene, look), palette.dim)]
        self.shown = tuple(stall.id for stall in stalls[self._first : self._first + max(rows, 0)])
        for stall in stalls[self._first : self._first + rows]:
            body.append(drawing.row(stall, selected=stall.id == selected))
        count = f"{len(stalls)} of {look.of}" if look.words else str(len(stalls))
        title = Line().add("Stalls", palette.title).add(glyphs.text(f" · {count}, {look.order}"), palette.dim)
        told(title, look.words, glyphs, palette)
        above, below = self._first, len(stalls) - self._first - rows
        hidden = " ".join(f"{sign}{count}" for sign, count in (("↑", above), ("↓", below)) if count > 0)
        right = Line().add(glyphs.text(f"{hidden} more"), palette.dim) if hidden else Line()
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))


class Evidence(Canvas):
    def draw(
        self, scene: Scene, stall: StallView | None, width: int, height: int, glyphs: Glyphs, palette: Palette
    ) -> None:
        title = Line().add("Evidence", palette.title)
        body: list[Line] = []
        if stall is not None:
            title.add(glyphs.text(f" · {stall.id}"), palette.dim)
            for label, text in _facts(stall):
                _add_fact(body, label, text, width, glyphs, palette)
        rows = max(height - 1, 0)
        if len(body) > rows > 0:
            body[rows - 1 :] = [Line().gap().add(f"and {len(body) - rows + 1} lines more", palette.dim)]
        self.show(panel(title, body, width, height, False, glyphs, palette))


def newest_first(scene: Scene) -> list[StallView]:
    """By their beginning; what began together in the order in which it was found."""
    return sorted(scene.view.stalls, key=lambda stall: stall.start, reverse=True)


def passes(stall: StallView, words: str) -> bool:
    flow = stall.flow
    return matches(
        words, link_of(stall), stall.path, stall.cause, stall.outcome, stall.node, flow.local, flow.peer, flow.process,
        flow.cgroup, flow.watch, flow.tunnel, stall.id,
    )  # fmt: skip


def in_order(stalls: Sequence[StallView], order: str) -> list[StallView]:
    """What is equal stands newest first."""
    newest = sorted(stalls, key=lambda stall: stall.start, reverse=True)
    if order == "longest first":
        return sorted(newest, key=lambda stall: -stall.duration_s)
    keys: dict[str, Callable[[StallView], str]] = {
        "by link": lambda stall: f"{link_of(stall)} {stall.path}", "by cause": cause_of, "by service": service_of,
    }  # fmt: skip
    return sorted(newest, key=keys[order]) if order in keys else newest


def link_of(stall: StallView) -> str:
    """``*`` is a peer that is no node of the mesh."""
    return f"{stall.src or stall.node}→{stall.dst or '*'}"


def service_of(stall: StallView) -> str:
    flow = stall.flow
    parts = [part for part in (flow.watch, flow.process, flow.tunnel and f"{flow.tunnel} tunnel") if part]
    return " · ".join(dict.fromkeys(parts)) or UNKNOWN


def duration_of(stall: StallView) -> str:
    """From what is certain on by as much as sampling leaves open."""
    return f"{_seconds(stall.duration_s)} +{_seconds(stall.resolution_s)}"


def cause_of(stall: StallView) -> str:
    """With a question mark as long as it is only the likeliest."""
    return stall.cause + ("" if stall.settled or stall.cause == "undetermined" else "?")


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s" if seconds < 99.5 else format_age(seconds)


def _start(stall: StallView) -> str:
    at = utc(stall.start)
    return f"{clock_text(at)}.{int(at * 10) % 10}"


def _none(scene: Scene, look: ListLook) -> str:
    if look.of:
        return f"none of {look.of} has these words"
    return "no node was measured yet" if scene.nothing_to_show else "no stall was seen"


@dataclass(frozen=True)
class _Drawing:
    """What all lines of one drawing share."""

    scene: Scene
    width: int
    glyphs: Glyphs
    palette: Palette

    @property
    def _columns(self) -> tuple[tuple[str, int], ...]:
        """Headings and widths, in the order in which they give way on a narrow screen; the service has what is left."""
        pair = max(self.scene.pair_width(15), 5) + 1
        columns = [("start UTC", 11), ("link", pair), ("path", 8 if len(self.scene.paths) > 1 else 0)]
        columns += [("lasted", 13), ("cause", 15), ("outcome", 10)]
        flow = min(self.width - 84, 48) if self.width >= _FULL_FROM else 0
        fitting, used = [], 2  # the cursor
        for name, size in [*columns, ("from → to", flow)]:
            if used + size > self.width:
                break
            fitting.append((name, size))
            used += size
        return tuple(fitting)

    def headings(self) -> Line:
        line = Line().gap()
        for name, size in self._columns:
            line.add(self.glyphs.fit(name if size else "", size), self.palette.dim)
        return line.add(self.glyphs.fit("service", max(self.width - line.width - 1, 0)).rstrip(), self.palette.dim)

    def row(self, stall: StallView, *, selected: bool) -> Line:
        glyphs, palette = self.glyphs, self.palette
        outcome, style = self._outcome(stall)
        texts = {
            "start UTC": (_start(stall), palette.text), "link": (link_of(stall), palette.bold),
            "path": (stall.path or UNKNOWN, palette.dim), "lasted": (duration_of(stall), style),
            "cause": (cause_of(stall), palette.text), "outcome": (outcome, style),
            "from → to": (f"{stall.flow.local} → {stall.flow.peer}", palette.dim),
        }  # fmt: skip
        line = Line().add(glyphs.bracket[0] if selected else " ", palette.cursor)
        for name, size in self._columns:
            if size:
                text, shown = texts[name]
                line.add(glyphs.fit(text, size - 1), shown).gap()
        line.add(glyphs.fit(service_of(stall), max(self.width - line.width - 1, 0)), palette.text)
        return line.add(glyphs.bracket[1] if selected else " ", palette.cursor)

    def _outcome(self, stall: StallView) -> tuple[str, Style]:
        """Open is only what a node that still tells of itself told."""
        if stall.outcome != "open":
            return stall.outcome, self.palette.text if stall.outcome == "recovered" else self.palette.states["lossy"]
        node = self.scene.node.get(stall.node)
        if node is None or not node.usable:
            return "was open", self.palette.states["stale"]
        return "open", self.palette.states_bold["stalled"]


def _facts(stall: StallView) -> list[tuple[str, str]]:
    flow = stall.flow
    facts = [("flow", f"{flow.local} → {flow.peer}, seen on {stall.node}")]
    owners = [
        (name, value)
        for name, value in (("watch", flow.watch), ("process", flow.process), ("cgroup", flow.cgroup),
                            ("tunnel", flow.tunnel), ("cookie", flow.cookie))
        if value
    ]  # fmt: skip
    facts.append(("of", ", ".join(f"{name} {value}" for name, value in owners) or UNKNOWN))
    least, most = stall.duration_s, stall.duration_s + stall.resolution_s
    facts.append(("lasted", f"between {least:.2f} s and {most:.2f} s" + (" so far" if stall.outcome == "open" else "")))
    likeliest = not stall.settled and stall.cause != "undetermined"
    facts.append(("cause", stall.cause + ("; the likeliest, an experiment would settle it" if likeliest else "")))
    if stall.causes:
        facts.append(("in turn", ", ".join(f"{clock_text(utc(one.at))} {one.cause}" for one in stall.causes)))
    figures = {name: value for name, value in stall.evidence.items() if not isinstance(value, Mapping)}
    facts.append(("readings", _readings(figures)))
    for name, value in stall.evidence.items():
        if isinstance(value, Mapping):
            facts.append((name, _readings(value)))
    return facts


def _readings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in values.items()) or UNKNOWN


def _value(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _add_fact(body: list[Line], label: str, text: str, width: int, glyphs: Glyphs, palette: Palette) -> None:
    for place, part in enumerate(glyphs.wrap(text, width - _LABEL - 2, 3)):
        line = Line().gap().add(glyphs.fit("" if place else label, _LABEL - 1), palette.dim).gap()
        body.append(line.add(part, palette.text))
