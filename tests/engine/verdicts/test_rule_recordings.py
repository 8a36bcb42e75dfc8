"""Several rules may lead to one code: each has a recording of a lab in which it holds by itself, and one that looks
like it in which it does not."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from meshtop.engine.verdicts import rules, verdicts
from meshtop.engine.verdicts.lifecycle import OPENS_AT
from meshtop.engine.verdicts.rules import RULES
from meshtop.engine.verdicts.settle import settled
from meshtop.engine.verdicts.weigh import Rule
from tests.engine.verdicts.conftest import play

SURE = 0.7
# Rule: where it holds, and what could be taken for it.
WHERE = {
    "LOSS": ("loss", "reorder"),
    "PING_LOSS": ("ping-loss", "healthy"),
    "LOSS_TRIED": ("loss-tried", "well-tried"),
    "REORDERING": ("reorder", "loss"),
    "POLICER": ("policer-one", "loss"),
    "POLICER_TRIED": ("policer-tried", "loss-tried"),
    "BLACKHOLE": ("mtu-blackhole", "blackout"),
    "BLACKHOLE_PINGS": ("hole-healed", "blackout"),
    "BLACKHOLE_SWEPT": ("hole-swept", "well-swept"),
    "BUFFERBLOAT": ("bufferbloat", "full-lines"),
    "TCP_OVER_TCP": ("tcp-over-tcp", "bufferbloat"),
    "RECEIVER": ("receiver-slow", "recv-buffer"),
    "WINDOW": ("recv-buffer", "receiver-slow"),
    "SENDER": ("send-buffer", "detour"),
    "IN_FLIGHT": ("ack-loss", "receiver-slow"),
    "APP": ("app-limited", "send-buffer"),
    "ACK_LOSS": ("ack-loss", "loss"),
    "BLACKOUT": ("blackout", "mtu-blackhole"),
}
NAMES = {id(value): name for name, value in vars(rules).items() if isinstance(value, Rule)}


@pytest.fixture(scope="module")
def said() -> dict[tuple[str, str], float]:
    """(rule, recording): how sure it was at most."""
    surest: dict[tuple[str, str], float] = defaultdict(float)
    recording = ""

    def watched(*args: Any, **more: Any) -> Any:
        told = settled(*args, **more)
        for each in told.said:
            place = NAMES[id(each.rule)], recording
            surest[place] = max(surest[place], each.confidence)
        return told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verdicts, "settled", watched)
        # `watched` reads which recording it is.
        for recording in sorted({each for pair in WHERE.values() for each in pair}):
            play(recording)
    return dict(surest)


def test_no_rule_is_without_recordings() -> None:
    assert {NAMES[id(rule)] for rule in RULES} == WHERE.keys()


@pytest.mark.parametrize("rule", WHERE)
def test_it_holds_by_itself_where_its_cause_is(rule: str, said: dict[tuple[str, str], float]) -> None:
    assert said.get((rule, WHERE[rule][0]), 0.0) >= SURE


@pytest.mark.parametrize("rule", WHERE)
def test_it_does_not_hold_where_something_else_is(rule: str, said: dict[tuple[str, str], float]) -> None:
    assert said.get((rule, WHERE[rule][1]), 0.0) < OPENS_AT
