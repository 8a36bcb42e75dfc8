"""What can be wrong, by name: ``lab fault TARGET KIND [VALUE]``."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.lab.faults.base import DATA_NETS, NETS, Fault, FaultError, FaultRequest
from meshtop.lab.faults.lines import Policer, Queue, Rate, UdpPolicer
from meshtop.lab.faults.loss import Blackout, BurstLoss, Duplicate, IcmpDrop, Loss, MgmtCut, PortBlock
from meshtop.lab.faults.mtu import Mtu, MtuBlackhole
from meshtop.lab.faults.nodes import (
    ClockOff,
    CpuFull,
    Freeze,
    HostKey,
    HostQueue,
    HostRing,
    NodeFault,
    NoRoute,
    PingDenied,
    SshdKill,
    ToolMissing,
    ToolSlow,
)
from meshtop.lab.faults.times import Delay, Hold, Jitter, Reorder
from meshtop.lab.plan import OPERATOR

__all__ = [
    "DATA_NETS",
    "ENDINGS",
    "KINDS",
    "NETS",
    "NOT_OF_A_PATH",
    "Fault",
    "FaultError",
    "FaultRequest",
    "NodeFault",
    "list_kinds",
    "make_fault",
]

_OF_THE_WAY: tuple[type[Fault], ...] = (
    Loss,
    BurstLoss,
    Delay,
    Jitter,
    Reorder,
    Duplicate,
    Hold,
    Rate,
    Queue,
    Policer,
    UdpPolicer,
    Mtu,
    MtuBlackhole,
    IcmpDrop,
    PortBlock,
    Blackout,
    MgmtCut,
)
_OF_A_NODE: tuple[type[Fault], ...] = (
    Freeze,
    SshdKill,
    HostKey,
    ToolMissing,
    ToolSlow,
    PingDenied,
    ClockOff,
    NoRoute,
    HostQueue,
    HostRing,
    CpuFull,
)
KINDS: dict[str, type[Fault]] = {fault.kind: fault for fault in (*_OF_THE_WAY, *_OF_A_NODE)}
NOT_OF_A_PATH = frozenset([MgmtCut.kind, *(fault.kind for fault in _OF_A_NODE)])  # the kind says where they are
ENDINGS = {"thaw": Freeze.kind, "sshd-start": SshdKill.kind}  # said like a fault, these heal one


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
    kind = KINDS[request.kind]
    try:
        return kind(request)
    except FaultError as error:
        expected = f" ({request.kind} takes {kind.value_help})" if kind.value_help else ""
        raise FaultError(f"{error}{expected}") from None


def list_kinds() -> list[str]:
    """``lab fault --list``: a line for each kind, with what its value is and its unit."""
    lines = []
    for heading, kinds in (
        ("On the way, of a SITE or a pair SRC:DST:", _OF_THE_WAY),
        ("Of a node (SITE):", _OF_A_NODE),
    ):
        lines.append(heading)
        for kind in kinds:
            summary = (kind.__doc__ or "").splitlines()[0]
            lines += [f"  {kind.kind:<14} {summary}", f"  {'':<14}   VALUE: {kind.value_help or 'none'}"]
    endings = ", ".join(f"{ending} (ends {kind})" for ending, kind in ENDINGS.items())
    return [*lines, f"Also: {endings}; `meshtop lab heal [SITE|SRC:DST] [KIND]` ends any."]
