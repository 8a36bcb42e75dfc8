"""The mesh as it was: what is put aside comes back, and what happened later is not told."""

from __future__ import annotations

import zlib

import msgspec
import pytest

from meshtop.burst import BurstRecord
from meshtop.engine.flows import Activity
from meshtop.engine.history import HISTORY_S, History
from meshtop.engine.past import PERIOD_OF_MANY_S, PERIOD_S, Archive, Kept, as_of, glance_of, packed, view_of
from meshtop.engine.snapshot import LinkView, NodeView, Snapshot, StallCause, StallFlow, StallView
from meshtop.engine.timeseries import rfc3339
from meshtop.engine.view import View
from meshtop.model import ExperimentRecord, LinkKey, LogLine, Mark, Mesh, Node, Path

KEY = LinkKey("a", "b", "vpn")
MESH = Mesh(
    name="m",
    nodes=(Node(name="a", address={"vpn": "10.0.0.1"}), Node(name="b", address={"vpn": "10.0.0.2"})),
    paths=(Path(name="vpn", kind="overlay"),),
)
FLOW = StallFlow(local="10.0.0.1:1", peer="10.0.0.2:2")


def view(at: float, rtt_ms: float = 30.0, **more) -> View:
    link = LinkView(src="a", dst="b", path="vpn", state="ok", rtt_ms=rtt_ms)
    nodes = (NodeView(name="a", state="up"), NodeView(name="b", state="up"))
    snapshot = Snapshot(mesh="m", at=rfc3339(at), window_s=10.0, nodes=nodes, links=(link,))
    return View(at=at, mesh=MESH, snapshot=snapshot, **more)


def archive(count: int, links: int = 40) -> Archive:
    kept = Archive(links)
    for second in range(count):
        if kept.due(1000.0 + second):
            kept.take(view(1000.0 + second, rtt_ms=float(second)))
    return kept


def stall(start: float, end: float | None, **more) -> StallView:
    return StallView(
        id="s1", src="a", dst="b", path="vpn", node="a", flow=FLOW, start=rfc3339(start),
        end=None if end is None else rfc3339(end), duration_s=(end or start + 50) - start, resolution_s=0.2,
        outcome="open" if end is None else "recovered", cause="repeated-loss", settled=True, **more,
    )  # fmt: skip


def test_a_moment_comes_back_as_it_was() -> None:
    kept = archive(100).at(1042.6)
    assert kept is not None
    assert kept.at == 1042.0
    assert kept.snapshot == view(1042.0, rtt_ms=42.0).snapshot
    assert kept.mesh == MESH


def test_what_was_put_aside_can_be_shown_alone() -> None:
    shown = glance_of(Archive(40).take(view(1042.0, rtt_ms=42.0)))
    assert shown is not None
    assert (shown.past, shown.at, shown.mesh) == (True, 1042.0, MESH)
    assert shown.snapshot == view(1042.0, rtt_ms=42.0).snapshot


def test_what_this_version_cannot_read_is_not_shown() -> None:
    timeless = msgspec.structs.replace(stall(990.0, None), start="then")
    snapshot = msgspec.structs.replace(view(1000.0).snapshot, stalls=(timeless,))
    assert glance_of(packed(Kept(at=1000.0, mesh=MESH, snapshot=snapshot))) is None
    assert glance_of(zlib.compress(msgspec.msgpack.encode({"at": 1000.0, "unlike": 1}))) is None
    assert glance_of(b"no zlib stream") is None


def test_before_the_first_and_after_a_hole_there_is_nothing() -> None:
    kept = archive(10)
    assert kept.at(999.9) is None
    assert kept.at(1009.0 + 3 * PERIOD_S) is not None
    assert kept.at(1009.1 + 3 * PERIOD_S) is None
    assert Archive(1).at(0.0) is None


def test_fifteen_minutes_are_kept() -> None:
    kept = archive(1200)
    assert kept.at(2199.0 - 15 * 60) is not None
    assert kept.at(2199.0 - HISTORY_S - 5) is None


def test_of_large_meshes_less_is_kept() -> None:
    assert Archive(760).period_s == PERIOD_OF_MANY_S
    kept = archive(20, links=760).at(1013.5)
    assert kept is not None
    assert kept.at == 1012.0


def test_a_clock_that_went_back_forgets_what_came_after() -> None:
    kept = archive(50)
    assert not kept.due(1020.5), "there is one of half a second before"
    assert kept.at(1049.0) is None
    assert kept.at(1020.5) is not None


def test_a_stall_that_ended_later_was_open() -> None:
    causes = (StallCause(at=rfc3339(100.0), cause="recovery"), StallCause(at=rfc3339(106.0), cause="repeated-loss"))
    over = stall(100.0, 109.0, causes=causes)
    assert as_of(over, 99.0) is None
    assert as_of(over, 109.5) is over
    then = as_of(over, 104.0)
    assert then is not None
    assert (then.outcome, then.end, then.duration_s, then.cause) == ("open", None, 4.0, "recovery")
    assert as_of(stall(100.0, None), 104.0).duration_s == pytest.approx(4.0)


def test_what_happened_later_is_not_shown() -> None:
    histories = {KEY: History()}
    for second in range(900, 1100):
        histories[KEY].add(second, second + 1, second + 1, (1.0, None), Activity(), "ok", late=False)
    burst = BurstRecord(
        id="b1", src="a", dst="b", path="vpn", streams=1, requested={}, state="done", started=rfc3339(1005.0),
        ended=rfc3339(1050.0),
    )  # fmt: skip
    experiment = ExperimentRecord(
        id="e1", kind="paths", src="a", dst="b", path="vpn", sends="little", state="done", started=1020.0, ended=1030.0
    )
    now = view(
        1099.0,
        log=(
            LogLine(at=1001.0, node=None, level="info", text="x"),
            LogLine(at=1080.0, node=None, level="info", text="y"),
        ),
        marks=(Mark(at=1002.0, text="m"), Mark(at=1090.0, text="n")),
        stalls=(stall(1008.0, 1060.0), msgspec.structs.replace(stall(1080.0, None), id="s2")),
        bursts=(burst, msgspec.structs.replace(burst, id="b2", started=None, state="queued")),
        experiments=(experiment,),
    )
    kept = archive(100).at(1010.0)
    assert kept is not None
    then = view_of(kept, histories, now)
    assert then.past
    assert then.at == 1010.0
    assert [line.text for line in then.log] == ["x"]
    assert [mark.text for mark in then.marks] == ["m"]
    assert [(one.id, one.outcome) for one in then.stalls] == [("s1", "open")]
    assert [(one.id, one.state, one.ended) for one in then.bursts] == [("b1", "running", None)]
    assert then.experiments == ()
    assert then.trails[KEY][-1].at == 1010.0
    assert then.trails[KEY][0].at > 1010.0 - 121
    assert then.strips[KEY].until == 1010.0
    assert then.strips[KEY].seconds[-2:] == ("stalled", "stalled")
    assert then.strips[KEY].seconds[-3] == "idle"
