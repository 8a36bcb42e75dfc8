"""``meshtop run``: what a command's flows do, above the terminal that it runs on."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from meshtop.ui import keys
from meshtop.ui.draw import Line
from meshtop.ui.scene import Scene, ShownNode
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.widgets.attention import AttentionPanel
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.command_pane import Command, CommandPane
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook
from meshtop.ui.widgets.stalls_panel import StallsPanel
from meshtop.ui.widgets.watch_lines import watch_line

# The command's output is what is looked at: it has at least half of the screen, and a frame costs two lines.
_FRAMED_FROM = 28
_STRIPS_FROM = 20
_WATCH_ROWS = 10
_STRIP_ROWS = 7


class RunScreen(SceneScreen):
    BINDINGS: ClassVar[list[BindingType]] = [*keys.screen_bindings("run")]

    def __init__(self, command: Command) -> None:
        super().__init__(id="run-screen")
        self._command = command

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Canvas(id="watched")
        yield AttentionPanel(id="attention")
        yield StallsPanel(id="stalls")
        yield CommandPane(self._command, id="command")
        yield Footer(id="footer")

    def on_mount(self) -> None:
        self.query_one(CommandPane).focus()

    def on_command_pane_output(self) -> None:
        """At the pace of the paint: messages of one kind replace each other."""
        self._draw_command()

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        width, height = self.app.size
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        self.meshtop.choices.settle(scene)
        look = HeaderLook(self.meshtop.choices.paths(scene), self.meshtop.frozen_at)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Footer).draw(scene, keys.hints("run", self.meshtop.key_table), width, glyphs, palette)
        upper, strips = self._heights(height, scene)
        framed = height >= _FRAMED_FROM
        watched = bool(scene.view.mesh.watches)
        self._place("#watched", upper if watched else 0)
        self._place("#attention", 0 if watched else upper)
        self._place("#stalls", strips)
        self._place("#command", max(height - 2 - upper - strips, 1))
        if upper and watched:
            self._draw_watched(scene, width, upper, framed)
        elif upper:
            key = keys.written("diagnosis.open", self.meshtop.key_table)
            self.query_one(AttentionPanel).draw(scene, "", key, width, upper, framed, glyphs, palette)
        if strips:
            self.query_one(StallsPanel).draw(scene, _busiest(scene), width, strips, framed, glyphs, palette)
        self._draw_command()

    def _heights(self, height: int, scene: Scene) -> tuple[int, int]:
        """Of what stands above the command: watched flows, strips."""
        room = max((height - 2) // 2, 0)
        strips = min(_STRIP_ROWS, room // 2) if height >= _STRIPS_FROM else 0
        watched = len(_watching(scene)) if scene.view.mesh.watches else 4
        return min(room - strips, max(watched + 2, 3), _WATCH_ROWS), strips

    def _place(self, selector: str, rows: int) -> None:
        part = self.query_one(selector, Canvas)
        part.display = rows > 0
        part.styles.height = max(rows, 1)

    def _draw_watched(self, scene: Scene, width: int, height: int, framed: bool) -> None:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        inner, rows = width - (2 if framed else 0), height - (2 if framed else 1)
        body = []
        who = max(scene.longest_name, 2)
        for shown in _watching(scene):
            line = Line().gap().add(glyphs.fit(shown.node.name, who), palette.bold).gap(2)
            said = watch_line(shown, inner - line.width - 1, glyphs, palette)
            body.append(line.join(said) if said is not None else line)
        names = ", ".join(watch.name for watch in scene.view.mesh.watches)
        title = Line().add("Watched flows", palette.title).add(glyphs.text(f" · {names}"), palette.dim)
        if len(body) > rows > 0:
            body[rows - 1 :] = [Line().gap().add(f"and {len(body) - rows + 1} lines more", palette.dim)]
        self.query_one("#watched", Canvas).show(panel(title, body, width, height, framed, glyphs, palette))

    def _draw_command(self) -> None:
        pane = self.query_one(CommandPane)
        width, height = self.app.size
        rows = int(pane.styles.height.value) if pane.styles.height is not None else 0
        if rows > 0:
            pane.draw(width, rows, height >= _FRAMED_FROM, self.meshtop.glyphs, self.meshtop.palette)

    def action_switch(self) -> None:
        """The keyboard to the command, or to meshtop."""
        pane = self.query_one(CommandPane)
        if pane.has_focus:
            self.set_focus(None)
        else:
            pane.focus()
        self._draw_command()


def _busiest(scene: Scene) -> tuple[str, str] | None:
    """The pair over which the watched flows move most, with the sender first."""
    rates = {
        (shown.node.name, peer.dst) if sends >= takes else (peer.dst, shown.node.name): max(sends, takes)
        for shown in _watching(scene)
        for watch in shown.node.watches
        for peer in watch.peers
        if peer.dst is not None
        for sends, takes in ((peer.tx_bps or 0.0, peer.rx_bps or 0.0),)
    }
    return max(rates, key=lambda pair: rates[pair]) if rates else None


def _watching(scene: Scene) -> list[ShownNode]:
    """The nodes on which something is watched."""
    return [shown for shown in scene.nodes if shown.node.watches]
