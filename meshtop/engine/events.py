"""The lines of ``meshtop stream`` (`meshtop.event/1`): views of the document, each with its time and what became of it.
Their names are the contract in docs/manual.md and may only be added to."""

from __future__ import annotations

from typing import Literal

from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import FindingView, LinkFigures, NodeView, StallView
from meshtop.model import NodeName, Value


class LinkEvent(LinkFigures, frozen=True, kw_only=True, tag_field="type", tag="link"):
    """One link over one sampling interval of its source. ``at`` is the interval's end, measured; what is as of now is
    None in one that is late."""

    at: str
    interval_s: float
    late: bool = False
    tx_bytes: int | None = None
    retrans: int | None = None


class NodeEvent(NodeView, frozen=True, kw_only=True, tag_field="type", tag="node"):
    """A node's view, on every change of its state and every 10 s."""

    at: str


class StallEvent(StallView, frozen=True, kw_only=True, tag_field="type", tag="stall"):
    """A stall when it opens, when its cause becomes another (``open`` again), and when it closes. A closed one is told
    again if frames that come late tell more of it: the last line of an id holds."""

    phase: Literal["open", "closed"]
    at: str


class MarkEvent(Value, frozen=True, kw_only=True, tag_field="type", tag="mark"):
    at: str
    text: str


class LogEvent(Value, frozen=True, kw_only=True, tag_field="type", tag="log"):
    at: str
    node: NodeName | None
    level: str
    text: str


class BurstEvent(BurstRecord, frozen=True, kw_only=True, tag_field="type", tag="burst"):
    """``interval``: with the newest interval alone in ``intervals``. ``closed``: the whole record."""

    at: str
    phase: Literal["queued", "started", "interval", "closed"]


class FindingEvent(FindingView, frozen=True, kw_only=True, tag_field="type", tag="finding"):
    at: str
    phase: Literal["open", "changed", "closed"]


StreamEvent = LinkEvent | NodeEvent | StallEvent | MarkEvent | LogEvent | BurstEvent | FindingEvent
