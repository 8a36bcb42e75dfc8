"""What a screen shows at one moment: a view, judged by how old it is when it is painted.

The engine judges links by what it has heard; only the screen knows how long ago it heard from the engine. So freshness
is decided here, at paint time: a link whose sample is older than two intervals, or any link of a source that fell
silent, is ``stale`` whatever was said about it before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, cast

from rich.cells import cell_len

from meshtop.engine.snapshot import LinkState, LinkView, NodeState, NodeView
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import LinkKey, NodeName, Path, PathName
from meshtop.ui.source import Source
from meshtop.units import format_age

ShownState = Literal[LinkState, "stale"]
ShownNodeState = Literal[NodeState, "stale"]

# The engine is asked for a view at least once a second. Three misses in a row are no jitter, and with them everything
# has turned grey within four seconds of the last news.
SOURCE_SILENT_S = 3.0
# At intervals of 0.1 s two of them pass on any SSH connection; cells that flicker grey would be noise.
STALE_FLOOR_S = 1.0

# Worst first. A stall outranks a dead path: it is what this program is for, and it burns while it lasts.
BY_SEVERITY: tuple[ShownState, ...] = (
    "stalled", "down", "lossy", "degraded", "stale", "no-data", "idle", "ok",
)  # fmt: skip
RANK: Mapping[ShownState, int] = {state: rank for rank, state in enumerate(BY_SEVERITY)}
TROUBLE: frozenset[ShownState] = frozenset({"stalled", "down", "lossy", "degraded"})
WORDS: Mapping[ShownState, str] = {
    "stalled": "stalled", "down": "down", "lossy": "lossy", "degraded": "degraded", "stale": "stale",
    "no-data": "no data", "idle": "idle", "ok": "ok",
}  # fmt: skip

NODE_WORDS: Mapping[ShownNodeState, str] = {
    "up": "up", "connecting": "connecting", "silent": "silent", "down": "down", "stale": "no news",
}  # fmt: skip


def age_words(age_s: float | None) -> str:
    """At most four cells, in whole seconds: tenths that tick away would draw the eye to what says least."""
    return format_age(age_s) if age_s is None or age_s >= 99 else f"{int(max(age_s, 0.0))}s"


@dataclass(frozen=True, slots=True)
class ShownLink:
    link: LinkView
    state: ShownState
    age_s: float | None
    trail: tuple[TrailPoint, ...]

    @property
    def key(self) -> LinkKey:
        return self.link.key

    @property
    def stale(self) -> bool:
        return self.state == "stale"


@dataclass(frozen=True, slots=True)
class ShownNode:
    node: NodeView
    state: ShownNodeState
    age_s: float | None

    @property
    def usable(self) -> bool:
        return self.state == "up"


@dataclass(frozen=True)
class Scene:
    """``silence_s``: seconds since the source gave this view. ``interval_s``: the sampling interval now in force.
    ``source``: whom to ask for what is only looked at one by one; it is asked once a scene, so that a frozen one stays
    as it is."""

    view: View
    silence_s: float
    interval_s: float
    source: Source | None = None
    live_s: float | None = None  # the operator's UTC of now, where the scene is of the past
    _asked: dict[object, tuple[object, ...]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def now_s(self) -> float:
        """The operator's UTC at this moment."""
        return self.view.at + self.silence_s

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        """A link's last fifteen minutes; of a scene of the past with what came after it."""
        if key not in self._asked:
            known = self.source.trail(key) if self.source is not None else ()
            self._asked[key] = known if self.view.past else tuple(point for point in known if point.at <= self.now_s)
        return cast("tuple[TrailPoint, ...]", self._asked[key])

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        """The open sockets of a node, or of one of its links. None of the past: flows are not kept; and none of a node
        that is not heard: what they did then says nothing of now."""
        shown = self.node.get(node)
        if self.source is None or self.view.past or shown is None or not shown.usable:
            return ()
        if (node, link) not in self._asked:
            self._asked[node, link] = self.source.flows(node, link)
        return cast("tuple[FlowView, ...]", self._asked[node, link])

    @property
    def source_lost(self) -> bool:
        return self.silence_s > SOURCE_SILENT_S

    @property
    def stale_after_s(self) -> float:
        return max(2 * self.interval_s, STALE_FLOOR_S)

    @cached_property
    def nodes(self) -> tuple[ShownNode, ...]:
        """In the order of the configuration."""
        by_name = {node.name: self._shown_node(node) for node in self.view.snapshot.nodes}
        return tuple(by_name[node.name] for node in self.view.mesh.nodes if node.name in by_name)

    @cached_property
    def node(self) -> Mapping[NodeName, ShownNode]:
        return {shown.node.name: shown for shown in self.nodes}

    @cached_property
    def links(self) -> Mapping[LinkKey, ShownLink]:
        return {link.key: self._shown_link(link) for link in self.view.snapshot.links}

    @cached_property
    def worst_first(self) -> tuple[ShownLink, ...]:
        """By severity; among equals in the order of the configuration, so that a list stays put while figures move."""
        return tuple(sorted(self.links.values(), key=lambda shown: RANK[shown.state]))

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.view.mesh.paths

    @property
    def nodes_up(self) -> int:
        return sum(shown.usable for shown in self.nodes)

    @property
    def nothing_to_show(self) -> bool:
        """No node gives anything. Figures that merely grew old are still worth showing as such."""
        return self.nodes_up == 0 and all(shown.state == "no-data" for shown in self.links.values())

    @cached_property
    def longest_name(self) -> int:
        """Of a node, in cells."""
        return max((cell_len(shown.node.name) for shown in self.nodes), default=1)

    def pair_width(self, most: int) -> int:
        """Cells that the longest ``src→dst`` may take, up to ``most``."""
        return min(2 * self.longest_name + 1, most)

    def counts(self, paths: tuple[PathName, ...]) -> Mapping[ShownState, int]:
        found: dict[ShownState, int] = dict.fromkeys(BY_SEVERITY, 0)
        for key, shown in self.links.items():
            if key.path in paths:
                found[shown.state] += 1
        return found

    def _shown_node(self, node: NodeView) -> ShownNode:
        age_s = None if node.sample_age_s is None else node.sample_age_s + self.silence_s
        state: ShownNodeState = node.state
        if self.source_lost or (node.state == "up" and (age_s is None or age_s > max(3 * self.interval_s, 3.0))):
            state = "stale"
        return ShownNode(node, state, age_s)

    def _shown_link(self, link: LinkView) -> ShownLink:
        sampled_s = link.sample_age_s
        if sampled_s is None:
            shown_node = self.node.get(link.src)
            sampled_s = shown_node.node.sample_age_s if shown_node is not None else None
        age_s = None if sampled_s is None else sampled_s + self.silence_s
        state: ShownState = link.state
        if link.state != "no-data" and (self.source_lost or age_s is None or age_s > self.stale_after_s):
            state = "stale"
        return ShownLink(link, state, age_s, self.view.trails.get(link.key, ()))
