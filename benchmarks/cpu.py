"""CPU time of a group of processes, with those that are gone.

Exact where cgroup v2 counts it (``cpu.stat``, Documentation/admin-guide/cgroup-v2.rst). Else from /proc/PID/stat over
the tree below one process, whose ``cutime`` and ``cstime`` hold what its ended children took (proc(5)).
"""

from __future__ import annotations

import os
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def of_cgroup(path: Path) -> float:
    """Seconds."""
    for line in (path / "cpu.stat").read_text().splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value) / 1e6
    raise ValueError(f"{path}: no usage_usec")


def of_tree(root: int) -> float:
    """Seconds of a process and all below it; 0 if it is gone."""
    children: dict[int, list[int]] = {}
    times: dict[int, float] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            fields = text.rpartition(")")[2].split()  # the name before it may hold spaces
            pid = int(entry.name)
            children.setdefault(int(fields[1]), []).append(pid)
            times[pid] = sum(map(int, fields[11:15])) * TICK_S
    total, pending = 0.0, [root]
    while pending:
        pid = pending.pop()
        total += times.get(pid, 0.0)
        pending += children.get(pid, [])
    return total
