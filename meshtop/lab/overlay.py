"""What carries the overlay: the WAN itself, or tunnel processes in the nodes (tunnel.py).

Nothing of the lab but its ``vpn0`` devices changes when it is switched, so it can be at any time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from meshtop.lab.control import RoundTrip
from meshtop.lab.netns import LabError, namespace_pids, run
from meshtop.lab.plan import HUB, OUTER_PORT, PUBLIC, VPN, VPN_MTU, LabPlan
from meshtop.lab.registry import LabRecord, ProcessRef, cpu_seconds, process_start
from meshtop.lab.striping import Kind, parse_kind

DIRECT = "direct"
OVERLAYS = (DIRECT, "udp", "tcp1", "striped:N")
_MODULE = "meshtop.lab.tunnel"
ROLE = "tunnel:"  # and the node: a tunnel process in a lab's record


def parse_overlay(text: str) -> Kind | None:
    """The tunnel that ``text`` names, None for ``direct``. Raises LabError that lists what there is."""
    if text == DIRECT:
        return None
    try:
        return parse_kind(text)
    except ValueError:
        raise LabError(
            f"no overlay {text!r}; there are direct, udp, tcp1 and striped:N with N from 2 to 32, such as striped:8"
        ) from None


def set_mtu(plan: LabPlan, kind: Kind | None) -> None:
    """Of ``vpn0`` in every node; the kernel derives its segment size from it."""
    mtu = VPN_MTU if kind is None else kind.mtu
    for namespace in plan.namespaces():
        run(["ip", "-n", namespace, "link", "set", "vpn0", "mtu", str(mtu)])


def tunnel_argv(plan: LabPlan, node: str, overlay: str) -> list[str]:
    """The command line of a node's end, but for the number of the descriptor on which it says that it is ready."""
    return [
        *("ip", "netns", "exec", plan.namespace(node)),
        *(sys.executable, "-m", _MODULE, "hub" if node == HUB else "client"),
        *("--tun", "vpn0", "--inner", plan.address(VPN, node)),
        *("--at", f"{plan.address(PUBLIC, HUB)}:{OUTER_PORT}", "--kind", overlay, "--ready-fd"),
    ]


def tunnel_roles(plan: LabPlan) -> list[str]:
    """The hub first: the others connect to it."""
    others = [site.name for site in plan.sites if site.name != HUB]
    return [f"{ROLE}{node}" for node in (HUB, *others)]


class TunnelProcess(NamedTuple):
    """One end as it is now. ``cpu_s``: what it has used since its start."""

    node: str
    pid: int | None
    alive: bool
    cpu_s: float | None


def tunnel_processes(record: LabRecord, plan: LabPlan) -> list[TunnelProcess]:
    """Of every node whose overlay needs one, running or not."""
    if record.overlay == DIRECT:
        return []
    found = []
    for role in tunnel_roles(plan):
        ref = record.processes.get(role)
        alive = ref is not None and ref.alive()
        cpu_s = cpu_seconds(ref.pid) if ref is not None and alive else None
        found.append(TunnelProcess(role.removeprefix(ROLE), ref.pid if ref else None, alive, cpu_s))
    return found


def all_processes(plan: LabPlan) -> list[ProcessRef]:
    """Tunnels that run in this lab, those too that were started but not yet recorded when their starter was killed.
    They are in its namespaces, or on their way there by ``ip netns exec NAMESPACE``."""
    names = {plan.namespace(role.removeprefix(ROLE)) for role in tunnel_roles(plan)}
    inside = {pid for name in names for pid in namespace_pids(name)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if _MODULE in words and (int(entry.name) in inside or not names.isdisjoint(words)):
            start = process_start(int(entry.name))
            found += [ProcessRef(pid=int(entry.name), start=start)] if start is not None else []
    return found


def missing(tunnels: Iterable[TunnelProcess]) -> list[str]:
    """The nodes whose end does not run."""
    return [tunnel.node for tunnel in tunnels if not tunnel.alive]


def by_the_hub(trips: tuple[RoundTrip, ...]) -> tuple[RoundTrip, ...]:
    """Configured round trips where a tunnel carries the overlay: everything goes by the hub's public address."""
    public = {(trip.src, trip.dst): trip.rtt_ms for trip in trips if trip.path == PUBLIC}

    def leg_ms(site: str) -> float:
        return 0.0 if site == HUB else public[site, HUB]

    return tuple(
        msgspec.structs.replace(trip, rtt_ms=round(leg_ms(trip.src) + leg_ms(trip.dst), 3))
        if trip.path == VPN
        else trip
        for trip in trips
    )


def lock_path(record: LabRecord) -> Path:
    """Held while an overlay is being switched."""
    return Path(record.dir) / "logs" / "overlay.lock"
