"""A node whose CPU is full: its processes get one core of the machine, and share that with some that never rest.

    python -m meshtop.lab.busy CORE COUNT

COUNT processes want CORE all the time. So that the machine's own count of its time (/proc/stat, which every node shows)
says what is so for the node, each other core (with none of these: each) is kept busy by one process that gives way to
all. They run in the node's namespaces, and so end with the lab; each ends by itself after an hour, too. Read for this:
sched(7), on autogroups; sched_setaffinity(2).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from meshtop.lab.netns import LabError

MOST_S = 3600
PIN_WAIT_S = 5.0
_MODULE = b"meshtop.lab.busy"


def core() -> int:
    """That of this machine which such a node gets."""
    return max(os.sched_getaffinity(0))


def is_busy(pid: int) -> bool:
    return _MODULE in _words(pid)


def beside(pid: int) -> int:
    """Of a busy process: how many it was started with. 0 for others."""
    words = _words(pid)
    return int(words[-2]) if _MODULE in words else 0


def argv(count: int) -> list[str]:
    return [sys.executable, "-m", _MODULE.decode(), str(core()), str(count)]


def pin(find: Callable[[], Iterable[int]], cores: set[int]) -> None:
    """Have all processes that ``find`` finds, but for the busy ones, run on ``cores`` alone, and what they start, too.
    Those that others start meanwhile as well. Raises LabError."""
    give_up_at = time.monotonic() + PIN_WAIT_S
    while threads := [thread for pid in find() if not is_busy(pid) for thread in _elsewhere(pid, cores)]:
        if time.monotonic() > give_up_at:
            raise LabError(f"these do not take another core: {', '.join(map(str, threads))}")
        for thread in threads:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread, cores)


def _elsewhere(pid: int, cores: set[int]) -> list[int]:
    """Its threads that may run on others."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/task").iterdir():
            if os.sched_getaffinity(int(entry.name)) != cores:
                found.append(int(entry.name))
    return found


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _never_rest(on: int, *, give_way: bool) -> None:
    """In a session of its own each: the kernel shares a core out among sessions before it does among processes."""
    os.setsid()
    signal.alarm(MOST_S)
    os.sched_setaffinity(0, {on})
    if give_way:
        os.nice(19)
        with contextlib.suppress(OSError):  # a kernel without autogroups
            Path("/proc/self/autogroup").write_text("19")
    while True:
        pass


def main(arguments: list[str]) -> None:
    own, count = map(int, arguments)
    full = {own} if count else set()
    for on in (*(own for _ in range(count)), *(os.sched_getaffinity(0) - full)):
        if os.fork() == 0:
            _never_rest(on, give_way=on not in full)


if __name__ == "__main__":
    main(sys.argv[1:])
