"""``meshtop --install-completion``: click's script for the user's shell, where that shell looks for it.

bash: bash-completion's folder for users; fish: its own; zsh has none that is always looked into, so what to add to
``.zshrc`` is said. No start-up file is changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

if TYPE_CHECKING:
    from collections.abc import Mapping

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MESHTOP_COMPLETE"  # what click makes of the program's name


def install(command: click.Command, shell: str | None, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What was done, in lines for the operator. Raises a usage error for what cannot be done."""
    shell = shell or Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise click.UsageError(f"which shell? Write --install-completion {' or '.join(SHELLS)}")
    made = get_completion_class(shell)
    assert made is not None  # noqa: S101  # click has these three
    source = made(command, {}, "meshtop", VARIABLE).source()
    file = _place(shell, environment)
    try:
        if file.exists() and VARIABLE not in file.read_text(errors="replace"):
            raise click.UsageError(f"{file} is there already and not ours; move it away")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from None
    return [f"{file} written", *_hints(shell, file)]


def _place(shell: str, environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or Path.home())
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return {
        "bash": data / "bash-completion" / "completions" / "meshtop",
        "fish": config / "fish" / "completions" / "meshtop.fish",
        "zsh": data / "zsh" / "site-functions" / "_meshtop",
    }[shell]


def _hints(shell: str, file: Path) -> list[str]:
    if shell == "bash":
        return ["open a new shell; without the package bash-completion, add to ~/.bashrc:", f"    . '{file}'"]
    if shell == "zsh":
        return [
            "add to ~/.zshrc, before compinit, and open a new shell:",
            f"    fpath=('{file.parent}' $fpath); autoload -Uz compinit && compinit",
        ]
    return ["it is there in the next shell"]
