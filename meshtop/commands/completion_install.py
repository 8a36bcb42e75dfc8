"""``meshtop --install-completion``: a script for the user's shell, where that shell looks for it.

bash: bash-completion's folder for users; fish: its own; zsh has none that is always looked into, so what to add to
``.zshrc`` is said. No start-up file is changed. The scripts are click's, with what these
do not get right put right.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import (
    BashComplete,
    FishComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_MESHTOP_COMPLETE"  # what click makes of the program's name

# bash breaks words at colons too, and replaces only what stands behind the last: `link:e:a`, `e:a`, `host:22`.
_BASH = r"""%(complete_func)s() {
    local IFS=$'\n' begun=${COMP_LINE:0:COMP_POINT} type value completion
    begun=${begun##*[[:space:]=]}
    local behind=${begun%%"${begun##*:}"}
    [[ $COMP_WORDBREAKS == *:* ]] || behind=
    COMPREPLY=()
    for completion in $(COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1"); do
        IFS=, read -r type value <<<"$completion"
        case $type in
        dir) compopt -o dirnames ;;
        file) compopt -o default ;;
        plain) COMPREPLY+=("${value#"$behind"}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class Bash(BashComplete):
    """Reads the line up to the cursor instead of bash's words."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_LINE", "")
        words = split_arg_string(line)
        begun = words.pop() if words and not line[-1].isspace() else ""
        return words[1:], begun


class Fish(FishComplete):
    """Shows what is said of an option to its end, not to its first comma."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


def register() -> None:
    """Let click take these: before a script is written, and before a shell is answered."""
    add_completion_class(Bash)
    add_completion_class(Fish)


def install(command: click.Command, shell: str | None, environment: Mapping[str, str] = os.environ) -> list[str]:
    """What was done, in lines for the operator. Raises a usage error for what cannot be done."""
    shell = shell or Path(environment.get("SHELL", "")).name
    if shell not in SHELLS:
        raise click.UsageError(f"which shell? Write --install-completion {' or '.join(SHELLS)}")
    register()
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
