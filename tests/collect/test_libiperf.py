"""iperf3 by its library in a process of its own, over loopback, under the reaper as on the operator's machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshtop.burst import BurstLimits, BurstPlan, BurstRequest
from meshtop.collect.burst_runner import BurstRun
from meshtop.collect.clock import Clock
from meshtop.engine.bursts import plan
from meshtop.model import Mesh, Node
from meshtop.model import Path as Way
from meshtop.transport.local import LocalTransport

pytestmark = pytest.mark.node

MESH = Mesh(
    name="m",
    paths=(Way(name="p", kind="underlay"),),
    nodes=(Node(name="a", address={"p": "127.0.0.1"}), Node(name="e", address={"p": "127.0.0.2"})),
)
COMMAND = [sys.executable, "-m", "meshtop.collect.libiperf"]


def planned(**asked: object) -> BurstPlan:
    request = BurstRequest(src="e", dst="a", path="p", **{"bytes": 2**21, "streams": 2, **asked})  # type: ignore[arg-type]
    return plan(request, MESH, BurstLimits(max_bytes=10**9, max_time_s=60))


async def carry_out(asked: BurstPlan, *, here: tuple[str, ...] = ("a", "e")) -> BurstRun:
    sessions = {name: await LocalTransport().connect() for name in ("a", "e")}
    run = BurstRun("b1", asked, sessions.get, range(5281, 5290), Clock(), here=here)
    await run.run()
    for session in sessions.values():
        await session.close()
    return run


def without_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search path with all but ``iperf3``."""
    for folder in os.environ["PATH"].split(":"):
        for file in Path(folder).iterdir() if Path(folder).is_dir() else ():
            link = tmp_path / file.name
            if file.name != "iperf3" and not link.exists() and not link.is_symlink():
                link.symlink_to(file)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    "options", [{}, {"reverse": True}, {"bidir": True}, {"mss": 1000, "congestion": "cubic"}, {"udp": True}], ids=str
)
async def test_the_library_does_what_the_tool_does(options: dict[str, object]) -> None:
    run = await carry_out(planned(**options))
    record = run.record
    assert (record.state, record.reason) == ("done", None)
    assert (record.tool or "").startswith("iperf3 3.")
    assert record.sent_bytes is not None
    assert record.sent_bytes >= 2**21
    assert (record.retransmits is None) is bool(options.get("udp"))
    start = record.raw.client["start"]
    assert start["test_start"]["reverse"] == int(bool(options.get("reverse")))
    assert len(start["connected"]) == (4 if options.get("bidir") else 2)
    if "congestion" in options:
        assert record.raw.client["end"]["sender_tcp_congestion"] == "cubic"


async def test_the_tool_takes_the_place_of_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert (await carry_out(planned())).record.state == "done"


def test_what_goes_wrong_is_said_as_the_tool_says_it() -> None:
    refused = subprocess.run(
        [*COMMAND, "-c", "127.0.0.1", "-p", "5299", "-J"], capture_output=True, text=True, check=False, timeout=20
    )
    assert json.loads(refused.stdout)["error"] == "unable to connect to server: Connection refused"
    wrong = subprocess.run([*COMMAND, "-c", "x", "-s"], capture_output=True, text=True, check=False, timeout=20)
    assert wrong.returncode == 1
    assert "parameter error" in wrong.stderr


async def test_neither_library_nor_tool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with asyncio.timeout(30):
        await asyncio.to_thread(without_the_tool, tmp_path, monkeypatch)
        monkeypatch.setattr(sys, "executable", "/bin/false")
        record = (await carry_out(planned())).record
    assert (record.state, record.reason) == ("failed", "this machine has neither libiperf nor iperf3")
    assert record.cure == "install one of them: Debian's libiperf0 or iperf3"
