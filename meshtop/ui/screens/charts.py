"""What screens with charts share: one window of time, one scale, one cursor."""

from __future__ import annotations

from meshtop.ui.messages import MomentPicked
from meshtop.ui.scales import SCALES
from meshtop.ui.scene import Scene
from meshtop.ui.screens.base import SceneScreen
from meshtop.ui.widgets.link_charts import WINDOWS_S, chart_columns


class ChartScreen(SceneScreen):
    """While another moment is looked at, the chart stands still: its right edge is where it was when the cursor left
    now, or further back if the cursor has left the chart."""

    _end_s: float | None = None

    @property
    def step_s(self) -> float:
        """One column, and at least a second: samples are no denser."""
        return max(self.meshtop.choices.window_s / chart_columns(self.app.size.width), 1.0)

    def chart_end(self, scene: Scene) -> float:
        """The operator's UTC at the right edge."""
        if not scene.view.past:
            self._end_s = None
            return scene.now_s
        window_s, at = self.meshtop.choices.window_s, scene.now_s
        live_s = scene.live_s if scene.live_s is not None else at
        if self._end_s is None:
            self._end_s = live_s
        if not self._end_s - window_s < at <= self._end_s:
            self._end_s = min(at + window_s / 3, live_s)  # two thirds of what led to it, one of what came of it
        return self._end_s

    def on_moment_picked(self, picked: MomentPicked) -> None:
        self.meshtop.look_at(picked.at)
        self.meshtop.repaint()

    def action_step(self, direction: int) -> None:
        self.meshtop.step_time(direction * self.step_s)

    def action_zoom(self, direction: int) -> None:
        choices = self.meshtop.choices
        place = WINDOWS_S.index(choices.window_s) + direction if choices.window_s in WINDOWS_S else 2
        if 0 <= place < len(WINDOWS_S):
            choices.window_s = WINDOWS_S[place]
            self._end_s = None
            self.meshtop.repaint()
        else:
            self.meshtop.say("This is the shortest window." if direction < 0 else "More than this is not kept.")

    def action_scale(self) -> None:
        choices = self.meshtop.choices
        choices.scale = SCALES[(SCALES.index(choices.scale) + 1) % len(SCALES)]
        self.meshtop.repaint()

    def action_braille(self) -> None:
        self.meshtop.choices.braille = not self.meshtop.choices.braille
        if self.meshtop.choices.braille and self.meshtop.glyphs.is_ascii:
            self.meshtop.say("This terminal is taken for one without braille.")
        self.meshtop.repaint()
