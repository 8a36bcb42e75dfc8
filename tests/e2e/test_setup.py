"""First contact: `init` finds out what the lab is, `doctor` finds what was broken in it and says the cure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.config import MeshConfig, load
from meshtop.lab import registry
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
HIDDEN = "b"  # behind NAT


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.HOME_VARIABLE, str(tmp_path_factory.mktemp("lab")))
        lab = Lab.up("setup", overlay="striped:8", nat=[HIDDEN])
    with lab:
        yield lab


@pytest.fixture(autouse=True)
def healed(lab: Lab) -> Iterator[None]:
    yield
    lab.heal()


def meshtop(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MESHTOP, *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=120, cwd=cwd,
    )  # fmt: skip


def doctor(config: Path, *options: str | Path) -> tuple[int, dict[str, Any]]:
    done = meshtop("-c", config, *options, "doctor", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def paths_of(config: MeshConfig) -> list[tuple[str, str, tuple[int, ...], bool]]:
    return [(path.name, path.kind, path.outer_ports, path.from_operator) for path in config.mesh.paths]


def test_five_aliases_give_a_configuration_on_which_all_is_up_and_right(lab: Lab, tmp_path: Path) -> None:
    made = meshtop("--ssh-config", lab.ssh_config_path, "init", *lab.nodes, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == ""
    file = tmp_path / "meshtop.toml"
    assert meshtop("config", "check", cwd=tmp_path).returncode == 0
    found, truth = load(file), load(lab.config_path)
    assert paths_of(found) == paths_of(truth)
    assert [(node.name, dict(node.address), node.nat) for node in found.mesh.nodes] == [
        (node.name, dict(node.address), node.nat) for node in truth.mesh.nodes
    ]
    state = json.loads(meshtop("-c", file, "snapshot", "--json", "--for", "3s").stdout)
    assert [node["state"] for node in state["nodes"]] == ["up"] * 5
    dead = {(link["src"], link["dst"], link["path"]) for link in state["links"] if link["rtt_ms"] is None}
    assert dead == {(src, HIDDEN, "public") for src in lab.nodes if src != HIDDEN}

    again = meshtop("--ssh-config", lab.ssh_config_path, "init", "a", "b", cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    assert load(file) == found


def test_a_host_that_cannot_be_used_is_said_and_left_as_a_comment(lab: Lab, tmp_path: Path) -> None:
    lab.fault("d", "host-key")
    made = meshtop("--ssh-config", lab.ssh_config_path, "init", "-o", "-", "a", "d", "hub=c", cwd=tmp_path)
    assert made.returncode == 1
    assert "d (d): host key changed" in made.stderr
    assert "ssh-keygen" in made.stderr
    assert "# [nodes.d]" in made.stdout
    assert "\n[nodes.d]" not in made.stdout
    file = tmp_path / "some.toml"
    file.write_text(made.stdout)
    assert [(node.name, load(file).targets[node.name]) for node in load(file).mesh.nodes] == [("a", "a"), ("hub", "c")]


def test_nothing_is_wrong_with_a_lab_that_is_well(lab: Lab) -> None:
    code, found = doctor(lab.config_path)
    assert found["problems"] == []
    assert (code, found["usable"], found["schema"]) == (0, True, "meshtop.doctor/1")
    public = [link for link in found["links"] if link["path"] == "public" and link["dst"] != HIDDEN]
    assert {link["pmtu"] for link in public} == {1500}
    assert all({check["state"] for check in link["checks"]} == {"ok"} for link in public)
    text = meshtop("-c", lab.config_path, "doctor")
    assert text.returncode == 0
    assert "nothing is wrong" in text.stdout


def test_each_of_ten_planted_faults_is_found_and_its_cure_named(lab: Lab, tmp_path: Path) -> None:
    without_nat = tmp_path / "nat.toml"
    without_nat.write_text(lab.config_path.read_text().replace('nat = ["public"]\n', ""))
    lab.fault("d", "host-key")
    lab.fault("c", "tool-missing", "iperf3")
    lab.fault("a", "tool-missing", "ss")
    lab.fault("e", "clock-off", "20s/behind")
    code, first = doctor(without_nat)
    assert code == 1
    assert_found(first, "ssh", {"d"}, "host key changed", "ssh-keygen")
    assert_found(first, "iperf3", {"c"}, "not installed", "install iperf3")
    assert_found(first, "ss", {"a"}, "not installed", "install iproute2")
    assert_found(first, "clock", {"e"}, "20s behind", "timedatectl")
    assert_found(first, "address", {HIDDEN}, "behind NAT", 'nat = ["public"]')

    lab.heal()
    wrong_user = tmp_path / "ssh_config"
    hosts = lab.ssh_config_path.read_text().split("\n\n")
    wrong_user.write_text("\n\n".join(host.replace("User root", "User backup") if "Host c\n" in host else host
                                      for host in hosts))  # fmt: skip
    lab.fault("a", "ping-denied")
    lab.fault("d", "no-route", "vpn")
    lab.fault("d:e", "mtu-blackhole", "1300", net="public")
    lab.fault("e:a", "port-block", "5201-5210", net="public", one_way=True)
    code, second = doctor(lab.config_path, "--ssh-config", wrong_user)
    assert code == 1
    assert_found(second, "ssh", {"c"}, "user backup", "User in ssh_config")
    assert_found(second, "ping", {"a"}, "not permitted", "ping_group_range")
    assert_found(second, "reach", {f"d→{other} vpn" for other in "abce"}, "no route", "ip route")
    assert_found(second, "pmtu", {"d→e public", "e→d public"}, "above 1300 bytes vanish", "ip link set pub0 mtu 1300")
    assert_found(second, "port", {"e→a public"}, "blocked", "5201-5210")


def assert_found(found: dict[str, Any], check: str, where: set[str], words: str, cure: str) -> None:
    of_it = [each for each in found["problems"] if each["check"] == check and set(each["where"]) == where]
    assert of_it, (check, where, found["problems"])
    assert any(words in each["detail"] and cure in each["cure"] for each in of_it), of_it
