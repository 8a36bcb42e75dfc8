"""The slow beat's rows on the host itself: what its CPUs did (/proc/stat, proc(5)) and its queue disciplines
(``tc -s qdisc show``, tc(8)), as probe.awk and probe.sh put them (docs/frames.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from meshtop.parse.text import clean
from meshtop.readings import HostCpu, Qdisc

MAX_QDISCS = 64  # the probe tells of about thirty
_NUMBER = re.compile(r"[0-9]{1,20}")
_PER_MILLE = 1000


def host_cpu(words: Sequence[str]) -> HostCpu | None:
    """``at:UPTIME cores:N busy:‰ …``; None for what is not that."""
    values = _numbers(words)
    if not {"at", "cores", "busy", "core"} <= values.keys():
        return None

    def percent(name: str) -> float | None:
        value = values.get(name)
        return value / 10 if value is not None and value <= _PER_MILLE else None

    return HostCpu(
        at_s=float(values["at"]),
        cores=values["cores"],
        cpu_pct=percent("busy"),
        iowait_pct=percent("iowait"),
        softirq_pct=percent("softirq"),
        steal_pct=percent("steal"),
        busiest_core_pct=percent("core"),
        busiest_core_softirq_pct=percent("core_softirq"),
        wait_ms=values["wait"] / 1000 if "wait" in values else None,
    )


def qdiscs(words: Sequence[str]) -> tuple[tuple[Qdisc, ...] | None, float | None, str]:
    """``- at:UPTIME DEVICE/KIND/PARENT sent:N …``, or ``! why not``: the disciplines, the node's uptime at which they
    were asked, and why they are not known, empty where they are."""
    if not words or words[0] != "-":
        return None, None, clean(" ".join(words[1:]), 100) or "not told"
    found: list[Qdisc] = []
    group: list[str] = []
    for word in (*words[2:], "//"):
        if word.count("/") >= 2:
            if (one := _qdisc(group)) is not None and len(found) < MAX_QDISCS:
                found.append(one)
            group = [word]
        else:
            group.append(word)
    at = _numbers(words[1:2]).get("at")
    return tuple(found), float(at) if at is not None else None, ""


def _qdisc(group: Sequence[str]) -> Qdisc | None:
    if not group or group[0].count("/") < 2:
        return None
    device, kind, parent = (clean(part, 64) for part in group[0].split("/", 2))
    values = _numbers(group[1:])
    rate = next((word[5:] for word in group if word.startswith("rate:")), None)
    if not device or "dropped" not in values:
        return None
    return Qdisc(
        device=device,
        kind=kind,
        parent=None if parent == "root" else parent,
        sent_packets=values.get("sent", 0),
        dropped=values["dropped"],
        overlimits=values.get("over"),
        requeues=values.get("requeues"),
        backlog_bytes=values.get("backlog"),
        backlog_packets=values.get("queued"),
        rate=clean(rate, 24) if rate else None,
    )


def _numbers(words: Sequence[str]) -> Mapping[str, int]:
    pairs = (word.partition(":") for word in words)
    return {name: int(value) for name, _, value in pairs if _NUMBER.fullmatch(value)}
