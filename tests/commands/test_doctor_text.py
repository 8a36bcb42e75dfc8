"""A diagnosis as its reader sees it."""

from __future__ import annotations

from meshtop.commands.doctor_text import report
from meshtop.model import Mesh, Node, Path
from meshtop.setup.checks import LinkChecks, NodeChecks, diagnosis, failed, ok, skipped, warning
from meshtop.setup.node_checks import NODE_CHECKS


def made(*names: str) -> str:
    mesh = Mesh(
        name="miku",
        nodes=tuple(Node(name=name, address={"vpn": f"10.0.0.{at}"}) for at, name in enumerate(names, 1)),
        paths=(Path(name="vpn", kind="overlay"),),
    )
    nodes = tuple(
        NodeChecks(name=name, ssh=name, checks=tuple(ok(check, "") for check in NODE_CHECKS)) for name in names
    )
    bad = failed("ss", "ss is not installed", "install iproute2 there")
    sick = tuple(bad if check.check == "ss" else check for check in nodes[0].checks)
    nodes = (NodeChecks(name=names[0], ssh="a", label="Hubei", checks=sick), *nodes[1:])
    seen, unseen = (ok("reach", ""), warning("pmtu", "d", "c")), (skipped("reach", "d"),)
    links = tuple(
        LinkChecks(src=src, dst=dst, path="vpn", rtt_ms=38.2, pmtu=1400, checks=seen if src == names[0] else unseen)
        for src in names
        for dst in names
        if src != dst
    )
    return report(diagnosis("miku", "2024-05-01T00:00:00.000Z", 1.66, nodes, links), mesh, 80)


def test_tables_then_each_trouble_with_its_cure() -> None:
    text = made("a", "b")
    assert text.split("\n") == [
        "node     ssh  shell  ss  ping  iperf3  ports  clock  rights  address",
        "a Hubei  ●    ●      ✕   ●     ●       ●      ●      ●       ●",
        "b        ●    ●      ●   ●     ●       ●      ●      ●       ●",
        "",
        "vpn (overlay): row → column, ms and path MTU",
        "   a  b",
        "a  –  ▲ 38.2 1400",
        "b  ·  –",
        "",
        "● fine  ▲ warning  ✕ unusable  · not looked at",
        "",
        "✕ a: ss unusable",
        "    ss is not installed",
        "    → install iproute2 there",
        "",
        "▲ a→b vpn: pmtu warning",
        "    d",
        "    → c",
        "",
        "miku: 1 failure, 1 warning; looked at in 1.7 s",
    ]


def test_many_nodes_leave_the_figures_away_before_they_wrap() -> None:
    text = made(*(f"node-{number}" for number in range(9)))
    assert max(map(len, text.split("\n"))) <= 80
    assert "row → column\n" in text
