"""The WAN's own account of what it did to packets: every one that it dropped, held, reordered or doubled.

A file of JSON lines: first ``{"schema": "meshtop.wanlog/1"}``, then a :class:`WanEvent` a line. Times are UTC, as those
of captures are, so that both can be laid side by side. The file is bounded; what did not fit is counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meshtop.lab.faults.base import Happening
from meshtop.model import Value

if TYPE_CHECKING:
    from meshtop.lab.wan import Packet

SCHEMA = "meshtop.wanlog/1"
HEAD_BYTES = 40  # the IPv4 and TCP headers without options: ends, sequence and acknowledgement numbers, flags
MOST_BYTES = 64 << 20  # about 300,000 events; at 40 Mbit/s, all held, that is over a minute
BUFFER_BYTES = 64 << 10  # one write for some hundred events: a system call for each would cost as much as the packet


class WanLogError(Exception):
    """The file is no such log; the text says why."""


class WanEvent(Value, frozen=True, kw_only=True):
    """What happened to one packet. ``why`` is a fault's kind or "queue-full"; ``until`` is when a held one went on,
    for others the same as ``at``. ``head`` is the packet's first bytes, as ``size`` says it was longer."""

    at: float
    what: Happening
    why: str
    until: float
    net: str
    src: str
    dst: str
    size: int
    head: bytes


class LogStatus(Value, frozen=True, kw_only=True):
    path: str
    events: int
    missed: int  # did not fit, or could not be written


class WanLog:
    """The writer. Its times come as those of time.monotonic()."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """Raises OSError."""
        self.path = path
        self.events = 0
        self.missed = 0
        self._room = most_bytes
        self._buffer = bytearray()
        self._encode = msgspec.json.Encoder().encode
        self._utc = time.time() - time.monotonic()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(self._fd, msgspec.json.encode({"schema": SCHEMA}) + b"\n")
        except OSError:
            os.close(self._fd)
            raise

    def witness(self, at: float, what: Happening, why: str, packet: Packet, until: float) -> None:
        leg, data = packet.leg, packet.data
        event = WanEvent(
            at=at + self._utc,
            what=what,
            why=why,
            until=until + self._utc,
            net=leg.source.net,
            src=leg.source.site,
            dst=leg.target.site,
            size=len(data),
            head=data[:HEAD_BYTES],
        )
        line = self._encode(event)
        if self._room < len(line) + 1:
            self.missed += 1
            return
        self._room -= len(line) + 1
        self.events += 1
        self._buffer += line
        self._buffer += b"\n"
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """To the file, and look at the clock again: it may have been set meanwhile."""
        while self._buffer:
            try:
                del self._buffer[: os.write(self._fd, self._buffer)]
            except OSError:  # no space left; the packets matter more than the account of them
                lost = self._buffer.count(b"\n")
                self.events -= min(lost, self.events)
                self.missed += lost
                self._buffer.clear()
                self._room = 0
        self._utc = time.time() - time.monotonic()

    def close(self) -> None:
        self.flush()
        os.close(self._fd)

    def status(self) -> LogStatus:
        return LogStatus(path=str(self.path), events=self.events, missed=self.missed)


def read_wan_log(path: Path) -> Iterator[WanEvent]:
    """The events of a log, in the order in which they were noted; a last line that is not whole is left out.

    Raises WanLogError for any other file.
    """
    decode = msgspec.json.Decoder(WanEvent).decode
    with path.open("rb") as file:
        head = file.readline()
        if SCHEMA.encode() not in head:
            raise WanLogError(f"{path}: not a log of the WAN ({SCHEMA})")
        for number, line in enumerate(file, 2):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode(line)
            except msgspec.DecodeError as error:
                raise WanLogError(f"{path}: line {number}: {error}") from error
