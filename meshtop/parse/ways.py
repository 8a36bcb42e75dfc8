"""What ``agent/ways.sh`` says of the ways from a node: answers of ``ping``, path MTUs, TCP connections."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal

from meshtop.model import Value
from meshtop.parse.errors import ParseError
from meshtop.parse.ping import parse_ping_line
from meshtop.parse.text import clean
from meshtop.readings import PingProblem, PingReply

_LINE = re.compile(r"#mt (\d{1,6}) (ping\d{1,5}|mtu|tcp|no-ping)(?: (.*))?", re.DOTALL | re.ASCII)
_SENT = re.compile(r"(\d{1,6}) packets transmitted", re.ASCII)
_MTU = re.compile(r"(\d{1,6}) (\d{1,6}) (open|told|silent)(?: (\S{1,64}))?", re.ASCII)
_TCP = re.compile(r"(\d{1,5}) (open|refused|silent|no-route|prohibited|nothing)", re.ASCII)

TcpAnswer = Literal["open", "refused", "silent", "no-route", "prohibited", "nothing"]


class PingTry(Value, frozen=True, kw_only=True):
    """Some pings of one size. ``problems``: what ping or a router said, cleaned, each once."""

    sent: int | None = None
    answered: int = 0
    rtt_ms: float | None = None  # median
    problems: tuple[str, ...] = ()


class PathMtu(Value, frozen=True, kw_only=True):
    """The largest IP packet that passes whole, in bytes, and the MTU of the interface that it leaves by. ``how``:
    ``open`` the interface's passes; ``told`` something on the way says how much; ``silent`` larger ones vanish."""

    bytes: int
    interface_bytes: int
    how: Literal["open", "told", "silent"]
    device: str = ""


class WayAnswers(Value, frozen=True, kw_only=True):
    """What one way answered. ``pings`` by payload in bytes, ``tcp`` by port."""

    pings: Mapping[int, PingTry] = {}
    no_ping: bool = False  # there is no ping to try with
    pmtu: PathMtu | None = None
    tcp: Mapping[int, TcpAnswer] = {}


def parse_ways(lines: Sequence[str]) -> dict[int, WayAnswers]:
    """By the number of the way. Raises nothing: lines that are not understood are not answers."""
    said: dict[int, dict[str, list[str]]] = {}
    for line in lines:
        found = _LINE.fullmatch(line)
        if found:
            said.setdefault(int(found[1]), {}).setdefault(found[2], []).append(found[3] or "")
    return {number: _answers(parts) for number, parts in said.items()}


def _answers(parts: Mapping[str, list[str]]) -> WayAnswers:
    pings = {int(kind[4:]): _ping(lines, int(kind[4:])) for kind, lines in parts.items() if kind.startswith("ping")}
    mtu = next((found for found in map(_MTU.fullmatch, parts.get("mtu", [])) if found), None)
    tcp: dict[int, TcpAnswer] = {}
    for found in map(_TCP.fullmatch, parts.get("tcp", [])):
        if found:
            tcp[int(found[1])] = found[2]  # type: ignore[assignment]  # the pattern lists the words
    return WayAnswers(
        pings=pings,
        no_ping="no-ping" in parts,
        pmtu=None if mtu is None else _path_mtu(mtu),
        tcp=tcp,
    )


def _path_mtu(found: re.Match[str]) -> PathMtu:
    how = found[3]
    return PathMtu(
        bytes=int(found[1]),
        interface_bytes=int(found[2]),
        how=how,  # type: ignore[arg-type]  # the pattern lists the words
        device=clean(found[4] or "", 40),
    )


def _ping(lines: Sequence[str], payload_bytes: int) -> PingTry:
    rtts: list[float] = []
    problems: dict[str, None] = {}
    sent = None
    for line in lines:
        statistics = _SENT.search(line)
        if statistics:
            sent = int(statistics[1])
            continue
        try:
            event = parse_ping_line(line, "", payload_bytes, 0.0)
        except ParseError:
            continue
        if isinstance(event, PingReply):
            rtts.append(event.rtt_ms)
        elif isinstance(event, PingProblem):
            problems.setdefault(re.sub(r" icmp_seq=\d+", "", event.text))
    return PingTry(
        sent=sent, answered=len(rtts), rtt_ms=round(median(rtts), 3) if rtts else None, problems=tuple(problems)
    )
