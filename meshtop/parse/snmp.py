"""/proc/net/snmp: pairs of lines, names and values (net/ipv4/proc.c, ``snmp_seq_show``; RFC 1213, RFC 2012, RFC 4293).

``Tcp: RtoAlgorithm RtoMin …`` is followed by ``Tcp: 1 200 …``. Names are read, never positions: kernels add counters in
the middle. A counter that a kernel does not have is absent, not zero. MaxConn is -1.
"""

from __future__ import annotations

# The kernel's lines have some 130 counters; what goes far beyond is not from /proc.
MAX_COUNTERS = 1024
_MAX_DIGITS = 20


def parse_counters(text: str) -> tuple[dict[str, dict[str, int]], int]:
    """``{"Tcp": {"RetransSegs": 3, …}, …}`` and the number of lines that were not understood: one without its other
    half, one whose number of values differs from that of its names, one with a value that is no number. A group that
    comes twice is merged, the later value stands."""
    groups: dict[str, dict[str, int]] = {}
    failed = 0
    names: list[str] | None = None  # the last line of names, its group first
    for line in text.split("\n"):
        words = line.split()
        if not words:
            continue
        if len(words) > MAX_COUNTERS or not words[0].endswith(":") or len(words[0]) < 2:
            failed += 1
            continue
        if names is None or names[0] != words[0]:
            failed += names is not None
            names = words
            continue
        counters = _pair(names, words)
        names = None
        if counters is None:
            failed += 2
        else:
            groups.setdefault(words[0][:-1], {}).update(counters)
    return groups, failed + (names is not None)


def _pair(names: list[str], values: list[str]) -> dict[str, int] | None:
    if len(names) != len(values):
        return None
    digits = "".join(values[1:]).replace("-", "0")  # one look for all: int() alone would take "1_0" and "٣"
    if digits and not (digits.isascii() and digits.isdecimal() and max(map(len, values[1:])) <= _MAX_DIGITS):
        return None
    try:
        return dict(zip(names[1:], map(int, values[1:]), strict=True))
    except ValueError:  # a sign that is not in front
        return None
