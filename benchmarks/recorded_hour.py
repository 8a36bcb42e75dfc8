"""An hour's recording: how large it is, how soon it is open, how long going to another time takes.

Five nodes with 200 sockets of which 20 move, through OpenSSH, recorded for two minutes and a half. The hour is made of
that: its second minute again and again, with times, counters and key frames that go on. No frame is invented, and each
decodes; but what a real hour has beside it, new connections and trouble, is not in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import os
import pty
import random
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.nodes import NAMES, BenchMesh
from benchmarks.operator_cost import MOVING, OUTGOING
from benchmarks.table import Figure, Table, median
from meshtop import compose, config
from meshtop.collect.fold import Fold, Reel
from meshtop.collect.playback import Known, Replay
from meshtop.collect.scan import LENGTH, Told
from meshtop.engine.past import packed, unpacked
from meshtop.engine.timeseries import rfc3339
from meshtop.model import LogLine, Mark, SessionChanged
from meshtop.parse.errors import ParseError
from meshtop.parse.framing import END, split_frame
from meshtop.parse.rows import Rows
from meshtop.recording import FrameRecord, Glance, Record, RecordingReader, RecordingWriter, TickRecord
from meshtop.recording.recent import is_key
from meshtop.requests import Playback

HOUR_S = 3600.0
LIVE_S = 150.0
CYCLE_S = 60.0
BUDGET_MB, BUDGET_OPEN_S, BUDGET_SEEK_MS = 60, 2, 300
SEEKS = 20


def measure(quick: bool) -> list[Table]:
    length_s = HOUR_S / 6 if quick else HOUR_S
    table = Table(
        "recorded_hour",
        f"A recording of {length_s / 60:g} minutes, 5 nodes × 20 moving sockets at 1 Hz",
        (
            *("MB", "on the screen after, s", "read through in, s", "seek: shown after ms", "worst"),
            *("engine there after ms", "worst ", "before it is read through: shown after ms", "worst  "),
            *("engine there after ms ", "worst   "),
        ),
    )
    with tempfile.TemporaryDirectory(prefix="meshtop-bench-") as folder:
        live, whole = Path(folder) / "live.mtr", Path(folder) / "hour.mtr"
        with BenchMesh() as mesh:
            for node in mesh.nodes.values():
                node.serve()
            mesh.write_files("1s")
            mesh.traffic(dict.fromkeys(NAMES, OUTGOING), MOVING)
            asyncio.run(_record(mesh, live))
        extend(live, whole, length_s)
        size_mb = whole.stat().st_size / 1e6
        shown_s = _shown_after(whole)
        with RecordingReader(whole) as reader:
            known, read_s = _read_through(whole)
            shown = [_shown(known, at) for at in _times(reader)]
            warm = [_seek(reader, known, at) for at in _times(reader)]
            glanced = [_glanced(reader, at) for at in _times(reader)]
            cold = [_seek(reader, Known(), at) for at in _times(reader)]
        known.close()
    table.add(
        Figure(size_mb, "MB", 1, budget=BUDGET_MB * length_s / HOUR_S),
        Figure(shown_s, "s", 2, budget=BUDGET_OPEN_S),
        Figure(read_s, "s", 1),
        Figure(median(shown), "ms", 0, budget=BUDGET_SEEK_MS),
        Figure(max(shown), "ms", 0, budget=BUDGET_SEEK_MS),
        Figure(median(warm), "ms", 0),
        Figure(max(warm), "ms", 0),
        Figure(median(glanced), "ms", 0, budget=BUDGET_SEEK_MS),
        Figure(max(glanced), "ms", 0, budget=BUDGET_SEEK_MS),
        Figure(median(cold), "ms", 0),
        Figure(max(cold), "ms", 0),
    )
    table.notes.append("On the screen: `meshtop replay` from its start until it names the recording.")
    table.notes.append(
        f"{SEEKS} seeks to random times. Shown is the view of then, at most 2 s before; the engine, from which it can "
        "go on and charts are drawn, follows. Before the recording is read through, which happens beside the screen, "
        "the 70 s before the wanted time are folded instead; shown is what was on a screen then, at most 5 s before."
    )
    table.notes.append("The hour repeats one real minute of two and a half; see benchmarks/recorded_hour.py.")
    return [table]


async def _record(mesh: BenchMesh, path: Path) -> None:
    monitor = compose.watch(config.load(mesh.config), path)
    watching = asyncio.create_task(monitor.run())
    try:
        await asyncio.wait_for(monitor.settled(), 30)
        await asyncio.sleep(LIVE_S)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


# ── the hour ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Going:
    """A connection whose frames go on: the rows as they are now, and the numbers of the next frame."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.names: dict[tuple[str, str], None] = {}
        self.seq = 0
        self._pings_told: set[str] = set()  # rows of pings that were whole since the last key frame
        self._steps: dict[tuple[int, str], tuple[list[str], list[str]]] = {}  # a ping's row in a key frame, and before

    def frame(self, raw: bytes, later_s: float, *, whole: bool) -> bytes:
        """The frame with times ``later_s`` later; ``whole``: as a key frame of what the rows are with it."""
        header, body = split_frame(raw)
        whole = whole or header.key
        before = dict(self.rows.table("p"))
        if header.key and not later_s:
            self.rows.clear()
            self.names.clear()
        if whole:
            self._pings_told.clear()
        told: list[str] = []
        for line in body.decode("utf-8", "replace").split("\n")[:-1]:
            told += self._line(line, header.seq, before, again=bool(header.key and later_s))
        if whole:
            rest = [name for name in self.names if name[0] != "p"]
            told = [line for line in told if line[:1] in "SUp"] + [
                f"{table}{row}={' '.join(self.rows.table(table)[row])}" for table, row in rest
            ]
        self.seq += 1
        new = "".join(f"{line}\n" for line in told).encode()
        words = raw[: raw.find(b"\n")].decode("ascii").split(" ")
        words[3], words[4] = str(self.seq), f"{header.uptime_s + later_s:.2f}"
        words[7], words[8] = "K" if whole else "D", str(len(new))
        return " ".join(words).encode() + b"\n" + new + END

    def _line(self, line: str, seq: int, before: dict[str, list[str]], *, again: bool) -> list[str]:
        table, (row, equals, text) = line[:1], line[1:].partition("=")
        if again and equals and row.isalnum():
            if table != "p" or (seq, row) not in self._steps:
                return []  # the rows of the first time round; ours have gone on
            line = f"p{row}={' '.join(_stepped(self.rows.table('p')[row], *self._steps[seq, row]))}"
        elif table == "p" and equals and row in before and not again:
            self._steps[seq, row] = (before[row], text.split())
        try:
            change = self.rows.apply(line)
        except ParseError:
            return []
        if change is None:
            return [line]
        if change.words is None:
            self.names.pop((change.table, change.row), None)
        else:
            self.names[change.table, change.row] = None
        if change.table == "p" and change.words is not None and change.row not in self._pings_told:
            self._pings_told.add(change.row)
            return [f"p{change.row}={' '.join(change.words)}"]
        return [line]


def _stepped(words: list[str], before: list[str], after: list[str]) -> list[str]:
    """``words`` with what numbers grew by from ``before`` to ``after``; where these are of another form, ``after``."""
    if not len(words) == len(before) == len(after):
        return after
    return [_grown(*each) for each in zip(words, before, after, strict=True)]


def _grown(word: str, before: str, after: str) -> str:
    numbers = [re.fullmatch(r"([^0-9]*)([0-9]+)", each) for each in (word, before, after)]
    if not all(numbers):
        return after
    now, old, new = (match for match in numbers if match is not None)
    return f"{now[1]}{int(now[2]) + int(new[2]) - int(old[2])}"


def extend(live: Path, whole: Path, length_s: float) -> None:
    """Write ``length_s`` seconds, of which the first are those of ``live`` and the others its second minute again."""
    with RecordingReader(live) as reader, whole.open("xb") as file:
        writer = RecordingWriter(file, reader.header)
        records = list(heapq.merge(reader.records(), _glances(reader), key=lambda record: record.at))
        connections: dict[tuple[str, int], _Going] = {}
        for at in _cycles(records, reader.first_at, length_s, connections):
            writer.add(at)
        writer.close()


def _glances(reader: RecordingReader) -> list[Glance]:
    """All that were recorded, oldest first."""
    found: list[Glance] = []
    while (glance := reader.glance(found[-1].at - 1e-3 if found else reader.last_at)) is not None:
        found.append(glance)
    return found[::-1]


def _cycles(
    records: list[Record | Glance], first_at: float, length_s: float, connections: dict[tuple[str, int], _Going]
) -> Iterator[Record | Glance]:
    keys = sorted(record.at for record in records if isinstance(record, FrameRecord) and is_key(record.raw))
    begin = next(at for at in keys if at > first_at + CYCLE_S / 2) - 0.2
    cycle = [record for record in records if begin <= record.at < begin + CYCLE_S]
    for record in records:
        if record.at < begin + CYCLE_S:
            yield _later(record, 0.0, connections, whole=False)
    later_s = CYCLE_S
    while begin + later_s < first_at + length_s:
        begun: set[tuple[str, int]] = set()
        for record in cycle:
            if isinstance(record, SessionChanged | LogLine | Mark):
                continue
            whole = isinstance(record, FrameRecord) and (record.node, record.connection) not in begun
            if isinstance(record, FrameRecord):
                begun.add((record.node, record.connection))
            yield _later(record, later_s, connections, whole=whole)
        later_s += CYCLE_S


def _later(
    record: Record | Glance, later_s: float, connections: dict[tuple[str, int], _Going], *, whole: bool
) -> Record | Glance:
    if isinstance(record, Glance):
        kept, at = unpacked(record.packed), record.at + later_s
        assert kept is not None
        snapshot = msgspec.structs.replace(kept.snapshot, at=rfc3339(at))
        return Glance(at, packed(msgspec.structs.replace(kept, at=at, snapshot=snapshot)))
    if isinstance(record, FrameRecord):
        going = connections.setdefault((record.node, record.connection), _Going())
        raw = going.frame(record.raw, later_s, whole=whole)
        return FrameRecord(record.at + later_s, record.node, record.connection, raw)
    if isinstance(record, TickRecord):
        return TickRecord(record.at + later_s)
    return msgspec.structs.replace(record, at=record.at + later_s)


# ── measuring ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _shown_after(path: Path) -> float:
    """Until the screen of ``meshtop replay`` names the recording."""
    leader, follower = pty.openpty()
    started = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "meshtop.cli", "replay", str(path)],
        stdin=follower, stdout=follower, stderr=follower, env={**os.environ, "TERM": "xterm-256color"},
    ) as process:  # fmt: skip
        os.close(follower)
        seen = b""
        while path.name.encode() not in seen and time.monotonic() - started < 60:
            if select.select([leader], [], [], 1.0)[0]:
                seen += os.read(leader, 65536)
        took_s = time.monotonic() - started
        os.write(leader, b"q")
        while process.poll() is None and time.monotonic() - started < 60:
            if select.select([leader], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    os.read(leader, 65536)
    os.close(leader)
    return took_s


def _read_through(path: Path) -> tuple[Known, float]:
    known, started = Known(), time.monotonic()
    with subprocess.Popen([sys.executable, "-m", "meshtop.collect.scan", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while head := process.stdout.read(LENGTH.size):
            data = process.stdout.read(LENGTH.unpack(head)[0])
            known.take(msgspec.msgpack.decode(data, type=Told))
    return known, time.monotonic() - started


def _times(reader: RecordingReader) -> list[float]:
    chance = random.Random(1)  # the same times each run
    return [chance.uniform(reader.first_at + CYCLE_S, reader.last_at) for _ in range(SEEKS)]


def _shown(known: Known, at: float) -> float:
    """Milliseconds until there is a view to paint."""
    started = time.monotonic()
    assert known.view(at) is not None
    return 1000 * (time.monotonic() - started)


def _glanced(reader: RecordingReader, at: float) -> float:
    """Milliseconds until a replay that has read nothing through has something to paint of then."""
    source = Replay(reader, paused=True)
    started = time.monotonic()
    source.send(Playback(at=at))
    view = source.view()
    took_ms = 1000 * (time.monotonic() - started)
    source._known.close()  # it is never run
    assert view.past
    assert view.snapshot.links
    return took_ms


def _seek(reader: RecordingReader, known: Known, at: float) -> float:
    """Milliseconds until the engine stands there."""
    started = time.monotonic()
    fold: Fold | None = known.fold(at)
    if fold is None:
        reel = Reel.cold(reader, at)
    else:
        reel = Reel(reader, fold)
        reel.forward(at)
    reel.fold.engine.view(at)
    return 1000 * (time.monotonic() - started)
