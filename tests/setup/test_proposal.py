"""From surveys to paths: what is an overlay, what the underlay, who is behind NAT."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from meshtop.config import load
from meshtop.parse.survey import Interface, NodeSurvey, OwnSocket, TunHolder
from meshtop.setup.interfaces import use_of
from meshtop.setup.proposal import Host, ProposedPath, name_for, propose, unique, with_reached
from meshtop.setup.writing import WrittenNode, config_text


def interface(name: str, kind: str = "ether", *addresses: str, **more: object) -> Interface:
    split = [address.partition("/") for address in addresses]
    return Interface(name=name, kind=kind, addresses=tuple((each[0], int(each[2])) for each in split), **more)  # type: ignore[arg-type]


def host(name: str, *interfaces: Interface, dialled: str | None = None, **more: object) -> Host:
    survey = NodeSurvey(whole=True, interfaces=interfaces, default_devices=("eth0",), **more)  # type: ignore[arg-type]
    return Host(name=name, survey=survey, dialled=dialled)


def softether(number: int, *, hub: bool) -> Host:
    """A VPS with a SoftEther server or client on it: TAP devices, the tunnel's connections to the hub's port 443."""
    public = f"93.184.216.{number}"
    hub_address = "93.184.216.1"
    device = "tap_vpn" if hub else "vpn_vpn"
    sockets = (
        [OwnSocket(protocol="tcp", process="vpnserver", pid=9, local="*", port=port) for port in (443, 5555)]
        + [
            OwnSocket(
                protocol="tcp", process="vpnserver", pid=9, local=public, port=443, peer="93.184.216.2", peer_port=4000
            )
        ]
        if hub
        else [
            OwnSocket(
                protocol="tcp", process="vpnclient", pid=9, local=public, port=4000, peer=hub_address, peer_port=443
            )
        ]
    )
    return host(
        "abc"[number - 1],
        interface("eth0", "ether", f"{public}/24"),
        interface(device, "tap", f"10.10.10.{number}/24"),
        interface("docker0", "bridge", "172.17.0.1/16"),
        interface("cilium_host", "veth", "10.244.0.7/32"),
        dialled=public,
        sockets=tuple(sockets),
        tuns=(TunHolder(device=device, pid=9, process="vpnserver" if hub else "vpnclient"),),
    )


def test_softether_on_rented_servers() -> None:
    hosts = [softether(1, hub=True), softether(2, hub=False), softether(3, hub=False)]
    overlay, underlay = propose(hosts)
    assert (overlay.name, overlay.kind, overlay.outer_ports) == ("vpn", "overlay", (443,))
    assert dict(overlay.address) == {"a": "10.10.10.1", "b": "10.10.10.2", "c": "10.10.10.3"}
    assert not overlay.from_operator
    assert (underlay.name, underlay.kind, underlay.from_operator) == ("public", "underlay", True)
    assert dict(underlay.address) == {"a": "93.184.216.1", "b": "93.184.216.2", "c": "93.184.216.3"}


def test_wireguard_with_addresses_that_stand_alone() -> None:
    hosts = [
        host(name, interface("eth0", "ether", f"10.0.0.{at}/24"), interface("wg0", "wireguard", f"10.9.0.{at}/32"),
             wireguard_ports={"wg0": 51820})
        for at, name in enumerate("ab", 1)
    ]  # fmt: skip
    overlay, underlay = propose(hosts, ["10.0.0.0/24"])
    assert (overlay.name, overlay.outer_ports) == ("wg", ())
    assert "UDP 51820" in overlay.notes[0]
    assert dict(underlay.address) == {"a": "10.0.0.1", "b": "10.0.0.2"}
    assert (overlay.from_operator, underlay.from_operator) == (False, True)


def test_two_overlays_have_two_names() -> None:
    hosts = [
        host(name, interface("eth0", "ether", f"10.0.0.{at}/24"), interface("tun0", "tun", f"10.8.0.{at}/24"),
             interface("tun1", "tun", f"10.9.0.{at}/24"))
        for at, name in enumerate("ab", 1)
    ]  # fmt: skip
    assert [path.name for path in propose(hosts)] == ["vpn", "vpn2", "public"]


def test_a_cloud_server_is_dialled_at_an_address_that_it_does_not_own() -> None:
    hosts = [
        host("a", interface("eth0", "ether", "10.1.0.4/24"), dialled="93.184.216.1"),
        host("b", interface("eth0", "ether", "93.184.216.2/24"), dialled="93.184.216.2"),
    ]
    (underlay,) = propose(hosts)
    assert dict(underlay.address) == {"a": "93.184.216.1", "b": "93.184.216.2"}
    assert "one-to-one NAT" in underlay.notes[0]


def test_machines_without_anything_in_common_have_no_path() -> None:
    assert propose([host("a", interface("lo", "loopback")), host("b", interface("eth0", "ether", "10.0.0.2/24"))]) == ()


@pytest.mark.parametrize(
    ("name", "kind", "use"),
    [
        ("eth0", "ether", "underlay"), ("enp3s0", "ether", "underlay"), ("pub0", "tun", "underlay"),
        ("vpn_home", "tap", "overlay"), ("tun0", "tun", "overlay"), ("wg0", "wireguard", "overlay"),
        ("tailscale0", "tun", "overlay"), ("ztabcdefgh", "tap", "overlay"), ("office", "wireguard", "overlay"),
        ("docker0", "bridge", "containers"), ("flannel.1", "vxlan", "containers"), ("cali12", "veth", "containers"),
        ("lo", "loopback", "nothing"), ("dummy0", "dummy", "nothing"), ("vxlan7", "vxlan", "overlay"),
    ],
)  # fmt: skip
def test_what_an_interface_is_for(name: str, kind: str, use: str) -> None:
    assert use_of(interface(name, kind), NodeSurvey()) == use


def test_the_line_of_a_container_is_an_underlay() -> None:
    line = interface("eth0", "veth", "10.0.3.7/24")
    assert use_of(line, NodeSurvey(default_devices=("eth0",))) == "underlay"
    assert use_of(line, NodeSurvey(default_devices=("eth1",))) == "containers"


def test_a_bridge_is_an_overlay_if_only_a_tunnel_is_in_it() -> None:
    bridge = interface("br0", "bridge", "10.10.10.1/24")
    tap = interface("tap_soft", "tap", master="br0")
    assert use_of(bridge, NodeSurvey(interfaces=(bridge, tap))) == "overlay"
    line = interface("eth0", "ether", master="br0")
    assert use_of(bridge, NodeSurvey(interfaces=(bridge, tap, line))) == "underlay"


def test_who_is_reached_by_nobody_is_behind_nat_and_may_be_seen_from_outside() -> None:
    hub = softether(1, hub=True)
    stranger = OwnSocket(
        protocol="tcp", process="vpnserver", pid=9, local="93.184.216.1", port=443, peer="1.2.3.4", peer_port=9
    )
    seen_hub = Host(name="a", survey=NodeSurvey(**{**{f: getattr(hub.survey, f) for f in hub.survey.__struct_fields__},
                                                   "sockets": (*hub.survey.sockets, stranger)}))  # fmt: skip
    path = ProposedPath(name="public", kind="underlay", address={"a": "93.184.216.1", "b": "192.168.1.2"}, why="eth0")
    hosts = [seen_hub, softether(2, hub=False)]
    told = with_reached(path, {"a": True, "b": False}, hosts)
    assert (told.behind_nat, told.address["b"]) == (("b",), "1.2.3.4")
    assert "b" not in with_reached(path, {"a": True, "b": False}, [hub, softether(2, hub=False)]).address
    assert with_reached(path, {"a": None, "b": True}, hosts) == path
    assert with_reached(path, {"a": False, "b": False}, hosts).behind_nat == ()


@pytest.mark.parametrize(
    ("given", "name"),
    [("hub.example.org", "hub"), ("203.0.113.10", "203.0.113.10"), ("-rf /;", "rf"), ("ünïcödé", "n-c-d"),
     ("a" * 40, "a" * 16), ("…", "node"), ("2001:db8::1", "2001-db8-1")],
)  # fmt: skip
def test_names_are_made_fit(given: str, name: str) -> None:
    assert name_for(given) == name


def test_names_are_told_apart() -> None:
    taken: set[str] = set()
    assert [unique("a" * 16, taken) for _ in range(3)] == ["a" * 16, "a" * 15 + "2", "a" * 15 + "3"]


def test_what_is_written_is_a_configuration_whatever_the_nodes_call_themselves(tmp_path: Path) -> None:
    hostile = 'x"\n[nodes.z]\nssh = "evil\x1b]0;owned\x07'
    hosts = [softether(1, hub=True), softether(2, hub=False)]
    paths = propose(hosts)
    nodes = [
        WrittenNode(
            name=each.name, target=f"root@{each.name}", survey=NodeSurvey(host=hostile, system=hostile, user=hostile)
        )
        for each in hosts
    ]
    nodes.append(WrittenNode(name="c", target="c", fault=f"refused: {hostile}", cure=hostile))
    file = tmp_path / "meshtop.toml"
    file.write_text(config_text(nodes, paths, "2024-05-01", ssh_config='/home/me/"ssh" config'))
    assert set(tomllib.loads(file.read_text())["nodes"]) == {"a", "b"}
    assert "\x1b" not in file.read_text()
    nodes[0] = WrittenNode(name="a", target="root@a", survey=hosts[0].survey)
    file.write_text(config_text(nodes, paths, "2024-05-01"))
    assert "left out: docker0, cilium_host" in file.read_text()
    assert load(file).targets == {"a": "root@a", "b": "root@b"}
