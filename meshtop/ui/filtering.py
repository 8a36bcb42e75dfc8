"""What a list shows while words are given to filter it by."""

from __future__ import annotations

from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.theme import Palette


def matches(words: str, *texts: str | None) -> bool:
    """Whether each of the words stands in one of ``texts``; case does not matter, and no words let everything pass."""
    whole = " ".join(text for text in texts if text).casefold()
    return all(word in whole for word in words.casefold().split())


def told(line: Line, words: str, glyphs: Glyphs, palette: Palette, limit: int = 20) -> Line:
    """That a list is filtered stands in its title: what is not seen must not be taken for not being there."""
    if words:
        line.add(glyphs.text(" · "), palette.faint)
        line.add(f"/{glyphs.cut(words, limit)}", palette.cursor)
    return line
