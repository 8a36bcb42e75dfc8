"""What stalled while a command ran: spans of time folded hop by hop."""

from __future__ import annotations

import pytest

from meshtop.engine.events import FindingEvent, LinkEvent, StallEvent
from meshtop.engine.runs import RunLedger
from meshtop.engine.snapshot import FindingView, NodeView, Snapshot, StallFlow, WatchPeer, WatchView
from meshtop.engine.timeseries import rfc3339
from meshtop.model import Mesh, Node, Path, Watch

START = 1_714_573_000.0
MESH = Mesh(
    name="test",
    nodes=(Node(name="a", address={"vpn": "10.0.0.1"}), Node(name="e", address={"vpn": "10.0.0.5"})),
    paths=(Path(name="vpn", kind="overlay"),),
)
WATCHED = Mesh(
    **{**{f: getattr(MESH, f) for f in MESH.__struct_fields__}, "watches": (Watch(name="push", ports=(443,)),)}
)


def link(at: float, tx_bytes: int | None, *, src: str = "e", dst: str = "a", crawling: int = 0) -> LinkEvent:
    return LinkEvent(at=rfc3339(START + at), src=src, dst=dst, path="vpn", state="ok", interval_s=1.0,
                     tx_bytes=tx_bytes, crawling=crawling)  # fmt: skip


def stall(identity: str, start: float, end: float | None, cause: str = "rto-no-ack", watch: str | None = None,
          dst: str | None = "a") -> StallEvent:  # fmt: skip
    return StallEvent(
        id=identity, src="e", dst=dst, path="vpn" if dst else None, node="e",
        flow=StallFlow(local="10.0.0.5:4000", peer="10.0.0.1:443" if dst else "192.0.2.7:443", watch=watch),
        start=rfc3339(START + start), end=None if end is None else rfc3339(START + end),
        duration_s=(end or start) - start, resolution_s=0.1, outcome="open" if end is None else "recovered",
        cause=cause, settled=True, phase="open" if end is None else "closed", at=rfc3339(START + start),
    )  # fmt: skip


def ledger(*events: object, mesh: Mesh = MESH) -> RunLedger:
    made = RunLedger(mesh, ("push", "it"), START)
    for event in events:
        made.event(event)  # type: ignore[arg-type]
    return made


def test_time_is_moving_stalled_or_crawling_and_never_two_at_once() -> None:
    moving = [link(at, 1_000_000) for at in range(1, 11)]
    found = ledger(*moving, stall("s1", 2.0, 5.5), stall("s2", 5.0, 6.0, "recovery"), link(8, 100_000, crawling=1))
    summary = found.summary(START + 10, 0)
    assert (summary.moving_s, summary.stalled_s, summary.crawling_s) == (5.0, 4.0, 1.0)
    assert summary.hop is not None
    assert (summary.hop.src, summary.hop.dst, summary.hop.path) == ("e", "a", "vpn")
    assert (summary.cause, summary.hop.causes) == ("rto-no-ack", {"rto-no-ack": 3.5, "recovery": 1.0})
    assert summary.verdict == "e→a vpn stalled for 4.0s of 10s (2 times, the longest 3.5s), mostly rto-no-ack"


def test_what_was_before_and_after_does_not_count() -> None:
    found = ledger(stall("s1", -8.0, 1.0), stall("s2", 9.0, None), stall("s3", -9.0, -2.0))
    summary = found.summary(START + 10, 0)
    assert summary.stalled_s == 2.0
    assert {each.id for each in summary.stalls} == {"s1", "s2"}


def test_the_last_line_of_a_stall_holds() -> None:
    summary = ledger(stall("s1", 1.0, None), stall("s1", 1.0, 2.0, "outer-stall")).summary(START + 10, 0)
    assert (summary.stalled_s, summary.cause) == (1.0, "outer-stall")


def test_nothing_wrong_is_not_the_same_as_nothing_seen() -> None:
    assert ledger(link(1, 500_000)).summary(START + 2, 0).verdict == "nothing stalled and nothing crawled"
    unseen = ledger(link(1, None)).summary(START + 2, 0)
    assert not unseen.seen
    assert "nothing is known" in unseen.verdict


def test_with_a_watch_only_its_flows_count() -> None:
    found = ledger(
        link(1, 900_000), link(1, 900_000, src="a", dst="e"), stall("s1", 2.0, 6.0),
        stall("s2", 3.0, 4.0, watch="push"), mesh=WATCHED,
    )  # fmt: skip
    found.sample(START + 1, snapshot(WatchPeer(address="10.0.0.1", port=443, dst="a", path="vpn", tx_bps=9e5)))
    summary = found.summary(START + 10, 0)
    assert [(hop.src, hop.dst) for hop in summary.hops] == [("e", "a")]
    assert (summary.stalled_s, summary.watches) == (1.0, ("push",))


def test_a_watched_flow_to_the_outside_is_a_hop_too() -> None:
    found = ledger(stall("s1", 3.0, 4.0, "zero-window", watch="push", dst=None), mesh=WATCHED)
    found.sample(START + 2, snapshot(WatchPeer(address="192.0.2.7", port=443, tx_bps=5e6)))
    summary = found.summary(START + 10, 0)
    (hop,) = summary.hops
    assert (hop.src, hop.dst, hop.peer, hop.moving_s, hop.stalled_s) == ("e", None, "192.0.2.7", 2.0, 1.0)
    assert summary.verdict.startswith("e→192.0.2.7 stalled for 1.0s")


@pytest.mark.parametrize(("severity", "told"), [("warning", True), ("info", False)])
def test_findings_of_the_worst_hop_are_told(severity: str, told: bool) -> None:
    finding = FindingEvent(
        id="f1", code="reordering", severity=severity, confidence=0.9, src="e", dst="a", path="vpn",  # type: ignore[arg-type]
        since=rfc3339(START), summary="they overtake each other", at=rfc3339(START), phase="open",
    )  # fmt: skip
    summary = ledger(stall("s1", 1.0, 2.0), finding).summary(START + 10, 0)
    assert bool(summary.findings) is told


def test_where_nothing_stalls_the_finding_on_the_way_is_the_cause() -> None:
    finding = FindingView(id="f1", code="reordering", severity="warning", confidence=0.9, src="e", dst="a", path="vpn",
                          since=rfc3339(START), summary="they overtake each other")  # fmt: skip
    found = ledger(link(1, 900_000), link(1, 900_000, src="a", dst="e"))
    found.sample(
        START + 1, Snapshot(mesh="test", at=rfc3339(START), window_s=2.0, nodes=(), links=(), findings=(finding,))
    )
    summary = found.summary(START + 10, 0)
    assert (summary.cause, summary.verdict) == ("reordering", "nothing stalled, yet e→a vpn is not well: reordering")
    assert summary.hop is not None
    assert (summary.hop.src, summary.hop.stalled_s) == ("e", 0.0)


def snapshot(*peers: WatchPeer) -> Snapshot:
    node = NodeView(name="e", state="up", watches=(WatchView(name="push", visible=True, peers=peers),))
    return Snapshot(mesh="test", at=rfc3339(START), window_s=2.0, nodes=(node,), links=())
