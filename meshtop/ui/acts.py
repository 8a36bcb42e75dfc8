"""What the operator does from any screen: bursts, experiments, pictures, and leaving while something runs.

A part of the app of its own. Everything that sends traffic goes through a dialog first.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from meshtop.burst import BurstRecord, BurstRequest
from meshtop.engine.snapshot import FindingView
from meshtop.engine.view import View
from meshtop.model import ExperimentKind, ExperimentRecord, LinkKey, NodeName
from meshtop.requests import AbortBurst, AbortExperiment, ClearBursts, Command, RunExperiment, StartBurst
from meshtop.ui import experiments, keys, places, screenshot
from meshtop.ui.bell import StallBell
from meshtop.ui.burst_form import BOTH, BurstForm, form_of
from meshtop.ui.choices import Choices
from meshtop.ui.commands import RUNNING, WAITING, Entry, entries
from meshtop.ui.dialogs.ask import AskDialog, ChooseDialog
from meshtop.ui.dialogs.burst import BurstDialog
from meshtop.ui.dialogs.palette import PaletteDialog
from meshtop.ui.dress import Dressing
from meshtop.ui.keys import Key
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.screens.bursts import BurstsScreen
from meshtop.ui.screens.diagnosis import DiagnosisScreen
from meshtop.ui.source import Source


def running(view: View) -> list[BurstRecord]:
    return [burst for burst in view.bursts if burst.state in RUNNING]


def waiting(view: View) -> list[BurstRecord]:
    return [burst for burst in view.bursts if burst.state in WAITING]


def burst_words(burst: BurstRecord) -> str:
    return f"{burst.id}  {burst.src}→{burst.dst} {burst.path}, {'waits' if burst.state in WAITING else burst.state}"


class Acting(Dressing):
    """What the app itself brings is named first."""

    source: Source
    choices: Choices
    key_table: tuple[Key, ...]
    stall_bell: StallBell
    burst_form: BurstForm | None = None  # as it was last filled in

    def scene(self) -> Scene:
        raise NotImplementedError

    def send(self, command: Command) -> bool:
        raise NotImplementedError

    def say(self, text: str, *, severity: str = "information") -> None:
        raise NotImplementedError

    def repaint(self) -> None:
        raise NotImplementedError

    def live(self) -> None:
        raise NotImplementedError

    async def _open(self, kind: type[SceneScreen]) -> None:
        raise NotImplementedError

    async def open_link(self, key: LinkKey, at: float | None = None) -> None:
        raise NotImplementedError

    async def open_node(self, name: NodeName) -> None:
        raise NotImplementedError

    # ── screens ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def action_diagnosis_screen(self) -> None:
        await self._toggle(DiagnosisScreen)

    async def action_bursts_screen(self) -> None:
        await self._toggle(BurstsScreen)

    async def _toggle(self, kind: type[SceneScreen]) -> None:
        """The key that opens a screen closes it, too."""
        if isinstance(self.screen, kind):
            await self.action_back()
        else:
            await self._open(kind)

    async def open_view(self, name: str) -> None:
        """The screen that ``name`` stands for, as in `meshtop snapshot --view`."""
        await places.open_place(self, name)

    # ── bursts ───────────────────────────────────────────────────────────────────────────────────────────────────

    def why_no_burst(self) -> str | None:
        view = self.source.view()
        if view.replay:
            return "This is a recording: nothing can be sent from it."
        if len(view.mesh.nodes) < 2:
            return "A burst needs two nodes."
        return None

    def action_burst(self) -> None:
        """The dialog for the link and the path that are selected, with what was filled in last."""
        self.choices.settle(self.scene())
        scene, pair = self.scene(), self.choices.pair
        form = self.burst_form or self._last_form() or BurstForm()
        if pair is not None:
            path = BOTH if self.choices.all_paths else self.choices.paths(scene)[0]
            form = form.on_link(pair[0], pair[1], path)
        self.ask_burst(form)

    def action_burst_again(self) -> None:
        """The dialog, filled in as for the last burst."""
        if isinstance(self.screen, BurstsScreen):
            self.screen.action_repeat()
            return
        form = self.burst_form or self._last_form()
        if form is None:
            self.say(f"There was no burst yet: {keys.written('burst.ask', self.key_table)} asks for one.")
        else:
            self.ask_burst(form)

    def _last_form(self) -> BurstForm | None:
        bursts = self.source.view().bursts
        return form_of(bursts[-1]) if bursts else None

    def ask_burst(self, form: BurstForm) -> None:
        if (why := self.why_no_burst()) is not None:
            self.say(why, severity="warning")
            return
        mesh = self.source.view().mesh
        paths = {path.name for path in mesh.paths}
        if form.path not in paths and (form.path != BOTH or len(paths) < 2):
            form = replace(form, path=mesh.paths[0].name)
        self.push_screen(BurstDialog(form), self._burst_asked)

    async def _burst_asked(self, answer: tuple[BurstForm, tuple[BurstRequest, ...]] | None) -> None:
        if answer is None:
            return
        self.burst_form, requests = answer
        if self.send(StartBurst(requests=requests, confirmed=True)):
            self.choices.burst = None  # the newest
            self.live()  # whoever looked at the past wants to see what he has started
            await self._open(BurstsScreen)

    def action_abort(self) -> None:
        """What runs: the only one at once, of several the one that is chosen."""
        view = self.source.view()
        bursts = [*running(view), *waiting(view)]
        trials = [one for one in view.experiments if one.state == "running"]
        if not bursts and not trials:
            self.say("No burst and no experiment runs.")
            return
        options: list[tuple[str, Command]] = [(experiment_words(one), AbortExperiment()) for one in trials]
        options += [(burst_words(one), AbortBurst(id=one.id)) for one in bursts]
        if len(options) == 1:
            self._abort(*options[0])
            return
        if len(running(view)) > 1:
            options.append(("all bursts that run", AbortBurst()))
        if len(waiting(view)) > 1:
            options.append((f"all {len(waiting(view))} that wait, and go on with what runs", ClearBursts()))

        def chosen(place: int | None) -> None:
            if place is not None:
                self._abort(*options[place])

        self.push_screen(ChooseDialog("Abort which?", [words for words, _ in options]), chosen)

    def _abort(self, words: str, command: Command) -> None:
        if self.send(command):
            self.say(f"Aborting: {words}.")
            self.repaint()

    def action_clear_bursts(self) -> None:
        if not waiting(self.source.view()):
            self.say("No burst waits.")
        elif self.send(ClearBursts()):
            self.say("The queue is cleared; what runs goes on.")

    # ── experiments ──────────────────────────────────────────────────────────────────────────────────────────────

    def ask_experiment(self, finding: FindingView, kind: ExperimentKind) -> None:
        """What it sends, then the experiment."""
        if self.source.view().replay:
            self.say("This is a recording: no experiment can be run on it.", severity="warning")
            return
        if finding.src is None or finding.dst is None or finding.path is None:
            self.say("It concerns a whole node: open one of its links and run the experiment there.")
            return
        command = RunExperiment(kind=kind, src=finding.src, dst=finding.dst, path=finding.path)

        def answered(yes: bool | None) -> None:
            if yes and self.send(command):
                self.live()
                self.say(f"{experiments.TITLES[kind]} begins.")
                self.repaint()

        try:
            plan = self.source.plan_experiment(command)
        except ValueError as error:
            self.say(str(error), severity="warning")
            return
        words = [f"{finding.src} → {finding.dst} on {finding.path}: {experiments.QUESTIONS[kind]}"]
        words += [
            f"It sends {plan.sends}.",
            f"It competes with what the link carries. {keys.written('burst.abort', self.key_table)} aborts it.",
        ]
        self.push_screen(AskDialog(experiments.TITLES[kind], words, "Run"), answered)

    # ── pictures ─────────────────────────────────────────────────────────────────────────────────────────────────

    def action_picture(self) -> None:
        """The screen as it stands now, into files; drawing them takes a moment, which nothing waits for."""
        picture = screenshot.picture_of(self, self.scene(), places.place_of(self))
        self.run_worker(self._save(picture), name="screenshot", group="screenshot")

    async def _save(self, picture: screenshot.Picture) -> None:
        try:
            saved = await asyncio.to_thread(screenshot.save, picture, screenshot.default_folder())
        except OSError as error:
            self.say(f"No screenshot: {error.filename or 'it'}: {error.strerror or error}", severity="warning")
            return
        self.say(f"Screenshot: {saved.files[0].with_suffix('')}.svg .png .txt")
        if saved.missing:
            self.say(screenshot.missing_words(saved.missing), severity="warning")

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────

    def action_palette(self) -> None:
        """All commands by name; themes are read anew, so that one can be tried while it is written."""
        for problem in self.read_themes():
            self.say(problem, severity="warning")
        worn = self.theme_file.name
        extra = [Entry(f"Bell at a new stall: {'off' if self.stall_bell.on else 'on'}", "", "app.bell_switch")]
        for name in sorted(self.themes):
            extra.append(
                Entry(f"Theme {name}", "worn" if name == worn else "", theme=name, why_not=self.why_no_theme())
            )
        found = entries(self.key_table, places.kind_of(self), self.source.view(), extra)

        def preview(name: str | None) -> None:
            if (name or worn) != self.theme_file.name:
                self.wear(name or worn)
                self.repaint()

        def chosen(entry: Entry | None) -> None:
            if entry is not None and entry.theme is None:
                preview(None)
                self.call_later(self.run_action, entry.action, self.screen)

        self.push_screen(PaletteDialog(found, preview), chosen)

    def action_bell_switch(self) -> None:
        self.stall_bell.switch()
        self.say(f"The bell is {'on: it rings at each new stall' if self.stall_bell.on else 'off'}.")

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def action_quit(self) -> None:
        """Asks while a burst, an experiment or a recording runs."""
        view = self.source.view()
        going = [burst_words(one) for one in (*running(view), *waiting(view))]
        going += [experiment_words(one) for one in view.experiments if one.state == "running"]
        if view.recording is not None and view.recording.failure is None:
            going.append(f"recording into {view.recording.path}")
        if not going or view.replay:
            self.exit()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.exit()

        words = ["This is going on, and ends when meshtop does:", *(f"· {one}" for one in going[:6])]
        self.push_screen(AskDialog("Leave meshtop?", words, "Leave", "Stay"), answered)


def experiment_words(one: ExperimentRecord) -> str:
    return f"{experiments.TITLES.get(one.kind, one.kind)}  {one.src}→{one.dst} {one.path}"
