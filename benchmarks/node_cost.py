"""What the probe costs a node: CPU of everything that runs there, and bytes on the wire.

Three nodes are measured in the same seconds: one with dash and the machine's awk, one with busybox ash and busybox awk,
both watched by ``meshtop stream`` through OpenSSH, and one that runs the plain loop ``ss -tinmoeHO; sleep`` through
``ssh -C``, for the ratio. Each has the same number of sockets, 20 of which move; two more nodes are the other ends.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from itertools import pairwise

from benchmarks.monitor import Stream, environment
from benchmarks.nodes import BenchMesh, BenchNode
from benchmarks.table import Figure, Table, median

SHELLS = {"a": "dash + mawk", "b": "busybox ash + awk", "c": "plain ss loop"}
MOVING = 20
SETTLE_S = 8.0
# The budgets hold for this case alone
BUDGET_CASE = (200, 1)
CPU_PCT = 1.5
WIRE_KBIT = 16.0


@dataclass(slots=True)
class Reading:
    """What was counted up to a moment."""

    at: float
    probe_s: float
    sshd_s: float
    from_node: int
    to_node: int


def read(node: BenchNode) -> Reading:
    return Reading(time.monotonic(), node.probe_cpu_s(), node.sshd_cpu_s(), *node.wire_bytes())


def measure(quick: bool) -> list[Table]:
    table = Table(
        "node_cost",
        "Cost on a node (20 sockets moving, pings to 4 peers × 2 paths × 2 sizes)",
        (
            "sockets", "Hz", "what runs", "probe CPU %", "sshd CPU %", "kbit/s from node", "kbit/s to node",
            "CPU ÷ plain loop", "bytes ÷ plain loop",
        ),
    )  # fmt: skip
    cases = [(200, 1)] if quick else [(20, 1), (200, 1), (2000, 1), (20, 5), (200, 5), (2000, 5)]
    rounds, seconds = (2, 6.0) if quick else (3, 10.0)
    for sockets, hertz in cases:
        with BenchMesh() as mesh:
            _measure_case(mesh, table, sockets, hertz, rounds, seconds)
    table.notes += [
        "probe CPU: shell, awk, ss, sleep, pings, and the kernel's work on their behalf; sshd CPU: encryption, zlib.",
        "kbit/s: with TCP and IP headers, ACKs included. The plain loop sends no pings and reads nothing but sockets.",
        f"Medians of {rounds} rounds of {seconds:g} s; the three run in the same seconds.",
    ]
    return [table]


def _measure_case(mesh: BenchMesh, table: Table, sockets: int, hertz: int, rounds: int, seconds: float) -> None:
    interval = 1 / hertz
    for name in SHELLS:
        mesh.nodes[name].serve("busybox" if name == "b" else "dash")
    mesh.write_files(f"{interval * 1000:g}ms", watched=("a", "b"))
    mesh.traffic(dict.fromkeys(SHELLS, sockets), min(MOVING, sockets), peers=("d", "e"))
    loop = f"while :; do ss -tinmoeHO; sleep {interval:g}; done"
    plain = subprocess.Popen(
        ("ssh", "-C", "-F", str(mesh.ssh_config), "-o", "Port=22", "c", loop),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment(),
    )
    stream = Stream(mesh.config)
    try:
        time.sleep(SETTLE_S)
        taken: dict[str, list[Reading]] = {name: [read(mesh.nodes[name])] for name in SHELLS}
        for _ in range(rounds):
            time.sleep(seconds)
            for name in SHELLS:
                taken[name].append(read(mesh.nodes[name]))
        stream.alive()
    finally:
        stream.end()
        plain.kill()
        plain.wait()
    _rows(table, sockets, hertz, taken)


def _rows(table: Table, sockets: int, hertz: int, taken: dict[str, list[Reading]]) -> None:
    figures = {name: _figures(readings) for name, readings in taken.items()}
    plain_cpu = figures["c"]["probe"] + figures["c"]["sshd"]
    plain_bytes = figures["c"]["from"]
    judged = (sockets, hertz) == BUDGET_CASE
    for name, what in SHELLS.items():
        got = figures[name]
        within = judged and name != "c"
        table.add(
            f"{sockets}",
            f"{hertz}",
            what,
            Figure(got["probe"], "%", budget=CPU_PCT if within else None),
            Figure(got["sshd"], "%"),
            Figure(got["from"], "kbit/s", 1, budget=WIRE_KBIT if within else None),
            Figure(got["to"], "kbit/s", 1),
            Figure((got["probe"] + got["sshd"]) / plain_cpu, "×"),
            Figure(got["from"] / plain_bytes, "×"),
        )


def _figures(readings: list[Reading]) -> dict[str, float]:
    rounds = list(pairwise(readings))
    found = {
        "probe": median(100 * (b.probe_s - a.probe_s) / (b.at - a.at) for a, b in rounds),
        "sshd": median(100 * (b.sshd_s - a.sshd_s) / (b.at - a.at) for a, b in rounds),
        "from": median(8e-3 * (b.from_node - a.from_node) / (b.at - a.at) for a, b in rounds),
        "to": median(8e-3 * (b.to_node - a.to_node) / (b.at - a.at) for a, b in rounds),
    }
    return {name: value or 0.0 for name, value in found.items()}
