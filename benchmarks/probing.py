"""Do the pings stay under 1 % of every node's nominal line? Worked out from the plans that the nodes are given.

A node's line carries its own requests and its answers to its peers' going up, its peers' requests and their answers
coming down. Both paths share it, and what goes through the overlay also carries the tunnel's own headers.
"""

from __future__ import annotations

from benchmarks.table import Figure, Table
from meshtop.agent.probe import plan_for
from meshtop.model import Mesh, Node, Path

SHARE_PCT = 1.0
HEADERS = {"underlay": 28, "overlay": 28 + 60}  # IPv4 and ICMP; a tunnel's IPv4, UDP, own and inner Ethernet headers


def measure(quick: bool) -> list[Table]:
    table = Table(
        "probing",
        "Probing as a share of each node's nominal line",
        ("mesh", "node", "up Mbit/s", "down Mbit/s", "small every s", "full every s", "% of up", "% of down"),
    )
    _add(table, "the case, 5 nodes", _case(), [node.name for node in _case().nodes])
    twenty = _twenty()
    _add(table, "20 nodes", twenty, ["n00", "n01", "n02"])
    table.notes.append("In the mesh of 20 nodes the lines repeat 5/5, 10/40 and 500/500 Mbit/s; one of each is shown.")
    table.notes.append("Every s: the slowest target of that size.")
    return [table]


def _case() -> Mesh:
    rates = {"a": (10, 40), "b": (5, 5), "c": (500, 500), "d": (30, 30), "e": (30, 30)}
    return _mesh(rates)


def _twenty() -> Mesh:
    kinds = ((5, 5), (10, 40), (500, 500))
    return _mesh({f"n{i:02}": kinds[i % 3] for i in range(20)})


def _mesh(rates: dict[str, tuple[int, int]]) -> Mesh:
    nodes = tuple(
        Node(
            name=name,
            address={"vpn": f"10.91.0.{i}", "public": f"10.92.0.{i}"},
            up_bps=up * 1_000_000,
            down_bps=down * 1_000_000,
        )
        for i, (name, (up, down)) in enumerate(rates.items(), 1)
    )
    paths = (Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay"))
    return Mesh(name="probing", nodes=nodes, paths=paths)


def _add(table: Table, title: str, mesh: Mesh, shown: list[str]) -> None:
    plans = {node.name: plan_for(mesh, node.name).pings for node in mesh.nodes}
    by_address = {
        node.address[path.name]: (node.name, HEADERS[path.kind]) for node in mesh.nodes for path in mesh.paths
    }
    load = dict.fromkeys(plans, 0.0)  # bit/s each way: a request and its answer are of one size
    for name, pings in plans.items():
        for ping in pings:
            target, headers = by_address[ping.target]
            bps = 8 * (ping.payload_bytes + headers) / ping.interval_s
            load[name] += bps
            load[target] += bps
    for node in mesh.nodes:
        if node.name not in shown:
            continue
        small = max(ping.interval_s for ping in plans[node.name] if ping.payload_bytes < 100)
        full = max(ping.interval_s for ping in plans[node.name] if ping.payload_bytes >= 100)
        assert node.up_bps is not None
        assert node.down_bps is not None
        table.add(
            title,
            node.name,
            Figure(node.up_bps / 1e6, "Mbit/s", 0),
            Figure(node.down_bps / 1e6, "Mbit/s", 0),
            Figure(small, "s", 1),
            Figure(full, "s", 1),
            Figure(100 * load[node.name] / node.up_bps, "%", 3, budget=SHARE_PCT),
            Figure(100 * load[node.name] / node.down_bps, "%", 3, budget=SHARE_PCT),
        )
