"""Scenarios: a mesh in a certain kind of trouble, as data. Traffic, faults over time, and the findings that are right.

Each is a TOML file in ``meshtop/lab/scenarios``; docs/lab.md describes the keys. Reading is strict: a mistake names the
file, the place and what there is.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from meshtop.model import Value
from meshtop.units import parse_duration

KINDS_OF_TRAFFIC = ("store", "proxy", "push", "copy", "chatter")
SERVERS = ("store", "proxy")
PATHS = ("vpn", "public", "mgmt")


class ScenarioError(ValueError):
    """The name or the file is wrong; the text says where and what there is."""


class Endpoint(Value, frozen=True, kw_only=True):
    """``NODE:PATH:PORT``."""

    node: str
    path: str
    port: int


class Traffic(Value, frozen=True, kw_only=True):
    """One kind of process of ``meshtop.lab.traffic``, ``count`` of it. Servers run all the time, clients from ``at_s``
    to ``until_s`` (None: to the end)."""

    run: str
    on: str
    bind: Endpoint | None = None
    to: Endpoint | None = None
    count: int = 1
    at_s: float = 0.0
    until_s: float | None = None
    options: tuple[tuple[str, str], ...] = ()  # such as ("rate", "2M")


class FaultAt(Value, frozen=True, kw_only=True):
    """A fault of ``meshtop lab fault`` from ``at_s`` on, healed at ``until_s`` (None: when the scenario ends)."""

    target: str
    kind: str
    value: str = ""
    path: str | None = None
    one_way: bool = False
    at_s: float = 0.0
    until_s: float | None = None


class Codes(Value, frozen=True, kw_only=True):
    """Of each group in ``must`` at least one code must be among the open findings; none of ``must_not`` may be.
    ``CODE@PATH`` means on that path."""

    must: tuple[tuple[str, ...], ...] = ()
    must_not: tuple[str, ...] = ()
    silent: bool = False  # nothing above info at all


class Scenario(Value, frozen=True, kw_only=True):
    """``trouble_s``: from when on something is wrong; ``story_s``: by when it has been told."""

    name: str
    summary: str
    hint: str
    overlay: str = "direct"
    trouble_s: float = 0.0
    story_s: float = 30.0
    traffic: tuple[Traffic, ...] = ()
    faults: tuple[FaultAt, ...] = ()
    codes: Codes = Codes()

    @classmethod
    def load(cls, name: str) -> Scenario:
        """A scenario that comes with meshtop. Raises ScenarioError."""
        found = {file.stem: file for file in _shipped()}
        if name not in found:
            raise ScenarioError(f"there is no scenario {name!r}; there are {', '.join(sorted(found))}")
        return read(found[name])


def names() -> list[str]:
    return sorted(file.stem for file in _shipped())


def _shipped() -> Iterator[Path]:
    folder = Path(str(files("meshtop.lab"))) / "scenarios"
    yield from folder.glob("*.toml")


def read(file: Path) -> Scenario:
    """Raises ScenarioError."""
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
        return _Reader(file.name, tree).scenario(file.stem)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{file.name}: {error}") from None


_TOP = {"summary", "hint", "overlay", "trouble", "story", "traffic", "fault", "codes"}
_TRAFFIC_OPTIONS = ("rate", "chunk", "bytes", "every", "window", "compress")
_TRAFFIC = {"run", "on", "bind", "to", "count", "at", "until", *_TRAFFIC_OPTIONS}
_FAULT = {"target", "kind", "value", "path", "one_way", "at", "until"}


class _Reader:
    def __init__(self, file: str, tree: Mapping[str, Any]) -> None:
        self._file = file
        self._tree = tree

    def scenario(self, name: str) -> Scenario:
        tree = self._tree
        self._known("", tree, _TOP)
        return Scenario(
            name=name,
            summary=self._text("", tree, "summary"),
            hint=self._text("", tree, "hint"),
            overlay=str(tree.get("overlay", "direct")),
            trouble_s=self._seconds("", tree, "trouble") or 0.0,
            story_s=self._seconds("", tree, "story") or 30.0,
            traffic=tuple(self._traffic(f"traffic[{n}]", each) for n, each in enumerate(tree.get("traffic", ()))),
            faults=tuple(self._fault(f"fault[{n}]", each) for n, each in enumerate(tree.get("fault", ()))),
            codes=self._codes(tree.get("codes", {})),
        )

    def _traffic(self, place: str, table: Mapping[str, Any]) -> Traffic:
        self._known(place, table, _TRAFFIC)
        run = self._text(place, table, "run")
        if run not in KINDS_OF_TRAFFIC:
            raise self._wrong(f"{place}.run", f"{run!r} is no traffic; there are {', '.join(KINDS_OF_TRAFFIC)}")
        on = self._text(place, table, "on")
        for needed in {"store": ("bind",), "proxy": ("bind", "to")}.get(run, ("to",)):
            self._text(place, table, needed)
        return Traffic(
            run=run,
            on=on,
            bind=self._endpoint(f"{place}.bind", f"{on}:{table['bind']}") if "bind" in table else None,
            to=self._endpoint(f"{place}.to", table["to"]) if "to" in table else None,
            count=int(table.get("count", 1)),
            at_s=self._seconds(place, table, "at") or 0.0,
            until_s=self._seconds(place, table, "until"),
            options=tuple((key, str(table[key])) for key in _TRAFFIC_OPTIONS if key in table),
        )

    def _fault(self, place: str, table: Mapping[str, Any]) -> FaultAt:
        self._known(place, table, _FAULT)
        return FaultAt(
            target=self._text(place, table, "target"),
            kind=self._text(place, table, "kind"),
            value=str(table.get("value", "")),
            path=table.get("path"),
            one_way=bool(table.get("one_way", False)),
            at_s=self._seconds(place, table, "at") or 0.0,
            until_s=self._seconds(place, table, "until"),
        )

    def _codes(self, table: Mapping[str, Any]) -> Codes:
        self._known("codes", table, {"must", "must_not", "silent"})
        must = tuple((each,) if isinstance(each, str) else tuple(each) for each in table.get("must", ()))
        return Codes(must=must, must_not=tuple(table.get("must_not", ())), silent=bool(table.get("silent", False)))

    def _endpoint(self, place: str, text: str) -> Endpoint:
        node, _, rest = str(text).partition(":")
        path, _, port = rest.partition(":")
        if not node or path not in PATHS or not port.isdecimal():
            raise self._wrong(place, f"{text!r} is no NODE:PATH:PORT; paths are {', '.join(PATHS)}")
        return Endpoint(node=node, path=path, port=int(port))

    def _seconds(self, place: str, table: Mapping[str, Any], key: str) -> float | None:
        if key not in table:
            return None
        try:
            return parse_duration(str(table[key]))
        except ValueError as error:
            raise self._wrong(f"{place}.{key}".lstrip("."), str(error)) from None

    def _text(self, place: str, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            raise self._wrong(f"{place}.{key}".lstrip("."), "is missing; it is a text")
        return value

    def _known(self, place: str, table: Mapping[str, Any], known: set[str]) -> None:
        for key in table:
            if key not in known:
                where = f"{place}.{key}".lstrip(".")
                raise self._wrong(where, f"is not known; there are {', '.join(sorted(known))}")

    def _wrong(self, place: str, what: str) -> ScenarioError:
        return ScenarioError(f"{self._file}: {place}: {what}")


def as_json(scenarios: list[Scenario]) -> bytes:
    return msgspec.json.encode(scenarios)
