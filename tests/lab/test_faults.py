"""Faults: whom they meet, how they are listed, and what is refused."""

from __future__ import annotations

from random import Random

import pytest

from meshtop.lab.faults import KINDS, Fault, FaultError, FaultRequest, list_kinds, make_fault

SITES = ("a", "b", "c")


def fault(
    target: str, kind: str = "blackout", value: str = "", *, one_way: bool = False, net: str | None = None
) -> Fault:
    return make_fault(FaultRequest(target=target, kind=kind, value=value, one_way=one_way, net=net), SITES)


@pytest.mark.parametrize(
    ("made", "met", "not_met"),
    [
        (fault("a"), [("a", "b"), ("b", "a"), ("operator", "a")], [("b", "c"), ("b", "operator")]),
        (fault("a", one_way=True), [("a", "b"), ("a", "operator")], [("b", "a")]),
        (fault("a:b"), [("a", "b"), ("b", "a")], [("a", "c"), ("c", "b")]),
        (fault("a:b", one_way=True), [("a", "b")], [("b", "a"), ("a", "c")]),
        (fault("operator:c"), [("operator", "c"), ("c", "operator")], [("a", "c")]),
    ],
)
def test_whom_a_fault_meets(made: Fault, met: list[tuple[str, str]], not_met: list[tuple[str, str]]) -> None:
    assert [made.way("public", *each) is not None for each in met] == [True] * len(met)
    assert [made.way("public", *each) is not None for each in not_met] == [False] * len(not_met)


@pytest.mark.parametrize(
    ("made", "met"),
    [
        (fault("a"), {"public", "vpn"}),
        (fault("a", net="mgmt"), {"mgmt"}),
        (fault("a", net="vpn"), {"vpn"}),
        (fault("a", "mgmt-cut"), {"mgmt"}),
        (fault("a", "freeze"), set()),
    ],
)
def test_on_which_paths_a_fault_is_met(made: Fault, met: set[str]) -> None:
    assert {net for net in ("public", "vpn", "mgmt") if made.way(net, "a", "b") is not None} == met


def test_the_two_ways_have_a_state_each() -> None:
    policer = fault("a", "policer", "8k/1000")
    forth, back = policer.way("public", "a", "b"), policer.way("public", "b", "a")
    assert forth is not None
    assert back is not None
    assert [len(forth.passes(1.0, bytes(800), Random(1))) for _ in range(2)] == [1, 0]
    assert len(back.passes(1.0, bytes(800), Random(1))) == 1
    assert policer.way("public", "a", "c") is forth  # all that a site sends meets the same bucket


def test_a_second_fault_of_a_kind_replaces_the_first_but_tools_are_told_apart() -> None:
    assert fault("a", "loss", "1%").identity() == fault("a", "loss", "2%").identity()
    assert fault("a", "tool-missing", "ss").identity() != fault("a", "tool-missing", "ping").identity()
    assert fault("a", "tool-slow", "ss/1s").identity() == fault("a", "tool-slow", "ss/2s").identity()


def test_the_list_names_each_kind_and_the_unit_of_its_value() -> None:
    said = "\n".join(list_kinds())
    for kind, made in KINDS.items():
        assert f"  {kind} " in said
        assert (made.__doc__ or "").splitlines()[0] in said
        assert made.value_help in said
    assert "VALUE: none" in said
    assert "thaw" in said


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (FaultRequest(target="z", kind="loss", value="1"), ["z", "a, b, c, operator"]),
        (FaultRequest(target="a:z", kind="loss", value="1"), ["z", "a, b, c, operator"]),
        (FaultRequest(target="a:", kind="loss", value="1"), ["a, b, c, operator"]),
        (FaultRequest(target="a:a", kind="loss", value="1"), ["a:a"]),
        (FaultRequest(target="a", kind="lost", value="1"), ["lost", ", ".join(KINDS)]),
        (FaultRequest(target="a", kind="loss", value="1", net="lan"), ["lan", "public, vpn, mgmt"]),
        (FaultRequest(target="a", kind="loss", value="0"), ["0.5%"]),
        (FaultRequest(target="a", kind="loss", value="101%"), ["101%"]),
        (FaultRequest(target="a", kind="loss", value="nan"), ["nan"]),
        (FaultRequest(target="a", kind="loss"), ["0.5%"]),
        (FaultRequest(target="a", kind="delay", value="soon"), ["soon", "40ms"]),
        (FaultRequest(target="a", kind="delay", value="-1ms"), ["-1ms"]),
        (FaultRequest(target="a", kind="blackout", value="5s"), ["no value"]),
        (FaultRequest(target="a", kind="burst-loss", value="2%/0"), ["from 1 to 1000", "2%/10"]),
        (FaultRequest(target="a", kind="burst-loss", value="100%"), ["blackout"]),
        (FaultRequest(target="a", kind="burst-loss", value="80%/1"), ["80%/1", "longer run"]),
        (FaultRequest(target="a", kind="jitter", value="2%"), ["2%", "20ms"]),
        (FaultRequest(target="a", kind="reorder", value="2%/"), ["2%/10ms"]),
        (FaultRequest(target="a", kind="reorder", value="100%"), ["delay"]),
        (FaultRequest(target="a", kind="duplicate", value="0"), ["percent of packets, such as 1%"]),
        (FaultRequest(target="a", kind="hold", value="300ms"), ["how often", "300ms/2s"]),
        (FaultRequest(target="a", kind="hold", value="2s/1s"), ["for ever"]),
        (FaultRequest(target="a", kind="rate", value="5MB"), ["bytes", "10M"]),
        (FaultRequest(target="a", kind="rate", value="0"), ["blackout"]),
        (FaultRequest(target="a:b", kind="queue", value="1s"), ["name a site"]),
        (FaultRequest(target="a", kind="queue", value="1s", net="public"), ["--path"]),
        (FaultRequest(target="operator", kind="queue", value="1s"), ["site's line"]),
        (FaultRequest(target="a", kind="queue", value="0"), ["512k or 500ms"]),
        (FaultRequest(target="a", kind="policer", value="fast"), ["fast", "8M/64k"]),
        (FaultRequest(target="a", kind="policer-udp", value="1M/x"), ["x", "not a size"]),
        (FaultRequest(target="a", kind="mtu", value="100"), ["576 to 1500"]),
        (FaultRequest(target="a", kind="mtu-blackhole", value="1.3k"), ["1300"]),
        (FaultRequest(target="a", kind="mgmt-cut", net="public"), ["blackout"]),
        (FaultRequest(target="a:b", kind="freeze"), ["one node"]),
        (FaultRequest(target="a", kind="freeze", one_way=True), ["--one-way"]),
        (FaultRequest(target="a", kind="host-key", value="rsa"), ["no value"]),
        (FaultRequest(target="operator", kind="sshd-kill"), ["left alone"]),
        (FaultRequest(target="a", kind="tool-missing"), ["ss or iperf3"]),
        (FaultRequest(target="a", kind="tool-missing", value="../ss"), ["'../ss'"]),
        (FaultRequest(target="a", kind="tool-slow", value="ss/long"), ["ss/3s"]),
        (FaultRequest(target="a", kind="port-block", value="443-x"), ["from 1 to 65535", "5201-5210"]),
        (FaultRequest(target="a", kind="clock-off", value="30s/back"), ["back", "30s/behind"]),
        (FaultRequest(target="a", kind="no-route", value="mgmt"), ["public or vpn"]),
        (FaultRequest(target="a", kind="host-queue", value="fast"), ["its rate / its queue in bytes, such as 8M/20k"]),
        (FaultRequest(target="a", kind="host-ring", value="0"), ["packets from 1 to 2000"]),
        (FaultRequest(target="a:b", kind="host-ring", value="4"), ["one node"]),
        (FaultRequest(target="a", kind="cpu-full", value="201"), ["from 0 to 200"]),
        (FaultRequest(target="a:b", kind="ping-denied"), ["one node"]),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_there_is(request_: FaultRequest, named: list[str]) -> None:
    with pytest.raises(FaultError) as refused:
        make_fault(request_, SITES)
    assert [word for word in named if word not in str(refused.value)] == []
