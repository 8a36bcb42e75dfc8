"""Faults: whom they meet, what they do, and what is refused."""

from __future__ import annotations

from random import Random

import pytest

from meshtop.lab.faults import KINDS, Fault, FaultError, FaultRequest, make_fault

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
    assert [made.covers("public", *each) for each in met] == [True] * len(met)
    assert [made.covers("public", *each) for each in not_met] == [False] * len(not_met)


def test_without_a_path_the_management_network_is_spared() -> None:
    assert [fault("a").covers(net, "a", "b") for net in ("public", "vpn", "mgmt")] == [True, True, False]
    assert [fault("a", net="mgmt").covers(net, "a", "b") for net in ("public", "vpn", "mgmt")] == [False, False, True]


def test_loss_loses_the_share_that_was_asked_for() -> None:
    loss, random = fault("a", "loss", "5%"), Random(3)
    passed = sum(len(loss.passes(1.0, b"", random)) for _ in range(20_000))
    assert passed == pytest.approx(19_000, abs=150)  # five standard deviations


def test_delay_delays_and_says_by_how_much() -> None:
    assert fault("a", "delay", "40ms").passes(1.0, b"", Random(1)) == (1.04,)
    assert fault("a", "delay", "1.5s").added_s == 1.5
    assert fault("a", "delay", "7").added_s == 0.007


def test_nothing_passes_a_blackout() -> None:
    assert fault("a").passes(1.0, b"", Random(1)) == ()


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
    ],
)
def test_what_makes_no_sense_is_refused_with_what_there_is(request_: FaultRequest, named: list[str]) -> None:
    with pytest.raises(FaultError) as refused:
        make_fault(request_, SITES)
    assert [word for word in named if word not in str(refused.value)] == []
