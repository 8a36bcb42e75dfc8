"""A node's CPU that does not keep up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.lifecycle import STAYS_AT, Candidate, OfNode, Subject
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import NodeName
from meshtop.readings import HostCpu

_WINDOW_S = 10.0
# Beyond these a machine has no time left: all its cores; one core on which all its packets are taken in; what the
# hypervisor gives to others.
FULL_PCT, _FULL_CORE_PCT, _STOLEN_PCT = 95.0, 90.0, 25.0
_IDLE_CORE_PCT = 50.0
# Who wants a CPU gets one within a millisecond, also where some that always want one are there, too.
LONG_WAIT_MS = 5.0
_ALL_CORES = "CPU, all cores"
_FEWEST_PEERS = 2
_ENOUGH_SAMPLES = 0.7

CPU_NEXT = (
    "CPU and interrupts there (mpstat -P ALL, net.core.netdev_max_backlog); longer rings (ethtool -g)",
    "interrupts of one core: spread them (RPS, irqbalance); steal: ask the provider, or for a larger machine",
)


def of_cpu(cpu: HostCpu) -> tuple[list[Evidence], list[Evidence]]:
    """What of it says that the machine has no time left, and what says that it has."""
    found = [
        Evidence(what=what, value=value, expected=f"< {limit:g} %")
        for what, value, limit in (
            (_ALL_CORES, cpu.cpu_pct, FULL_PCT),
            ("softirq of the busiest core", cpu.busiest_core_softirq_pct, _FULL_CORE_PCT),
            ("steal", cpu.steal_pct, _STOLEN_PCT),
        )
        if value is not None and value >= limit
    ]
    busiest = cpu.busiest_core_pct
    idle = busiest is not None and busiest < _IDLE_CORE_PCT
    return found, [Evidence(what="busiest core", value=busiest, expected=f">= {_FULL_CORE_PCT:g} %")] if idle else []


class FullCpu:
    """A full CPU is no trouble by itself, and of two slow receivers on it each may be slow for its own reasons. Where
    several links are held up at that node and its time is stolen, a core is full of packets, or our own probe waits
    for a CPU or does not tell its samples as it should, it is what they have in common. Remembers where it was so:
    there one link that is still held up is enough for it to go on."""

    def __init__(self) -> None:
        self._said: set[NodeName] = set()

    def judge(self, name: NodeName, record: NodeRecord, candidates: Iterable[Candidate]) -> Iterator[OfNode]:
        held = [each for each in candidates if each.confidence >= STAYS_AT and _held_up_at(name, each.subject)]
        peers = {each.subject.dst if each.subject.src == name else each.subject.src for each in held}
        full = list(of_cpu(record.cpu)[0]) if record.cpu is not None else []
        waiting = list(waits(record))
        is_enough = waiting or any(each.what != _ALL_CORES for each in full)
        if not (full and is_enough and len(peers) >= (1 if name in self._said else _FEWEST_PEERS)):
            self._said.discard(name)
            return
        self._said.add(name)
        severity: Severity = "warning" if any(each.severity != "info" for each in held) else "info"
        with_peers = f"flows with {len(peers)} peers wait" if len(peers) > 1 else "flows wait"
        candidate = Candidate(
            subject=Subject("node-wide", node=name),
            severity=severity,
            confidence=0.85 if len(full) + len(waiting) > 1 else 0.75,
            summary=f"{name}: its CPU is full ({full[0].what} {full[0].value} %), and {with_peers} for it: look at the "
            "machine, not at its lines",
            evidence=(
                Evidence(what="peers whose flows it holds up", value=len(peers), expected="none"),
                *full,
                *waiting,
            ),
            next=(
                "who uses the CPU there (top), and steal: a virtual machine may be given less than it was sold",
                *CPU_NEXT,
            ),
        )
        yield OfNode(candidate, frozenset(each.subject for each in held))


def _held_up_at(name: NodeName, subject: Subject) -> bool:
    return (subject.code, name) in (("receiver-limited", subject.dst), ("sender-limited", subject.src))


def waits(record: NodeRecord) -> Iterator[Evidence]:
    """What our own probe has to wait for there, as any process has."""
    wait_ms = record.cpu.wait_ms if record.cpu is not None else None
    if wait_ms is not None and wait_ms >= LONG_WAIT_MS:
        expected = f"< {LONG_WAIT_MS:g} ms"
        yield Evidence(what="a process waits for a CPU, each time", value=round(wait_ms, 1), expected=expected)
    newest = record.samples.newest_time or 0.0
    told, due = len(record.samples.between(newest - _WINDOW_S, newest)), _WINDOW_S / max(record.interval_s, 0.1)
    if told < _ENOUGH_SAMPLES * due:
        yield Evidence(what="samples in ten seconds", value=told, expected=f"{due:.0f}")
