"""Each cause where it must be named, and one case close by where it must not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshtop.engine.causes import CAUSES, Surroundings, judge
from meshtop.engine.stall import Waiting
from meshtop.readings import SocketId, SocketMemory, SocketReading, Timer

BASE = SocketReading(
    id=SocketId("10.10.10.5", 40112, "10.10.10.1", 5201, "1a2b"),
    state="ESTAB",
    recv_q=0,
    send_q=20000,
    unacked=10,
    mss=1448,
    rto_ms=240.0,
    rwnd_limited_ms=100,
)
PERSIST = Timer(kind="persist", expires_ms=200, retransmits=2)
RTO_3 = {"backoff": 3, "rto_ms": 1920.0, "timer": Timer(kind="on", expires_ms=100, retransmits=3)}
SILENT = {"lastack_ms": 1950}
CHATTY = {"lastack_ms": 100}
QUEUED = SocketMemory(wmem_alloc=14000)

CASES: list[tuple[str, bool, dict[str, Any], dict[str, Any]]] = [
    ("zero-window", True, {"timer": PERSIST, "rwnd_limited_ms": 900, **SILENT}, {}),
    ("zero-window", True, {"timer": PERSIST, "snd_wnd": 0, **SILENT}, {}),
    ("delay", True, {"timer": PERSIST, "snd_wnd": 64000, **SILENT}, {}),  # a failed local send probes too
    ("outer-stall", True, {**RTO_3, **SILENT}, {"outer_stalled": True, "small_probe_lost": True}),
    ("rto-no-ack", True, {**RTO_3, **SILENT}, {"outer_stalled": False}),
    ("size-blackhole", False, {**RTO_3, **SILENT}, {"small_probe_answered": True, "full_size_moved": False}),
    ("rto-no-ack", True, {**RTO_3, **SILENT}, {"small_probe_answered": True, "full_size_moved": True}),
    ("rto-no-ack", True, {**RTO_3, **SILENT}, {"small_probe_answered": True}),  # other flows: not known
    ("rto-no-ack", True, {**RTO_3, **SILENT, "backoff": 2}, {"small_probe_answered": True, "full_size_moved": False}),
    # the last, short segment of a write gets through and is SACKed
    (
        "size-blackhole",
        False,
        {**RTO_3, **SILENT, "sacked": 2},
        {"small_probe_answered": True, "full_size_moved": False},
    ),
    ("repeated-loss", True, {**RTO_3, **CHATTY, "sacked": 2}, {"small_probe_answered": True, "full_size_moved": False}),
    ("blackout", True, {**RTO_3, **SILENT}, {"small_probe_lost": True, "full_size_moved": False}),
    ("blackout", True, {**RTO_3, **SILENT, "sacked": 2}, {"small_probe_lost": True}),
    ("rto-no-ack", True, {**RTO_3, **SILENT}, {"small_probe_lost": None}),
    ("repeated-loss", True, {**RTO_3, **CHATTY}, {"small_probe_lost": True}),
    ("repeated-loss", True, {**RTO_3, **SILENT, "sacked": 3}, {}),
    ("recovery", True, {"sacked": 3, **CHATTY}, {}),
    ("recovery", True, {"lost": 1, **CHATTY}, {}),
    ("recovery", True, {"retrans": 1, **CHATTY}, {}),
    ("host-queue", True, {"skmem": QUEUED, **SILENT}, {}),
    ("delay", True, {"skmem": SocketMemory(wmem_alloc=1448), **SILENT}, {}),
    ("delay", True, SILENT, {}),
    ("undetermined", False, {"unacked": None, "notsent": 100}, {}),
]


@pytest.mark.parametrize(("expected", "settled", "fields", "around"), CASES)
def test_cause(expected: str, settled: bool, fields: dict[str, Any], around: dict[str, Any]) -> None:
    waiting = Waiting(msgspec.structs.replace(BASE, **fields), BASE, 2.0)
    assert judge(waiting, Surroundings(**around)) == (expected, settled)


def test_every_cause_has_a_case() -> None:
    assert {cause.name for cause in CAUSES} <= {case[0] for case in CASES}
