"""A screen between a header and a footer: what all have alike whose body is a list."""

from __future__ import annotations

from collections.abc import Iterable

from textual.app import ComposeResult
from textual.widget import Widget

from meshtop.ui import keys
from meshtop.ui.keys import Hint
from meshtop.ui.layout import notice_lines
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.widgets.canvas import Canvas
from meshtop.ui.widgets.footer import Footer
from meshtop.ui.widgets.header import Header, HeaderLook
from meshtop.ui.widgets.notice import Notice


class FramedScreen(SceneScreen):
    """A subclass says what stands in between: :meth:`body` once, :meth:`show_body` at each painting."""

    def body(self) -> Iterable[Widget]:
        yield Canvas(id="lines")

    def show_body(self, scene: Scene, width: int, height: int) -> None:
        """``height`` is at least one line."""
        raise NotImplementedError

    def hints(self, scene: Scene) -> tuple[Hint, ...]:
        """Of the footer, the most important first."""
        return keys.hints(self.kind, self.meshtop.key_table)

    def compose(self) -> ComposeResult:
        yield Header(id="header")
        yield Notice(id="notice")
        yield from self.body()
        yield Footer(id="footer")

    def show(self, scene: Scene) -> None:
        if not self.is_mounted or not self.query("#footer"):
            return
        width, height = self.app.size
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        notice = notice_lines(height, bool(scene.view.notice))
        self.query_one(Notice).draw(scene.view.notice, notice, width, glyphs, palette)
        self.show_body(scene, width, max(height - 2 - notice, 1))
        look = HeaderLook(self.meshtop.choices.paths(scene), self.meshtop.frozen_at)
        self.query_one(Header).draw(scene, look, width, glyphs, palette)
        self.query_one(Footer).draw(scene, self.hints(scene), width, glyphs, palette)
