"""Handing a script to a node's shell over standard input, so that nothing of it touches a disk or a command line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

# The script comes line by line and not a byte more, so that what is written afterwards is there for the script.
READER = (
    "n=$(echo; echo x); n=${n%x}; s=; "
    'while IFS= read -r l; do case $l in "#go") eval "$s"; exit ;; esac; s=$s$l$n; done'
)


def command(mark: str = "") -> str:
    """The command line for the login shell; ``mark`` is a word by which its process can be known.

    It holds no quote but one pair, no line end, no ``!`` and no backslash, so that sh, bash, csh and fish alike hand it
    on as it is.
    """
    return f"exec /bin/sh -c '{f': {mark}; ' if mark else ''}{READER}'"


COMMAND = command()


def script(name: str, values: Mapping[str, str]) -> bytes:
    """The script of that name with ``values`` set as variables, quoted, to be written to :data:`COMMAND`'s input."""
    lines = [f"{variable}={shlex.quote(value)}" for variable, value in values.items()]
    return "\n".join([*lines, _text(name), "#go", ""]).encode()


@cache
def _text(name: str) -> str:
    """Without comments and indents: each byte of it is read singly on the node."""
    text = (files("meshtop.agent") / name).read_text("utf-8")
    return re.sub(r"^\s*(#.*)?\n|^[ \t]+", "", text, flags=re.MULTILINE)
