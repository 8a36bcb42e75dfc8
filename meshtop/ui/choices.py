"""What the operator looks at: pair, metric, paths. Kept by the app, shared by its screens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshtop.engine.snapshot import FindingView
from meshtop.model import NodeName, PathName
from meshtop.ui.metrics import MetricName
from meshtop.ui.scales import ScaleName
from meshtop.ui.scene import TROUBLE, Scene

Pair = tuple[NodeName, NodeName]


@dataclass
class Choices:
    """``path`` None: all paths side by side. ``pair`` None: nothing was shown yet."""

    metric: MetricName = "rtt"
    pair: tuple[NodeName, NodeName] | None = None
    picked: bool = False  # by the operator; until then the worst pair is the one that is looked at
    path: PathName | None = None
    all_paths: bool = False
    node: NodeName | None = None  # of the node screen
    burst: str | None = None  # of the bursts screen; None: what runs, else the newest
    window_s: float = 120.0  # of the charts
    scale: ScaleName = "fit"
    braille: bool = False
    filters: dict[str, str] = field(default_factory=dict)  # by screen
    orders: dict[str, str] = field(default_factory=dict)  # how its list is sorted, by screen

    def next_order(self, screen: str, orders: Sequence[str]) -> str:
        """Sort the list of ``screen`` by the next of ``orders``, of which the first is the one that it begins with."""
        now = self.orders.get(screen, orders[0])
        self.orders[screen] = orders[(orders.index(now) + 1) % len(orders)] if now in orders else orders[0]
        return self.orders[screen]

    def paths(self, scene: Scene) -> tuple[PathName, ...]:
        """What stands side by side. The first configured path is what the screen opens on."""
        names = tuple(path.name for path in scene.paths)
        if self.all_paths:
            return names
        return (self.path if self.path in names else names[0],) if names else ()

    def next_path(self, scene: Scene) -> None:
        """The next path alone; after the last one all together; then the first again."""
        names = [path.name for path in scene.paths]
        if len(names) < 2:
            return
        if self.all_paths:
            self.all_paths, self.path = False, names[0]
            return
        place = names.index(self.paths(scene)[0])
        if place + 1 < len(names):
            self.path = names[place + 1]
        else:
            self.all_paths = True

    def settle(self, scene: Scene) -> None:
        """Before the operator chose a pair, that of the gravest finding is chosen (of one of a node, its link in the
        worst state, or that carries most), else the one in the worst state, else the first. One of which something is
        found, or that is in trouble, is kept as long as it is: what is looked at does not change from under who reads
        it."""
        names = [node.name for node in scene.view.mesh.nodes]
        known = self.pair is not None and set(self.pair) <= set(names)
        if known and (self.picked or scene.view.past):
            return
        sick = [
            pair
            for one in scene.view.snapshot.findings
            if one.severity != "info" and (pair := _about(one, scene, self.pair)) is not None
        ]
        if sick:
            self.pair = self.pair if self.pair in sick else sick[0]
            return
        if known and self._in_trouble(scene):
            return
        worst = scene.worst_first[0] if scene.worst_first else None
        if worst is not None and worst.state in TROUBLE:
            self.pair = (worst.link.src, worst.link.dst)
        elif len(names) >= 2 and not known:
            self.pair = (names[0], names[1])

    def pick(self, src: NodeName, dst: NodeName) -> None:
        self.pair, self.picked = (src, dst), True

    def _in_trouble(self, scene: Scene) -> bool:
        return any(shown.state in TROUBLE for key, shown in scene.links.items() if (key.src, key.dst) == self.pair)

    def move(self, scene: Scene, rows: int, columns: int) -> None:
        """One step in the matrix; the diagonal, where no link is, is stepped over."""
        names = [node.name for node in scene.view.mesh.nodes]
        if self.pair is None or len(names) < 2:
            return
        self.picked = True
        row, column = (names.index(name) for name in self.pair)
        row, column = row + rows, column + columns
        if row == column:
            row, column = row + rows, column + columns
        if 0 <= row < len(names) and 0 <= column < len(names):
            self.pair = (names[row], names[column])

    def move_in_list(self, pairs: Sequence[tuple[NodeName, NodeName]], step: int) -> None:
        """One step in a list of pairs, which may hold the same pair once a path."""
        distinct = list(dict.fromkeys(pairs))
        if not distinct:
            return
        place = distinct.index(self.pair) if self.pair in distinct else -step
        self.pick(*distinct[min(max(place + step, 0), len(distinct) - 1)])


def _about(finding: FindingView, scene: Scene, now: Pair | None) -> Pair | None:
    """The pair to look at for a finding; of a whole node ``now`` where that is as bad as any of its, and carries
    something."""
    if finding.src is not None and finding.dst is not None:
        return finding.src, finding.dst
    links = [shown for shown in scene.worst_first if finding.node in (shown.link.src, shown.link.dst)]
    alike = [shown.link for shown in links if shown.state == links[0].state]
    busy = {(link.src, link.dst): link.tx_bps for link in alike if link.tx_bps}
    if now in busy:
        return now
    if busy:
        return max(busy, key=lambda pair: busy[pair])
    return (alike[0].src, alike[0].dst) if alike else None
