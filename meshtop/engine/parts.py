"""What a view shows of each node and of the links from it.

A screen is painted several times a second, and each node is heard once in that time: most of what one view shows the
next one shows too. So a node's part is kept until an event is about that node, and a moment at most, as windows move on
by themselves; only the ages of its samples are told anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from meshtop.engine.figures import Window, link_view, node_view, stall_views
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import LinkView, NodeView, StallView
from meshtop.engine.view import Strip, TrailPoint
from meshtop.model import LinkKey, NodeName

# Shorter than the least time in which a silent node may be taken for one that is heard.
_KEPT_S = 1.0


class Part(NamedTuple):
    node: NodeView
    links: tuple[LinkView, ...]
    stalls: tuple[StallView, ...]  # of the window

    @classmethod
    def of(cls, record: NodeRecord, now: float, window_s: float) -> Part:
        window = Window.of(record, now, window_s)
        node = node_view(record, now, window)
        links = tuple(link_view(record, link, now, window, node) for link in record.links.values())
        return cls(node, links, tuple(stall_views(record, window)))


class DrawnPart(NamedTuple):
    """With what is drawn of the links' last minutes."""

    made_at: float
    part: Part
    trails: Mapping[LinkKey, tuple[TrailPoint, ...]]
    strips: Mapping[LinkKey, Strip]

    @classmethod
    def of(cls, record: NodeRecord, now: float, window_s: float) -> DrawnPart:
        upto, fresh_s = record.axis_now(now), record.fresh_limit_s
        links = record.links.items()
        return cls(
            made_at=now,
            part=Part.of(record, now, window_s),
            trails={key: link.trail(upto, now, record.interval_s, fresh_s) for key, link in links},
            strips={key: link.strip.view(upto, now, fresh_s, link.stalls) for key, link in links},
        )

    def aged(self, age_s: float) -> DrawnPart:
        """The same when the newest sample is ``age_s`` old."""
        aged_s = round(age_s, 3)
        replace = msgspec.structs.replace
        links = tuple(replace(link, sample_age_s=aged_s) for link in self.part.links)
        return self._replace(part=Part(replace(self.part.node, sample_age_s=aged_s), links, self.part.stalls))


class Parts:
    """Of all nodes, for views over windows of one length."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._kept: dict[NodeName, DrawnPart] = {}

    def changed(self, node: NodeName | None) -> None:
        """Something came of that node, or of all."""
        if node is None:
            self._kept.clear()
        else:
            self._kept.pop(node, None)

    def at(self, record: NodeRecord, now: float) -> DrawnPart:
        name = record.node.name
        kept, age_s = self._kept.get(name), record.sample_age_s(now)
        # Of a node that is not heard the very words tell for how long.
        if kept is not None and 0 <= now - kept.made_at < _KEPT_S and kept.part.node.state == "up":
            if now == kept.made_at:
                return kept
            if age_s is not None and age_s <= record.fresh_limit_s:
                return kept.aged(age_s)
        made = self._kept[name] = DrawnPart.of(record, now, self._window_s)
        return made
