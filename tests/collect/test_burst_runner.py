"""Bursts on a lab: real sessions, real iperf3, a real line; and what is left of them when something dies."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshtop import config as configuration
from meshtop.burst import BurstLimits, BurstRecord, BurstRequest, NodeLoad
from meshtop.collect.burst_runner import BurstRun, Phase
from meshtop.collect.clock import Clock
from meshtop.engine.bursts import plan
from meshtop.lab.network import Lab
from meshtop.transport.base import Session
from meshtop.transport.ssh import SshTransport
from meshtop.transport.ssh_config import SshOptions
from tests.processes import await_no_burst, burst_tools

pytestmark = pytest.mark.lab

PORTS = range(5201, 5211)
LIMITS = BurstLimits(max_bytes=250 * 1024**2, max_time_s=60)
SIZE = 20 * 1024**2


class Site:
    """Sessions with the nodes of a lab, and what was told of bursts."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.config = configuration.load(lab.config_path)
        self.sessions: dict[str, Session] = {}
        self.told: list[tuple[Phase, BurstRecord, float]] = []
        self.news = asyncio.Event()

    async def connect(self, *names: str) -> None:
        ssh = self.config.ssh
        options = SshOptions(config=None if ssh.config is None else (ssh.config,), known_hosts=ssh.known_hosts)
        for name in names:
            self.sessions[name] = await SshTransport(self.config.targets[name], options).connect()

    async def close(self) -> None:
        for session in self.sessions.values():
            await session.close()

    def run(self, src: str, dst: str, path: str = "vpn", **asked: Any) -> BurstRun:
        asked = asked if {"bytes", "seconds"} & asked.keys() else {"bytes": SIZE, **asked}
        request = BurstRequest(src=src, dst=dst, path=path, **asked)
        planned = plan(request, self.config.mesh, LIMITS, dict[str, NodeLoad]())
        return BurstRun("b1", planned, self.sessions.get, PORTS, Clock(), self._hear)

    def _hear(self, phase: Phase, record: BurstRecord) -> None:
        self.told.append((phase, record, time.monotonic()))
        self.news.set()

    async def until(self, phase: Phase, within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not any(told[0] == phase for told in self.told):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def connected(lab: Lab, *names: str) -> AsyncIterator[Site]:
    site = Site(lab)
    try:
        await site.connect(*names)
        yield site
    finally:
        await site.close()


def document(record: BurstRecord) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(msgspec.json.encode(record))
    return made


async def test_the_operators_own_experiment(lab: Lab) -> None:
    async with connected(lab, "e", "a") as site:
        began = time.monotonic()
        record = await site.run("e", "a", streams=8).run()
        took_s = time.monotonic() - began
        assert (record.state, record.reason) == ("done", None)
        burst = document(record)
        end = burst["raw"]["client"]["end"]
        assert burst["sent_bytes"] == end["sum_sent"]["bytes"] >= SIZE
        assert burst["received_bytes"] == end["sum_received"]["bytes"]
        assert burst["sender_bps"] == pytest.approx(end["sum_sent"]["bits_per_second"], rel=0.01)
        assert burst["receiver_bps"] == pytest.approx(end["sum_received"]["bits_per_second"], rel=0.01)
        assert burst["retransmits"] == end["sum_sent"]["retransmits"] is not None
        assert burst["receiver_bps"] == pytest.approx(30e6, rel=0.15)
        assert sum(each["retransmits"] for each in burst["intervals"]) == pytest.approx(burst["retransmits"], abs=20)
        assert all(len(each["streams"]) == 8 and each["rtt_ms"] for each in burst["intervals"])
        assert burst["tool"].startswith("iperf3 3.")
        assert "receiver" in burst["raw"]["server"]
        assert burst["stalls"] is None  # nobody watched
        assert took_s < burst["predicted_s"] * 1.5 + 3
        phases = [phase for phase, _, _ in site.told]
        assert (phases[0], phases[-1]) == ("started", "closed")
        at = {phase: when for phase, _, when in reversed(site.told)}
        assert at["started"] - began < 1.5
        assert at["interval"] - at["started"] < 2
        assert phases.count("interval") >= burst["predicted_s"]
    await_no_burst(lab, 2)


@pytest.mark.parametrize("path", ["vpn", "public"])
async def test_the_other_way(lab: Lab, path: str) -> None:
    async with connected(lab, "e", "a") as site:
        record = await site.run("e", "a", path, reverse=True, bytes=2 * 1024**2, streams=2).run()
        assert (record.state, record.reason) == ("done", None)
        assert record.receiver_bps is not None
        assert record.receiver_bps < 10.5e6  # a's thin uplink
        assert document(record)["raw"]["client"]["start"]["test_start"]["reverse"] == 1


async def test_both_ways_and_datagrams(lab: Lab) -> None:
    async with connected(lab, "e", "a") as site:
        both = await site.run("e", "a", bidir=True, seconds=2, streams=2).run()
        assert both.state == "done"
        assert both.other is not None
        assert (both.sender_bps or 0) > (both.other["sender_bps"] or 0) > 0  # 30 against 10 Mbit/s
        udp = await site.run("e", "a", udp=True, rate_bps=2_000_000, seconds=2, streams=2).run()
        assert udp.state == "done"
        assert udp.retransmits is None
        assert udp.sender_bps == pytest.approx(4e6, rel=0.1)


async def test_an_abort_keeps_what_came(lab: Lab) -> None:
    async with connected(lab, "e", "a") as site:
        run = site.run("e", "a", seconds=30)
        work = asyncio.create_task(run.run())
        await site.until("interval")
        began = time.monotonic()
        run.abort()
        record = await work
        assert time.monotonic() - began < 5
        assert (record.state, record.reason) == ("aborted", "aborted by the operator")
        assert record.sent_bytes
        assert record.intervals
        await_no_burst(lab, 1)
        again = await site.run("e", "a", bytes=1024**2).run()
        assert again.state == "done"


async def test_a_cancelled_burst_leaves_nothing(lab: Lab) -> None:
    async with connected(lab, "e", "a") as site:
        work = asyncio.create_task(site.run("e", "a", seconds=30).run())
        await site.until("started")
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await_no_burst(lab, 3)


@pytest.mark.parametrize("node", ["e", "a"])
async def test_a_killed_sshd(lab: Lab, node: str) -> None:
    async with connected(lab, "e", "a") as site:
        work = asyncio.create_task(site.run("e", "a", seconds=30).run())
        await site.until("started")
        lab.kill_sshd(node)
        record = await work
        assert record.state == "failed"
        assert record.reason is not None
        assert record.reason.startswith(f"the session with {node} was lost")
        await_no_burst(lab)


def test_a_killed_operator(lab: Lab) -> None:
    operator = subprocess.Popen(
        [sys.executable, __file__, str(lab.config_path)],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        assert operator.stdout is not None
        assert operator.stdout.readline() == b"started\n"
        assert burst_tools(lab)
    finally:
        operator.send_signal(signal.SIGKILL)
        operator.communicate()
    await_no_burst(lab)


async def test_a_cut_management_path_ends_with_the_time_limit(lab: Lab) -> None:
    """Neither sshd learns of it, so that the nodes' own limit is what holds."""
    async with connected(lab, "e", "a") as site:
        run = site.run("e", "a", seconds=60)
        limit_s = 6.0
        run._plan = msgspec.structs.replace(run._plan, limit_s=limit_s)
        work = asyncio.create_task(run.run())
        await site.until("started")
        began = time.monotonic()
        lab.cut_mgmt("e")
        lab.cut_mgmt("a")
        await asyncio.to_thread(await_no_burst, lab, limit_s + 1)
        assert time.monotonic() - began > 2  # the cut itself did not end it
        record = await work
        assert record.state == "failed"
        assert record.reason == "not over after 6 s, the most that is allowed for it"
        lab.heal_mgmt("e")
        lab.heal_mgmt("a")


async def test_a_port_in_use_is_passed_over(lab: Lab) -> None:
    other = lab.popen("a", ["iperf3", "-s", "-p", "5201", "--forceflush"])
    try:
        assert other.stdout is not None
        while b"listening" not in other.stdout.readline():
            pass
        async with connected(lab, "e", "a") as site:
            record = await site.run("e", "a", bytes=1024**2).run()
        assert (record.state, record.reason) == ("done", None)
        assert document(record)["raw"]["client"]["start"]["connecting_to"]["port"] == 5202
    finally:
        other.kill()
        other.communicate()


@pytest.mark.parametrize("node", ["e", "a"])
async def test_a_missing_iperf3(lab: Lab, node: str) -> None:
    lab.fault(node, "tool-missing", "iperf3")
    async with connected(lab, "e", "a") as site:
        record = await site.run("e", "a").run()
    assert (record.state, record.reason) == ("failed", f"iperf3 is not installed on {node}")
    assert record.cure == f"install iperf3 on {node}"
    await_no_burst(lab, 3)


async def test_no_session(lab: Lab) -> None:
    async with connected(lab, "e") as site:
        record = await site.run("e", "a").run()
    assert (record.state, record.reason) == ("failed", "there is no session with a")


async def test_a_path_that_carries_nothing(lab: Lab) -> None:
    lab.fault("e", "blackout", net="vpn")
    async with connected(lab, "e", "a") as site:
        record = await site.run("e", "a").run()
    assert record.state == "failed"
    assert record.reason == f"e cannot connect to a ({lab.address('vpn', 'a')}) on vpn: no answer"
    assert "5201-5210" in (record.cure or "")
    await_no_burst(lab, 3)


async def test_a_port_that_refuses(lab: Lab) -> None:
    """The address is not the server's own, so nothing listens where the client dials."""
    async with connected(lab, "e", "a") as site:
        run = site.run("e", "a")
        run._plan = msgspec.structs.replace(run._plan, connect_to=lab.address("vpn", "b"))
        record = await run.run()
    assert record.state == "failed"
    assert (record.reason or "").endswith("on vpn: refused")
    await_no_burst(lab, 3)


async def test_twenty_in_a_row_leave_nothing(lab: Lab) -> None:
    async with connected(lab, "e", "a") as site:
        assert (await site.run("e", "a", bytes=65536, streams=1).run()).state == "done"
        descriptors, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
        for _ in range(20):
            record = await site.run("e", "a", bytes=65536, streams=1).run()
            assert (record.state, record.reason) == ("done", None)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        assert len(asyncio.all_tasks()) == tasks
        await_no_burst(lab, 2)


@pytest.fixture
def natted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("MESHTOP_LAB_HOME", str(tmp_path / "labs"))
    with Lab.up("natted", nat=["e"]) as lab:
        yield lab


async def test_a_node_behind_nat_is_the_client(natted: Lab) -> None:
    async with connected(natted, "e", "a") as site:
        out = await site.run("e", "a", "public", bytes=2 * 1024**2, streams=2).run()
        into = await site.run("a", "e", "public", bytes=2 * 1024**2, streams=2).run()
        back = await site.run("a", "e", "public", reverse=True, bytes=2 * 1024**2, streams=2).run()
    assert [each.state for each in (out, into, back)] == ["done"] * 3
    flags = [document(each)["raw"]["client"]["start"]["test_start"]["reverse"] for each in (out, into, back)]
    assert flags == [0, 1, 0]
    assert (into.receiver_bps or 0) < 10.5e6 < (out.receiver_bps or 0)  # a's uplink; e's uplink
    await_no_burst(natted, 2)


async def operate(path: Path) -> None:
    """What a killed operator was: a process of its own, in the middle of a burst."""
    lab_config = configuration.load(path)
    options = SshOptions(
        config=None if lab_config.ssh.config is None else (lab_config.ssh.config,),
        known_hosts=lab_config.ssh.known_hosts,
    )
    sessions = {name: await SshTransport(lab_config.targets[name], options).connect() for name in ("e", "a")}
    planned = plan(BurstRequest(src="e", dst="a", path="vpn", seconds=30), lab_config.mesh, LIMITS)

    def tell(phase: Phase, record: BurstRecord) -> None:
        if phase == "started":
            print("started", flush=True)

    await BurstRun("b1", planned, sessions.get, PORTS, Clock(), tell).run()


if __name__ == "__main__":
    asyncio.run(operate(Path(sys.argv[1])))
