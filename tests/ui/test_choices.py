"""What is looked at before the operator has picked anything."""

from __future__ import annotations

import msgspec
from scripted_mesh import scripted_view

from meshtop.engine.snapshot import FindingView
from meshtop.engine.view import View
from meshtop.ui.choices import Choices
from meshtop.ui.scene import RANK, Scene


def scene(*findings: FindingView) -> Scene:
    view: View = scripted_view(44)
    return Scene(
        msgspec.structs.replace(view, snapshot=msgspec.structs.replace(view.snapshot, findings=findings)), 0.0, 1.0
    )


def found(src: str, dst: str, severity: str = "critical") -> FindingView:
    return FindingView(
        id=f"{src}{dst}", code="loss", severity=severity, confidence=0.9, src=src, dst=dst, path="vpn",  # type: ignore[arg-type]
        since="2024-05-01T14:32:07.123Z", summary="…",
    )  # fmt: skip


def settled(choices: Choices, *findings: FindingView) -> tuple[str, str] | None:
    choices.settle(scene(*findings))
    return choices.pair


def test_a_finding_comes_before_a_state() -> None:
    assert settled(Choices()) == ("e", "a"), "the stalled one"
    assert settled(Choices(), found("b", "d"), found("c", "d")) == ("b", "d")
    assert settled(Choices(), found("b", "d", "info")) == ("e", "a")


def test_what_is_looked_at_stays_while_something_is_found_of_it() -> None:
    choices = Choices()
    settled(choices, found("b", "d"))
    assert settled(choices, found("c", "d"), found("b", "d")) == ("b", "d")
    assert settled(choices, found("c", "d")) == ("c", "d")


def test_of_a_whole_node_its_worst_or_busiest_link_is_looked_at() -> None:
    """Not one of which nothing is to be seen; and that stays."""
    choices = Choices()
    whole = msgspec.structs.replace(found("", ""), code="node-wide", src=None, dst=None, path=None, node="d")
    shown = scene(whole)
    state = min(RANK[each.state] for each in shown.links.values() if "d" in (each.link.src, each.link.dst))
    pair = settled(choices, whole)
    assert pair is not None
    assert "d" in pair
    kept = [each for each in shown.links.values() if (each.link.src, each.link.dst) == pair]
    assert min(RANK[each.state] for each in kept) == state
    assert any(each.link.tx_bps for each in kept)
    assert settled(choices, whole) == pair
    choices.pair = ("a", "b")
    assert settled(choices, whole) == pair


def test_what_the_operator_picked_stays() -> None:
    choices = Choices()
    choices.pick("a", "b")
    assert settled(choices, found("c", "d")) == ("a", "b")
