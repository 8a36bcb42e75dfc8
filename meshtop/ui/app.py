"""The full-screen monitor: takes views from a source, paints them at a bearable pace, sends back what is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual.binding import BindingType
from textual.screen import Screen

from meshtop.engine.view import ReportView, View
from meshtop.model import LinkKey, NodeName
from meshtop.requests import AddMark, Command, MakeReport, ResetBaselines, SetInterval, StartRecording, StopRecording
from meshtop.ui import keys, places, terminal, theme
from meshtop.ui.acts import Acting
from meshtop.ui.bell import StallBell
from meshtop.ui.choices import Choices
from meshtop.ui.dialogs.filter import FilterDialog
from meshtop.ui.dialogs.help import HelpDialog
from meshtop.ui.dialogs.mark import MarkDialog
from meshtop.ui.dialogs.report import ReportDialog
from meshtop.ui.driver import TerminalDriver
from meshtop.ui.messages import ViewChanged
from meshtop.ui.pace import HEARTBEAT_S, Pace
from meshtop.ui.player import Player
from meshtop.ui.repaint import Shadow
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.screens.link import LinkScreen
from meshtop.ui.screens.log import LogScreen
from meshtop.ui.screens.node import NodeScreen
from meshtop.ui.screens.overview import OverviewScreen
from meshtop.ui.screens.stalls import StallsScreen
from meshtop.ui.source import Source
from meshtop.ui.timecursor import TimeCursor, moments, neighbour
from meshtop.ui.widgets.header import clock_text
from meshtop.units import format_bytes

INTERRUPTED = 130  # exit code after a signal or ctrl+c
# What + and - step through, within the bounds of the configuration.
INTERVALS_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class MeshtopApp(Acting):
    """``background`` is run in the app's event loop from its start and cancelled at its end; the end waits until it has
    cleaned up. ``ascii`` None: as the theme and the terminal have it. ``ticks`` is a monotonic clock in seconds.
    ``still``: for a picture alone; nobody is there to be told anything or to send a signal. ``bell``: ring at a new
    stall.

    After ``run()``, ``return_code`` is 0, 1 after an unhandled error, or 130 after a signal or ctrl+c.
    """

    CSS_PATH = Path(__file__).with_name("meshtop.tcss")
    TITLE = "meshtop"
    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("always", "everywhere")]

    def __init__(
        self,
        source: Source,
        *,
        theme: str | None = None,
        theme_dir: Path | None = None,
        ascii: bool | None = None,
        background: Callable[[], Awaitable[None]] | None = None,
        keymap: Mapping[str, str] | None = None,
        ticks: Callable[[], float] = time.monotonic,
        still: bool = False,
        bell: bool = False,
    ) -> None:
        no_color = "NO_COLOR" in os.environ
        super().__init__(driver_class=TerminalDriver, ansi_color=True if no_color else None)
        self.source = source
        self.choices = Choices()
        self.key_table = keys.remapped(keymap or {})
        self.animation_level = "none"  # nothing here moves for its own sake
        self.frozen_at: float | None = None
        self.still = still
        self.stall_bell = StallBell(bell)
        self._background = background
        self._background_task: asyncio.Future[None] | None = None
        self._ticks = ticks
        self._pace = Pace()
        self._paint_pending = False
        self._view: View = source.view()
        self.time = TimeCursor(source)
        self._shadow = Shadow()
        self._size_told = False
        self.player = Player(source.view, self.send, self.say)
        self._view_at_tick = ticks()
        self._asked_interval_s: float | None = None
        self._told_report: ReportView | None = None
        self._frozen_scene: Scene | None = None
        self._undo_signals: Callable[[], None] = lambda: None
        self._theme_problems = self.dress(theme, theme_dir, ascii)
        self.set_keymap(dict(keymap or {}))

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """So that Textual's own themes, which know nothing of links, can be shown too."""
        return theme.emergency_theme().base.variables

    def get_default_screen(self) -> Screen[None]:
        return OverviewScreen()

    # ── from the start to the end ────────────────────────────────────────────────────────────────────────────────

    def on_mount(self) -> None:
        if self.still:
            return
        self._undo_signals = terminal.on_ending_signals(self._interrupted)
        self.app_resume_signal.subscribe(self, lambda _: self._start_afresh())
        for problem in self._theme_problems:
            self.say(problem, severity="warning")
        self.source.subscribe(self._source_changed)
        self.set_interval(HEARTBEAT_S / 2, self._heartbeat)
        if self._background is not None:
            self._background_task = asyncio.ensure_future(self._background())
            # The worker is how Textual learns of an error. Ending it must not touch the task: what is cancelled twice
            # is interrupted in its clean-up.
            self.run_worker(_shielded(self._background_task), name="background", exit_on_error=True)

    async def on_unmount(self) -> None:
        self._undo_signals()
        if self._background_task is not None and not self._background_task.done():
            self._background_task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._background_task

    def _interrupted(self) -> None:
        self.exit(return_code=INTERRUPTED)

    # ── painting ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def interval_s(self) -> float:
        """The sampling interval in force: the last one asked for, else the mesh's."""
        return self._asked_interval_s or self._view.mesh.interval_s

    def scene(self) -> Scene:
        """What to paint now. Where the operator looks at another moment, that; while frozen, what was painted then."""
        if (past := self.time.view()) is not None:
            return Scene(past, 0.0, past.mesh.interval_s, self.source, self.live_s)
        if self._frozen_scene is not None:
            return self._frozen_scene
        now = self._ticks()
        view = self.source.view()
        if view.at != self._view.at:
            self._view_at_tick = now
        if view.mesh.interval_s != self._view.mesh.interval_s:
            self._asked_interval_s = None  # the source says itself what is in force
        self._view = view
        self._tell_report(view.report)
        # A recording that stands still is not a source that has died.
        silence_s = 0.0 if view.playback is not None else now - self._view_at_tick
        return Scene(view, silence_s, self.interval_s, self.source)

    @property
    def live_s(self) -> float:
        """The operator's UTC now, as far as the source has told."""
        return self._view.at + self._ticks() - self._view_at_tick

    @property
    def paints_news(self) -> bool:
        """Not while frozen, nor while another moment is looked at."""
        return self.frozen_at is None and self.time.at is None

    def repaint(self) -> None:
        """Paint now, for what the operator did himself."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, SceneScreen):
                screen.show(self.scene())
                break
        self._pace.painted(self._ticks())

    def _start_afresh(self) -> None:
        """Whatever stood on the terminal is gone: paint every cell."""
        self._shadow.forget()
        self.refresh(layout=True)

    def on_resize(self) -> None:
        """Terminals move and cut what they show when their size changes; the first time it is only told."""
        if self._size_told:
            self._shadow.forget()
        self._size_told = True

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        super()._display(screen, self._shadow.reduced(screen, renderable))

    def _source_changed(self) -> None:
        # Pings and ticks come by the dozen a second; a paint that is due will show them all.
        if not self._paint_pending or self.stall_bell.on:
            self.post_message(ViewChanged())

    def on_view_changed(self) -> None:
        if self.stall_bell.on and self.stall_bell.rings(self.source.view(), self._ticks()):
            self.bell()
        if not self._paint_pending and self.paints_news:
            self._paint_pending = True
            self.set_timer(self._pace.delay(self._ticks(), self.interval_s), self._paint_news)

    def _paint_news(self) -> None:
        self._paint_pending = False
        if self.paints_news and terminal.takes_output():
            self.repaint()

    def _heartbeat(self) -> None:
        if self._pace.heartbeat_due(self._ticks()):
            self._paint_news()

    # ── what keys do everywhere ──────────────────────────────────────────────────────────────────────────────────

    def action_interrupt(self) -> None:
        self._interrupted()

    def action_freeze(self) -> None:
        if (playback := self.player.playback) is not None:
            self.player.toggle(playback)
            return
        if self.frozen_at is None:
            scene = self.scene()
            self.frozen_at, self._frozen_scene = scene.now_s, scene
        else:
            self.frozen_at = self._frozen_scene = None
        self.repaint()

    def action_interval(self, direction: int) -> None:
        if (playback := self.player.playback) is not None:
            self.player.faster(playback, direction)
            return
        now = self.interval_s
        further = [step for step in INTERVALS_S if (step > now if direction > 0 else step < now)]
        if not further:
            self.say(f"{now:g} s is the {'longest' if direction > 0 else 'shortest'} interval")
            return
        interval_s = further[0] if direction > 0 else further[-1]
        if self.send(SetInterval(interval_s=interval_s)):
            self._asked_interval_s = interval_s
            self.repaint()

    def action_redraw(self) -> None:
        self._start_afresh()

    def action_reset_baselines(self) -> None:
        if self.send(ResetBaselines()):
            self.say("Baselines are learnt anew.")

    def action_help(self) -> None:
        self.push_screen(HelpDialog(self.key_table, self.glyphs, self.palette, places.kind_of(self)))

    def action_mark(self) -> None:
        def marked(text: str | None) -> None:
            if text is not None and self.send(AddMark(text=text)):
                self.say("Marked.")

        self.push_screen(MarkDialog(self.glyphs), marked)

    def action_log_screen(self) -> None:
        self.push_screen(LogScreen())

    def action_stalls_screen(self) -> None:
        self.push_screen(StallsScreen())

    async def action_back(self) -> None:
        """First from the past to now, then to the screen below."""
        if self.time.at is not None:
            self.action_live()
        elif len(self.screen_stack) > 1:
            await self.pop_screen()

    async def action_link_screen(self) -> None:
        self.choices.settle(self.scene())
        if self.choices.pair is None:
            self.say("There is no link to show.")
        else:
            self.choices.picked = True  # what is looked at closely is not exchanged for a worse one
            await self._open(LinkScreen)

    async def action_node_screen(self) -> None:
        self.choices.settle(self.scene())
        if self.choices.pair is None:
            self.say("There is no node to show.")
        else:
            await self.open_node(self.choices.pair[0])

    async def open_link(self, key: LinkKey, at: float | None = None) -> None:
        """The link's screen; ``at``: as of then (operator's UTC), as far as that is kept."""
        self.choices.pick(key.src, key.dst)
        self.choices.path, self.choices.all_paths = key.path, False
        if at is not None:
            self.look_at(at)
        await self._open(LinkScreen)

    async def open_node(self, name: NodeName) -> None:
        self.choices.node = name
        await self._open(NodeScreen)

    async def _open(self, kind: type[SceneScreen]) -> None:
        """A screen that is open already comes to the front: no two of a kind lie on each other."""
        while any(isinstance(screen, kind) for screen in self.screen_stack) and not isinstance(self.screen, kind):
            await self.pop_screen()
        if isinstance(self.screen, kind):
            self.repaint()
        else:
            await self.push_screen(kind())

    # ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def look_at(self, at: float) -> None:
        """Show every screen as of ``at``; what is not kept is said."""
        if at >= self.live_s:
            self.live()
        elif not self.time.move(at):
            self.say(f"Nothing is kept of {clock_text(at)}.")

    def live(self) -> None:
        """Back to now; what was frozen is live again, too."""
        self.time.leave()
        self.frozen_at = self._frozen_scene = None
        self.scene()

    def step_time(self, seconds: float) -> None:
        """Further back (``seconds`` < 0) or on; beyond now is now."""
        if (playback := self.player.playback) is not None:
            self.player.step(playback, seconds)
            return
        at = self.time.at if self.time.at is not None else self.frozen_at or self.live_s
        self.look_at(at + seconds)
        self.repaint()

    def jump(self, direction: int, keys: frozenset[LinkKey] | None = None) -> None:
        """To the next stall, mark, burst or finding of these links, or of all, in that direction."""
        if (playback := self.player.playback) is not None:
            self.player.jump(playback, direction)
            return
        now = self.source.view()
        at = self.time.at if self.time.at is not None else self.frozen_at or self.live_s
        to = neighbour(moments(now, keys), at, direction)
        if to is not None:
            self.look_at(to.at)
            if self.time.at == to.at:
                self.clear_notifications()  # of the jump before
                self.say(to.words)
        elif direction > 0 and self.time.at is not None:
            self.live()
        else:
            self.say("There is no stall or mark before." if direction < 0 else "There is no stall or mark after.")
        self.repaint()

    def action_step(self, seconds: float) -> None:
        self.step_time(seconds)

    def action_report(self) -> None:
        """Ask what it shall have, then have it made; where it is is said when it is there."""
        playback = self.player.playback
        self.push_screen(ReportDialog(None if playback is None else clock_text(playback.at)), self._report_asked)

    def _report_asked(self, asked: MakeReport | None) -> None:
        if asked is not None and self.send(asked):
            self.say("The report is being made.")

    def _tell_report(self, told: ReportView | None) -> None:
        if told == self._told_report:
            return
        self._told_report = told
        if told is not None and told.state == "done":
            self.say(f"Report: {told.path}, {format_bytes(told.size_bytes)}B")
        elif told is not None and told.state == "failed":
            self.say(f"No report: {told.reason}", severity="warning")

    def action_record(self) -> None:
        """Begin a recording, or end the one that is made."""
        recording = self.source.view().recording
        going_on = recording is not None and recording.failure is None
        if self.send(StopRecording() if going_on else StartRecording()):
            shown = recording if going_on else self.source.view().recording
            self.say(f"{'Recorded' if going_on else 'Recording'}: {shown.path if shown is not None else ''}")
            self.repaint()

    def action_jump(self, direction: int) -> None:
        """Of what the screen shows."""
        self.jump(direction, self._scene_screen.events_of())

    def action_time(self, direction: int) -> None:
        self.step_time(direction * self._scene_screen.step_s)

    @property
    def _scene_screen(self) -> SceneScreen:
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, SceneScreen))

    def action_filter(self) -> None:
        screen = self._scene_screen
        before = screen.filter

        def typed(words: str) -> None:
            self.choices.filters[screen.kind] = words
            self.repaint()

        def closed(words: str | None) -> None:
            typed(before if words is None else words)

        self.push_screen(FilterDialog(before, typed), closed)

    def action_live(self) -> None:
        self.live()
        self.repaint()

    def send(self, command: Command) -> bool:
        """Ask the source for something; if it refuses, say why."""
        try:
            self.source.send(command)
        except ValueError as error:
            self.say(str(error), severity="warning")
            return False
        return True

    def say(self, text: str, *, severity: str = "information") -> None:
        """A toast. Never markup: the text may come from files and nodes."""
        self.notify(
            self.glyphs.text(text), severity="warning" if severity == "warning" else "information", markup=False
        )


async def _shielded(task: asyncio.Future[None]) -> None:
    await asyncio.shield(task)
