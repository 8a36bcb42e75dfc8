"""What is over is said for a minute, and only where it was measured."""

from __future__ import annotations

import msgspec
from scripted_runs import FINDINGS, PlanningSource, busy_view

from meshtop.engine.view import View
from meshtop.ui.app import MeshtopApp
from meshtop.ui.scene import Scene
from meshtop.ui.widgets.attention import RECOVERED_S, Recovery

OPEN = busy_view()


def later(seconds: float, *, findings=(), **changes: object) -> View:
    snapshot = msgspec.structs.replace(OPEN.snapshot, findings=tuple(findings))
    return msgspec.structs.replace(OPEN, snapshot=snapshot, at=OPEN.at + seconds, **changes)


def told(recovery: Recovery, view: View, silence_s: float = 0.0) -> list[tuple[str, float]]:
    return [(one.id, ago_s) for one, ago_s in recovery.of(Scene(view, silence_s, 1.0))]


def test_what_is_over_is_said_for_a_while() -> None:
    recovery = Recovery()
    assert told(recovery, OPEN) == []
    assert told(recovery, later(2, findings=FINDINGS[:1])) == [("f2", 0.0)]
    assert told(recovery, later(5)) == [("f1", 0.0), ("f2", 3.0)]
    assert told(recovery, later(4 + RECOVERED_S)) == [("f1", RECOVERED_S - 1)]
    assert told(recovery, later(6 + RECOVERED_S)) == []


def test_what_comes_again_is_not_over() -> None:
    recovery = Recovery()
    told(recovery, OPEN)
    told(recovery, later(2))
    assert told(recovery, later(4, findings=FINDINGS[:2])) == []


def test_a_source_that_fell_silent_recovers_nothing() -> None:
    recovery = Recovery()
    told(recovery, OPEN)
    assert told(recovery, later(2), silence_s=9.0) == []


def test_a_node_that_is_not_heard_any_more_recovers_nothing() -> None:
    recovery = Recovery()
    told(recovery, OPEN)
    gone = later(2)
    nodes = tuple(
        msgspec.structs.replace(node, state="silent") if node.name == "e" else node for node in gone.snapshot.nodes
    )
    gone = msgspec.structs.replace(gone, snapshot=msgspec.structs.replace(gone.snapshot, nodes=nodes))
    assert told(recovery, gone) == [("f2", 0.0)], "into c it is over; of e nothing is known"


def test_another_time_begins_anew() -> None:
    recovery = Recovery()
    told(recovery, OPEN)
    assert told(recovery, later(-30, past=True)) == []
    assert told(recovery, later(2)) == []


async def test_it_stands_in_the_list(ticks, seen) -> None:
    source = PlanningSource(OPEN)
    app = MeshtopApp(source, ticks=ticks)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.pause()
        assert "reordering 90%" in "\n".join(seen(app))
        source.give(later(2))
        app.repaint()
        await pilot.pause()
        assert "reordering over for 0s" in "\n".join(seen(app))
