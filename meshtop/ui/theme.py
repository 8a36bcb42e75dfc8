"""Themes: TOML files of colours, and the styles made of them.

A file has ``[base]`` (the fields of textual.theme.Theme), ``[status]``, ``[series]`` and ``[glyphs] set``. It is looked
for in the folder given on the command line, then in the user's, then among those that ship with meshtop. A file that
cannot be used is told with its name and key, and another theme is shown: a colour is never a reason not to start.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

from meshtop.engine.view import StripState
from meshtop.ui.glyphs import SETS
from meshtop.ui.metrics import Gravity
from meshtop.ui.scene import ShownNodeState, ShownState

DEFAULT_THEME = "okabe-dark"
MONO_THEME = "mono"  # what NO_COLOR asks for
STATUS_KEYS = ("ok", "degraded", "lossy", "stall", "down", "stale")
SERIES_KEYS = ("overlay", "underlay")

_COLOUR_FIELDS = (
    "primary", "secondary", "warning", "error", "success", "accent", "foreground", "background", "surface", "panel",
    "boost",
)  # fmt: skip
_NEEDED = ("primary", "foreground", "background")  # what the palette is mixed from
_BASE_FIELDS = frozenset(field.name for field in fields(Theme)) - {"name", "ansi"}
_PLACE_OF_STATUS: Mapping[str, tuple[str, ...]] = {"status": STATUS_KEYS, "series": SERIES_KEYS, "glyphs": ("set",)}


class ThemeError(ValueError):
    """A theme file cannot be used. The message names the file, the key and what is wrong with it."""


@dataclass(frozen=True)
class ThemeFile:
    """A theme that was read and found whole. ``base`` carries ``$status-*`` and ``$series-*`` for the stylesheet."""

    name: str
    base: Theme
    status: Mapping[str, str]
    series: Mapping[str, str]
    glyph_set: str
    path: Path | None = None


@dataclass(frozen=True)
class Palette:
    """Every style that is ever painted, made once a theme."""

    text: Style
    bold: Style
    dim: Style
    faint: Style
    title: Style
    cursor: Style
    key: Style
    chosen: Style
    alarm: Style
    states: Mapping[ShownState, Style]
    states_bold: Mapping[ShownState, Style]
    node_states: Mapping[ShownNodeState, Style]
    gravity: Mapping[Gravity, Style]
    bars: Mapping[Gravity, Style]
    series: Mapping[str, Style]
    levels: Mapping[str, Style]
    strips: Mapping[StripState, Style]


def packaged_themes() -> Path:
    """The folder of shipped themes: in the wheel, else beside the package (an editable install)."""
    inside = Path(str(files("meshtop"))) / "themes"
    return inside if inside.is_dir() else inside.parent.parent / "themes"


def user_themes() -> Path:
    """The user's own folder, by the XDG Base Directory Specification."""
    configured = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if os.path.isabs(configured) else Path("~/.config").expanduser()
    return base / "meshtop" / "themes"


def search_path(theme_dir: Path | None) -> tuple[Path, ...]:
    return (*((theme_dir,) if theme_dir is not None else ()), user_themes(), packaged_themes())


def read_theme(path: Path) -> ThemeFile:
    """The theme in ``path``. Raises ThemeError for anything that is wrong with it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ThemeError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise ThemeError(f"{path}: {reason}") from None
    _check_keys(path, table)
    base = _section(path, table, "base")
    status = {key: _colour(path, table, "status", key) for key in STATUS_KEYS}
    series = {key: _colour(path, table, "series", key) for key in SERIES_KEYS}
    glyph_set = _section(path, table, "glyphs").get("set", "unicode")
    if glyph_set not in SETS:
        raise ThemeError(f'{path}: glyphs.set: "{glyph_set}" is not a set; there are {" and ".join(SETS)}')
    return ThemeFile(path.stem, _base_theme(path, base, status, series), status, series, glyph_set, path)


def _base_theme(path: Path, base: Mapping[str, Any], status: Mapping[str, str], series: Mapping[str, str]) -> Theme:
    for key in _NEEDED:
        _colour(path, {"base": base}, "base", key)
    for key, value in base.items():
        if key in _COLOUR_FIELDS:
            _colour(path, {"base": base}, "base", key)
        elif key == "dark" and not isinstance(value, bool):
            raise ThemeError(f"{path}: base.dark: write true or false")
        elif key in ("luminosity_spread", "text_alpha") and (isinstance(value, bool) or not isinstance(value, float)):
            raise ThemeError(f"{path}: base.{key}: write a number such as 0.15")
    own = base.get("variables", {})
    if not isinstance(own, dict) or not all(isinstance(value, str) for value in own.values()):
        raise ThemeError(f"{path}: base.variables: write a table of texts")
    variables = {**own, **_css_variables(status, series)}
    return Theme(name=path.stem, **{**base, "variables": variables})


def _css_variables(status: Mapping[str, str], series: Mapping[str, str]) -> dict[str, str]:
    return {f"status-{key}": value for key, value in status.items()} | {
        f"series-{key}": value for key, value in series.items()
    }


def _check_keys(path: Path, table: Mapping[str, Any]) -> None:
    known: Mapping[str, Iterable[str]] = {"base": _BASE_FIELDS, **_PLACE_OF_STATUS}
    for name, section in table.items():
        if name not in known:
            raise ThemeError(f"{path}: {name}: no such section; there are {', '.join(known)}")
        if not isinstance(section, dict):
            raise ThemeError(f"{path}: {name}: write it as a section, [{name}]")
        for key in section:
            if key not in known[name]:
                raise ThemeError(f"{path}: {name}.{key}: no such key; there are {', '.join(sorted(known[name]))}")


def _section(path: Path, table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in table:
        raise ThemeError(f"{path}: [{name}] is missing")
    section: Mapping[str, Any] = table[name]
    return section


def _colour(path: Path, table: Mapping[str, Any], name: str, key: str) -> str:
    value = _section(path, table, name).get(key)
    if value is None:
        raise ThemeError(f"{path}: {name}.{key}: is missing; write a colour such as #56B4E9")
    try:
        colour = Color.parse(value) if isinstance(value, str) else None
    except ColorParseError:
        colour = None
    if colour is None or colour.a < 1 or colour.ansi is not None:
        raise ThemeError(f'{path}: {name}.{key}: "{value}" is not a colour; write one such as #56B4E9')
    return colour.hex6


def load_themes(directories: Sequence[Path]) -> tuple[dict[str, ThemeFile], tuple[str, ...]]:
    """Every theme of ``directories`` by name, the first folder winning, and what was wrong with the others.

    A broken file does not hide a whole one of the same name in a later folder.
    """
    themes: dict[str, ThemeFile] = {}
    problems: list[str] = []
    for directory in directories:
        try:
            paths = sorted(directory.glob("*.toml"))
        except OSError:
            continue  # a folder that may not be read holds no themes for us
        for path in paths:
            try:
                theme = read_theme(path)
            except ThemeError as error:
                problems.append(str(error))
            else:
                themes.setdefault(theme.name, theme)
    return themes, tuple(problems)


def emergency_theme() -> ThemeFile:
    """Built in, for when not one theme file can be read: greys on black."""
    status = {**dict.fromkeys(STATUS_KEYS, "#FFFFFF"), "ok": "#B0B0B0", "stale": "#7C7C7C"}
    series = dict.fromkeys(SERIES_KEYS, "#D0D0D0")
    base = Theme(
        name="plain", primary="#B0B0B0", foreground="#D0D0D0", background="#101010", accent="#FFFFFF",
        variables=_css_variables(status, series),
    )  # fmt: skip
    return ThemeFile("plain", base, status, series, "unicode")


def choose(themes: Mapping[str, ThemeFile], wanted: str | None) -> tuple[ThemeFile, str | None]:
    """The theme to show, and a complaint if it is not the one that was wanted."""
    fallback = themes.get(DEFAULT_THEME) or next(iter(themes.values()), None) or emergency_theme()
    if wanted is None or wanted in themes:
        return (themes[wanted] if wanted is not None else fallback), None
    names = ", ".join(sorted(themes)) or "none"
    return fallback, f"no theme is called {wanted}; there are {names}"


def palette(theme: ThemeFile) -> Palette:
    base = theme.base
    foreground = Color.parse(base.foreground or "#FFFFFF")
    background = Color.parse(base.background or "#000000")

    def toward_background(factor: float) -> Style:
        return Style(color=foreground.blend(background, factor).hex6)

    text, dim, faint = Style(color=foreground.hex6), toward_background(0.35), toward_background(0.74)
    status = {key: Style(color=value) for key, value in theme.status.items()}
    strong = {key: Style(color=value, bold=True) for key, value in theme.status.items()}
    return Palette(
        text=text,
        bold=Style(color=foreground.hex6, bold=True),
        dim=dim,
        faint=faint,
        title=Style(color=Color.parse(base.primary).hex6, bold=True),
        cursor=Style(color=Color.parse(base.accent or base.primary).hex6, bold=True),
        key=Style(color=Color.parse(base.primary).hex6, bold=True),
        chosen=Style(color=Color.parse(base.primary).hex6, bold=True, reverse=True),
        alarm=Style(color=theme.status["degraded"], bold=True, reverse=True),
        states=_by_state(status, dim),
        states_bold=_by_state(strong, dim),
        node_states={
            "up": status["ok"], "connecting": dim, "silent": strong["degraded"], "down": strong["down"],
            "stale": status["stale"],
        },
        gravity={
            Gravity.UNKNOWN: dim, Gravity.FINE: text, Gravity.RAISED: status["degraded"],
            Gravity.BAD: status["lossy"], Gravity.WORST: strong["stall"],
        },
        bars={
            Gravity.UNKNOWN: dim, Gravity.FINE: dim, Gravity.RAISED: status["degraded"], Gravity.BAD: status["lossy"],
            Gravity.WORST: status["stall"],
        },
        series={key: Style(color=value) for key, value in theme.series.items()},
        strips={
            "no-data": status["stale"], "idle": dim, "sending": dim, "retransmitting": status["degraded"],
            "stalled": status["stall"],
        },
        levels={"info": dim, "warning": status["degraded"], "error": strong["stall"]},
    )  # fmt: skip


def _by_state(status: Mapping[str, Style], dim: Style) -> dict[ShownState, Style]:
    return {
        "ok": status["ok"], "degraded": status["degraded"], "lossy": status["lossy"], "stalled": status["stall"],
        "down": status["down"], "stale": status["stale"], "no-data": status["stale"], "idle": dim,
    }  # fmt: skip
