"""The rows of the slow beat on the host itself: CPUs, queue disciplines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.host import host_cpu, qdiscs
from meshtop.readings import HostCpu, Qdisc

CPU = "at:26090 cores:64 busy:981 iowait:13 softirq:5 steal:0 core:1000 core_softirq:11 wait:210"
TBF = "eth0/tbf/root sent:6 dropped:94 over:104 requeues:0 backlog:1500 queued:1 rate:1Mbit"
LEAF = "eth1/fq_codel/1:10 sent:4 dropped:2 over:0 requeues:0 backlog:0 queued:0"


def test_cpus() -> None:
    assert host_cpu(CPU.split()) == HostCpu(
        at_s=26090.0,
        cores=64,
        cpu_pct=98.1,
        iowait_pct=1.3,
        softirq_pct=0.5,
        steal_pct=0.0,
        busiest_core_pct=100.0,
        busiest_core_softirq_pct=1.1,
        wait_ms=0.21,
    )


def test_what_an_old_kernel_does_not_count_is_not_known() -> None:
    cpu = host_cpu(["at:7", "cores:1", "busy:20", "core:20"])
    assert cpu is not None
    assert (cpu.cpu_pct, cpu.steal_pct, cpu.softirq_pct, cpu.iowait_pct, cpu.wait_ms) == (2.0,) + (None,) * 4


@pytest.mark.parametrize("text", ["", "cores:2 busy:10 core:10", "at:x cores:2 busy:10 core:10", "busy"])
def test_what_is_no_reading(text: str) -> None:
    assert host_cpu(text.split()) is None


def test_a_share_above_the_whole_is_not_known() -> None:
    cpu = host_cpu(["at:7", "cores:1", "busy:1001", "core:20"])
    assert cpu is not None
    assert cpu.cpu_pct is None


def test_queue_disciplines() -> None:
    told, at_s, why = qdiscs(f"- at:123 {TBF} {LEAF}".split())
    assert (at_s, why) == (123.0, "")
    assert told == (
        Qdisc(
            device="eth0", kind="tbf", sent_packets=6, dropped=94, overlimits=104, requeues=0,
            backlog_bytes=1500, backlog_packets=1, rate="1Mbit",
        ),
        Qdisc(
            device="eth1", kind="fq_codel", parent="1:10", sent_packets=4, dropped=2, overlimits=0, requeues=0,
            backlog_bytes=0, backlog_packets=0,
        ),
    )  # fmt: skip


def test_none_that_queues_is_not_the_same_as_none_that_is_seen() -> None:
    assert qdiscs(["-", "at:123"]) == ((), 123.0, "")
    assert qdiscs(["!", "tc:", "not", "found"]) == (None, None, "tc: not found")
    assert qdiscs([]) == (None, None, "not told")


def test_a_group_that_makes_no_sense_is_left_out() -> None:
    assert qdiscs(["-", "at:1", "eth0/tbf/root", "sent:x", "/fq/root", "dropped:1"])[0] == ()


@given(st.lists(st.text(max_size=30), max_size=40))
def test_nothing_breaks_it(words: list[str]) -> None:
    told, _, why = qdiscs(["-", *words])
    assert why == ""
    assert all("\x1b" not in f"{one.device}{one.kind}{one.parent}{one.rate}" for one in told or ())
    host_cpu(words)
