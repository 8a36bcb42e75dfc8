"""A recording in the place of a live mesh: played, stopped, and gone to and fro in. A screen sees a source like any.

The engine is the same and is fed the same way. A process of its own (``collect.scan``) reads the recording through, and
keeps views and folds on the way. Going somewhere shows the view of then at once; the engine takes up the nearest fold
before it and folds what is missing. Until that process has come so far, the glance that was recorded then is shown, and
the minute before the wanted time is folded.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil

from meshtop.burst import BurstPlan, BurstRequest
from meshtop.collect.fold import Fold, Reel, without_looking_for_garbage
from meshtop.collect.scan import LENGTH, VIEW_EVERY_S, Told, unpacked_view
from meshtop.engine.events import StreamEvent
from meshtop.engine.experiments import ExperimentPlan
from meshtop.engine.past import glance_of
from meshtop.engine.snapshot import Snapshot
from meshtop.engine.view import FlowView, PlaybackStop, PlaybackView, ReportView, TrailPoint, View
from meshtop.model import LinkKey, Mark, NodeName
from meshtop.recording import RecordingReader
from meshtop.requests import AddMark, Command, MakeReport, Playback, RunExperiment

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_STEP_S = 0.1
# Of each step, so that keys are answered while much is folded; what does not fit comes in the next, and time waits.
_FOLD_S = 0.06
# Forward by less than this is folded from where we are, instead of from something kept.
_NEAR_S = 10.0
# Glances are recorded every 5 s; one that is older than three of these says too little of the wanted time.
_GLANCE_S = 15.0


class _Shelf:
    """Packed things by their time, in a file that goes with the process, whatever ends it."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="meshtop-")  # noqa: SIM115
        self._times: list[float] = []
        self._places: list[tuple[int, int]] = []

    def put(self, at: float, data: bytes) -> None:
        offset = self._file.seek(0, 2)
        self._file.write(data)
        self._times.append(at)
        self._places.append((offset, len(data)))

    def before(self, at: float) -> tuple[float, bytes] | None:
        """The latest at or before ``at``, with its time."""
        place = bisect.bisect_right(self._times, at) - 1
        if place < 0:
            return None
        offset, size = self._places[place]
        self._file.seek(offset)
        return self._times[place], self._file.read(size)

    def time_before(self, at: float) -> float | None:
        place = bisect.bisect_right(self._times, at) - 1
        return None if place < 0 else self._times[place]

    def close(self) -> None:
        self._file.close()


class Known:
    """What the reading process told: stops, views, folds."""

    def __init__(self) -> None:
        self.read_until: float | None = None
        self.stops: tuple[PlaybackStop, ...] = ()
        self._views, self._folds = _Shelf(), _Shelf()

    def take(self, told: Told) -> None:
        self.read_until, self.stops = told.until, told.stops
        if told.view is not None:
            self._views.put(told.until, told.view)
        if told.fold is not None:
            self._folds.put(told.until, told.fold)

    def view(self, at: float) -> View | None:
        """As it was at ``at``, or at most a few seconds before."""
        found = self._views.before(at)
        if found is None or at - found[0] > 2 * VIEW_EVERY_S:
            return None
        with without_looking_for_garbage():
            return unpacked_view(found[1])

    def fold(self, at: float) -> Fold | None:
        found = self._folds.before(at)
        return None if found is None else Fold.again(found[1])

    def fold_time(self, at: float) -> float | None:
        return self._folds.time_before(at)

    def close(self) -> None:
        self._views.close()
        self._folds.close()


class Replay:
    """Implements the screens' Source, and what commands use of a monitor."""

    def __init__(
        self, reader: RecordingReader, speed: float = 1.0, at: float | None = None, *, paused: bool = False
    ) -> None:
        self._reader = reader
        self._known = Known()
        self._known_in_use = asyncio.Lock()
        self._at = self._clamped(reader.shown_from if at is None else at)
        self._glimpse = self._glimpse_of(self._at)  # what is shown while the engine is on its way
        self._reel: Reel | None = None
        self._speed = speed
        self._paused = paused
        self._wanted: float | None = self._at
        self._wake = asyncio.Event()
        self._ready = asyncio.Event()
        self._changed: list[Callable[[], None]] = []
        self._listeners: list[Callable[[StreamEvent], None]] = []
        self._cost: tuple[float | None, int | None] = (None, None)
        self.notice: str | None = None
        self.reporting: Callable[[MakeReport, Path, float], None] | None = None  # who makes reports of what is shown
        self.report_view: Callable[[], ReportView | None] = lambda: None

    # ── what the screens' Source asks for ────────────────────────────────────────────────────────────────────────────

    def view(self) -> View:
        if self._glimpse is not None:
            return self._dressed(self._glimpse)
        if self._reel is None:
            empty = View(at=self._at, mesh=self._reader.header.mesh, snapshot=self._nothing())
            return self._dressed(empty)
        return self._dressed(self._reel.fold.engine.view(self._at))

    def subscribe(self, callback: Callable[[], None]) -> None:
        self._changed.append(callback)

    def send(self, command: Command) -> None:
        """Raises ValueError for everything that would need the nodes."""
        match command:
            case Playback(at=at, speed=speed, paused=paused):
                if speed is not None and not SPEEDS[0] <= speed <= SPEEDS[-1]:
                    raise ValueError(f"a recording is played {SPEEDS[0]:g} to {SPEEDS[-1]:g} times as fast")
                self._speed = self._speed if speed is None else speed
                self._paused = self._paused if paused is None else paused
                if at is not None:
                    self._wanted = self._clamped(at)
                    self._glimpse = self._glimpse_of(self._wanted)
                self._wake.set()
                self._say_changed()
            case MakeReport() if self.reporting is not None:
                self.reporting(command, self._reader.path, self._at)
            case AddMark(text=text):
                if self._reel is not None:
                    self._reel.fold.engine.receive(Mark(at=self._at, text=text))
                    self._say_changed()
            case _:
                raise ValueError("this is a recording: what it shows is over")

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        return () if self._reel is None else self._reel.fold.engine.trail(key)

    def past(self, at: float) -> View | None:
        return None if self._reel is None else self._reel.fold.engine.past(at, self.view())

    def flows(self, node: NodeName, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        return () if self._reel is None else self._reel.fold.engine.flows(node, link)

    def plan_burst(self, request: BurstRequest) -> BurstPlan:
        raise ValueError("this is a recording: nothing can be sent in it")

    def plan_experiment(self, command: RunExperiment) -> ExperimentPlan:
        raise ValueError("this is a recording: nothing can be sent in it")

    # ── what commands ask for ────────────────────────────────────────────────────────────────────────────────────────

    async def settled(self) -> None:
        """Until there is something to see."""
        await self._ready.wait()

    def snapshot(self, window_s: float = 10.0) -> Snapshot:
        return self._nothing() if self._reel is None else self._reel.fold.engine.snapshot(self._at, window_s)

    async def run(self) -> None:
        """Play until cancelled. Whatever was started is gone when this returns."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._play(), name="playing")
                tasks.create_task(self._read_through(), name="reading through")
                tasks.create_task(self._watch_own_cost(), name="own cost")
        finally:
            self._known.close()

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _play(self) -> None:
        last = time.monotonic()
        while True:
            if self._wanted is not None:
                await self._go()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STEP_S):
                    await self._wake.wait()
            self._wake.clear()
            now = time.monotonic()
            if not self._paused and self._wanted is None:
                self._advance((now - last) * self._speed)
            last = now
            self._say_changed()

    def _advance(self, by_s: float) -> None:
        reel = self._reel
        if reel is None:
            return
        target = min(self._at + min(by_s, _STEP_S * 5 * self._speed), self._reader.last_at)
        until = time.monotonic() + _FOLD_S
        while reel.next_at is not None and reel.next_at <= target:
            self._at = max(self._at, reel.next_at)
            reel.step()
            if time.monotonic() > until:
                return
        self._at = target

    async def _go(self) -> None:
        """To the wanted time; a newer wish on the way replaces it."""
        while (wanted := self._wanted) is not None:
            self._say_changed()
            async with self._known_in_use:
                reel = await asyncio.to_thread(self._reel_at, wanted)
            self._reel, self._at = reel, wanted
            if self._wanted == wanted:
                self._wanted = self._glimpse = None
        self._ready.set()

    def _reel_at(self, at: float) -> Reel:
        """In a thread. Nothing else uses the recording or the shelf's file meanwhile: playing waits."""
        reel = self._reel
        kept_at = self._known.fold_time(at)
        if reel is not None and 0 <= at - self._at <= _NEAR_S and (kept_at is None or kept_at <= self._at):
            reel.forward(at)
            return reel
        fold = self._known.fold(at)
        if fold is None:
            return Reel.cold(self._reader, at)
        reel = Reel(self._reader, fold)
        reel.forward(at)
        return reel

    async def _read_through(self) -> None:
        """The process that reads it through; without it one can still go to and fro, only slower and without stops."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "meshtop.collect.scan",
            str(self._reader.path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            out = process.stdout
            while out is not None:
                head = await out.readexactly(LENGTH.size)
                told = msgspec.msgpack.decode(await out.readexactly(LENGTH.unpack(head)[0]), type=Told)
                async with self._known_in_use:
                    self._known.take(told)
        except asyncio.IncompleteReadError:
            pass  # it has told all
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            # Not wait(): it also waits for the end of the pipe, which is never read while the pipe is held back.
            await process.communicate()

    async def _watch_own_cost(self) -> None:
        own = psutil.Process()
        own.cpu_percent()
        while True:
            await asyncio.sleep(2.0)
            self._cost = (own.cpu_percent(), own.memory_info().rss)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _glimpse_of(self, at: float) -> View | None:
        view = self._known.view(at)
        if view is not None:
            return view
        glance = self._reader.glance(at)
        return None if glance is None or at - glance.at > _GLANCE_S else glance_of(glance.packed)

    def _clamped(self, at: float) -> float:
        return min(max(at, self._reader.shown_from), self._reader.last_at)

    def _nothing(self) -> Snapshot:
        return Fold(self._reader.header.mesh).engine.snapshot(self._at)

    def _dressed(self, view: View) -> View:
        reader = self._reader
        over = self._reel is not None and self._reel.over and self._at >= reader.last_at
        playback = PlaybackView(
            first_at=reader.shown_from,
            last_at=reader.last_at,
            at=self._at if self._wanted is None else self._wanted,
            speed=self._speed,
            paused=self._paused or over,
            incomplete=reader.incomplete,
            file=reader.path.name,
            seeking=self._wanted is not None,
            read_until=self._known.read_until,
            stops=self._known.stops,
        )
        return msgspec.structs.replace(
            view,
            replay=True,
            playback=playback,
            report=self.report_view(),
            notice=self.notice,
            operator_cpu_pct=self._cost[0],
            operator_rss_bytes=self._cost[1],
        )

    def _say_changed(self) -> None:
        for callback in self._changed:
            callback()
