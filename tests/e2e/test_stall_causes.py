"""Causes that need real tunnels, receivers and queues: each made in the lab and told by `meshtop stream`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meshtop.lab.network import Lab
from meshtop.lab.play import playing
from meshtop.lab.scenario import Endpoint, FaultAt, Scenario, Traffic
from tests.e2e.conftest import Stream

pytestmark = pytest.mark.lab

Event = dict[str, Any]


def store(port: int, rate: str | None = None) -> Traffic:
    bind = Endpoint(node="a", path="vpn", port=port)
    return Traffic(run="store", on="a", bind=bind, options=(("rate", rate),) if rate else ())


def copy(on: str, port: int) -> Traffic:
    return Traffic(run="copy", on=on, to=Endpoint(node="a", path="vpn", port=port), count=1, at_s=1.0)


def fault(
    target: str, kind: str, value: str = "", *, at: float, until: float | None = None, path: str = "vpn"
) -> FaultAt:
    return FaultAt(target=target, kind=kind, value=value, path=path, at_s=at, until_s=until)


async def played(
    lab: Lab, start: Callable[..., Stream], scenario: Scenario, *wanted: Callable[[Event], bool]
) -> Stream:
    """The stream until all of that was told while the scenario was played."""
    await asyncio.to_thread(lab.set_overlay, scenario.overlay)
    stream = start()
    told: list[str] = []
    await asyncio.to_thread(stream.until, lambda e: e["type"] == "link" and e["state"] != "no-data", 30)
    async with playing(lab, scenario, told.append):
        for each in wanted:
            await asyncio.to_thread(stream.until, each, 60)
    await asyncio.to_thread(lab.heal)
    assert not [line for line in told if "failed" in line]
    return stream


def stalled_by(cause: str, src: str, path: str, phase: str = "closed") -> Callable[[Event], bool]:
    return lambda e: (e["type"], e.get("src"), e.get("path"), e.get("phase"), e.get("cause")) == (
        "stall", src, path, phase, cause,
    )  # fmt: skip


async def test_a_tunnels_own_connection_that_stalls_explains_the_flows_within(
    lab: Lab, stream: Callable[..., Stream]
) -> None:
    scenario = Scenario(
        name="outer", summary="", hint="", overlay="tcp1", traffic=(store(5001), copy("e", 5001)),
        faults=(fault("e:a", "blackout", at=6.0, until=9.0, path="public"),),
    )  # fmt: skip
    seen = await played(lab, stream, scenario, stalled_by("outer-stall", "e", "vpn"))
    closed = next(e for e in seen.events if stalled_by("outer-stall", "e", "vpn")(e))
    assert closed["outcome"] == "recovered"
    assert closed["duration_s"] > 2.0
    assert closed["flow"]["tunnel"] is None
    outer = [e for e in seen.events if e["type"] == "stall" and e["flow"]["tunnel"] == "vpn"]
    assert {e["path"] for e in outer} == {"public"}, "the tunnel's own socket is a stall of the path below"
    assert all(e["cause"] != "outer-stall" for e in outer)


async def test_a_closed_window_a_crawl_and_lost_syns_are_told_apart(lab: Lab, stream: Callable[..., Stream]) -> None:
    """e sends to who reads 64 kB every few seconds; d's line is cut to a hundredth; b's SYNs are lost."""
    scenario = Scenario(
        name="held", summary="", hint="", overlay="direct",
        traffic=(store(5001, "200k"), copy("e", 5001), store(5002), copy("d", 5002), store(5003), copy("b", 5003)),
        faults=(
            fault("e", "delay", "60ms", at=0.0),
            fault("b:a", "blackout", at=0.0),
            fault("d:a", "rate", "256k", at=8.0),
        ),
    )  # fmt: skip

    def of(src: str, held: Callable[[Event], bool]) -> Callable[[Event], bool]:
        return lambda e: (e["type"], e.get("src"), e.get("dst"), e.get("path")) == ("link", src, "a", "vpn") and held(e)

    seen = await played(
        lab, stream, scenario,
        of("b", lambda e: (e["connecting"] or 0) >= 1 and e["connecting_oldest_s"] >= 2.0),
        stalled_by("zero-window", "e", "vpn"),
        of("d", lambda e: (e["crawling"] or 0) >= 1),
    )  # fmt: skip
    window = next(e for e in seen.events if stalled_by("zero-window", "e", "vpn")(e))
    assert window["settled"] is True
    assert window["duration_s"] >= 1.0
    assert all(e["state"] in ("degraded", "lossy", "stalled") for e in seen.links("d", "a", "vpn") if e["crawling"])
    assert not [e for e in seen.links("e", "a", "vpn") if e["crawling"]], "a slow receiver's flow does not crawl"
    assert not [e for e in seen.links("e", "a", "vpn") if e["connecting"]]
    assert not [e for e in seen.events if e["type"] == "stall" and e["src"] == "b"]


async def test_each_hop_of_a_push_is_told_by_the_node_that_it_passes(lab: Lab, stream: Callable[..., Stream]) -> None:
    hops = {"e": [("10.10.10.1", 8443)], "a": [("10.10.10.5", None), ("10.10.10.3", 5000)], "c": [("10.10.10.1", None)]}

    def of(name: str) -> Callable[[Event], bool]:
        def seen(event: Event) -> bool:
            if event["type"] != "node" or event["name"] != name or not event["watches"]:
                return False
            (push,) = event["watches"]
            peers = {(peer["address"], peer["port"]) for peer in push["peers"] if peer["flows"]}
            moved = max(push["tx_bps"] or 0, push["rx_bps"] or 0)
            return bool(push["visible"] and peers >= set(hops[name]) and moved > 100_000)

        return seen

    seen = await played(lab, stream, Scenario.load("miku"), *(of(name) for name in hops))
    first = {e["name"]: e for e in reversed(seen.events) if e["type"] == "node" and e["state"] == "up"}
    assert first["b"]["watches"] == []
