"""What the shell offers, and where the script for it goes; and that every `--help` has an example."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from meshtop.cli import cli
from meshtop.commands.completion_install import install

MESH = """
[paths.vpn]
kind = "overlay"
[paths.public]
kind = "underlay"
[nodes.hub]
ssh = "hub"
address = { vpn = "10.0.0.1" }
[nodes.home]
ssh = "home"
address = { public = "192.0.2.2" }
"""


def offered(words: str, begun: str, folder: Path) -> list[str]:
    """As bash asks: the words before the cursor, and the one that is begun."""
    line = f"meshtop {words} {begun}".replace("  ", " ")
    environment = {
        **os.environ,
        "_MESHTOP_COMPLETE": "bash_complete",
        "COMP_LINE": line,
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'meshtop'; from meshtop.cli import main; main()"],
        env=environment, capture_output=True, text=True, check=False, cwd=folder, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return [each.partition(",")[2] for each in done.stdout.split()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "meshtop.toml").write_text(MESH)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host web db *.internal\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "begun", "names"),
    [
        ("", "sn", ["snapshot"]),
        ("burst", "h", ["hub", "home"]),
        ("diagnose hub", "ho", ["home"]),
        ("burst hub home --path", "", ["vpn", "public", "both"]),
        ("init", "", ["web", "db"]),
        ("lab fault e", "mtu", ["mtu", "mtu-blackhole"]),
        ("lab scenario", "mi", ["miku"]),
        ("demo --scenario", "bl", ["blackout"]),
        ("snapshot --view", "node:", ["node:hub", "node:home"]),
        ("snapshot", "--view=link:hub:", ["link:hub:home"]),
        ("lab fault e:a", "mtu-", ["mtu-blackhole"]),
        ("--theme", "okabe", ["okabe-dark", "okabe-light"]),
    ],
)
def test_names_are_offered(folder: Path, words: str, begun: str, names: list[str]) -> None:
    assert offered(words, begun, folder) == names


@pytest.mark.node
@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("meshtop snapshot --view link:hu", "hub:home"),  # bash replaces what stands behind the last colon
        ("meshtop snapshot --view=node:hu", "hub"),
        ("meshtop lab fault e:a mtu-", "mtu-blackhole"),
        ("meshtop burst hub h", "hub home"),
    ],
)
def test_bash_itself_is_answered(folder: Path, line: str, word: str) -> None:
    """The script in a real bash, called as its readline calls it."""
    (script,) = (Path(line.split()[0]) for line in install(cli, "bash", {"HOME": str(folder)})[:1])
    asked = f"""
        . '{script}'; COMP_WORDBREAKS=$' \t\n"=:'; COMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}
        _meshtop_completion '{Path(sys.executable).with_name("meshtop")}'; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", asked], env={**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        capture_output=True, text=True, check=True, cwd=folder, timeout=60,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (word, "")


def test_a_broken_file_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "meshtop.toml").write_text("[[[")
    assert offered("burst", "", folder) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_goes_where_the_shell_looks(tmp_path: Path, shell: str) -> None:
    said = install(cli, None, {"HOME": str(tmp_path), "SHELL": f"/usr/bin/{shell}"})
    (file,) = (each for each in tmp_path.rglob("*") if each.is_file())
    assert str(file) in said[0]
    assert "_MESHTOP_COMPLETE" in file.read_text()
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", str(file)], check=False).returncode == 0
    install(cli, shell, {"HOME": str(tmp_path)})
    file.write_text("mine")
    with pytest.raises(click.UsageError, match="not ours"):
        install(cli, shell, {"HOME": str(tmp_path)})


def test_an_unknown_shell_is_asked_for() -> None:
    with pytest.raises(click.UsageError, match="bash or zsh or fish"):
        install(cli, None, {"SHELL": "/bin/tcsh", "HOME": "/nowhere"})


def every(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    yield name, group
    for each in group.list_commands(context):
        command = group.get_command(context, each)
        assert command is not None
        if isinstance(command, click.Group):
            yield from every(command, f"{name} {each}")
        else:
            yield f"{name} {each}", command


@pytest.mark.parametrize("command", [pytest.param(command, id=name) for name, command in every(cli, "meshtop")])
def test_every_help_has_an_example(command: click.Command) -> None:
    assert "\b\n" in (command.help or "")
    assert "Example" in (command.help or "")
