"""/proc/net/dev: two header lines, then one line an interface (net/core/net-procfs.c, ``dev_seq_printf_stats``).

Sixteen columns that have not changed since Linux 2.2: bytes packets errs drop fifo frame compressed multicast, then
bytes packets errs drop fifo colls carrier compressed. An interface name may hold anything but ``/``, ``:`` and white
space; old alias names hold a colon, so the last one ends the name.
"""

from __future__ import annotations

from meshtop.parse.text import clean
from meshtop.readings import DevCounters

COLUMNS = 16
MAX_INTERFACES = 4096  # far above any node of the kind; bounds what garbage can allocate
_MAX_DIGITS = 20


def parse_net_dev(text: str) -> tuple[dict[str, DevCounters], int]:
    """Interface → counters, in the file's order, and the number of lines not understood."""
    devices: dict[str, DevCounters] = {}
    failed = 0
    for line in text.split("\n"):
        if not line.strip() or _is_header(line):
            continue
        head, colon, tail = line.rpartition(":")
        values = tail.split()
        name = clean(head, 64)
        if not (colon and name and len(values) >= COLUMNS and all(map(_is_number, values[:COLUMNS]))):
            failed += 1
            continue
        if len(devices) >= MAX_INTERFACES:
            failed += 1
            continue
        devices[name] = _counters(values)
    return devices, failed


def _is_header(line: str) -> bool:
    return "|" in line and (line.startswith("Inter-|") or line.lstrip().startswith("face |"))


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= _MAX_DIGITS


def _counters(values: list[str]) -> DevCounters:
    numbers = [int(value) for value in values[:COLUMNS]]
    return DevCounters(
        rx_bytes=numbers[0],
        rx_packets=numbers[1],
        rx_errs=numbers[2],
        rx_drop=numbers[3],
        rx_fifo=numbers[4],
        tx_bytes=numbers[8],
        tx_packets=numbers[9],
        tx_errs=numbers[10],
        tx_drop=numbers[11],
        tx_fifo=numbers[12],
        tx_carrier=numbers[14],
    )
