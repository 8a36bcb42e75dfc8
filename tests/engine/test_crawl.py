"""Crawls: named when goodput collapses while data waits, and never for who has little to send."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshtop.engine.crawl import Crawls
from meshtop.readings import SocketId, SocketReading

ID = SocketId("10.10.10.5", 40112, "10.10.10.1", 5201, "1a2b")
BASE = SocketReading(id=ID, state="ESTAB", recv_q=0, send_q=0, mss=1448, unacked=10, notsent=50_000, bytes_acked=0)


class Flow:
    """A flow that is looked at each ``period_s``."""

    def __init__(self, period_s: float = 1.0) -> None:
        self.crawls = Crawls()
        self.period_s = period_s
        self.at = 100.0
        self.acked = 0
        self.busy_ms = self.held_ms = 0.0

    def run(
        self, seconds: float, bytes_per_s: float, *, busy: float = 1.0, held: float = 0.0, **fields: Any
    ) -> list[bool]:
        """Whether it crawled, reading by reading. ``held``: the share of time with the receiver's window full."""
        crawled = []
        for _ in range(round(seconds / self.period_s)):
            self.at += self.period_s
            self.acked += round(bytes_per_s * self.period_s)
            self.busy_ms += 1000 * busy * self.period_s
            self.held_ms += 1000 * held * self.period_s
            clocks = {"busy_ms": round(self.busy_ms), "rwnd_limited_ms": round(self.held_ms)}
            given = {"bytes_acked": self.acked, **clocks, **fields}
            self.crawls.see(msgspec.structs.replace(BASE, **given), self.at, self.period_s)
            crawled.append(any(True for _ in self.crawls.now(self.at)))
        return crawled


@pytest.mark.parametrize("period_s", [0.1, 0.2, 1.0])
def test_a_collapse_is_named_after_three_seconds_and_ends_with_it(period_s: float) -> None:
    flow = Flow(period_s)
    assert not any(flow.run(10, 500_000))
    crawled = flow.run(20, 8_000)
    first = crawled.index(True) * period_s
    assert 2.0 <= first <= 4.5
    assert all(crawled[crawled.index(True) :])
    (_, crawl) = next(flow.crawls.now(flow.at))
    assert crawl.goodput_bps == pytest.approx(64_000, rel=0.01)
    assert crawl.peak_bps == pytest.approx(4_000_000, rel=0.05)
    assert not any(flow.run(5, 400_000)[round(2 / period_s) :])


def test_a_tenth_of_the_peak_is_no_crawl() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    assert not any(flow.run(20, 50_000))


def test_an_application_that_writes_little_does_not_crawl() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    assert not any(flow.run(20, 500, busy=0.05, notsent=None, unacked=1))


def test_nor_one_that_waits_for_each_answer_though_something_is_always_under_way() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    assert not any(flow.run(20, 5_000, app_limited=True, notsent=None, unacked=1))


def test_who_waits_for_a_slow_receiver_does_not_crawl() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    assert not any(flow.run(20, 8_000, held=0.9))
    assert flow.run(10, 8_000)[-1]


def test_who_has_always_been_slow_does_not_crawl() -> None:
    flow = Flow()
    assert not any(flow.run(60, 2_000))


def test_what_was_fast_long_ago_is_no_measure() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    flow.run(70, 60_000)
    assert not any(flow.run(20, 10_000))  # a sixth of what it did for the last minute


def test_without_the_clock_of_waiting_only_what_may_not_be_sent_speaks() -> None:
    flow = Flow()
    flow.run(10, 500_000, busy_ms=None)
    assert not any(flow.run(10, 8_000, busy_ms=None, notsent=None, unacked=1))
    flow.run(10, 500_000, busy_ms=None)
    assert flow.run(10, 8_000, busy_ms=None)[-1]


def test_a_gap_in_the_readings_is_no_crawl() -> None:
    flow = Flow(0.2)
    flow.run(10, 500_000)
    flow.at += 30
    flow.busy_ms += 30_000
    assert not any(flow.run(2, 500_000))


def test_idle_flows_are_let_go() -> None:
    flow = Flow()
    flow.run(10, 500_000)
    idle = msgspec.structs.replace(BASE, unacked=None, notsent=None, bytes_acked=flow.acked)
    flow.crawls.see(idle, flow.at + 1, 1.0)
    flow.crawls.unchanged(set(), flow.at + 100, 1.0)
    assert flow.crawls._paces == {}
