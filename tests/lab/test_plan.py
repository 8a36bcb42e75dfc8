"""Names, addresses and files of a lab, without making one."""

from __future__ import annotations

import itertools
from pathlib import Path

import asyncssh
import pytest

from meshtop import config
from meshtop.lab import files
from meshtop.lab.netns import LabError
from meshtop.lab.plan import MAX_LABS, MGMT, OPERATOR, PUBLIC, VPN, LabPlan, queue_bytes
from meshtop.lab.scenario import Scenario

PLAN = LabPlan(index=7)


def test_no_two_labs_share_a_name_or_an_address() -> None:
    plans = [LabPlan(index=index) for index in range(MAX_LABS)]
    assert len({name for plan in plans for name in plan.namespaces()}) == 5 * MAX_LABS
    devices = [device for plan in plans for device in plan.operator_devices()]
    assert len(set(devices)) == 2 * MAX_LABS
    assert max(len(device) for device in devices) <= 15  # IFNAMSIZ
    addresses = [port.address for plan in plans for port in plan.ports() if port.net != VPN]
    assert len(set(addresses)) == len(addresses) == 12 * MAX_LABS


def test_one_way_delays_are_between_10_and_30_ms() -> None:
    delays = PLAN.wan_spec().delays_ms
    pairs = [delays[one.name] + delays[two.name] for one, two in itertools.combinations(PLAN.sites, 2)]
    assert min(pairs) >= 10
    assert max(pairs) <= 30


def test_queues_are_finite_and_fit_the_line() -> None:
    assert [queue_bytes(rate) for rate in (5_000_000, 30_000_000, 100_000_000)] == [65_536, 150_000, 262_144]


def test_the_operator_is_on_all_but_the_overlay() -> None:
    assert {port.net for port in PLAN.ports() if port.site == OPERATOR} == {PUBLIC, MGMT}


def test_the_files_are_what_the_monitor_reads(tmp_path: Path) -> None:
    directory = tmp_path / 'odd "place" of files'
    files.prepare(directory)
    files.write_files(directory, PLAN)
    loaded = config.load(directory / "meshtop.toml")
    assert [node.name for node in loaded.mesh.nodes] == ["a", "b", "c", "d", "e"]
    assert [path.name for path in loaded.mesh.paths] == ["vpn", "public"]
    node = loaded.mesh.nodes[0]
    assert (node.label, node.up_bps, node.down_bps) == ("Hubei", 10_000_000, 40_000_000)
    assert dict(node.address) == {"vpn": "10.10.10.1", "public": "198.18.7.1"}
    assert str(loaded.ssh.known_hosts) == str(directory / "known_hosts")
    for number in range(1, 6):
        keys, _, _, _, _, _, _ = asyncssh.match_known_hosts(
            str(directory / "known_hosts"), f"198.19.7.{number}", "", 22
        )
        assert len(keys) == 1
    for private in ("operator", "host_a", "host_e"):
        assert (directory / "keys" / private).stat().st_mode & 0o077 == 0


def test_sites_behind_nat_share_an_address_that_nobody_has(tmp_path: Path) -> None:
    plan = LabPlan(index=7, nat=("d", "e"))
    files.prepare(tmp_path / "lab")
    files.write_files(tmp_path / "lab", plan)
    mesh = config.load(tmp_path / "lab/meshtop.toml").mesh
    assert [(node.name, node.nat) for node in mesh.nodes if node.nat] == [("d", ("public",)), ("e", ("public",))]
    assert {node.address["public"] for node in mesh.nodes if node.nat} == {plan.nat_address()}
    assert plan.nat_address() not in {port.address for port in plan.ports()}
    assert [path.outer_ports for path in mesh.paths] == [(443,), ()]
    assert [(watch.name, watch.ports, watch.nodes) for watch in mesh.watches] == [
        ("push", (8443, 5000), ("a", "c", "e"))
    ]


def test_the_push_is_watched_on_the_ports_that_it_takes(tmp_path: Path) -> None:
    binds = {item.bind for item in Scenario.load("miku").traffic if item.run in ("store", "proxy") and item.bind}
    push = next(item.to for item in Scenario.load("miku").traffic if item.run == "push")
    onward = next(item.to for item in Scenario.load("miku").traffic if item.run == "proxy")
    assert push is not None
    assert onward is not None
    assert {push.port, onward.port} == set(files.PUSH_PORTS) <= {bind.port for bind in binds}
    assert {"e", push.node, onward.node} == set(files.PUSH_NODES)


def test_files_of_others_are_neither_overwritten_nor_removed(tmp_path: Path) -> None:
    (tmp_path / "meshtop.toml").write_text("mine")
    with pytest.raises(LabError, match=r"already holds meshtop\.toml"):
        files.prepare(tmp_path)
    assert (tmp_path / "meshtop.toml").read_text() == "mine"

    (tmp_path / "meshtop.toml").rename(tmp_path / "notes")
    files.prepare(tmp_path)
    files.write_files(tmp_path, PLAN)
    files.remove_files(tmp_path, made_dir=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
