"""What the parts of the screen tell each other."""

from __future__ import annotations

from textual.message import Message

from meshtop.model import NodeName


class ViewChanged(Message):
    """The source has something new. Those that wait in a queue stand for each other."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ViewChanged)


class LinkPicked(Message):
    """The operator chose a directed pair, by mouse or keys."""

    def __init__(self, src: NodeName, dst: NodeName) -> None:
        super().__init__()
        self.src = src
        self.dst = dst
