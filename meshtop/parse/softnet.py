"""/proc/net/softnet_stat: hexadecimal words, a line an online CPU (net/core/net-procfs.c, ``softnet_seq_show``).

Words 1 to 3 are packets processed, packets dropped because the backlog was full, and times that net_rx_action ran out
of budget. Word 13 is the CPU's number, from Linux 5.14 on; before, offline CPUs shift the lines and the position stands
in for it. Older kernels have nine or eleven words.
"""

from __future__ import annotations

import re

from meshtop.readings import SoftnetRow

MAX_CPUS = 8192  # CONFIG_NR_CPUS_DEFAULT with MAXSMP
_CPU_WORD = 12
_ROW = re.compile(r"[0-9a-f]{8}(?: [0-9a-f]{8}){2,31}", re.ASCII)


def parse_softnet(text: str) -> tuple[tuple[SoftnetRow, ...], int]:
    """One row a CPU in the file's order, and the number of lines not understood."""
    rows: list[SoftnetRow] = []
    failed = 0
    for line in text.split("\n"):
        line = line.strip()
        if not line:
            continue
        if len(rows) >= MAX_CPUS or not _ROW.fullmatch(line):
            failed += 1
            continue
        words = line.split()
        cpu = int(words[_CPU_WORD], 16) if len(words) > _CPU_WORD else len(rows)
        rows.append(
            SoftnetRow(cpu=cpu, processed=int(words[0], 16), dropped=int(words[1], 16), time_squeeze=int(words[2], 16))
        )
    return tuple(rows), failed
