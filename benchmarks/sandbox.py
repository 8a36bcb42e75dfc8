"""A place of one's own: new network, mount and process namespaces, in which a benchmark makes its nodes.

The kernel takes all of it away when the last process ends, however it ends. Only control groups live outside; the
process that made the sandbox removes them.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from pathlib import Path

INSIDE = "MESHTOP_BENCH_INSIDE"
CGROUPS = "MESHTOP_BENCH_CGROUPS"  # as SETUP spells it
# The shell stays: as the first process it buries orphans. The control groups are bound to /run because
# ``ip netns exec`` mounts another /sys.
SETUP = """
mount -t tmpfs -o mode=755 none /run && mkdir -p /run/netns /run/sshd /run/bench /run/cgroups || exit 1
[ -z "$MESHTOP_BENCH_CGROUPS" ] || mount --bind "$MESHTOP_BENCH_CGROUPS" /run/cgroups || exit 1
ip link set lo up || exit 1
"$@"
exit $?
"""


def inside() -> bool:
    return INSIDE in os.environ


def enter(arguments: list[str]) -> int:
    """Run ``python -m benchmarks ARGUMENTS`` in a new sandbox; its exit status."""
    environment = {**os.environ, INSIDE: "1"}
    cgroups = _make_cgroups()
    if cgroups is not None:
        environment[CGROUPS] = str(cgroups)
    command = ["setpriv", "--pdeathsig", "KILL"]
    command += ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    command += ["sh", "-c", SETUP, "sh", sys.executable, "-m", "benchmarks", *arguments]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        if cgroups is not None:
            for child in [*cgroups.iterdir()]:
                if child.is_dir():
                    child.rmdir()
            cgroups.rmdir()


def cgroup(name: str) -> Path | None:
    """A new control group for CPU accounting, or None where cgroup v2 cannot be written to."""
    if not os.environ.get(CGROUPS):
        return None
    path = Path("/run/cgroups") / f"{name}-{secrets.token_hex(3)}"
    path.mkdir()
    return path


def _make_cgroups() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            path = Path(where) / f"meshtop-bench-{os.getpid()}"
            try:
                path.mkdir()
            except OSError:
                return None
            return path
    return None
