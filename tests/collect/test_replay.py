"""Recordings back into events, through the intake that live frames take."""

from __future__ import annotations

from meshtop.collect.replay import events
from meshtop.model import BytesDropped, LogLine
from meshtop.recording import FrameRecord, TickRecord


def test_frames_go_through_the_intake_and_damage_is_told() -> None:
    line = LogLine(at=1.0, node=None, level="info", text="x")
    got = list(events([line, FrameRecord(2.0, "a", 1, b"no frame at all"), TickRecord(3.0)]))
    assert got[0] == line
    assert isinstance(got[1], BytesDropped)
    assert got[1].framed
    assert got[2] == TickRecord(3.0)
