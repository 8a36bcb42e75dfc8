"""What iperf3 3.7 to 3.22 prints: ``-J`` documents, ``--json-stream`` lines (from 3.17), text intervals.

Read: iperf3's src/iperf_api.c and iperf_locale.c, and its manual page. Exit codes are not asked: 3.12 with ``-J`` gives
0 for a refused, a busy and a dying server; ``error`` in the document counts, and where even that is missing (3.9 says
it on standard error alone), that ``end`` is empty. 3.7 and 3.9 repeat the key ``sum_sent`` for the other direction.

The PyPI package's TestResult is not used here: importing it loads ctypes, select and threads, which parsers keep out
of, and it raises KeyError for what 3.9 prints about a failure. Tests hold this decoder against it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from meshtop.model import Value
from meshtop.parse.errors import ParseError
from meshtop.parse.text import clean, clean_bytes

# 128 streams over ten minutes are some 25 MB; more than this is not a result.
MAX_BYTES = 32 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024  # an interval of 128 streams has about 40 kB
_OTHER_WAY = "_bidir_reverse"  # how iperf3 from 3.10 on names the second direction's sums

_LISTENING = re.compile(r"^Server listening on (\d{1,5})\b", re.MULTILINE | re.ASCII)


class Total(Value, frozen=True, kw_only=True):
    """One direction over some time, as one end counted it."""

    bytes: int | None = None
    seconds: float | None = None
    rate_bps: float | None = None
    retransmits: int | None = None  # TCP, segments; the sender's kernel counts them
    packets: int | None = None  # from here on UDP
    lost_packets: int | None = None
    lost_pct: float | None = None
    jitter_ms: float | None = None


class StreamInterval(Value, frozen=True, kw_only=True):
    """One stream over one interval, as this end saw it. RTT and cwnd are the sender's only."""

    socket: int | None
    start_s: float
    end_s: float
    sender: bool | None = None
    omitted: bool = False
    total: Total
    rtt_ms: float | None = None
    rttvar_ms: float | None = None
    cwnd_bytes: int | None = None
    pmtu_bytes: int | None = None


class Interval(Value, frozen=True, kw_only=True):
    """All streams over one interval. ``other`` is the second direction of a test both ways."""

    start_s: float
    end_s: float
    omitted: bool = False
    total: Total
    other: Total | None = None
    streams: tuple[StreamInterval, ...] = ()


class StreamTotal(Value, frozen=True, kw_only=True):
    """One stream from its beginning to its end. ``sender``: this end sent it."""

    socket: int | None
    sender: bool | None = None
    sent: Total | None = None
    received: Total | None = None
    min_rtt_ms: float | None = None
    mean_rtt_ms: float | None = None
    max_rtt_ms: float | None = None
    max_cwnd_bytes: int | None = None


class Result(Value, frozen=True, kw_only=True):
    """One end's account of a test. ``sent`` and ``received`` are of the direction that the test was for, with -R that
    from the server; ``other_…`` of the second one of a test both ways. ``complete``: it has sums. ``errors`` counts
    fields that were not understood."""

    version: str | None = None  # "3.12"
    role: Literal["client", "server"]
    protocol: str | None = None
    reverse: bool | None = None
    streams: int | None = None
    local_ports: tuple[int, ...] = ()
    mss_bytes: int | None = None
    intervals: tuple[Interval, ...] = ()
    sent: Total | None = None
    received: Total | None = None
    other_sent: Total | None = None
    other_received: Total | None = None
    stream_totals: tuple[StreamTotal, ...] = ()
    congestion: str | None = None
    complete: bool = False
    error: str | None = None
    errors: int = 0


class TextInterval(Value, frozen=True, kw_only=True):
    """A line of ``-f k`` text: bytes and cwnd have three digits only, the rate is exact to a kbit/s. ``stream`` None is
    the sum; ``final`` says whose count a line of the closing table is."""

    stream: int | None
    role: str | None = None  # TX-C and the like, of tests both ways
    start_s: float
    end_s: float
    total: Total
    cwnd_bytes: int | None = None
    omitted: bool = False
    final: Literal["sender", "receiver"] | None = None


class StreamStart(Value, frozen=True, kw_only=True):
    """Connections stand; ``local_ports`` are those of the data streams."""

    local_ports: tuple[int, ...]


class StreamEnd(Value, frozen=True, kw_only=True):
    """The test is over; the result can be asked for."""


class StreamError(Value, frozen=True, kw_only=True):
    """The test failed, with iperf3's words."""

    text: str


Live = StreamStart | Interval | StreamEnd | StreamError


def listening_port(text: str) -> int | None:
    """Of ``Server listening on 5201`` (3.10 and later add the number of the test)."""
    found = _LISTENING.search(text[:4096])
    return int(found[1]) if found else None


def decode(data: bytes) -> dict[str, Any]:
    """A ``-J`` document as it is, but for repeated keys: the first one stands, the next is named as later versions name
    it. Raises ParseError."""
    if len(data) > MAX_BYTES:
        raise ParseError(f"{len(data)} bytes are no result of iperf3")
    begin = data.find(b"{")  # older servers print a line or two before
    if begin < 0:
        raise ParseError(f"no result of iperf3: {clean_bytes(data, 80)!r}")
    try:
        document = json.loads(data[begin:].decode("utf-8", "replace"), object_pairs_hook=_object, parse_constant=_none)
    except (ValueError, RecursionError) as exc:
        raise ParseError(f"no result of iperf3: {clean(str(exc), 80)}") from None
    if not isinstance(document, dict):
        raise ParseError("a result of iperf3 is an object")
    return document


def parse_result(data: bytes) -> Result:
    """The output of ``iperf3 -J``. Raises ParseError only if it is none at all."""
    return result_of(decode(data))


def result_of(document: Mapping[str, Any]) -> Result:
    """A decoded ``-J`` document or a reassembled stream. Raises ParseError without any known part."""
    if not {"start", "intervals", "end", "error"} & document.keys():
        raise ParseError("a result of iperf3 has start, intervals and end")
    reader = _Reader()
    start = reader.table(document, "start")
    setup = reader.table(start, "test_start")
    end = reader.table(document, "end")
    udp = reader.table(end, "sum") if "sum" in end else {}
    sent = reader.total(end, "sum_sent") or (reader.total(end, "sum") if udp else None)
    version = reader.word(start, "version")
    return Result(
        version=version.removeprefix("iperf ") if version else None,
        role="server" if "accepted_connection" in start else "client",
        protocol=reader.word(setup, "protocol"),
        reverse=reader.flag(setup, "reverse"),
        streams=reader.count(setup, "num_streams"),
        local_ports=_ports(reader, start),
        mss_bytes=reader.count(start, "tcp_mss") or reader.count(start, "tcp_mss_default"),
        intervals=tuple(reader.interval(each) for each in reader.tables(document, "intervals")),
        sent=sent,
        received=reader.total(end, "sum_received"),
        other_sent=reader.total(end, "sum_sent" + _OTHER_WAY),
        other_received=reader.total(end, "sum_received" + _OTHER_WAY),
        stream_totals=tuple(reader.stream_total(each) for each in reader.tables(end, "streams")),
        congestion=reader.word(end, "sender_tcp_congestion"),
        complete=sent is not None,
        error=error_text(document["error"]) if isinstance(document.get("error"), str) else None,
        errors=reader.errors,
    )


def error_text(said: str) -> str:
    """iperf3's complaint as one clean line without its own name before it."""
    text = clean(said, 300)
    for prefix in ("iperf3: ", "error - "):
        text = text.removeprefix(prefix)
    return text


def parse_stream_line(line: bytes) -> Live:
    """One line of ``--json-stream``. Raises ParseError, also for events that say nothing of the test."""
    return _live(*_event(line))


class StreamAssembler:
    """``--json-stream`` as it comes, in pieces of any size; never raises. ``errors`` counts lines not understood."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self._parts: dict[str, Any] = {}
        self._intervals: list[Any] = []
        self.errors = 0

    def feed(self, data: bytes) -> list[Live]:
        """What these bytes complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif line.strip():
                found += self._take(line)
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""
            if not self._skipping:
                self.errors += 1
            self._skipping = True
        return found

    def document(self) -> dict[str, Any]:
        """What has come so far, in the shape of a ``-J`` document."""
        start, end = self._parts.get("start", {}), self._parts.get("end", {})
        rest = {key: value for key, value in self._parts.items() if key not in ("start", "end")}
        return {"start": start, "intervals": list(self._intervals), "end": end, **rest}

    def result(self) -> Result:
        """Of what has come so far."""
        return result_of(self.document())

    def _take(self, line: bytes) -> list[Live]:
        try:
            name, data = _event(line)
            live = _live(name, data)
        except ParseError:
            self.errors += 1
            return []
        if name == "interval":
            self._intervals.append(data)
        else:
            self._parts[name] = data
        return [live]


def _event(line: bytes) -> tuple[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise ParseError(f"a line of {len(line)} bytes is none of iperf3's")
    document = decode(line)
    if not isinstance(document.get("event"), str) or "data" not in document:
        raise ParseError(f"no event of iperf3: {clean_bytes(line, 80)!r}")
    return document["event"], document["data"]


def _live(name: str, data: Any) -> Live:
    reader = _Reader()
    match name, data:
        case "start", dict():
            return StreamStart(local_ports=_ports(reader, data))
        case "interval", dict():
            return reader.interval(data)
        case "end", dict():
            return StreamEnd()
        case "error", str():
            return StreamError(text=error_text(data))
    raise ParseError(f"an event that is not known: {clean(name, 40)!r}")


_TEXT = re.compile(
    r"\[ *(?P<id>\d{1,6}|SUM)\](?:\[(?P<role>[TR]X-[CS])\])? +(?P<start>\d{1,9}\.\d\d)-(?P<end>\d{1,9}\.\d\d) +sec"
    r" +(?P<bytes>\d{1,12}(?:\.\d{1,3})?) (?P<unit>[KMGT]?)Bytes"
    r" +(?P<rate>\d{1,12}(?:\.\d{1,3})?) (?P<rate_unit>[KMGT]?)bits/sec"
    r"(?: +(?P<jitter>\d{1,9}\.\d{1,4}) ms +(?P<lost>\d{1,12})/(?P<all>\d{1,12}) \([^)]{1,24}\)"
    r"|(?: +(?P<number>\d{1,12})(?: +(?P<cwnd>\d{1,9}(?:\.\d{1,3})?) (?P<cwnd_unit>[KMGT]?)Bytes)?)?)"
    r"(?P<omitted> +\(omitted\))?(?: +(?P<final>sender|receiver))? *",
    re.ASCII,
)
_BINARY = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_DECIMAL = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def parse_text_interval(line: str, *, udp: bool = False) -> TextInterval | None:
    """A line of ``-i 1 -f k --forceflush``; None for all other lines. A number that stands alone is of datagrams with
    ``udp``, else of retransmissions. Never raises."""
    found = _TEXT.fullmatch(line[:400].strip())
    if found is None:
        return None
    number = int(found["number"]) if found["number"] else None
    lost, packets = found["lost"], found["all"]
    return TextInterval(
        stream=None if found["id"] == "SUM" else int(found["id"]),
        role=found["role"],
        start_s=float(found["start"]),
        end_s=float(found["end"]),
        total=Total(
            bytes=round(float(found["bytes"]) * _BINARY[found["unit"]]),
            seconds=round(float(found["end"]) - float(found["start"]), 2),
            rate_bps=float(found["rate"]) * _DECIMAL[found["rate_unit"]],
            retransmits=None if udp else number,
            packets=int(packets) if packets else (number if udp else None),
            lost_packets=int(lost) if lost else None,
            jitter_ms=float(found["jitter"]) if found["jitter"] else None,
        ),
        cwnd_bytes=round(float(found["cwnd"]) * _BINARY[found["cwnd_unit"]]) if found["cwnd"] else None,
        omitted=found["omitted"] is not None,
        final=found["final"],  # type: ignore[arg-type]  # the pattern gives nothing else
    )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        made.setdefault(key + _OTHER_WAY if key in made and key.startswith("sum") else key, value)
    return made


def _none(_: str) -> None:
    return None  # NaN and Infinity are no figures


def _ports(reader: _Reader, start: Mapping[str, Any]) -> tuple[int, ...]:
    ports = (reader.count(each, "local_port") for each in reader.tables(start, "connected"))
    return tuple(port for port in ports if port)


class _Reader:
    """Takes fields out of decoded JSON, and counts those that are not what they should be."""

    def __init__(self) -> None:
        self.errors = 0

    def table(self, of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = of.get(key, {})
        if isinstance(value, dict):
            return value
        self.errors += 1
        return {}

    def tables(self, of: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
        value = of.get(key, [])
        if not isinstance(value, list):
            self.errors += 1
            return []
        good: list[Mapping[str, Any]] = [each for each in value if isinstance(each, dict)]
        self.errors += len(value) - len(good)
        return good

    def number(self, of: Mapping[str, Any], key: str) -> float | None:
        value = of.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
            self.errors += 1
            return None
        return value if math.isfinite(value) else None

    def count(self, of: Mapping[str, Any], key: str) -> int | None:
        value = self.number(of, key)
        if value is None or value >= 0:
            return None if value is None else int(value)
        self.errors += 1
        return None

    def flag(self, of: Mapping[str, Any], key: str) -> bool | None:
        value = of.get(key)
        return None if value is None else bool(value)

    def word(self, of: Mapping[str, Any], key: str) -> str | None:
        value = of.get(key)
        if value is None or isinstance(value, str):
            return clean(value, 80) if value else None
        self.errors += 1
        return None

    def milliseconds(self, of: Mapping[str, Any], key: str) -> float | None:
        """Of microseconds; 0 stands for a time that the kernel has not measured."""
        value = self.count(of, key)
        return value / 1000 if value else None

    def total(self, of: Mapping[str, Any], key: str) -> Total | None:
        table = self.table(of, key)
        return self.figures(table) if table else None

    def figures(self, table: Mapping[str, Any]) -> Total:
        return Total(
            bytes=self.count(table, "bytes"),
            seconds=self.number(table, "seconds"),
            rate_bps=self.number(table, "bits_per_second"),
            retransmits=self.count(table, "retransmits"),
            packets=self.count(table, "packets"),
            lost_packets=self.count(table, "lost_packets"),
            lost_pct=self.number(table, "lost_percent"),
            jitter_ms=self.number(table, "jitter_ms"),
        )

    def interval(self, table: Mapping[str, Any]) -> Interval:
        sums = self.table(table, "sum")
        return Interval(
            start_s=self.number(sums, "start") or 0.0,
            end_s=self.number(sums, "end") or 0.0,
            omitted=bool(self.flag(sums, "omitted")),
            total=self.figures(sums),
            other=self.total(table, "sum" + _OTHER_WAY),
            streams=tuple(self.stream_interval(each) for each in self.tables(table, "streams")),
        )

    def stream_interval(self, table: Mapping[str, Any]) -> StreamInterval:
        return StreamInterval(
            socket=self.count(table, "socket"),
            start_s=self.number(table, "start") or 0.0,
            end_s=self.number(table, "end") or 0.0,
            sender=self.flag(table, "sender"),
            omitted=bool(self.flag(table, "omitted")),
            total=self.figures(table),
            rtt_ms=self.milliseconds(table, "rtt"),
            rttvar_ms=self.milliseconds(table, "rttvar"),
            cwnd_bytes=self.count(table, "snd_cwnd"),
            pmtu_bytes=self.count(table, "pmtu") or None,
        )

    def stream_total(self, table: Mapping[str, Any]) -> StreamTotal:
        udp = self.table(table, "udp")
        sender = self.table(table, "sender") or udp
        return StreamTotal(
            socket=self.count(sender, "socket"),
            sender=self.flag(sender, "sender"),
            sent=self.figures(sender) if sender else None,
            received=self.total(table, "receiver"),
            min_rtt_ms=self.milliseconds(sender, "min_rtt"),
            mean_rtt_ms=self.milliseconds(sender, "mean_rtt"),
            max_rtt_ms=self.milliseconds(sender, "max_rtt"),
            max_cwnd_bytes=self.count(sender, "max_snd_cwnd") or None,
        )
