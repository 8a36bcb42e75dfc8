"""Faults of a node as those meet them who come by SSH, and that nothing of them stays."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from meshtop.lab.busy import is_busy
from meshtop.lab.capture import Capture, read_pcap
from meshtop.lab.clear import clear_all
from meshtop.lab.netns import LabError, namespace_pids
from meshtop.lab.network import Lab
from meshtop.lab.registry import process_start

pytestmark = pytest.mark.lab

COMMAND = [sys.executable, "-m", "meshtop.lab.commands"]
Remains = Callable[[Lab], list[str]]


def options(lab: Lab) -> dict[str, Any]:
    return {"config": [str(lab.ssh_config_path)], "known_hosts": str(lab.dir / "known_hosts"), "agent_path": None}


def ssh(lab: Lab, node: str, command: str) -> tuple[int, str]:
    """Exit code and what it said, of a session of its own."""
    argv = ["ssh", "-F", str(lab.ssh_config_path), "-o", "ConnectTimeout=3", node, command]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout + done.stderr


def states(lab: Lab, node: str) -> set[str]:
    found = set()
    for pid in namespace_pids(lab.plan.namespace(node)):
        stat = Path(f"/proc/{pid}/stat").read_text()
        found.add(stat[stat.rindex(")") + 2])
    return found


def kinds(lab: Lab) -> list[str]:
    return [fault.kind for fault in lab.status().faults]


async def test_a_frozen_node_answers_pings_and_nothing_else_until_it_thaws(lab: Lab) -> None:
    async with asyncssh.connect("b", **options(lab)) as connection:
        process = await connection.create_process("while read line; do echo got $line; done")
        process.stdin.write("one\n")
        assert await process.stdout.readline() == "got one\n"
        await asyncio.to_thread(lab.fault, "b", "freeze")
        assert states(lab, "b") == {"T"}
        assert kinds(lab) == ["freeze"]
        process.stdin.write("two\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.readline(), 0.7)
        assert lab.exec("a", ["ping", "-c1", "-W2", lab.address("vpn", "b")]).returncode == 0
        assert await asyncio.to_thread(lab.heal, "b", "freeze") == 1
        assert "T" not in states(lab, "b")
        assert await asyncio.wait_for(process.stdout.readline(), 10) == "got two\n"
    assert kinds(lab) == []


def test_thaw_is_said_like_a_fault_and_needs_one(lab: Lab) -> None:
    lab.fault("b", "freeze")
    lab.fault("b", "thaw")
    assert "T" not in states(lab, "b")
    with pytest.raises(LabError, match="no freeze of b"):
        lab.fault("b", "thaw")


def test_what_captures_on_a_frozen_node_goes_on(lab: Lab, tmp_path: Path) -> None:
    with Capture("vpn0", tmp_path / "pcap", lab.command("b", ())):
        lab.fault("b", "freeze")
        lab.exec("a", ["ping", "-c3", "-i0.1", lab.address("vpn", "b")])
        # Not thawed: the capture could not end if it were frozen.
    assert len(list(read_pcap(tmp_path / "pcap"))) == 6


async def test_a_killed_ssh_server_stays_away_until_healed(lab: Lab) -> None:
    lab.fault("c", "sshd-kill")
    with pytest.raises(OSError, match=r"Connect call failed|reset by peer"):  # a listener that just died may reset
        await asyncssh.connect("c", **options(lab))
    assert lab.sshd_processes("c") == []
    await asyncio.to_thread(lab.fault, "c", "sshd-start")
    async with asyncssh.connect("c", **options(lab)) as connection:
        assert (await connection.run("echo back")).stdout == "back\n"


async def test_a_changed_host_key_is_refused_by_the_client_and_changes_back(lab: Lab) -> None:
    for _ in range(2):  # twice is the same as once
        lab.fault("d", "host-key")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await asyncssh.connect("d", **options(lab))
    lab.heal("d")
    async with asyncssh.connect("d", **options(lab)) as connection:
        assert (await connection.run("echo same")).stdout == "same\n"


async def test_a_management_cut_is_silent(lab: Lab) -> None:
    lab.fault("d", "mgmt-cut")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncssh.connect("d", **options(lab)), 1.0)
    assert lab.exec("a", ["ping", "-c1", "-W2", lab.address("public", "d")]).returncode == 0
    lab.heal("d", "mgmt-cut")
    async with asyncssh.connect("d", **options(lab)) as connection:
        assert (await connection.run("echo here")).stdout == "here\n"


async def test_a_missing_tool_is_not_found_by_running_sessions_too(lab: Lab) -> None:
    async with asyncssh.connect("e", **options(lab)) as connection:
        process = await connection.create_process("while read line; do ss -s >/dev/null 2>&1; echo $?; done")
        process.stdin.write("\n")
        assert await process.stdout.readline() == "0\n"
        await asyncio.to_thread(lab.fault, "e", "tool-missing", "ss")
        process.stdin.write("\n")
        assert await process.stdout.readline() == "127\n"
        assert ssh(lab, "e", "command -v ss; echo $?; ip -V >/dev/null && echo ip works") == (0, "127\nip works\n")
        assert ssh(lab, "d", "command -v ss")[0] == 0  # the other nodes have it
        assert lab.exec("e", ["ss", "-s"]).returncode == 0  # and so has the machine
        lab.heal("e", "tool-missing")
        process.stdin.write("\n")
        assert await process.stdout.readline() == "0\n"


def test_tools_are_missing_and_slow_side_by_side(lab: Lab) -> None:
    lab.fault("e", "tool-missing", "iperf3")
    lab.fault("e", "tool-slow", "ss/700ms")
    assert sorted(kinds(lab)) == ["tool-missing", "tool-slow"]
    began = time.monotonic()
    code, said = ssh(lab, "e", "ss -V; iperf3 -v")
    assert code == 127
    assert "iproute2" in said
    assert 0.7 <= time.monotonic() - began < 5
    lab.heal("e", "tool-missing")
    assert ssh(lab, "e", "iperf3 -v")[0] == 0
    lab.fault("e", "tool-slow", "ss/1ms")  # replaces
    assert len(kinds(lab)) == 1


def test_pings_are_denied_clocks_are_off_and_routes_are_lost_until_healed(lab: Lab) -> None:
    ping = f"ping -c1 -W2 {lab.address('public', 'a')}"
    lab.fault("c", "ping-denied")
    code, said = ssh(lab, "c", ping)
    assert code != 0
    assert "not permitted" in said
    lab.heal()
    lab.fault("c", "no-route", "public")
    assert "No route to host" in ssh(lab, "c", ping)[1]
    lab.fault("c", "clock-off", "30s/behind")
    lab.fault("c", "clock-off", "50s")  # in its place
    assert 45 < float(ssh(lab, "c", "date +%s.%N")[1]) - time.time() < 55
    lab.heal("c")
    assert ssh(lab, "c", ping)[0] == 0
    assert abs(float(ssh(lab, "c", "date +%s.%N")[1]) - time.time()) < 5


def qdiscs(lab: Lab, node: str) -> dict[str, str]:
    """By device what tc says of it, with the counts."""
    told = lab.exec(node, ["tc", "-s", "qdisc", "show"]).stdout
    return {one.split()[3]: one for one in told.split("qdisc ")[1:]}


def tx_dropped(lab: Lab, node: str, device: str) -> int:
    return int(lab.exec(node, ["cat", f"/sys/class/net/{device}/statistics/tx_dropped"]).stdout)


# A hundred datagrams at once, to whom nobody answers.
FLOOD = """
import socket, sys
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    sending.sendto(bytes(1300), (sys.argv[1], 9))
"""


def test_a_node_with_too_short_a_queue_of_its_own_drops_until_healed(lab: Lab) -> None:
    flood = [sys.executable, "-c", FLOOD, lab.address("vpn", "a")]
    before = qdiscs(lab, "e")
    lab.fault("e", "host-queue", "8M/5k")
    lab.fault("e", "host-queue", "6M/5k")  # in its place
    assert "rate 6Mbit" in qdiscs(lab, "e")["pub0"]
    lab.exec("e", flood)
    dropped = int(qdiscs(lab, "e")["vpn0"].partition("(dropped ")[2].partition(",")[0])
    assert 50 < dropped < 100
    assert "tbf" not in qdiscs(lab, "e")["mgmt0"]
    assert lab.heal("e", "host-queue") == 1
    assert {name: text.partition(" Sent")[0] for name, text in qdiscs(lab, "e").items()} == {
        name: text.partition(" Sent")[0] for name, text in before.items()
    }
    dropped = tx_dropped(lab, "e", "vpn0")
    lab.fault("e", "host-ring", "2")
    lab.exec("e", flood)
    assert tx_dropped(lab, "e", "vpn0") > dropped
    lab.heal()
    assert "qlen 2000" in lab.exec("e", ["ip", "link", "show", "vpn0"]).stdout


def cores_of(lab: Lab, node: str) -> set[int]:
    """On which the node's processes may run, all but those that are there to keep it busy."""
    pids = [pid for pid in namespace_pids(lab.plan.namespace(node)) if not is_busy(pid)]
    assert pids
    return set().union(*(os.sched_getaffinity(pid) for pid in pids))


def busy(lab: Lab, node: str) -> list[int]:
    return [pid for pid in namespace_pids(lab.plan.namespace(node)) if is_busy(pid)]


def test_a_node_whose_cpu_is_full_has_one_core_with_others_until_healed(lab: Lab) -> None:
    every = os.sched_getaffinity(0)
    assert cores_of(lab, "b") == every
    lab.fault("b", "cpu-full", "5")
    lab.fault("b", "cpu-full", "3")  # in its place
    own = {max(every)}
    assert cores_of(lab, "b") == own
    assert sorted(len(os.sched_getaffinity(pid)) for pid in busy(lab, "b")) == [1] * (3 + len(every) - 1)
    assert ssh(lab, "b", "grep Cpus_allowed_list /proc/self/status")[1].split() == ["Cpus_allowed_list:", str(*own)]
    lab.fault("b", "sshd-kill")
    lab.heal("b", "sshd-kill")
    assert cores_of(lab, "b") == own
    lab.fault("b", "cpu-full", "0")
    assert cores_of(lab, "b") == every
    assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in busy(lab, "b")} == {19}
    assert lab.heal("b") == 1
    assert (cores_of(lab, "b"), busy(lab, "b")) == (every, [])


def test_a_tool_stays_missing_when_the_ssh_server_is_replaced(lab: Lab) -> None:
    lab.fault("c", "tool-missing", "ss")
    lab.fault("c", "sshd-kill")
    lab.heal("c", "sshd-kill")
    assert ssh(lab, "c", "command -v ss")[0] != 0
    lab.heal()
    assert ssh(lab, "c", "command -v ss")[0] == 0


def test_a_tool_that_no_node_has_is_refused_and_not_in_force(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"no 'frobnicate' in /usr/local/sbin"):
        lab.fault("c", "tool-missing", "frobnicate")
    assert kinds(lab) == []


# ── Nothing stays ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def own_lab(lab_home: Path) -> Iterator[Lab]:
    with Lab.up("hurt") as lab:
        yield lab
    clear_all()


def all_node_faults(lab: Lab) -> None:
    lab.fault("a", "freeze")
    lab.fault("b", "sshd-kill")
    lab.fault("c", "host-key")
    lab.fault("d", "tool-missing", "ss")
    lab.fault("e", "tool-slow", "ping/2s")


def mounts() -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/node-tools/" in line]


def test_a_lab_with_every_fault_of_nodes_goes_down_whole(own_lab: Lab, remains: Remains) -> None:
    all_node_faults(own_lab)
    busy = own_lab.popen("a", ["sleep", "300"])
    own_lab.fault("a", "freeze")  # again, for the newcomer
    assert mounts() == []
    assert remains(own_lab) != []
    own_lab.down()
    assert busy.wait(5) == -signal.SIGKILL
    busy.communicate()
    assert remains(own_lab) == []
    assert mounts() == []


def test_a_killed_wan_with_faults_in_force_is_cleared(own_lab: Lab, remains: Remains) -> None:
    all_node_faults(own_lab)
    remains(own_lab)
    os.kill(own_lab.record.processes["wan"].pid, signal.SIGKILL)
    down = subprocess.run([*COMMAND, "down", "--all"], capture_output=True, text=True, check=False, timeout=60)
    assert (down.returncode, down.stderr) == (0, "cleared lab 'hurt'\n")
    assert remains(own_lab) == []


def test_healing_undoes_every_fault_of_nodes(own_lab: Lab) -> None:
    key = (own_lab.dir / "keys" / "host_c").read_bytes()
    all_node_faults(own_lab)
    assert own_lab.heal() == 5
    assert kinds(own_lab) == []
    for node in own_lab.nodes:
        assert "T" not in states(own_lab, node)
        assert ssh(own_lab, node, "command -v ss ping >/dev/null && echo fine") == (0, "fine\n")
    assert (own_lab.dir / "keys" / "host_c").read_bytes() == key


@pytest.mark.parametrize("after_s", [0.1, 0.2, 0.3, 0.4])
def test_a_fault_command_killed_at_any_moment_can_be_healed(own_lab: Lab, after_s: float) -> None:
    child = subprocess.Popen([*COMMAND, "fault", "--name", "hurt", "c", "host-key"], stderr=subprocess.DEVNULL)
    time.sleep(after_s)  # the moment is the point here, any of them has to do
    child.kill()
    child.wait()
    own_lab.heal()
    assert ssh(own_lab, "c", "echo fine") == (0, "fine\n")
    assert all(process_start(ref.pid) for ref in own_lab.sshd_processes("c"))


def test_the_command_says_what_there_is(own_lab: Lab) -> None:
    def fault(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*COMMAND, "fault", "--name", "hurt", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    for words, said in (
        (("a", "gremlins"), "policer-udp, mtu, mtu-blackhole"),
        (("z", "loss", "1%"), "a, b, c, d, e, operator"),
        (("a", "loss", "lots"), "percent of packets, such as 0.5%"),
        (("a:b", "freeze"), "one node"),
    ):
        refused = fault(*words)
        assert refused.returncode == 2
        assert said in refused.stderr
    listed = fault("--list").stdout
    assert "jitter" in listed
    assert "the most that is added, such as 20ms" in listed
    assert own_lab.status().faults == ()


def test_truth_from_the_beginning(lab_home: Path) -> None:
    up = subprocess.run([*COMMAND, "up", "--truth"], capture_output=True, text=True, check=False, timeout=60)
    assert up.returncode == 0, up.stderr
    with Lab.open() as lab:
        lab.fault("a", "blackout", net="public")
        lab.exec("a", ["ping", "-c2", "-i0.1", "-W1", lab.address("public", "b")])
        (log,) = lab.status().logs
        assert (log.path, log.events, log.missed) == (str(lab.wan_log_path), 2, 0)
    assert not lab.wan_log_path.exists()


def test_the_same_with_openssh(lab_home: Path) -> None:
    with Lab.up("plain", sshd="openssh") as lab:
        lab.fault("d", "tool-missing", "ss")
        assert ssh(lab, "d", "command -v ss; ip -V >/dev/null && echo ip works")[1] == "ip works\n"
        lab.fault("d", "host-key")
        assert ssh(lab, "d", "true")[0] == 255
        lab.heal("d")
        assert ssh(lab, "d", "command -v ss && echo fine")[1].endswith("/ss\nfine\n")


def settings() -> dict[Path, str]:
    """The machine's own network settings, those of devices that come and go excepted."""
    found = {}
    for folder in ("core", "ipv4"):
        for path in Path("/proc/sys/net", folder).rglob("*"):
            if path.is_file() and not {"conf", "neigh"} & set(path.parts):
                try:
                    found[path] = path.read_text()
                except OSError:  # write-only ones
                    continue
    return found


def test_no_setting_of_the_machine_is_changed(lab_home: Path) -> None:
    before = settings()
    assert len(before) > 50
    with Lab.up("polite", overlay="tcp1") as lab:
        all_node_faults(lab)
        lab.fault("e", "mtu", "1300", net="public")
        changed = {path for path, value in settings().items() if before.get(path, value) != value}
        assert changed == set()
    assert {path for path, value in settings().items() if before.get(path, value) != value} == set()


def test_a_small_mtu_is_told_through_nat(lab_home: Path) -> None:
    with Lab.up("behind", nat=["d"]) as lab:
        lab.fault("d:c", "mtu", "1300", net="public")
        large = ["ping", "-n", "-c1", "-W1", "-M", "do", "-s", "1372", lab.address("public", "c")]
        assert "mtu = 1300" in lab.exec("d", large).stdout
        assert "mtu 1300" in lab.exec("d", ["ip", "route", "get", lab.address("public", "c")]).stdout


def test_a_fault_on_vpn_that_a_tunnel_swallows_is_warned_of(lab_home: Path) -> None:
    with Lab.up("tunnelled") as lab:
        lab.fault("e", "loss", "1%", net="vpn")
        lab.set_overlay("udp")
        argv = [*COMMAND, "status", "--name", "tunnelled"]
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30).stdout
        assert "faults on vpn have no effect while the overlay is udp" in said
