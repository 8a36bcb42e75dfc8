"""Bursts in a monitor on a lab: from the key to the load, a path to the nodes that is cut, a hundred in a row."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meshtop import compose
from meshtop import config as configuration
from meshtop.burst import BurstRequest
from meshtop.collect import burst_runner
from meshtop.engine import bursts
from meshtop.engine.events import BurstEvent, StreamEvent
from meshtop.lab.capture import Capture, read_pcap
from meshtop.lab.network import Lab
from meshtop.lab.segments import parse_segment
from meshtop.monitor import Monitor
from meshtop.requests import StartBurst
from tests.e2e.test_bursts import is_free
from tests.processes import await_no_burst, burst_tools

pytestmark = pytest.mark.lab

FIRST_LOAD_S = 1.5
FULL_BYTES = 1000


class Watching:
    """A monitor on a lab, and what it told of bursts."""

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self.events: list[BurstEvent] = []
        self._news = asyncio.Event()
        monitor.listen(self._hear)

    def _hear(self, event: StreamEvent) -> None:
        if isinstance(event, BurstEvent):
            self.events.append(event)
            self._news.set()

    async def until(self, phase: str, state: str | None = None, within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while not any(each.phase == phase and state in (None, each.state) for each in self.events):
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def watching(lab: Lab, only: set[str] | None = None) -> AsyncIterator[Watching]:
    monitor = compose.watch(configuration.load(lab.config_path), only=only)
    running = asyncio.create_task(monitor.run())
    try:
        await monitor.settled()
        yield Watching(monitor)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def test_from_the_key_to_the_load_on_a_path_of_40_ms(lab: Lab, tmp_path: Path) -> None:
    for node in ("a", "e"):
        lab.fault(node, "delay", "20", net="mgmt")
        lab.fault(node, "delay", "9", net="vpn")
    file = tmp_path / "vpn.pcap"
    try:
        async with watching(lab) as site:
            with Capture("vpn0", file, lab.command("e", ())):
                await asyncio.sleep(3)
                at = time.time()
                site.monitor.send(StartBurst(requests=(BurstRequest(src="e", dst="a", path="vpn", bytes=2**20),)))
                await site.until("closed")
            node = next(each for each in site.monitor.snapshot().nodes if each.name == "e")
            assert node.ssh_rtt_ms is not None
            assert node.ssh_rtt_ms > 35
    finally:
        lab.heal()
    segments = [(packet.at, parse_segment(packet.data)) for packet in read_pcap(file) if packet.outgoing]
    loads = [when for when, segment in segments if segment is not None and segment.payload >= FULL_BYTES]
    took_s = min(when for when in loads if when > at) - at
    print(f"first load after {took_s:.3f} s")
    assert took_s < FIRST_LOAD_S
    record = site.events[-1]
    assert record.state == "done"


@pytest.mark.parametrize("which", ["starting", "running", "closing"])
async def test_a_cut_management_path_ends_with_the_time_limit(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """Neither SSH server learns of it, so that the nodes' own limit is what holds."""
    limit_s = 4.0
    monkeypatch.setattr(bursts, "LEAST_LIMIT_S", limit_s)
    monkeypatch.setattr(bursts, "LIMIT_TIMES", 1.0)
    monkeypatch.setattr(burst_runner, "OVERTIME_S", 1.0)
    try:
        async with watching(lab, {"e", "a"}) as site:
            began = time.monotonic()
            asked = BurstRequest(src="e", dst="a", path="vpn", seconds=1 if which == "closing" else 4, streams=2)
            site.monitor.send(StartBurst(requests=(asked,), confirmed=True))
            if which == "starting":
                await site.until("queued")
            else:
                await site.until("started")
            if which == "closing":
                await asyncio.sleep(0.6)
            lab.cut_mgmt("e")
            lab.cut_mgmt("a")
            await asyncio.to_thread(await_no_burst, lab, limit_s + 3 - (time.monotonic() - began))
            assert is_free(lab)
            await site.until("closed", within_s=30)  # the row does not hang
            assert site.events[-1].state == "failed"
            assert site.events[-1].reason
            lab.heal_mgmt("e")
            lab.heal_mgmt("a")
    finally:
        lab.heal_mgmt("e")
        lab.heal_mgmt("a")


async def test_a_hundred_in_a_row_leave_nothing(lab: Lab) -> None:
    ways = (("e", "a"), ("b", "c"))
    asked = [BurstRequest(src=src, dst=dst, path="public", bytes=65536, streams=1) for src, dst in ways]
    async with watching(lab) as site:
        queue = site.monitor.bursts
        assert [each.state for each in await asyncio.gather(*(queue.run(one) for one in asked))] == ["done"] * 2
        descriptors, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        for _ in range(50):
            for record in await asyncio.gather(*(queue.run(one) for one in asked)):
                assert (record.state, record.reason) == ("done", None)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert len(asyncio.all_tasks()) == tasks
        await asyncio.to_thread(await_no_burst, lab, 3)
        assert len(site.monitor.view().bursts) == 102
        assert site.monitor.view().bursts[-1].raw.client is None
    assert burst_tools(lab) == []
