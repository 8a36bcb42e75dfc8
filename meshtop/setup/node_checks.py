"""What is judged of one node: SSH, shell, tools, clock, rights, addresses."""

from __future__ import annotations

from collections.abc import Iterator

from meshtop.model import LinkKey, Node
from meshtop.parse.ss_fields import supported_fields
from meshtop.parse.survey import NodeSurvey
from meshtop.setup.checks import Check, NodeChecks, failed, ok, skipped, warning
from meshtop.setup.facts import MeshFacts, NodeFacts
from meshtop.units import format_duration, format_ms

NODE_CHECKS = ("ssh", "shell", "ss", "ping", "iperf3", "ports", "clock", "rights", "address")
OLDEST_IPERF3 = (3, 7)  # agent/reaper.sh refuses older ones: they have no --connect-timeout
# Without these there are no stalls, or only coarse ones (docs/operations.md).
_WANTED_FIELDS = {
    "bytes_acked": "stalls and rates",
    "busy_ms": "stalls of flows that write rarely",
    "dsack_dups": "reordering",
}
_NOT_PERMITTED = ("permitted", "denied", "lacking privilege", "must be root", "are you root")


def node_checks(facts: MeshFacts, node: Node) -> NodeChecks:
    return NodeChecks(
        name=node.name,
        label=node.label,
        ssh=facts.targets.get(node.name, ""),
        checks=tuple(_checks(facts, node, facts.nodes[node.name])),
    )


def _checks(facts: MeshFacts, node: Node, its: NodeFacts) -> Iterator[Check]:
    yield _ssh(its)
    if its.fault is not None:
        for name in NODE_CHECKS[1:]:
            yield skipped(name, "no SSH session")
        return
    yield _shell(its)
    survey = its.survey
    if survey is None:
        for name in NODE_CHECKS[2:]:
            yield skipped(name, "its shell gave no survey")
        return
    yield _ss(survey)
    yield _ping(survey)
    yield _iperf3(survey)
    yield _ports(facts, survey)
    yield _clock(its)
    yield _rights(survey)
    yield _address(facts, node, survey)


def _ssh(its: NodeFacts) -> Check:
    fault = its.fault
    if fault is None:
        user = f" as {its.survey.user}" if its.survey and its.survey.user else ""
        trip = f", round trip {format_ms(its.rtt_ms)} ms" if its.rtt_ms is not None else ""
        return ok("ssh", f"connected{user}{trip}")
    cure = fault.cure
    if fault.kind == "auth":
        cure = f"is that the right user (User in ssh_config, or user@host)? {cure}"
    return failed("ssh", f"{fault.reason} ({fault.kind})", cure or "see the log of its SSH server")


def _shell(its: NodeFacts) -> Check:
    if not its.began:
        said = its.noise or its.complaint or "nothing"
        return failed(
            "shell",
            f"the login shell did not run /bin/sh; it said: {said}",
            "this account needs a login shell that runs commands, and prints no menu",
        )
    if its.survey is None or not its.survey.whole:
        return failed("shell", "the survey did not come to its end", "is the node overloaded? Try again")
    if "awk" not in its.survey.tools:
        return failed("shell", "awk is not installed: the probe needs it", "install mawk or gawk there")
    if its.noise:
        cure = "let the shell's start-up files print only on a terminal: case $- in *i*) … esac"
        return warning("shell", f"prints before a command begins: {its.noise}", cure)
    return ok("shell", its.survey.shell or "sh")


def _ss(survey: NodeSurvey) -> Check:
    if "ss" not in survey.tools:
        cure = "install iproute2 there (apt install iproute2, dnf install iproute, apk add iproute2-ss)"
        return failed("ss", "ss is not installed: no sockets are seen, so no stalls, rates or retransmissions", cure)
    if survey.ss_complaint:
        return failed(
            "ss", f"ss cannot do what is asked of it: {survey.ss_complaint}", "install a newer iproute2 there"
        )
    known = supported_fields(survey.ss, survey.kernel)
    lacking = [what for field, what in _WANTED_FIELDS.items() if field not in known]
    version = survey.ss or "of unknown version"
    if lacking:
        detail = f"ss {version} on kernel {survey.kernel or 'unknown'} cannot tell: {', '.join(lacking)}"
        return warning("ss", detail, "install iproute2 4.20 or later there; kernels before 4.19 give less")
    return ok("ss", f"iproute2 {version}, all fields")


def _ping(survey: NodeSurvey) -> Check:
    if "ping" not in survey.tools:
        cure = "install it there (apt install iputils-ping, dnf install iputils)"
        return failed("ping", "ping is not installed: no round trips, no loss", cure)
    if not survey.own_pings:
        return skipped("ping", "it was not tried")
    for size, (answered, said) in survey.own_pings.items():
        if answered:
            continue
        if any(word in said.lower() for word in _NOT_PERMITTED):
            cure = (
                "as root there: sysctl -w net.ipv4.ping_group_range='0 2147483647', "
                'or setcap cap_net_raw+p "$(command -v ping)"'
            )
            return failed("ping", f"pings are not permitted to {survey.user or 'this user'}: {said}", cure)
        return failed(
            "ping",
            f"a ping of {size} bytes to itself is not answered: {said or 'nothing was said'}",
            "is `lo` up there, and does a firewall drop ICMP even from the node itself?",
        )
    return ok("ping", survey.ping or "there, of unknown version")


def _iperf3(survey: NodeSurvey) -> Check:
    if "iperf3" not in survey.tools:
        cure = "install iperf3 3.7 or later there (apt install iperf3); the monitor works without"
        return failed("iperf3", "iperf3 is not installed: no bursts from or to it", cure)
    if "timeout" not in survey.tools:
        return failed("iperf3", "timeout is not installed: a burst could outlive us", "install coreutils there")
    parts = (survey.iperf3 or "").split(".")
    version = (int(parts[0]), int(parts[1])) if len(parts) > 1 else None
    if version is None:
        return warning("iperf3", f"says no version: {survey.tools['iperf3']}", "bursts need iperf3 3.7 or later")
    if version < OLDEST_IPERF3:
        return failed("iperf3", f"iperf3 {survey.iperf3} is too old for bursts", "install iperf3 3.7 or later there")
    return ok("iperf3", survey.iperf3 or "")


def _ports(facts: MeshFacts, survey: NodeSurvey) -> Check:
    wanted = range(facts.first_port, facts.last_port + 1)
    taken = [port for port in wanted if port in survey.listening]
    if len(taken) == len(wanted):
        return failed(
            "ports",
            f"every burst port of {facts.ports} is in use",
            "end what listens there (ss -tlnp), or give [burst] ports others that the firewalls let through",
        )
    free = next(port for port in wanted if port not in taken)
    others = f"; in use: {', '.join(map(str, taken))}" if taken else ""
    return ok("ports", f"{free} is free{others}")


def _clock(its: NodeFacts) -> Check:
    if its.clock_offset_s is None:
        return skipped("clock", "date gave no time")
    offset = its.clock_offset_s
    if not its.clock_is_off:
        return ok("clock", f"within {max(abs(offset), 0.001):.3f} s")
    return warning(
        "clock",
        f"{format_duration(abs(offset))} {'ahead of' if offset > 0 else 'behind'} this machine",
        "set it there (timedatectl set-ntp true, or chrony); if most nodes are off alike, it is this machine's",
    )


def _rights(survey: NodeSurvey) -> Check:
    if survey.uid == 0:
        return ok("rights", "root: all processes are seen")
    who = survey.user or "an ordinary user"
    return warning(
        "rights",
        f"{who}: sockets are seen, but not which processes of other users have them",
        "log in as root for the names of processes; nothing else needs it",
    )


def _address(facts: MeshFacts, node: Node, survey: NodeSurvey) -> Check:
    """Whether the node is what others find at its addresses, and ``nat`` is where it belongs."""
    notes = []
    for path, address in node.address.items():
        owner = survey.owner_of(address)
        reached = _reached(facts, node, path)
        elsewhere = _owner_elsewhere(facts, node, address)
        if owner is not None:
            if path in node.nat and reached:
                cure = f'take "{path}" out of nat under [nodes.{node.name}]'
                return warning("address", f"others do reach {address}, though nat says that they cannot", cure)
            notes.append(f"{path} on {owner.name}")
        elif elsewhere is not None:
            cure = f"correct the address of {node.name} on {path}; it has {_own(survey)}"
            return failed("address", f"{address} ({path}) is an address of {elsewhere}", cure)
        elif path in node.nat:
            notes.append(f"{path} behind NAT")
        elif reached:
            notes.append(f"{path} by one-to-one NAT")
        elif reached is None:
            notes.append(f"{path} not its own, and nobody tried it")
        else:
            return failed(
                "address",
                f"{address} ({path}) is not an address of {node.name}, and no connection of others gets to it: "
                "it is behind NAT, or the address is wrong",
                f'behind NAT: write nat = ["{path}"] under [nodes.{node.name}]; else correct the address: it has '
                f"{_own(survey)}",
            )
    return ok("address", ", ".join(notes) or "none but behind NAT")


def _reached(facts: MeshFacts, node: Node, path: str) -> bool | None:
    """Whether anyone gets to the node's address there; None if nobody has tried. Where a server of ours listened, only
    a connection counts: a router would answer pings."""
    listener = facts.nodes[node.name].listener
    tried = False
    for other in facts.mesh.nodes:
        answers = facts.ways.get(LinkKey(other.name, node.name, path))
        if answers is None:
            continue
        tried = True
        tcp = answers.tcp.get(listener) if listener is not None else None
        if tcp == "open" or (tcp in (None, "nothing") and any(ping.answered for ping in answers.pings.values())):
            return True
    return False if tried else None


def _owner_elsewhere(facts: MeshFacts, node: Node, address: str) -> str | None:
    for other in facts.mesh.nodes:
        survey = facts.survey(other.name)
        if other.name != node.name and survey is not None and address in survey.addresses:
            return other.name
    return None


def _own(survey: NodeSurvey) -> str:
    found = [f"{address} on {each.name}" for each in survey.interfaces for address, _ in each.addresses]
    return ", ".join(found[:6]) or "none that could be seen"
