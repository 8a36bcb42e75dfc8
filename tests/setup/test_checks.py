# ruff: noqa: E501  # a case is a line
"""What is judged of nodes and ways that no lab has: old tools, ordinary users, noisy shells, rejected connections."""

from __future__ import annotations

import pytest

from meshtop.model import LinkKey, Mesh, Node, Path
from meshtop.parse.survey import Interface, NodeSurvey
from meshtop.parse.ways import PathMtu, PingTry, WayAnswers
from meshtop.setup.checks import Check, diagnosis
from meshtop.setup.facts import MeshFacts, NodeFacts, SshFault
from meshtop.setup.node_checks import NODE_CHECKS, node_checks
from meshtop.setup.way_checks import link_checks

A = Node(name="a", address={"public": "192.0.2.1"})
B = Node(name="b", address={"public": "192.0.2.2"})
MESH = Mesh(name="test", nodes=(A, B), paths=(Path(name="public", kind="underlay"),))
TOOLS = dict.fromkeys(("awk", "ss", "ping", "iperf3", "timeout", "date"), "")


def survey(address: str = "192.0.2.1", **changes: object) -> NodeSurvey:
    usual = {
        "whole": True, "uid": 0, "user": "root", "kernel": "6.1.0", "tools": TOOLS, "ss": "6.1.0", "iperf3": "3.12",
        "own_pings": {56: (True, ""), 1200: (True, "")},
        "interfaces": (Interface(name="eth0", addresses=((address, 24),)),),
    }  # fmt: skip
    return NodeSurvey(**{**usual, **changes})  # type: ignore[arg-type]


def facts(
    a: NodeFacts | None = None, ways: dict[tuple[str, str], WayAnswers] | None = None, **changes: object
) -> MeshFacts:
    known = {
        "a": a or NodeFacts(survey=survey(), began=True),
        "b": NodeFacts(survey=survey("192.0.2.2"), began=True, listener=5201),
    }
    return MeshFacts(
        mesh=MESH, targets={"a": "a", "b": "b"}, first_port=5201, last_port=5202, nodes=known,
        ways={LinkKey(*pair, "public"): answers for pair, answers in (ways or {}).items()}, **changes,
    )  # fmt: skip


def of_a(**changes: object) -> dict[str, Check]:
    its = NodeFacts(**{"survey": survey(), "began": True, "clock_offset_s": 0.0, **changes})  # type: ignore[arg-type]
    return {check.check: check for check in node_checks(facts(its), A).checks}


def way(answers: WayAnswers) -> dict[str, Check]:
    return {check.check: check for check in link_checks(facts(ways={("a", "b"): answers}), A, B, "public").checks}


def answered(**changes: object) -> WayAnswers:
    good = PingTry(sent=3, answered=3, rtt_ms=20.0)
    usual = {"pings": {56: good, 1200: good}, "tcp": {5201: "open"},
             "pmtu": PathMtu(bytes=1500, interface_bytes=1500, how="open", device="eth0")}  # fmt: skip
    return WayAnswers(**{**usual, **changes})  # type: ignore[arg-type]


def test_a_node_that_is_well_has_every_check_and_all_are_fine() -> None:
    found = of_a()
    assert tuple(found) == NODE_CHECKS
    assert {check.state for check in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("changes", "check", "state", "words", "cure"),
    [
        ({"survey": survey(ss="4.9.0", kernel="4.9.0")}, "ss", "warning", "cannot tell: stalls of flows", "4.20"),
        ({"survey": survey(ss_complaint="invalid option -- 'O'")}, "ss", "failed", "invalid option", "newer iproute2"),
        ({"survey": survey(iperf3="3.1")}, "iperf3", "failed", "3.1 is too old", "3.7"),
        ({"survey": survey(tools={**TOOLS, "timeout": ""} | {"iperf3": "?"}, iperf3=None)}, "iperf3", "warning", "?", "3.7"),
        ({"survey": survey(listening=(5201, 5202))}, "ports", "failed", "every burst port", "[burst] ports"),
        ({"survey": survey(uid=1000, user="ada")}, "rights", "warning", "ada: sockets are seen", "root"),
        ({"survey": survey(own_pings={56: (False, "ping: lo: down")})}, "ping", "failed", "not answered", "lo"),
        ({"survey": survey(tools={"awk": ""})}, "ping", "failed", "not installed", "iputils"),
        ({"noise": "Welcome!"}, "shell", "warning", "Welcome!", "case $-"),
        ({"survey": None, "began": False, "noise": "menu: 1) 2)"}, "shell", "failed", "menu: 1) 2)", "login shell"),
        ({"clock_offset_s": 3600.0, "clock_doubt_s": 0.1}, "clock", "warning", "1h ahead", "chrony"),
        ({"clock_offset_s": 2.0, "clock_doubt_s": 1.5}, "clock", "ok", "within 2.000 s", ""),
        ({"clock_offset_s": None}, "clock", "skipped", "no time", ""),
        ({"survey": None, "fault": SshFault(kind="auth", reason="no key", cure="ssh-copy-id")}, "ssh", "failed", "no key",
         "right user"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_node(changes: dict[str, object], check: str, state: str, words: str, cure: str) -> None:
    found = of_a(**changes)[check]
    assert found.state == state
    assert words in found.detail
    assert cure in (found.cure or "")


def test_a_node_that_is_not_reached_is_not_judged_further() -> None:
    found = of_a(survey=None, fault=SshFault(kind="refused", reason="refused", cure=""))
    assert {check.state for name, check in found.items() if name != "ssh"} == {"skipped"}


@pytest.mark.parametrize(
    ("answers", "check", "state", "words"),
    [
        (answered(), "port", "ok", "5201 connects"),
        (answered(tcp={5201: "refused"}), "port", "failed", "rejected, though a server listens"),
        (answered(tcp={5201: "silent"}), "port", "failed", "dropped"),
        (answered(tcp={5201: "nothing"}), "port", "skipped", "nothing to connect with"),
        (answered(pmtu=PathMtu(bytes=1400, interface_bytes=1500, how="told", device="eth0")), "pmtu", "warning", "TCP adapts"),
        (answered(pmtu=None), "pmtu", "skipped", "fragments"),
        (answered(pings={56: PingTry(sent=3, answered=3, rtt_ms=9.0), 1200: PingTry(sent=3)}), "ping", "failed", "of 1200 none"),
        (answered(pings={56: PingTry(sent=3, answered=2, rtt_ms=9.0), 1200: PingTry(sent=3, answered=3)}), "ping",
         "warning", "1 of 6 pings lost"),
        (answered(pings={56: PingTry(sent=3), 1200: PingTry(sent=3)}), "ping", "warning", "answers TCP but no pings"),
        (answered(no_ping=True, pings={}), "ping", "skipped", "cannot ping"),
        (WayAnswers(pings={56: PingTry(sent=3)}, tcp={5201: "silent"}), "reach", "failed", "gives no answer"),
        (WayAnswers(pings={56: PingTry(problems=("ping: connect: Network is unreachable",))}), "reach", "failed", "no route"),
        (WayAnswers(pings={56: PingTry(sent=3, problems=("From 192.0.2.9 Destination Host Unreachable",))}), "reach",
         "failed", "last router"),
        (WayAnswers(no_ping=True, tcp={5201: "nothing"}), "reach", "skipped", "neither ping nor connect"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_way(answers: WayAnswers, check: str, state: str, words: str) -> None:
    found = way(answers)[check]
    assert (found.state, words in found.detail) == (state, True), found
    assert found.cure is not None or state in ("ok", "skipped")


def test_pings_that_a_router_answers_do_not_hide_that_a_node_is_behind_nat() -> None:
    its = NodeFacts(survey=survey("10.0.0.7"), began=True, listener=5201)
    pinged = answered(tcp={5201: "silent"})
    found = {check.check: check for check in node_checks(facts(its, {("b", "a"): pinged}), A).checks}["address"]
    assert (found.state, 'nat = ["public"]' in (found.cure or "")) == ("failed", True)
    reached = facts(its, {("b", "a"): answered()})
    assert {check.check: check.state for check in node_checks(reached, A).checks}["address"] == "ok"


def test_an_address_that_another_node_has_is_a_mistake_of_the_file() -> None:
    known = {
        "a": NodeFacts(survey=survey("192.0.2.9"), began=True),
        "b": NodeFacts(survey=survey("192.0.2.1"), began=True),
    }
    swapped = MeshFacts(mesh=MESH, targets={}, first_port=5201, last_port=5202, nodes=known)
    found = {check.check: check for check in node_checks(swapped, A).checks}["address"]
    assert (found.state, found.detail) == ("failed", "192.0.2.1 (public) is an address of b")
    assert "192.0.2.9 on eth0" in (found.cure or "")


def test_links_of_one_cause_are_one_problem_and_failures_come_first() -> None:
    silent = answered(tcp={5201: "silent"})
    known = facts(NodeFacts(survey=survey(uid=9), began=True, clock_offset_s=0.0), {("a", "b"): silent})
    links = tuple(link_checks(known, A, B, "public") for _ in range(2))
    found = diagnosis("test", "2024-05-01T00:00:00.000Z", 1.23, (node_checks(known, A),), links)
    assert [(each.state, each.check, each.where) for each in found.problems] == [
        ("failed", "port", ("a→b public", "a→b public")),
        ("warning", "rights", ("a",)),
    ]
    assert (found.usable, found.failed, found.warnings) == (False, 2, 1)
