"""Bursts with an iperf3 that streams JSON, by a stand-in that prints what 3.18 and 3.22 printed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from meshtop.burst import BurstLimits, BurstPlan, BurstRecord, BurstRequest
from meshtop.collect import burst_runner
from meshtop.collect.burst_runner import BurstRun, Phase
from meshtop.collect.clock import Clock
from meshtop.engine.bursts import plan
from meshtop.model import Mesh, Node
from meshtop.model import Path as MeshPath
from meshtop.transport.local import LocalTransport

MESH = Mesh(
    name="m",
    paths=(MeshPath(name="p", kind="underlay"),),
    nodes=(Node(name="a", address={"p": "127.0.0.2"}), Node(name="e", address={"p": "127.0.0.1"})),
)
FAKE = """#!/bin/sh
case "$1" in
  --version) echo "iperf {version} (cJSON 1.7.15)" ;;
  -s) echo "Server listening on 5201 (test #1)"; sleep 0.2; echo "Accepted connection from 127.0.0.1, port 40000"
      echo "[  5]   0.00-0.50   sec  6.00 MBytes  50318 Kbits/sec"; sleep 0.3 ;;
  *) sleep 0.4; cat "{output}" ;;
esac
"""


def planned(**asked: object) -> BurstPlan:
    request = BurstRequest(src="e", dst="a", path="p", **{"seconds": 2, **asked})  # type: ignore[arg-type]
    return plan(request, MESH, BurstLimits(max_bytes=10**9, max_time_s=60))


async def play(
    tmp_path: Path, version: str, output: Path, asked: BurstPlan, script: str = ""
) -> tuple[BurstRecord, list[Phase]]:
    fake = tmp_path / "iperf3"
    fake.write_text(script or FAKE.format(version=version, output=output))
    fake.chmod(0o755)
    sessions = {name: await LocalTransport().connect() for name in ("a", "e")}
    phases: list[Phase] = []
    run = BurstRun("b1", asked, sessions.get, range(5201, 5211), Clock(), lambda phase, _: phases.append(phase))
    record = await run.run()
    for session in sessions.values():
        await session.close()
    return record, phases


@pytest.fixture
def fixtures() -> Path:
    return Path(__file__).parents[1] / "fixtures"


@pytest.fixture(autouse=True)
def first_in_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")


@pytest.mark.node
@pytest.mark.parametrize("version", ["3.18", "3.22"])
async def test_intervals_of_the_stream_take_the_place_of_the_servers(
    tmp_path: Path, fixtures: Path, version: str
) -> None:
    output = fixtures / "iperf3" / f"iperf3-{version}-jsonstream.out"
    record, phases = await play(tmp_path, version, output, planned(streams=1))
    assert (record.state, record.reason, record.tool) == ("done", None, f"iperf3 {version}")
    assert record.sent_bytes == record.raw.client["end"]["sum_sent"]["bytes"]
    assert [round(each.t) for each in record.intervals] == [1, 2]
    assert all(each.rtt_ms and each.cwnd_bytes for each in record.intervals)
    assert phases == ["started", "interval", "interval", "interval", "closed"]  # the server's, two of the stream


@pytest.mark.node
@pytest.mark.parametrize("version", ["3.7", "3.9", "3.12", "3.16"])
async def test_older_ones_tell_at_the_end(tmp_path: Path, fixtures: Path, version: str) -> None:
    output = fixtures / "iperf3" / f"iperf3-{version}-json.out"
    record, phases = await play(tmp_path, version, output, planned(streams=1))
    assert (record.state, record.tool) == ("done", f"iperf3 {version}")
    assert record.sent_bytes == record.raw.client["end"]["sum_sent"]["bytes"]
    assert phases == ["started", "interval", "closed"]


@pytest.mark.node
@pytest.mark.parametrize("version", ["3.7", "3.9", "3.12"])
async def test_a_server_that_died_is_a_failure_that_keeps_what_came(
    tmp_path: Path, fixtures: Path, version: str
) -> None:
    output = fixtures / "iperf3" / f"iperf3-{version}-srvkill.json"
    record, _ = await play(tmp_path, version, output, planned(streams=1))
    assert record.state == "failed"
    assert record.reason
    assert record.intervals
    assert record.sent_bytes is None


LATE = """#!/bin/sh
case "$1" in
  --version) echo "iperf 3.9 (cJSON 1.7.13)" ;;
  -s) echo "Server listening on 5201"; while [ ! -e "{begun}" ]; do sleep 0.05; done
      echo "Accepted connection from 127.0.0.1, port 40000"
      echo "[  5]   0.00-0.50   sec  6.00 MBytes  80000 Kbits/sec    0   1.20 MBytes"
      while [ ! -e "{ended}" ]; do sleep 0.05; done
      echo "[ ID] Interval           Transfer     Bitrate         Retr"
      echo "[  5]   0.00-0.90   sec  9.00 MBytes  84000 Kbits/sec    7             sender" ;;
  *) : >"{begun}"; trap ': >"{ended}"; cat "{output}"; exit 1' TERM; while :; do sleep 0.05; done ;;
esac
"""


@pytest.mark.node
async def test_what_does_not_end_by_size_is_ended(tmp_path: Path, fixtures: Path) -> None:
    """A client that receives, older than 3.10. It knows only its own part; the server's text has the rest."""
    output = fixtures / "iperf3" / "iperf3-3.9-sigterm.json"
    fake = LATE.format(begun=tmp_path / "begun", ended=tmp_path / "ended", output=output)
    asked = planned(streams=1, reverse=True, bytes=8_000_000, seconds=None)
    async with asyncio.timeout(30):
        record, _ = await play(tmp_path, "3.9", output, asked, fake)
    assert (record.state, record.reason) == ("done", None)
    assert (record.sender_bps, record.retransmits, record.sent_bytes) == (84e6, 7, 9_450_000)


@pytest.mark.node
async def test_a_lost_first_datagram_is_told(tmp_path: Path, fixtures: Path) -> None:
    output = fixtures / "iperf3" / "iperf3-3.18-lossy-udp-unheard.json"
    record, _ = await play(tmp_path, "3.18", output, planned(streams=1, udp=True))
    assert (record.state, record.sent_bytes) == ("failed", None)
    assert record.reason == "e and a are connected, but a first datagram was lost on p"


@pytest.mark.node
async def test_a_client_that_waits_for_a_lost_datagram_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst_runner, "MUTE_S", 2.0)
    mute = tmp_path / "mute"
    os.mkfifo(mute)
    async with asyncio.timeout(30):
        record, _ = await play(tmp_path, "3.9", mute, planned(streams=8, udp=True))
    assert record.reason == "e and a are connected, but a first datagram was lost on p"


@pytest.mark.node
async def test_a_busy_server_is_told(tmp_path: Path, fixtures: Path) -> None:
    output = fixtures / "iperf3" / "iperf3-3.12-err-busy.json"
    record, _ = await play(tmp_path, "3.12", output, planned(streams=1))
    assert record.state == "failed"
    assert (record.reason or "").endswith("another client was faster")
