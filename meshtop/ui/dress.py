"""What the screen wears: theme, palette and signs, changed while it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from textual.app import App

from meshtop.ui import glyphs as glyph_sets
from meshtop.ui import theme
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette, ThemeFile


class Dressing(App[None]):
    """``worn`` is the theme that was chosen; ``palette`` and ``glyphs`` follow it."""

    themes: dict[str, ThemeFile]
    theme_file: ThemeFile
    palette: Palette
    glyphs: Glyphs
    _theme_dir: Path | None = None
    _ascii: bool | None = None  # None: as the theme and the terminal have it
    _colourless = False

    def dress(self, wanted: str | None, theme_dir: Path | None, ascii: bool | None) -> tuple[str, ...]:
        """At the start. What is wrong with themes, in words."""
        self._theme_dir, self._ascii, self._colourless = theme_dir, ascii, "NO_COLOR" in os.environ
        problems = self.read_themes()
        chosen, complaint = theme.choose(self.themes, theme.MONO_THEME if self._colourless else wanted)
        self.put_on(chosen)
        return (*problems, *((complaint,) if complaint else ()))

    def read_themes(self) -> tuple[str, ...]:
        """All that there are now: one that was just written can be worn at once."""
        found, problems = theme.load_themes(theme.search_path(self._theme_dir))
        self.themes = dict(found)
        for known in self.themes.values():
            self.register_theme(known.base)
        return tuple(problems)

    def why_no_theme(self) -> str | None:
        return "NO_COLOR is set" if self._colourless else None

    def wear(self, name: str) -> None:
        """Another theme, at once."""
        chosen = self.themes.get(name)
        if chosen is not None and not self._colourless:
            self.put_on(chosen)

    def put_on(self, chosen: ThemeFile) -> None:
        self.register_theme(chosen.base)
        self.theme = chosen.name
        self.theme_file = chosen
        self.palette = theme.palette(chosen)
        self.glyphs = glyph_sets.ASCII if self._wants_ascii(chosen) else glyph_sets.UNICODE

    def _wants_ascii(self, chosen: ThemeFile) -> bool:
        if self._ascii is not None:
            return self._ascii
        encoding = getattr(sys.__stderr__, "encoding", None) or "ascii"
        return chosen.glyph_set == "ascii" or glyph_sets.terminal_is_poor(os.environ.get("TERM", ""), encoding)
