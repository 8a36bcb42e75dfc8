"""Every screen as text, from a recording of a lab: what the pictures of the README are made from, at three sizes.

``MESHTOP_UPDATE_GRIDS=1 pytest tests/ui`` stores new ones: look at them before they are committed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len
from test_run_screen import ScriptedCommand

from meshtop.burst import BurstLimits, BurstPlan, BurstRequest
from meshtop.commands.recorded import replayed
from meshtop.engine import bursts, experiments
from meshtop.engine.engine import Engine
from meshtop.engine.experiments import ExperimentPlan
from meshtop.engine.view import PlaybackStop, PlaybackView
from meshtop.recording import RecordingReader
from meshtop.requests import RunExperiment
from meshtop.ui.app import MeshtopApp
from meshtop.ui.run_app import RunApp
from meshtop.ui.screenshot import Still, drawn
from meshtop.ui.timecursor import utc

RECORDING = Path(__file__).parents[2] / "docs" / "pictures" / "miku.mtr"
VERDICTS = Path(__file__).parents[1] / "fixtures" / "verdicts"
GRIDS = Path(__file__).parent / "grids" / "recorded"
VIEWS = ("overview", "link:e:a", "node:a", "stalls", "diagnosis", "burst", "log")
SIZES = ((120, 40), (80, 24), (40, 10))
DIALOGS = {
    "help": ["question_mark"], "palette": ["colon", *"screen"], "burst-dialog": ["b"], "experiment": ["d", "1"],
    "mark": ["m", *"push begins"], "filter": ["l", "slash", *"lossy"], "report": ["r"],
}  # fmt: skip


def end_of(path):
    """The engine at the end of a recording, and what it shows then."""
    with RecordingReader(path) as reader:
        engine = Engine(reader.header.mesh)
        for _ in replayed(engine, reader):
            pass
        assert reader.incomplete is None
        return engine, msgspec.structs.replace(engine.view(reader.last_at), replay=True)


@pytest.fixture(scope="module")
def folded():
    return end_of(RECORDING)


@pytest.mark.parametrize("size", SIZES[:2], ids=["120x40", "80x24"])
@pytest.mark.parametrize(
    ("recording", "name"), [("cpu-full", "overview"), ("cpu-full", "node:a"), ("row-loss", "diagnosis")]
)
async def test_what_is_of_a_whole_node_is_shown_of_it(recording, name, size):
    engine, view = end_of(VERDICTS / f"{recording}.mtr")
    picture = await drawn(view, name, size, trail=engine.trail, flows=engine.flows)
    compare(f"{recording}-{name.replace(':', '-')}-{size[0]}x{size[1]}", picture.text)


@pytest.mark.parametrize(("width", "height"), SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
@pytest.mark.parametrize("name", VIEWS)
async def test_a_screen_shows_a_recording_as_it_did(folded, name, width, height):
    engine, view = folded
    picture = await drawn(view, name, (width, height), trail=engine.trail, flows=engine.flows)
    lines = picture.text.splitlines()
    assert max(cell_len(line) for line in lines) <= width
    assert len(lines) <= height
    compare(f"{name.replace(':', '-')}-{width}x{height}", picture.text)


def compare(name: str, text: str) -> None:
    stored = GRIDS / f"{name}.txt"
    if os.environ.get("MESHTOP_UPDATE_GRIDS"):
        GRIDS.mkdir(exist_ok=True)
        stored.write_text(text, encoding="utf-8")
    assert text == stored.read_text(encoding="utf-8")


class LastMoment(Still):
    """The end of the recording as if it were now: bursts and experiments can be asked for."""

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        return bursts.plan(request, self.view().mesh, BurstLimits(max_bytes=250 << 20, max_time_s=60.0))

    def plan_experiment(self, command: RunExperiment) -> ExperimentPlan:
        return experiments.plan(command, self.view().mesh)


@pytest.fixture(scope="module")
def last_moment(folded):
    engine, view = folded
    return LastMoment(msgspec.structs.replace(view, replay=False), engine.trail, flows=engine.flows)


def whole(lines: list[str], width: int, height: int) -> str:
    assert len(lines) == height
    assert {cell_len(line) for line in lines} == {width}
    return "\n".join(line.rstrip() for line in lines) + "\n"


@pytest.mark.parametrize("name", DIALOGS)
async def test_a_dialog_shows_a_recording_as_it_did(last_moment, name, ticks, seen):
    app = MeshtopApp(last_moment, ascii=False, ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press(*DIALOGS[name])
        await pilot.pause()
        compare(f"{name}-120x40", whole(seen(app), 120, 40))


@pytest.mark.parametrize(("width", "height"), SIZES[:2], ids=["120x40", "80x24"])
async def test_the_screen_beside_a_command_shows_a_recording_as_it_did(last_moment, width, height, ticks, seen, until):
    command = ScriptedCommand()
    app = RunApp(last_moment, command)
    app._ticks, app._view_at_tick = ticks, ticks()  # a clock that stands still: ages are told
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: bool(command.sizes))
        command.output(b"The push refers to repository [registry.example/app]\r\n5f70bf18a086: Pushing 12.3MB/48MB\r\n")
        await until(pilot, lambda: any("Pushing" in line for line in seen(app)))
        compare(f"run-{width}x{height}", whole(seen(app), width, height))


@pytest.mark.parametrize(("width", "height"), SIZES, ids=[f"{width}x{height}" for width, height in SIZES])
async def test_a_replay_shows_a_recording_as_it_did(folded, width, height, ticks, seen):
    engine, view = folded
    stalls = tuple(
        PlaybackStop(at=utc(one.start), kind="stall", text=f"stall {one.src}→{one.dst}") for one in view.stalls
    )
    marks = tuple(PlaybackStop(at=one.at, kind="mark", text=one.text) for one in view.marks)
    playback = PlaybackView(
        first_at=view.at - 110.0, last_at=view.at + 40.0, at=view.at, speed=4.0, paused=True, file="push.mtr",
        read_until=view.at + 40.0, stops=(*stalls, *marks),
    )  # fmt: skip
    notice = "push.mtr: recorded 2026-11-22 22:43:28 UTC, 2m30s"
    playing = msgspec.structs.replace(view, playback=playback, notice=notice)
    app = MeshtopApp(Still(playing, engine.trail, flows=engine.flows), ascii=False, ticks=ticks)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        compare(f"replay-{width}x{height}", whole(seen(app), width, height))
