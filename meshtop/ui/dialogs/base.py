"""A dialog that draws itself: lines in a box, over whatever screen is below."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen

from meshtop.ui import keys
from meshtop.ui.draw import Line
from meshtop.ui.keys import Scope
from meshtop.ui.widgets.canvas import Canvas, panel

if TYPE_CHECKING:
    from meshtop.ui.app import MeshtopApp

T = TypeVar("T")


class DrawnDialog(ModalScreen[T]):
    """``title``, ``hint`` and :meth:`body` are drawn at most ``WIDTH`` cells wide, and as high as they need and fit."""

    ALLOW_SELECT = False
    AUTO_FOCUS = ""
    WIDTH = 76
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("always", priority=True)]

    def compose(self) -> ComposeResult:
        yield Canvas(id="dialog-box")

    @property
    def meshtop(self) -> MeshtopApp:
        return cast("MeshtopApp", self.app)

    def title_words(self) -> str:
        raise NotImplementedError

    def hint_words(self) -> str:
        return "esc cancel"

    def body(self, width: int, height: int) -> list[Line]:
        """At most ``height`` lines of at most ``width`` cells."""
        raise NotImplementedError

    def redraw(self) -> None:
        if not self.query("#dialog-box"):
            return
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        columns, rows = self.app.size
        width = min(self.WIDTH, columns)
        body = self.body(width - 2, max(rows - 2, 1))
        height = min(len(body) + 2, rows)
        box = self.query_one("#dialog-box", Canvas)
        box.styles.width, box.styles.height = width, height
        title = Line().add(glyphs.fit(self.title_words(), min(width - 6, 40)).rstrip(), palette.title)
        right = Line().add(glyphs.text(self.hint_words()), palette.dim)
        box.show(panel(title, body[: max(height - 2, 0)], width, height, True, glyphs, palette, right=right))

    def on_mount(self) -> None:
        self.redraw()
        self.set_interval(1.0, self.redraw)  # what it says of the mesh moves on, whether it is painted below or not

    def on_resize(self) -> None:
        self.redraw()

    def action_dismiss_dialog(self) -> None:
        self.dismiss(None)


class TypingDialog(DrawnDialog[T]):
    """One in which letters are text. Keys and letters are taken in the order in which they were pressed: a binding is
    run only after its key went up to the app, and a letter that follows at once would overtake it."""

    SCOPES: ClassVar[frozenset[Scope]]

    async def on_key(self, event: events.Key) -> None:
        for key in self.meshtop.key_table:
            if key.scope in self.SCOPES and event.key in key.keys:
                event.stop()
                event.prevent_default()
                await self.app.run_action(key.action, self)
                return
        if event.character and event.is_printable:
            event.stop()
            self.typed(event.character)

    def typed(self, text: str) -> None:
        raise NotImplementedError


def button(line: Line, text: str, chosen: bool, dialog: DrawnDialog[Any]) -> Line:
    """A word that can be pressed; the chosen one stands reversed and in brackets, so that no colour is needed."""
    palette = dialog.meshtop.palette
    if chosen:
        return line.add(f"[ {text} ]", palette.chosen)
    return line.add(f"  {text}  ", palette.text)
