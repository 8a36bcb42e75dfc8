"""What the operator asks for, from a key or a command line, as values."""

from __future__ import annotations

from meshtop.burst import BurstRequest
from meshtop.model import ExperimentKind
from meshtop.value import NodeName, PathName, Value


class SetInterval(Value, frozen=True, kw_only=True):
    """Sample every node at this interval from now on (0.1 … 60 s)."""

    interval_s: float


class AddMark(Value, frozen=True, kw_only=True):
    text: str


class ResetBaselines(Value, frozen=True, kw_only=True):
    """Forget every link's RTT baseline and learn it anew."""


class StartBurst(Value, frozen=True, kw_only=True):
    """Queue these bursts; several run one after the other (both paths back to back). ``confirmed``: the operator has
    seen what they cost. Refused (ValueError) where one asks for confirmation and it was not given."""

    requests: tuple[BurstRequest, ...]
    confirmed: bool = False


class AbortBurst(Value, frozen=True, kw_only=True):
    """End this burst, or the running ones where ``id`` is None."""

    id: str | None = None


class ClearBursts(Value, frozen=True, kw_only=True):
    """Drop all bursts that wait; what runs goes on."""


class RunExperiment(Value, frozen=True, kw_only=True):
    kind: ExperimentKind
    src: NodeName
    dst: NodeName
    path: PathName


class AbortExperiment(Value, frozen=True, kw_only=True):
    """End the running experiment, with the bursts it is made with."""


class StartRecording(Value, frozen=True, kw_only=True):
    """Record into a new file; None: one named by mesh and time in the current folder."""

    path: str | None = None


class StopRecording(Value, frozen=True, kw_only=True):
    pass


class MakeReport(Value, frozen=True, kw_only=True):
    """Make a report of the last ``last_s`` seconds; ``path`` None: a zip named by the time, in the current folder."""

    title: str | None = None
    last_s: float = 300.0
    redact: bool = False
    path: str | None = None


class Playback(Value, frozen=True, kw_only=True):
    """For a replay: what is not None changes. ``at`` seeks (operator's UTC of the recording)."""

    at: float | None = None
    speed: float | None = None
    paused: bool | None = None


Command = (
    SetInterval
    | AddMark
    | ResetBaselines
    | StartBurst
    | AbortBurst
    | ClearBursts
    | RunExperiment
    | AbortExperiment
    | StartRecording
    | StopRecording
    | Playback
    | MakeReport
)
