"""All nodes at once: one supervisor each, a shared limit on handshakes, one place where their events go."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from meshtop.agent import probe
from meshtop.collect.clock import Clock
from meshtop.collect.feed import Outlet, ProbeLanguage, RawTap, Sink
from meshtop.collect.supervisor import Supervisor
from meshtop.collect.timing import Timing
from meshtop.model import Mesh, NodeName
from meshtop.parse.frame import FrameReader
from meshtop.parse.framing import FrameDecoder
from meshtop.transport.base import Session, Transport

SHORTEST_INTERVAL_S = 0.1  # as in meshtop.toml
LONGEST_INTERVAL_S = 60.0


def probe_language(mesh: Mesh, node: NodeName) -> ProbeLanguage:
    """That of the probe in ``meshtop.agent``, for one node."""
    plan = probe.plan_for(mesh, node)

    def bootstrap(interval_s: float) -> tuple[str, bytes]:
        return probe.bootstrap(msgspec.structs.replace(plan, interval_s=interval_s))

    return ProbeLanguage(
        bootstrap=bootstrap,
        renew_lease=probe.renew_lease,
        set_interval=probe.set_interval,
        request_key_frame=probe.request_key_frame,
        decoder=FrameDecoder,
        reader=FrameReader,
    )


class Collector:
    """Runs the probes of a mesh. Events go to ``sink``, raw frames as they came also to ``raw_tap``
    (node, connection, at, bytes); both are called in the event loop's thread and should be quick."""

    def __init__(
        self,
        mesh: Mesh,
        transports: Mapping[NodeName, Transport],
        sink: Sink,
        clock: Clock,
        raw_tap: RawTap | None = None,
        timing: Timing | None = None,
    ) -> None:
        """Nodes without a transport are left alone."""
        self._timing = timing if timing is not None else Timing()
        handshakes = asyncio.Semaphore(self._timing.handshakes)
        self._supervisors = {
            node.name: Supervisor(
                transports[node.name],
                probe_language(mesh, node.name),
                Outlet(node.name, sink, clock, raw_tap),
                self._timing,
                handshakes,
                mesh.interval_s,
            )
            for node in mesh.nodes
            if node.name in transports
        }

    async def run(self) -> None:
        """Until cancelled; then every session is closed in an orderly way, all at once, within about two seconds."""
        async with asyncio.TaskGroup() as group:
            for place, supervisor in enumerate(self._supervisors.values()):
                group.create_task(supervisor.run(place * self._timing.stagger_s))
            await asyncio.Event().wait()  # also without any node

    async def set_interval(self, interval_s: float) -> None:
        """Sample every node at this interval from now on. Raises ValueError outside 0.1 … 60 s."""
        if not SHORTEST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(f"an interval is {SHORTEST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g} s")
        for supervisor in self._supervisors.values():
            supervisor.set_interval(interval_s)

    async def set_node_interval(self, node: NodeName, interval_s: float) -> None:
        """Sample one node at this interval until the next call for it or for all. Raises ValueError outside 0.1 … 60 s.
        A node that is not collected is left alone."""
        if not SHORTEST_INTERVAL_S <= interval_s <= LONGEST_INTERVAL_S:
            raise ValueError(f"an interval is {SHORTEST_INTERVAL_S:g} to {LONGEST_INTERVAL_S:g} s")
        supervisor = self._supervisors.get(node)
        if supervisor is not None:
            supervisor.set_interval(interval_s)

    async def all_settled(self) -> None:
        """Until every node is up or has failed once."""
        for supervisor in self._supervisors.values():
            await supervisor.settled.wait()

    def session(self, node: NodeName) -> Session | None:
        """The session of a node for more commands; None while there is none, and for a node that is not collected."""
        supervisor = self._supervisors.get(node)
        return None if supervisor is None else supervisor.session
