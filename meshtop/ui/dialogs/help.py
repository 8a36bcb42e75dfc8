"""What every key does, written from the table of keys, and what the signs mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from meshtop.ui import keys
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.keys import Key, Scope
from meshtop.ui.scene import ShownState
from meshtop.ui.theme import Palette

_MEANINGS: tuple[tuple[ShownState, str], ...] = (
    ("idle", "idle: nothing to judge by"),
    ("ok", "ok: probes answered or TCP progressing"),
    ("degraded", "degraded: RTT over twice its baseline, or a crawl"),
    ("lossy", "lossy: over 1 % of probes or segments lost in 10 s"),
    ("stalled", "stalled: data waits and nothing is acknowledged"),
    ("down", "down: pings are no longer answered, TCP stands still"),
    ("no-data", "no data, or data too old to be believed"),
)


class HelpDialog(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.bindings("always", priority=True),
        *keys.bindings("dialog"),
        ("question_mark,q", "dismiss_dialog", "close"),
    ]

    def __init__(self, table: Iterable[Key], glyphs: Glyphs, palette: Palette, place: str = "overview") -> None:
        super().__init__(id="help", classes="ascii" if glyphs.is_ascii else None)
        self._text = help_text(table, glyphs, palette, place)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="help-box") as box:
            box.border_title, box.border_subtitle = "Keys and signs", "esc close"
            yield Static(self._text, markup=False, id="help-text")

    def action_dismiss_dialog(self) -> None:
        self.dismiss(None)


def help_text(table: Iterable[Key], glyphs: Glyphs, palette: Palette, place: str = "overview") -> Text:
    """The keys of the screen ``place`` first, then those of the others."""
    text = Text()
    entries = tuple(table)
    live = keys.SCREENS.get(place, frozenset())
    own = [scope for scope in keys.HEADINGS if scope in live and scope not in ("always", "everywhere")]
    rest = [scope for scope in keys.HEADINGS if scope not in live]
    for scope in (*reversed(own), "everywhere", "always", *rest):
        found = _gathered(entries, scope)
        if not found:
            continue
        text.append(glyphs.text(keys.HEADINGS[scope]), palette.title)
        text.append("" if scope in live else glyphs.text(" · not on this screen"), palette.dim).append("\n")
        for words, signs in found.items():
            text.append(f"  {glyphs.fit(' '.join(signs), 11)}", palette.key)
            text.append(glyphs.text(words), palette.text).append("\n")
        text.append("\n")
    text.append("Signs\n", palette.title)
    for state, meaning in _MEANINGS:
        text.append(f"  {glyphs.states[state]}         ", palette.states_bold[state])
        text.append(glyphs.text(meaning), palette.text).append("\n")
    text.append(f"  {glyphs.lost}         ", palette.states_bold["stalled"])
    text.append("a probe that was lost; an empty place was not measured\n", palette.text)
    text.append("\n")
    text.append("Rows send, columns receive. Grey is old: the cell says how old.\n", palette.dim)
    text.append("Figures are coloured by the link's own baseline.\n", palette.dim)
    text.append(glyphs.text("– is not known, which is not 0."), palette.dim)
    return text


def _gathered(table: Iterable[Key], scope: Scope) -> dict[str, list[str]]:
    """Signs by what they do: keys with the same words are one entry, a row of digits is written from – to."""
    found: dict[str, list[str]] = {}
    for key in table:
        if key.scope == scope:
            found.setdefault(key.help, []).extend(keys.sign(name, words=True) for name in key.keys)
    return {words: [keys.joined(signs)] if len(signs) > 2 else signs for words, signs in found.items()}
