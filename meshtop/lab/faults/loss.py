"""Faults that lose or double packets.

Read for this: E. N. Gilbert, "Capacity of a burst-noise channel" (1960), for losses in a row; RFC 791 for the protocol
field.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from meshtop.lab.faults.base import Fault, FaultError, count, percent, two
from meshtop.lab.plan import MGMT

ICMP, TCP, UDP = 1, 6, 17  # protocol numbers
USUAL_RUN = 8  # packets in a row: what a full queue or a fading radio link takes at a few Mbit/s
LONGEST_RUN = 1000


class Loss(Fault):
    """Each packet for itself is lost by chance."""

    kind = "loss"
    value_help = "percent of packets, such as 0.5%"

    def take(self, value: str) -> None:
        self.share = percent(value)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return () if random.random() < self.share else (at,)


class BurstLoss(Fault):
    """Packets are lost several in a row (Gilbert's two states)."""

    kind = "burst-loss"
    value_help = f"percent of packets / how many in a row on average, such as 2%/10; 2% alone means /{USUAL_RUN}"

    def take(self, value: str) -> None:
        share, run = two(value, "2%/10")
        lost = percent(share)
        self._to_good = 1 / (count(run, 1, LONGEST_RUN) if run else USUAL_RUN)
        if lost >= 1:
            raise FaultError("burst-loss of all packets is a blackout")
        self._to_bad = self._to_good * lost / (1 - lost)  # so that the share of time in the bad state is ``lost``
        if self._to_bad > 1:
            raise FaultError(f"{value!r}: such a share cannot come in such short runs; write a longer run")
        self._bad = False

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        if random.random() < (self._to_good if self._bad else self._to_bad):
            self._bad = not self._bad
        return () if self._bad else (at,)


class Duplicate(Fault):
    """A share of the packets arrives twice."""

    kind = "duplicate"
    value_help = "percent of packets, such as 1%"
    told = "duplicate"

    def take(self, value: str) -> None:
        self.share = percent(value)

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at, at) if random.random() < self.share else (at,)


class Blackout(Fault):
    """Nothing passes, and nobody is told."""

    kind = "blackout"

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return ()


class MgmtCut(Blackout):
    """SSH to the site is cut without a word (a blackout of its management path)."""

    kind = "mgmt-cut"

    def take(self, value: str) -> None:
        super().take(value)
        if self.request.net not in (None, MGMT):
            raise FaultError(f"mgmt-cut is about the path {MGMT}; for {self.request.net} there is blackout")

    def nets(self) -> Sequence[str]:
        return (MGMT,)


class PortBlock(Fault):
    """What goes to some TCP and UDP ports is dropped, as by a firewall."""

    kind = "port-block"
    value_help = "a port or a range, such as 5201-5210"

    def take(self, value: str) -> None:
        first, _, last = value.partition("-")
        self.first, self.last = (count(each, 1, 65535) for each in (first, last or first))

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        ports = (data[0] & 0x0F) * 4
        fragment = int.from_bytes(data[6:8], "big") & 0x1FFF
        if data[9] not in (TCP, UDP) or fragment or len(data) < ports + 4:
            return (at,)
        to = int.from_bytes(data[ports + 2 : ports + 4], "big")
        return () if self.first <= to <= self.last else (at,)


class IcmpDrop(Fault):
    """Every ICMP packet is dropped, pings and errors alike; all else passes."""

    kind = "icmp-drop"

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return () if data[9] == ICMP else (at,)
