"""What is of a whole node, and what experiments and bursts add: over an engine that is fed by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from meshtop.burst import BurstRecord
from meshtop.engine.verdicts.rules import SENDER
from meshtop.engine.verdicts.tried import FRESH_S, Told, Tried, draw, loaded_ratio, udp_policed
from meshtop.engine.verdicts.weigh import weigh
from meshtop.model import BurstTold, ExperimentRecord, ExperimentTold, LinkKey, SessionChanged

LINK = LinkKey("e", "a", "vpn")


def seconds(story, count: int, **parts: object) -> None:
    for _ in range(count):
        story.second(**parts)


def findings(story) -> dict[str, object]:
    return {f.code: f for f in story.engine.snapshot(story.now).findings}


def test_a_node_that_cannot_be_reached_is_said_with_its_reason(story: Callable) -> None:
    one = story()
    one.begin()
    seconds(one, 5)
    reason = "connection refused"
    one.receive(SessionChanged(at=one.now, node="e", connection=1, phase="down", reason=reason))
    now = one.now
    for after in range(6):
        one.events.extend(one.engine.tick(now + after))
    (finding,) = one.engine.snapshot(now + 6).findings
    assert (finding.code, finding.node, finding.severity) == ("unreachable", "e", "critical")
    assert reason in finding.summary
    assert [e.phase for e in one.events if getattr(e, "code", "") == "unreachable"] == ["open"]


def test_nodes_that_are_only_connecting_are_no_finding(story: Callable) -> None:
    one = story()
    one.engine.receive(SessionChanged(at=one.now, node="a", connection=1, phase="connecting"))
    for after in range(6):
        one.engine.tick(one.now + after)
    assert one.engine.snapshot(one.now + 6).findings == ()


@pytest.mark.parametrize(("ahead_s", "severity"), [(0.4, None), (-2.5, "info"), (90.0, "warning")])
def test_a_clock_that_is_off(story: Callable, build: SimpleNamespace, ahead_s: float, severity: str | None) -> None:
    one = story()
    wall = build.epoch + 1000.0 + ahead_s
    info = type(build.info)(kernel="6.1.0", ss="6.1.0", wall_s=wall, wall_uptime_s=1000.0)
    one.begin(info=info)
    seconds(one, 5)
    found = findings(one).get("clock-skew")
    assert (found.severity if found else None) == severity
    if found:
        assert found.node == "e"
        assert ("ahead" if ahead_s > 0 else "behind") in found.summary


def test_a_host_that_drops_packets(story: Callable, build: SimpleNamespace) -> None:
    one = story()
    one.begin(softnet=build.softnet(0), net_dev={"eth0": build.dev(0, 0)})
    for count in range(1, 8):
        one.second(softnet=build.softnet(20 * count), net_dev={"eth0": build.dev(1000 * count, 0, 3 * count)})
    found = findings(one)["host-drops"]
    assert found.node == "e"
    assert {each.what for each in found.evidence} == {"softnet drops", "dropped by eth0 on the way in"}


def test_a_few_drops_at_once_are_not_worth_a_word(story: Callable, build: SimpleNamespace) -> None:
    one = story()
    one.begin(softnet=build.softnet(0))
    seconds(one, 3, softnet=build.softnet(0))
    seconds(one, 6, softnet=build.softnet(40))
    assert "host-drops" not in findings(one)


# ── Experiments and bursts ──


def experiment(kind: str = "tcp-udp", state: str = "done", **figures: float | None) -> ExperimentRecord:
    return ExperimentRecord(
        id="x1", kind=kind, src="e", dst="a", path="vpn", sends="1 MB", state=state, started=0.0, figures=figures
    )  # type: ignore[arg-type]


def burst(streams: int = 8, **parts: object) -> BurstRecord:
    known = {"requested": {}, "state": "done", "sent_bytes": 14_480_000, "receiver_bps": 4e6, "retransmits": 500}
    return BurstRecord(**{"id": "b1", "src": "e", "dst": "a", "path": "vpn", "streams": streams, **known, **parts})  # type: ignore[arg-type]


def figures(tried: Tried, at: float, link: LinkKey = LINK, *underlays: str) -> dict[str, float]:
    return {name: value for told in tried.of(link, at, underlays) for name, value in told.figures.items()}


def test_only_what_was_measured_counts_and_only_for_a_while() -> None:
    tried = Tried()
    tried.experiment(100.0, experiment(udp_loss_pct=3.0, tcp_bps=None))
    tried.experiment(100.0, experiment("pmtu-sweep", "failed", pmtu_bytes=1300.0))
    assert figures(tried, 101.0) == {"udp_loss_pct": 3.0}
    assert tried.links(101.0) == {LINK}
    assert figures(tried, 101.0 + FRESH_S) == {}
    assert tried.links(101.0 + FRESH_S) == set()


def test_what_is_newer_holds() -> None:
    tried = Tried()
    tried.experiment(100.0, experiment(udp_loss_pct=3.0))
    tried.experiment(200.0, experiment(udp_loss_pct=0.0))
    assert figures(tried, 201.0)["udp_loss_pct"] == 0.0


def test_bursts_are_evidence_for_the_direction_that_sent() -> None:
    tried = Tried()
    tried.burst(100.0, burst())
    assert figures(tried, 101.0) == {
        "burst_bps": 4e6, "eight_bps": 4e6,
        "burst_retrans_pct": pytest.approx(5.0), "eight_retrans_pct": pytest.approx(5.0),
    }  # fmt: skip
    tried.burst(100.0, burst(1, requested={"reverse": True}))
    assert figures(tried, 101.0, LinkKey("a", "e", "vpn"))["one_bps"] == 4e6
    tried.burst(110.0, burst(1, requested={"udp": True}, sender_bps=10e6, receiver_bps=5e6))
    assert figures(tried, 111.0)["burst_loss_pct"] == pytest.approx(50.0)
    tried.burst(120.0, burst(state="aborted", receiver_bps=9e6))
    assert figures(tried, 121.0)["eight_bps"] == 4e6


def test_two_bursts_alike_are_a_comparison() -> None:
    tried = Tried()
    tried.burst(100.0, burst(id="b1"))
    tried.burst(120.0, burst(id="b2", path="public", receiver_bps=28e6, retransmits=10))
    compared = {k: v for k, v in figures(tried, 121.0, LINK, "public").items() if "lay_" in k}
    assert compared == {
        "overlay_bps": 4e6, "underlay_bps": 28e6,
        "overlay_retrans_pct": pytest.approx(5.0), "underlay_retrans_pct": pytest.approx(0.1),
    }  # fmt: skip
    assert tried.of(LINK, 121.0, ("public",))[-1].source in ("burst b1", "bursts b1 and b2")
    assert not {k for k in figures(tried, 121.0) if "lay_" in k}
    tried.burst(130.0, burst(1, id="b3", path="public", receiver_bps=5e6))  # of another kind
    assert figures(tried, 131.0, LINK, "public")["underlay_bps"] == 28e6


def test_bursts_on_both_paths_say_which_is_sick(story: Callable) -> None:
    """With their figures, how old they are, and less surely as time goes by."""
    one = story()
    one.begin()
    seconds(one, 2)
    for path, bps, again in (("vpn", 4e6, 900), ("public", 28e6, 0)):
        record = burst(id=f"b-{path}", path=path, receiver_bps=bps, retransmits=again)
        one.receive(BurstTold(at=one.now, phase="closed", burst=record))
    seconds(one, 5)
    told = findings(one)["overlay-only"]
    assert told.confidence > 0.7
    assert "vpn gave 4.0Mbit/s where the path below gave 28Mbit/s, as tried just now" in told.summary
    assert any("b-vpn and b-public" in each.what for each in told.evidence)
    seconds(one, 400)
    assert "overlay-only" not in findings(one) or findings(one)["overlay-only"].confidence < told.confidence


@pytest.mark.parametrize(
    ("figures", "goodput_bps", "policed"),
    [
        ({"burst_offered_bps": 10e6, "burst_loss_pct": 50.0}, None, None),
        ({"burst_offered_bps": 10e6, "burst_loss_pct": 50.0}, 4.8e6, True),
        ({"burst_offered_bps": 10e6, "burst_loss_pct": 50.0, "tcp_bps": 5e6}, None, True),
        ({"burst_offered_bps": 3e6, "burst_loss_pct": 2.0}, 5e6, None),
        ({"burst_offered_bps": 10e6, "burst_loss_pct": 2.0}, 5e6, False),
        ({"udp_loss_pct": 0.0, "ramp_loss_pct": 40.0, "tcp_bps": 5e6}, None, True),
        ({"udp_loss_pct": 3.0, "ramp_loss_pct": 3.5, "tcp_bps": 5e6}, None, False),
        ({"udp_loss_pct": 2.0}, 5e6, None),
    ],
)
def test_a_policer_loses_what_exceeds_its_rate(figures: dict, goodput_bps: float | None, policed: bool | None) -> None:
    assert udp_policed(figures, goodput_bps) is policed


@pytest.mark.parametrize(
    ("figures", "goodput_bps", "gain"),
    [
        ({"burst_bps": 24e6}, 4e6, 6.0),
        ({"one_bps": 8e6, "burst_bps": 24e6}, 4e6, 2.0),  # a flow against a flow, where there is one
        ({"tcp_bps": 2e6}, 4e6, 0.5),
        ({"burst_bps": 24e6}, None, None),
        ({"udp_loss_pct": 0.0}, 4e6, None),
    ],
)
def test_what_a_burst_gets_beside_flows_that_are_held_back(
    link: Callable, figures: dict, goodput_bps: float | None, gain: float | None
) -> None:
    held = {"data_segs": 500, "sndbuf_share": 0.9, "busy_share": 0.9, "goodput_bps": goodput_bps}
    before, after = link(**held), link(**held)
    draw(after, [Told(100.0, "burst b1", figures)], 110.0)
    assert after.tried_gain == gain
    assert (weigh(SENDER, after).confidence > weigh(SENDER, before).confidence) == (gain is not None and gain >= 2)


def test_ping_under_load() -> None:
    assert loaded_ratio({"idle_rtt_ms": 20.0, "loaded_rtt_ms": 300.0}) == 15.0
    assert loaded_ratio({"idle_rtt_ms": 20.0}) is None


def test_an_experiment_changes_what_is_said(replay: Callable) -> None:
    """The doubt between two causes ends with what was tried."""
    told = replay("loss")
    before = next(f for f in told.open if f.code == "loss")
    record = experiment(udp_loss_pct=0.0, udp_offered_bps=1e6, udp_received_bps=1e6)
    told.engine.receive(ExperimentTold(at=told.last_at, experiment=record))
    for after in range(1, 4):
        told.engine.tick(told.last_at + after)
    after_it = next(f for f in told.engine.snapshot(told.last_at + 3).findings if f.code == "loss")
    assert after_it.confidence < before.confidence
    assert "UDP lost at half rate (tcp-udp x1, just now)" in {each.what for each in after_it.against}


def test_a_node_whose_samples_are_late_for_some_seconds_is_not_called_unreachable(story: Callable) -> None:
    """It is connected; no peer says that it is gone."""
    one = story()
    one.begin()
    seconds(one, 5)
    told = {}
    for after in range(1, 20):
        one.engine.tick(one.now + after)
        told[after] = {f.code for f in one.engine.snapshot(one.now + after).findings}
    assert told[9] == set()
    assert told[19] == {"unreachable"}
