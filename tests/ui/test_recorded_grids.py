"""Every screen as text, from a recording of a lab: what the pictures of the README are made from, at three sizes.

``MESHTOP_UPDATE_GRIDS=1 pytest tests/ui`` stores new ones: look at them before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from meshtop.commands.recorded import replayed
from meshtop.engine.engine import Engine
from meshtop.recording import RecordingReader
from meshtop.ui.screenshot import drawn

RECORDING = Path(__file__).parents[2] / "docs" / "pictures" / "miku.mtr"
GRIDS = Path(__file__).parent / "grids" / "recorded"
VIEWS = ("overview", "link:e:a", "node:a", "stalls", "diagnosis", "burst", "log")
SIZES = ((120, 40), (80, 24), (40, 10))


@pytest.fixture(scope="module")
def folded():
    """The engine at the end of the recording, and what it shows then."""
    with RecordingReader(RECORDING) as reader:
        engine = Engine(reader.header.mesh)
        for _ in replayed(engine, reader):
            pass
        assert reader.incomplete is None
        return engine, msgspec.structs.replace(engine.view(reader.last_at), replay=True)


@pytest.mark.parametrize(("width", "height"), SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_screen_shows_a_recording_as_it_did(folded, name, width, height):
    engine, view = folded
    picture = await drawn(view, name, (width, height), trail=engine.trail, flows=engine.flows)
    lines = picture.text.splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= height
    stored = GRIDS / f"{name.replace(':', '-')}-{width}x{height}.txt"
    if os.environ.get("MESHTOP_UPDATE_GRIDS"):
        GRIDS.mkdir(exist_ok=True)
        stored.write_text(picture.text, encoding="utf-8")
    assert picture.text == stored.read_text(encoding="utf-8")
