"""Who may import whom: read from the source, and checked in fresh interpreters by what really gets loaded."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import meshtop

ROOT = Path(meshtop.__file__).parent
FILES = sorted(file for file in ROOT.rglob("*.py"))

MODEL = {"model", "readings", "requests"}
# room → what else of meshtop it may import, and which packages beside the standard library.
# A room is a folder or a single module; the first name that fits a module is its room.
RULES: dict[str, tuple[set[str], set[str]]] = {
    "__init__": (set(), set()),
    "value": (set(), {"msgspec"}),
    "burst": ({"value"}, {"msgspec"}),
    "readings": ({"value"}, {"msgspec"}),
    "model": ({"value", "burst", "readings"}, {"msgspec"}),
    "requests": ({"value", "burst", "model"}, {"msgspec"}),
    "units": (set(), set()),
    "parse": ({"parse", *MODEL, "units"}, {"msgspec"}),
    # what an absent field of a socket means is the parser's knowledge, and a table
    "engine": ({"engine", "parse.ss_fields", *MODEL, "burst", "units"}, {"msgspec"}),
    "agent": ({"agent", *MODEL, "units"}, {"msgspec"}),
    "setup": ({"setup", "parse", *MODEL, "units", "agent.probe"}, {"msgspec"}),
    "transport": ({"transport", *MODEL, "parse.text"}, {"msgspec", "asyncssh", "psutil"}),
    "collect": (
        {"collect", "transport", "parse", "engine", "agent", "setup", "recording", *MODEL, "burst", "units"},
        {"msgspec", "icmplib", "psutil", "iperf3"},
    ),
    "recording": ({"recording", *MODEL, "units", "engine.view", "__init__"}, {"msgspec"}),
    # pictures and output are the commands'
    "report": (
        {"report", "collect.fold", "engine", "recording", "parse", *MODEL, "burst", "units", "__init__"},
        {"msgspec"},
    ),
    "toml_lines": (set(), set()),
    "config_reader": ({"toml_lines", *MODEL}, set()),
    "config": ({"config_reader", "toml_lines", *MODEL, "units", "transport.target"}, {"msgspec", "platformdirs"}),
    "lab": ({"lab", *MODEL, "units", "config", "parse.text", "__init__"}, {"msgspec", "asyncssh", "click"}),
    "ui": (
        {"ui", *MODEL, "burst", "units", "engine.snapshot", "engine.view", "__init__"},
        {"textual", "rich", "PIL", "pyte"},
    ),
}
# The composition root: it alone may import every room.
COMPOSITION = ("cli", "commands", "compose", "monitor")

PURE = ("parse", "engine", "setup", *MODEL, "burst", "value", "units")
# What reads a clock, a file, the network or chance has no place in what must give the same for the same input.
IMPURE = {
    *("asyncio", "glob", "io", "logging", "multiprocessing", "os", "pathlib", "random", "secrets"),
    *("select", "shutil", "signal", "socket", "subprocess", "sys", "tempfile", "threading", "time", "urllib"),
}
IMPURE_CALL = re.compile(r"open|print|input|(.*\.)?(datetime|date)\.(now|utcnow|today)")


def module_of(file: Path) -> str:
    """``parse.ss`` for meshtop/parse/ss.py; ``__init__`` for the package itself."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def room_of(module: str) -> str:
    return module.split(".")[0]


def imports_of(file: Path) -> Iterator[str]:
    """Full names of all imported modules, wherever in the file, those for type checking too."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            assert node.module is not None
            for alias in node.names:
                below = ROOT / node.module.removeprefix("meshtop").strip(".").replace(".", "/") / alias.name
                is_module = node.module.split(".")[0] == "meshtop" and (
                    below.with_suffix(".py").is_file() or below.is_dir()
                )
                yield f"{node.module}.{alias.name}" if is_module else node.module


def own(name: str) -> str:
    """A module of meshtop without the package's name."""
    return name.removeprefix("meshtop").strip(".") or "__init__"


def fits(module: str, allowed: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def test_every_module_has_a_room() -> None:
    rooms = {room_of(module_of(file)) for file in FILES}
    assert rooms == {*RULES, *COMPOSITION}


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_a_room_imports_only_what_it_may(file: Path) -> None:
    module = module_of(file)
    room = room_of(module)
    wrong = []
    for name in imports_of(file):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names:
            continue
        if top == "meshtop":
            if room not in COMPOSITION and not fits(own(name), RULES[room][0]):
                wrong.append(name)
        elif top == "textual" and room != "ui":
            wrong.append(f"{name}: only ui imports textual")
        elif room not in COMPOSITION and top not in RULES[room][1]:
            wrong.append(name)
    assert not wrong, f"meshtop.{module} may not import {', '.join(wrong)}"


@pytest.mark.parametrize("file", [f for f in FILES if room_of(module_of(f)) in PURE],
                         ids=module_of)  # fmt: skip
def test_parsers_and_engine_are_pure(file: Path) -> None:
    impure = sorted({name for name in imports_of(file) if name.split(".")[0] in IMPURE})
    tree = ast.parse(file.read_text(encoding="utf-8"))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not impure
    assert not {name for name in called if IMPURE_CALL.fullmatch(name)}


def loaded_by(code: str) -> set[str]:
    """The modules in ``sys.modules`` after ``code`` has run in an interpreter of its own."""
    script = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines())


def run_cli(*arguments: str) -> str:
    return f"import meshtop.cli; sys.argv = {['meshtop', *arguments]!r}; meshtop.cli.main()"


def test_the_version_loads_next_to_nothing() -> None:
    loaded = loaded_by(run_cli("--version"))
    assert "meshtop.cli" in loaded
    assert not loaded & {"textual", "rich", "asyncssh", "asyncio", "psutil", "icmplib", "meshtop.engine.engine"}


@pytest.mark.parametrize("command", ["snapshot", "stream"])
def test_headless_commands_never_load_textual(command: str, tmp_path: Path) -> None:
    """Run in earnest, against a mesh of which no node can be reached."""
    file = tmp_path / "meshtop.toml"
    file.write_text(
        '[paths.p]\nkind = "underlay"\n'
        '[nodes.a]\nssh = "127.0.0.1:9"\naddress = { p = "192.0.2.2" }\n'
        '[nodes.b]\nssh = "127.0.0.3:9"\naddress = { p = "192.0.2.3" }\n'
    )
    loaded = loaded_by(run_cli("-c", str(file), command, "--for", "100ms"))
    assert "meshtop.collect.collector" in loaded
    assert "asyncssh" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("textual", "rich", "iperf3")}


@pytest.mark.parametrize("module", ["meshtop.model", "meshtop.units"])
def test_the_words_load_nothing_of_the_house(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert {name for name in loaded if name.startswith("meshtop.")} <= {
        "meshtop.model",
        "meshtop.readings",
        "meshtop.units",
        "meshtop.value",
        "meshtop.burst",
    }


@pytest.mark.parametrize(("room", "others"), [("parse", set()), ("engine", {"parse"})])
def test_the_pure_rooms_load_no_other(room: str, others: set[str]) -> None:
    modules = ", ".join(f"meshtop.{module_of(file)}" for file in FILES if room_of(module_of(file)) == room)
    loaded = loaded_by(f"import {modules}")
    rooms = {room_of(own(name)) for name in loaded if name.startswith("meshtop.")}
    assert rooms <= {room, *MODEL, "value", "burst", "units", *others}
    assert not loaded & {"asyncio", "socket", "subprocess"}


def test_the_screen_loads_neither_ssh_nor_collection() -> None:
    modules = ", ".join(f"meshtop.{module_of(file)}" for file in FILES if room_of(module_of(file)) == "ui")
    loaded = loaded_by(f"import {modules}")
    assert "textual" in loaded
    assert not loaded & {"asyncssh", "psutil", "icmplib"}
    assert not {name for name in loaded if room_of(own(name)) in ("transport", "collect", "parse", "agent", "lab")}
