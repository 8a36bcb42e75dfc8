"""Where a screen gets its views from, and where its wishes go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from meshtop.burst import BurstPlan, BurstRequest
from meshtop.engine.view import FlowView, TrailPoint, View
from meshtop.model import LinkKey, NodeName
from meshtop.requests import Command, RunExperiment


class Cost(Protocol):
    """``sends`` is in words: what, how much at most, for how long."""

    @property
    def sends(self) -> str: ...


class Source(Protocol):
    """A live collection, a replay or a script: a screen cannot tell them apart.

    All are called in the event loop of the screen and return at once.
    """

    def view(self) -> View:
        """The state now. ``View.at`` moves on from call to call while the source lives; a source whose ``at`` stands
        still is taken for dead after :data:`meshtop.ui.scene.SOURCE_SILENT_S`, and nothing is shown as healthy then."""
        ...

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever something changed. It is cheap: painting is paced elsewhere."""
        ...

    def send(self, command: Command) -> None:
        """Do what the operator asked for. Raises ValueError with plain words for what cannot be done."""
        ...

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        """What a burst would cost now, and the reasons for which it has to be confirmed. Raises ValueError with the
        reason and the cure for one that cannot be."""
        ...

    def plan_experiment(self, command: RunExperiment) -> Cost:
        """What an experiment would send. Raises ValueError for one that cannot be."""
        ...

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        """A link's last fifteen minutes and a little more, oldest first. What no point covers was not measured."""
        ...

    def past(self, at: float) -> View | None:
        """All that a screen may draw from as it was at ``at`` (operator's UTC), with ``View.past`` set and ``View.at``
        the moment that is really shown, at most a few seconds earlier. None where nothing is kept of then: before the
        start, or longer ago than about fifteen minutes."""
        ...

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        """The open sockets of a node that its probe sees, or those of one of its links, as of its newest sample: of now
        alone, as flows are not kept. Empty where the node is not heard or its sockets cannot be read."""
        ...
