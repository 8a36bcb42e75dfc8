"""Where a socket stands, and what each reading of it does to that."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class State(enum.Enum):
    """Where one socket stands."""

    IDLE = "idle"  # nothing waits
    FLOWING = "flowing"  # data waits and moves
    SUSPECT = "suspect"  # data waits, nothing moves, not yet for long
    STALLED = "stalled"


class Signal(enum.Enum):
    """What one reading says against the one before."""

    QUIET = "quiet"
    MOVED = "moved"
    WAITING = "waiting"
    OVERDUE = "overdue"


class Step(enum.Enum):
    """What a transition does beside changing the state."""

    NOTHING = "nothing"
    OPEN = "open"
    UPDATE = "update"
    CLOSE = "close"


# Every state with every signal; a test sees to it that none is missing.
TRANSITIONS: Mapping[tuple[State, Signal], tuple[State, Step]] = {
    (State.IDLE, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.IDLE, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.IDLE, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.IDLE, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.FLOWING, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.FLOWING, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.FLOWING, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.FLOWING, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.SUSPECT, Signal.QUIET): (State.IDLE, Step.NOTHING),
    (State.SUSPECT, Signal.MOVED): (State.FLOWING, Step.NOTHING),
    (State.SUSPECT, Signal.WAITING): (State.SUSPECT, Step.NOTHING),
    (State.SUSPECT, Signal.OVERDUE): (State.STALLED, Step.OPEN),
    (State.STALLED, Signal.QUIET): (State.IDLE, Step.CLOSE),
    (State.STALLED, Signal.MOVED): (State.FLOWING, Step.CLOSE),
    (State.STALLED, Signal.WAITING): (State.STALLED, Step.UPDATE),
    (State.STALLED, Signal.OVERDUE): (State.STALLED, Step.UPDATE),
}
