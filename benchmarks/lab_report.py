"""``python -m benchmarks.lab_report [--quick]``: bulk TCP from e to a over each overlay, healthy and in trouble.

Eight iperf3 streams, cubic, into a line of 30 Mbit/s, measured in a lab of its own. Prints a table and whether it tells
the story that the lab is there for; exit code 1 where it does not.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from benchmarks.table import Figure, Table, machine
from meshtop.lab import registry
from meshtop.lab.measure import Measured, PingFigures, measure
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab

LINE_MBIT_S = 30.0


@dataclass(frozen=True)
class Case:
    """``fault`` is what goes to ``Lab.fault``: target, kind, value; always on the public path, below the overlay."""

    name: str
    overlay: str
    net: str
    fault: tuple[str, str, str] | None = None
    long: bool = False


LOSS = ("e", "loss", "0.5%")
CASES = (
    Case("public", "direct", "public"),
    Case("public, 0.5 % loss", "direct", "public", LOSS),
    Case("overlay direct", "direct", "vpn"),
    Case("overlay udp", "udp", "vpn"),
    Case("overlay udp, provider polices UDP to 5 Mbit/s", "udp", "vpn", ("e", "policer-udp", "5M"), long=True),
    Case("overlay udp, path MTU 1400 and no ICMP", "udp", "vpn", ("e", "mtu-blackhole", "1400")),
    Case("overlay tcp1", "tcp1", "vpn"),
    Case("overlay tcp1, 0.5 % loss below", "tcp1", "vpn", LOSS),
    Case("overlay striped:8", "striped:8", "vpn"),
    Case("overlay striped:8, 0.5 % loss below", "striped:8", "vpn", LOSS, long=True),
)
PUBLIC_LOSS, DIRECT, UDP, POLICED, BLACK_HOLE, ONE_TCP_LOSS, STRIPED_LOSS = (
    CASES[n].name for n in (1, 2, 3, 4, 5, 7, 9)
)

Check = tuple[str, str, Callable[[Measured], bool]]
CHECKS: tuple[Check, ...] = (
    (DIRECT, "at least 85 % of the line", lambda m: m.mbit_s >= 0.85 * LINE_MBIT_S),
    (UDP, "at least 85 % of the line", lambda m: m.mbit_s >= 0.85 * LINE_MBIT_S),
    (PUBLIC_LOSS, "at least 85 % of the line", lambda m: m.mbit_s >= 0.85 * LINE_MBIT_S),
    (STRIPED_LOSS, "at most a third of the line", lambda m: m.mbit_s <= LINE_MBIT_S / 3),
    (STRIPED_LOSS, "hundreds to thousands of retransmissions", lambda m: 300 <= m.retransmitted <= 20_000),
    (STRIPED_LOSS, "at least 80 % of them needless", lambda m: (m.needless_pct or 0) >= 80),
    (STRIPED_LOSS, "small pings clean", lambda m: m.small.lost == 0),
    (POLICED, "many timeouts", lambda m: m.timeouts >= 20),
    (POLICED, "hardly a duplicate reported", lambda m: m.dsacks <= 0.1 * m.retransmitted),
    (ONE_TCP_LOSS, "round trips many times the least", lambda m: (m.srtt_over_minrtt or 0) >= 5),
    (BLACK_HOLE, "nothing gets through", lambda m: m.mbit_s < 0.1),
    (BLACK_HOLE, "small pings clean", lambda m: m.small.lost == 0),
)


def run_case(lab: Lab, case: Case, seconds: float) -> Measured:
    lab.heal()
    if lab.overlay != case.overlay:
        lab.set_overlay(case.overlay)
    if case.fault is not None:
        target, kind, value = case.fault
        lab.fault(target, kind, value, net="public")
    try:
        return measure(lab, "e", "a", case.net, seconds=seconds)
    finally:
        lab.heal()


def table(results: dict[str, Measured]) -> Table:
    columns = (
        *("e → a", "Mbit/s", "retransmitted", "needless %", "stalls", "longest s", "RTOs", "DSACKs", "outer retr."),
        *("srtt/minrtt", "ping 56 B", "ping 1200 B", "WAN CPU %", "tunnel CPU %"),
    )
    report = Table("lab_report", "Eight TCP streams, cubic, over a line of 30 Mbit/s", columns)
    for name, m in results.items():
        report.add(
            name,
            Figure(m.mbit_s, "Mbit/s", 1),
            Figure(m.retransmitted, "", 0),
            Figure(m.needless_pct, "%", 0),
            Figure(m.stalls, "", 0),
            Figure(m.longest_stall_s, "s", 1),
            Figure(m.timeouts, "", 0),
            Figure(m.dsacks, "", 0),
            Figure(m.outer_retransmitted, "", 0),
            Figure(m.srtt_over_minrtt, "", 1),
            _ping(m.small),
            _ping(m.full),
            Figure(m.wan_cpu_pct, "%", 0),
            " + ".join(f"{pct:.0f} ({node})" for node, pct in m.tunnel_cpu_pct.items() if pct >= 1) or "–",
        )
    report.notes.append("Needless: of the retransmitted bytes, those that the receiver's capture shows it had already.")
    report.notes.append(
        "RTOs and DSACKs are TCPTimeouts and TCPDSACKRecv of node e, its tunnel's own sockets included."
    )
    report.notes.append("Pings run beside the streams: median, and how many of those sent were never answered.")
    report.notes.append("CPU is of one core, averaged over the run with its start and end.")
    return report


def _ping(figures: PingFigures) -> str:
    median = "–" if figures.median_ms is None else f"{figures.median_ms:.0f} ms"
    return f"{median}, {figures.lost} of {figures.sent} lost"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab_report", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds")
    quick = parser.parse_args().quick
    about = machine()
    print(f"{about['cpus']} × {about['cpu']}, Linux {about['kernel']}, load {about['load']:.1f}", file=sys.stderr)
    results: dict[str, Measured] = {}
    with TemporaryDirectory(prefix="meshtop-lab-report-") as home:
        os.environ[registry.HOME_VARIABLE] = home
        try:
            with Lab.up("report") as lab:
                for case in CASES:
                    seconds = (10 if quick else 20) if case.long else (5 if quick else 10)
                    print(f"{case.name}, {seconds} s …", file=sys.stderr, flush=True)
                    results[case.name] = run_case(lab, case, seconds)
                late = lab.status().lateness
        except LabError as error:
            print(error, file=sys.stderr)
            return 2
    report = table(results)
    if late.p99_ms is not None:
        report.notes.append(
            f"Of {late.packets:,} packets {late.over_5ms} left the WAN over 5 ms late (p99 {late.p99_ms:.1f} ms)."
        )
    report.save()
    print(f"\n{report.markdown()}\n")
    held = [(name, words, holds(results[name])) for name, words, holds in CHECKS]
    for name, words, fine in held:
        print(f"{'yes' if fine else 'NO '}  {name}: {words}")
    return 0 if all(fine for _, _, fine in held) else 1


if __name__ == "__main__":
    sys.exit(main())
