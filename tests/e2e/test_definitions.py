"""What the figures of the machine output are said to mean, against what other tools count on the same nodes."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from itertools import islice
from statistics import median
from typing import Any

import pytest

from meshtop.lab.network import Lab
from tests import contract
from tests.e2e.conftest import MESHTOP, Stream, snapshot

pytestmark = pytest.mark.lab

PATHS = ("vpn", "public")
SECONDS = 12


def netstat(lab: Lab, node: str) -> dict[str, int]:
    words = [
        line.split() for line in lab.exec(node, ["cat", "/proc/net/snmp", "/proc/net/netstat"]).stdout.splitlines()
    ]
    counters: dict[str, int] = {}
    for names, values in zip(words[::2], words[1::2], strict=True):
        counters |= {name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}
    return counters


def acked(lab: Lab, node: str, peer: str) -> int:
    told = lab.exec(node, ["ss", "-tinH", "dst", peer]).stdout
    return sum(int(each) for each in re.findall(r"bytes_acked:(\d+)", told))


def link(document: dict[str, Any], src: str, dst: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in document["links"] if (each["src"], each["dst"], each["path"]) == (src, dst, path)
    )
    return found


def test_figures_are_what_others_count(lab: Lab) -> None:
    """A stream of 3 Mbit/s from e to a with loss below it, a clock that is wrong, pings by hand beside meshtop's."""
    address = lab.address("vpn", "a")
    lab.fault("e:a", "loss", "2%", net="vpn", one_way=True)
    lab.fault("c", "clock-off", "30s")
    with contextlib.ExitStack() as stack:
        stack.callback(lab.heal)

        def start(node: str, command: str) -> subprocess.Popen[bytes]:
            process = stack.enter_context(lab.popen(node, ["timeout", "90", *command.split()]))
            stack.callback(process.terminate)
            return process

        server = start("a", "iperf3 -s -1 --forceflush")
        assert server.stdout is not None
        assert any(b"listening" in line for line in server.stdout)
        client = start("e", f"iperf3 -c {address} -t 60 -b 3M --forceflush")
        assert client.stdout is not None
        pings = start("b", f"ping -n -i 0.2 -c 80 {lab.address('public', 'c')}")
        seconds_told = (line for line in client.stdout if b"bits/sec" in line)
        assert len(list(islice(seconds_told, 3))) == 3  # the first seconds of a flow are not like the rest
        began, before, counted = time.monotonic(), acked(lab, "e", address), netstat(lab, "e")
        seen = snapshot(lab.config_path, "--for", f"{SECONDS}s")
        seconds = time.monotonic() - began
        after, then = acked(lab, "e", address), netstat(lab, "e")
        by_hand = [float(ms) for ms in re.findall(r"time=([\d.]+)", pings.communicate(timeout=60)[0].decode())]
    assert contract.of_snapshot(seen, lab.nodes, PATHS) == []
    sick = link(seen, "e", "a", "vpn")
    assert sick["tx_bps"] == pytest.approx(8 * (after - before) / seconds, rel=0.12)
    sent_again = then["RetransSegs"] - counted["RetransSegs"]
    segments = then["TCPOrigDataSent"] - counted["TCPOrigDataSent"]
    assert sent_again > 20
    assert sick["retrans_pct"] == pytest.approx(100 * sent_again / (segments + sent_again), abs=0.8)
    assert sick["retrans_per_s"] == pytest.approx(sent_again / seconds, rel=0.25)
    of_e = next(node for node in seen["nodes"] if node["name"] == "e")
    assert of_e["tcp"]["retrans_per_s"] == pytest.approx(sick["retrans_per_s"], rel=0.25)
    assert (sick["state"], link(seen, "e", "a", "public")["state"]) == ("lossy", "ok")
    assert link(seen, "e", "a", "public")["tx_bps"] == 0.0
    assert link(seen, "b", "c", "public")["rtt_ms"] == pytest.approx(median(by_hand), abs=1.5)
    offsets = {node["name"]: node["clock_offset_s"] for node in seen["nodes"]}
    assert offsets["c"] == pytest.approx(30.0, abs=1.0), "the node's wall clock less the operator's"
    assert all(abs(offset) < 1.0 for name, offset in offsets.items() if name != "c")


def test_a_stream_with_a_burst_and_a_stall(lab: Lab, stream: Callable[..., Stream]) -> None:
    command = [
        MESHTOP,
        "-c",
        str(lab.config_path),
        "burst",
        "e",
        "a",
        "--path",
        "vpn",
        "-t",
        "8",
        "-P",
        "2",
        "--stream",
    ]
    events = stream()
    events.until(lambda e: e["type"] == "link" and e["rtt_ms"] is not None, 20)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as burst:
        events.until(lambda e: e["type"] == "link" and (e["tx_bytes"] or 0) > 500_000, 30)
        lab.fault("e:a", "blackout", net="vpn")
        try:
            opened = events.until(lambda e: e["type"] == "stall", 20)
            number = events.events[opened]["id"]
            events.until(lambda e: e["type"] == "link" and e["state"] == "stalled", 20, opened)
        finally:
            lab.heal()
        events.until(lambda e: e["type"] == "stall" and (e["id"], e["phase"]) == (number, "closed"), 40, opened)
        told = [json.loads(line) for line in burst.communicate(timeout=90)[0].splitlines()]
    events.stop()
    assert [each for event in [*events.events, *told] for each in contract.of_event(event)] == []
    assert [event["phase"] for event in told if event["phase"] != "interval"][-2:] == ["started", "closed"]
    record = {name: value for name, value in told[-1].items() if name not in ("type", "phase", "at")}
    assert contract.departures(record, contract.BURST) == []
    assert record["longest_stall_s"] > 1.0
    stalls = [event for event in events.events if event["type"] == "stall"]
    assert {(event["src"], event["dst"], event["path"]) for event in stalls} == {("e", "a", "vpn")}
    stalled = [event for event in events.links("e", "a", "vpn") if event["state"] == "stalled"]
    assert all(event["stalled_now"] and event["longest_stall_s"] >= 1.0 for event in stalled[:1])
