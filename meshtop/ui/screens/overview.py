"""The overview: the matrix of all directed links, the selected pair, the nodes, the log."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from meshtop.ui import keys
from meshtop.ui.layout import Plan, plan, plan_without_nodes
from meshtop.ui.messages import LinkPicked
from meshtop.ui.metrics import METRICS
from meshtop.ui.scene import Scene, ShownLink
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.widgets.attention import AttentionPanel
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook, live_line
from meshtop.ui.widgets.link_panel import LinkPanel
from meshtop.ui.widgets.log_lines import LogPanel
from meshtop.ui.widgets.matrix import Matrix, MatrixLook
from meshtop.ui.widgets.nodes_panel import NodesPanel
from meshtop.ui.widgets.notice import Notice
from meshtop.ui.widgets.stalls_panel import StallsPanel
from meshtop.ui.widgets.worst_list import ORDERS, ListLook, WorstList, listed, state_line


class OverviewScreen(SceneScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("overview")]

    def __init__(self) -> None:
        super().__init__(id="overview")
        self._plan: Plan | None = None

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Notice(id="notice")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                yield Matrix(id="matrix")
                yield WorstList(id="worst")
                yield LinkPanel(id="link-below")
                yield StallsPanel(id="stalls")
                yield NodesPanel(id="nodes")
                yield AttentionPanel(id="attention-below")
                yield LogPanel(id="log")
            with Vertical(id="side"):
                yield AttentionPanel(id="attention")
                yield LinkPanel(id="link-side")
        yield Canvas(id="line")
        yield Footer(id="footer")

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        choices = self.meshtop.choices
        choices.settle(scene)
        width, height = self.app.size
        nodes, paths, notice = len(scene.nodes), choices.paths(scene), scene.view.notice
        watched = bool(scene.view.mesh.watches)
        chosen = plan(width, height, nodes, len(paths), len(scene.paths), scene.longest_name, bool(notice), watched)
        if scene.nothing_to_show:
            chosen = plan_without_nodes(width, height, bool(notice))
        if not chosen.paths_fit:
            paths = paths[:1]
        self._arrange(chosen)
        self.query_one(Notice).draw(notice, chosen.notice, width, self.meshtop.glyphs, self.meshtop.palette)
        if chosen.mode == "line":
            self._show_line(scene, paths, width)
            return
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        look = HeaderLook(paths, self.meshtop.frozen_at)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Footer).draw(scene, keys.hints("overview", self.meshtop.key_table), width, glyphs, palette)
        self._show_parts(scene, chosen, paths, width)

    def _show_parts(self, scene: Scene, chosen: Plan, paths: tuple[str, ...], width: int) -> None:
        glyphs, palette, choices = self.meshtop.glyphs, self.meshtop.palette, self.meshtop.choices
        left, framed = width - chosen.side, chosen.framed
        if chosen.grid is not None:
            note = "" if chosen.paths_fit else "too narrow for both paths"
            look = MatrixLook(chosen.grid, choices.metric, paths, choices.pair, framed, note)
            self.query_one(Matrix).draw(scene, look, left, chosen.matrix, glyphs, palette)
        if chosen.worst:
            worst = self.query_one(WorstList)
            listing = ListLook(paths, choices.metric, choices.pair, self.filter, self._order)
            worst.draw(scene, listing, left, chosen.worst, glyphs, palette)
        if chosen.link:
            panel = self.query_one("#link-side" if chosen.side else "#link-below", LinkPanel)
            panel.draw(
                scene, choices.pair, chosen.side or left, chosen.link, framed, bool(chosen.side), glyphs, palette
            )
        if chosen.stalls:
            self.query_one(StallsPanel).draw(scene, choices.pair, left, chosen.stalls, framed, glyphs, palette)
        if chosen.nodes:
            self.query_one(NodesPanel).draw(scene, left, chosen.nodes, framed, glyphs, palette)
        if chosen.attention:
            attention = self.query_one("#attention" if chosen.side else "#attention-below", AttentionPanel)
            attention.draw(
                scene, self.filter, keys.written("diagnosis.open", self.meshtop.key_table), chosen.side or left,
                chosen.attention, framed, glyphs, palette,
            )  # fmt: skip
        if chosen.log:
            self.query_one(LogPanel).draw(scene, left, chosen.log, framed, glyphs, palette)

    def _show_line(self, scene: Scene, paths: tuple[str, ...], width: int) -> None:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        live = live_line(scene, HeaderLook(paths, self.meshtop.frozen_at), width, glyphs, palette)
        line = state_line(scene, live, width, glyphs, palette)
        self.query_one("#line", Canvas).show([line.strip(width)])

    def _arrange(self, chosen: Plan) -> None:
        """Give the parts their places; only when these change."""
        if chosen == self._plan:
            return
        self._plan = chosen
        whole = chosen.mode != "line"
        heights = {
            "#header": 1 if whole else 0, "#footer": 1 if whole else 0, "#line": 0 if whole else 1,
            "#matrix": chosen.matrix, "#worst": chosen.worst, "#stalls": chosen.stalls,
            "#nodes": chosen.nodes, "#log": chosen.log,
            "#link-side": chosen.link if chosen.side else 0, "#link-below": 0 if chosen.side else chosen.link,
            "#attention": chosen.attention if chosen.side else 0,
            "#attention-below": 0 if chosen.side else chosen.attention,
        }  # fmt: skip
        for selector, lines in heights.items():
            part = self.query_one(selector, Widget)
            part.display = lines > 0
            part.styles.height = max(lines, 1)
        side = self.query_one("#side", Vertical)
        side.display = chosen.side > 0
        side.styles.width = max(chosen.side, 1)
        self.query_one("#body", Horizontal).display = whole

    @property
    def _order(self) -> str:
        return self.meshtop.choices.orders.get(self.kind, ORDERS[0])

    def _listed(self, scene: Scene) -> list[ShownLink]:
        choices = self.meshtop.choices
        return listed(scene, choices.paths(scene), choices.metric, self.filter, self._order)

    def action_sort(self) -> None:
        """Of the list of links; a matrix is in the order of the configuration."""
        if self._plan is None or self._plan.mode != "list":
            self.meshtop.say(
                "The matrix is in the configured order; lists of links, stalls, flows and the log can be sorted."
            )
            return
        self.meshtop.say(f"Links {self.meshtop.choices.next_order(self.kind, ORDERS)}.")
        self.meshtop.repaint()

    # ── keys and mouse ───────────────────────────────────────────────────────────────────────────────────────────

    def wheel(self, direction: int) -> None:
        if self._plan is not None and self._plan.mode == "list":
            self.action_move(direction, 0)

    def action_move(self, rows: int, columns: int) -> None:
        choices, scene = self.meshtop.choices, self.meshtop.scene()
        if self._plan is not None and self._plan.mode == "list":
            pairs = [(shown.link.src, shown.link.dst) for shown in self._listed(scene)]
            choices.move_in_list(pairs, rows or columns)
        else:
            choices.move(scene, rows, columns)
        self.meshtop.repaint()

    def action_metric(self, name: str) -> None:
        for metric in METRICS:
            if metric == name:
                self.meshtop.choices.metric = metric
        self.meshtop.repaint()

    def action_next_path(self) -> None:
        self.meshtop.choices.next_path(self.meshtop.scene())
        self.meshtop.repaint()

    async def on_link_picked(self, picked: LinkPicked) -> None:
        self.meshtop.choices.pick(picked.src, picked.dst)
        if picked.enter:
            await self.meshtop.action_link_screen()
            return
        self.meshtop.repaint()
