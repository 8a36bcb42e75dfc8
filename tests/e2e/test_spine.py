"""The main job on real input: real SSH, real kernel TCP, twenty directed links on two paths, as JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from datetime import datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.network import Lab
from tests.e2e.conftest import MESHTOP, Stream, snapshot

pytestmark = pytest.mark.lab

IPERF_S = 20


def seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def iperf(lab: Lab, src: str, dst: str, path: str, *options: str) -> dict[str, Any]:
    """What iperf3's client says at the end. The congestion control is named: the machine's default may be any."""
    with lab.popen(dst, ["timeout", "90", "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "listening" in str(line):
                break
        address = lab.address(path, dst)
        done = lab.exec(src, ["timeout", "80", "iperf3", "-J", "-C", "cubic", "-c", address, *options], timeout=90)
        server.stdout.read()
    result: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in result, result["error"]
    return result


def check_idle(lab: Lab, document: dict[str, Any]) -> None:
    assert document["schema"] == "meshtop.snapshot/1"
    assert {node["name"]: node["state"] for node in document["nodes"]} == dict.fromkeys("abcde", "up")
    links = {(link["src"], link["dst"], link["path"]): link for link in document["links"]}
    assert set(links) == {(*pair, path) for pair in permutations("abcde", 2) for path in ("vpn", "public")}
    for (src, dst, path), link in links.items():
        expected = lab.rtt_ms(src, dst, path)
        assert link["rtt_ms"] == pytest.approx(expected, abs=max(0.15 * expected, 2.0)), (src, dst, path)
        assert link["loss_pct"] == 0.0
        assert link["tx_bps"] == 0.0
        assert link["retrans_pct"] is None
        assert link["state"] == "ok"


def check_iperf(lab: Lab, stream: Stream) -> None:
    stream.until(lambda e: e["type"] == "link" and e["rtt_ms"] is not None, 20)
    try:
        lab.fault("e:a", "loss", "0.3", net="vpn")
        result = iperf(lab, "e", "a", "vpn", "-t", str(IPERF_S), "-P", "4")
    finally:
        lab.heal()
    after = len(stream.events)
    # two more samples of both ends, so that the last bytes are in
    for _ in range(2):
        after = 1 + stream.until(
            lambda e: e["type"] == "link" and (e["src"], e["dst"], e["path"]) == ("e", "a", "vpn"), 20, after
        )
    end = result["end"]
    links = stream.links("e", "a", "vpn")
    sent = sum(link["tx_bytes"] or 0 for link in links)
    retransmitted = sum(link["retrans"] or 0 for link in links)
    assert sent == pytest.approx(end["sum_received"]["bytes"], rel=0.1)
    told = end["sum_sent"]["retransmits"]
    assert told > 20, "the fault did not bite: nothing to compare"
    assert retransmitted == pytest.approx(told, abs=max(0.1 * told, 20))
    # nothing of it on the other path
    assert sum(link["tx_bytes"] or 0 for link in stream.links("e", "a", "public")) == 0


def test_idle_mesh(lab: Lab) -> None:
    check_idle(lab, snapshot(lab.config_path, "--for", "10s"))


def test_iperf_with_slight_loss(lab: Lab, stream: Callable[..., Stream]) -> None:
    check_iperf(lab, stream())


def test_ordinary_openssh_nodes(tmp_path: Path) -> None:
    with Lab.up(name="e2e-openssh", directory=tmp_path / "lab", sshd="openssh") as lab:
        check_idle(lab, snapshot(lab.config_path, "--for", "10s"))
        stream = Stream(lab.config_path)
        try:
            check_iperf(lab, stream)
        finally:
            stream.stop()


def test_a_silent_cut_loses_nothing(lab: Lab, stream: Callable[..., Stream]) -> None:
    events = stream()
    events.until(lambda e: e["type"] == "link" and e["src"] == "e" and e["rtt_ms"] is not None, 20)
    cut = len(events.events)
    lab.cut_mgmt("e")
    try:
        last = events.links("e", "a", "vpn")[-1]
        told = events.until(lambda e: e["type"] == "node" and e["name"] == "e" and e["state"] == "silent", 10, cut)
        assert seconds(events.events[told]["at"]) - seconds(last["at"]) < 4.0 + 1.0
        # the others tick on, for as long as the cut lasts
        until = seconds(last["at"]) + 20
        for node in "abcd":
            events.until(
                lambda e, node=node: e["type"] == "link" and e["src"] == node and seconds(e["at"]) > until, 30, cut
            )
    finally:
        lab.heal_mgmt("e")
    healed = seconds(events.events[-1]["at"])
    events.until(
        lambda e: e["type"] == "link" and e["src"] == "e" and seconds(e["at"]) > healed and not e["late"], 15, cut
    )
    # every second of the gap is there, once, at its own time
    events.until(lambda _: covered(events, last["at"], healed) > healed - seconds(last["at"]) - 1.5, 15, 0)
    assert covered(events, last["at"], healed) <= healed - seconds(last["at"]) + 1.5
    assert any(e["late"] for e in events.links("e", "a", "vpn"))


def covered(events: Stream, since: str, until: float) -> float:
    """Seconds after ``since`` up to ``until`` that e's samples of one link speak for; what was said while there was no
    sample is not counted."""
    return sum(
        link["interval_s"]
        for link in events.links("e", "a", "vpn")
        if link["tx_bytes"] is not None and seconds(since) < seconds(link["at"]) <= until
    )


def test_a_killed_sshd_is_come_back_to(lab: Lab, stream: Callable[..., Stream]) -> None:
    events = stream()
    events.until(lambda e: e["type"] == "link" and e["src"] == "d" and e["rtt_ms"] is not None, 20)
    before = len(events.events)  # counted first: that it is down may be told before the killing call comes back
    lab.kill_sshd("d")
    down = events.until(lambda e: e["type"] == "node" and e["name"] == "d" and e["state"] == "down", 10, before)
    assert events.events[down]["reason"]
    lab.start_sshd("d")
    back = events.until(lambda e: e["type"] == "node" and e["name"] == "d" and e["state"] == "up", 40, down)
    events.until(lambda e: e["type"] == "link" and e["src"] == "d" and e["rtt_ms"] is not None, 20, back)


def test_no_node_reachable_is_exit_3(lab: Lab) -> None:
    for node in lab.nodes:
        lab.kill_sshd(node)
    try:
        command = [MESHTOP, "-c", str(lab.config_path), "snapshot", "--json"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert done.returncode == 3
        document = json.loads(done.stdout)
        assert {node["state"] for node in document["nodes"]} == {"down"}
        assert all(node["reason"] for node in document["nodes"])
        assert {link["state"] for link in document["links"]} == {"no-data"}
        assert b"no node could be reached" in done.stderr
    finally:
        for node in lab.nodes:
            lab.start_sshd(node)
