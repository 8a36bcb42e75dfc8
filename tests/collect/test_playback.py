"""A recording that is played: to and fro, and what a screen may ask of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshtop.collect.fold import Fold, Reel
from meshtop.collect.playback import _GLANCE_S, Replay
from meshtop.collect.scan import LENGTH, Stops, Told
from meshtop.engine.past import Archive
from meshtop.engine.snapshot import Snapshot
from meshtop.engine.view import PlaybackView
from meshtop.model import Mark
from meshtop.recording import Glance, RecordingReader, RecordingWriter
from meshtop.requests import AddMark, Playback, SetInterval

PATIENCE_S = 60.0


@pytest.fixture
def recording() -> Path:
    """A real one of a lab with a blackout in it, 37 seconds long."""
    return Path(__file__).parents[1] / "fixtures" / "recordings" / "blackout.mtr"


@asynccontextmanager
async def playing(reader: RecordingReader, **options: object) -> AsyncIterator[Replay]:
    replay = Replay(reader, **options)  # type: ignore[arg-type]
    task = asyncio.create_task(replay.run())
    try:
        await asyncio.wait_for(replay.settled(), PATIENCE_S)
        yield replay
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(replay: Replay, true: Callable[[PlaybackView], bool]) -> PlaybackView:
    """Waits for changes that the replay tells of."""
    changed = asyncio.Event()
    replay.subscribe(changed.set)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            playback = replay.view().playback
            assert playback is not None
            if true(playback):
                return playback
            changed.clear()
            await changed.wait()


def straight(reader: RecordingReader, at: float) -> Snapshot:
    """What folding all that came before gives."""
    fold = Fold(reader.header.mesh)
    for record in reader.records():
        if record.at > at:
            break
        fold.take(record)
    return fold.engine.snapshot(at)


def test_a_fold_that_was_kept_goes_on_as_the_one_that_was_not(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        fold = Fold(reader.header.mesh)
        for number, records in reader.blocks_from(0):
            for record in records:
                fold.take(record)
            fold.after = number
            if fold.at is not None and fold.at > reader.first_at + 15:
                break
        again = Reel(reader, Fold.again(fold.kept()))
        again.forward(reader.first_at + 25)
        assert again.fold.engine.snapshot(reader.first_at + 25) == straight(reader, reader.first_at + 25)


def test_a_cold_start_knows_every_node_and_socket(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        at = reader.last_at - 1
        cold, whole = Reel.cold(reader, at).fold.engine.snapshot(at), straight(reader, at)
    assert [(node.state, node.sockets) for node in cold.nodes] == [(node.state, node.sockets) for node in whole.nodes]
    assert [(link.key, link.flows) for link in cold.links] == [(link.key, link.flows) for link in whole.links]


async def test_it_goes_where_it_is_sent_back_and_on(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        async with playing(reader, paused=True) as replay:
            for seconds in (25.0, 10.0, 12.0):
                replay.send(Playback(at=reader.first_at + seconds))
                at = reader.first_at + seconds
                playback = await until(replay, lambda playback, at=at: not playback.seeking and playback.at == at)
                assert playback.paused
                shown = {link.key: link.flows for link in replay.view().snapshot.links}
                assert shown == {link.key: link.flows for link in straight(reader, at).links}


async def test_it_plays_stops_and_ends(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        async with playing(reader, speed=64.0, at=reader.last_at - 10) as replay:
            ended = await until(replay, lambda playback: playback.at >= reader.last_at)
            assert ended.paused
            replay.send(Playback(at=reader.first_at + 15, speed=0.25, paused=False))
            await until(replay, lambda playback: not playback.seeking and playback.at > reader.first_at + 15)
            replay.send(Playback(paused=True))
            stopped = await until(replay, lambda playback: playback.paused)
            assert stopped.speed == 0.25


async def test_it_is_read_through_beside_the_playing_and_tells_its_stops(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        async with playing(reader, paused=True) as replay:
            playback = await until(replay, lambda playback: playback.read_until == reader.last_at)
    assert playback.stops
    assert all(reader.first_at <= stop.at <= reader.last_at for stop in playback.stops)
    assert list(playback.stops) == sorted(playback.stops, key=lambda stop: stop.at)


async def test_what_needs_the_nodes_is_refused_and_marks_are_not(recording: Path) -> None:
    with RecordingReader(recording) as reader:
        async with playing(reader, paused=True, at=reader.first_at + 15) as replay:
            with pytest.raises(ValueError, match="recording"):
                replay.send(SetInterval(interval_s=1.0))
            with pytest.raises(ValueError, match="times as fast"):
                replay.send(Playback(speed=1000.0))
            replay.send(AddMark(text="here"))
            assert [mark.text for mark in replay.view().marks] == ["here"]
            assert replay.view().replay


@pytest.fixture
def cut(recording: Path, tmp_path: Path) -> Path:
    """One whose end is missing."""
    path = tmp_path / "cut.mtr"
    path.write_bytes(recording.read_bytes()[:-1000])
    return path


async def test_a_cut_file_is_marked_incomplete(cut: Path) -> None:
    with RecordingReader(cut) as reader:
        async with playing(reader, paused=True) as replay:
            playback = replay.view().playback
    assert playback is not None
    assert playback.incomplete is not None
    assert "ends within" in playback.incomplete


def test_marks_become_stops(tmp_path: Path, recording: Path) -> None:
    with RecordingReader(recording) as reader:
        header, begun = reader.header, reader.first_at
    path = tmp_path / "marks.mtr"
    with path.open("wb") as file:
        writer = RecordingWriter(file, header)
        writer.add(Mark(at=begun + 1, text="push"))
        writer.add(Mark(at=begun + 9, text="over"))
        writer.close()
    stops, fold = Stops(), Fold(header.mesh)
    with RecordingReader(path) as reader:
        for record in reader.records():
            for event in fold.take(record):
                stops.learn(event)
    assert [(stop.kind, stop.text) for stop in stops.all()] == [("mark", "push"), ("mark", "over")]


@pytest.fixture
def glanced(recording: Path, tmp_path: Path) -> Path:
    """The same, with what a screen showed 10 s after its beginning."""
    path = tmp_path / "glanced.mtr"
    with RecordingReader(recording) as reader, path.open("xb") as file:
        at, fold, given = reader.first_at + 10, Fold(reader.header.mesh), False
        writer = RecordingWriter(file, reader.header)
        for record in reader.records():
            if record.at > at and not given:
                given = True
                writer.add(Glance(at, Archive(1).take(fold.engine.view(at))))
            fold.take(record)
            writer.add(record)
        writer.close()
    return path


async def test_before_it_is_read_through_a_seek_shows_what_a_screen_showed(glanced: Path) -> None:
    with RecordingReader(glanced) as reader:
        at = reader.first_at + 10
        replay = Replay(reader, paused=True)
        replay.send(Playback(at=at + 3))
        shown = replay.view()
        assert shown.playback is not None
        assert (shown.playback.seeking, shown.playback.at, shown.playback.read_until) == (True, at + 3, None)
        assert (shown.past, shown.replay, shown.at) == (True, True, at)
        assert shown.snapshot.links == straight(reader, at).links
        for elsewhere in (at - 1, at + _GLANCE_S + 1):
            replay.send(Playback(at=elsewhere))
            assert not replay.view().past
        replay._known.close()  # it was never run


async def test_then_the_engine_is_there_and_has_learnt_nothing_from_it(glanced: Path, recording: Path) -> None:
    with RecordingReader(glanced) as reader, RecordingReader(recording) as original:
        at = reader.first_at + 13
        async with playing(reader, paused=True, at=at) as replay:
            view = replay.view()
            assert (view.past, view.at) == (False, at)
            assert view.snapshot == straight(original, at)
        assert straight(reader, reader.last_at) == straight(original, original.last_at)


async def test_it_ends_while_more_was_read_through_than_could_be_taken_up(
    recording: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As when the terminal is closed during a seek: the reading process is held back, and its pipe is full."""
    data = msgspec.msgpack.encode(Told(until=1.0, stops=(), view=bytes(1 << 20)))
    (tmp_path / "told").write_bytes(5 * (LENGTH.pack(len(data)) + data))
    spawn, spawned = asyncio.create_subprocess_exec, asyncio.Event()
    processes: list[asyncio.subprocess.Process] = []

    async def talkative(*_: object, **options: Any) -> asyncio.subprocess.Process:
        code = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
        processes.append(await spawn(sys.executable, "-c", code, str(tmp_path / "told"), **options))
        spawned.set()
        return processes[0]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", talkative)
    with RecordingReader(recording) as reader:
        replay = Replay(reader)
        async with replay._known_in_use, asyncio.timeout(PATIENCE_S):
            task = asyncio.create_task(replay._read_through())
            await spawned.wait()
            stdout = processes[0].stdout
            assert stdout is not None
            while not stdout._paused:  # type: ignore[attr-defined]  # noqa: ASYNC110 -- asyncio has no event for it
                await asyncio.sleep(0.01)
            task.cancel()
            await asyncio.wait({task})
        replay._known.close()
        assert task.cancelled()
        assert processes[0].returncode is not None
