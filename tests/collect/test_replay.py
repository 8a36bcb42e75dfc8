"""Recordings played at their own pace."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from meshtop.collect.replay import Player, ReplayClock, events
from meshtop.model import BytesDropped, EngineEvent, LogLine, Mark, Mesh
from meshtop.recording import FrameRecord, RecordingHeader, RecordingReader, RecordingWriter, TickRecord

MESH = Mesh(name="m", nodes=(), paths=())


def recorded(path: Path, *times: float) -> RecordingReader:
    with path.open("wb", buffering=0) as file:
        writer = RecordingWriter(file, RecordingHeader(meshtop="x", started_at=times[0], mesh=MESH))
        for number, at in enumerate(times):
            writer.add(Mark(at=at, text=str(number)))
        writer.close()
    return RecordingReader(path)


def test_a_replay_clock_runs_from_the_first_record_to_the_last() -> None:
    ticks = [50.0]
    clock = ReplayClock(1000.0, 1060.0, speed=4.0, ticks=lambda: ticks[0])
    assert clock.now() == 1000.0
    ticks[0] = 55.0
    assert clock.now() == 1020.0
    assert clock.seconds_until(1040.0) == pytest.approx(5.0)
    assert clock.seconds_until(1010.0) == 0.0
    ticks[0] = 500.0
    assert clock.now() == 1060.0


async def test_a_player_hands_events_out_when_their_time_has_come(tmp_path: Path) -> None:
    with recorded(tmp_path / "x.mtr", 1000.0, 1000.05, 1010.0) as reader:
        clock = ReplayClock(reader.first_at, reader.last_at, speed=50.0)
        got: list[tuple[float, EngineEvent]] = []
        ended = asyncio.Event()
        player = Player(reader, lambda event: got.append((clock.now(), event)), clock, ended.set)
        task = asyncio.create_task(player.run())
        await asyncio.wait_for(ended.wait(), 10)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [event.text for _, event in got if isinstance(event, Mark)] == ["0", "1", "2"]
    assert all(now >= event.at for now, event in got)


def test_frames_go_through_the_intake_and_damage_is_told() -> None:
    line = LogLine(at=1.0, node=None, level="info", text="x")
    got = list(events([line, FrameRecord(2.0, "a", 1, b"no frame at all"), TickRecord(3.0)]))
    assert got[0] == line
    assert isinstance(got[1], BytesDropped)
    assert got[1].framed
    assert got[2] == TickRecord(3.0)
