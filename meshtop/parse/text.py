"""Text from nodes made safe to show: no control characters, no terminal escapes, no invisible or reversing signs.

A node's banner, a process name or a ping message may hold anything. On a terminal an escape sequence moves the cursor,
sets the title or answers back (ECMA-48; xterm's "Control Sequences"); bidirectional overrides make text read otherwise
than it is (Unicode TR 36, TR 9). Nothing of the kind passes here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from unicodedata import category

ELLIPSIS = "…"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# Control strings (OSC, DCS, SOS, PM, APC) end at BEL or ST. The body excludes every introducer, so that a flood of
# unterminated ones costs one pass and not one pass each; an unterminated one loses only its introducer.
_ESCAPE = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x90\x98\x9c\x9d\x9e\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI … final byte
    r"|\x1b[ -/]+[0-~]"  # nF: character sets and the like
    r"|\x1b[\]PX^_\[]"  # what is left of an unterminated one
    r"|\x1b[0-Z\\^-~]"  # two-character escapes
)
_SUSPECT = re.compile(r"[^ -~]")
# Sequences that print nothing may precede the text worth showing; this much of the input is looked at, no more, so
# that the cost of a hostile megabyte stays that of a line.
_SLACK = 1024


def clean(s: str, limit: int = 200) -> str:
    """``s`` as one harmless line of at most ``limit`` (≥ 1) characters, ended by ``…`` when it was longer.

    Escape sequences and control, format (bidi, zero-width, tag) characters are removed; tabs, line ends and blanks of
    every kind become spaces; lone surrogates and characters without an agreed form become U+FFFD; blanks at both ends
    go. The result ``isprintable()``. Idempotent.
    """
    considered = s[: 8 * limit + _SLACK]
    if not (considered.isascii() and considered.isprintable()):
        considered = _SUSPECT.sub(_harmless_match, _ESCAPE.sub("", considered))
    considered = considered.strip()
    if len(considered) <= limit and len(s) <= 8 * limit + _SLACK:
        return considered
    return considered[: limit - 1].rstrip() + ELLIPSIS


def clean_bytes(b: bytes, limit: int = 200) -> str:
    """As :func:`clean`, for bytes that should be UTF-8; what is not becomes U+FFFD."""
    considered = b[: 4 * (8 * limit + _SLACK) + 4]  # four bytes a character at most
    return clean(considered.decode("utf-8", "replace"), limit)


def _harmless_match(match: re.Match[str]) -> str:
    return _harmless(match.group())


@lru_cache(maxsize=1024)
def _harmless(char: str) -> str:
    if char in "\t\n\v\f\r\x1c\x1d\x1e\x85":
        return " "
    if char in "\u115f\u1160\u3164\uffa0\u2800" or _is_variation_selector(char):  # drawn as nothing
        return ""
    if char.isprintable():
        return char
    kind = category(char)
    if kind.startswith("Z"):
        return " "
    return "" if kind in ("Cc", "Cf") else REPLACEMENT


def _is_variation_selector(char: str) -> bool:
    """They change how wide a terminal draws the sign before them, so that columns no longer line up."""
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
