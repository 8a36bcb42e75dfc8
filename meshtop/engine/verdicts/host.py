"""What a node does to packets itself: those that it drops, and a CPU that does not keep up; and a clock that is off.

A queue discipline tells a TCP of the same node what it drops, which slows down as if it had been lost and sends it
when it may; what others send through the node, and datagrams, are lost (net/ipv4/tcp_output.c, tcp_transmit_skb).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from meshtop.engine.hosts import QdiscStep
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import STAYS_AT, Candidate, Subject
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import NodeName
from meshtop.readings import HostCpu

_WINDOW_S = 10.0
# One dropped packet in a burst is nothing; in several seconds of ten it is a host that does not keep up.
_FEWEST_DROPS = 10
_FEWEST_DROPPING_INTERVALS = 2
# A queue that is full now and then is how TCP finds its rate: two packets in a thousand cost it nothing to speak of.
_LEAST_SHARE = 0.002
# What is sent again is the node's own doing where it drops about as many, and stays so while that wavers.
_EXPLAINS, _GOES_ON = 0.5, 0.25
_FEWEST_AGAIN = 3
# Beyond these a machine has no time left: all its cores; one core on which all its packets are taken in; what the
# hypervisor gives to others.
FULL_PCT, _FULL_CORE_PCT, _STOLEN_PCT = 95.0, 90.0, 25.0
_IDLE_CORE_PCT = 50.0
# Who wants a CPU gets one within a millisecond, also where some that always want one are there, too.
_LONG_WAIT_MS = 5.0
_ALL_CORES = "CPU, all cores"
_FEWEST_PEERS = 2
_ENOUGH_SAMPLES = 0.7
_SKEW_INFO_S, _SKEW_WARNING_S = 1.0, 5.0

# They drop because they were set to: to a rate, or to keep the queue short.
_SHAPERS = frozenset(("tbf", "htb", "hfsc", "cbq", "netem", "ingress", "clsact", "police"))
_SHORT = frozenset(("fq_codel", "codel", "cake", "fq_pie", "pie", "red", "choke", "sfb", "dualpi2"))
# What losing packets on the way out of a node is taken for on its links.
_LOOKS_LIKE = ("loss", "policer", "overlay-only", "ack-path-loss")


class OfHost(NamedTuple):
    """A finding of a node, and those of links that are part of it."""

    candidate: Candidate
    told: frozenset[Subject] = frozenset()


# ── Drops ──


class Drops(NamedTuple):
    """Packets of some ten seconds. ``queue`` is the discipline that drops most."""

    softnet: int = 0
    taken_in: Mapping[str, int] = {}  # by interface, on the way in
    sent_out: Mapping[str, int] = {}
    queue: QdiscStep | None = None

    @property
    def out(self) -> int:
        return sum(self.sent_out.values()) + (self.queue.dropped or 0 if self.queue is not None else 0)

    @property
    def into(self) -> int:
        return self.softnet + sum(self.taken_in.values())


class HostDrops:
    """Of all nodes. Remembers whose drops explain what their links lose."""

    def __init__(self) -> None:
        self._explains: set[tuple[NodeName, bool]] = set()

    def judge(
        self, name: NodeName, record: NodeRecord, candidates: Sequence[Candidate], signals: Gathered
    ) -> Iterator[OfHost]:
        drops = counted(record)
        if not (drops.out or drops.into):
            self._explains -= {(name, True), (name, False)}
            return
        told: set[Subject] = set()
        again, explained = 0.0, False
        for count, sends in ((drops.out, True), (drops.into, False)):
            repeated = _sent_again(name, signals, sends=sends)
            again += repeated if count else 0.0
            if self._is_cause(name, count, repeated, sends=sends):
                explained = True
                told |= _lost_by(name, candidates, sends=sends)
        yield OfHost(_candidate(name, drops, again, explained, record.cpu), frozenset(told))

    def _is_cause(self, name: NodeName, count: int, again: float, *, sends: bool) -> bool:
        limit = _GOES_ON if (name, sends) in self._explains else _EXPLAINS
        if count and again >= _FEWEST_AGAIN and count >= limit * again:
            self._explains.add((name, sends))
            return True
        self._explains.discard((name, sends))
        return False


def counted(record: NodeRecord) -> Drops:
    """Nothing where it is too little to speak of."""
    newest = record.boot.newest if record.boot is not None else None
    if record.boot is None or newest is None:
        return Drops()
    softnet = dropping = 0
    taken_in: dict[str, int] = {}
    sent_out: dict[str, int] = {}
    for measured in record.measured.between(newest - _WINDOW_S, newest):
        here = measured.counters.softnet_dropped or 0
        softnet += here
        for device, delta in (measured.counters.devices or {}).items():
            if delta is not None:
                here += delta.rx_drop + delta.tx_drop
                for counts, drops in ((taken_in, delta.rx_drop), (sent_out, delta.tx_drop)):
                    if drops:
                        counts[device] = counts.get(device, 0) + drops
        dropping += here > 0
    total = softnet + sum(taken_in.values()) + sum(sent_out.values())
    if total < _FEWEST_DROPS or dropping < _FEWEST_DROPPING_INTERVALS:
        softnet, taken_in, sent_out = 0, {}, {}
    steps = record.boot.host.fresh_qdiscs(record.boot.clock.uptime(newest)) or ()
    return Drops(softnet, taken_in, sent_out, _dropping_most(steps))


def _dropping_most(steps: Sequence[QdiscStep]) -> QdiscStep | None:
    """Of a device the discipline below, where one does most of it: that is what drops."""
    tops = [one for one in steps if (one.dropped or 0) >= _FEWEST_DROPS and (one.drop_share or 0.0) >= _LEAST_SHARE]
    tops = [one for one in tops if one.parent is None or one.kind in ("ingress", "clsact")]
    if not tops:
        return None
    top = max(tops, key=lambda one: one.dropped or 0)
    below = [one for one in steps if one.device == top.device and one.parent is not None]
    worst = max(below, key=lambda one: one.dropped or 0, default=None)
    if worst is None or 2 * (worst.dropped or 0) < (top.dropped or 0):
        return top
    return top._replace(kind=f"{worst.kind} below {top.kind}" if top.kind != "mq" else worst.kind)


def _sent_again(name: NodeName, signals: Gathered, *, sends: bool) -> float:
    """Segments in ten seconds, over all its links, that one way."""
    links = [signals[key] for key in signals.active if name == (key.src if sends else key.dst)]
    return sum(link.retrans * _WINDOW_S / link.window_s for link in links if link.window_s > 0)


def _lost_by(name: NodeName, candidates: Sequence[Candidate], *, sends: bool) -> set[Subject]:
    """What is lost to pings alone has no direction."""
    return {
        each.subject
        for each in candidates
        if each.subject.code in _LOOKS_LIKE
        and (name == (each.subject.src if sends else each.subject.dst) or (each.both_ways and name in each.subject))
    }


def _candidate(name: NodeName, drops: Drops, again: float, explained: bool, cpu: HostCpu | None) -> Candidate:
    evidence = [*_evidence(drops)]
    against: list[Evidence] = []
    known = Evidence(what="sent again, the same way in ten seconds", value=round(again), expected="about as many")
    (evidence if explained else against).append(known)
    # Interfaces also drop on the way in what is of no protocol that the node knows, which harms nobody.
    confidence = 0.9 if explained or drops.softnet else 0.75 if drops.out else 0.45
    if cpu is not None and not (drops.queue is not None and not drops.softnet):
        for_it, against_it = _of_cpu(cpu)
        evidence += for_it
        if drops.softnet and against_it and not for_it:
            against += against_it
            confidence -= 0.15
    return Candidate(
        subject=Subject("host-drops", node=name),
        severity=_severity(drops, explained),
        confidence=confidence,
        summary=f"{name}: {_what(drops)}",
        evidence=tuple(evidence),
        against=tuple(against),
        next=_next(drops),
        at_once=explained,
    )


def _severity(drops: Drops, explained: bool) -> Severity:
    """Where nobody sends anything again for it, it costs little, or is meant to be."""
    queue = drops.queue
    if queue is not None and _is_short(queue) and not drops.softnet:
        return "info"
    return "warning" if explained or drops.softnet else "info"


def _is_short(queue: QdiscStep) -> bool:
    return queue.kind.partition(" ")[0] in _SHORT


def _is_shaper(queue: QdiscStep) -> bool:
    return not _SHAPERS.isdisjoint(queue.kind.split(" below "))


def _evidence(drops: Drops) -> Iterator[Evidence]:
    for word, counts in (("on the way in", drops.taken_in), ("on the way out", drops.sent_out)):
        for device, count in counts.items():
            yield Evidence(what=f"dropped by {device} {word}", value=count, expected="0")
    if drops.softnet:
        yield Evidence(what="softnet drops", value=drops.softnet, expected="0")
    queue = drops.queue
    if queue is not None:
        yield Evidence(what=f"dropped by {queue.kind} on {queue.device}", value=queue.dropped, expected="0")
        share = round(100 * (queue.drop_share or 0.0), 1)
        yield Evidence(what="of what that was given", value=share, expected=f"< {100 * _LEAST_SHARE:g} %")


def _what(drops: Drops) -> str:
    queue = drops.queue
    if drops.softnet:
        return f"its CPU does not take packets as they come ({drops.into} dropped in 10 s); no line has lost these"
    if queue is not None:
        count = f"{queue.dropped} packets in {queue.seconds or 0:.0f} s"
        if _is_short(queue):
            return f"{queue.kind} on {queue.device} drops {count} to keep its queue short, as it is meant to"
        if _is_shaper(queue):
            rate = f" at {queue.rate}" if queue.rate else ""
            return f"its own {queue.kind}{rate} on {queue.device} drops what exceeds it: {count}, lost on no line"
        return f"the queue of {queue.device} ({queue.kind}) is full and drops {count}, lost on no line"
    devices = ", ".join(sorted({*drops.taken_in, *drops.sent_out}))
    return f"{devices} drops packets ({drops.into + drops.out} in 10 s); what is lost there no line has lost"


def _next(drops: Drops) -> tuple[str, ...]:
    queue = drops.queue
    if drops.softnet:
        return _CPU_NEXT
    if queue is not None and _is_short(queue):
        return (
            "nothing where its line is full: so delay stays short; ECN (net.ipv4.tcp_ecn=1) marks instead of dropping",
            f"tc -s qdisc show dev {queue.device} there",
        )
    if queue is not None and _is_shaper(queue):
        return (
            f"who set it knows why: tc qdisc show dev {queue.device} there; a higher rate, or a longer limit",
            "a fair queue below it (fq_codel, or cake instead): it drops the flow that is too much, not the others",
        )
    if queue is not None:
        return (
            f"a fair queue there (tc qdisc replace dev {queue.device} root fq_codel), or a longer one (txqueuelen)",
            "who sends so much at once; a rate below the line's (a burst with a cap) leaves the queue empty",
        )
    return (
        "its rings (ethtool -g, txqueuelen); of a tunnel's interface: the process that reads it, and its CPU",
        "the same pair by loopback tells the host from the line",
    )


_CPU_NEXT = (
    "CPU and interrupts there (mpstat -P ALL, net.core.netdev_max_backlog); longer rings (ethtool -g)",
    "interrupts of one core: spread them (RPS, irqbalance); steal: ask the provider, or for a larger machine",
)


# ── CPU ──


def _of_cpu(cpu: HostCpu) -> tuple[list[Evidence], list[Evidence]]:
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

    def judge(self, name: NodeName, record: NodeRecord, candidates: Iterable[Candidate]) -> Iterator[OfHost]:
        held = [each for each in candidates if each.confidence >= STAYS_AT and _held_up_at(name, each.subject)]
        peers = {each.subject.dst if each.subject.src == name else each.subject.src for each in held}
        full = list(_of_cpu(record.cpu)[0]) if record.cpu is not None else []
        waits = list(_waits(record))
        is_enough = waits or any(each.what != _ALL_CORES for each in full)
        if not (full and is_enough and len(peers) >= (1 if name in self._said else _FEWEST_PEERS)):
            self._said.discard(name)
            return
        self._said.add(name)
        severity: Severity = "warning" if any(each.severity != "info" for each in held) else "info"
        with_peers = f"flows with {len(peers)} peers wait" if len(peers) > 1 else "flows wait"
        candidate = Candidate(
            subject=Subject("node-wide", node=name),
            severity=severity,
            confidence=0.85 if len(full) + len(waits) > 1 else 0.75,
            summary=f"{name}: its CPU is full ({full[0].what} {full[0].value} %), and {with_peers} for it: look at the "
            "machine, not at its lines",
            evidence=(
                Evidence(what="peers whose flows it holds up", value=len(peers), expected="none"),
                *full,
                *waits,
            ),
            next=(
                "who uses the CPU there (top), and steal: a virtual machine may be given less than it was sold",
                *_CPU_NEXT,
            ),
        )
        yield OfHost(candidate, frozenset(each.subject for each in held))


def _held_up_at(name: NodeName, subject: Subject) -> bool:
    return (subject.code, name) in (("receiver-limited", subject.dst), ("sender-limited", subject.src))


def _waits(record: NodeRecord) -> Iterator[Evidence]:
    """What our own probe has to wait for there, as any process has."""
    wait_ms = record.cpu.wait_ms if record.cpu is not None else None
    if wait_ms is not None and wait_ms >= _LONG_WAIT_MS:
        expected = f"< {_LONG_WAIT_MS:g} ms"
        yield Evidence(what="a process waits for a CPU, each time", value=round(wait_ms, 1), expected=expected)
    newest = record.samples.newest_time or 0.0
    told, due = len(record.samples.between(newest - _WINDOW_S, newest)), _WINDOW_S / max(record.interval_s, 0.1)
    if told < _ENOUGH_SAMPLES * due:
        yield Evidence(what="samples in ten seconds", value=told, expected=f"{due:.0f}")


# ── Clock ──


def skew(name: NodeName, record: NodeRecord, now: float) -> Iterator[Candidate]:
    wall_s, uptime_s = record.info.wall_s, record.info.wall_uptime_s
    if wall_s is None or uptime_s is None or record.boot is None or record.state(now)[0] != "up":
        return
    offset_s = wall_s - record.boot.clock.operator_time(uptime_s)
    doubt_s = (record.sessions.ssh_rtt_ms or 0.0) / 1000
    if abs(offset_s) - doubt_s < _SKEW_INFO_S:
        return
    way = "ahead" if offset_s > 0 else "behind"
    yield Candidate(
        subject=Subject("clock-skew", node=name),
        severity="warning" if abs(offset_s) >= _SKEW_WARNING_S else "info",
        confidence=0.95,
        summary=f"{name}: its clock is {abs(offset_s):.1f} s {way} of this machine's",
        evidence=(Evidence(what="clock offset", value=round(offset_s, 2), expected=f"< {_SKEW_INFO_S:g} s"),),
        next=("chronyc tracking, or timedatectl, on both; tokens fail by minutes, logs mislead by seconds",),
    )
