"""``meshtop lab status``: what a lab is and how it does, as JSON (schema "meshtop.lab/1") and as text."""

from __future__ import annotations

from typing import Any

import msgspec

from meshtop.lab.faults import NOT_OF_A_PATH
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab
from meshtop.lab.overlay import DIRECT, missing
from meshtop.lab.plan import MGMT, PUBLIC, VPN
from meshtop.units import format_rate

SCHEMA = "meshtop.lab/1"


def status_json(lab: Lab) -> dict[str, Any]:
    """The whole state. A WAN that does not answer is told as a warning, with ``wan`` null."""
    record = lab.record
    warnings = []
    tunnels = lab.tunnels()
    if gone := missing(tunnels):
        warnings.append(
            f"the overlay's process on {', '.join(gone)} does not run;"
            f" `meshtop lab overlay {record.overlay}` starts all anew"
        )
    try:
        wan: dict[str, Any] | None = msgspec.to_builtins(lab.status())
    except LabError as error:
        wan = None
        warnings.append(str(error))
    if not record.complete:
        warnings.append("this lab was never completed; `meshtop lab down` clears it")
    if record.overlay != DIRECT and wan is not None and any(each["net"] == VPN for each in wan["faults"]):
        warnings.append(f"the faults on {VPN} have no effect while the overlay is {record.overlay}: heal them")
    if wan is not None and not wan["kept_up"]:
        late = wan["lateness_recent"]
        warnings.append(
            f"the WAN could not keep its delays: {late['over_5ms']} of the last {late['packets']} packets were over"
            f" 5 ms late (p99 {late['p99_ms']:.1f} ms); this machine is too busy for exact figures"
        )
    return {
        "schema": SCHEMA,
        "name": record.name,
        "index": record.index,
        "dir": record.dir,
        "config": str(record.config),
        "overlay": record.overlay,
        "tunnels": [tunnel._asdict() for tunnel in tunnels],
        "congestion": record.congestion or "the machine's default",
        "sshd": record.sshd,
        "nodes": _nodes(lab),
        "rtt_ms": (wan or {}).pop("round_trips", []),
        "faults": (wan or {}).pop("faults", []),
        "wan": wan,
        "warnings": warnings,
    }


def _nodes(lab: Lab) -> list[dict[str, Any]]:
    record = lab.record
    return [
        {
            "name": site.name,
            "label": site.label,
            "namespace": lab.plan.namespace(site.name),
            "up_bps": site.up_bps,
            "down_bps": site.down_bps,
            "nat": [PUBLIC] if site.name in record.nat else [],
            "address": {net: lab.address(net, site.name) for net in (VPN, PUBLIC, MGMT)},
            "sshd_pids": [ref.pid for ref in lab.sshd_processes(site.name)],
        }
        for site in lab.plan.sites
    ]


def status_text(report: dict[str, Any]) -> str:
    lines = [
        f"lab {report['name']}  overlay {report['overlay']}{_tunnel_words(report['tunnels'])}"
        f"  {report['congestion']}  {report['config']}",
        "",
    ]
    for node in report["nodes"]:
        rates = f"{format_rate(node['up_bps'])} up, {format_rate(node['down_bps'])} down"
        addresses = "  ".join(f"{net} {address}" for net, address in node["address"].items())
        nat = "  behind NAT" if node["nat"] else ""
        sshd = "" if node["sshd_pids"] else "  no SSH server"
        lines.append(f"  {node['name']}  {node['label']:<10} {rates:<28} {addresses}{nat}{sshd}")
    names = [node["name"] for node in report["nodes"]]
    trips = {(trip["path"], trip["src"], trip["dst"]): trip["rtt_ms"] for trip in report["rtt_ms"]}
    for path in dict.fromkeys(trip["path"] for trip in report["rtt_ms"]):
        lines += ["", f"  rtt ms, {path:<6}" + "".join(f"{name:>7}" for name in names)]
        for src in names:
            cells = "".join(f"{trips[path, src, dst]:7.1f}" if src != dst else f"{'·':>7}" for dst in names)
            lines.append(f"  {src:>14}" + cells)
    lines += ["", *_fault_lines(report["faults"])]
    if wan := report["wan"]:
        lines.append(_wan_line(wan))
    lines += [f"  warning: {warning}" for warning in report["warnings"]]
    return "\n".join(lines)


def _tunnel_words(tunnels: list[dict[str, Any]]) -> str:
    running = sum(tunnel["alive"] for tunnel in tunnels)
    return f" ({running} of {len(tunnels)} tunnel processes run)" if tunnels else ""


def _fault_lines(faults: list[dict[str, Any]]) -> list[str]:
    if not faults:
        return ["  no faults in force"]
    return [
        f"  fault: {each['target']} {each['kind']} {each['value']}".rstrip()
        + (" one way" if each["one_way"] else "")
        + _fault_place(each)
        for each in faults
    ]


def _fault_place(fault: dict[str, Any]) -> str:
    if fault["net"]:
        return f" on {fault['net']}"
    return "" if fault["kind"] in NOT_OF_A_PATH else " on public and vpn"


def _wan_line(wan: dict[str, Any]) -> str:
    late = wan["lateness_recent"]
    lateness = f"late p99 {late['p99_ms']:.2f} ms, at most {late['max_ms']:.2f} ms" if late["packets"] else "idle"
    drops = ", ".join(f"{count} {reason}" for reason, count in wan["drops"].items()) or "none"
    logs = "".join(f"; {log['events']} events in {log['path']}" for log in wan["logs"])
    return (
        f"  WAN: {wan['scheduling']}, {wan['cpu_pct']:.1f} % of a core, {lateness};"
        f" {wan['delivered']} packets delivered, {wan['in_flight']} under way, dropped: {drops}{logs}"
    )
