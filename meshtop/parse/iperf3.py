"""What iperf3 3.7 to 3.22 prints: ``-J`` documents, ``--json-stream`` lines (from 3.17), text intervals.

Read: iperf3's src/iperf_api.c and iperf_locale.c, and its manual page. Exit codes are not asked: 3.12 with ``-J`` gives
0 for a refused, a busy and a dying server; ``error`` in the document counts, and where even that is missing (3.9 says
it on standard error alone), that ``end`` is empty. 3.7 and 3.9 repeat the keys of sums for the other direction.

Here a document is taken apart as far as the PyPI package's TestResult does not: whether it is one at all, intervals,
streams, the second direction. TestResult itself reads the sums (``collect/burst_result.py``).
"""

from __future__ import annotations

import json
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
_MOST = 1e18  # of bytes, bit/s, packets: more than any line carries

_LISTENING = re.compile(r"^Server listening on (\d{1,5})\b", re.MULTILINE | re.ASCII)

Document = Mapping[str, Any]


class StreamInterval(Value, frozen=True, kw_only=True):
    """One stream over one interval, as this end saw it. RTT and cwnd are the sender's only."""

    port: int | None  # this end's
    sender: bool
    bps: float | None
    retransmits: int | None = None
    rtt_ms: float | None = None
    cwnd_bytes: int | None = None


class Way(Value, frozen=True, kw_only=True):
    """All streams of one direction over one interval."""

    bps: float | None
    retransmits: int | None = None  # TCP, segments; the sender's kernel counts them


class Interval(Value, frozen=True, kw_only=True):
    """``other`` is the second direction of a test both ways."""

    end_s: float
    way: Way
    other: Way | None = None
    streams: tuple[StreamInterval, ...] = ()


class TextInterval(Value, frozen=True, kw_only=True):
    """A line of ``-f k`` text. ``stream`` None is the sum; ``final``: whose count a line of the closing table is."""

    stream: int | None
    end_s: float
    way: Way
    final: Literal["sender", "receiver"] | None = None


class StreamStart(Value, frozen=True, kw_only=True):
    """Connections stand; ``ports`` are this end's, by iperf3's number of the stream."""

    ports: Mapping[int, int]


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
    it. Raises ParseError, also for what has none of the known parts."""
    document = _decode(data)
    if not {"start", "intervals", "end", "error"} & document.keys():
        raise ParseError("a result of iperf3 has start, intervals and end")
    return document


def _decode(data: bytes) -> dict[str, Any]:
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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        made.setdefault(key + _OTHER_WAY if key in made and key.startswith("sum") else key, value)
    return made


def _none(_: str) -> None:
    return None  # NaN and Infinity are no figures


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────────


def error_of(document: Document) -> str | None:
    """Why the test failed or was ended early, in iperf3's words."""
    error = document.get("error")
    return error_text(error) if isinstance(error, str) else None


def error_text(said: str) -> str:
    """iperf3's complaint as one clean line without its own name before it."""
    text = clean(said, 300)
    for prefix in ("iperf3: ", "error - "):
        text = text.removeprefix(prefix)
    return text


def intervals_of(document: Document) -> tuple[Interval, ...]:
    ports = _ports(table(document, "start"))
    return tuple(_interval(each, ports) for each in _tables(document, "intervals"))


def one_way(document: Document, *, other: bool = False) -> Document:
    """What TestResult reads of a document, with the sums of one direction under the names of the first. ``error`` stays
    out: it would leave what came before that untold."""
    end = table(document, "end")
    suffix = _OTHER_WAY if other else ""
    sums = {name: end[name + suffix] for name in ("sum", "sum_sent", "sum_received") if name + suffix in end}
    rest = {name: value for name, value in end.items() if name != "streams" and not name.startswith("sum")}
    return {"start": table(document, "start"), "end": {**rest, **sums}}


def table(of: Any, key: str) -> Document:
    """A part of a document; empty where it is missing, or something else."""
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def number(value: Any) -> float | None:
    """A figure of a document; None for what is none."""
    return value if type(value) in (int, float) and 0 <= value < _MOST else None


def count(value: Any) -> int | None:
    found = number(value)
    return None if found is None else int(found)


def _tables(of: Document, key: str) -> list[Document]:
    value = of.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _ports(start: Document) -> dict[int, int]:
    found = [(count(each.get("socket")), count(each.get("local_port"))) for each in _tables(start, "connected")]
    return {socket: port for socket, port in found if socket is not None and port}


def _interval(of: Document, ports: Mapping[int, int]) -> Interval:
    other = table(of, "sum" + _OTHER_WAY)
    return Interval(
        end_s=number(table(of, "sum").get("end")) or 0.0,
        way=_way(table(of, "sum")),
        other=_way(other) if other else None,
        streams=tuple(_stream(each, ports) for each in _tables(of, "streams")),
    )


def _way(of: Document) -> Way:
    return Way(bps=number(of.get("bits_per_second")), retransmits=count(of.get("retransmits")))


def _stream(of: Document, ports: Mapping[int, int]) -> StreamInterval:
    rtt_us = number(of.get("rtt"))  # 0 stands for a time that the kernel has not measured
    return StreamInterval(
        port=ports.get(count(of.get("socket")) or 0),
        sender=of.get("sender") is True,
        bps=number(of.get("bits_per_second")),
        retransmits=count(of.get("retransmits")),
        rtt_ms=rtt_us / 1000 if rtt_us else None,
        cwnd_bytes=count(of.get("snd_cwnd")),
    )


# ── Streams of JSON ──────────────────────────────────────────────────────────────────────────────────────────────────


class StreamAssembler:
    """``--json-stream`` as it comes, in pieces of any size; never raises. Lines not understood are passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self._parts: dict[str, Any] = {"start": {}, "end": {}}
        self._intervals: list[Any] = []
        self._ports: Mapping[int, int] = {}

    def feed(self, data: bytes) -> list[Live]:
        """What these bytes complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._skipping and lines:
            self._skipping = False
            del lines[0]
        if len(self._rest) > MAX_LINE_BYTES:
            self._rest = b""
            self._skipping = True
        return [live for line in lines if line.strip() and (live := self._take(line)) is not None]

    def document(self) -> dict[str, Any]:
        """What has come so far, in the shape of a ``-J`` document."""
        return {**self._parts, "intervals": list(self._intervals)}

    def _take(self, line: bytes) -> Live | None:
        try:
            event = _decode(line[: MAX_LINE_BYTES + 1])
        except ParseError:
            return None
        name, data = event.get("event"), event.get("data")
        match name, data:
            case "interval", dict():
                self._intervals.append(data)
                return _interval(data, self._ports)
            case "start", dict():
                self._parts["start"] = data
                self._ports = _ports(data)
                return StreamStart(ports=self._ports)
            case "end", dict():
                self._parts["end"] = data
                return StreamEnd()
            case "error", str():
                self._parts["error"] = data
                return StreamError(text=error_text(data))
        return None


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

_TEXT = re.compile(
    r"\[ *(?P<id>\d{1,6}|SUM)\](?:\[[RT]X-[CS]\])? +\d{1,9}\.\d\d-(?P<end>\d{1,9}\.\d\d) +sec"
    r" +\d{1,12}(?:\.\d{1,3})? [KMGT]?Bytes +(?P<rate>\d{1,12}(?:\.\d{1,3})?) (?P<unit>[KMGT]?)bits/sec"
    r"(?: +(?P<number>\d{1,12})(?= |$))?(?P<rest>.*)",
    re.ASCII,
)
_UNITS = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}


def parse_text_interval(line: str, *, udp: bool = False) -> TextInterval | None:
    """A line of ``-i 1 -f k --forceflush``; None for all other lines. A number after the rate is of datagrams with
    ``udp``, else of retransmissions. Never raises."""
    found = _TEXT.fullmatch(line[:400].strip())
    if found is None:
        return None
    last = found["rest"].rpartition(" ")[2]
    return TextInterval(
        stream=None if found["id"] == "SUM" else int(found["id"]),
        end_s=float(found["end"]),
        way=Way(
            bps=float(found["rate"]) * _UNITS[found["unit"]],
            retransmits=None if udp or not found["number"] else int(found["number"]),
        ),
        final=last if last in ("sender", "receiver") else None,  # type: ignore[arg-type]  # of these two
    )
