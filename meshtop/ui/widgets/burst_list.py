"""Bursts as a table, the newest on top: those that wait, that run, and that are over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.style import Style
from textual.strip import Strip

from meshtop.burst import BurstInterval, BurstRecord
from meshtop.ui.burst_form import asked_words
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import panel
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_age, format_rate

OVER = ("done", "failed", "aborted")


def mean_bps(burst: BurstRecord) -> float | None:
    """What arrived a second over the whole burst; while it runs, what the intervals say so far."""
    if burst.receiver_bps is not None:
        return burst.receiver_bps
    known = [(one.bps, width) for one, width in zip(burst.intervals, widths(burst), strict=True) if one.bps is not None]
    total = sum(width for _, width in known)
    return sum((bps or 0.0) * width for bps, width in known) / total if total > 0 else burst.sender_bps


def peak_bps(burst: BurstRecord) -> float | None:
    return max((one.bps for one in burst.intervals if one.bps is not None), default=None)


def widths(burst: BurstRecord) -> list[float]:
    """Seconds of each interval."""
    ends = [0.0, *(one.t for one in burst.intervals)]
    return [max(end - begin, 0.0) for begin, end in pairwise(ends)]


def retransmits(burst: BurstRecord) -> int | None:
    """Of the whole burst, or so far."""
    if burst.retransmits is not None:
        return burst.retransmits
    known = [one.retransmits for one in burst.intervals if one.retransmits is not None]
    return sum(known) if known else None


def stood_still(interval: BurstInterval) -> int | None:
    """How many streams moved nothing in it; None where streams are not told apart."""
    known = [one.bps for one in interval.streams if one.bps is not None]
    return sum(bps == 0 for bps in known) if known else None


def stall_words(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else "none" if seconds == 0 else format_age(seconds)


def state_style(burst: BurstRecord, palette: Palette) -> Style:
    if burst.state == "failed":
        return palette.states_bold["lossy"]
    if burst.state in ("running", "starting", "closing"):
        return palette.bold
    return palette.text if burst.state == "done" else palette.dim


@dataclass(frozen=True)
class BurstList:
    """``pinned``: the one that others are held against. ``clears``: the key that drops those that wait."""

    scene: Scene
    bursts: Sequence[BurstRecord]  # newest first
    selected: str | None
    pinned: str | None
    glyphs: Glyphs
    palette: Palette
    clears: str

    def shown(self, height: int) -> Sequence[BurstRecord]:
        """Those that have a line of their own where ``height`` lines are given."""
        rows = max(height - 2, 0)
        place = next((place for place, one in enumerate(self.bursts) if one.id == self.selected), 0)
        first = max(0, min(place - rows + 1, len(self.bursts) - rows))
        return self.bursts[first : first + rows]

    def strips(self, width: int, height: int) -> list[Strip]:
        columns = self._columns(width)
        body = [self._headings(columns)] if self.bursts else [Line(), *self._none(width, max(height - 2, 1))]
        for one in self.shown(height):
            body.append(self._row(one, columns, width))
        waits = sum(one.state == "queued" for one in self.bursts)
        title = Line().add("Bursts", self.palette.title)
        title.add(self.glyphs.text(f" · {len(self.bursts)}, newest first"), self.palette.dim)
        right = Line()
        if waits:
            right.add(f"{waits} wait{'s' if waits == 1 else ''}", self.palette.bold)
            right.add(self.glyphs.text(f" · {self.clears} clears the queue"), self.palette.dim)
        return panel(title, body, width, height, False, self.glyphs, self.palette, right=right)

    def _none(self, width: int, rows: int) -> list[Line]:
        words = "no burst yet: b on a link asks for one, and shows what it costs before anything is sent"
        return [Line().gap(2).add(part, self.palette.dim) for part in self.glyphs.wrap(words, width - 4, max(rows, 1))]

    def _columns(self, width: int) -> tuple[tuple[str, int], ...]:
        """Headings and widths, those that matter most first; what does not fit is left out."""
        pair = max(self.scene.pair_width(15), 4)
        path = max(4, min(8, max((len(one.name) for one in self.scene.paths), default=4)))
        wanted = [
            ("id", 4), ("link", pair), ("path", path), ("state", 8), ("mean", 5), ("retx", 6), ("stall", 5),
            ("asked", 22), ("peak", 5), ("start UTC", 9),
        ]  # fmt: skip
        fitting, used = [], 3
        for name, size in wanted:
            if used + size + 1 > width:
                break
            fitting.append((name, size))
            used += size + 1
        return tuple(fitting)

    def _headings(self, columns: tuple[tuple[str, int], ...]) -> Line:
        line = Line().gap(2)
        for name, size in columns:
            line.add(self.glyphs.fit(name, size, ">" if name in _FIGURES else "<"), self.palette.dim).gap()
        return line

    def _row(self, burst: BurstRecord, columns: tuple[tuple[str, int], ...], width: int) -> Line:
        glyphs, palette = self.glyphs, self.palette
        style = state_style(burst, palette)
        count = retransmits(burst)
        texts = {
            "id": (burst.id, palette.dim), "link": (f"{burst.src}→{burst.dst}", palette.bold),
            "path": (burst.path, palette.text), "state": (_state_word(burst), style),
            "mean": (format_rate(mean_bps(burst)), palette.text),
            "retx": (UNKNOWN if count is None else str(count), palette.text),
            "stall": (stall_words(burst.longest_stall_s), palette.text),
            "asked": (asked_words(burst), palette.dim), "peak": (format_rate(peak_bps(burst)), palette.dim),
            "start UTC": (clock_text(utc(burst.started)) if burst.started else UNKNOWN, palette.dim),
        }  # fmt: skip
        chosen = burst.id == self.selected
        line = Line().add(glyphs.bracket[0] if chosen else " ", palette.cursor)
        line.add("=" if burst.id == self.pinned else " ", palette.cursor)
        for name, size in columns:
            text, shown = texts[name]
            line.add(glyphs.fit(text, size, ">" if name in _FIGURES else "<"), shown).gap()
        return line.to(width - 1).add(glyphs.bracket[1] if chosen else " ", palette.cursor)


_FIGURES = frozenset({"mean", "retx", "stall", "peak"})


def _state_word(burst: BurstRecord) -> str:
    return "waits" if burst.state == "queued" else burst.state
