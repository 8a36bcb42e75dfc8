"""``ss -tnpeHO``: which process holds which socket inode.

``users:(("sshd",pid=1,fd=3),("sshd",pid=9,fd=3))`` (iproute2 ``misc/ss.c``, ``proc_ctx_print``); the names are the
processes' own choice (comm, 15 bytes), so they may hold quotes, brackets and anything that looks like a field of ss.
"""

from __future__ import annotations

import re

from meshtop.parse.text import clean
from meshtop.readings import Process

# Timer, uid and ino follow in this order, so the last place where they do is ss's own and not part of a name.
_OWNED = re.compile(r" users:\((.*\))\)(?: timer:\([^ ]*\))?(?: uid:\d{1,10})? ino:(\d{1,10}) sk:", re.ASCII)
_OWNER = re.compile(r"\(\"(.{0,64}?)\",pid=(\d{1,10}),fd=\d{1,10}\)(?=,\(\"|$)", re.ASCII | re.DOTALL)
_HAS_INODE = re.compile(r" ino:\d{1,10} sk:", re.ASCII)
MAX_LINE = 65536  # a listener may be held by hundreds of workers


def parse_processes(text: str) -> tuple[tuple[Process, ...], int]:
    """Each process once for each socket inode that it holds, in the order of the output, and the number of lines not
    understood. A line without owners (another user's, or the kernel's) is understood and gives nothing."""
    found: dict[tuple[int, int], Process] = {}
    failed = 0
    for line in text.split("\n"):
        if not line.strip() or line.startswith("State "):
            continue
        owners_at = line.find(" users:(", 0, MAX_LINE)
        if owners_at < 0:
            failed += _HAS_INODE.search(line, 0, MAX_LINE) is None
            continue
        owned = _OWNED.match(line, owners_at) if len(line) <= MAX_LINE else None
        if owned is None:
            failed += 1
            continue
        inode = int(owned[2])
        owners = _OWNER.findall(owned[1])
        failed += not owners
        for name, pid in owners:
            found.setdefault((inode, int(pid)), Process(inode=inode, pid=int(pid), name=clean(name, 32)))
    return tuple(found.values()), failed
