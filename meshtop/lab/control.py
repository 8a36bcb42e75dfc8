"""What is said over the WAN's control socket: one JSON object a line each way, a reply for each request."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

import msgspec

from meshtop.lab.faults import FaultRequest
from meshtop.lab.netns import LabError
from meshtop.lab.wanlog import MOST_BYTES, LogStatus
from meshtop.model import Value

REPLY_TIMEOUT_S = 5.0  # the WAN answers within milliseconds or not at all
MAX_LINE_BYTES = 1 << 20


class Request(Value, frozen=True, kw_only=True):
    """``heal`` takes away the faults that fit ``target``, ``kind`` and ``net``; None fits all. ``release`` lets go of
    the sites' devices of ``net``, so that other processes may attach to them; ``attach`` takes them back. ``log``
    begins a log at ``path`` of what happens to packets, of ``most_bytes`` at most; ``end-log`` ends it."""

    op: Literal["status", "fault", "heal", "stop", "release", "attach", "log", "end-log"]
    fault: FaultRequest | None = None
    target: str | None = None
    kind: str | None = None
    net: str | None = None
    path: str = ""
    most_bytes: int = MOST_BYTES


class Lateness(Value, frozen=True, kw_only=True):
    """How far behind their time packets were handed over, in milliseconds; ``packets`` is how many were looked at."""

    packets: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    over_5ms: int


class LineStatus(Value, frozen=True, kw_only=True):
    name: str  # "a:up"
    rate_bps: int
    queue_bytes: int
    queued_bytes: int
    forwarded: int
    forwarded_bytes: int
    dropped: int


class RoundTrip(Value, frozen=True, kw_only=True):
    """The configured round trip of a pair on a path, delay faults included; queueing and serialising come on top."""

    src: str
    dst: str
    path: str
    rtt_ms: float


class WanStatus(Value, frozen=True, kw_only=True):
    pid: int
    uptime_s: float
    scheduling: str  # "realtime", "nice -10" or "normal"
    cpu_pct: float  # of one core, over the last seconds
    cpu_s: float
    injected: int
    delivered: int
    in_flight: int
    drops: dict[str, int]
    device_errors: int
    lateness: Lateness  # since the start
    lateness_recent: Lateness  # of the last 10 to 20 s
    kept_up: bool
    lines: tuple[LineStatus, ...]
    round_trips: tuple[RoundTrip, ...]
    faults: tuple[FaultRequest, ...]
    logs: tuple[LogStatus, ...] = ()
    answered: int = 0  # ICMP errors of the WAN's own


class Reply(Value, frozen=True, kw_only=True):
    error: str | None = None
    status: WanStatus | None = None
    healed: tuple[FaultRequest, ...] = ()
    log: LogStatus | None = None


def ask(path: Path, request: Request) -> Reply:
    """Send one request, return the reply. Raises LabError: the WAN is not there, does not answer, or says no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(REPLY_TIMEOUT_S)
        try:
            connection.connect(str(path))
            connection.sendall(msgspec.json.encode(request) + b"\n")
            line = connection.makefile("rb").readline(MAX_LINE_BYTES)
        except OSError as error:
            raise LabError(f"the lab's WAN does not answer on {path}: {error}; `meshtop lab down` clears it") from error
    try:
        reply = msgspec.json.decode(line, type=Reply)
    except msgspec.DecodeError as error:
        raise LabError(f"the lab's WAN closed {path} without an answer") from error
    if reply.error is not None:
        raise LabError(reply.error)
    return reply
