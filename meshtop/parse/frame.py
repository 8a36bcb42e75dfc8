"""One frame of the probe, decoded (docs/frames.md): the change-only encoding undone, each source's own parser called.

Sources: ``ss -tinmoe``, /proc/net/{snmp,netstat,dev,softnet_stat}, ping's lines, and the slow beat.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from meshtop.parse.errors import ParseError
from meshtop.parse.framing import Header, split_frame
from meshtop.parse.net_dev import parse_net_dev
from meshtop.parse.node_info import node_info
from meshtop.parse.ping_series import PingSeries
from meshtop.parse.rows import RowChange, Rows
from meshtop.parse.snmp import parse_counters
from meshtop.parse.softnet import parse_softnet
from meshtop.parse.ss import parse_socket
from meshtop.parse.text import clean
from meshtop.readings import (
    DevCounters,
    Frame,
    PingEvent,
    ProbeProblem,
    SocketChanges,
    SocketId,
    SocketReading,
    SoftnetRow,
)

_TOTAL = re.compile(r"S([0-9]{1,9})")
_STRANGE = re.compile(r"U([0-9]{1,9})")


class AwaitingKeyFrame(ParseError):
    """A frame that tells only changes, to something that was not seen. The next key frame cures it; until then
    nothing is lost but time."""


class FrameReader:
    """Reads the frames of one stream in their order. After a ParseError it goes on with the next frame that it can.

    ``awaiting`` counts frames that could not be used because one before them is missing.
    """

    def __init__(self) -> None:
        self.awaiting = 0
        self._stream: tuple[str, str] | None = None  # boot and probe of what is kept, None: nothing to build on
        self._seq = 0
        self._rows = Rows()
        self._pings = PingSeries()
        self._sockets: dict[str, SocketId] = {}
        self._snmp: Mapping[str, Mapping[str, int]] | None = None
        self._netstat: Mapping[str, Mapping[str, int]] | None = None
        self._net_dev: Mapping[str, DevCounters] | None = None
        self._softnet: tuple[SoftnetRow, ...] | None = None

    def read(self, raw: bytes) -> Frame:
        """One whole frame, as :class:`~meshtop.parse.framing.FrameDecoder` gives it. Raises ParseError only."""
        header, body = split_frame(raw)
        self._follow(header)
        try:
            frame = self._decode(header, body.decode("utf-8", "replace"), len(raw))
        except ParseError:
            self._stream = None
            raise
        self._seq = header.seq
        return frame

    def _follow(self, header: Header) -> None:
        """Make sure that there is what this frame builds on."""
        stream = (header.boot, header.probe)
        in_order = stream == self._stream and header.seq == self._seq + 1
        if header.key:
            if not in_order:
                self._pings = PingSeries()
                self._sockets.clear()
            self._stream = stream
            self._rows.clear()
            self._snmp = self._netstat = self._net_dev = self._softnet = None
        elif not in_order:
            self._stream = None
            self.awaiting += 1
            raise AwaitingKeyFrame(f"frame {header.seq} builds on one that was not seen")

    def _decode(self, header: Header, body: str, raw_bytes: int) -> Frame:
        changes: dict[str, list[RowChange]] = {}
        unparsed = 0
        total: int | None = None
        for line in body.split("\n")[:-1]:
            change = self._rows.apply(line)
            if change is not None:
                changes.setdefault(change.table, []).append(change)
            elif match := _TOTAL.fullmatch(line):
                total = int(match[1])
            elif match := _STRANGE.fullmatch(line):
                unparsed += int(match[1])
            else:
                unparsed += 1
        sockets, failed = self._read_sockets(changes.get("s", []), header.key, total)
        pings, strange = self._read_pings(changes, header)
        unparsed += failed + strange + self._read_counters(changes)
        info = None
        if "i" in changes or "q" in changes:
            info, failed = node_info(self._rows.table("i"), self._rows.table("q"))
            unparsed += failed
        return Frame(
            boot=header.boot,
            probe=header.probe,
            seq=header.seq,
            uptime_s=header.uptime_s,
            interval_s=header.interval_s,
            sockets=sockets,
            snmp=self._snmp,
            netstat=self._netstat,
            net_dev=self._net_dev,
            softnet=self._softnet,
            pings=pings,
            info=info,
            problems=tuple(_problem(change) for change in changes.get("x", [])),
            unparsed=unparsed,
            raw_bytes=raw_bytes,
        )

    def _read_sockets(self, changes: list[RowChange], key: bool, total: int | None) -> tuple[SocketChanges | None, int]:
        """None if ``ss`` said nothing this time; and how many lines could not be understood."""
        changed: list[SocketReading] = []
        gone: list[SocketId] = []
        failed = 0
        before = self._sockets
        if key:
            self._sockets = {}
        for change in changes:
            known = before.pop(change.row, None)
            reading = None
            if change.words is not None:
                try:
                    reading = _same_socket(parse_socket(" ".join(change.words).replace(" ,", ",")), known)
                except ParseError:
                    failed += 1
            if reading is not None:
                self._sockets[change.row] = reading.id
                changed.append(reading)
            if known is not None and (reading is None or reading.id != known) and not key:
                gone.append(known)
        if total is None and not changes:
            return None, failed
        total = len(self._sockets) if total is None else total
        return SocketChanges(full=key, changed=tuple(changed), gone=tuple(gone), total=total), failed

    def _read_counters(self, changes: Mapping[str, list[RowChange]]) -> int:
        """The number of lines that no parser understood."""
        failed = [0, 0, 0, 0]
        if "m" in changes:
            self._snmp, failed[0] = parse_counters(self._text("m"))
        if "t" in changes:
            self._netstat, failed[1] = parse_counters(self._text("t"))
        if "d" in changes:
            self._net_dev, failed[2] = parse_net_dev(self._text("d"))
        if "f" in changes:
            self._softnet, failed[3] = parse_softnet(self._text("f"))
        return sum(failed)

    def _text(self, table: str) -> str:
        """A file as it was, but for its blanks. Empty tables have gone wholly: the node cannot give them."""
        return "\n".join(" ".join(words) for words in self._rows.table(table).values())

    def _read_pings(self, changes: Mapping[str, list[RowChange]], header: Header) -> tuple[tuple[PingEvent, ...], int]:
        for change in changes.get("g", []):
            self._pings.configure(change.row, change.words)
        events: list[PingEvent] = []
        failed = 0
        self._pings.new_frame(on_time=header.skipped == 0)
        for change in changes.get("p", []):
            try:
                events += self._pings.read(change.row, change.words or [])
            except ParseError:
                failed += 1
        return tuple(events), failed


def _same_socket(reading: SocketReading, known: SocketId | None) -> SocketReading:
    """A socket whose cookie was learnt late keeps the identity that it was first told with."""
    if known is None or known.cookie is not None or reading.id[:4] != known[:4]:
        return reading
    return msgspec.structs.replace(reading, id=known)


def _problem(change: RowChange) -> ProbeProblem:
    return ProbeProblem(source=change.row, text=clean(" ".join(change.words or [])))
