"""What comes is kept for some minutes, and a recording may begin at any time of it."""

from __future__ import annotations

import io
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

import pytest

from meshtop.collect.fold import Fold
from meshtop.engine.snapshot import NodeView
from meshtop.model import BaselinesKnown, Mark, Mesh, NodeName
from meshtop.recording import FrameRecord, Glance, Record, RecordingReader, TickRecord
from meshtop.recording.recent import KEPT_S, LEAD_S
from meshtop.recording.tape import GLANCE_EVERY_S, Tape

MESH = Mesh(name="m", nodes=(), paths=())


def lab_recording() -> Path:
    """A real one of five nodes, 76 seconds with two key frames of each."""
    return Path(str(files("meshtop.lab"))) / "recordings" / "miku.mtr"


class Running:
    """A tape that is fed with a recording of a lab, at the times at which that was made."""

    def __init__(self, part_bytes: int = 1 << 30, *, folds: bool = False) -> None:
        with RecordingReader(lab_recording()) as reader:
            self.records = list(reader.records())
            self.mesh = reader.header.mesh
        self.at = self.records[0].at
        self.first_at = self.at
        self.said: list[str] = []
        self.live = Fold(self.mesh)
        self._folds = folds
        self.tape = Tape(self.mesh, lambda: self.at, self.live.engine.baselines, self.said.append, part_bytes)

    def until(self, seconds: float) -> None:
        while self.records and self.records[0].at <= self.first_at + seconds:
            record = self.records.pop(0)
            self.at = record.at
            if isinstance(record, FrameRecord):
                self.tape.raw_frame(record.node, record.connection, record.at, record.raw)
            elif isinstance(record, TickRecord):
                self.tape.tick(record.at)
            else:
                self.tape.event(record)
            if self._folds:
                self.live.take(record)

    def nodes(self) -> dict[NodeName, NodeView]:
        return told_nodes(self.live, self.at)


def told_nodes(fold: Fold, at: float) -> dict[NodeName, NodeView]:
    return {node.name: node for node in fold.engine.snapshot(at).nodes}


def folded(reader: RecordingReader, until: float) -> Fold:
    fold = Fold(reader.header.mesh)
    for record in reader.records():
        if record.at > until:
            break
        fold.take(record)
    return fold


def test_a_recording_begun_in_the_middle_tells_all_from_its_first_moment(tmp_path: Path) -> None:
    running = Running(folds=True)
    running.until(40.0)
    begun, nodes = running.at, running.nodes()
    running.tape.start(tmp_path / "late.mtr")
    running.until(70.0)
    running.tape.close()
    with RecordingReader(tmp_path / "late.mtr") as reader:
        assert reader.shown_from == pytest.approx(begun)
        assert reader.last_at == pytest.approx(running.at, abs=1.0)
        again = told_nodes(folded(reader, begun), begun)
        assert {name: node.state for name, node in again.items()} == dict.fromkeys("abcde", "up")
        assert {name: node.sockets for name, node in again.items()} == {n: node.sockets for n, node in nodes.items()}
        assert not any(node.dropped_bytes or node.unparsed for node in again.values())
        links = {link.key: link for link in folded(reader, reader.last_at).engine.snapshot(reader.last_at).links}
    for link in running.live.engine.snapshot(running.at).links:
        assert links[link.key].flows == link.flows
        assert links[link.key].rtt_baseline_ms == pytest.approx(link.rtt_baseline_ms, rel=0.1)


def test_what_is_in_memory_is_a_recording_of_its_own(tmp_path: Path) -> None:
    running = Running()
    running.until(60.0)
    (tmp_path / "memory.mtr").write_bytes(running.tape.recent(20.0))
    with RecordingReader(tmp_path / "memory.mtr") as reader:
        assert reader.incomplete is None
        assert reader.shown_from == pytest.approx(running.at - 20.0)
        nodes = told_nodes(folded(reader, reader.last_at), reader.last_at)
    assert {node.state for node in nodes.values()} == {"up"}


def test_parts_open_together_and_each_alone(tmp_path: Path) -> None:
    running = Running(part_bytes=100_000)
    running.until(30.0)
    path = tmp_path / "long.mtr"
    running.tape.start(path)
    running.tape.event(Mark(at=running.at, text="begun"))
    running.until(76.0)
    assert running.tape.view is not None
    total = running.tape.view.size_bytes
    running.tape.close()
    with RecordingReader(path) as together:
        assert together.parts >= 2
        assert together.size_bytes == pytest.approx(total, rel=0.01), "but for what had not been written yet"
        frames = [(r.node, r.raw) for r in together.records() if isinstance(r, FrameRecord)]
        assert together.incomplete is None
        assert len(frames) == len(set(frames)), "what two parts have in common is told once"
        nodes = told_nodes(folded(together, together.last_at), together.last_at)
        last, parts = together.last_at, together.parts
    assert not any(node.dropped_bytes for node in nodes.values())
    with RecordingReader(tmp_path / f"long.{parts}.mtr") as alone:
        assert alone.header.part == parts
        assert alone.last_at == last
        at = alone.shown_from
        assert {node.state for node in told_nodes(folded(alone, at), at).values()} == {"up"}


def test_a_missing_part_ends_the_reading_there(tmp_path: Path) -> None:
    running = Running(part_bytes=100_000)
    running.tape.start(tmp_path / "long.mtr")
    running.until(76.0)
    running.tape.close()
    (tmp_path / "long.2.mtr").unlink()
    with RecordingReader(tmp_path / "long.mtr") as reader:
        assert reader.parts == 1


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_takes_no_more_ends_the_recording_and_not_the_rest(tmp_path: Path) -> None:
    running = Running()
    with no_file_larger_than(60_000):
        running.tape.start(tmp_path / "full.mtr")
        running.until(76.0)
    assert len(running.said) == 1
    assert "full.mtr has ended" in running.said[0]
    view = running.tape.view
    assert view is not None
    assert view.failure is not None
    assert not running.tape.is_recording
    with RecordingReader(tmp_path / "full.mtr") as reader:
        assert reader.last_at > reader.first_at
    running.tape.start(tmp_path / "again.mtr")
    assert running.tape.view is not None
    assert running.tape.view.failure is None
    running.tape.close()


def test_nothing_is_written_over_and_one_is_made_at_a_time(tmp_path: Path) -> None:
    tape = Tape(MESH, lambda: 1000.0, lambda at: BaselinesKnown(at=at, rtt_ms=()), lambda _: None)
    there = tmp_path / "there.mtr"
    there.write_text("mine")
    with pytest.raises(FileExistsError):
        tape.start(there)
    assert there.read_text() == "mine"
    tape.start(tmp_path / "new.mtr")
    with pytest.raises(ValueError, match="already recording"):
        tape.start(tmp_path / "other.mtr")
    tape.close()


def test_memory_keeps_a_quarter_of_an_hour_and_not_more() -> None:
    at = [0.0]
    tape = Tape(MESH, lambda: at[0], lambda now: BaselinesKnown(at=now, rtt_ms=()), lambda _: None)
    hour: list[Record] = [TickRecord(float(second)) for second in range(3600)]
    for record in hour:
        at[0] = record.at
        tape.tick(record.at)
    data = tape.recent(3600.0)
    kept = _read(data)
    assert KEPT_S <= kept[-1].at - kept[0].at <= KEPT_S + LEAD_S + 125.0


def test_a_glance_is_recorded_every_few_seconds_and_only_while_recording(tmp_path: Path) -> None:
    running = Running()
    running.until(10)
    assert not running.tape.wants_glance(running.at)
    running.tape.glance(running.at, b"nobody records")
    path = running.tape.start(tmp_path / "x.mtr")
    began = running.at
    for second in range(11, 31):
        running.until(second)
        running.tape.glance(running.at, b"shown")
    running.tape.close()
    with RecordingReader(path) as reader:
        glance = reader.glance(reader.last_at)
        assert glance is not None
        assert glance.packed == b"shown"
        assert reader.last_at - glance.at < GLANCE_EVERY_S + 1
        assert reader.glance(began) is None
        assert sum(block.glanced for block in reader.blocks) == 4
        assert all(not isinstance(record, Glance) for record in reader.records())


def _read(data: bytes) -> list[Record]:
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile(suffix=".mtr") as file:
        file.write(io.BytesIO(data).getvalue())
        file.flush()
        with RecordingReader(Path(file.name)) as reader:
            return [record for record in reader.records() if isinstance(record, TickRecord)]
