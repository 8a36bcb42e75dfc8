"""The full screen of ``meshtop run``: the monitor's, with a command's terminal as its first screen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from textual.screen import Screen

from meshtop.ui.app import MeshtopApp
from meshtop.ui.screens.run import RunScreen
from meshtop.ui.source import Source
from meshtop.ui.widgets.command_pane import Command

_CTRL_C = b"\x03"


class RunApp(MeshtopApp):
    """Ctrl-C is the command's while it runs, wherever the keyboard is; and the screen stays as long as it runs."""

    def __init__(
        self,
        source: Source,
        command: Command,
        *,
        theme: str | None = None,
        theme_dir: Path | None = None,
        keymap: Mapping[str, str] | None = None,
        bell: bool = False,
    ) -> None:
        super().__init__(source, theme=theme, theme_dir=theme_dir, keymap=keymap, bell=bell)
        self._command = command

    def get_default_screen(self) -> Screen[None]:
        return RunScreen(self._command)

    def action_interrupt(self) -> None:
        if self._runs:
            self._command.write(_CTRL_C)
        else:
            super().action_interrupt()

    async def action_quit(self) -> None:
        if self._runs:
            self.say("The command runs on its terminal; Ctrl-C is sent to it.")
        else:
            await super().action_quit()

    @property
    def _runs(self) -> bool:
        return self._command.status()[1] is None
