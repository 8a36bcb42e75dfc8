"""The files of a report, built in a folder of its own and put where they are wanted when all are there."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from meshtop.recording import Record, RecordingHeader, RecordingReader, RecordingWriter
from meshtop.report.cut import cut
from meshtop.report.names import Names
from meshtop.report.redact import redacted, redacted_header
from meshtop.report.story import Story

# What mail and trackers take; the recording gets the most of it, and is shortened where it is larger.
MOST_BYTES = 25 << 20
MOST_RECORDING_BYTES = 16 << 20


class ReportError(Exception):
    """The report cannot be made. The text says why and what to do."""


@dataclass(frozen=True)
class Window:
    """``begin`` to ``end`` of the recording in ``path``. ``incomplete``: why the recording has no more than that."""

    path: Path
    begin: float
    end: float
    incomplete: str | None = None


class Kit:
    """``folder`` is where files are made; ``files`` says what each holds, in the order in which they were made."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="meshtop-report-")
        self.folder = Path(self._temporary.name)
        self.files: dict[str, str] = {}

    def __enter__(self) -> Kit:
        return self

    def __exit__(self, *_: object) -> None:
        self._temporary.cleanup()

    def put(self, name: str, content: str | bytes, holds: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.files[name] = holds
        return path

    def made(self, name: str, holds: str) -> None:
        """A file that somebody else has put there."""
        self.files[name] = holds

    def sizes(self) -> list[tuple[str, int, str]]:
        """Name, bytes and what it holds; the report first."""
        named = sorted(self.files.items(), key=lambda item: (item[0] != "report.md", item[0]))
        return [(name, (self.folder / name).stat().st_size, holds) for name, holds in named]

    @property
    def bytes(self) -> int:
        return sum(size for _, size, _ in self.sizes())

    def deliver(self, target: Path) -> None:
        """Into a new folder, or a new zip where the name ends so. Raises ReportError; nothing is written over, and
        nothing is left of what could not be written whole."""
        if self.bytes > MOST_BYTES:
            raise ReportError(f"the report has {self.bytes >> 20} MB, more than {MOST_BYTES >> 20}; shorten the window")
        try:
            if target.suffix == ".zip":
                target.touch(exist_ok=False)
            else:
                target.mkdir(parents=True)
        except FileExistsError:
            raise ReportError(f"{target} is there already; give another name") from None
        except OSError as error:
            raise ReportError(f"{target}: {error.strerror or error}") from None
        try:
            self._fill(target)
        except OSError as error:
            target.unlink() if target.is_file() else shutil.rmtree(target, ignore_errors=True)
            needs = f"it needs {self.bytes / (1 << 20):.1f} MB"
            raise ReportError(f"{target}: {error.strerror or error}; {needs}, and nothing is left of it") from None

    def _fill(self, target: Path) -> None:
        if target.is_dir():
            for name in self.files:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.folder / name, target / name)
            return
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, _, _ in self.sizes():
                archive.write(self.folder / name, f"{target.stem}/{name}")


def cut_into(kit: Kit, name: str, window: Window, names: Names | None) -> str | None:
    """The window as a recording of its own, in other names where ``names`` is given. What had to be left out, in words:
    its beginning, where the whole is too large."""
    begin = window.begin
    while True:
        path = kit.folder / name
        with RecordingReader(window.path) as reader:
            header, records = cut(reader, begin, window.end)
            _write(path, *_told(header, records, names))
        size = path.stat().st_size
        if size <= MOST_RECORDING_BYTES or window.end - begin < 1.0:
            break
        begin = window.end - (window.end - begin) * 0.9 * MOST_RECORDING_BYTES / size
        path.unlink()
    kit.made(name, "the raw frames of the window and all events, replayable" + (", names replaced" if names else ""))
    if begin > window.begin:
        return f"the first {begin - window.begin:.0f} s of the window are left out: they would not fit"
    return None


def _told(
    header: RecordingHeader, records: Iterator[Record], names: Names | None
) -> tuple[RecordingHeader, Iterator[Record]]:
    return (header, records) if names is None else (redacted_header(header, names), redacted(records, names))


def _write(path: Path, header: RecordingHeader, records: Iterator[Record]) -> None:
    with path.open("xb") as file:
        writer = RecordingWriter(file, header)
        for record in records:
            writer.add(record)
        writer.close()


def data_files(kit: Kit, story: Story, prefix: str = "") -> None:
    """What scripts read."""
    encoder = msgspec.json.Encoder()
    kit.put(f"{prefix}snapshot.json", encoder.encode(story.snapshot), "the state at the end, meshtop.snapshot/1")
    lines = b"".join(encoder.encode(event) + b"\n" for event in story.told)
    kit.put(f"{prefix}events.ndjson", lines, "stalls, findings, bursts and marks as they happened, meshtop.event/1")
