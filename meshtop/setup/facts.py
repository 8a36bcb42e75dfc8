"""What is known of the nodes when they are judged: surveys, listeners, answers of the ways."""

from __future__ import annotations

from collections.abc import Mapping

from meshtop.model import LinkKey, Mesh, NodeName, Value
from meshtop.parse.survey import NodeSurvey
from meshtop.parse.ways import WayAnswers

# The engine maps every node's clock to the operator's; from here on their logs no longer stand side by side.
CLOCK_OFF_S = 1.0


class SshFault(Value, frozen=True, kw_only=True):
    """Why there is no session with a node. ``kind`` is one of ``transport.base.FAULTS``."""

    kind: str
    reason: str
    cure: str


class NodeFacts(Value, frozen=True, kw_only=True):
    """One node, as it was reached and asked. ``began``: its shell ran the survey. ``listener``: the burst port on which
    an iperf3 of ours listened meanwhile; ``listener_fault``: why none did, in words."""

    fault: SshFault | None = None
    survey: NodeSurvey | None = None
    began: bool = False
    noise: str = ""
    complaint: str = ""
    connect_s: float | None = None
    rtt_ms: float | None = None
    dialled: str | None = None  # the address at the far end of the SSH connection, where there is one
    clock_offset_s: float | None = None  # the node's clock − the operator's
    clock_doubt_s: float | None = None

    @property
    def clock_is_off(self) -> bool:
        """By more than what the way there leaves in doubt."""
        return self.clock_offset_s is not None and abs(self.clock_offset_s) - (self.clock_doubt_s or 0.0) >= CLOCK_OFF_S

    listener: int | None = None
    listener_fault: str | None = None


class MeshFacts(Value, frozen=True, kw_only=True):
    mesh: Mesh
    targets: Mapping[NodeName, str]
    first_port: int
    last_port: int
    nodes: Mapping[NodeName, NodeFacts]
    ways: Mapping[LinkKey, WayAnswers] = {}

    @property
    def ports(self) -> str:
        first, last = self.first_port, self.last_port
        return str(first) if first == last else f"{first}-{last}"

    def survey(self, node: NodeName) -> NodeSurvey | None:
        facts = self.nodes.get(node)
        return facts.survey if facts else None
