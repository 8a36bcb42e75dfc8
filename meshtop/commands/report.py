"""``meshtop report``: what an incident leaves for others, out of a recording or of what is watched now."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from meshtop import compose, units
from meshtop.commands.running import FINE, INTERRUPTED, beside
from meshtop.config import MeshConfig
from meshtop.engine.view import View
from meshtop.recording import SUFFIX, RecordingError, RecordingReader
from meshtop.report.charts import chart
from meshtop.report.compare import comparison
from meshtop.report.kit import Kit, ReportError, Window, cut_into, data_files
from meshtop.report.markdown import report as words
from meshtop.report.names import Names
from meshtop.report.story import Story, story

SIZE = (120, 40)


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asked for. ``target`` None: nothing is written, only listed."""

    last_s: float
    target: Path | None
    title: str | None = None
    redact: bool = False
    until: str | None = None
    against: Path | None = None
    against_until: str | None = None
    yes: bool = False


def report(file: Path, wishes: Wishes) -> int:
    """Of a recording, or of two. A usage error for what cannot be read or written."""
    try:
        with Kit() as kit:
            windows = [_window(file, wishes.last_s, wishes.until)]
            if wishes.against is not None:
                windows.append(_window(wishes.against, wishes.last_s, wishes.against_until))
            notes = _build(kit, windows, wishes)
            _preview(kit, notes)
            if wishes.target is None:
                return FINE
            if not (wishes.yes or _agreed(wishes.target)):
                return INTERRUPTED
            kit.deliver(wishes.target)
            click.echo(wishes.target)
            return FINE
    except (ReportError, RecordingError) as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.UsageError(f"{error.filename or file}: {error.strerror or error}") from None


async def live(config: MeshConfig, wishes: Wishes) -> int:
    """Watch for as long as the report is to cover, then make it of that."""
    monitor = compose.watch(config)

    async def collect() -> bytes:
        await monitor.settled()
        click.echo(f"meshtop: watching for {units.spell_duration(wishes.last_s)} …", err=True)
        await asyncio.sleep(wishes.last_s)
        return monitor.tape.recent(wishes.last_s)

    data = await beside(monitor, collect())
    with tempfile.TemporaryDirectory(prefix="meshtop-") as folder:
        file = Path(folder) / f"live{SUFFIX}"
        file.write_bytes(data)
        return await asyncio.to_thread(report, file, wishes)


def _window(path: Path, last_s: float, until: str | None) -> Window:
    from meshtop.commands.replay import moment

    with RecordingReader(path) as reader:
        if not reader.blocks:
            raise ReportError(f"{path}: the recording is empty")
        end = reader.last_at if until is None else moment(until, reader.shown_from, reader.last_at)
        missing = reader.incomplete if end >= reader.last_at else None
        return Window(path, max(end - last_s, reader.shown_from), end, missing)


def _build(kit: Kit, windows: list[Window], wishes: Wishes) -> list[str]:
    """Everything in it; what there is to say about it beside."""
    names = Names() if wishes.redact else None
    notes, stories = [], []
    prefixes = [""] if len(windows) == 1 else ["before-", "after-"]
    for prefix, window in zip(prefixes, windows, strict=True):
        name = f"{prefix}recording{SUFFIX}"
        if (note := cut_into(kit, name, window, names)) is not None:
            notes.append(note)
        with RecordingReader(kit.folder / name) as reader:
            told = replace(story(reader), incomplete=window.incomplete)
        if window.incomplete is not None:
            notes.append(f"{window.path.name} is incomplete: {window.incomplete}")
        stories.append(told)
        data_files(kit, told, prefix)
        for src, dst in told.worst:
            holds = f"round trips, retransmissions and stalls of {src} → {dst}"
            kit.put(f"charts/{prefix}{src}-{dst}.svg", chart(told, src, dst), holds)
        _pictures(kit, told, prefix)
    title = wishes.title or f"{stories[0].header.mesh.name}: {_headline(stories[-1])}"
    title = title if names is None else names.text(title)
    files = list(kit.files.items())
    text = words(stories[0], title, files) if len(stories) == 1 else comparison(stories[0], stories[1], title, files)
    kit.put("report.md", text, "the story in words and tables; begin here")
    return notes


def _headline(told: Story) -> str:
    return ", ".join(dict.fromkeys(f.code for f in told.findings if f.severity != "info")) or "nothing found"


def _pictures(kit: Kit, told: Story, prefix: str) -> None:
    """The screens as they stood: when most was wrong, and at the end."""
    wanted: list[tuple[str, str, View]] = [
        ("overview-worst", "overview", told.moment),
        ("overview-end", "overview", told.last),
    ]
    wanted += [("stalls", "stalls", told.last), ("diagnosis", "diagnosis", told.last)]
    wanted += [(f"link-{src}-{dst}", f"link:{src}:{dst}", told.last) for src, dst in told.worst[:1]]
    for name, place, view in wanted:
        _picture(kit, told, f"pictures/{prefix}{name}", place, msgspec.structs.replace(view, replay=True))


def _picture(kit: Kit, told: Story, name: str, place: str, view: View) -> None:
    from meshtop.ui import screenshot

    picture = screenshot.draw(view, place, SIZE, trail=told.engine.trail, flows=told.engine.flows)
    png, _ = picture.png()
    for ending, content in ((".svg", picture.svg()), (".png", png), (".txt", picture.text)):
        kit.put(f"{name}{ending}", content, f"the screen {place} at {view.snapshot.at}")


def _preview(kit: Kit, notes: list[str]) -> None:
    click.echo("meshtop: the report has", err=True)
    for name, size, holds in kit.sizes():
        click.echo(f"  {units.format_bytes(size):>6}B  {name:<34} {holds}", err=True)
    click.echo(f"  {units.format_bytes(kit.bytes):>6}B  in all", err=True)
    for note in notes:
        click.echo(f"meshtop: {note}", err=True)


def _agreed(target: Path) -> bool:
    """Asked on a terminal alone."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    return click.confirm(f"Write {target}?", default=True, err=True)
