"""Recordings of labs in trouble, cut to what a verdict needs, and links with made-up signals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from meshtop.collect.replay import events
from meshtop.engine.engine import Engine
from meshtop.engine.events import FindingEvent
from meshtop.engine.snapshot import FindingView
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.model import LinkKey, Mesh
from meshtop.recording import RecordingReader, TickRecord

VERDICTS = Path(__file__).parents[2] / "fixtures" / "verdicts"
PICTURED = Path(__file__).parents[3] / "docs" / "pictures"


class Told(list[FindingEvent]):
    """All that was told of findings over a recording, and the engine as it was at its end."""

    engine: Engine
    last_at: float

    @property
    def open(self) -> tuple[FindingView, ...]:
        return self.engine.snapshot(self.last_at).findings

    def codes(self, *, above_info: bool = True) -> set[tuple[str, str]]:
        """(code, subject) of what was ever open: ``e>a vpn``, or a node."""
        return {(f.code, subject(f)) for f in self if not above_info or f.severity != "info"}


def subject(finding: FindingView) -> str:
    return finding.node or f"{finding.src}>{finding.dst} {finding.path}"


def play(name: str, change: Callable[[Mesh], Mesh] = lambda mesh: mesh, folder: Path = VERDICTS) -> Told:
    told = Told()
    with RecordingReader(folder / f"{name}.mtr") as reader:
        told.engine = Engine(change(reader.header.mesh))
        for event in events(reader.records()):
            said = told.engine.tick(event.at) if isinstance(event, TickRecord) else told.engine.receive(event)
            told.extend(each for each in said if isinstance(each, FindingEvent))
        told.last_at = reader.last_at
    return told


@pytest.fixture
def replay() -> Callable[..., Told]:
    return play


@pytest.fixture
def replay_pictured() -> Callable[[str], Told]:
    """Of the recordings that the pictures of the documents are made of: longer than those of tests."""
    return lambda name: play(name, folder=PICTURED)


@pytest.fixture
def link() -> Callable[..., LinkSignals]:
    def made(src: str = "e", dst: str = "a", path: str = "vpn", **figures: object) -> LinkSignals:
        signals = LinkSignals(key=LinkKey(src, dst, path))
        for name, value in figures.items():
            assert hasattr(signals, name), name
            setattr(signals, name, value)
        return signals

    return made


@pytest.fixture
def unnamed() -> Callable[[Mesh], Mesh]:
    """The same mesh, with nothing said of the ports of its tunnels."""

    def changed(mesh: Mesh) -> Mesh:
        paths = tuple(msgspec.structs.replace(path, outer_ports=()) for path in mesh.paths)
        return msgspec.structs.replace(mesh, paths=paths)

    return changed
