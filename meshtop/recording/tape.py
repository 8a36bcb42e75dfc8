"""What reaches the engine, kept for some minutes and written into a file while that is asked for. A disk that is full
or gone ends the recording, never the monitor, and is said once.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

import meshtop
from meshtop import units
from meshtop.engine.view import RecordingView
from meshtop.model import BaselinesKnown, BytesDropped, EngineEvent, FrameReceived, Mesh, NodeName
from meshtop.recording.blocks import Block, Packer
from meshtop.recording.reader import part_path
from meshtop.recording.recent import Recent
from meshtop.recording.records import SUFFIX, FrameRecord, Glance, Record, RecordedEvent, RecordingHeader, TickRecord
from meshtop.recording.writer import BlockFile
from meshtop.requests import StartRecording, StopRecording

# Some four hours of five busy nodes, and a part still opens at once.
PART_BYTES = 256 << 20
# Each is some kilobytes, and what is shown of a time that was gone to is at most that much older.
GLANCE_EVERY_S = 5.0


class Tape:
    """``say`` is told in words when a recording ends by itself."""

    def __init__(
        self,
        mesh: Mesh,
        now: Callable[[], float],
        baselines: Callable[[float], BaselinesKnown],
        say: Callable[[str], None],
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._mesh = mesh
        self._now = now
        self._say = say
        self._part_bytes = part_bytes
        self._recent = Recent(lambda: baselines(now()))
        self._began = now()
        self._file: BlockFile | None = None
        self._path = Path()
        self._before_bytes = 0  # in the parts that are closed
        self._view: RecordingView | None = None
        self._glanced_at: float | None = None

    # ── what comes ───────────────────────────────────────────────────────────────────────────────────────────────────

    def raw_frame(self, node: NodeName, connection: int, at: float, raw: bytes) -> None:
        self._add(FrameRecord(at, node, connection, raw))

    def event(self, event: EngineEvent) -> None:
        """What is made of a raw frame is left out: the frame itself is recorded."""
        if isinstance(event, FrameReceived) or (isinstance(event, BytesDropped) and event.framed):
            return
        self._add(event)

    def tick(self, at: float) -> None:
        self._add(TickRecord(at))

    def wants_glance(self, at: float) -> bool:
        """Whether what a screen shows is to be recorded now; memory alone needs none."""
        last = self._glanced_at
        return self._file is not None and (last is None or not 0 <= at - last < GLANCE_EVERY_S)

    def glance(self, at: float, packed: bytes) -> None:
        """What a screen shows now, as the archive packs it; most are not wanted."""
        if self.wants_glance(at):
            self._glanced_at = at
            self._add(Glance(at, packed))

    def _add(self, record: Record | Glance) -> None:
        self._put(self._recent.add(record))

    # ── what is asked for ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def view(self) -> RecordingView | None:
        """What is being recorded, or why it ended; None where nothing was."""
        if self._view is None or self._file is None:
            return self._view
        return msgspec.structs.replace(self._view, size_bytes=self._before_bytes + self._file.bytes_written)

    def obey(self, command: StartRecording | StopRecording) -> str:
        """What was done, in words. Raises ValueError with plain words for what cannot be done."""
        match command:
            case StartRecording(path=path):
                try:
                    return f"recording into {self.start(None if path is None else Path(path))}"
                except OSError as error:
                    raise ValueError(f"cannot record: {error.strerror or error}: {error.filename}") from None
            case StopRecording():
                done = self.stop()
                if done is None:
                    raise ValueError("nothing is being recorded")
                if done.failure is not None:
                    raise ValueError(f"the recording {done.path} lacks its end: {done.failure}")
                return f"recorded {done.path}, {units.format_bytes(done.size_bytes)}B"

    @property
    def is_recording(self) -> bool:
        return self._file is not None

    def start(self, path: Path | None = None) -> Path:
        """Write all that comes from here on into a new file, after a lead that lets it be understood from here on.
        None: one named by mesh and time, in the current folder. Raises OSError if it cannot be made, ValueError if one
        is being made already."""
        if self._file is not None:
            raise ValueError(f"already recording into {self._path}")
        now = self._now()
        path = path or _own_name(self._mesh.name, now)
        self._recent.flush()
        standing, blocks = self._recent.lead(now)
        lead_until = now if blocks else None
        header = RecordingHeader(meshtop=meshtop.__version__, started_at=now, mesh=self._mesh, lead_until=lead_until)
        self._path, self._before_bytes = path, 0
        file = _begin(path, header, standing, blocks, repeated=False)
        self._file = file
        self._glanced_at = None
        self._view = RecordingView(path=str(path), size_bytes=file.bytes_written, since=now)
        return path

    def stop(self) -> RecordingView | None:
        """What was recorded; None if nothing was being."""
        file = self._file
        if file is None:
            return None
        self._put(self._recent.flush())
        view = self.view
        if view is None or view.failure is None:  # else its last block did not fit, and stays told
            self._file = self._view = None
            file.close()
        return view

    def recent(self, last_s: float) -> bytes:
        """The last ``last_s`` seconds as a whole recording of its own, as far back as memory goes."""
        self._recent.flush()
        now = self._now()
        begin = max(now - last_s, self._began)
        standing, blocks = self._recent.lead(begin)
        header = RecordingHeader(
            meshtop=meshtop.__version__, started_at=begin, mesh=self._mesh, lead_until=begin if blocks else None
        )
        memory = io.BytesIO()
        _fill(BlockFile(memory, header), standing, blocks, repeated=False)
        return memory.getvalue()

    def close(self) -> None:
        try:
            self.stop()
        except OSError as error:
            self._say(f"the recording {self._path} may lack its end: {error.strerror or error}")

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _put(self, block: Block | None) -> None:
        file = self._file
        if block is None or file is None:
            return
        try:
            file.put(block)
            if file.bytes_written >= self._part_bytes:
                self._next_part(file)
        except OSError as error:
            why = error.strerror or str(error)
            self._file = None
            if self._view is not None:
                self._view = msgspec.structs.replace(
                    self._view, size_bytes=self._before_bytes + file.bytes_written, failure=why
                )
            self._say(f"the recording {self._path} has ended: {why}")
            _close_quietly(file)

    def _next_part(self, full: BlockFile) -> None:
        now = self._now()
        header = msgspec.structs.replace(full.header, part=full.header.part + 1, lead_until=now)
        self._recent.flush(fresh=True)  # nothing is pending: a block was just given
        standing, blocks = self._recent.lead(now)
        file = _begin(part_path(self._path, header.part), header, standing, blocks, repeated=True)
        full.close()
        self._before_bytes += full.bytes_written
        self._file = file


def _begin(
    path: Path,
    header: RecordingHeader,
    standing: tuple[RecordedEvent, ...],
    blocks: tuple[Block, ...],
    *,
    repeated: bool,
) -> BlockFile:
    """A new file with its lead; an existing one is never written over."""
    # unbuffered: what a killed process has written is in the kernel's hands
    raw = path.open("xb", buffering=0)
    try:
        file = BlockFile(raw, header)
        _fill(file, standing, blocks, repeated=repeated)
    except BaseException:
        raw.close()
        raise
    return file


def _fill(file: BlockFile, standing: tuple[RecordedEvent, ...], blocks: tuple[Block, ...], *, repeated: bool) -> None:
    packer = Packer()
    for block in (*(packer.add(event) for event in standing), packer.flush(), *blocks):
        if block is not None:
            file.put(block, repeated=repeated)


def _own_name(mesh: str, at: float) -> Path:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y%m%d-%H%M%S")
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in mesh)
    return Path(f"meshtop-{safe}-{stamp}{SUFFIX}")


def _close_quietly(file: BlockFile) -> None:
    with contextlib.suppress(OSError):  # it was the disk that failed
        file.close()
