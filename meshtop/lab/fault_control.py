"""Putting faults in force and healing them, from outside the WAN: it keeps the list of all, and does those of the way;
those of nodes are done from here."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshtop.lab import registry
from meshtop.lab.control import Request
from meshtop.lab.faults import ENDINGS, KINDS, NETS, FaultError, FaultRequest, NodeFault, make_fault
from meshtop.lab.faults.nodes import Freeze
from meshtop.lab.netns import LabError
from meshtop.lab.node_faults import bring_about, undo
from meshtop.lab.overlay import DIRECT
from meshtop.lab.plan import OPERATOR, VPN

if TYPE_CHECKING:
    from meshtop.lab.network import Lab


def put(lab: Lab, request: FaultRequest) -> None:
    """Raises LabError that says what there is."""
    if request.kind in ENDINGS:
        _end(lab, request)
        return
    try:
        fault = make_fault(request, lab.nodes)
    except FaultError as error:
        raise LabError(str(error)) from None
    _refuse_inside_a_tunnel(lab, request)
    if not isinstance(fault, NodeFault):
        lab.ask(Request(op="fault", fault=request))
        return
    with _node_faults_locked(lab):
        others = [
            each for each in _in_force(lab) if each.source == fault.source and each.identity() != fault.identity()
        ]
        # Noted first: killed in the midst of it, the node is at worst healed of what it did not have.
        lab.ask(Request(op="fault", fault=request))
        try:
            bring_about(lab, fault, others)
        except LabError:
            lab.ask(Request(op="heal", target=request.target, kind=request.kind))
            raise


def heal(lab: Lab, target: str | None = None, kind: str | None = None, net: str | None = None) -> int:
    """Take away all faults, or those that fit; how many there were. Raises LabError."""
    _check_names(lab, target, kind, net)
    with _node_faults_locked(lab):
        in_force = _in_force(lab)
        fitting = [each for each in in_force if each.fits(target, kind, net)]
        # A frozen server cannot be told to end, so what is frozen goes first; each is undone before it is forgotten.
        for fault in sorted(fitting, key=lambda each: not isinstance(each, Freeze)):
            rest = [each for each in in_force if each.source == fault.source and each not in fitting]
            undo(lab, fault, rest)
        return len(lab.ask(Request(op="heal", target=target, kind=kind, net=net)).healed)


def _end(lab: Lab, request: FaultRequest) -> None:
    kind = ENDINGS[request.kind]
    if not heal(lab, request.target, kind):
        raise LabError(f"no {kind} of {request.target} is in force")


def _in_force(lab: Lab) -> list[NodeFault]:
    made = [make_fault(request, lab.nodes) for request in lab.status().faults]
    return [fault for fault in made if isinstance(fault, NodeFault)]


def _refuse_inside_a_tunnel(lab: Lab, request: FaultRequest) -> None:
    record = registry.current(lab.record) or lab.record
    if request.net == VPN and record.overlay != DIRECT:
        raise LabError(
            f"the overlay is {record.overlay}: its packets travel inside the tunnel's, where the WAN cannot tell them"
            " apart; put the fault below it with --path public, or switch to `meshtop lab overlay direct`"
        )


def _check_names(lab: Lab, target: str | None, kind: str | None, net: str | None) -> None:
    names = [*lab.nodes, OPERATOR]
    for name in (target or "").split(":") if target is not None else ():
        if name not in names:
            raise LabError(f"no site {name!r}; there are {', '.join(names)}, or a pair such as {names[0]}:{names[1]}")
    if kind is not None and kind not in KINDS:
        raise LabError(f"no fault {kind!r}; there are {', '.join(KINDS)}")
    if net is not None and net not in NETS:
        raise LabError(f"no path {net!r}; there are {', '.join(NETS)}")


@contextlib.contextmanager
def _node_faults_locked(lab: Lab) -> Iterator[None]:
    """One change of nodes at a time: each rests on which faults are in force."""
    try:
        lock = (lab.dir / "logs" / "node-faults.lock").open("w")
    except OSError as error:
        raise LabError(f"the lab {lab.record.name!r} is not whole ({error}); `meshtop lab down` clears it") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
