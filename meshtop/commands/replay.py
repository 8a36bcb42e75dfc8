"""``meshtop replay FILE``: a recording in the full screen."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import time as time_now

import click

from meshtop import units
from meshtop.collect.playback import SPEEDS, Replay
from meshtop.commands.recorded import open_recording
from meshtop.commands.reporting import Reporting
from meshtop.commands.running import beside, run
from meshtop.commands.screen import Look, show
from meshtop.recording import RecordingReader

_FORMS = "write +5m (from its start), -90s (from its end), 14:32:07 or 2024-05-01T14:32:07Z (UTC)"


def replay(file: Path, look: Look, speed: float, at: str | None) -> int:
    """The screen until the operator quits it; its exit code. A usage error for a file that cannot be played."""
    with open_recording(file) as reader:
        if not reader.blocks:
            raise click.UsageError(f"{file}: the recording is empty{_why(reader)}")
        start = None if at is None else moment(at, reader.shown_from, reader.last_at)
        source = Replay(reader, speed, start)
        source.notice = notice(reader)
        return run(lambda: beside(source, _shown(source, look)))


async def _shown(source: Replay, look: Look) -> int:
    reports = Reporting(time_now, lambda _: None)
    source.reporting, source.report_view = reports.start, lambda: reports.view
    try:
        return await show(source, look)
    finally:
        await reports.close()


def notice(reader: RecordingReader) -> str:
    """One line that says what is played."""
    length = units.format_duration(reader.last_at - reader.shown_from)
    began = datetime.fromtimestamp(reader.shown_from, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    words = [f"{began}, {length}", f"meshtop {reader.header.meshtop}"]
    if reader.parts > 1:
        words.append(f"{reader.parts} parts")
    if reader.header.redacted:
        words.append("names replaced")
    if reader.incomplete is not None:
        words.append(f"INCOMPLETE: {reader.incomplete}")
    return f"{reader.path.name}: {' · '.join(words)}"


def check_speed(speed: float) -> float:
    if not SPEEDS[0] <= speed <= SPEEDS[-1]:
        raise click.UsageError(f"--speed: {SPEEDS[0]:g} to {SPEEDS[-1]:g}")
    return speed


def moment(text: str, first_at: float, last_at: float) -> float:
    """A time within a recording, as the operator writes it. A usage error for one that is none, or outside."""
    at = _parsed(text.strip(), first_at, last_at)
    if at is None:
        raise click.UsageError(f'"{text}" is no time; {_FORMS}')
    if not first_at - 1 <= at <= last_at + 1:
        bounds = f"{_words(first_at)} to {_words(last_at)}"
        raise click.UsageError(f'"{text}" is outside of the recording, which has {bounds}')
    return at


def _parsed(text: str, first_at: float, last_at: float) -> float | None:
    try:
        if text[:1] in ("+", "-"):
            seconds = units.parse_duration(text[1:])
            return first_at + seconds if text[0] == "+" else last_at - seconds
        if "T" in text or "-" in text:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
        clock = time.fromisoformat(text)
    except ValueError:
        return None
    day = datetime.fromtimestamp(first_at, UTC).date()
    at = datetime.combine(day, clock, UTC)
    return (at if at.timestamp() >= first_at - 60 else at + timedelta(days=1)).timestamp()


def _words(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _why(reader: RecordingReader) -> str:
    return f": {reader.incomplete}" if reader.incomplete else ""
