"""A node's CPUs and queue disciplines as the snapshot has them: with their age, and not at all once they are old."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshtop.readings import HostCpu, NodeInfo, Qdisc


def info(at_s: float, dropped: int) -> NodeInfo:
    cpu = HostCpu(at_s=at_s, cores=2, cpu_pct=12.5, softirq_pct=1.0, busiest_core_pct=20.0)
    tbf = Qdisc(device="eth0", kind="tbf", sent_packets=10 * dropped, dropped=dropped, rate="8Mbit", backlog_packets=3)
    return NodeInfo(host=cpu, qdiscs=(tbf,), qdiscs_at_s=at_s, qdisc_problem="")


def test_what_was_counted_since_the_reading_before(story: Callable) -> None:
    one = story()
    one.begin(info=info(1000.0, 500))
    (first,) = one.node().qdiscs
    assert (first.dropped, first.seconds, first.backlog_packets) == (None, None, 3)  # since when, nobody knows
    for _ in range(9):
        one.second()
    one.second(info=info(1010.0, 540))
    one.second(info=info(1010.0, 540))  # told again, as a frame does that tells something else of the node
    one.second()
    (shaper,) = one.node().qdiscs
    assert (shaper.dropped, shaper.sent, shaper.seconds, shaper.rate) == (40, 400, 10.0, "8Mbit")
    assert shaper.age_s == pytest.approx(2.0, abs=0.1)
    host = one.node().host
    assert (host.cpu_pct, host.cores, host.steal_pct) == (12.5, 2, None)
    assert host.age_s == pytest.approx(2.0, abs=0.1)


def test_what_is_old_is_not_shown(story: Callable) -> None:
    one = story()
    one.begin(info=info(1000.0, 0))
    for _ in range(26):
        one.second()
    node = one.node()
    assert (node.host.cpu_pct, node.host.age_s) == (None, None)
    assert (node.qdiscs, node.qdiscs_reason) == (None, "told too long ago")


def test_what_came_while_nobody_watched_is_not_of_now(story: Callable) -> None:
    one = story()
    one.begin(info=info(1000.0, 500))
    one.uptime += 600.0
    one.second(info=info(1601.0, 9500))
    (shaper,) = one.node().qdiscs
    assert (shaper.dropped, shaper.seconds) == (None, None)


def test_why_there_are_none(story: Callable) -> None:
    one = story()
    assert one.node().qdiscs_reason == "no sample yet"
    one.begin()
    assert one.node().qdiscs_reason == "not told yet"
    one.second(info=NodeInfo(qdisc_problem="tc: not found"))
    assert (one.node().qdiscs, one.node().qdiscs_reason) == (None, "tc: not found")
    one.second(info=info(1002.0, 0))
    assert one.node().qdiscs_reason is None
    assert len(one.node().qdiscs) == 1


def test_another_boot_begins_anew(story: Callable) -> None:
    one = story()
    one.begin(info=info(1000.0, 500))
    one.probe.boot, one.probe.seq = "boot-2", -1
    one.second(info=NodeInfo(kernel="6.1.0"))
    assert one.node().qdiscs is None
    assert one.node().host.cpu_pct is None
