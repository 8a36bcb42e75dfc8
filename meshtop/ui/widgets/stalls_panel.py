"""Stalls over the last minute or two: the selected pair, and every link that stalled, a strip each; marks below."""

from __future__ import annotations

from itertools import pairwise

from meshtop.engine.snapshot import LinkView, StallView
from meshtop.model import LinkKey
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets import strips
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text
from meshtop.ui.widgets.link_panel import Pair
from meshtop.units import format_age

LONGEST_STRIP = 120  # what the engine keeps
_PATH = 7
_SUMMARY = 15  # " 12 stalls  1m "
_LEAST_MARK_ROWS = 4  # axis, two links and marks; with fewer lines a link is worth more than marks


class StallsPanel(Canvas):
    def draw(
        self, scene: Scene, pair: Pair | None, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette
    ) -> None:  # fmt: skip
        inner, rows = width - (2 if framed else 0), height - (2 if framed else 1)
        with_path = len(scene.paths) > 1
        who = scene.pair_width(17) + (1 + _PATH if with_path else 0)
        cells = max(min(inner - who - 3 - _SUMMARY, LONGEST_STRIP), 0)
        end = clock_text(scene.now_s) if scene.view.past else "now"
        body = [strips.axis(Line().gap(who + 2), cells, palette, end)]
        room = rows - (2 if rows >= _LEAST_MARK_ROWS else 1)
        keys, more = _rows(scene, pair, room)
        for key in keys:
            body.append(_strip_line(scene, key, who, cells, with_path, glyphs, palette))
        if rows >= _LEAST_MARK_ROWS:
            body += [Line() for _ in range(rows - 1 - len(body))]
            body.append(_marks(scene, who, cells, glyphs, palette))
        title = Line().add("Stalls", palette.title).add(glyphs.text(" · 1 cell = 1 s"), palette.dim)
        left = Line().add(f"and {more} more", palette.dim) if more > 0 else Line()
        self.show(
            panel(
                title, body, width, height, framed, glyphs, palette, right=strips.legend(glyphs, palette),
                lower_left=left, lower_right=_looking(scene, inner - left.width - 12, glyphs, palette),
            )
        )  # fmt: skip


def _rows(scene: Scene, pair: Pair | None, room: int) -> tuple[list[LinkKey], int]:
    """The selected pair on each path first; then the links that stalled most, in the order of the configuration, so
    that they stay put. And how many more there are."""
    stood = {key: strip.seconds.count("stalled") for key, strip in scene.view.strips.items() if key in scene.links}
    chosen = [LinkKey(pair[0], pair[1], path.name) for path in scene.paths] if pair is not None else []
    chosen = [key for key in chosen if key in scene.links][:room]
    waits = {key: _waits(shown.link) for key, shown in scene.links.items()}
    others = [key for key in scene.links if (stood.get(key) or waits[key]) and key not in chosen]
    room = max(room - len(chosen), 0)
    worst = set(sorted(others, key=lambda key: (-stood.get(key, 0), -waits[key]))[:room])
    return [*chosen, *(key for key in others if key in worst)], len(others) - len(worst)


def _waits(link: LinkView) -> int:
    """Flows that do not stall and hardly get on: they crawl, or do not get through SYN-SENT."""
    return (link.crawling or 0) + (link.connecting or 0)


def _strip_line(
    scene: Scene, key: LinkKey, who: int, cells: int, with_path: bool, glyphs: Glyphs, palette: Palette
) -> Line:
    pair = who - (1 + _PATH if with_path else 0)
    line = Line().gap().add(glyphs.fit(f"{key.src}→{key.dst}", pair), palette.bold)
    if with_path:
        line.gap().add(glyphs.fit(key.path, _PATH), palette.dim)
    line.to(who + 2)
    strip = scene.view.strips.get(key)
    shown = strips.seconds(strip, cells, scene.now_s, scene.interval_s)
    strips.draw(line, shown, glyphs, palette)
    return line.gap(2).join(_summary(scene, key, cells, glyphs, palette))


def _summary(scene: Scene, key: LinkKey, cells: int, glyphs: Glyphs, palette: Palette) -> Line:
    """How many stalls the strip shows, and the longest of them, with what of it was before; what crawls or does not get
    through SYN-SENT now where there is none."""
    since = scene.now_s - cells
    records = [
        stall
        for stall in scene.view.stalls
        if (stall.src, stall.dst, stall.path) == (key.src, key.dst, key.path) and not _over_before(stall, since)
    ]
    shown = scene.links[key]
    if not records and not shown.stale and _waits(shown.link):
        return Line().add(glyphs.fit(_waiting_words(shown.link), _SUMMARY - 2), palette.states["degraded"])
    if not records:
        return Line().add(glyphs.fit("no stall" if key in scene.view.strips else "–", _SUMMARY - 2), palette.dim)
    worst = max(stall.duration_s for stall in records)
    words = f"{min(len(records), 999)} stall{'s' if len(records) > 1 else ' '} {format_age(worst)}"
    open_now = any(stall.outcome == "open" for stall in records) and not shown.stale
    return Line().add(glyphs.fit(words, _SUMMARY - 2), palette.states["stalled"] if open_now else palette.text)


def _waiting_words(link: LinkView) -> str:
    if link.crawling:
        return f"{min(link.crawling, 99)} crawl{'s' if link.crawling == 1 else ''}"
    return f"{min(link.connecting or 0, 99)} in SYN {format_age(link.connecting_oldest_s)}"


def _marks(scene: Scene, who: int, cells: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap().add(glyphs.fit("marks", who), palette.dim)
    start = who + 2
    placed = {cells - 1 - int(scene.now_s // 1 - mark.at // 1): mark for mark in scene.view.marks}
    columns = sorted(column for column in placed if 0 <= column < cells)
    for column, following in pairwise([*columns, cells + _SUMMARY]):
        room = following - column - 2
        line.to(start + column).add(glyphs.mark, palette.cursor)
        line.add(glyphs.fit(placed[column].text, max(room, 0)).rstrip(), palette.text)
    return line


def _looking(scene: Scene, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """Who is sampled faster now, because of a stall."""
    names = scene.view.looking
    if not names or width < 16:
        return Line()
    return Line().add(glyphs.fit(f"closer look at {', '.join(names)}", width).rstrip(), palette.dim)


def _over_before(stall: StallView, moment: float) -> bool:
    return stall.end is not None and utc(stall.end) < moment
