"""Fonts for pictures: those that ship with meshtop, then those of the machine for what these do not have."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

from PIL import ImageFont

SIZE = 20
WIDE_SIZE = 22  # a full-width sign fills two cells of 12 pixels

# Where the freedesktop.org base directories and Debian keep fonts.
PLACES = ("~/.local/share/fonts", "~/.fonts", "/usr/local/share/fonts", "/usr/share/fonts")
# What to try first of what is there; the rest follows by name.
_LIKELY = re.compile(
    r"noto.*cjk|wqy|droid.*fallback|unifont|nanum|noto.*mono|freemono|dejavusans\.|noto", re.IGNORECASE
)
_MOST_TRIED = 40  # fonts of a machine that are opened for one sign
_NOWHERE = "\U0010fffd"  # a private sign that no font has: what is drawn for it, is drawn for all that are missing


def packaged(name: str) -> Path:
    return Path(str(files("meshtop"))) / "ui" / "fonts" / name


@lru_cache(maxsize=128)
def opened(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def font_for(char: str, bold: bool, wide: bool) -> ImageFont.FreeTypeFont | None:
    """A font that has ``char``; None if no font here has it."""
    size = WIDE_SIZE if wide else SIZE
    first = ("DejaVuSansMono-Bold.ttf", "DejaVuSansMono.ttf") if bold else ("DejaVuSansMono.ttf",)
    for name in (*first, "DroidSansFallback-cjk.ttf"):
        font = opened(packaged(name), size)
        if _has(font, char):
            return font
    for path in installed()[:_MOST_TRIED]:
        try:
            font = opened(path, size)
        except OSError:  # not a font after all, or not one that FreeType reads
            continue
        if _has(font, char):
            return font
    return None


@cache
def installed() -> tuple[Path, ...]:
    """The machine's fonts, the likeliest first."""
    found = [
        path
        for place in PLACES
        for pattern in ("*.ttf", "*.otf", "*.ttc", "*.otc")
        for path in Path(place).expanduser().rglob(pattern)
    ]
    return tuple(sorted(found, key=lambda path: (_LIKELY.search(path.name) is None, path.name)))


def _has(font: ImageFont.FreeTypeFont, char: str) -> bool:
    return _drawing(font, char) != _drawing(font, _NOWHERE)


def _drawing(font: ImageFont.FreeTypeFont, char: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(char)
    return mask.size, bytes(mask)
