"""Bursts with an iperf3 that streams JSON, by a stand-in that prints what 3.18 and 3.22 printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshtop.burst import BurstLimits, BurstPlan, BurstRecord, BurstRequest
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
    request = BurstRequest(src="e", dst="a", path="p", seconds=2, **asked)  # type: ignore[arg-type]
    return plan(request, MESH, BurstLimits(max_bytes=10**9, max_time_s=60))


async def play(tmp_path: Path, version: str, output: Path, asked: BurstPlan) -> tuple[BurstRecord, list[Phase]]:
    fake = tmp_path / "iperf3"
    fake.write_text(FAKE.format(version=version, output=output))
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


@pytest.mark.node
async def test_a_busy_server_is_told(tmp_path: Path, fixtures: Path) -> None:
    output = fixtures / "iperf3" / "iperf3-3.12-err-busy.json"
    record, _ = await play(tmp_path, "3.12", output, planned(streams=1))
    assert record.state == "failed"
    assert (record.reason or "").endswith("another client was faster")
