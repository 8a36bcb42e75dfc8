"""What a node drops itself.

A queue discipline tells a TCP of the same node what it drops, which slows down as if it had been lost and sends it
when it may; what others send through the node, and datagrams, are lost (net/ipv4/tcp_output.c, tcp_transmit_skb).
What comes for a UDP socket that is full is lost, too (net/ipv4/udp.c, RcvbufErrors): of a tunnel over UDP, whose
process does not keep up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from meshtop.engine.hosts import QdiscStep
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.cpu import CPU_NEXT, of_cpu, waits
from meshtop.engine.verdicts.gathering import Gathered
from meshtop.engine.verdicts.lifecycle import Candidate, OfNode, Subject
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.weigh import Severity
from meshtop.model import LinkKey, NodeName

_WINDOW_S = 10.0
# One dropped packet in a burst is nothing; in several seconds of ten it is a host that does not keep up.
_FEWEST_DROPS = 10
_FEWEST_DROPPING_INTERVALS = 2
# A queue that is full now and then is how TCP finds its rate: two packets in a thousand cost it nothing to speak of.
_LEAST_SHARE = 0.002
# What is sent again is the node's own doing where it drops about as many, and stays so while that wavers.
_EXPLAINS, _GOES_ON = 0.5, 0.25
_FEWEST_AGAIN = 3

# They drop because they were set to: to a rate, or to keep the queue short.
_SHAPERS = frozenset(("tbf", "htb", "hfsc", "cbq", "netem", "ingress", "clsact", "police"))
_SHORT = frozenset(("fq_codel", "codel", "cake", "fq_pie", "pie", "red", "choke", "sfb", "dualpi2"))
# What losing packets on the way out of a node is taken for on its links.
_LOOKS_LIKE = ("loss", "policer", "overlay-only", "ack-path-loss")

Way = Literal["out", "in", "udp"]


class Drops(NamedTuple):
    """Packets of some ten seconds. ``queue`` is the discipline that drops most."""

    softnet: int = 0
    udp: int = 0  # at sockets whose program does not read as they come
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
        self._explains: set[tuple[NodeName, Way]] = set()

    def judge(
        self, name: NodeName, record: NodeRecord, candidates: Sequence[Candidate], signals: Gathered
    ) -> Iterator[OfNode]:
        drops = counted(record)
        counts: dict[Way, int] = {"out": drops.out, "in": drops.into, "udp": drops.udp}
        if not any(counts.values()):
            self._explains = {(other, way) for other, way in self._explains if other != name}
            return
        told: set[Subject] = set()
        again: dict[Way, float] = {}
        for way, count in counts.items():
            if count:
                again[way] = _sent_again(name, signals, way)
            if self._is_cause(name, way, count, again.get(way, 0.0)):
                told |= _lost_by(name, candidates, signals, way)
        explained = any((name, way) in self._explains for way in counts)
        if "in" in again:
            again.pop("udp", None)  # is among it
        yield OfNode(_candidate(name, drops, sum(again.values()), explained, record), frozenset(told))

    def _is_cause(self, name: NodeName, way: Way, count: int, again: float) -> bool:
        limit = _GOES_ON if (name, way) in self._explains else _EXPLAINS
        if count and again >= _FEWEST_AGAIN and count >= limit * again:
            self._explains.add((name, way))
            return True
        self._explains.discard((name, way))
        return False

    @property
    def of_tunnels(self) -> bool:
        """Whether some node's tunnel over UDP does not read what comes for it."""
        return any(way == "udp" for _, way in self._explains)


def counted(record: NodeRecord) -> Drops:
    """Nothing where it is too little to speak of."""
    newest = record.boot.newest if record.boot is not None else None
    if record.boot is None or newest is None:
        return Drops()
    softnet = udp = dropping = 0
    taken_in: dict[str, int] = {}
    sent_out: dict[str, int] = {}
    for measured in record.measured.between(newest - _WINDOW_S, newest):
        softnet += measured.counters.softnet_dropped or 0
        udp += measured.counters.udp_dropped or 0
        here = (measured.counters.softnet_dropped or 0) + (measured.counters.udp_dropped or 0)
        for device, delta in (measured.counters.devices or {}).items():
            if delta is not None:
                here += delta.rx_drop + delta.tx_drop
                for counts, drops in ((taken_in, delta.rx_drop), (sent_out, delta.tx_drop)):
                    if drops:
                        counts[device] = counts.get(device, 0) + drops
        dropping += here > 0
    total = softnet + udp + sum(taken_in.values()) + sum(sent_out.values())
    if total < _FEWEST_DROPS or dropping < _FEWEST_DROPPING_INTERVALS:
        softnet, udp, taken_in, sent_out = 0, 0, {}, {}
    steps = record.boot.host.fresh_qdiscs(record.boot.clock.uptime(newest)) or ()
    return Drops(softnet, udp, taken_in, sent_out, _dropping_most(steps))


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


def _sent_again(name: NodeName, signals: Gathered, way: Way) -> float:
    """Segments in ten seconds, over all its links, that one way."""
    links = [signals[key] for key in signals.active if name == (key.src if way == "out" else key.dst)]
    return sum(link.retrans * _WINDOW_S / link.window_s for link in links if link.window_s > 0 and _concerns(link, way))


def _concerns(link: LinkSignals, way: Way) -> bool:
    """A datagram that no socket takes may be a tunnel's, where that is not known to be over TCP."""
    return way != "udp" or (link.overlay and link.outer != "tcp")


def _lost_by(name: NodeName, candidates: Sequence[Candidate], signals: Gathered, way: Way) -> set[Subject]:
    """What is lost to pings alone has no direction."""
    return {
        each.subject
        for each in candidates
        if each.subject.code in _LOOKS_LIKE
        and (
            name == (each.subject.src if way == "out" else each.subject.dst)
            or (each.both_ways and name in each.subject)
        )
        and _concerns(signals[LinkKey(each.subject.src or "", each.subject.dst or "", each.subject.path or "")], way)
    }


def _candidate(name: NodeName, drops: Drops, again: float, explained: bool, record: NodeRecord) -> Candidate:
    evidence = [*_evidence(drops)]
    against: list[Evidence] = []
    known = Evidence(what="sent again, the same way in ten seconds", value=round(again), expected="about as many")
    (evidence if explained else against).append(known)
    confidence = _confidence(drops, explained)
    if record.cpu is not None and not (drops.queue is not None and not drops.softnet):
        for_it, against_it = of_cpu(record.cpu)
        evidence += for_it
        if for_it:
            evidence += waits(record)
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


def _confidence(drops: Drops, explained: bool) -> float:
    """Whose socket it is that is full is not known; and interfaces also drop on the way in what is of no protocol that
    the node knows, which harms nobody."""
    if drops.softnet:
        return 0.9
    if _is_at_sockets(drops):
        return 0.8 if explained else 0.45
    return 0.9 if explained else 0.75 if drops.out else 0.45


def _severity(drops: Drops, explained: bool) -> Severity:
    """Where nobody sends anything again for it, it costs little, or is meant to be."""
    queue = drops.queue
    if queue is not None and _is_short(queue) and not drops.softnet and not _is_at_sockets(drops):
        return "info"
    return "warning" if explained or drops.softnet else "info"


def _is_at_sockets(drops: Drops) -> bool:
    return not drops.softnet and drops.udp > max(drops.out, drops.into)


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
    if drops.udp:
        yield Evidence(what="datagrams dropped at full sockets (RcvbufErrors)", value=drops.udp, expected="0")
    queue = drops.queue
    if queue is not None:
        yield Evidence(what=f"dropped by {queue.kind} on {queue.device}", value=queue.dropped, expected="0")
        share = round(100 * (queue.drop_share or 0.0), 1)
        yield Evidence(what="of what that was given", value=share, expected=f"< {100 * _LEAST_SHARE:g} %")


def _what(drops: Drops) -> str:
    queue = drops.queue
    if drops.softnet:
        return f"its CPU does not take packets as they come ({drops.into} dropped in 10 s); no line has lost these"
    if _is_at_sockets(drops):
        return (
            f"a program there does not read its datagrams as they come ({drops.udp} dropped at its socket in 10 s): "
            "a tunnel over UDP loses these, no line does"
        )
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
        return CPU_NEXT
    if _is_at_sockets(drops):
        return (
            "whose socket it is: the d of skmem in ss -uamnp there; and that process' CPU (top -H), which has one core",
            "a larger receive buffer (net.core.rmem_max and the program's own setting) takes in bursts, not more",
            "a tunnel in the kernel (WireGuard, OpenVPN with DCO) instead of a process; a faster core, or less on it",
        )
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
