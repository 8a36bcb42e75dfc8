"""Select Graphic Rendition (ECMA-48, 8.3.117): from one style to the next by what differs between them.

Textual ends each run of cells with a reset and begins the next with all of its style, though mostly one colour changes:
three quarters of what a screen sends to its terminal, which an operator on a slow SSH session pays for.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_SGR = re.compile(r"\x1b\[([0-9;]*)m")
# What draws nothing itself, and so does not care for the style: where the cursor goes (CUP).
_MOVES = re.compile(r"(?:\x1b\[[0-9;]*H)+")
_RESET = "\x1b[m"
# What takes back an attribute. Bold and dim share one.
_OFF = {"1": "22", "2": "22", "3": "23", "4": "24", "5": "25", "7": "27", "8": "28", "9": "29"}
_SEEN_ON_BLANKS = frozenset(("4", "7", "9"))
_STYLES = 4096  # pairs that are remembered; a screen has some dozens of styles


class _Style(NamedTuple):
    attributes: frozenset[str]
    foreground: str | None
    background: str | None


def shortened(text: str) -> str:
    """The same for a terminal, in fewer bytes. It may begin in any style, and an escape sequence may be cut at either
    end: nothing is taken for granted of what was written before."""
    parts = _SGR.split(text)
    out = [parts[0]]
    shown: str | None = None  # the style that the terminal has, by the parameters that lead to it from a reset
    reset = False  # a reset is due, unless the next style comes before anything is drawn
    for k in range(1, len(parts), 2):
        style, drawn = parts[k], parts[k + 1]
        if style.strip("0") == "":
            reset = True
        elif reset or shown == "":
            if shown is None or not drawn or drawn.strip(" ") or not _alike_on_blanks(shown, style):
                out.append(_way(shown, style))
                shown = style
            reset = False
        else:
            out.append(f"\x1b[{style}m")
            shown = None
        if not drawn:
            continue
        if reset and not _MOVES.fullmatch(drawn):
            out.append(_RESET)
            shown, reset = "", False
        out.append(drawn)
    if reset:
        out.append(_RESET)
    return "".join(out)


@lru_cache(_STYLES)
def _alike_on_blanks(shown: str, wanted: str) -> bool:
    """Whether a blank looks the same in both: it has a background, and lines if there are any."""
    before, after = _style(shown), _style(wanted)
    if before is None or after is None or (before.attributes | after.attributes) & _SEEN_ON_BLANKS:
        return False
    return before.background == after.background


@lru_cache(_STYLES)
def _way(shown: str | None, wanted: str) -> str:
    """The shortest sequence from one style to another; from None, which is any, by a reset."""
    if shown == "":
        return f"\x1b[{wanted}m"
    anew = f"\x1b[0;{wanted}m"
    if shown is None:
        return anew
    before, after = _style(shown), _style(wanted)
    if before is None or after is None:
        return anew
    steps = []
    gone = before.attributes - after.attributes
    kept = before.attributes - gone
    off = {_OFF[attribute] for attribute in gone}
    steps += sorted(off)
    # 22 takes back both that it stands for.
    steps += sorted(after.attributes - {attribute for attribute in kept if _OFF[attribute] not in off})
    for old, new, default in (
        (before.foreground, after.foreground, "39"),
        (before.background, after.background, "49"),
    ):
        if old != new:
            steps.append(new or default)
    if not steps:
        return ""
    changed = f"\x1b[{';'.join(steps)}m"
    return changed if len(changed) <= len(anew) else anew


def _style(parameters: str) -> _Style | None:
    """None where there is a parameter that is not known here."""
    attributes: set[str] = set()
    foreground = background = None
    words = parameters.split(";") if parameters else []
    k = 0
    while k < len(words):
        word, taken = words[k], 1
        if word in ("38", "48"):
            taken = {"2": 5, "5": 3}.get(words[k + 1] if k + 1 < len(words) else "", 0)
            if not taken or k + taken > len(words):
                return None
        colour = ";".join(words[k : k + taken])
        if word in _OFF:
            attributes.add(word)
        elif word == "38" or re.fullmatch("3[0-7]|9[0-7]", word):
            foreground = colour
        elif word == "48" or re.fullmatch("4[0-7]|10[0-7]", word):
            background = colour
        else:
            return None
        k += taken
    return _Style(frozenset(attributes), foreground, background)
