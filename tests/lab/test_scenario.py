"""Scenario files: those that come with meshtop are right, and mistakes are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtop.lab.overlay import parse_overlay
from meshtop.lab.plan import CASE
from meshtop.lab.scenario import Endpoint, Scenario, ScenarioError, names, read

# as in the contract of `meshtop lab`
EXPECTED = {
    "healthy",
    "app-limited",
    "miku",
    "udp-policed",
    "loss",
    "reorder",
    "tcp-over-tcp",
    "bufferbloat",
    "mtu-blackhole",
    "blackout",
    "receiver-slow",
    "ack-loss",
    "node-down",
    "flapping",
}
CODES = {
    *("loss", "reordering", "policer", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp", "receiver-limited"),
    *("sender-limited", "app-limited", "host-drops", "ack-path-loss", "overlay-only", "node-wide", "blackout"),
    *("unreachable", "clock-skew"),
}


def test_all_scenarios_are_there() -> None:
    assert set(names()) == EXPECTED


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_scenario_makes_sense(name: str) -> None:
    scenario = Scenario.load(name)
    sites = {site.name for site in CASE}
    parse_overlay(scenario.overlay)
    served = [(t.bind.node, t.bind.path, t.bind.port) for t in scenario.traffic if t.bind]
    assert len(set(served)) == len(served)
    for traffic in scenario.traffic:
        assert traffic.on in sites
        if traffic.to is not None:
            assert (traffic.to.node, traffic.to.path, traffic.to.port) in served, "nobody listens there"
    for fault in scenario.faults:
        assert set(fault.target.split(":")) <= sites
        assert fault.until_s is None or fault.until_s > fault.at_s
    named = [code for group in scenario.codes.must for code in group] + list(scenario.codes.must_not)
    assert {code.partition("@")[0] for code in named} <= CODES
    assert bool(scenario.codes.must) != scenario.codes.silent


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "x.toml"
    file.write_text('summary = "s"\nhint = "h"\n' + text)
    return file


def test_everything_is_read(tmp_path: Path) -> None:
    scenario = read(
        written(
            tmp_path,
            """
overlay = "udp"
trouble = "5s"
story = "1m"
[[traffic]]
run = "store"
on = "a"
bind = "vpn:80"
rate = "2M"
compress = 6
[[traffic]]
run = "copy"
on = "b"
to = "a:vpn:80"
count = 3
at = "1s"
until = "9s"
[[fault]]
target = "a:b"
kind = "loss"
value = "2"
path = "vpn"
one_way = true
at = "4s"
until = "8s"
[codes]
must = ["loss", ["a", "b"]]
must_not = ["policer"]
""",
        )
    )
    store, copy = scenario.traffic
    assert store.bind == Endpoint(node="a", path="vpn", port=80)
    assert store.options == (("rate", "2M"), ("compress", "6"))
    assert (copy.count, copy.at_s, copy.until_s) == (3, 1.0, 9.0)
    (fault,) = scenario.faults
    assert (fault.one_way, fault.at_s, fault.until_s, fault.path) == (True, 4.0, 8.0, "vpn")
    assert scenario.codes.must == (("loss",), ("a", "b"))
    assert (scenario.overlay, scenario.trouble_s, scenario.story_s) == ("udp", 5.0, 60.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour = 1", "x.toml: colour: is not known; there are codes, fault, hint"),
        ("[[traffic]]\non = 'a'", "traffic[0].run: is missing"),
        ("[[traffic]]\nrun = 'flood'\non = 'a'", "'flood' is no traffic; there are store, proxy, push, copy, chatter"),
        ("[[traffic]]\nrun = 'copy'\non = 'a'", "traffic[0].to: is missing"),
        (
            "[[traffic]]\nrun = 'copy'\non = 'a'\nto = 'b:80'",
            "'b:80' is no NODE:PATH:PORT; paths are vpn, public, mgmt",
        ),
        ("[[fault]]\ntarget = 'a'\nkind = 'loss'\nat = 'soon'", "fault[0].at:"),
        ("[codes]\nmay = []", "codes.may: is not known"),
        ("trouble = ", "x.toml: Invalid value"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        read(written(tmp_path, text))
    assert complaint in str(caught.value)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ScenarioError, match=r"no scenario 'nothing'; there are ack-loss, app-limited, .*udp-policed"):
        Scenario.load("nothing")
