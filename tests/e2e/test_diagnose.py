"""``meshtop diagnose`` on the lab: a pair that is well, one with a black hole, and an end in the midst of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.netns import namespace_pids
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))


def diagnose(lab: Lab, *options: str) -> tuple[int, dict[str, Any]]:
    argv = [MESHTOP, "-c", str(lab.config_path), "diagnose", "e", "a", "--for", "3s", "--json", *options]
    ended = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout)


def until_nothing_is_left(lab: Lab) -> None:
    """Neither iperf3 nor a ping of ours, and no shell that would start one."""
    give_up_at = time.monotonic() + 10
    while left := [
        words for node in ("e", "a") for words in commands(lab, node) if "ping" in words or "iperf3" in words
    ]:
        assert time.monotonic() < give_up_at, left
        time.sleep(0.1)


def until_no_connection_hangs(lab: Lab) -> None:
    """A kernel goes on with what was written before its process went; the next test is to find nothing of it."""
    give_up_at = time.monotonic() + 60
    while left := lab.exec("e", ["ss", "-tnH", "state", "fin-wait-1"]).stdout:
        assert time.monotonic() < give_up_at, left
        time.sleep(0.2)


def commands(lab: Lab, node: str) -> list[str]:
    found = []
    for pid in namespace_pids(lab.plan.namespace(node)):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just gone
        found.append(words.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_a_pair_that_is_well(lab: Lab) -> None:
    code, said = diagnose(lab)
    assert (code, said["outcome"]) == (0, "fine"), said
    assert said["schema"] == "meshtop.diagnosis/1"
    tried = {each["kind"]: each for each in said["experiments"]}
    assert set(tried) == {"probe-sizes", "pmtu-sweep", "paths"}
    assert all(each["state"] == "done" for each in tried.values()), tried
    sweep = tried["pmtu-sweep"]["figures"]
    assert sweep == {"pmtu_bytes": 1400, "local_mtu_bytes": 1400, "vanish_bytes": None, "vanishes": 0}
    rtt_ms = lab.rtt_ms("e", "a", "vpn")
    assert tried["probe-sizes"]["figures"]["small_rtt_ms"] == pytest.approx(rtt_ms, abs=10)
    figures = tried["paths"]["figures"]
    assert figures["overlay_bps"] == pytest.approx(figures["underlay_bps"], rel=0.4)
    until_nothing_is_left(lab)


def test_the_size_of_a_black_hole_is_found(lab: Lab) -> None:
    lab.fault("e:a", "mtu-blackhole", "1400", net="public")
    code, said = diagnose(lab, "--path", "public")
    assert (code, said["outcome"]) == (1, "wrong"), said
    sweep = next(each for each in said["experiments"] if each["kind"] == "pmtu-sweep")
    assert sweep["figures"]["pmtu_bytes"] == 1400
    assert sweep["figures"]["vanish_bytes"] == 1401
    assert "black hole" in sweep["summary"]
    found = {(each["code"], each["path"]): each for each in said["after"]}
    hole = found["pmtu-blackhole", "public"]
    assert hole["confidence"] >= 0.7
    assert hole["evidence"]
    until_nothing_is_left(lab)
    lab.heal()
    until_no_connection_hangs(lab)


def test_what_the_first_experiments_bring_to_light_asks_for_more(lab: Lab) -> None:
    lab.set_overlay("udp")
    try:
        lab.fault("e", "policer-udp", "5M", net="public")
        code, said = diagnose(lab)
    finally:
        lab.set_overlay("direct")
    assert code == 1, said
    tried = {each["kind"]: each["figures"] for each in said["experiments"]}
    found = [(each["code"], each["path"], each["confidence"]) for each in [*said["before"], *said["after"]]]
    assert {"paths", "tcp-udp"} <= set(tried), (sorted(tried), found)
    assert tried["paths"]["overlay_bps"] < 0.5 * tried["paths"]["underlay_bps"]
    assert tried["tcp-udp"]["udp_loss_pct"] < 1
    assert tried["tcp-udp"]["ramp_loss_pct"] > 5
    assert "overlay-only" in {each["code"] for each in said["after"]}


def test_an_end_in_the_midst_leaves_nothing(lab: Lab) -> None:
    argv = [MESHTOP, "-c", str(lab.config_path), "diagnose", "e", "a", "--for", "1s", "-y"]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"paths on"):
                break
        give_up_at = time.monotonic() + 20
        while not any("iperf3" in words for words in commands(lab, "a")):
            assert time.monotonic() < give_up_at, "no burst began"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
    until_nothing_is_left(lab)


def test_what_is_wrong_with_the_question() -> None:
    ended = subprocess.run([MESHTOP, "diagnose", "e"], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert "DST" in ended.stderr
