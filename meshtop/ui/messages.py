"""What the parts of the screen tell each other."""

from __future__ import annotations

from textual.message import Message

from meshtop.model import NodeName


class ViewChanged(Message):
    """The source has something new. Those that wait in a queue stand for each other."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ViewChanged)


class LinkPicked(Message):
    """The operator chose a directed pair by mouse; with ``enter`` to go on to its charts."""

    def __init__(self, src: NodeName, dst: NodeName, *, enter: bool = False) -> None:
        super().__init__()
        self.src = src
        self.dst = dst
        self.enter = enter


class MomentPicked(Message):
    """The operator chose a moment on a chart by mouse (operator's UTC)."""

    def __init__(self, at: float) -> None:
        super().__init__()
        self.at = at
