"""Plans, predictions, the confirmation rule, the table of states."""

from __future__ import annotations

import json
from itertools import product
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.burst import LEAST_LIMIT_S, BurstLimits, BurstPlan, BurstRequest, BurstState, Load, NodeLoad
from meshtop.engine.bursts import (
    OVER,
    STEPS,
    USUAL_DATAGRAM_BYTES,
    BurstCourse,
    BurstRefused,
    BurstStep,
    plan,
    queued,
    startable,
)
from meshtop.model import Mesh, Node, Path

MIB = 1024**2
LIMITS = BurstLimits(max_bytes=250 * MIB, max_time_s=60.0)
ADDRESSES = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}


def node(name: str, **more: Any) -> Node:
    host = ADDRESSES[name]
    address = {"vpn": f"10.10.10.{host}", "public": f"198.51.100.{host}"}
    return Node(name=name, **{"address": address, **more})


MESH = Mesh(
    name="m",
    paths=(Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay")),
    nodes=(
        node("a", up_bps=10_000_000, down_bps=40_000_000),
        node("b", up_bps=5_000_000, down_bps=5_000_000),
        node("c", nat=("public",)),
        node("d", up_bps=30_000_000, down_bps=30_000_000, nat=("public",)),
        node("e", up_bps=30_000_000, down_bps=30_000_000),
    ),
)


def ask(src: str = "e", dst: str = "a", path: str = "vpn", **more: Any) -> BurstRequest:
    amount: dict[str, Any] = {} if {"bytes", "seconds"} & more.keys() else {"bytes": 20 * MIB}
    return BurstRequest(src=src, dst=dst, path=path, **amount, **more)


def planned(request: BurstRequest, **more: Any) -> BurstPlan:
    return plan(request, MESH, LIMITS, **more)


def test_the_narrower_of_both_lines_sets_the_pace() -> None:
    up_e_down_a = planned(ask("e", "a"))
    assert up_e_down_a.predicted_s == pytest.approx(20 * MIB * 8 / 30e6)
    assert up_e_down_a.predicted_bytes == 20 * MIB
    assert planned(ask("a", "e")).predicted_s == pytest.approx(20 * MIB * 8 / 10e6)
    assert planned(ask("e", "b")).predicted_s == pytest.approx(20 * MIB * 8 / 5e6)


def test_the_other_way_counts_the_other_lines() -> None:
    reverse = planned(ask("e", "a", reverse=True))
    assert reverse.predicted_s == planned(ask("a", "e")).predicted_s
    assert (reverse.server, reverse.client, reverse.server_sends) == ("a", "e", True)


def test_both_ways_cost_twice_and_last_as_the_slower() -> None:
    both = planned(ask("e", "a", bidir=True))
    assert both.predicted_bytes == 40 * MIB
    assert both.predicted_s == planned(ask("a", "e")).predicted_s
    timed = planned(ask("e", "a", bidir=True, seconds=10))
    assert timed.predicted_bytes == (30_000_000 + 10_000_000) * 10 // 8


def test_time_gives_bytes() -> None:
    assert planned(ask("e", "a", seconds=10)).predicted_bytes == 30_000_000 * 10 // 8


def test_a_cap_is_for_each_stream() -> None:
    assert planned(ask(seconds=10, streams=4, rate_bps=1_000_000)).predicted_bytes == 5_000_000
    assert planned(ask(seconds=10, streams=4, udp=True)).predicted_bytes == 5_000_000


def test_live_flows_keep_their_share() -> None:
    busy = {"e": NodeLoad(up=Load(bps=29_000_000, flows=8))}
    assert planned(ask(streams=8), loads=busy).predicted_s == pytest.approx(20 * MIB * 8 / 15e6)
    # what is left is more than a share by number
    modest = {"e": NodeLoad(up=Load(bps=3_000_000, flows=8))}
    assert planned(ask(streams=8), loads=modest).predicted_s == pytest.approx(20 * MIB * 8 / 27e6)
    # what comes down there does not compete with what goes up
    other = {"e": NodeLoad(down=Load(bps=29_000_000, flows=8))}
    assert planned(ask(streams=8), loads=other).predicted_s == planned(ask(streams=8)).predicted_s


def test_unknown_lines_are_unknown_and_ask() -> None:
    mesh = Mesh(name="m", paths=MESH.paths, nodes=(node("a"), node("e")))
    unknown = plan(ask(), mesh, LIMITS)
    assert unknown.predicted_s is None
    assert unknown.limit_s == LEAST_LIMIT_S
    assert "not known" in unknown.asks[0]
    assert plan(ask(seconds=10), mesh, LIMITS).predicted_bytes is None
    assert plan(ask(seconds=10, rate_bps=1_000_000), mesh, LIMITS).asks == ()


def test_confirmation_is_needed_above_either_limit_only() -> None:
    assert planned(ask(bytes=20 * MIB)).asks == ()
    long = planned(ask("e", "b", bytes=100 * MIB))
    assert len(long.asks) == 1
    assert "max_time" in long.asks[0]
    large = plan(ask(bytes=251 * MIB), MESH, BurstLimits(max_bytes=250 * MIB, max_time_s=600))
    assert len(large.asks) == 1
    assert "max_bytes 250M" in large.asks[0]
    assert plan(ask(bytes=250 * MIB), MESH, BurstLimits(max_bytes=250 * MIB, max_time_s=600)).asks == ()


def test_the_time_limit() -> None:
    assert planned(ask()).limit_s == 60.0
    assert planned(ask(bytes=100 * MIB)).limit_s == pytest.approx(3 * 100 * MIB * 8 / 30e6)


def test_who_can_be_reached_serves() -> None:
    plain = planned(ask("d", "a", "public"))
    assert (plain.server, plain.client, plain.turned, plain.server_sends) == ("a", "d", False, False)
    turned = planned(ask("a", "d", "public"))
    assert (turned.server, turned.client, turned.connect_to) == ("a", "d", "198.51.100.1")
    assert turned.turned
    assert turned.server_sends
    back = planned(ask("a", "d", "public", reverse=True))
    assert (back.server, back.server_sends) == ("a", False)
    both = planned(ask("a", "d", "public", bidir=True))
    assert (both.server, both.server_sends) == ("a", False)
    assert planned(ask("a", "d", "vpn")).server == "d"  # there it has no NAT
    with pytest.raises(BurstRefused, match="c and d are both behind NAT on public"):
        planned(ask("c", "d", "public"))


def test_datagrams_fit_the_path() -> None:
    assert planned(ask(udp=True)).datagram_bytes == USUAL_DATAGRAM_BYTES
    assert planned(ask(udp=True), pmtu=1400).datagram_bytes == 1372
    assert planned(ask()).datagram_bytes is None


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ask("x"), "no node 'x'; there are a, b, c, d, e"),
        (ask(dst="e"), "e cannot send to itself"),
        (ask(path="lan"), "no path 'lan'; there are vpn, public"),
        (ask(streams=0), "1 to 128"),
        (ask(streams=129), "1 to 128"),
        (BurstRequest(src="e", dst="a", path="vpn"), "give either -n or -t"),
        (ask(bytes=1, seconds=1), "give either -n or -t"),
        (ask(bytes=0), "20M"),
        (ask(seconds=86_401), "1 to 86400"),
        (ask(reverse=True, bidir=True), "choose one"),
        (ask(rate_bps=0), "10M"),
        (ask(mss=40), "88 to 9216"),
        (ask(udp=True, mss=1200), "leave them out"),
        (ask(congestion="$(reboot)"), "such as cubic"),
    ],
)
def test_refusals_say_what_to_write(request_: BurstRequest, said: str) -> None:
    with pytest.raises(BurstRefused) as refused:
        planned(request_)
    assert said in str(refused.value)


def test_a_node_without_an_address_there() -> None:
    mesh = Mesh(name="m", paths=MESH.paths, nodes=(node("a", address={"public": "198.51.100.1"}), node("e")))
    with pytest.raises(BurstRefused, match="a has no address on vpn"):
        plan(ask(), mesh, LIMITS)


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        (("begin", "load", "finish", "closed"), "done"),
        (("begin", "finish", "closed"), "done"),
        (("begin", "fail", "closed"), "failed"),
        (("begin", "load", "abort", "closed"), "aborted"),
        (("begin", "load", "abort", "fail", "finish", "closed"), "aborted"),
        (("begin", "load", "finish", "abort", "closed"), "done"),
        (("abort",), "aborted"),
        (("fail",), "failed"),
    ],
)
def test_the_first_reason_to_end_holds(steps: tuple[BurstStep, ...], end: BurstState) -> None:
    course = BurstCourse()
    for step in steps:
        course.step(step)
    assert course.state == end


def test_every_pair_is_in_the_table_or_refused() -> None:
    for state, step in product(get_args(BurstState), get_args(BurstStep)):
        course = BurstCourse()
        course.state = state
        if (state, step) in STEPS or (state == "closing" and step != "begin"):
            course.step(step)
        else:
            with pytest.raises(ValueError, match=f"a burst that is {state} cannot {step}"):
                course.step(step)


@given(st.lists(st.sampled_from(get_args(BurstStep))))
def test_what_has_begun_is_closed_before_it_is_over(steps: list[BurstStep]) -> None:
    course = BurstCourse()
    seen: list[BurstState] = [course.state]
    for step in steps:
        try:
            course.step(step)
        except ValueError:
            continue
        seen.append(course.state)
    if "starting" in seen and course.state in OVER:
        assert "closing" in seen


def test_one_burst_on_a_line_at_a_time_and_none_overtakes() -> None:
    first, second, third, fourth = (
        planned(ask("e", "a")), planned(ask("a", "b")), planned(ask("b", "d")), planned(ask("c", "d"))
    )  # fmt: skip
    assert startable([first, second, third], []) == (first,)
    assert startable([second, third, fourth], [first]) == ()  # c → d waits behind b → d, which waits behind a → b
    assert startable([second, fourth], [first]) == (fourth,)
    assert startable([second, third], []) == (second,)


def test_the_record_has_the_names_of_its_schema() -> None:
    record = queued("b4", planned(ask("e", "a", bytes=100 * MIB)))
    document = json.loads(msgspec.json.encode(record))
    contract = """schema id src dst path tool streams requested predicted_s state reason started ended sent_bytes
        received_bytes sender_bps receiver_bps retransmits intervals stalls longest_stall_s bystanders raw"""
    assert set(contract.split()) <= document.keys()
    assert document["schema"] == "meshtop.burst/1"
    assert document["requested"] == {"bytes": 100 * MIB}
    assert document["predicted_s"] == 28.0
    assert document["sent_bytes"] is None
    assert document["raw"] == {"client": None, "server": None}
