"""What can be wrong on the way: each kind of fault, what its value means, and what it does to a packet.

A fault sits between the uplink and the downlink of a leg. ``passes`` answers with the times at which the packet goes
on: the same time (unhindered), a later one (delayed, held), several (duplicated) or none (dropped).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from meshtop.lab.plan import MGMT, OPERATOR, PUBLIC, VPN
from meshtop.model import Value

NETS = (PUBLIC, VPN, MGMT)
DATA_NETS = (PUBLIC, VPN)  # what a fault without a named network is about


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
    """A fault in force. A site's fault meets what it sends and, unless ``one_way``, what it is sent; a pair's likewise
    the way from the first to the second and, unless ``one_way``, the way back."""

    kind: ClassVar[str]
    value_help: ClassVar[str]
    added_s: float = 0.0  # to the delay of every packet that passes

    def __init__(self, request: FaultRequest) -> None:
        self.request = request
        self.source, _, self.target = request.target.partition(":")

    def identity(self) -> tuple[str, str, str | None]:
        return self.request.target, self.kind, self.request.net

    def fits(self, target: str | None, kind: str | None, net: str | None) -> bool:
        return all(
            wanted is None or wanted == own
            for wanted, own in zip((target, kind, net), self.identity(), strict=True)
        )  # fmt: skip

    def covers(self, net: str, site: str, peer: str) -> bool:
        """Whether packets from ``site`` to ``peer`` on ``net`` meet this fault."""
        if net != self.request.net if self.request.net else net not in DATA_NETS:
            return False
        forth = site == self.source and self.target in ("", peer)
        back = peer == self.source and self.target in ("", site)
        return forth or (back and not self.request.one_way)

    @abstractmethod
    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        """The times at which a packet that comes at ``at`` goes on."""


class Loss(Fault):
    """Each packet for itself is lost by chance."""

    kind = "loss"
    value_help = "percent of packets, such as 0.5%"

    def __init__(self, request: FaultRequest) -> None:
        super().__init__(request)
        self.share = _percent(request.value)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return () if random.random() < self.share else (at,)


class Delay(Fault):
    """Every packet takes longer."""

    kind = "delay"
    value_help = "added one-way time, such as 40ms"

    def __init__(self, request: FaultRequest) -> None:
        super().__init__(request)
        self.added_s = _milliseconds(request.value) / 1000

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at + self.added_s,)


class Blackout(Fault):
    """Nothing passes, and nobody is told."""

    kind = "blackout"
    value_help = ""

    def __init__(self, request: FaultRequest) -> None:
        super().__init__(request)
        if request.value:
            raise FaultError("a blackout takes no value")

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return ()


KINDS: dict[str, type[Fault]] = {fault.kind: fault for fault in (Loss, Delay, Blackout)}


def make_fault(request: FaultRequest, sites: Sequence[str]) -> Fault:
    """The fault that ``request`` asks for. Raises FaultError, which says what there is instead."""
    names = [*sites, OPERATOR]
    source, colon, target = request.target.partition(":")
    for name in (source, target) if colon else (source,):
        if name not in names:
            raise FaultError(f"no site {name!r}; there are {', '.join(names)}, or a pair such as {names[0]}:{names[1]}")
    if colon and source == target:
        raise FaultError(f"{request.target!r} is not a pair of two sites")
    if request.net is not None and request.net not in NETS:
        raise FaultError(f"no path {request.net!r}; there are {', '.join(NETS)}")
    if request.kind not in KINDS:
        raise FaultError(f"no fault {request.kind!r}; there are {', '.join(KINDS)}")
    return KINDS[request.kind](request)


def _percent(text: str) -> float:
    """``0.5%`` or ``0.5`` as a share of 1."""
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:
        raise FaultError(f"{text!r} is not a percentage above 0 and up to 100; write 0.5%")
    return percent / 100


def _milliseconds(text: str) -> float:
    """``40ms``, ``1.5s`` or a bare number of milliseconds."""
    number, scale = (
        (text[:-2], 1.0) if text.endswith("ms") else (text[:-1], 1000.0) if text.endswith("s") else (text, 1.0)
    )
    try:
        value = float(number) * scale
    except ValueError:
        value = -1.0
    if not 0 < value <= 60_000:
        raise FaultError(f"{text!r} is not a time above 0 and up to 60 s; write 40ms")
    return value
