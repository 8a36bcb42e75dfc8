"""The names that ssh_config(5) has a ``Host`` for: what an operator may call his machines by."""

from __future__ import annotations

import glob
import os
import shlex
from collections.abc import Iterator, Sequence

_DEPTH = 16  # as ssh(1): READCONF_MAX_DEPTH
_MOST = 1000


def aliases(files: Sequence[str]) -> list[str]:
    """In the order of the files, without patterns. Files that cannot be read have none."""
    found: dict[str, None] = {}
    for file in files:
        for name in _hosts(file, 0):
            found.setdefault(name)
            if len(found) >= _MOST:
                return list(found)
    return list(found)


def _hosts(file: str, depth: int) -> Iterator[str]:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            lines = stream.readlines()
    except OSError:
        return
    for line in lines:
        keyword, words = _words(line)
        if keyword == "host":
            yield from (word for word in words if not any(sign in word for sign in "*?!"))
        elif keyword == "include" and depth < _DEPTH:
            for pattern in words:
                for included in sorted(glob.glob(_place(pattern, file))):
                    yield from _hosts(included, depth + 1)


def _words(line: str) -> tuple[str, list[str]]:
    try:
        words = shlex.split(line.replace("=", " ", 1) if "=" in line else line, comments=True)
    except ValueError:
        return "", []
    return (words[0].lower(), words[1:]) if words else ("", [])


def _place(pattern: str, file: str) -> str:
    """Relative ones are beside the user's ssh_config, as ssh(1) has it; and beside a file that was named."""
    path = os.path.expanduser(pattern)
    return path if os.path.isabs(path) else os.path.join(os.path.dirname(os.path.abspath(file)), path)
