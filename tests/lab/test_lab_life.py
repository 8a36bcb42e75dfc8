"""How labs come and go: in time, side by side, and without a trace, however they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab import registry
from meshtop.lab.clear import clear_all
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

COMMAND = [sys.executable, "-m", "meshtop.lab.commands"]
Remains = Callable[[Lab], list[str]]


@pytest.fixture(autouse=True)
def _clean(lab_home: Path) -> Iterator[None]:
    """Whatever a failed test leaves is cleared, its own labs only."""
    yield
    clear_all()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=60)


def test_up_and_down_by_command(remains: Remains, lab_home: Path, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    began = time.monotonic()
    up = command("up", "--name", "mine", "--dir", str(directory))
    took = time.monotonic() - began
    assert (up.returncode, up.stdout, up.stderr) == (0, f"{directory}/meshtop.toml\n", "")
    assert took < 15, "5 s are promised on an idle machine"
    lab = Lab.open("mine")
    there = remains(lab)
    assert len([each for each in there if each.startswith("namespace")]) == 5
    assert len([each for each in there if each.startswith("device")]) == 2
    assert len([each for each in there if each.startswith("process")]) == 6

    status: dict[str, Any] = json.loads(command("status", "--name", "mine", "--json").stdout)
    assert status["schema"] == "meshtop.lab/1"
    assert [(node["name"], node["up_bps"]) for node in status["nodes"]][:2] == [("a", 10_000_000), ("b", 5_000_000)]
    assert len(status["rtt_ms"]) == 40
    assert (status["overlay"], status["faults"], status["warnings"]) == ("direct", [], [])
    assert "10.10.10.5" in command("status", "--name", "mine").stdout

    assert command("exec", "--name", "mine", "a", "sh", "-c", "exit 5").returncode == 5
    assert command("exec", "--name", "mine", "a", "no-such-command").returncode == 127
    assert command("exec", "--name", "mine", "a", "ping", "-c1", "-W2", "10.10.10.2").returncode == 0
    assert command("fault", "--name", "mine", "a:b", "blackout", "--path", "vpn").returncode == 0
    assert command("exec", "--name", "mine", "a", "ping", "-c1", "-W1", "10.10.10.2").returncode == 1
    assert "a:b blackout" in command("status", "--name", "mine").stdout
    refused = command("fault", "--name", "mine", "a:q", "blackout")
    assert (refused.returncode, "a, b, c, d, e" in refused.stderr) == (2, True)
    assert command("heal", "--name", "mine").stderr == "1 fault healed\n"

    leftover = lab.popen("c", ["sleep", "300"])  # what runs in a lab ends with it
    down = command("down", "--name", "mine")
    assert (down.returncode, down.stdout, down.stderr) == (0, "", "")
    assert leftover.wait(5) == -signal.SIGKILL
    leftover.communicate()
    assert remains(lab) == []
    assert not lab_home.exists() or list(lab_home.iterdir()) == []


def test_two_labs_side_by_side(remains: Remains, iperf3: Callable[..., dict[str, Any]]) -> None:
    with Lab.up("one") as one, Lab.up("two") as two:
        assert one.record.index != two.record.index
        with pytest.raises(LabError, match="'one' is already up"):
            Lab.up("one")
        one.fault("e:a", "blackout")
        assert one.exec("e", ["ping", "-c1", "-W1", one.address("vpn", "a")]).returncode == 1
        assert two.exec("e", ["ping", "-c1", "-W2", two.address("vpn", "a")]).returncode == 0
        for lab in (one, two):
            operator = ["ping", "-c1", "-W2", lab.address("public", "d")]
            assert subprocess.run(operator, capture_output=True, check=False).returncode == 0
        remains(one)
        one.down()
        assert remains(one) == []
        assert two.exec("e", ["ping", "-c1", "-W2", two.address("vpn", "a")]).returncode == 0
        one.down()  # a second time: nobody else's lab is touched
        report = iperf3(two, "e", "d", "vpn", "-t", "2")
        assert report["end"]["sum_received"]["bits_per_second"] > 15e6


def test_a_killed_wan_is_told_and_cleared(remains: Remains) -> None:
    lab = Lab.up("hurt")
    remains(lab)
    os.kill(lab.record.processes["wan"].pid, signal.SIGKILL)
    with pytest.raises(LabError, match="does not answer"):
        lab.status()
    said = command("status", "--name", "hurt", "--json")
    assert json.loads(said.stdout)["wan"] is None
    assert "does not answer" in json.loads(said.stdout)["warnings"][0]
    down = command("down", "--all")
    assert (down.returncode, down.stderr) == (0, "cleared lab 'hurt'\n")
    assert remains(lab) == []
    lab.down()


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.15, 0.4, 0.8])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_ended_leaves_nothing(remains: Remains, how: signal.Signals, after_s: float) -> None:
    """Killed: nothing that ``down --all`` does not clear. Interrupted: nothing at all."""
    up = subprocess.Popen([*COMMAND, "up", "--name", "short"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab = Lab(_record_of("short", up))
    time.sleep(after_s)  # the moment is the point here, any of them has to do
    remains(lab)
    up.send_signal(how)
    stdout, stderr = up.communicate(timeout=30)
    finished = stdout.decode().endswith("meshtop.toml\n")
    if how is signal.SIGKILL or finished:
        assert command("down", "--all").returncode == 0
    else:
        assert (up.returncode, stderr) == (130, b"")
    assert remains(lab) == []


def _record_of(name: str, up: subprocess.Popen[bytes]) -> registry.LabRecord:
    while up.poll() is None:
        for record in registry.records():
            if record.name == name and record.home == str(registry.home()):
                return record
    raise AssertionError(f"it ended at once: {up.communicate()}")


def test_what_up_cannot_use_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "meshtop.toml").write_text("mine")
    refused = command("up", "--dir", str(tmp_path))
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "already holds meshtop.toml" in refused.stderr
    assert (tmp_path / "meshtop.toml").read_text() == "mine"
    for words, said in (
        (["--dir", str(tmp_path / "meshtop.toml")], "is a file"),
        (["--name", "../x"], "no name for a lab"),
        (["--overlay", "carrier-pigeon"], "there are direct"),
        (["--sshd", "telnetd"], "openssh"),
    ):
        refused = command("up", *words)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert command("down", "--name", "nobody").returncode == 2
    assert [record for record in registry.records() if record.home == str(registry.home())] == []


def test_without_root_there_is_a_plain_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root"):
        Lab.up("nobody")


def test_openssh_as_the_nodes_server(remains: Remains) -> None:
    with Lab.up("plain", sshd="openssh") as lab:
        remains(lab)
        ssh = ["ssh", "-F", str(lab.ssh_config_path), "d", "cat; hostname -I; exit 3"]
        done = subprocess.run(ssh, input="hello\n", capture_output=True, text=True, check=False, timeout=20)
        assert (done.returncode, done.stderr) == (3, "")
        assert done.stdout.startswith("hello\n")
        assert lab.address("public", "d") in done.stdout

        session = subprocess.Popen(
            [*ssh[:-1], "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(b"there\n")
        session.stdin.flush()
        assert session.stdout.readline() == b"there\n"
        assert len(lab.sshd_processes("d")) >= 2
        lab.kill_sshd("d")
        session.communicate(timeout=10)
        assert session.returncode == 255
        assert lab.sshd_processes("d") == []
        lab.start_sshd("d")
        assert subprocess.run([*ssh[:-1], "true"], check=False, timeout=20, stdin=subprocess.DEVNULL).returncode == 0
    assert remains(lab) == []
