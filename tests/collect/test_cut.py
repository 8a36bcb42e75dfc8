"""A silent cut of the way to a node: packets vanish, nobody is told.

The operator, a switch and the node have a network namespace each; a port of the switch that is disabled drops all
frames (bridge(8), ``state 0``). The operator runs in a process of its own and reports what it hears.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from queue import Empty, Queue
from threading import Thread
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.lab, pytest.mark.node]

CUT_S = 20.0
LATE_S = 15.0  # after healing, all samples of the gap are there
NODE, OPERATOR = "10.213.77.2", "10.213.77.1"

PROGRAM = """
import asyncio, json, sys, time
from meshtop.collect.clock import Clock
from meshtop.collect.collector import Collector
from meshtop.model import FrameReceived, LogLine, Mesh, Node, Path, SessionChanged
from meshtop.transport.local import LocalTransport
from meshtop.transport.ssh import SshOptions, SshTransport

def tell(event):
    told = {"at": time.monotonic(), "node": getattr(event, "node", None), "kind": type(event).__name__}
    if isinstance(event, FrameReceived):
        told |= {"connection": event.connection, "seq": event.frame.seq, "uptime_s": event.frame.uptime_s}
    elif isinstance(event, SessionChanged):
        told |= {"connection": event.connection, "phase": event.phase, "reason": event.reason}
    elif isinstance(event, LogLine):
        told |= {"text": event.text}
    print(json.dumps(told), flush=True)

nodes = (Node(name="cut", address={"lo": "127.0.0.1"}), Node(name="other", address={"lo": "127.0.0.2"}))
mesh = Mesh(name="test", nodes=nodes, paths=(Path(name="lo", kind="underlay"),))
transports = {"cut": SshTransport(sys.argv[1], SshOptions(config=(sys.argv[2],))), "other": LocalTransport()}
asyncio.run(Collector(mesh, transports, tell, Clock()).run())
"""


def ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@dataclass
class Network:
    operator: str
    switch: str
    node: str

    def set_port(self, state: int) -> None:
        command = ["bridge", "-n", self.switch, "link", "set", "dev", "to-node", "state", str(state)]
        subprocess.run(command, check=True, capture_output=True)

    def cut(self) -> None:
        self.set_port(0)

    def heal(self) -> None:
        self.set_port(3)


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(*(f"cut{os.getpid()}-{role}" for role in ("op", "sw", "node")))
    names = (made.operator, made.switch, made.node)
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", made.switch, "link", "add", "switch", "type", "bridge")
        ip("-n", made.switch, "link", "set", "switch", "up")
        for name, address, port in ((made.operator, OPERATOR, "to-op"), (made.node, NODE, "to-node")):
            ip("-n", made.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", made.switch, "link", "set", port, "master", "switch", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
        yield made
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


class Heard:
    """What the operator reports, as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.all: list[dict[str, Any]] = []
        self._queue: Queue[dict[str, Any]] = Queue()
        self.thread = Thread(target=self._read, args=(process,), daemon=True)
        self.thread.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._queue.put(json.loads(line))

    def until(self, condition: Callable[[], Any], within_s: float) -> Any:
        """Its first true value."""
        deadline = time.monotonic() + within_s
        while not (value := condition()):
            try:
                self.all.append(self._queue.get(timeout=max(0.0, deadline - time.monotonic())))
            except Empty:
                raise AssertionError(f"not within {within_s} s; last heard: {self.all[-5:]}") from None
        return value

    def listen(self, for_s: float) -> None:
        deadline = time.monotonic() + for_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.all.append(self._queue.get(timeout=left))
            except Empty:
                return

    def frames(self, node: str) -> list[dict[str, Any]]:
        return [told for told in self.all if told["kind"] == "FrameReceived" and told["node"] == node]

    def log(self, words: str, since: float = 0.0) -> list[dict[str, Any]]:
        lines = [told for told in self.all if told["kind"] == "LogLine" and told["at"] >= since]
        return [told for told in lines if words in told["text"]]


@pytest.fixture
def heard(network: Network, ssh_site: Any, openssh: Callable[..., Any]) -> Iterator[Heard]:
    server = openssh(listen=NODE, netns=network.node)
    program = [sys.executable, "-c", PROGRAM, server.target, str(ssh_site.config)]
    operator = subprocess.Popen(
        ["ip", "netns", "exec", network.operator, *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    told = Heard(operator)
    yield told
    children = psutil.Process(operator.pid).children(recursive=True)
    operator.kill()
    operator.wait()
    told.thread.join()
    psutil.wait_procs(children, 6.0)
    assert operator.stderr is not None
    assert operator.stderr.read() == ""
    operator.stderr.close()


def largest_gap(frames: list[dict[str, Any]]) -> float:
    times: list[float] = [frame["at"] for frame in frames]
    return max((later - earlier for earlier, later in pairwise(times)), default=0.0)


def test_a_silent_cut_loses_no_sample(network: Network, heard: Heard) -> None:
    heard.until(lambda: len(heard.frames("cut")) >= 4 and len(heard.frames("other")) >= 4, 10.0)
    network.cut()
    cut_at = time.monotonic()
    noticed = heard.until(lambda: heard.log("silent for", since=cut_at), 4.5)[0]
    assert 2.0 <= noticed["at"] - cut_at <= 4.0
    heard.listen(CUT_S - (time.monotonic() - cut_at))
    assert not [frame for frame in heard.frames("cut") if frame["at"] > cut_at + 0.5]
    assert not [told for told in heard.all if told.get("phase") == "down"]
    network.heal()
    healed_at = time.monotonic()
    heard.listen(LATE_S)

    # Every sample of the probe that ran through the cut is there, in its order, none twice.
    old = [frame for frame in heard.frames("cut") if frame["connection"] == 1]
    assert [frame["seq"] for frame in old] == list(range(1, len(old) + 1))
    before = [frame for frame in old if frame["at"] < cut_at + 0.5][-1]
    whole_gap = [frame["at"] for frame in old if frame["uptime_s"] - before["uptime_s"] >= CUT_S]
    assert whole_gap, "the old connection did not tell all of the gap"
    fresh = [frame for frame in heard.frames("cut") if frame["connection"] > 1]
    if fresh:  # it took over where the old one ends
        assert fresh[0]["uptime_s"] <= old[-1]["uptime_s"] + 1.5
    again = min(frame["at"] for frame in heard.frames("cut") if frame["at"] > healed_at)
    print(
        f"noticed {noticed['at'] - cut_at:.1f} s after the cut; after healing it speaks in {again - healed_at:.1f} s, "
        f"the gap is told in {whole_gap[0] - healed_at:.1f} s; {len(fresh)} frames of a fresh connection"
    )
    assert largest_gap(heard.frames("other")) < 2.0


def test_a_short_cut_costs_no_connection(network: Network, heard: Heard) -> None:
    heard.until(lambda: len(heard.frames("cut")) >= 3, 10.0)
    network.cut()
    cut_at = time.monotonic()
    heard.listen(2.0)
    network.heal()
    heard.until(lambda: heard.frames("cut")[-1]["at"] > cut_at + 2.0, 10.0)
    heard.listen(2.0)
    assert {frame["connection"] for frame in heard.frames("cut")} == {1}
    seqs = [frame["seq"] for frame in heard.frames("cut")]
    assert seqs == list(range(1, len(seqs) + 1))
