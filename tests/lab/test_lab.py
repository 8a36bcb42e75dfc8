"""The lab as it runs: kernel TCP over its lines, real SSH to its nodes, its faults."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

SEGMENT_BYTES = 1448  # of TCP data in a packet of 1500 bytes


def ssh_options(lab: Lab) -> dict[str, Any]:
    return {"config": [str(lab.ssh_config_path)], "known_hosts": str(lab.dir / "known_hosts"), "agent_path": None}


def test_pings_take_the_configured_round_trip(lab: Lab) -> None:
    running = {}
    for path in ("vpn", "public"):
        for src, dst in itertools.permutations(lab.nodes, 2):
            argv = ["ping", "-q", "-c", "10", "-i", "0.2", lab.address(path, dst)]
            running[src, dst, path] = lab.popen(src, argv)
    off = []
    for (src, dst, path), process in running.items():
        said = process.communicate(timeout=30)[0].decode()
        match = re.search(r"= [\d.]+/([\d.]+)/", said)
        assert match, said
        measured, expected = float(match[1]), lab.rtt_ms(src, dst, path)
        if abs(measured - expected) > max(0.15 * expected, 2.0):
            off.append((src, dst, path, measured, expected))
    assert off == []


def test_the_operator_reaches_public_addresses_but_not_the_overlay(lab: Lab) -> None:
    public = subprocess.run(["ping", "-c1", "-W2", lab.address("public", "b")], capture_output=True, check=False)
    assert public.returncode == 0
    routes = subprocess.run(["ip", "route", "get", "10.10.10.2"], capture_output=True, text=True, check=False)
    assert "mtlab" not in routes.stdout


@pytest.mark.parametrize("net", ["public", "vpn"])
def test_bulk_data_fills_the_thinnest_line(lab: Lab, iperf3: Callable[..., dict[str, Any]], net: str) -> None:
    report = iperf3(lab, "e", "a", net, "-P", "8", "-t", "6", "-O", "1")
    received = report["end"]["sum_received"]["bits_per_second"]
    assert received == pytest.approx(30e6, rel=0.15)
    assert report["end"]["sender_tcp_congestion"] == "cubic"


def test_the_wan_keeps_its_delays_under_load(lab: Lab, iperf3: Callable[..., dict[str, Any]]) -> None:
    before = lab.status()
    report = iperf3(lab, "c", "a", "public", "-t", "6")  # into A's 40 Mbit/s
    after = lab.status()
    assert report["end"]["sum_received"]["bits_per_second"] == pytest.approx(40e6, rel=0.15)
    packets = after.lateness.packets - before.lateness.packets
    late = after.lateness.over_5ms - before.lateness.over_5ms
    assert packets > 15_000
    assert late / packets < 0.01 or not after.kept_up, f"{late} of {packets} were over 5 ms late and nobody said so"


def test_loss_makes_the_kernel_retransmit(lab: Lab, iperf3: Callable[..., dict[str, Any]]) -> None:
    lab.fault("e", "loss", "1%", net="public", one_way=True)
    before = lab.status().drops.get("loss", 0)
    report = iperf3(lab, "e", "a", "public", "-P", "4", "-t", "4")
    lost = lab.status().drops["loss"] - before
    sent = report["end"]["sum_sent"]
    assert lost >= 20
    assert lost == pytest.approx(0.01 * sent["bytes"] / SEGMENT_BYTES, rel=0.5)
    assert sent["retransmits"] >= 0.9 * lost
    assert lab.heal("e", "loss") == 1
    assert lab.status().faults == ()


def test_a_delay_fault_is_in_the_pings_and_in_the_status(lab: Lab) -> None:
    plain = lab.rtt_ms("a", "c", "vpn")
    lab.fault("a:c", "delay", "30ms", net="vpn", one_way=True)
    assert lab.rtt_ms("a", "c", "vpn") == plain + 30
    said = lab.exec("c", ["ping", "-q", "-c", "5", "-i", "0.2", lab.address("vpn", "a")]).stdout
    match = re.search(r"= [\d.]+/([\d.]+)/", said)
    assert match
    assert float(match[1]) == pytest.approx(plain + 30, rel=0.15)
    assert lab.rtt_ms("a", "c", "public") == plain


def test_a_fault_that_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(LabError, match="there are loss"):
        lab.fault("a", "gremlins")
    with pytest.raises(LabError, match="there are a, b, c, d, e"):
        lab.exec("z", ["true"])


def test_streams_and_exit_codes_come_through_exec(lab: Lab) -> None:
    done = lab.exec("d", ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


async def test_ssh_runs_commands_in_the_node(lab: Lab) -> None:
    async with asyncssh.connect("c", **ssh_options(lab), compression_algs=["zlib@openssh.com"]) as connection:
        done = await connection.run("ip -br addr show pub0; echo err >&2; exit 9", encoding=None)
        assert lab.address("public", "c").encode() in (done.stdout or b"")
        assert (done.stderr, done.exit_status) == (b"err\n", 9)
        data = bytes(range(256)) * 20_000
        echoed = await connection.run("cat", input=data, encoding=None)
        assert echoed.stdout == data
        killed = await connection.run("kill -TERM $$")
        assert killed.exit_signal is not None
        assert killed.exit_signal[0] == "TERM"
        over_stdin = await connection.run(input="echo $((40 + 2))\n")
        assert over_stdin.stdout == "42\n"


async def test_a_signal_reaches_the_command(lab: Lab) -> None:
    async with asyncssh.connect("c", **ssh_options(lab)) as connection:
        process = await connection.create_process(
            "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 0.02; done"
        )
        assert await process.stdout.readline() == "ready\n"
        process.send_signal("INT")
        done = await process.wait()
        assert (done.stdout, done.exit_status) == ("caught\n", 4)


async def test_a_client_that_does_not_read_holds_the_command_back(lab: Lab, tmp_path: Path) -> None:
    progress = tmp_path / "blocks"
    command = f"for n in $(seq 500); do head -c 65536 /dev/zero; echo $n >{progress}; done"
    async with asyncssh.connect("c", **ssh_options(lab)) as connection:
        process = await connection.create_process(command, encoding=None, window=1 << 16)
        written = [0, 1]
        while written[-1] != written[-2]:  # until nothing moves for half a second
            await asyncio.sleep(0.5)
            written.append(int(progress.read_text() or 0))
        assert 0 < written[-1] < 100
        total = 0
        while data := await process.stdout.read(1 << 20):
            total += len(data)
        assert total == 500 * 65536


async def test_the_end_of_a_session_closes_the_commands_streams(lab: Lab) -> None:
    """As OpenSSH does: nothing is killed, but what reads its standard input sees its end."""
    async with asyncssh.connect("d", **ssh_options(lab)) as connection:
        process = await connection.create_process("echo $$; cat >/dev/null; exec sleep 300")
        pid = int(await process.stdout.readline())
    sleeping = await _until(lambda: b"sleep" in _command_line(pid))
    os.kill(pid, signal.SIGKILL)
    assert sleeping


async def test_a_killed_ssh_server_is_gone_for_the_client_and_for_the_command(lab: Lab) -> None:
    async with asyncssh.connect("d", **ssh_options(lab)) as connection:
        process = await connection.create_process("echo $$; cat >/dev/null")
        pid = int(await process.stdout.readline())
        await asyncio.to_thread(lab.kill_sshd, "d")
        await asyncio.wait_for(connection.wait_closed(), 10)
    assert await _until(lambda: not _command_line(pid))
    assert lab.sshd_processes("d") == []
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncssh.connect("d", **ssh_options(lab))
    await asyncio.to_thread(lab.start_sshd, "d")
    async with asyncssh.connect("d", **ssh_options(lab)) as connection:
        assert (await connection.run("echo back")).stdout == "back\n"


async def test_a_cut_management_path_is_silent_and_leaves_the_data_alone(lab: Lab) -> None:
    async with asyncssh.connect("b", **ssh_options(lab)) as connection:
        process = await connection.create_process("cat")
        lab.cut_mgmt("b")
        process.stdin.write("during the cut\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(process.stdout.readline(), 1.0)
        assert lab.exec("a", ["ping", "-c1", "-W2", lab.address("vpn", "b")]).returncode == 0
        lab.heal_mgmt("b")
        assert await asyncio.wait_for(process.stdout.readline(), 20) == "during the cut\n"


async def test_only_the_labs_key_is_let_in(lab: Lab) -> None:
    with pytest.raises(asyncssh.PermissionDenied):
        await asyncssh.connect(
            lab.address("mgmt", "a"),
            username="root",
            client_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            known_hosts=str(lab.dir / "known_hosts"),
            config=[],
            agent_path=None,
        )


async def test_a_node_is_a_jump_host(lab: Lab) -> None:
    async with asyncssh.connect("a", **ssh_options(lab)) as jump:
        reader, writer = await jump.open_connection(lab.address("mgmt", "a"), 22, encoding="utf-8")
        assert (await reader.readline()).startswith("SSH-2.0-")
        writer.close()


async def _until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""
