"""What a node does to its packets itself: its queues by what they are, its CPU where flows wait for it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from meshtop.engine.attribution import OwnConnections
from meshtop.engine.hosts import used_pct
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.stallbook import StallBook
from meshtop.engine.verdicts.cpu import FullCpu
from meshtop.engine.verdicts.drops import HostDrops, counted
from meshtop.engine.verdicts.lifecycle import OPENS_AT, Candidate, Subject
from meshtop.engine.verdicts.rules import RECEIVER, SENDER
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.weigh import Rule, weigh
from meshtop.model import LinkKey
from meshtop.readings import HostCpu, NodeInfo, Qdisc

if TYPE_CHECKING:
    from meshtop.engine.verdicts.gathering import Gathered

BUSY = HostCpu(at_s=1009.0, cores=4, cpu_pct=99.0, softirq_pct=2.0, steal_pct=0.0, busiest_core_pct=100.0)


def queue(kind: str, dropped: int, sent: int = 0, device: str = "eth0", parent: str | None = None, **more) -> Qdisc:
    return Qdisc(device=device, kind=kind, parent=parent, sent_packets=sent, dropped=dropped, **more)


@pytest.fixture
def told(build: SimpleNamespace) -> Callable[..., NodeRecord]:
    """A node that told of these qdiscs at its start and ten seconds later."""

    def made(
        before: tuple[Qdisc, ...], after: tuple[Qdisc, ...], cpu: HostCpu | None = None, *, gaps: bool = True
    ) -> NodeRecord:
        mesh = build.mesh()
        record = NodeRecord(mesh, mesh.nodes[-1], OwnConnections(), StallBook(), {}, {})
        probe = build.Probe()
        for uptime_s, qdiscs in ((1000.0, before), (1010.0, after)):
            info = NodeInfo(kernel="6.1.0", host=cpu, qdiscs=qdiscs, qdiscs_at_s=uptime_s, qdisc_problem="")
            record.receive(probe.tell(uptime_s, build.full(), info=info))
            for after_s in range(1, 10) if uptime_s == 1000.0 and not gaps else ():
                record.receive(probe.tell(uptime_s + after_s, build.full()))
        return record

    return made


def test_what_is_counted_is_what_came_since(told: Callable) -> None:
    worst = counted(told((queue("pfifo_fast", 500, 1000),), (queue("pfifo_fast", 540, 3000),))).queue
    assert (worst.dropped, worst.sent, worst.seconds) == (40, 2000, 10.0)


@pytest.mark.parametrize(("dropped", "sent"), [(9, 100), (40, 100_000), (0, 0)])
def test_a_few_of_many_are_nothing(told: Callable, dropped: int, sent: int) -> None:
    assert counted(told((queue("fq", 0),), (queue("fq", dropped, sent),))).queue is None


def test_a_counter_that_went_back_is_not_known(told: Callable) -> None:
    """The discipline was put there anew."""
    assert counted(told((queue("tbf", 900, 5000),), (queue("tbf", 40, 100),))).queue is None


def test_the_one_below_is_what_drops(told: Callable) -> None:
    """It is told of once it has dropped, and counted in the one above, too."""
    leaf = queue("fq_codel", 96, 4000, parent="1:10")
    drops = counted(told((queue("htb", 0),), (queue("htb", 96, 4000), leaf)))
    assert (drops.queue.kind, drops.out) == ("fq_codel below htb", 96)
    assert counted(told((queue("mq", 0),), (queue("mq", 96, 4000), leaf))).queue.kind == "fq_codel"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fq_codel", "to keep its queue short, as it is meant to"),
        ("htb", "its own htb at 8Mbit on eth0 drops what exceeds it"),
        ("pfifo_fast", "the queue of eth0 (pfifo_fast) is full"),
    ],
)
def test_who_set_it_up_and_why_is_said(story: Callable, kind: str, words: str) -> None:
    one = story()
    for seconds, dropped in ((0, 0), (10, 120)):
        at_s = one.uptime + 1
        info = NodeInfo(qdiscs=(queue(kind, dropped, 20 * dropped, rate="8Mbit"),), qdiscs_at_s=at_s, qdisc_problem="")
        one.begin(info=info) if not seconds else one.second(info=info)
        for _ in range(10 if not seconds else 4):
            one.second()
    (found,) = one.engine.snapshot(one.now).findings
    assert (found.code, found.node, found.severity) == ("host-drops", "e", "info")  # nobody sends anything again
    assert words in found.summary
    assert found.next


def test_datagrams_that_nobody_misses_are_no_trouble(story: Callable) -> None:
    """As those of a name server that was asked too much at once."""
    one = story()
    one.begin(snmp={"Udp": {"RcvbufErrors": 0}})
    for second in range(1, 8):
        one.second(snmp={"Udp": {"RcvbufErrors": 40 * second}})
    assert one.engine.snapshot(one.now).findings == ()
    assert one.node().udp_drops == 280


class Links(dict[LinkKey, LinkSignals]):
    """Of a mesh, with flows on all."""

    active = property(dict.keys)


@pytest.mark.parametrize(
    ("path", "changes", "is_cause"),
    [
        ("vpn", {"outer": "udp"}, True),
        ("vpn", {"outer": None}, True),  # not known yet
        ("vpn", {"outer": "tcp"}, False),  # those datagrams were somebody else's
        ("vpn", {"outer": "udp", "retrans": 900}, False),  # far more is lost than that
        ("public", {"overlay": False}, False),
    ],
)
def test_datagrams_that_a_tunnel_misses_are_what_its_flows_send_again(
    build: SimpleNamespace, link: Callable[..., LinkSignals], path: str, changes: dict[str, object], is_cause: bool
) -> None:
    mesh = build.mesh()
    record = NodeRecord(mesh, mesh.nodes[-1], OwnConnections(), StallBook(), {}, {})
    probe = build.Probe()
    for second in range(10):
        record.receive(probe.tell(1000.0 + second, build.full(), snmp={"Udp": {"RcvbufErrors": 20 * second}}))
    key = LinkKey("a", "e", path)
    signals = Links({key: link(*key, **{"overlay": True, "retrans": 150, "window_s": 10.0, **changes})})
    lost = Candidate(Subject("loss", *key), "warning", 0.9, "lost")
    (found,) = HostDrops().judge("e", record, [lost], cast("Gathered", signals))
    assert (found.told == {lost.subject}) is is_cause
    assert (found.candidate.confidence > OPENS_AT) is is_cause


def held_up(code: str, src: str, dst: str, severity: str = "warning") -> Candidate:
    return Candidate(Subject(code, src, dst, "vpn"), severity, 0.8, "waits")  # type: ignore[arg-type]


def test_links_that_wait_for_one_cpu_are_one_finding(told: Callable) -> None:
    record = told((), (), BUSY)
    waiting = [held_up("receiver-limited", "a", "e"), held_up("receiver-limited", "c", "e")]
    (found,) = FullCpu().judge("e", record, [*waiting, held_up("loss", "a", "c")])
    assert (found.candidate.subject, found.candidate.severity) == (Subject("node-wide", node="e"), "warning")
    assert found.told == {each.subject for each in waiting}
    assert ("CPU, all cores", 99.0) in {(each.what, each.value) for each in found.candidate.evidence}


@pytest.mark.parametrize(
    "candidates",
    [
        [],
        [held_up("receiver-limited", "a", "e")],  # of one alone it may as well be its application
        [held_up("receiver-limited", "e", "a"), held_up("receiver-limited", "e", "c")],  # they wait for others
        [held_up("loss", "e", "a"), held_up("loss", "e", "c")],
        [held_up("app-limited", "e", "a", "info"), held_up("app-limited", "e", "c", "info")],
    ],
)
def test_a_full_cpu_alone_is_no_trouble(told: Callable, candidates: list[Candidate]) -> None:
    assert list(FullCpu().judge("e", told((), (), BUSY), candidates)) == []


def test_a_cpu_that_is_full_of_what_gives_way_explains_nothing(told: Callable) -> None:
    """Our samples come as they should, so whoever waits there does not wait for the CPU."""
    waiting = [held_up("receiver-limited", "a", "e"), held_up("receiver-limited", "c", "e")]
    assert list(FullCpu().judge("e", told((), (), BUSY, gaps=False), waiting)) == []
    for hard in ({"steal_pct": 30.0}, {"busiest_core_softirq_pct": 97.0}):
        cpu = HostCpu(at_s=1009.0, cores=4, cpu_pct=60.0, **hard)
        (found,) = FullCpu().judge("e", told((), (), cpu, gaps=False), waiting)
        assert found.told == {each.subject for each in waiting}


def test_it_waits_for_the_cpu_that_our_own_probe_waits_for(told: Callable) -> None:
    waiting = [held_up("receiver-limited", "a", "e"), held_up("receiver-limited", "c", "e")]
    for wait_ms, found in ((0.4, 0), (17.0, 1)):
        cpu = HostCpu(at_s=1009.0, cores=4, cpu_pct=99.0, wait_ms=wait_ms)
        judged = list(FullCpu().judge("e", told((), (), cpu, gaps=False), waiting))
        assert len(judged) == found
    evidence = {each.what: each.value for each in judged[0].candidate.evidence}
    assert evidence["a process waits for a CPU, each time"] == 17.0


def test_one_link_is_enough_for_it_to_go_on(told: Callable) -> None:
    waiting = [held_up("receiver-limited", "a", "e"), held_up("receiver-limited", "c", "e")]
    record, rule = told((), (), BUSY), FullCpu()
    assert [len(list(rule.judge("e", record, waiting[:count]))) for count in (1, 2, 1, 0, 1)] == [0, 1, 1, 0, 0]


def test_what_is_info_stays_info(told: Callable) -> None:
    waiting = [held_up("sender-limited", "e", "a", "info"), held_up("sender-limited", "e", "c", "info")]
    (found,) = FullCpu().judge("e", told((), (), BUSY), waiting)
    assert found.candidate.severity == "info"


def test_a_cpu_with_time_left_explains_nothing(told: Callable) -> None:
    waiting = [held_up("receiver-limited", "a", "e"), held_up("receiver-limited", "c", "e")]
    calm = HostCpu(at_s=1009.0, cores=4, cpu_pct=60.0, steal_pct=1.0, busiest_core_pct=99.0)
    assert list(FullCpu().judge("e", told((), (), calm), waiting)) == []


@pytest.mark.parametrize(
    ("cpu", "pct"),
    [
        (HostCpu(at_s=1009.0, cores=1, cpu_pct=70.0, steal_pct=25.0), 95.0),
        (HostCpu(at_s=1009.0, cores=8, cpu_pct=13.0, busiest_core_softirq_pct=98.0), 98.0),
        (HostCpu(at_s=980.0, cores=8, cpu_pct=13.0), None),  # told too long ago
        (None, None),
    ],
)
def test_how_much_of_the_time_is_gone(told: Callable, cpu: HostCpu | None, pct: float | None) -> None:
    assert used_pct(told((), (), cpu).cpu) == pct


def test_softnet_drops_beside_an_idle_cpu_are_less_sure(story: Callable, build: SimpleNamespace) -> None:
    sure = {}
    for busiest in (20.0, 99.0):
        one = story()
        one.begin(softnet=build.softnet(0))
        for second in range(1, 8):
            cpu = HostCpu(at_s=one.uptime, cores=2, cpu_pct=busiest, busiest_core_pct=busiest)
            one.second(softnet=build.softnet(20 * second), info=NodeInfo(host=cpu))
        (found,) = one.engine.snapshot(one.now).findings
        sure[busiest] = found.confidence
        assert ("busiest core" in {each.what for each in found.against}) == (busiest < 50)
        assert ("CPU, all cores" in {each.what for each in found.evidence}) == (busiest > 50)
    assert sure[20.0] < sure[99.0]


@pytest.mark.parametrize(
    ("rule", "end", "held"),
    [
        (RECEIVER, "dst", {"rwnd_share": 0.9, "busy_share": 0.9}),
        (SENDER, "src", {"data_segs": 500, "sndbuf_share": 0.9, "busy_share": 0.9}),
    ],
)
def test_a_full_cpu_at_the_end_that_holds_up_is_evidence(
    link: Callable, rule: Rule, end: str, held: dict[str, float]
) -> None:
    without = weigh(rule, link(**held))
    with_it = weigh(rule, link(**held, **{f"{end}_cpu_pct": 99.0}))
    assert with_it.confidence > without.confidence
    assert 99.0 in {each.value for each in with_it.evidence}
    assert weigh(rule, link(**{f"{end}_cpu_pct": 99.0})) is None  # alone it is nothing
