"""The ping processes of one probe: which line belongs to which series, and when it was really printed.

A line comes with the uptime at which the probe's awk saw it. That is late when awk was held up; then the line's own
stamp (iputils ``ping -D``, the node's wall clock) tells the time, by the clocks' distance as it was when awk was not.
"""

from __future__ import annotations

import re

import msgspec

from meshtop.parse.errors import ParseError
from meshtop.parse.ping import parse_ping_line
from meshtop.readings import PingEvent, PingProblem, PingReply, PingStarted

MAX_SERIES = 1024  # the probe starts at most 128 (agent.probe.MAX_PINGS)
MAX_SAID = 3  # iputils says in three lines that it may not
# Uptime is read in steps of 10 ms and awk sees a line within a few: less than this is not lateness.
NOT_LATE_S = 0.1

_UPTIME = re.compile(r"[0-9]{1,12}")
_STAMP = re.compile(r"\[([0-9]{1,12}\.[0-9]{1,9})\]")
_SECONDS = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")


class _Series(msgspec.Struct):
    target: str
    payload_bytes: int
    interval_s: float
    started: bool = False
    said: tuple[str, ...] = ()  # what it said of trouble since the last reply


class PingSeries:
    """Feed :meth:`new_frame`, then the frame's ping lines in their order."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._wall_minus_uptime_s: float | None = None
        self._on_time = True

    def configure(self, name: str, words: list[str] | None) -> None:
        """``target payload interval``, the interval in hundredths of a second. What is malformed is not taken."""
        if words is None:
            self._series.pop(name, None)
            return
        known = self._series.get(name)
        if len(words) != 3 or not all(_UPTIME.fullmatch(word) for word in words[1:]):
            return
        if known is not None and known.target == words[0] and known.payload_bytes == int(words[1]):
            return
        if len(self._series) < MAX_SERIES:
            self._series[name] = _Series(words[0][:64], int(words[1]), int(words[2]) / 100)

    def new_frame(self, *, on_time: bool) -> None:
        """``on_time``: no tick had to be left out since the frame before, so awk saw the lines when they came."""
        self._on_time = on_time

    def read(self, name: str, words: list[str]) -> list[PingEvent]:
        """``uptime word…``, the uptime in hundredths of a second. Raises ParseError."""
        series = self._series.get(name)
        if series is None or not words or not _UPTIME.fullmatch(words[0]):
            raise ParseError("a ping line of no known series")
        seen_s = int(words[0]) / 100
        line = " ".join(words[1:])
        if line.startswith("#"):
            return self._own_line(series, words[1:], seen_s)
        uptime_s = self._printed_s(words[1] if len(words) > 1 else "", seen_s)
        event = parse_ping_line(
            line, series.target, series.payload_bytes, uptime_s, wall_minus_uptime_s=self._wall_minus_uptime_s
        )
        if isinstance(event, PingReply) and not series.started:
            # Opened in the middle: the probes before this one are nobody's business.
            return [self._start(series, event.uptime_s - event.rtt_ms / 1000, event.seq), event]
        if isinstance(event, PingProblem):
            if event.text not in series.said:
                series.said = (*series.said, event.text)[-MAX_SAID:]
        elif event is not None:
            series.said = ()
        return [] if event is None else [event]

    def _own_line(self, series: _Series, words: list[str], seen_s: float) -> list[PingEvent]:
        """``#run pid seconds first``: a process starts, with that interval and number of its first probe; ``#end``: it
        ended. ping's own first line is of no use, as iputils keeps it back until the first answer."""
        if words[0] == "#run" and len(words) == 4 and _SECONDS.fullmatch(words[2]) and words[3] in ("0", "1"):
            series.interval_s = float(words[2]) or series.interval_s
            series.said = ()
            return [self._start(series, seen_s, int(words[3]))]
        if words[0] == "#end":
            series.started = False
            return [
                PingProblem(
                    target=series.target,
                    payload_bytes=series.payload_bytes,
                    uptime_s=seen_s,
                    text="; ".join(series.said) or "ping ended",
                    ended=True,
                )
            ]
        raise ParseError("not a line of the probe")

    def _start(self, series: _Series, uptime_s: float, first_seq: int) -> PingStarted:
        series.started = True
        return PingStarted(
            target=series.target,
            payload_bytes=series.payload_bytes,
            interval_s=series.interval_s,
            uptime_s=uptime_s,
            first_seq=first_seq,
        )

    def _printed_s(self, first_word: str, seen_s: float) -> float:
        stamp = _STAMP.fullmatch(first_word)
        if stamp is None:
            return seen_s
        distance = float(stamp[1]) - seen_s
        known = self._wall_minus_uptime_s
        if known is None or (self._on_time and abs(distance - known) > NOT_LATE_S):
            self._wall_minus_uptime_s = distance
            return seen_s
        if not self._on_time and distance < known - NOT_LATE_S:
            return float(stamp[1]) - known
        return seen_s
