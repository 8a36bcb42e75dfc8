"""One pair: overlay and underlay on the same axes, its flows, what each end's kernel says, and what to do next."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from meshtop.model import LinkKey, PathName
from meshtop.ui import keys
from meshtop.ui.draw import Line
from meshtop.ui.layout import LINE_UNDER, notice_lines
from meshtop.ui.link_layout import LinkPlan, plan_link
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import WHEEL_LINES
from meshtop.ui.screens.charts import ChartScreen
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.flow_table import ORDERS, FlowsLook, FlowTable
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook, live_line
from meshtop.ui.widgets.link_charts import ChartLook, LinkCharts, charted_paths
from meshtop.ui.widgets.link_panel import Pair
from meshtop.ui.widgets.notice import Notice
from meshtop.ui.widgets.pair_states import PairStates
from meshtop.ui.widgets.pair_words import EndsPanel, FindingPanel
from meshtop.ui.widgets.worst_list import state_line
from meshtop.units import format_duration


class LinkScreen(ChartScreen):
    """Shows the pair and the path that all screens share (``app.choices``)."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("link")]

    def __init__(self) -> None:
        super().__init__(id="link-screen")
        self._first_flow = 0
        self._plan: LinkPlan | None = None

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Notice(id="notice")
        yield PairStates(id="pair-states")
        yield LinkCharts(id="charts")
        yield FindingPanel(id="finding")
        yield FlowTable(id="flows")
        yield EndsPanel(id="ends")
        yield Canvas(id="line")
        yield Footer(id="footer")

    def place(self) -> str:
        pair = self.meshtop.choices.pair
        return f"link:{pair[0]}:{pair[1]}" if pair is not None else "link"

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        choices, glyphs, palette = self.meshtop.choices, self.meshtop.glyphs, self.meshtop.palette
        choices.settle(scene)
        width, height = self.app.size
        subject, pair = choices.paths(scene)[:1], choices.pair
        look = HeaderLook(choices.paths(scene), self.meshtop.frozen_at)
        if width < LINE_UNDER[0] or height < LINE_UNDER[1] or not subject or pair is None:
            self._arrange(None)
            line = state_line(scene, live_line(scene, look, width, glyphs, palette), width, glyphs, palette)
            self.query_one("#line", Canvas).show([line.strip(width)])
            return
        notice = notice_lines(height, bool(scene.view.notice))
        paths = charted_paths(scene, subject[0])
        plan = plan_link(height - 2 - notice, len(paths))
        self._arrange(plan)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Notice).draw(scene.view.notice, notice, width, glyphs, palette)
        self._show_parts(scene, plan, pair, paths, subject[0], width)
        self.query_one(Footer).draw(scene, keys.hints("link", self.meshtop.key_table), width, glyphs, palette)

    def _show_parts(
        self, scene: Scene, plan: LinkPlan, pair: Pair, paths: tuple[PathName, ...], subject: PathName, width: int
    ) -> None:
        choices, glyphs, palette = self.meshtop.choices, self.meshtop.glyphs, self.meshtop.palette
        states = self.query_one(PairStates)
        states.draw(scene, pair, paths, subject, self._chart_words(width), width, plan.states, glyphs, palette)
        charts = ChartLook(
            keys=tuple(LinkKey(*pair, path) for path in paths),
            window_s=choices.window_s,
            end_s=self.chart_end(scene),
            scale=choices.scale,
            braille=choices.braille,
            cursor_s=scene.now_s if scene.view.past else None,
        )
        self.query_one(LinkCharts).draw(scene, charts, plan, width, glyphs, palette)
        if plan.finding:
            self.query_one(FindingPanel).draw(scene, pair, width, plan.finding, glyphs, palette)
        if plan.flows:
            self._show_flows(scene, LinkKey(*pair, subject), plan.flows, width)
        if plan.ends:
            self.query_one(EndsPanel).draw(scene, pair, width, plan.ends, glyphs, palette)

    def _show_flows(self, scene: Scene, key: LinkKey, height: int, width: int) -> None:
        order = self.meshtop.choices.orders.get(self.kind, ORDERS[0])
        look = FlowsLook(f"Flows on {key.path}", self.filter, order, self._first_flow, why_no_flows(scene, key))
        flows = scene.flows(key.src, key)
        self._first_flow = self.query_one(FlowTable).draw(
            flows, look, width, height, self.meshtop.glyphs, self.meshtop.palette
        )

    def _chart_words(self, width: int) -> Line:
        choices, palette = self.meshtop.choices, self.meshtop.palette
        if width < 60:
            return Line()
        line = Line().add("z Z", palette.key).add(f" {format_duration(choices.window_s)}  ", palette.dim)
        return line.add("y", palette.key).add(f" {choices.scale}", palette.dim)

    def _arrange(self, plan: LinkPlan | None) -> None:
        """Give the parts their places; only when these change."""
        if plan == self._plan and self.query_one("#line").display == (plan is None):
            return
        self._plan = plan
        shown = plan or LinkPlan()
        heights = {
            "#header": int(plan is not None), "#footer": int(plan is not None), "#line": int(plan is None),
            "#pair-states": shown.states, "#charts": shown.charts, "#finding": shown.finding, "#flows": shown.flows,
            "#ends": shown.ends,
        }  # fmt: skip
        for selector, lines in heights.items():
            part = self.query_one(selector)
            part.display = lines > 0
            part.styles.height = max(lines, 1)
        if plan is None:
            self.query_one(Notice).display = False

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def events_of(self) -> frozenset[LinkKey]:
        pair = self.meshtop.choices.pair
        paths = self.meshtop.scene().paths
        return frozenset(LinkKey(*pair, path.name) for path in paths) if pair is not None else frozenset()

    def action_next_path(self) -> None:
        choices, scene = self.meshtop.choices, self.meshtop.scene()
        names = [path.name for path in scene.paths]
        if len(names) < 2:
            self.meshtop.say("There is one path only.")
            return
        now = choices.paths(scene)[0]
        choices.path, choices.all_paths = names[(names.index(now) + 1) % len(names)], False
        self._first_flow = 0
        self.meshtop.repaint()

    def action_reverse(self) -> None:
        pair = self.meshtop.choices.pair
        if pair is not None:
            self.meshtop.choices.pick(pair[1], pair[0])
            self._first_flow = 0
            self.meshtop.repaint()

    def action_sort(self) -> None:
        self.meshtop.say(f"Flows by {self.meshtop.choices.next_order(self.kind, ORDERS)}.")
        self._first_flow = 0
        self.meshtop.repaint()

    def wheel(self, direction: int) -> None:
        self.action_scroll_by(WHEEL_LINES * direction)

    def action_scroll_by(self, lines: int) -> None:
        self._first_flow = max(0, self._first_flow + lines)
        self.meshtop.repaint()


def why_no_flows(scene: Scene, key: LinkKey) -> str:
    """What stands in place of flows, where there are none: no traffic, or nothing to see it by."""
    shown = scene.node.get(key.src)
    if scene.view.past:
        return "flows are not kept: esc shows those of now"
    if shown is None or not shown.usable:
        return f"{key.src} tells nothing now: its flows are not visible"
    if shown.node.sockets is None:
        return f"the sockets of {key.src} cannot be read: not visible"
    return f"{key.src} has no open flow to {key.dst} on {key.path}"
