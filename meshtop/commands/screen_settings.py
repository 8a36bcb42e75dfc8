"""The operator's own ``screen.toml``: theme, bell and keys, whatever mesh is looked at.

It is read before anything is started: a key that would do two things is no key to find out about while data flows.
Every mistake is told at once with its line, as for meshtop.toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs

from meshtop.config import ConfigErrors
from meshtop.config_reader import Mistake
from meshtop.toml_lines import Lines

FILE = "screen.toml"
KNOWN = ("theme", "bell", "keys")


class ScreenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``keymap`` maps ids of bindings to keys as Textual's ``App.set_keymap`` takes them."""

    theme: str | None = None
    bell: bool = False
    keymap: Mapping[str, str] = {}


def place() -> Path:
    return Path(platformdirs.user_config_dir("meshtop", appauthor=False)) / FILE


def read(path: Path | None = None) -> ScreenSettings:
    """What the file says; the defaults where there is none. Raises ConfigErrors."""
    file = path or place()
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ScreenSettings()
    except OSError as error:
        raise ConfigErrors(str(file), [Mistake(line=None, text=error.strerror or str(error))]) from None
    except UnicodeDecodeError:
        raise ConfigErrors(str(file), [Mistake(line=None, text="is not UTF-8")]) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors(str(file), [Mistake(line=None, text=str(error))]) from None
    lines = Lines(text)
    mistakes = list(_mistakes(table, lines))
    keymap: dict[str, str] = {}
    if "keys" in table and not mistakes:
        mistakes += _read_keys(table["keys"], lines, keymap)
    if mistakes:
        raise ConfigErrors(str(file), mistakes)
    return ScreenSettings(theme=table.get("theme"), bell=table.get("bell", False), keymap=keymap)


def _mistakes(table: Mapping[str, Any], lines: Lines) -> Iterator[Mistake]:
    for key, value in table.items():
        line = lines.of((key,))
        if key not in KNOWN:
            yield Mistake(line=line, text=f"{key}: is not known; there are {', '.join(KNOWN)}")
        elif key == "theme" and not isinstance(value, str):
            yield Mistake(line=line, text='theme: write a name such as "miku"; `meshtop themes` lists them')
        elif key == "bell" and not isinstance(value, bool):
            yield Mistake(line=line, text="bell: write true or false")
        elif key == "keys" and not isinstance(value, dict):
            yield Mistake(line=line, text='keys: write a table such as [keys] and "app.quit" = "Q"')


def _read_keys(table: Mapping[str, Any], lines: Lines, keymap: dict[str, str]) -> list[Mistake]:
    """Fills ``keymap``; ids may be written with dots or in quotes."""
    from meshtop.ui import keys

    mistakes: list[Mistake] = []
    places: dict[str, int] = {}
    for path, value in _flat(table):
        identity, line = ".".join(path), lines.of(("keys", *path))
        wanted = [value] if isinstance(value, str) else value
        if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
            mistakes.append(Mistake(line=line, text=f'keys.{identity}: write a key such as "Q", or ["Q", "ctrl+q"]'))
            continue
        try:
            keymap[identity] = ",".join(keys.key_named(one) for one in wanted)
        except ValueError as error:
            mistakes.append(Mistake(line=line, text=f"keys.{identity}: {error}"))
        places[identity] = line
    if mistakes:
        return mistakes
    for identity in keymap:
        if identity not in {key.id for key in keys.KEYS}:
            text = f"keys.{identity}: no binding is called that{keys.nearest(identity)}"
            mistakes.append(Mistake(line=places[identity], text=text))
    if mistakes:
        return mistakes
    for clash in keys.clashes(keys.moved(keymap)):
        line = places.get(clash.first) or places.get(clash.second) or 1
        mistakes.append(Mistake(line=line, text=f"keys: {clash}"))
    return mistakes


def _flat(table: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, (*above, key))
        else:
            yield (*above, key), value
