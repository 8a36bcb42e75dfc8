"""One node: its session and kernel, interfaces, watched services, what its links did, and all its flows."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from meshtop.model import LinkKey, NodeName
from meshtop.ui import keys
from meshtop.ui.layout import LINE_UNDER, notice_lines
from meshtop.ui.node_layout import NodePlan, plan_node
from meshtop.ui.scene import Scene, ShownNode
from meshtop.ui.screens.base import WHEEL_LINES
from meshtop.ui.screens.charts import ChartScreen
from meshtop.ui.widgets import flow_groups, flow_table
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.flow_groups import GROUPINGS, FlowGroups, Grouping
from meshtop.ui.widgets.flow_table import FlowsLook, FlowTable
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook, live_line
from meshtop.ui.widgets.node_parts import InterfacesPanel, NodeHead, NodeLinks
from meshtop.ui.widgets.notice import Notice
from meshtop.ui.widgets.watch_lines import WatchPanel, watch_lines
from meshtop.ui.widgets.worst_list import state_line


class NodeScreen(ChartScreen):
    """Shows ``app.choices.node``."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("node")]

    def __init__(self) -> None:
        super().__init__(id="node-screen")
        self._first = 0
        self._by: Grouping = "peer"
        self._rows = 1  # of flows that are shown

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Notice(id="notice")
        yield NodeHead(id="node-head")
        yield InterfacesPanel(id="interfaces")
        yield WatchPanel(id="watches")
        yield NodeLinks(id="node-links")
        yield FlowGroups(id="groups")
        yield FlowTable(id="flows")
        yield Canvas(id="line")
        yield Footer(id="footer")

    def place(self) -> str:
        return f"node:{self.meshtop.choices.node}"

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        choices, glyphs, palette = self.meshtop.choices, self.meshtop.glyphs, self.meshtop.palette
        width, height = self.app.size
        paths, shown = choices.paths(scene), self._shown(scene)
        look = HeaderLook(paths, self.meshtop.frozen_at)
        if width < LINE_UNDER[0] or height < LINE_UNDER[1] or shown is None or not paths:
            self._arrange(None)
            line = state_line(scene, live_line(scene, look, width, glyphs, palette), width, glyphs, palette)
            self.query_one("#line", Canvas).show([line.strip(width)])
            return
        notice = notice_lines(height, bool(scene.view.notice))
        links = sum(key.src == shown.node.name and key.path == paths[0] for key in scene.links)
        watches = len(watch_lines(shown, width, glyphs, palette)) if shown.node.watches else 0
        plan = plan_node(height - 2 - notice, len(shown.node.interfaces), watches, links)
        self._arrange(plan)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Notice).draw(scene.view.notice, notice, width, glyphs, palette)
        self._show_parts(scene, shown, plan, width)
        self.query_one(Footer).draw(scene, keys.hints("node", self.meshtop.key_table), width, glyphs, palette)

    def _shown(self, scene: Scene) -> ShownNode | None:
        """The chosen one; if there is none of that name, the first."""
        choices = self.meshtop.choices
        if choices.node not in scene.node:
            choices.node = scene.nodes[0].node.name if scene.nodes else None
        return scene.node.get(choices.node) if choices.node is not None else None

    def _show_parts(self, scene: Scene, shown: ShownNode, plan: NodePlan, width: int) -> None:
        choices, glyphs, palette = self.meshtop.choices, self.meshtop.glyphs, self.meshtop.palette
        names = [one.node.name for one in scene.nodes]
        place = f"{names.index(shown.node.name) + 1} of {len(names)}"
        self.query_one(NodeHead).draw(scene, shown, place, width, plan.head, glyphs, palette)
        if plan.interfaces:
            configured = next((node for node in scene.view.mesh.nodes if node.name == shown.node.name), None)
            self.query_one(InterfacesPanel).draw(shown, configured, width, plan.interfaces, glyphs, palette)
        if plan.watches:
            self.query_one(WatchPanel).draw(shown, width, plan.watches, False, glyphs, palette)
        if plan.links:
            window = (choices.window_s, self.chart_end(scene))
            path = choices.paths(scene)[0]
            self.query_one(NodeLinks).draw(scene, shown, path, window, width, plan.links, glyphs, palette)
        if plan.flows:
            self._show_flows(scene, shown, plan.flows, width)

    def _show_flows(self, scene: Scene, shown: ShownNode, height: int, width: int) -> None:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        flows, self._rows = scene.flows(shown.node.name), max(height - 2, 1)
        look = FlowsLook("Flows", self.filter, self._order, self._first, why_no_flows(scene, shown), peers=True)
        if self._by == "each":
            self._first = self.query_one(FlowTable).draw(flows, look, width, height, glyphs, palette)
        else:
            self._first = self.query_one(FlowGroups).draw(flows, self._by, look, width, height, glyphs, palette)

    @property
    def _orders(self) -> tuple[str, ...]:
        return flow_table.ORDERS if self._by == "each" else flow_groups.ORDERS

    @property
    def _order(self) -> str:
        chosen = self.meshtop.choices.orders.get(self.kind, self._orders[0])
        return chosen if chosen in self._orders else self._orders[0]

    def _arrange(self, plan: NodePlan | None) -> None:
        shown = plan or NodePlan()
        each = self._by == "each"
        heights = {
            "#header": int(plan is not None), "#footer": int(plan is not None), "#line": int(plan is None),
            "#node-head": shown.head, "#interfaces": shown.interfaces, "#watches": shown.watches,
            "#node-links": shown.links, "#groups": 0 if each else shown.flows, "#flows": shown.flows if each else 0,
        }  # fmt: skip
        for selector, lines in heights.items():
            part = self.query_one(selector)
            if part.display != (lines > 0):
                part.display = lines > 0
            if part.styles.height is None or part.styles.height.value != max(lines, 1):
                part.styles.height = max(lines, 1)
        if plan is None:
            self.query_one(Notice).display = False

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def events_of(self) -> frozenset[LinkKey]:
        """Of all links from and to it."""
        name = self.meshtop.choices.node
        return frozenset(key for key in self.meshtop.scene().links if name in (key.src, key.dst))

    def action_next_node(self, direction: int) -> None:
        names = [one.node.name for one in self.meshtop.scene().nodes]
        if names and self.meshtop.choices.node in names:
            self._go_to(names[(names.index(self.meshtop.choices.node) + direction) % len(names)])

    def action_other(self) -> None:
        """The pair's other end, from whichever of its ends."""
        pair = self.meshtop.choices.pair
        if pair is not None:
            self._go_to(pair[0] if self.meshtop.choices.node == pair[1] else pair[1])

    def _go_to(self, name: NodeName) -> None:
        self.meshtop.choices.node = name
        self._first = 0
        self.meshtop.repaint()

    def action_group(self) -> None:
        self._by = GROUPINGS[(GROUPINGS.index(self._by) + 1) % len(GROUPINGS)]
        self._first = 0
        self.meshtop.repaint()

    def action_sort(self) -> None:
        self.meshtop.say(f"Flows by {self.meshtop.choices.next_order(self.kind, self._orders)}.")
        self._first = 0
        self.meshtop.repaint()

    def wheel(self, direction: int) -> None:
        self.action_scroll_by(WHEEL_LINES * direction)

    def action_scroll_by(self, lines: int) -> None:
        self._first = max(0, self._first + lines)
        self.meshtop.repaint()

    def action_scroll_page(self, pages: int) -> None:
        self.action_scroll_by(pages * self._rows)


def why_no_flows(scene: Scene, shown: ShownNode) -> str:
    if scene.view.past:
        return "flows are not kept: esc shows those of now"
    if not shown.usable:
        return f"{shown.node.name} tells nothing now: its flows are not visible"
    if shown.node.sockets is None:
        return f"the sockets of {shown.node.name} cannot be read: not visible"
    return "no open flow to the mesh or of a watched service"
