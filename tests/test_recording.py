"""The recording format: what goes in comes out, whatever kills the writer."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.model import (
    BaselinesForgotten,
    BytesDropped,
    IntervalAsked,
    LogLine,
    LookTaken,
    Mark,
    Mesh,
    Node,
    OperatorPing,
    SessionChanged,
    SessionStats,
)
from meshtop.model import Path as MeshPath
from meshtop.recording import (
    BLOCK_S,
    FRESH_S,
    FrameRecord,
    Glance,
    Record,
    RecordingError,
    RecordingHeader,
    RecordingReader,
    RecordingWriter,
    TickRecord,
)

MESH = Mesh(
    name="miku",
    nodes=(Node(name="a", address={"vpn": "10.10.10.1"}), Node(name="b", address={"vpn": "10.10.10.2"})),
    paths=(MeshPath(name="vpn", kind="overlay", outer_ports=(443,)),),
)
HEADER = RecordingHeader(meshtop="1.2.3", started_at=1000.0, mesh=MESH)


def write(path: Path, records: list[Record | Glance]) -> None:
    with path.open("wb", buffering=0) as file:
        writer = RecordingWriter(file, HEADER)
        for record in records:
            writer.add(record)
        writer.close()


def everything(path: Path, start: float | None = None) -> list[Record]:
    with RecordingReader(path) as reader:
        return list(reader.records(start))


def seconds(count: int) -> list[Record]:
    return [FrameRecord(1000.0 + n, "a", 1, b"frame %d " % n + bytes(range(256)) * 4) for n in range(count)]


def test_every_kind_of_record_comes_back_as_it_was(tmp_path: Path) -> None:
    records: list[Record] = [
        SessionChanged(
            at=1000.0, node="a", connection=1, phase="down", fault="refused", reason="no", cure="start sshd"
        ),
        FrameRecord(1000.1, "a", 1, b"\x00\xff raw \n"),
        SessionStats(at=1000.2, node="a", connection=1, ssh_rtt_ms=3.5, rx_wire_bytes=None),
        OperatorPing(at=1000.3, node="b", path="vpn", rtt_ms=None, problem="no route"),
        LogLine(at=1000.4, node=None, level="warning", text="湖北"),
        Mark(at=1000.5, text="push start"),
        BytesDropped(at=1000.5, node="a", connection=1, count=7, excerpt="motd"),
        IntervalAsked(at=1000.55, interval_s=0.2),
        BaselinesForgotten(at=1000.56),
        LookTaken(at=1000.57, node="a", interval_s=0.2),
        TickRecord(1000.6),
    ]
    file = tmp_path / "x.mtr"
    write(file, records)
    assert everything(file) == records
    with RecordingReader(file) as reader:
        assert reader.header == HEADER
        assert reader.incomplete is None
        assert (reader.first_at, reader.last_at) == (1000.0, 1000.6)


@given(
    st.lists(
        st.builds(FrameRecord, st.floats(0, 4e9), st.sampled_from("abcde"), st.integers(0, 99), st.binary(max_size=300))
    )
)
def test_any_records_in_any_order_of_time_round_trip(records: list[Record]) -> None:
    file = Path("/dev/shm") / f"meshtop-test-{os.getpid()}.mtr"  # noqa: S108  # one small file, many rounds
    try:
        write(file, records)
        assert everything(file) == records
    finally:
        file.unlink(missing_ok=True)


def test_a_file_cut_anywhere_opens_up_to_there_and_says_so(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mtr"
    records = seconds(20)
    write(whole, records)
    data = whole.read_bytes()
    head = data.index(b"\n") + 1
    complete = 0
    for cut in range(head, len(data), 7):
        part = tmp_path / "part.mtr"
        part.write_bytes(data[:cut])
        with RecordingReader(part) as reader:
            got = list(reader.records())
            assert got == records[: len(got)]
            if reader.incomplete is None:
                complete += 1
            else:
                assert "ends within" in reader.incomplete
    # only cuts exactly between blocks are not seen as such
    assert complete <= 20


def test_damage_within_a_block_ends_the_reading_there_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    records = seconds(10)
    write(file, records)
    data = bytearray(file.read_bytes())
    data[-20] ^= 0xFF
    file.write_bytes(data)
    with RecordingReader(file) as reader:
        got = list(reader.records())
        assert 0 < len(got) < len(records)
        assert got == records[: len(got)]
        assert reader.incomplete is not None
        assert "checksum" in reader.incomplete


def test_reading_from_a_time_starts_at_the_last_fresh_block_before_it(tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    records = seconds(int(5 * FRESH_S))
    write(file, records)
    start = 1000.0 + 3.5 * FRESH_S
    got = everything(file, start)
    assert got == records[-len(got) :]
    assert start - FRESH_S - 2 * BLOCK_S - 1 <= got[0].at <= start


def test_alike_frames_cost_little(tmp_path: Path) -> None:
    """A second that repeats the one before is packed against it, although each block stands alone in the file."""
    file = tmp_path / "x.mtr"
    body = os.urandom(4000)
    write(file, [FrameRecord(1000.0 + n, "a", 1, body) for n in range(60)])
    assert file.stat().st_size < 60 * 4000 / 8


def test_killed_writer_leaves_all_but_the_last_block(tmp_path: Path) -> None:
    file = tmp_path / "killed.mtr"
    program = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from pathlib import Path
from meshtop.model import Mesh
from meshtop.recording import FrameRecord, RecordingHeader, RecordingWriter
writer = RecordingWriter(Path({str(file)!r}).open("wb", buffering=0),
                         RecordingHeader(meshtop="x", started_at=0.0, mesh=Mesh(name="m", nodes=(), paths=())))
for n in range(100):
    writer.add(FrameRecord(float(n), "a", 1, b"x" * 100))
print("written", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "written\n"
        child.send_signal(signal.SIGKILL)
    with RecordingReader(file) as reader:
        assert len(list(reader.records())) >= 98


def test_what_is_no_recording_is_refused_by_name(tmp_path: Path) -> None:
    for content in (b"hello\n", b"{}\n", b'{"magic":"other","format":1}\n', os.urandom(1000)):
        file = tmp_path / "x.mtr"
        file.write_bytes(content)
        with pytest.raises(RecordingError, match="not a meshtop recording"):
            RecordingReader(file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty, nothing was recorded"),
        (b'{"magic":"meshtop-recording","format":1,"mes', "cut off within its first line"),
    ],
)
def test_what_was_hardly_begun_is_told_apart(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "x.mtr"
    file.write_bytes(content)
    with pytest.raises(RecordingError, match=why):
        RecordingReader(file)


def test_a_newer_format_is_named_with_the_version_that_wrote_it(tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    file.write_bytes(b'{"magic":"meshtop-recording","format":99,"meshtop":"9.0","more":1}\n')
    with pytest.raises(RecordingError, match=r"meshtop 9\.0"):
        RecordingReader(file)


def test_kinds_of_records_that_a_newer_version_added_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    stream = io.BytesIO()
    writer = RecordingWriter(stream, HEADER)
    writer.add(TickRecord(1000.0))
    writer._packer._pending.append((99, TickRecord(1000.1)))
    writer.flush()
    file.write_bytes(stream.getvalue())
    with RecordingReader(file) as reader:
        assert list(reader.records()) == [TickRecord(1000.0)]
        assert reader.unknown_records == 1


def glancing(count: int) -> list[Record | Glance]:
    """A frame a second, and a glance with every fifth."""
    told: list[Record | Glance] = []
    for n, frame in enumerate(seconds(count)):
        told.append(frame)
        if n % 5 == 0:
            told.append(Glance(1000.0 + n, b"shown at %d" % n))
    return told


def test_the_newest_glance_before_a_time_is_found(tmp_path: Path) -> None:
    write(tmp_path / "x.mtr", glancing(200))
    with RecordingReader(tmp_path / "x.mtr") as reader:
        for at, shown in ((1000.0, 0), (1004.9, 0), (1005.0, 5), (1062.0, 60), (1150.0, 150), (5000.0, 195)):
            assert reader.glance(at) == Glance(1000.0 + shown, b"shown at %d" % shown)
        assert reader.glance(999.9) is None
        assert sum(block.glanced for block in reader.blocks) == 40


def test_glances_are_no_records(tmp_path: Path) -> None:
    write(tmp_path / "x.mtr", glancing(200))
    with RecordingReader(tmp_path / "x.mtr") as reader:
        assert list(reader.records()) == seconds(200)
        assert reader.unknown_records == 0


def test_a_recording_without_glances_has_none(tmp_path: Path) -> None:
    write(tmp_path / "x.mtr", list(seconds(100)))
    with RecordingReader(tmp_path / "x.mtr") as reader:
        assert reader.glance(1050.0) is None


def test_a_glance_in_a_damaged_stretch_is_none_and_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    write(file, glancing(50))
    with RecordingReader(file) as reader:
        first = reader.blocks[0]
    data = bytearray(file.read_bytes())
    data[first.offset : first.offset + first.packed_bytes] = bytes(first.packed_bytes)
    file.write_bytes(data)
    with RecordingReader(file) as reader:
        assert reader.glance(1040.0) is None
        assert reader.incomplete is None


def test_a_full_disk_is_an_error_for_the_caller_and_the_rest_stays_readable(tmp_path: Path) -> None:
    class Disk(io.BytesIO):
        room = 2000

        def write(self, data: object) -> int:
            assert isinstance(data, memoryview | bytes)
            if self.tell() + len(data) > self.room:
                raise OSError(28, "No space left on device")
            return super().write(data)

    disk = Disk()
    writer = RecordingWriter(disk, HEADER)

    def fill() -> None:
        for n in range(1000):
            writer.add(FrameRecord(1000.0 + n, "a", 1, os.urandom(100)))

    with pytest.raises(OSError, match="No space"):
        fill()
    file = tmp_path / "x.mtr"
    file.write_bytes(disk.getvalue())
    assert len(everything(file)) > 1


def test_the_header_may_grow() -> None:
    extended = msgspec.json.decode(msgspec.json.encode(HEADER))
    extended["added_later"] = 1
    assert msgspec.json.decode(msgspec.json.encode(extended), type=RecordingHeader) == HEADER
