"""Views that are made of what is kept from the view before say the same as ones that are made from scratch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from meshtop.collect.replay import events
from meshtop.engine.engine import Engine
from meshtop.engine.snapshot import LinkView, Snapshot
from meshtop.model import BaselinesForgotten, FrameReceived, SessionChanged
from meshtop.recording import RecordingReader, TickRecord

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
FROM_S, UPTO_S = 20.0, 26.0


def while_it_goes_on(name: str) -> Iterator[tuple[Engine, float, str | None]]:
    """The engine after each event of some seconds: with the time, and of which node there was a frame."""
    with RecordingReader(RECORDINGS / f"{name}.mtr") as reader:
        engine = Engine(reader.header.mesh)
        begun = reader.first_at
        for event in events(reader.records()):
            engine.tick(event.at) if isinstance(event, TickRecord) else engine.receive(event)
            if begun + FROM_S <= event.at <= begun + UPTO_S:
                yield engine, event.at, event.node if isinstance(event, FrameReceived) else None
            if event.at > begun + UPTO_S:
                return


def of(node: str, state: Snapshot) -> tuple[object, ...]:
    """All that is said of a node and of the links from it, but for what was pinged from here."""
    views = (*(each for each in state.nodes if each.name == node), *(link for link in state.links if link.src == node))
    return tuple(
        view if isinstance(view, LinkView) else msgspec.structs.replace(view, operator_rtt_ms={}) for view in views
    )


@pytest.mark.parametrize("name", ["loss", "blackout"])
def test_what_a_node_told_is_shown_at_once(name: str) -> None:
    frames = 0
    for engine, at, node in while_it_goes_on(name):
        shown = engine.view(at).snapshot
        if node is not None:
            assert of(node, shown) == of(node, engine.snapshot(at))
            frames += 1
    assert frames >= 20


def test_ages_are_those_of_now() -> None:
    looked = 0
    for engine, at, _ in while_it_goes_on("loss"):
        engine.view(at)
        shown, fresh = engine.view(at + 0.3).snapshot, engine.snapshot(at + 0.3)
        assert [node.sample_age_s for node in shown.nodes] == [node.sample_age_s for node in fresh.nodes]
        assert [link.sample_age_s for link in shown.links] == [link.sample_age_s for link in fresh.links]
        looked += 1
    assert looked


def test_a_moment_later_all_is_made_anew() -> None:
    *_, (engine, at, _) = while_it_goes_on("loss")
    engine.view(at)
    assert engine.view(at + 1.0).snapshot == engine.snapshot(at + 1.0)


def test_a_node_that_falls_silent_is_so_at_its_time() -> None:
    *_, (engine, at, _) = while_it_goes_on("loss")
    for tenth in range(60):
        now = at + tenth / 10
        states = {node.name: node.state for node in engine.view(now).snapshot.nodes}
        assert states == {node.name: node.state for node in engine.snapshot(now).nodes}
    assert set(states.values()) == {"silent"}


def test_what_the_operator_does_is_shown_at_once() -> None:
    *_, (engine, at, _) = while_it_goes_on("loss")
    assert any(link.rtt_baseline_ms for link in engine.view(at).snapshot.links)
    engine.receive(BaselinesForgotten(at=at))
    assert not any(link.rtt_baseline_ms for link in engine.view(at).snapshot.links)
    engine.receive(SessionChanged(at=at, node="a", connection=1, phase="down", reason="gone"))
    assert engine.view(at).snapshot.nodes[0].state == "down"
