"""Every stall that is still kept, as a closed or open record, and the evidence of the selected one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.widget import Widget

from meshtop.engine.snapshot import StallView
from meshtop.model import LinkKey
from meshtop.ui import keys
from meshtop.ui.scene import Scene
from meshtop.ui.screens.bursts import HEADINGS
from meshtop.ui.screens.framed import FramedScreen
from meshtop.ui.timecursor import moment_of
from meshtop.ui.widgets.stall_list import ORDERS, Evidence, ListLook, StallList, in_order, passes
from meshtop.ui.widgets.stall_timeline import Timeline

_EVIDENCE_LINES = 11  # all facts of one with its cgroup and its receiver, at 120 columns
_TIMELINE_LINES = 3
_LIST_LINES = 8  # title, headings and some stalls: less is no list


class StallsScreen(FramedScreen):
    """Follows the newest until one is selected; then that one stays selected, wherever it stands."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("stalls")]

    def __init__(self) -> None:
        super().__init__(id="stalls-screen")
        self._selected: str | None = None  # None: the newest, whichever that is

    def body(self) -> Iterable[Widget]:
        yield StallList(id="stall-list")
        yield Timeline(id="timeline")
        yield Evidence(id="evidence")

    def show_body(self, scene: Scene, width: int, height: int) -> None:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        evidence = min(_EVIDENCE_LINES, height - _LIST_LINES) if height - _LIST_LINES >= 3 else 0
        timeline = _TIMELINE_LINES if height - evidence - _TIMELINE_LINES >= _LIST_LINES else 0
        rows = height - evidence - timeline
        stalls = self._listed(scene)
        chosen = self._chosen(stalls)
        self._arrange(rows, timeline, evidence)
        following = self._selected is None and self._order == ORDERS[0]
        listing = ListLook(chosen.id if chosen else None, following, self._order, self.filter, len(scene.view.stalls))
        self.query_one(StallList).draw(scene, stalls, listing, width, rows, glyphs, palette)
        self.query_one(Timeline).draw(scene, stalls, chosen, width, timeline, glyphs, palette)
        self.query_one(Evidence).draw(scene, chosen, width, evidence, glyphs, palette)

    @property
    def _order(self) -> str:
        return self.meshtop.choices.orders.get(self.kind, ORDERS[0])

    def _listed(self, scene: Scene) -> list[StallView]:
        """Those that pass the filter, in the chosen order."""
        return in_order([stall for stall in scene.view.stalls if passes(stall, self.filter)], self._order)

    def action_sort(self) -> None:
        self.meshtop.say(f"Stalls by {self.meshtop.choices.next_order(self.kind, ORDERS)}.")
        self._selected = None
        self.meshtop.repaint()

    def _chosen(self, stalls: list[StallView]) -> StallView | None:
        """The selected one; if it is kept no longer, the newest."""
        for stall in stalls:
            if stall.id == self._selected:
                return stall
        self._selected = None
        return stalls[0] if stalls else None

    def _arrange(self, rows: int, timeline: int, evidence: int) -> None:
        for selector, lines in (("#stall-list", rows), ("#timeline", timeline), ("#evidence", evidence)):
            part = self.query_one(selector)
            part.display = lines > 0
            part.styles.height = max(lines, 1)

    async def on_click(self, event: events.Click) -> None:
        """A click selects, a second one enters."""
        listing = self.query_one(StallList)
        row = event.screen_y - listing.region.y - HEADINGS
        if 0 <= row < len(listing.shown) and event.screen_y < listing.region.bottom:
            self._selected = listing.shown[row]
            self.meshtop.repaint()
            if event.chain >= 2:
                await self.action_pick()

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def wheel(self, direction: int) -> None:
        self.action_move(direction)

    def action_move(self, step: int) -> None:
        stalls = self._listed(self.meshtop.scene())
        chosen = self._chosen(stalls)
        if chosen is not None:
            self._selected = stalls[min(max(stalls.index(chosen) + step, 0), len(stalls) - 1)].id
            self.meshtop.repaint()

    def action_move_page(self, pages: int) -> None:
        self.action_move(pages * max(self.query_one(StallList).size.height - 2, 1))

    def action_newest(self) -> None:
        self._selected = None
        self.meshtop.repaint()

    async def action_pick(self) -> None:
        """On to the charts of its link at that time; a stall that is open is looked at now."""
        chosen = self._chosen(self._listed(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no stall to select.")
        elif chosen.src is None or chosen.dst is None or chosen.path is None:
            self.meshtop.say("Its peer is no node of the mesh: there is no link to show.")
        else:
            at = None if chosen.outcome == "open" else moment_of(chosen)
            await self.meshtop.open_link(LinkKey(chosen.src, chosen.dst, chosen.path), at)
