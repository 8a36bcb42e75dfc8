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
