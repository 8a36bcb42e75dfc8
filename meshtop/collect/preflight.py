"""Asking nodes what they are, and trying the ways between them, before anything is watched.

Every node has one session, on which at most three things run: its survey, then a server to connect to, and the ways
that it tries itself. All of it is bounded and ends with the session.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from meshtop.agent.survey import Way, survey_script, ways_script
from meshtop.collect.errand import Said, run_errand
from meshtop.collect.reaped import Order, Reaped
from meshtop.model import LinkKey, Mesh, NodeName
from meshtop.parse.iperf3 import listening_port
from meshtop.parse.survey import parse_survey
from meshtop.parse.text import clean_bytes
from meshtop.parse.ways import WayAnswers, parse_ways
from meshtop.setup.facts import NodeFacts, SshFault
from meshtop.transport.base import Session, Transport, TransportFault

T = TypeVar("T")

SURVEY_S = 20.0  # a login shell, a dozen commands; a host with thousands of sockets
# Pings that are all lost, or a path MTU that is searched for by packets that vanish: ten steps of three seconds.
WAYS_S = 45.0
LISTEN_S = 6.0
CONNECT_S = 40.0  # what the transport itself may take with its default of 5 s, login included, and a jump host


class Preflight:
    """The sessions of all nodes, for as long as it is entered. ``now``: the operator's UTC."""

    def __init__(self, transports: Mapping[NodeName, Transport], now: Callable[[], float] = time.time) -> None:
        self._transports = dict(transports)
        self._now = now
        self._sessions: dict[NodeName, Session] = {}
        self._servers: dict[NodeName, tuple[Reaped, asyncio.Task[None]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_listening()
        await asyncio.gather(*(session.close() for session in self._sessions.values()), return_exceptions=True)

    # ── every node by itself ─────────────────────────────────────────────────────────────────────────────────────────

    async def survey(self, told: Callable[[NodeName], None] = lambda node: None) -> dict[NodeName, NodeFacts]:
        """All nodes at once. ``told`` hears of each that is done."""

        async def one(node: NodeName) -> NodeFacts:
            facts = await self._survey_node(node)
            told(node)
            return facts

        return await _all({node: one(node) for node in self._transports})

    async def _survey_node(self, node: NodeName) -> NodeFacts:
        began = time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_S):
                session = await self._transports[node].connect()
        except TimeoutError:
            return _faulty(TransportFault("timed-out", f"no session within {CONNECT_S:.0f} s", "is the node up?"))
        except TransportFault as fault:
            return _faulty(fault)
        self._sessions[node] = session
        connect_s = time.monotonic() - began
        try:
            said = await run_errand(session, survey_script(), SURVEY_S, self._now)
        except TransportFault as fault:
            return _faulty(fault)
        stats = session.stats()
        return _facts(said, round(connect_s, 3), stats.rtt_ms, stats.peer_address)

    # ── pairs ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def listen(self, nodes: Sequence[NodeName], ports: Sequence[int]) -> dict[NodeName, int | str]:
        """A server on each node, on the first free of ``ports``: the port, or why there is none."""
        return await _all({node: self._listen(node, ports) for node in nodes if node in self._sessions})

    async def _listen(self, node: NodeName, ports: Sequence[int]) -> int | str:
        order = Order(role="server", arguments=("-s", "--forceflush"), limit_s=WAYS_S + LISTEN_S, ports=tuple(ports))
        heard = asyncio.Event()

        def on_line(line: bytes) -> None:
            if listening_port(clean_bytes(line, 400)) is not None:
                heard.set()

        try:
            server = await Reaped.start(node, self._sessions[node], order)
        except TransportFault as fault:
            return fault.reason
        following = asyncio.create_task(server.follow(on_line), name=f"listener on {node}")
        self._servers[node] = (server, following)
        waiting = asyncio.create_task(heard.wait())
        try:
            await asyncio.wait({waiting, following}, timeout=LISTEN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if heard.is_set() and server.port is not None:
            return server.port
        if server.missing is not None:
            return f"{server.missing} is not installed on {node}"
        if server.no_port:
            return "every burst port is in use"
        return server.complaint() or "iperf3 did not say that it listens"

    async def stop_listening(self) -> None:
        servers, self._servers = self._servers, {}
        for _, following in servers.values():
            following.cancel()
        await asyncio.gather(*(server.close() for server, _ in servers.values()), return_exceptions=True)
        await asyncio.gather(*(following for _, following in servers.values()), return_exceptions=True)

    async def try_ways(
        self,
        ways: Mapping[LinkKey, Way],
        told: Callable[[NodeName], None] = lambda node: None,
        patience_s: float = WAYS_S,
        *,
        ours: bool = True,
    ) -> dict[LinkKey, WayAnswers]:
        """Each from its own source, all at once. A way of a node without a session, or that fell silent, has no
        answers."""
        by_source: dict[NodeName, dict[LinkKey, Way]] = {}
        for key, way in ways.items():
            by_source.setdefault(key.src, {})[key] = way

        async def one(node: NodeName, its: dict[LinkKey, Way]) -> dict[LinkKey, WayAnswers]:
            try:
                said = await run_errand(
                    self._sessions[node], ways_script(list(its.values()), ours=ours), patience_s, self._now
                )
            except TransportFault:
                return {}
            answers = parse_ways(said.lines)
            told(node)
            return {key: answers.get(way.number, WayAnswers()) for key, way in its.items()} if said.began else {}

        found = await _all({node: one(node, its) for node, its in by_source.items() if node in self._sessions})
        return {key: answers for each in found.values() for key, answers in each.items()}


def ways_of(mesh: Mesh, ports: Callable[[NodeName], Sequence[int]], *, pmtu: bool = True) -> dict[LinkKey, Way]:
    """All directed ways of a mesh to addresses that are known, those to nodes behind NAT too: whether they really
    cannot be reached is a question of its own."""
    keys = [
        (LinkKey(src.name, dst.name, path.name), dst.address[path.name])
        for src in mesh.nodes
        for dst in mesh.nodes
        for path in mesh.paths
        if src.name != dst.name
        and path.name in dst.address
        and (path.name in src.address or path.name in src.nat)
        and src.address.get(path.name) != dst.address[path.name]
    ]
    return {
        key: Way(number=number, address=address, ports=tuple(ports(key.dst)), pmtu=pmtu)
        for number, (key, address) in enumerate(keys)
    }


def with_listeners(
    facts: Mapping[NodeName, NodeFacts], found: Mapping[NodeName, int | str]
) -> dict[NodeName, NodeFacts]:
    """The facts with what became of each node's server."""
    return {
        node: msgspec.structs.replace(
            its,
            listener=port if isinstance(port := found.get(node), int) else None,
            listener_fault=port if isinstance(port, str) else None,
        )
        for node, its in facts.items()
    }


def _faulty(fault: TransportFault) -> NodeFacts:
    return NodeFacts(fault=SshFault(kind=fault.kind, reason=fault.reason, cure=fault.cure))


def _facts(said: Said, connect_s: float, rtt_ms: float | None, dialled: str | None) -> NodeFacts:
    survey = parse_survey(said.lines) if said.began else None
    offset, doubt = None, None
    if survey is not None and survey.wall_s is not None and said.asked_at is not None and said.answered_at is not None:
        offset = round(survey.wall_s - (said.asked_at + said.answered_at) / 2, 3)
        doubt = round((said.answered_at - said.asked_at) / 2, 3)
    return NodeFacts(
        survey=survey,
        began=said.began,
        noise=said.noise,
        complaint=said.complaint,
        connect_s=connect_s,
        rtt_ms=rtt_ms,
        dialled=dialled,
        clock_offset_s=offset,
        clock_doubt_s=doubt,
    )


async def _all(work: Mapping[NodeName, Awaitable[T]]) -> dict[NodeName, T]:
    results = await asyncio.gather(*work.values())
    return dict(zip(work, results, strict=True))
