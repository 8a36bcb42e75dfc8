"""The operator's own vantage: pings from this machine to every node on every path.

It tells "the node is down" from "only SSH is stuck", which no node can tell about itself. One socket for each address
family, one task, no threads; times are the kernel's (``meshtop.collect.icmp``).
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from meshtop.collect.icmp import (
    BUSY,
    FORBIDDEN,
    NO_ROUTE,
    EchoSocket,
    Family,
    NotAllowed,
    Reply,
    Sent,
    Unavailable,
    round_trip_ms,
)
from meshtop.model import EngineEvent, Mesh, NodeName, OperatorPing, PathName

LOST_AFTER_S = 5.0  # cli.md: unanswered after max(5 s, 4 × baseline)
LOST_AFTER_BASELINES = 4.0
LOST_AFTER_AT_MOST_S = 60.0  # bounds what is in flight, whatever a baseline becomes
SLOW_S = 10.0  # how often an address that does not answer is still tried
PATIENCE_NEW_S = 3.0  # an overlay that this machine has no part in: nothing came yet, slow down soon
PATIENCE_KNOWN_S = 30.0  # a node that did answer: keep the pace while its operator is looking at the outage
NOT_PERMITTED = (
    "pings are not permitted to this user; cure, as root: sysctl -w net.ipv4.ping_group_range='0 2147483647'"
)


class Now(Protocol):
    """The part of a clock that is needed here: the operator's UTC in seconds, never backwards."""

    def now(self) -> float: ...


@dataclass(slots=True)
class Target:
    """One address of one node, and how it has been answering. Times are the event loop's, in seconds."""

    node: NodeName
    path: PathName
    address: str
    family: Family
    due: float
    period: float
    baseline_s: float | None = None
    heard: float | None = None  # the last answer, by when it came
    silent_since: float | None = None  # the first unanswered request since then was sent


@dataclass(slots=True)
class Flight:
    """A request that was neither answered nor given up."""

    target: Target
    sent: Sent
    asked: float  # the event loop's time


class OperatorProber:
    """Sends one small echo each ``mesh.ping_s`` to each address of each node and tells ``sink`` what came of it.

    Emits an OperatorPing for each answer (its ``rtt_ms``), each loss (None), and each request that could not be sent
    (``problem`` in plain words; one only, where this user may not ping at all). ``at`` is when that became known.
    Paths that the operator's machine is not on are left alone. Addresses that do not answer, or have no route, are
    asked less and less often, down to every 10 s.
    """

    def __init__(self, mesh: Mesh, sink: Callable[[EngineEvent], None], clock: Now) -> None:
        self._mesh = mesh
        self._sink = sink
        self._clock = clock
        self._sockets: dict[Family, EchoSocket] = {}
        self._flights: dict[tuple[Family, int], Flight] = {}
        self._deadlines: list[tuple[float, Family, int, Sent]] = []
        self._sequence = 0

    async def run(self) -> None:
        """Probe until cancelled; the sockets are closed then."""
        loop = asyncio.get_running_loop()
        try:
            targets = self._open(self._targets(loop.time()))
            for echo in self._sockets.values():
                loop.add_reader(echo.fileno(), self._hear, echo)
            if not targets:
                await loop.create_future()  # nothing can be asked; that was said
            while True:
                now = loop.time()
                self._give_up(now)
                for target in targets:
                    if target.due <= now:
                        self._ask(target, now)
                wake = min(target.due for target in targets)
                if self._deadlines:
                    wake = min(wake, self._deadlines[0][0])
                await asyncio.sleep(max(0.0, wake - loop.time()))
        finally:
            for echo in self._sockets.values():
                loop.remove_reader(echo.fileno())
                echo.close()
            self._sockets.clear()
            self._flights.clear()
            self._deadlines.clear()

    def _targets(self, now: float) -> list[Target]:
        paths = [path for path in self._mesh.paths if path.from_operator]
        pairs = [(node, path) for node in self._mesh.nodes for path in paths if path.name in node.address]
        targets = []
        for index, (node, path) in enumerate(pairs):
            text = node.address[path.name]
            try:
                family: Family = 4 if ipaddress.ip_address(text).version == 4 else 6
            except ValueError:
                self._tell(node.name, path.name, None, f"{text} is no IP address")
                continue
            due = now + index / len(pairs) * self._mesh.ping_s
            targets.append(Target(node.name, path.name, text, family, due, self._mesh.ping_s))
        return targets

    def _open(self, targets: list[Target]) -> list[Target]:
        """The targets that can be asked at all; each other one is told why not, once."""
        why: dict[Family, str] = {}
        for family in sorted({target.family for target in targets}):
            try:
                self._sockets[family] = EchoSocket(family)
            except NotAllowed:
                why[family] = NOT_PERMITTED
            except Unavailable as error:
                absent = error.errno in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT)
                why[family] = f"this machine has no IPv{family}" if absent else f"no pings from this machine: {error}"
        for target in targets:
            if target.family in why:
                self._tell(target.node, target.path, None, why[target.family])
        return [target for target in targets if target.family not in why]

    def _ask(self, target: Target, now: float) -> None:
        # By whole periods, so that the requests stay spread out; what was missed while asleep is not made up for.
        target.due += target.period * (1 + max(0.0, now - target.due) // target.period)
        self._sequence = (self._sequence + 1) & 0xFFFF
        try:
            sent = self._sockets[target.family].send(target.address, self._sequence)
        except Unavailable as error:
            self._slow_down(target, now)
            self._tell(target.node, target.path, None, _plain(target.address, error))
            return
        patience = max(LOST_AFTER_S, LOST_AFTER_BASELINES * (target.baseline_s or 0.0))
        self._flights[target.family, self._sequence] = Flight(target, sent, now)
        deadline = now + min(patience, LOST_AFTER_AT_MOST_S)
        heapq.heappush(self._deadlines, (deadline, target.family, self._sequence, sent))
        waited = now - (target.silent_since if target.silent_since is not None else now)
        if waited > (PATIENCE_NEW_S if target.heard is None else PATIENCE_KNOWN_S):
            self._slow_down(target, now)
        elif target.silent_since is None:
            target.silent_since = now

    def _hear(self, echo: EchoSocket) -> None:
        for reply in echo.receive():
            key = (echo.family, reply.sequence)
            flight = self._flights.get(key)
            # From elsewhere: another machine's answer is not this node's. Unknown: a duplicate, or given up already.
            if flight is None or not _same_address(reply.source, flight.target.address):
                continue
            del self._flights[key]
            self._answered(flight, reply)

    def _answered(self, flight: Flight, reply: Reply) -> None:
        target = flight.target
        rtt_ms = round_trip_ms(flight.sent, reply)
        target.baseline_s = min(rtt_ms / 1000, target.baseline_s or rtt_ms / 1000)
        target.heard = asyncio.get_running_loop().time()
        target.silent_since = None
        if target.period > self._mesh.ping_s:
            target.period = self._mesh.ping_s
            target.due = min(target.due, target.heard + target.period)
        self._tell(target.node, target.path, rtt_ms, None)

    def _give_up(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, family, sequence, sent = heapq.heappop(self._deadlines)
            flight = self._flights.get((family, sequence))
            if flight is not None and flight.sent == sent:  # else the number is in use again
                del self._flights[family, sequence]
                self._tell(flight.target.node, flight.target.path, None, None)

    def _slow_down(self, target: Target, now: float) -> None:
        target.period = min(target.period * 2, max(SLOW_S, self._mesh.ping_s))
        target.due = now + target.period

    def _tell(self, node: NodeName, path: PathName, rtt_ms: float | None, problem: str | None) -> None:
        self._sink(OperatorPing(at=self._clock.now(), node=node, path=path, rtt_ms=rtt_ms, problem=problem))


def _same_address(one: str, other: str) -> bool:
    if one == other:
        return True
    return ipaddress.ip_address(one) == ipaddress.ip_address(other.partition("%")[0])


def _plain(address: str, error: Unavailable) -> str:
    if error.errno in NO_ROUTE:
        return f"no route to {address} from this machine"
    if error.errno in FORBIDDEN:
        return f"this machine's firewall or routes forbid pings to {address}"
    if error.errno in BUSY:
        return "this machine's send queue is full"
    return f"no ping to {address} could be sent: {error}"
