"""What every kind of fault has in common: whom it meets, how its value is read, what it answers for a packet.

A fault sits between the uplink and the downlink of a leg. ``passes`` answers with the times at which the packet goes
on: the same time (unhindered), a later one (delayed, held), several (duplicated) or none (dropped).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from random import Random
from typing import ClassVar, Literal, TypeVar

from meshtop.lab.plan import MGMT, PUBLIC, VPN
from meshtop.model import Value
from meshtop.units import parse_rate, parse_size

T = TypeVar("T")

NETS = (PUBLIC, VPN, MGMT)
DATA_NETS = (PUBLIC, VPN)  # what a fault without a named network is about
LONGEST_S = 60.0  # no fault needs a longer time, and a slip of the unit shall not hold packets for hours

Happening = Literal["drop", "hold", "reorder", "duplicate"]


class FaultError(ValueError):
    """A fault that does not exist or a value that makes no sense; the message lists what there is."""


class FaultRequest(Value, frozen=True, kw_only=True):
    """``lab fault TARGET KIND [VALUE]`` as it goes over the control socket and as ``lab status`` shows it."""

    target: str  # a site, or "src:dst"
    kind: str
    value: str = ""
    one_way: bool = False
    net: str | None = None


class Fault(ABC):
    """A fault in force, one way of it. A site's fault meets what it sends and, unless ``one_way``, what it is sent; a
    pair's likewise the way from the first to the second and, unless ``one_way``, the way back: ``way_back`` is that,
    with a state of its own, as the two ways of a line have one each."""

    kind: ClassVar[str]
    value_help: ClassVar[str] = ""
    told: ClassVar[Happening | None] = "hold"  # what the truth log calls a packet that goes on later or twice
    added_s: float = 0.0  # to the delay of every packet that passes

    def __init__(self, request: FaultRequest, *, back: bool = False) -> None:
        self.request = request
        self.source, _, self.target = request.target.partition(":")
        self.back = back
        self.take(request.value)
        self.way_back: Fault | None = None if back or request.one_way else type(self)(request, back=True)

    def take(self, value: str) -> None:
        """Read the value. Raises FaultError that says what to write."""
        if value:
            raise FaultError(f"{self.kind} takes no value")

    def identity(self) -> tuple[str | None, ...]:
        """What a fault must differ in so as not to replace this one."""
        return self.request.target, self.kind, self.request.net

    def fits(self, target: str | None, kind: str | None, net: str | None) -> bool:
        own = (self.request.target, self.kind, self.request.net)
        return all(wanted is None or wanted == each for wanted, each in zip((target, kind, net), own, strict=True))

    def nets(self) -> Sequence[str]:
        return (self.request.net,) if self.request.net else DATA_NETS

    def way(self, net: str, site: str, peer: str) -> Fault | None:
        """What packets from ``site`` to ``peer`` on ``net`` meet of this fault."""
        if net not in self.nets():
            return None
        if site == self.source and self.target in ("", peer):
            return self
        if peer == self.source and self.target in ("", site):
            return self.way_back
        return None

    def set_line(self, rate_bps: float, limit_bytes: int, *, up: bool) -> tuple[float, int]:
        """What an access line of that rate and queue becomes; only asked of faults that are ``line_of`` its site."""
        return rate_bps, limit_bytes

    def line_of(self) -> str | None:
        """The site whose access line this fault changes, where it is a fault of a line and not of the way."""
        return None

    @abstractmethod
    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        """The times at which a packet that comes at ``at`` goes on."""

    def answer(self, data: bytes) -> bytes | None:
        """A packet that its sender is sent for one that was dropped."""
        return None


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def percent(text: str) -> float:
    """``0.5%`` or ``0.5`` as a share of 1."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = -1.0
    if not 0 < value <= 100:
        raise FaultError(f"{text!r} is not a percentage above 0 and up to 100; write 0.5%")
    return value / 100


def seconds(text: str) -> float:
    """``40ms``, ``1.5s`` or a bare number of milliseconds, in seconds."""
    number, scale = (text[:-2], 1e3) if text.endswith("ms") else (text[:-1], 1.0) if text.endswith("s") else (text, 1e3)
    try:
        value = float(number) / scale
    except ValueError:
        value = -1.0
    if not 0 < value <= LONGEST_S:
        raise FaultError(f"{text!r} is not a time above 0 and up to {LONGEST_S:.0f} s; write 40ms")
    return value


def bit_rate(text: str) -> int:
    value = _as_fault_error(parse_rate, text)
    if not value:
        raise FaultError("a rate of 0 lets nothing through; that is a blackout")
    return value


def size(text: str) -> int:
    value = _as_fault_error(parse_size, text)
    if not value:
        raise FaultError(f"{text!r} holds no packet; write 64k")
    return value


def count(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:9]) <= most:
        raise FaultError(f"{text!r} is not a whole number from {least} to {most}")
    return int(text)


def two(text: str, example: str) -> tuple[str, str]:
    """``A/B``, where ``/B`` may be absent: then the second is empty."""
    first, slash, second = text.partition("/")
    if not first or (slash and not second) or "/" in second:
        raise FaultError(f"{text!r} is not understood; write {example}")
    return first, second


def _as_fault_error(parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise FaultError(str(error)) from None
