"""Every stall that is still kept, as a closed or open record, and the evidence of the selected one."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from meshtop.engine.snapshot import StallView
from meshtop.ui import keys
from meshtop.ui.layout import notice_lines
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook
from meshtop.ui.widgets.notice import Notice
from meshtop.ui.widgets.stall_list import Evidence, StallList, newest_first

_EVIDENCE_LINES = 11  # all facts of one with its cgroup and its receiver, at 120 columns
_LIST_LINES = 8  # title, headings and some stalls: less is no list


class StallsScreen(SceneScreen):
    """Follows the newest until one is selected; then that one stays selected, wherever it stands."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("stalls")]

    def __init__(self) -> None:
        super().__init__(id="stalls-screen")
        self._selected: str | None = None  # None: the newest, whichever that is

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Notice(id="notice")
        yield StallList(id="stall-list")
        yield Evidence(id="evidence")
        yield Footer(id="footer")

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        width, height = self.app.size
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        notice = notice_lines(height, bool(scene.view.notice))
        body = max(height - 2 - notice, 1)
        evidence = min(_EVIDENCE_LINES, body - _LIST_LINES) if body - _LIST_LINES >= 3 else 0
        stalls = newest_first(scene)
        chosen = self._chosen(stalls)
        self._arrange(body - evidence, evidence)
        self.query_one(Notice).draw(scene.view.notice, notice, width, glyphs, palette)
        self.query_one(StallList).draw(
            scene, stalls, chosen.id if chosen else None, self._selected is None, width, body - evidence, glyphs,
            palette,
        )  # fmt: skip
        self.query_one(Evidence).draw(scene, chosen, width, evidence, glyphs, palette)
        look = HeaderLook(self.meshtop.choices.paths(scene), self.meshtop.frozen_at)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Footer).draw(scene, keys.hints("stalls", self.meshtop.key_table), width, glyphs, palette)

    def _chosen(self, stalls: list[StallView]) -> StallView | None:
        """The selected one; if it is kept no longer, the newest."""
        for stall in stalls:
            if stall.id == self._selected:
                return stall
        self._selected = None
        return stalls[0] if stalls else None

    def _arrange(self, rows: int, evidence: int) -> None:
        for selector, lines in (("#stall-list", rows), ("#evidence", evidence)):
            part = self.query_one(selector)
            part.display = lines > 0
            part.styles.height = max(lines, 1)

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_move(self, step: int) -> None:
        stalls = newest_first(self.meshtop.scene())
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
        """On to the link of the selected one."""
        chosen = self._chosen(newest_first(self.meshtop.scene()))
        if chosen is None:
            self.meshtop.say("There is no stall to select.")
        elif chosen.src is None or chosen.dst is None or chosen.path is None:
            self.meshtop.say("Its peer is no node of the mesh: there is no link to show.")
        else:
            choices = self.meshtop.choices
            choices.pair, choices.path, choices.all_paths = (chosen.src, chosen.dst), chosen.path, False
            await self.meshtop.action_back()
