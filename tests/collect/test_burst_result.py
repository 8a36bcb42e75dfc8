"""The figures of real documents of six versions, against the package iperf3 and against what must be; hostile ones."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import iperf3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.burst import BurstPlan, BurstRequest
from meshtop.collect.burst_result import intervals, is_whole, outcome
from meshtop.parse.iperf3 import decode

OUTPUTS = Path(__file__).parents[1] / "fixtures" / "iperf3"
VERSIONS = ("3.7", "3.9", "3.12", "3.16", "3.18", "3.22")
TROUBLED = ("3.7", "3.9", "3.12", "3.18", "3.22")  # of which failures were captured
BOTH_WAYS = 5_111_808  # bytes each way of the captured two-second tests at 20 Mbit/s
DATAGRAM = 1200


def read(version: str, kind: str) -> dict[str, Any]:
    return decode((OUTPUTS / f"iperf3-{version}-{kind}").read_bytes())


def planned(*, turned: bool = False, **asked: bool) -> BurstPlan:
    request = BurstRequest(src="e", dst="a", path="p", seconds=2, **asked)  # type: ignore[arg-type]
    server, client = ("e", "a") if turned else ("a", "e")
    return BurstPlan(request=request, server=server, client=client, turned=turned, connect_to="192.0.2.1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["json.out", "json-P2.out", "json-srvout.out"])
def test_figures_are_those_of_the_package(version: str, kind: str) -> None:
    test = iperf3.TestResult((OUTPUTS / f"iperf3-{version}-{kind}").read_text())
    document = read(version, kind)
    found = outcome(document, planned())
    assert is_whole(document)
    assert (found["sent_bytes"], found["sender_bps"]) == (test.sent_bytes, test.sent_bps)
    assert (found["received_bytes"], found["receiver_bps"]) == (test.received_bytes, test.received_bps)
    assert found["retransmits"] == test.retransmits
    assert (found["lost_pct"], found["jitter_ms"], found["other"]) == (None, None, None)
    assert found["sent_bytes"] == document["end"]["sum_sent"]["bytes"] > 0


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ways(version: str) -> None:
    document = read(version, "json-bidir.out")
    found = outcome(document, planned(bidir=True))
    turned = outcome(document, planned(bidir=True, turned=True))
    for figures in (found, found["other"]):
        assert abs(figures["sent_bytes"] - BOTH_WAYS) < 262_144
        assert abs(figures["received_bytes"] - BOTH_WAYS) < 262_144
    first, other = ({**each, "other": None} for each in (found, found["other"]))
    assert ({**turned, "other": None}, {**turned["other"], "other": None}) == (other, first)


@pytest.mark.parametrize("version", VERSIONS)
def test_datagrams(version: str) -> None:
    document = read(version, "json-udp.out")
    found = outcome(document, planned(udp=True))
    assert is_whole(document)
    assert found["sent_bytes"] == found["received_bytes"] == 1_277_952  # 39 datagrams, none lost
    assert found["receiver_bps"] == pytest.approx(5.05e6, rel=0.02)
    assert (found["retransmits"], found["lost_pct"]) == (None, 0)
    assert found["jitter_ms"] > 0


@pytest.mark.parametrize("version", ["3.9", "3.12", "3.18", "3.22"])
def test_datagrams_that_come_from_the_server_and_are_lost(version: str) -> None:
    """What was sent is the server's count in all versions, what came this end's: its intervals say how much."""
    found = outcome(read(version, "lossy-udp-rev.json"), planned(udp=True, reverse=True))
    came = [each.bps for each in intervals(read(version, "lossy-udp-rev.json"), planned(udp=True, reverse=True))]
    assert found["sender_bps"] == pytest.approx(2e6, rel=0.01)
    assert found["receiver_bps"] == pytest.approx(sum(bps or 0 for bps in came) / 3, rel=0.02)
    assert found["receiver_bps"] < found["sender_bps"]
    assert 2 < found["lost_pct"] < 5
    assert found["received_bytes"] % DATAGRAM == found["sent_bytes"] % DATAGRAM == 0


@pytest.mark.parametrize("version", ["3.9", "3.12", "3.22"])
def test_datagrams_both_ways(version: str) -> None:
    found = outcome(read(version, "lossy-udp-bidir.json"), planned(udp=True, bidir=True))
    assert found["other"] is not None
    for figures in (found, found["other"]):
        assert figures["sender_bps"] == pytest.approx(2e6, rel=0.02)
        assert figures["receiver_bps"] == pytest.approx(1.93e6, rel=0.02)
        assert figures["lost_pct"] > 2
    assert found["jitter_ms"] != found["other"]["jitter_ms"]


@pytest.mark.parametrize("version", TROUBLED)
@pytest.mark.parametrize("kind", ["err-busy.json", "err-refused.json", "srvkill.json"])
def test_what_came_to_nothing_has_no_figures(version: str, kind: str) -> None:
    document = read(version, kind)
    assert not is_whole(document)
    assert set(outcome(document, planned()).values()) == {None}
    assert bool(intervals(document, planned())) is (kind == "srvkill.json")


@pytest.mark.parametrize("version", TROUBLED)
def test_what_was_interrupted_has_the_figures_of_this_end_alone(version: str) -> None:
    """iperf3 writes 0 for what the other end has not told."""
    document = read(version, "sigterm.json")
    assert document["end"]["sum_received"]["bytes"] == 0
    found = outcome(document, planned())
    assert not is_whole(document)
    assert found["sent_bytes"] == document["end"]["sum_sent"]["bytes"] > 0
    assert found["retransmits"] == 0
    assert (found["received_bytes"], found["receiver_bps"]) == (None, None)
    back = outcome(document, planned(reverse=True))
    assert (back["sent_bytes"], back["retransmits"]) == (None, None)


@pytest.mark.parametrize("version", ["3.9", "3.18"])
def test_nothing_is_known_of_datagrams_that_were_never_sent(version: str) -> None:
    found = outcome(read(version, "lossy-udp-unheard.json"), planned(udp=True))
    assert (found["received_bytes"], found["lost_pct"], found["jitter_ms"]) == (None, None, None)


HOSTILE: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 1e400, -1e308, 10**400, float("nan"), "many", "", [], [[]], {}, {"bytes": {}}]
)


def places(of: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to all parts of a document."""
    inner = list(of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ())
    here = [(*way, key) for key, _ in inner]
    return here + [deeper for key, value in inner for deeper in places(value, (*way, key))]


def changed(document: dict[str, Any], place: tuple[Any, ...], value: Any, *, drop: bool) -> dict[str, Any]:
    made: Any = copy.deepcopy(document)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    if drop:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return dict(made)


GOOD = [
    (read("3.7", "json-bidir.out"), planned(bidir=True)),
    (read("3.22", "json-P2.out"), planned()),
    (read("3.9", "lossy-udp-rev.json"), planned(udp=True, reverse=True)),
    (read("3.12", "lossy-udp-bidir.json"), planned(udp=True, bidir=True)),
    (read("3.18", "sigterm.json"), planned()),
]


@given(st.sampled_from(GOOD), st.data(), HOSTILE, st.booleans())
def test_one_wrong_part_raises_nothing_and_gives_no_nonsense(
    good: tuple[dict[str, Any], BurstPlan], data: st.DataObject, value: Any, drop: bool
) -> None:
    document, plan = good
    made = changed(document, data.draw(st.sampled_from(places(document))), value, drop=drop)
    found = outcome(decode(json.dumps({**made, "end": made.get("end", {})}).encode()), plan)
    is_whole(made)
    intervals(made, plan)
    for figures in (found, found["other"] or {}):
        assert all(figures[name] is None or 0 <= figures[name] < 1e18 for name in figures if name != "other")
