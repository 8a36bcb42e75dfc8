"""Diagnosis: every finding with what speaks for and against it, what to do, and experiments that would settle it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.strip import Strip

from meshtop.engine.snapshot import FindingView
from meshtop.model import LinkKey
from meshtop.ui import keys
from meshtop.ui.keys import Hint
from meshtop.ui.scene import Scene
from meshtop.ui.screens.bursts import HEADINGS, MOST_SCROLLED, beside
from meshtop.ui.screens.framed import FramedScreen
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.findings import FindingList, FindingPanel, listed

_BESIDE_FROM = 100  # cells


class DiagnosisScreen(FramedScreen):
    """Stays with the finding that was selected, wherever it moves in the list; the gravest one before that."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("diagnosis")]

    def __init__(self) -> None:
        super().__init__(id="diagnosis-screen")
        self._selected: str | None = None
        self._shown: list[str] = []
        self._first = 0  # of what is said of the selected one

    def hints(self, scene: Scene) -> tuple[Hint, ...]:
        """The digits of those experiments alone that the selected finding has."""
        chosen, table = self._chosen(listed(scene)), self.meshtop.key_table
        count = len(chosen.experiments) if chosen is not None and not scene.view.replay else 0
        digits = keys.joined([keys.written(f"experiment.{number}", table) for number in range(1, count + 1)])
        return tuple(
            replace(hint, signs=digits) if hint.label == "experiment" else hint
            for hint in super().hints(scene)
            if digits or hint.label != "experiment"
        )

    def show_body(self, scene: Scene, width: int, height: int) -> None:
        self.query_one("#lines", Canvas).show(self._body(scene, width, height))

    def _body(self, scene: Scene, width: int, height: int) -> list[Strip]:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        findings = listed(scene)
        chosen = self._chosen(findings)
        table = FindingList(scene, findings, chosen.id if chosen else None, glyphs, palette)
        if chosen is None:
            return table.strips(width, height)
        rows = min(len(findings), max(height // 3 - 2, 1)) + 2
        strips = table.strips(width, min(rows, height))
        self._shown = [one.id for one in table.shown(min(rows, height))]
        aborts = keys.written("burst.abort", self.meshtop.key_table)
        room, panel = height - rows, FindingPanel(scene, chosen, glyphs, palette, aborts, self._first)
        if room < 2:
            return strips[:height]
        if width >= _BESIDE_FROM:
            left = width * 11 // 20
            return strips + beside(panel.reasons(left, room), panel.advice(width - left - 1, room))
        if room < 8:
            return strips + panel.reasons(width, room)
        half = room // 2
        return strips + panel.reasons(width, room - half) + panel.advice(width, half)

    def _chosen(self, findings: list[FindingView]) -> FindingView | None:
        for one in findings:
            if one.id == self._selected:
                return one
        self._selected = None
        return findings[0] if findings else None

    async def on_click(self, event: events.Click) -> None:
        """A click selects, a second one enters."""
        row = event.screen_y - self.query_one("#lines", Canvas).region.y - HEADINGS
        if 0 <= row < len(self._shown):
            self._selected = self._shown[row]
            self.meshtop.repaint()
            if event.chain >= 2:
                await self.action_pick()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def wheel(self, direction: int) -> None:
        self.action_move(direction)

    def action_move(self, step: int) -> None:
        findings = listed(self.meshtop.scene())
        chosen = self._chosen(findings)
        if chosen is not None:
            self._selected = findings[min(max(findings.index(chosen) + step, 0), len(findings) - 1)].id
            self._first = 0
            self.meshtop.repaint()

    def action_scroll_by(self, lines: int) -> None:
        """What is said of the selected one."""
        self._first = min(max(self._first + lines, 0), MOST_SCROLLED)
        self.meshtop.repaint()

    def action_gravest(self) -> None:
        self._selected, self._first = None, 0
        self.meshtop.repaint()

    def action_experiment(self, number: int) -> None:
        """Ask for the experiment that stands beside that number."""
        chosen = self._chosen(listed(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no finding to settle.")
        elif not chosen.experiments:
            self.meshtop.say("No experiment would settle this one.")
        elif number > len(chosen.experiments):
            self.meshtop.say(f"There are experiments 1 to {len(chosen.experiments)}.")
        else:
            self.meshtop.ask_experiment(chosen, chosen.experiments[number - 1])

    async def action_pick(self) -> None:
        """Its link, at the time at which it began."""
        chosen = self._chosen(listed(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no finding to select.")
        elif chosen.src is not None and chosen.dst is not None and chosen.path is not None:
            await self.meshtop.open_link(LinkKey(chosen.src, chosen.dst, chosen.path), at=utc(chosen.since))
        elif (node := chosen.node or chosen.dst or chosen.src) is not None:
            await self.meshtop.open_node(node)
        else:
            self.meshtop.say("It concerns the whole mesh: there is no link to show.")
