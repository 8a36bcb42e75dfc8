"""Bursts, experiments and findings for the screen's tests, beside the scripted mesh."""

from __future__ import annotations

import msgspec
from scripted_mesh import EPOCH, ScriptedSource, noise, rfc3339, scripted_mesh, scripted_view

from meshtop.burst import (
    BurstInterval,
    BurstLimits,
    BurstPings,
    BurstPlan,
    BurstRecord,
    BurstRequest,
    BurstStream,
    Bystander,
)
from meshtop.engine import bursts, experiments
from meshtop.engine.experiments import ExperimentPlan
from meshtop.engine.snapshot import Evidence, FindingView
from meshtop.engine.view import View
from meshtop.model import ExperimentRecord
from meshtop.requests import RunExperiment

LIMITS = BurstLimits(max_bytes=250 << 20, max_time_s=60.0)
TICK = 44
NOW = EPOCH + TICK


def interval(number: int, streams: int, best_bps: float, sick: bool) -> BurstInterval:
    told = []
    for stream in range(streams):
        share = noise("burst", number, stream, sick)
        bps = 0.0 if sick and share < 0.4 else best_bps / streams * (0.6 + 0.8 * share)
        told.append(BurstStream(port=40000 + stream, bps=bps, retransmits=int(20 * share) if sick else 0))
    total = sum(one.bps or 0.0 for one in told)
    return BurstInterval(
        t=0.5 * (number + 1), bps=total, retransmits=sum(one.retransmits or 0 for one in told),
        rtt_ms=38.0 + (300 * noise("rtt", number) if sick else 2.0), cwnd_bytes=14_000 if sick else 460_000,
        streams=tuple(told),
    )  # fmt: skip


def intervals(count: int, streams: int = 8, best_bps: float = 5e6, sick: bool = True) -> tuple[BurstInterval, ...]:
    return tuple(interval(number, streams, best_bps, sick) for number in range(count))


BYSTANDERS = (
    Bystander(src="e", dst="a", path="vpn", flow={"local": "10.10.10.5:40112", "peer": "10.10.10.1:5000",
              "process": "docker-push"}, bps_before=2.9e6, bps_during=0.3e6),
    Bystander(src="e", dst="c", path="vpn", flow={"local": "10.10.10.5:40990", "peer": "10.10.10.3:443",
              "process": None}, bps_before=120e3, bps_during=None),
)  # fmt: skip


def done(number: int, path: str, ago_s: float, sick: bool, **changes: object) -> BurstRecord:
    """A burst of 20 MB from e to a that is over."""
    seconds = 40 if sick else 6
    record = BurstRecord(
        id=f"b{number}", src="e", dst="a", path=path, tool="iperf3 3.12", streams=8, requested={"bytes": 20 << 20},
        predicted_s=5.6, predicted_bytes=20 << 20, state="done", started=rfc3339(NOW - ago_s),
        ended=rfc3339(NOW - ago_s + seconds), sent_bytes=20 << 20, received_bytes=20 << 20,
        sender_bps=(20 << 23) / seconds, receiver_bps=(20 << 23) / seconds, retransmits=11234 if sick else 12,
        intervals=intervals(seconds * 2, best_bps=5e6 if sick else 29e6, sick=sick),
        stalls=({}, {}, {}) if sick else (), longest_stall_s=9.1 if sick else 0.0,
        bystanders=BYSTANDERS if sick else (),
        client="e", server="a", connect_to="10.10.10.1" if path == "vpn" else "203.0.113.1", port=5201,
        pings=BurstPings(rtt_before_ms=38.0, rtt_ms=412.0 if sick else 61.0, rtt_full_before_ms=39.0,
                         rtt_full_ms=530.0 if sick else 64.0, loss_pct=12.0 if sick else 0.0,
                         loss_full_pct=25.0 if sick else 0.0),
    )  # fmt: skip
    return msgspec.structs.replace(record, **changes)


def scripted_bursts() -> tuple[BurstRecord, ...]:
    """Two that are over, one that runs and was silent for three seconds, one that waits."""
    running = done(
        3, "vpn", 16.2, True, state="running", ended=None, sent_bytes=None, received_bytes=None, sender_bps=None,
        receiver_bps=None, retransmits=None, intervals=intervals(26), stalls=({},), longest_stall_s=3.2,
    )  # fmt: skip
    queued = BurstRecord(
        id="b4", src="e", dst="a", path="public", streams=8, requested={"bytes": 20 << 20}, predicted_s=5.6,
        predicted_bytes=20 << 20, state="queued",
    )  # fmt: skip
    failed = BurstRecord(
        id="b0", src="c", dst="b", path="vpn", streams=1, requested={"seconds": 10, "udp": True, "rate_bps": 1_000_000},
        state="failed", reason="iperf3 is not installed on b", cure="install it there: apt-get install iperf3",
        started=rfc3339(NOW - 300), ended=rfc3339(NOW - 299),
    )  # fmt: skip
    return (failed, done(1, "vpn", 200.0, True), done(2, "public", 100.0, False), running, queued)


FINDINGS = (
    FindingView(
        id="f1", code="reordering", severity="critical", confidence=0.9, src="e", dst="a", path="vpn",
        since=rfc3339(NOW - 36), summary="packets overtake each other on vpn, and TCP takes that for loss",
        evidence=(Evidence(what="dsack/retrans", value=0.67, expected="< 0.1 for loss"),
                  Evidence(what="reord_seen", value=1240.0, expected="0"),
                  Evidence(what="loss of pings", value=0.0, expected="some, were it loss")),
        against=(Evidence(what="lost pings of 1200 B", value=0.02, expected="0"),),
        next=("have the tunnel keep the order of packets", "compare with the public path: it is fine at the moment"),
        experiments=("paths", "streams", "mss"),
    ),
    FindingView(
        id="f2", code="overlay-only", severity="warning", confidence=0.72, src=None, dst="c", path="vpn",
        since=rfc3339(NOW - 20), summary="all links into c are sick on vpn, none is on public",
        evidence=(Evidence(what="inflation vpn", value=2.4, expected="< 2"),), experiments=("paths",),
    ),
    FindingView(
        id="f0", code="node-wide", severity="warning", confidence=0.6, node="b", since=rfc3339(NOW - 400),
        summary="everything to and from b was slow at once",
    ),
)  # fmt: skip

EXPERIMENTS = (
    ExperimentRecord(id="x1", kind="pmtu-sweep", src="e", dst="a", path="vpn", sends="40 pings", state="done",
                     started=NOW - 120, ended=NOW - 110, figures={"pmtu_bytes": 1400.0, "lost_pct": None},
                     summary="packets up to 1400 bytes pass, larger ones are refused with a message"),
    ExperimentRecord(id="x2", kind="streams", src="e", dst="a", path="vpn", sends="two bursts of 10 s: at most 75MB",
                     state="running", started=NOW - 3),
)  # fmt: skip


def busy_view(tick: int = TICK, **changes: object) -> View:
    """The scripted mesh with bursts, findings and experiments."""
    view = scripted_view(tick)
    snapshot = msgspec.structs.replace(view.snapshot, findings=FINDINGS[:2])
    whole = msgspec.structs.replace(
        view, snapshot=snapshot, bursts=scripted_bursts(), findings=FINDINGS, experiments=EXPERIMENTS
    )
    return msgspec.structs.replace(whole, **changes)


class PlanningSource(ScriptedSource):
    """Plans bursts and experiments by the engine's own rules."""

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        return bursts.plan(request, scripted_mesh(), LIMITS)

    def plan_experiment(self, command: RunExperiment) -> ExperimentPlan:
        return experiments.plan(command, scripted_mesh())
