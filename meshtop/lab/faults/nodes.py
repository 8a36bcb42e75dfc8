"""Faults of a node itself. Their values are checked and they are listed here; ``node_faults.py`` brings them about.

The WAN keeps them among its faults, so that there is one list of what is in force; no packet meets them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from meshtop.lab.faults.base import DATA_NETS, Fault, FaultError, bit_rate, count, seconds, size, two
from meshtop.lab.plan import OPERATOR

USUAL_HOST_QUEUE = 20 * 1024  # bytes: some thirteen full packets, so that a TCP that wants more loses some all the time
USUAL_SLOWNESS_S = 5.0  # longer than any probe should wait for a tool
USUAL_BUSY = 60  # a process then waits for the core for tens of milliseconds each time
_TOOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")


class NodeFault(Fault):
    """A fault that is brought about in a node's namespaces."""

    told = None

    def take(self, value: str) -> None:
        super().take(value)
        self._check_target()

    def _check_target(self) -> None:
        if self.target or self.request.one_way or self.request.net is not None:
            raise FaultError(f"{self.kind} is of one node: name it, without --one-way and --path")
        if self.source == OPERATOR:
            raise FaultError(f"{self.kind} is of a node; the operator's machine is left alone")

    def nets(self) -> Sequence[str]:
        return ()

    def passes(self, at: float, data: bytes, random: Random) -> Sequence[float]:
        return (at,)


class Freeze(NodeFault):
    """All processes of the node stand still (SIGSTOP); its kernel goes on answering pings and ACKs."""

    kind = "freeze"


class SshdKill(NodeFault):
    """The node's SSH server and its sessions are killed, and no new one is started."""

    kind = "sshd-kill"


class HostKey(NodeFault):
    """The node's SSH server comes back with another host key."""

    kind = "host-key"


class ToolMissing(NodeFault):
    """A tool is not there for whoever comes by SSH."""

    kind = "tool-missing"
    value_help = "its name, such as ss or iperf3"

    def take(self, value: str) -> None:
        self._check_target()
        self.tool = _tool(value)

    def identity(self) -> tuple[str | None, ...]:
        return (*super().identity(), self.tool)


class ToolSlow(NodeFault):
    """A tool sleeps before it does its work."""

    kind = "tool-slow"
    value_help = f"its name / how long it sleeps, such as ss/3s; ss alone means /{USUAL_SLOWNESS_S:.0f}s"

    def take(self, value: str) -> None:
        self._check_target()
        name, sleep = two(value, "ss/3s")
        self.tool = _tool(name)
        if self.tool in ("sh", "sleep"):
            raise FaultError(f"{self.tool} cannot be slow: it is what makes others slow")
        self.sleep_s = seconds(sleep) if sleep else USUAL_SLOWNESS_S

    def identity(self) -> tuple[str | None, ...]:
        return (*super().identity(), self.tool)


class PingDenied(NodeFault):
    """Pings are not permitted to whoever comes by SSH, as to ordinary users of many systems."""

    kind = "ping-denied"
    tool = "ping"


class ClockOff(NodeFault):
    """The clock is off, as date tells it to whoever comes by SSH: the kernel's own is the whole machine's."""

    kind = "clock-off"
    value_help = "how far, such as 30s, which is ahead, or 30s/behind"
    tool = "date"

    def take(self, value: str) -> None:
        self._check_target()
        how_far, direction = two(value, "30s/behind")
        if direction not in ("", "ahead", "behind"):
            raise FaultError(f"{direction!r} is no direction; write 30s or 30s/behind")
        self.offset_s = seconds(how_far) * (-1 if direction == "behind" else 1)


class NoRoute(NodeFault):
    """The node has no route to its peers on a path."""

    kind = "no-route"
    value_help = "the path: public or vpn"

    def take(self, value: str) -> None:
        self._check_target()
        if value not in DATA_NETS:
            raise FaultError(f"{value!r} is no path; write {' or '.join(DATA_NETS)}")
        self.path = value

    def identity(self) -> tuple[str | None, ...]:
        return (*super().identity(), self.path)


class HostQueue(NodeFault):
    """The node's own queue discipline, a token bucket before each of its lines, drops what does not fit."""

    kind = "host-queue"
    value_help = f"its rate / its queue in bytes, such as 8M/20k; 8M alone means /{USUAL_HOST_QUEUE // 1024}k"

    def take(self, value: str) -> None:
        self._check_target()
        rate, limit = two(value, "8M/20k")
        self.rate_bps = bit_rate(rate)
        self.limit_bytes = size(limit) if limit else USUAL_HOST_QUEUE


class HostRing(NodeFault):
    """The rings of the node's interfaces hold few packets, and the interface drops the others."""

    kind = "host-ring"
    value_help = "packets from 1 to 2000, such as 4"

    def take(self, value: str) -> None:
        self._check_target()
        self.packets = count(value, 1, 2000)


class CpuFull(NodeFault):
    """The node's processes have one core, and share it with others that never rest. With 0 they have all, and each is
    busy with what gives way to them."""

    kind = "cpu-full"
    value_help = f"how many of these, 0 to 200, such as {USUAL_BUSY}"

    def take(self, value: str) -> None:
        self._check_target()
        self.count = count(value, 0, 200) if value else USUAL_BUSY


ToolFault = ToolMissing | ToolSlow | PingDenied | ClockOff


def _tool(name: str) -> str:
    if not _TOOL.fullmatch(name):
        raise FaultError(f"{name!r} is not the name of a tool; write ss or iperf3")
    return name
