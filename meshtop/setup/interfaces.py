"""What an interface is for, by its kind, its name and who carries it: an overlay, a way to the world, or containers'.

Names are those that the tools give by default: SoftEther (``vpn_*``, ``tap_*``), OpenVPN (``tun0``), WireGuard,
Tailscale, ZeroTier (``zt*``), systemd's predictable names (``eno1``, ``enp3s0``), and those of container networks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from meshtop.parse.survey import Interface, NodeSurvey, OwnSocket

Use = Literal["overlay", "underlay", "containers", "nothing"]

_OVERLAY_KINDS: Mapping[str, int] = {
    "wireguard": 4,
    **dict.fromkeys(("tun", "tap", "vxlan", "geneve", "l2tp", "xfrm", "vti", "vti6", "bareudp"), 2),
    **dict.fromkeys(("gre", "gretap", "ip6gre", "ip6gretap", "ipip", "sit", "ip6tnl"), 2),
}
_OVERLAY_NAMES = re.compile(
    r"(vpn|tun|tap|wg|wireguard|tailscale|zt[a-z0-9]{8}|nebula|netmaker|nm-|wt\d|ham\d|tinc|n2n|edge\d|ovpn|ppp|mesh|easytier)",
    re.IGNORECASE,
)
_UNDERLAY_NAMES = re.compile(
    r"(eth|en[opsx]?\d|ens|eno|enp|enx|wl|ww|pub|wan|inet|uplink|lan|net\d|bond|team|vmbr|br\d|venet|ib|mgmt|oob)",
    re.IGNORECASE,
)
_CONTAINERS = re.compile(
    r"(docker|br-|veth|cni|flannel|cilium|lxc|lxd|cali|kube|virbr|podman|weave|antrea|ovn|ovs|nodelocaldns|tunl0|vnet|fwbr)",
    re.IGNORECASE,
)
PUBLIC_NAMES = re.compile(r"(pub|wan|inet|uplink)", re.IGNORECASE)
MANAGEMENT_NAMES = re.compile(r"(mgmt|oob|ipmi|idrac|adm)", re.IGNORECASE)
_AN_OVERLAY = 2


def use_of(interface: Interface, survey: NodeSurvey) -> Use:
    if interface.kind in ("loopback", "dummy", "ifb", "vrf") or not interface.up:
        return "nothing"
    # A machine that is a container itself has its own line on one.
    of_a_container = interface.kind == "veth" and interface.name not in survey.default_devices
    if _CONTAINERS.match(interface.name) or of_a_container:
        return "containers"
    if interface.kind == "bridge" and _bridges_a_tunnel(interface, survey):
        return "overlay"
    score = _OVERLAY_KINDS.get(interface.kind, 0)
    score += 3 if score and _OVERLAY_NAMES.match(interface.name) else 0
    score -= 4 if _UNDERLAY_NAMES.match(interface.name) else 0
    score += 5 if outer_sockets(interface.name, survey) else 0
    return "overlay" if score >= _AN_OVERLAY else "underlay"


def _bridges_a_tunnel(bridge: Interface, survey: NodeSurvey) -> bool:
    """A local bridge of SoftEther's or an OpenVPN's: a TAP device in it, and no line of the machine."""
    ports = [each for each in survey.interfaces if each.master == bridge.name]
    taps = [each for each in ports if each.kind in ("tap", "vxlan", "gretap", "geneve", "l2tp")]
    return bool(taps) and all(each in taps or each.kind in ("dummy", "veth") for each in ports)


def outer_sockets(device: str, survey: NodeSurvey) -> tuple[OwnSocket, ...]:
    """Of the process that carries a TUN or TAP device."""
    pids = {tun.pid for tun in survey.tuns if tun.device == device}
    ports_of = {each.name for each in survey.interfaces if each.master == device}
    pids |= {tun.pid for tun in survey.tuns if tun.device in ports_of}
    return tuple(socket for socket in survey.sockets if socket.pid in pids)


def carrier(device: str, survey: NodeSurvey) -> str | None:
    """The name of that process."""
    return next((tun.process for tun in survey.tuns if tun.device == device), None)
