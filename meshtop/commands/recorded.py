"""``--from FILE``: recordings in the place of live nodes. What is read is folded by the same engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from meshtop.collect.fold import Fold
from meshtop.commands.headless import show
from meshtop.commands.output import stdout, verdict, write_all
from meshtop.commands.pictures import Wanted, check, write
from meshtop.commands.running import FINE
from meshtop.engine.engine import Engine
from meshtop.engine.events import StreamEvent
from meshtop.recording import RecordingError, RecordingReader


def snapshot(file: Path, window_s: float, *, as_json: bool, pictures: Wanted | None = None) -> int:
    """The state at the end of a recording, as it was then; its figures over the last ``window_s``."""
    fd = stdout()
    written: int | None = None
    with open_recording(file) as reader:
        if pictures is not None:
            check(pictures, reader.header.mesh)
        engine = Engine(reader.header.mesh)
        for _ in replayed(engine, reader):
            pass
        _note_incomplete(reader)
        if pictures is not None:
            write(msgspec.structs.replace(engine.view(reader.last_at), replay=True), pictures, engine)
        if as_json or pictures is None:
            written = show(fd, engine.snapshot(reader.last_at, window_s), reader.header.mesh, as_json=as_json)
    return FINE if written is None else written


def stream(file: Path, for_s: float | None = None) -> int:
    """The events of a recording, as fast as they can be read; of its first ``for_s`` alone."""
    fd = stdout()
    encoder = msgspec.json.Encoder()
    failure: OSError | None = None
    with open_recording(file) as reader:
        try:
            for event in replayed(Engine(reader.header.mesh), reader, for_s):
                write_all(fd, encoder.encode(event) + b"\n")
        except OSError as error:
            failure = error
        _note_incomplete(reader)
    written = verdict(failure)
    return FINE if written is None else written


def open_recording(file: Path) -> RecordingReader:
    """Raises a usage error that says what is wrong with the file."""
    try:
        return RecordingReader(file)
    except RecordingError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror or error}") from None


def replayed(engine: Engine, reader: RecordingReader, for_s: float | None = None) -> Iterator[StreamEvent]:
    """Folds a recording into ``engine``, or its first ``for_s``; what `meshtop stream` said of it when it was live. Of
    a lead that only brings the state up nothing is said."""
    fold = Fold(reader.header.mesh, engine)
    for record in reader.records():
        if for_s is not None and record.at > reader.shown_from + for_s:
            return
        told = fold.take(record)
        if record.at >= reader.shown_from:
            yield from told


def _note_incomplete(reader: RecordingReader) -> None:
    if reader.incomplete is not None:
        click.echo(f"meshtop: {reader.path} is incomplete: {reader.incomplete}", err=True)
