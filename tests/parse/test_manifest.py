"""Every captured file says where it comes from."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

FOLDERS = ("iperf3", "ping", "proc", "ss", "tc")


def test_every_capture_has_one_entry_and_every_entry_a_capture(fixtures: Path) -> None:
    entries = tomllib.loads((fixtures / "MANIFEST.toml").read_text(encoding="utf-8"))
    files = [
        str(path.relative_to(fixtures))
        for folder in FOLDERS
        for path in (fixtures / folder).iterdir()
        if path.is_file()
    ]
    patterns = [pattern for pattern in entries if pattern.partition("/")[0] in FOLDERS]
    claims = {file: [pattern for pattern in patterns if fnmatchcase(file, pattern)] for file in files}
    assert {file: found for file, found in claims.items() if len(found) != 1} == {}
    assert {pattern for found in claims.values() for pattern in found} == set(patterns)
    assert all({"tool", "command", "where"} <= entry.keys() for entry in entries.values())
