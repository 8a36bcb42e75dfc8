"""The palette's search, and why a command cannot be done."""

from __future__ import annotations

import msgspec
import pytest
from scripted_mesh import scripted_view
from scripted_runs import busy_view

from meshtop.ui import keys
from meshtop.ui.commands import Entry, entries, search, why_not

CALM, BUSY = scripted_view(44), busy_view()
REPLAY = msgspec.structs.replace(BUSY, replay=True)


def found(query: str, place: str = "overview") -> list[Entry]:
    return search(entries(keys.KEYS, place, CALM), query)


def test_every_key_outside_of_dialogs_is_a_command() -> None:
    listed = {one.id for one in entries(keys.KEYS, "overview", CALM)}
    assert listed == {key.id for key in keys.KEYS if key.scope not in keys.DIALOGS} - {"app.palette"}


def test_what_can_be_done_comes_first() -> None:
    states = [one.why_not is None for one in entries(keys.KEYS, "stalls", CALM)]
    assert states == sorted(states, reverse=True)
    assert {one.why_not for one in entries(keys.KEYS, "overview", CALM) if one.id == "burst.compare"} == {
        "on the bursts screen"
    }


@pytest.mark.parametrize(
    ("query", "identity"),
    [("whole log", "log.open"), ("LEAVE", "app.quit"), ("app.freeze", "app.freeze"), ("retrans", "metric.retx")],
)
def test_it_finds_what_is_meant(query, identity) -> None:
    assert found(query)[0].id == identity


def test_letters_in_their_order_are_a_guess_where_nothing_else_fits() -> None:
    assert "log.open" in [one.id for one in found("whlog")]
    assert found("xqzv") == []


@pytest.mark.parametrize(
    ("identity", "view", "why"),
    [
        ("burst.ask", CALM, None), ("burst.ask", REPLAY, "this is a recording"),
        ("burst.again", CALM, "there was no burst yet"), ("burst.again", BUSY, None),
        ("burst.abort", CALM, "nothing runs"), ("burst.abort", BUSY, None),
        ("burst.clear", CALM, "no burst waits"), ("burst.clear", BUSY, None),
        ("experiment.1", REPLAY, "this is a recording"), ("app.quit", REPLAY, None),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(identity, view, why) -> None:
    assert why_not(identity, view) == why
