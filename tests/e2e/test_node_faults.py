"""What is wrong with a node itself is said of that node, in words that name it, and is over when it is over."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from meshtop.lab.network import Lab
from tests.e2e.conftest import MESHTOP, Stream

pytestmark = pytest.mark.lab


def nodes(lab: Lab, for_: str) -> dict[str, dict[str, Any]]:
    argv = [MESHTOP, "-c", str(lab.config_path), "snapshot", "--json", "--for", for_]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    return {node["name"]: node for node in json.loads(done.stdout)["nodes"]}


def test_each_trouble_of_a_node_has_its_own_words(lab: Lab) -> None:
    lab.fault("a", "freeze")
    lab.fault("b", "sshd-kill")
    lab.fault("c", "host-key")
    lab.fault("d", "tool-missing", "ss")
    lab.fault("e", "tool-slow", "ss/3s")
    try:
        seen = nodes(lab, "6s")
    finally:
        lab.heal()
    for name, words in (
        ("a", "no SSH greeting"),
        ("b", "refuses connections"),
        ("c", "host key changed"),
    ):
        assert seen[name]["state"] == "down"
        assert words in seen[name]["reason"]
        assert "answers pings" in seen[name]["reason"]  # the machine lives
    assert (seen["d"]["state"], seen["d"]["reason"]) == ("up", "ss: not found")
    assert seen["d"]["samples"] >= 4  # pings and counters go on without it
    assert seen["e"]["state"] in ("up", "silent")
    assert seen["e"]["samples"] + seen["e"]["missed"] >= 3
    assert seen["e"]["missed"] >= 2  # a tool that takes three seconds leaves no sample a second
    assert {node["state"] for node in nodes(lab, "3s").values()} == {"up"}


def test_what_a_node_drops_itself_is_told_with_what_drops_it(lab: Lab) -> None:
    lab.set_overlay("udp")
    lab.fault("e", "host-queue", "5M")
    lab.fault("b", "tool-missing", "tc")
    server = lab.popen("a", ["iperf3", "-s", "-1", "-p", "5209"])
    try:
        lab.exec("a", ["sh", "-c", "until ss -tln sport = :5209 | grep -q LISTEN; do sleep 0.1; done"])
        copy = lab.popen(
            "e", ["iperf3", "-c", lab.address("vpn", "a"), "-p", "5209", "-P", "4", "-t", "90", "-C", "cubic"]
        )
        stream = Stream(lab.config_path)
        try:
            told = stream.until(lambda e: e["type"] == "finding" and e["code"] == "host-drops", 60)
        finally:
            stream.stop()
        seen = nodes(lab, "6s")
    finally:
        for process in (copy, server):
            process.kill()
            process.communicate()
        lab.heal()
        lab.set_overlay("direct")
    finding = stream.events[told]
    assert (finding["node"], finding["phase"]) == ("e", "open")
    assert "its own tbf at 5Mbit on pub0" in finding["summary"]
    (shaper,) = [one for one in seen["e"]["qdiscs"] if one["kind"] == "tbf"]
    assert (shaper["device"], shaper["parent"], shaper["rate"]) == ("pub0", None, "5Mbit")
    assert seen["e"]["qdiscs_reason"] is None
    assert seen["e"]["host"]["cores"] >= 1
    assert 0 <= seen["e"]["host"]["cpu_pct"] <= 100
    assert (seen["b"]["qdiscs"], seen["b"]["qdiscs_reason"]) == (None, "tc: not found")


def test_a_node_that_freezes_while_it_is_watched_falls_silent_and_comes_back(lab: Lab) -> None:
    stream = Stream(lab.config_path)
    try:
        start = stream.until(lambda e: e["type"] == "node" and e["name"] == "b" and e["state"] == "up", 30)
        lab.fault("b", "freeze")
        silent = stream.until(lambda e: e["type"] == "node" and e["name"] == "b" and e["state"] == "silent", 20, start)
        lab.fault("b", "thaw")
        stream.until(lambda e: e["type"] == "node" and e["name"] == "b" and e["state"] == "up", 30, silent)
    finally:
        lab.heal()
        stream.stop()
