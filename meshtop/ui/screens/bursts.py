"""Bursts: what runs now, interval by interval, what waits, and all that were; two of them side by side."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.strip import Strip

from meshtop.burst import BurstRecord
from meshtop.model import LinkKey
from meshtop.ui import keys
from meshtop.ui.burst_form import form_of
from meshtop.ui.commands import RUNNING
from meshtop.ui.keys import Hint
from meshtop.ui.scene import Scene
from meshtop.ui.screens.framed import FramedScreen
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.burst_list import BurstList
from meshtop.ui.widgets.burst_panel import BurstPanel
from meshtop.ui.widgets.canvas import Canvas

MOST_SCROLLED = 60  # more lines than there ever are
HEADINGS = 2  # lines of a list before its first entry
_MOST_LISTED = 8
_BESIDE_FROM = 100  # cells: intervals and what it did stand side by side
_SUMMARY = 50
_SUMMARY_LINES = 14  # its facts, without flows beside it


class BurstsScreen(FramedScreen):
    """Follows the newest burst until one is selected."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("burst")]

    def __init__(self) -> None:
        super().__init__(id="burst-screen")
        self._pinned: str | None = None
        self._shown: list[str] = []
        self._first = 0  # of the summary

    def show_body(self, scene: Scene, width: int, height: int) -> None:
        self.query_one("#lines", Canvas).show(self._body(scene, width, height))

    def hints(self, scene: Scene) -> tuple[Hint, ...]:
        hints = super().hints(scene)
        return keys.first(hints, "abort") if any(one.state in RUNNING for one in scene.view.bursts) else hints

    def _body(self, scene: Scene, width: int, height: int) -> list[Strip]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        bursts = newest_first(scene)
        chosen = self._chosen(bursts)
        pinned = next((one for one in bursts if one.id == self._pinned and one is not chosen), None)
        listed = height if chosen is None else min(len(bursts), _MOST_LISTED, max(height // 4, 1)) + 2
        clears = keys.written("burst.clear", self.meshtop.key_table)
        table = BurstList(scene, bursts, chosen.id if chosen else None, self._pinned, glyphs, palette, clears)
        self._shown = [one.id for one in table.shown(listed)]
        strips = table.strips(width, listed)
        if chosen is not None:
            strips += self._detail(scene, chosen, pinned, width, height - listed)
        return strips[:height]

    def _detail(
        self, scene: Scene, chosen: BurstRecord, pinned: BurstRecord | None, width: int, height: int
    ) -> list[Strip]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        panel = BurstPanel(scene, chosen, scene.view.bursts, glyphs, palette, pinned, self._first)
        if height < 2:
            return []
        if pinned is not None and width >= 2 * 38:
            other = BurstPanel(scene, pinned, scene.view.bursts, glyphs, palette, chosen, self._first)
            half = width // 2
            facts = min(_SUMMARY_LINES, height)
            strips = beside(
                other.summary(half - 1, facts, against=False), panel.summary(width - half, facts, against=False)
            )
            if height - facts >= 5:
                strips += beside(
                    other.intervals(half - 1, height - facts), panel.intervals(width - half, height - facts)
                )
            return strips
        if width >= _BESIDE_FROM:
            side = min(_SUMMARY + max(width - 120, 0) // 4, 70)
            return beside(panel.intervals(width - side - 1, height), panel.summary(side, height))
        facts = min(_SUMMARY_LINES, height // 2) if height >= 10 else 0
        return [*panel.intervals(width, height - facts), *panel.summary(width, facts)]

    def _chosen(self, bursts: list[BurstRecord]) -> BurstRecord | None:
        choices = self.meshtop.choices
        for one in bursts:
            if one.id == choices.burst:
                return one
        choices.burst = None
        going = [one for one in bursts if one.state in RUNNING]
        return going[0] if going else bursts[0] if bursts else None

    async def on_click(self, event: events.Click) -> None:
        """A click selects, a second one enters."""
        row = event.screen_y - self.query_one("#lines", Canvas).region.y - HEADINGS
        if 0 <= row < len(self._shown):
            self.meshtop.choices.burst = self._shown[row]
            self.meshtop.repaint()
            if event.chain >= 2:
                await self.action_pick()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def wheel(self, direction: int) -> None:
        self.action_move(direction)

    def action_move(self, step: int) -> None:
        bursts = newest_first(self.meshtop.scene())
        chosen = self._chosen(bursts)
        if chosen is not None:
            place = min(max(bursts.index(chosen) + step, 0), len(bursts) - 1)
            self.meshtop.choices.burst, self._first = bursts[place].id, 0
            self.meshtop.repaint()

    def action_scroll_by(self, lines: int) -> None:
        """What is said of the selected one."""
        self._first = min(max(self._first + lines, 0), MOST_SCROLLED)
        self.meshtop.repaint()

    def action_newest(self) -> None:
        self.meshtop.choices.burst, self._first = None, 0
        self.meshtop.repaint()

    def action_pin(self) -> None:
        """Hold others against this one; once more, and no longer."""
        chosen = self._chosen(newest_first(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no burst to compare.")
            return
        self._pinned = None if self._pinned == chosen.id else chosen.id
        if self._pinned is not None:
            self.meshtop.say(f"Select another burst: it stands beside {chosen.id}.")
        self.meshtop.repaint()

    def action_repeat(self) -> None:
        chosen = self._chosen(newest_first(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no burst to repeat: b asks for one.")
        else:
            self.meshtop.ask_burst(form_of(chosen))

    async def action_pick(self) -> None:
        """Its link, at the time at which it began."""
        chosen = self._chosen(newest_first(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no burst to select.")
            return
        at = utc(chosen.started) if chosen.started else None
        await self.meshtop.open_link(LinkKey(chosen.src, chosen.dst, chosen.path), at=at)


def newest_first(scene: Scene) -> list[BurstRecord]:
    return list(reversed(scene.view.bursts))


def beside(left: list[Strip], right: list[Strip]) -> list[Strip]:
    gap = Strip.blank(1)
    return [Strip.join([one, gap, other]) for one, other in zip(left, right, strict=True)]
