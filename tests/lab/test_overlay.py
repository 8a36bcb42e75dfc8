"""Overlays of a lab that runs: switched, seen by the nodes' own tools, and gone with it, however it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop import config
from meshtop.lab import overlay, registry
from meshtop.lab.clear import clear_all
from meshtop.lab.netns import LabError, namespace_pids
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

COMMAND = [sys.executable, "-m", "meshtop.lab.commands"]
MESHTOP = [sys.executable, "-m", "meshtop.cli"]
Remains = Callable[[Lab], list[str]]


@pytest.fixture(autouse=True)
def _clean(lab_home: Path) -> Iterator[None]:
    yield
    clear_all()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=60)


def ping_ms(lab: Lab, src: str, dst: str, *options: str) -> float:
    said = lab.exec(src, ["ping", "-q", "-c", "5", "-i", "0.1", "-W", "2", *options, lab.address("vpn", dst)]).stdout
    match = re.search(r" 0% packet loss[\s\S]*= ([\d.]+)/", said)
    assert match, said
    return float(match[1])


def mtu(lab: Lab, node: str) -> int:
    return int(lab.exec(node, ["cat", "/sys/class/net/vpn0/mtu"]).stdout)


def outer(lab: Lab, node: str) -> list[str]:
    """The tunnel's connections at a client, each with what ``ss -i`` says of it."""
    return lab.exec(node, ["ss", "-tinHO", "state", "established", "dport", "=", ":443"]).stdout.splitlines()


def test_an_overlay_is_switched_while_the_lab_runs(remains: Remains) -> None:
    with Lab.up("switched") as lab:
        remains(lab)
        direct = lab.rtt_ms("d", "e", "vpn")
        for kind, connections, size in (("striped:4", 4, 1500), ("udp", 0, 1400), ("tcp1", 1, 1500)):
            done = command("overlay", "--name", "switched", kind)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            assert lab.overlay == kind
            assert mtu(lab, "e") == mtu(lab, "a") == size
            assert ping_ms(lab, "e", "a") == pytest.approx(22, abs=6)
            assert ping_ms(lab, "d", "e", "-s", "1200") == pytest.approx(52, abs=12), "two legs, by the hub"
            assert lab.rtt_ms("d", "e", "vpn") == 24 + 22
            there = outer(lab, "b")
            assert len(there) == connections
            assert all(" cubic " in line for line in there), there
            assert [tunnel.node for tunnel in lab.tunnels()] == ["a", "b", "c", "d", "e"]
        assert lab.set_overlay("direct") == []
        assert ping_ms(lab, "d", "e") == pytest.approx(direct, abs=6)
        assert (lab.rtt_ms("d", "e", "vpn"), mtu(lab, "e"), outer(lab, "b"), lab.tunnels()) == (direct, 1400, [], [])
        assert len(lab.status().faults) == 0
        assert not [role for role in Lab.open("switched").record.processes if role.startswith("tunnel:")]
    assert remains(lab) == []


def test_an_overlay_that_does_not_exist_is_refused() -> None:
    with Lab.up("plain") as lab:
        for wrong in ("carrier-pigeon", "striped", "striped:1", "striped:33", "tcp8", ""):
            refused = command("overlay", "--name", "plain", wrong)
            assert refused.returncode == 2
            assert "direct, udp, tcp1 and striped:N" in refused.stderr
        assert lab.overlay == "direct"
        assert ping_ms(lab, "e", "a") > 0


def test_the_status_says_what_carries_the_overlay_and_whether_it_runs(remains: Remains) -> None:
    up = command("up", "--name", "told", "--overlay", "striped:8")
    assert up.returncode == 0, up.stderr
    lab = Lab.open("told")
    remains(lab)
    assert len(outer(lab, "e")) == 8
    said = json.loads(command("status", "--name", "told", "--json").stdout)
    assert (said["overlay"], said["warnings"]) == ("striped:8", [])
    assert [(each["node"], each["alive"]) for each in said["tunnels"]] == [(node, True) for node in "abcde"]
    assert "overlay striped:8 (5 of 5 tunnel processes run)" in command("status", "--name", "told").stdout

    victim = next(each["pid"] for each in said["tunnels"] if each["node"] == "e")
    os.kill(victim, signal.SIGKILL)
    _wait_until(lambda: not lab.tunnels()[-1].alive)
    told = command("status", "--name", "told").stdout
    assert "(4 of 5 tunnel processes run)" in told
    assert "the overlay's process on e does not run; `meshtop lab overlay striped:8` starts all anew" in told
    assert command("overlay", "--name", "told", "striped:8").returncode == 0
    assert overlay.missing(lab.tunnels()) == []
    assert ping_ms(lab, "e", "a") > 0

    down = command("down", "--name", "told")
    assert (down.returncode, down.stderr) == (0, "")
    assert remains(lab) == []


@pytest.mark.parametrize("after_s", [0.12, 0.2, 0.3, 0.45])
def test_a_switch_that_is_killed_is_told_and_cleared(remains: Remains, after_s: float) -> None:
    """At whatever moment: the next switch repairs it, and ``down --all`` finds all of it."""
    lab = Lab.up("torn")
    remains(lab)
    switch = subprocess.Popen([*COMMAND, "overlay", "--name", "torn", "striped:8"], stderr=subprocess.DEVNULL)
    time.sleep(after_s)  # the moment is the point here, any of them has to do
    switch.kill()
    switch.wait()
    said = json.loads(command("status", "--name", "torn", "--json").stdout)
    assert bool(said["warnings"]) == any(not each["alive"] for each in said["tunnels"])
    assert command("overlay", "--name", "torn", "udp").returncode == 0
    assert ping_ms(lab, "e", "a") > 0
    assert command("down", "--all").returncode == 0
    assert remains(lab) == []
    lab.down()


@pytest.mark.parametrize("after_s", [0.6, 0.8, 1.0, 1.3])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_up_with_a_tunnel_that_is_ended_leaves_nothing(
    remains: Remains, how: signal.Signals, after_s: float
) -> None:
    argv = [*COMMAND, "up", "--name", "short", "--overlay", "striped:8", "--nat", "e"]
    up = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _wait_until(lambda: bool(_records("short")))
    lab = Lab(_records("short")[0])
    time.sleep(after_s)  # as above
    remains(lab)
    up.send_signal(how)
    stdout, stderr = up.communicate(timeout=30)
    if how is signal.SIGKILL or stdout:
        assert command("down", "--all").returncode == 0
    else:
        assert (up.returncode, stderr) == (130, b"")
    assert remains(lab) == []


def _records(name: str) -> list[registry.LabRecord]:
    return [record for record in registry.records() if (record.name, record.home) == (name, str(registry.home()))]


def test_a_lab_taken_down_in_the_middle_of_a_switch_leaves_nothing(remains: Remains) -> None:
    lab = Lab.up("hasty")
    remains(lab)
    switch = subprocess.Popen([*COMMAND, "overlay", "--name", "hasty", "striped:8"], stderr=subprocess.PIPE, text=True)
    _wait_until(lambda: lab.overlay != "direct" or switch.poll() is not None)
    assert command("down", "--name", "hasty").returncode == 0
    _, stderr = switch.communicate(timeout=30)
    assert switch.returncode in (0, 2)
    assert "Traceback" not in stderr
    assert remains(lab) == []
    lab.down()


def test_two_switches_at_once_end_in_one_overlay() -> None:
    with Lab.up("twice") as lab:
        kinds = ("udp", "tcp1")
        switches = [subprocess.Popen([*COMMAND, "overlay", "--name", "twice", kind]) for kind in kinds]
        assert [switch.wait(30) for switch in switches] == [0, 0]
        assert lab.overlay in kinds
        assert overlay.missing(lab.tunnels()) == []
        assert sorted(_tunnel_pids(lab)) == sorted(each.pid for each in lab.tunnels() if each.pid is not None)
        assert ping_ms(lab, "e", "a") > 0


def test_a_tunnel_that_cannot_connect_is_told_and_comes_up_later() -> None:
    with Lab.up("blocked") as lab:
        lab.fault("e", "blackout", net="public")
        assert lab.set_overlay("striped:4") == ["e"]
        assert ping_ms(lab, "b", "a") > 0
        lab.heal()
        _wait_until(lambda: len(outer(lab, "e")) == 4)
        assert ping_ms(lab, "e", "a") > 0


def test_sites_behind_nat_reach_out_and_are_not_reached(remains: Remains) -> None:
    with Lab.up("hidden", overlay="tcp1", nat=["d", "e"]) as lab:
        remains(lab)
        mesh = config.load(lab.config_path).mesh
        nodes = {str(node.name): node for node in mesh.nodes}
        shared = lab.plan.nat_address()
        assert [(name, tuple(node.nat), node.address["public"]) for name, node in nodes.items()][2:] == [
            ("c", (), lab.address("public", "c")),
            ("d", ("public",), shared),
            ("e", ("public",), shared),
        ]
        assert [(path.name, tuple(path.outer_ports)) for path in mesh.paths] == [("vpn", (443,)), ("public", ())]
        ping = ["ping", "-c", "2", "-i", "0.1", "-W", "1"]
        for src, address, answered in (
            ("e", lab.address("public", "a"), True),
            ("d", lab.address("public", "b"), True),
            ("a", shared, False),
            ("a", lab.address("public", "e"), False),
            ("d", lab.address("public", "e"), False),
            ("a", lab.address("vpn", "e"), True),
            ("d", lab.address("vpn", "e"), True),
        ):
            assert (lab.exec(src, [*ping, address]).returncode == 0) is answered, (src, address)
        lab.fault("e:a", "mtu", "1300", net="public")
        too_large = lab.exec("e", [*ping, "-M", "do", "-s", "1400", lab.address("public", "a")])
        assert re.search(r"mtu ?= ?1300", too_large.stdout + too_large.stderr), "an error from the way comes home too"
        seen = lab.exec("a", ["ss", "-tnH", "state", "established", "sport", "=", ":443"]).stdout
        assert seen.count(f"{shared}:") == 2
        assert lab.status().drops["nat"] > 0
        said = json.loads(command("status", "--name", "hidden", "--json").stdout)
        assert [node["nat"] for node in said["nodes"]] == [[], [], [], ["public"], ["public"]]
    assert remains(lab) == []
    for wrong, words in (("a", "clients connect to"), ("z", "no site 'z'")):
        with pytest.raises(LabError, match=words):
            Lab.up("hidden", nat=[wrong])


def test_the_monitor_sees_a_tunnel_as_it_is() -> None:
    with Lab.up("watched", overlay="striped:8") as lab:
        argv = [*MESHTOP, "-c", str(lab.config_path), "snapshot", "--json", "--for", "6s"]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
        document: dict[str, Any] = json.loads(done.stdout)
        rtt = {(link["src"], link["dst"], link["path"]): link["rtt_ms"] for link in document["links"]}
        assert len(rtt) == 40
        for node in "bcde":
            for pair in ((node, "a"), ("a", node)):
                assert rtt[*pair, "vpn"] == pytest.approx(rtt[*pair, "public"], abs=6), pair
        assert rtt["d", "e", "vpn"] == pytest.approx(rtt["d", "a", "public"] + rtt["e", "a", "public"], abs=10)


def _tunnel_pids(lab: Lab) -> list[int]:
    """Whatever tunnel processes there are in its nodes, recorded or not."""
    inside = [pid for name in lab.plan.namespaces() for pid in namespace_pids(name)]
    return [pid for pid in inside if b"meshtop.lab.tunnel" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 15
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
