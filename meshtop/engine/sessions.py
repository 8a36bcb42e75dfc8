"""What is known of a node from outside of it: its SSH sessions, and the operator's own pings to it."""

from __future__ import annotations

from typing import NamedTuple

from meshtop.engine.counters import advance
from meshtop.engine.snapshot import NodeState
from meshtop.engine.states import NodeFacts, judge_node
from meshtop.engine.timeseries import Ring, median
from meshtop.model import OperatorPing, PathName, SessionChanged, SessionStats

# Operator's pings that tell whether a node is there at this moment.
_VANTAGE_S = 5.0


class _Wire(NamedTuple):
    start: float
    end: float
    received_bytes: int


class Sessions:
    """The sessions of one node. The connection with the highest number counts; an older one only drains."""

    def __init__(self) -> None:
        self._current: int | None = None
        self._since: float | None = None
        self._connecting = False
        self.failure: SessionChanged | None = None
        self.ssh_rtt_ms: float | None = None
        self._wire: Ring[_Wire] = Ring()
        self._last_wire: dict[int, tuple[float, int]] = {}

    def changed(self, event: SessionChanged) -> None:
        if event.phase == "connecting":
            self._connecting = True
        elif event.phase == "up":
            if self._current is None or event.connection >= self._current:
                self._current = event.connection
                self._since = event.at
                self.failure = None
        elif self._current is None or event.connection >= self._current:
            self._current = self._since = None
            self.ssh_rtt_ms = None
            self.failure = event

    def measured(self, event: SessionStats) -> None:
        if event.ssh_rtt_ms is not None:
            self.ssh_rtt_ms = event.ssh_rtt_ms
        if event.rx_wire_bytes is None:
            return
        before = self._last_wire.get(event.connection)
        self._last_wire[event.connection] = (event.at, event.rx_wire_bytes)
        while len(self._last_wire) > 4:
            del self._last_wire[next(iter(self._last_wire))]
        if before is not None and event.at > before[0]:
            count = advance(before[1], event.rx_wire_bytes, event.at - before[0])
            if count is not None:
                self._wire.add(event.at, _Wire(before[0], event.at, count))

    def wire_bytes_per_s(self, after: float, upto: float) -> float | None:
        """Over all connections of the window. While two overlap both cost, so time is counted from end to end."""
        entries = self._wire.between(after, upto)
        if not entries:
            return None
        seconds = max(entry.end for entry in entries) - min(entry.start for entry in entries)
        return sum(entry.received_bytes for entry in entries) / seconds if seconds > 0 else None

    def state(
        self, now: float, sample_age_s: float | None, fresh_limit_s: float, vantage: Vantage, problems: tuple[str, ...]
    ) -> tuple[NodeState, str | None]:
        failure = self.failure
        answered, pinged = vantage.now(now)
        facts = NodeFacts(
            session_up=self._current is not None,
            session_age_s=now - self._since if self._since is not None else None,
            failed=failure is not None,
            failure=failure.reason if failure is not None else None,
            ever_connecting=self._connecting,
            sample_age_s=sample_age_s,
            fresh_limit_s=fresh_limit_s,
            ping_paths=answered,
            pinged=pinged,
            problems=problems,
        )
        return judge_node(facts)


class Vantage:
    """The operator's pings to one node: told apart from SSH, they say whether the node or its session is in trouble."""

    def __init__(self, paths: tuple[PathName, ...]) -> None:
        self._pings: dict[PathName, Ring[OperatorPing]] = {path: Ring() for path in paths}

    def add(self, ping: OperatorPing) -> None:
        ring = self._pings.get(ping.path)
        if ring is not None:
            ring.add(ping.at, ping)

    def now(self, now: float) -> tuple[tuple[PathName, ...], bool]:
        """The paths on which the node answers now, and whether it is pinged at all."""
        lately = {path: ring.between(now - _VANTAGE_S, now) for path, ring in self._pings.items()}
        answered = tuple(path for path, pings in lately.items() if any(ping.rtt_ms is not None for ping in pings))
        pinged = any(ping.problem is None for pings in lately.values() for ping in pings)
        return answered, pinged

    def rtt_ms(self, after: float, upto: float) -> dict[PathName, float | None]:
        """Median of the answered ones for each path; None where none was."""
        return {
            path: median([ping.rtt_ms for ping in ring.between(after, upto) if ping.rtt_ms is not None])
            for path, ring in self._pings.items()
        }
