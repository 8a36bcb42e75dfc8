"""What a node's own CPUs and queue disciplines did, from readings of the slow beat. Times are the node's uptime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from meshtop.engine.counters import advance
from meshtop.readings import HostCpu, NodeInfo, Qdisc

# A slow beat is ten seconds: what is older than two and a half says nothing of now.
FRESH_S = 25.0
# Of readings closer than this a share of what was dropped says little; a new probe reads once more at its start. What
# was counted over more, as while nobody watched, says nothing of now.
_LEAST_S, _MOST_S = 0.5, 30.0


def used_pct(cpu: HostCpu | None) -> float | None:
    """How much of its time is gone: work and what the hypervisor gave to others, or the core that takes in packets."""
    if cpu is None or cpu.cpu_pct is None:
        return None
    return max(min(100.0, cpu.cpu_pct + (cpu.steal_pct or 0.0)), cpu.busiest_core_softirq_pct or 0.0)


class QdiscStep(NamedTuple):
    """A queue discipline over the ``seconds`` between two readings; None is not known. A ``parent`` of None is the
    device itself, whose counts hold those of the disciplines below."""

    device: str
    kind: str
    parent: str | None
    rate: str | None
    seconds: float | None
    sent: int | None
    dropped: int | None
    overlimits: int | None
    requeues: int | None
    backlog_bytes: int | None
    backlog_packets: int | None

    @property
    def drop_share(self) -> float | None:
        """Of the packets that it was given."""
        given = (self.sent or 0) + (self.dropped or 0)
        return (self.dropped or 0) / given if self.dropped is not None and given else None


class Host:
    """One boot of a node."""

    def __init__(self) -> None:
        self.cpu: HostCpu | None = None
        self.qdiscs: tuple[QdiscStep, ...] | None = None
        self.qdiscs_at_s: float | None = None
        self.why_no_qdiscs: str | None = None
        self._counted: dict[tuple[str, str, str | None], Qdisc] = {}

    def take(self, info: NodeInfo) -> None:
        """What the slow beat told last; the same told again changes nothing."""
        if info.host is not None and (self.cpu is None or info.host.at_s > self.cpu.at_s):
            self.cpu = info.host
        if info.qdisc_problem:
            self.why_no_qdiscs, self.qdiscs = info.qdisc_problem, None
        at_s = info.qdiscs_at_s
        if info.qdiscs is None or at_s is None:
            return
        before_s = self.qdiscs_at_s
        if before_s is not None and at_s - before_s < _LEAST_S:
            return
        seconds = at_s - before_s if before_s is not None and at_s - before_s <= _MOST_S else None
        self.qdiscs = tuple(self._step(one, seconds) for one in info.qdiscs)
        self._counted = {(one.device, one.kind, one.parent): one for one in info.qdiscs}
        self.qdiscs_at_s, self.why_no_qdiscs = at_s, None

    def _step(self, now: Qdisc, seconds: float | None) -> QdiscStep:
        before = self._counted.get((now.device, now.kind, now.parent))
        if before is None and seconds is not None and now.parent is not None:
            # One below another is told once it has dropped.
            before = Qdisc(device=now.device, kind=now.kind, sent_packets=now.sent_packets, dropped=0)

        def step(old: int | None, new: int | None) -> int | None:
            return None if seconds is None or old is None or new is None else advance(old, new, seconds)

        return QdiscStep(
            device=now.device,
            kind=now.kind,
            parent=now.parent,
            rate=now.rate,
            seconds=seconds,
            sent=step(before.sent_packets, now.sent_packets) if before is not None else None,
            dropped=step(before.dropped, now.dropped) if before is not None else None,
            overlimits=step(before.overlimits, now.overlimits) if before is not None else None,
            requeues=step(before.requeues, now.requeues) if before is not None else None,
            backlog_bytes=now.backlog_bytes,
            backlog_packets=now.backlog_packets,
        )

    def fresh_cpu(self, uptime_s: float) -> HostCpu | None:
        return self.cpu if self.cpu is not None and uptime_s - self.cpu.at_s <= FRESH_S else None

    def fresh_qdiscs(self, uptime_s: float) -> tuple[QdiscStep, ...] | None:
        """None where they cannot be read, or were last read too long ago."""
        at_s = self.qdiscs_at_s
        return self.qdiscs if at_s is not None and uptime_s - at_s <= FRESH_S else None


def of_device(steps: Iterable[QdiscStep], device: str) -> QdiscStep | None:
    """Its own discipline, not one below it."""
    return next((one for one in steps if one.device == device and one.parent is None), None)
