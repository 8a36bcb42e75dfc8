"""What is judged of one way from node to node: reachability, pings of two sizes, path MTU, the burst port."""

from __future__ import annotations

from collections.abc import Iterator

from meshtop.agent.probe import FULL_PAYLOAD, SMALL_PAYLOAD
from meshtop.model import LinkKey, Node
from meshtop.parse.ways import PingTry, WayAnswers
from meshtop.setup.checks import Check, LinkChecks, failed, ok, skipped, warning
from meshtop.setup.facts import MeshFacts
from meshtop.units import format_ms

LINK_CHECKS = ("reach", "ping", "pmtu", "port")
_NO_ROUTE = ("network is unreachable", "no route to host", "net unreachable", "invalid argument")
_NEIGHBOUR = "host unreachable"


def link_checks(facts: MeshFacts, src: Node, dst: Node, path: str) -> LinkChecks:
    key = LinkKey(src.name, dst.name, path)
    answers = facts.ways.get(key)
    checks = tuple(_checks(facts, src, dst, path, answers))
    pings = answers.pings if answers else {}
    small, full = pings.get(SMALL_PAYLOAD), pings.get(FULL_PAYLOAD)
    return LinkChecks(
        src=src.name,
        dst=dst.name,
        path=path,
        rtt_ms=small.rtt_ms if small else None,
        rtt_full_ms=full.rtt_ms if full else None,
        pmtu=answers.pmtu.bytes if answers and answers.pmtu else None,
        checks=checks,
    )


def _checks(facts: MeshFacts, src: Node, dst: Node, path: str, answers: WayAnswers | None) -> Iterator[Check]:
    why = _untried(facts, src, dst, path)
    if why is not None or answers is None:
        yield skipped("reach", why or f"{src.name} gave no answer to it")
        return
    port = _port_tried(facts, dst, answers)
    reach = _reach(facts, src, dst, path, answers, port)
    yield reach
    if reach.state == "failed":
        return
    yield _ping(src, dst, answers)
    yield _pmtu(src, answers)
    yield _port(facts, src, dst, answers, port)


def _untried(facts: MeshFacts, src: Node, dst: Node, path: str) -> str | None:
    for node in (src, dst):
        if path not in node.address and path not in node.nat:
            return f"{node.name} has no address on {path}"
    if path in dst.nat or path not in dst.address:
        return f"{dst.name} is behind NAT there"
    its = facts.nodes[src.name]
    if its.fault is not None or its.survey is None:
        return f"{src.name} is not to be asked"
    return None


def _port_tried(facts: MeshFacts, dst: Node, answers: WayAnswers) -> int | None:
    listener = facts.nodes[dst.name].listener
    return listener if listener is not None else next(iter(answers.tcp), None)


def _reach(facts: MeshFacts, src: Node, dst: Node, path: str, answers: WayAnswers, port: int | None) -> Check:
    address = dst.address[path]
    tcp = answers.tcp.get(port) if port is not None else None
    if any(ping.answered for ping in answers.pings.values()) or tcp in ("open", "refused"):
        return ok("reach", f"{address} answers")
    said = _said(answers)
    if _lost_route(answers, tcp):
        return failed(
            "reach",
            f"{src.name} has no route to {address}",
            f"look at `ip addr` and `ip route` on {src.name}: is the interface of {path} up there, and its route set?",
        )
    if _NEIGHBOUR in said:
        return failed(
            "reach",
            f"the last router before {address} does not find it",
            f"is {dst.name} up, and {address} still its address on {path}?",
        )
    if _not_asked(answers):
        return skipped("reach", f"{src.name} can neither ping nor connect")
    back = facts.survey(dst.name)
    if back is not None and address not in back.addresses:
        return failed(
            "reach",
            f"{address} gives no answer, and {dst.name} does not own it",
            f"see the address of {dst.name}: behind NAT, others cannot open connections to it",
        )
    detail = f"{address} gives no answer to {src.name}, neither to pings nor to TCP"
    way_back = facts.ways.get(LinkKey(dst.name, src.name, path))
    if way_back is not None and _lost_route(way_back):
        return failed("reach", f"{detail}: {dst.name} has no route back", f"cure the routes of {dst.name} first")
    return failed(
        "reach",
        detail,
        f"is {dst.name} up on {path}, with routes back? Do firewalls on the way let ICMP echo and TCP through?",
    )


def _said(answers: WayAnswers) -> str:
    return " ".join(problem for ping in answers.pings.values() for problem in ping.problems).lower()


def _lost_route(answers: WayAnswers, tcp: str | None = None) -> bool:
    """The node itself, or a router on the way, knows no way there."""
    if any(ping.answered for ping in answers.pings.values()):
        return False
    said = _said(answers)
    return tcp == "no-route" or any(words in said for words in _NO_ROUTE)


def _not_asked(answers: WayAnswers) -> bool:
    """Nothing has left the node: there is no ping or it may not, and nothing to connect with."""
    mute = all(ping.sent is None and not ping.answered for ping in answers.pings.values())
    return mute and all(word == "nothing" for word in answers.tcp.values())


def _ping(src: Node, dst: Node, answers: WayAnswers) -> Check:
    small, full = (answers.pings.get(size, PingTry()) for size in (SMALL_PAYLOAD, FULL_PAYLOAD))
    if answers.no_ping or (small.sent is None and not small.answered):
        return skipped("ping", f"{src.name} cannot ping; see its own checks")
    if not small.answered and not full.answered:
        return warning(
            "ping",
            f"{dst.name} answers TCP but no pings: no round trips and no loss for this link",
            "let ICMP echo requests and replies through between the nodes",
        )
    if not full.answered:
        return failed(
            "ping",
            f"pings of {SMALL_PAYLOAD} bytes are answered, of {FULL_PAYLOAD} none of {full.sent or 0}",
            "a small path MTU without a word about it: see pmtu; or a firewall that limits the size of pings",
        )
    lost = sum(max(0, (ping.sent or ping.answered) - ping.answered) for ping in (small, full))
    figures = f"{format_ms(small.rtt_ms)} ms, full size {format_ms(full.rtt_ms)} ms"
    if lost:
        total = (small.sent or 0) + (full.sent or 0)
        return warning("ping", f"{lost} of {total} pings lost; {figures}", "watch this link: meshtop")
    return ok("ping", figures)


def _pmtu(src: Node, answers: WayAnswers) -> Check:
    found = answers.pmtu
    if found is None:
        return skipped("pmtu", "this ping cannot forbid fragments, or nothing was answered")
    if found.how == "open":
        return ok("pmtu", f"{found.bytes}")
    device = found.device or "the interface"
    set_it = f"set the MTU at both ends (ip link set {device} mtu {found.bytes}), or clamp TCP's MSS to it"
    if found.how == "told":
        return warning(
            "pmtu",
            f"{found.bytes} where {device} of {src.name} has {found.interface_bytes}: TCP adapts, tunnels may not",
            set_it,
        )
    return failed(
        "pmtu",
        f"packets above {found.bytes} bytes vanish without a word, and {device} of {src.name} has "
        f"{found.interface_bytes}: full segments stall",
        f'{set_it}; and let ICMP "fragmentation needed" through on the way',
    )


def _port(facts: MeshFacts, src: Node, dst: Node, answers: WayAnswers, port: int | None) -> Check:
    tcp = answers.tcp.get(port) if port is not None else None
    if port is None or tcp in (None, "nothing"):
        return skipped("port", f"{src.name} has nothing to connect with (bash, python3 or nc)")
    listening = facts.nodes[dst.name].listener == port
    open_it = (
        f"let TCP and UDP {facts.ports} through to {dst.name} (its firewall, its provider's), "
        "or set [burst] ports to what they let through"
    )
    if tcp == "open":
        return ok("port", f"{port} connects")
    if tcp == "silent":
        return failed("port", f"port {port} of {dst.name} is blocked: no answer at all (dropped)", open_it)
    if tcp == "prohibited" or tcp == "no-route" or listening:
        return failed("port", f"port {port} of {dst.name} is blocked: rejected, though a server listens", open_it)
    why = facts.nodes[dst.name].listener_fault or "no server could be started there"
    return skipped("port", f"port {port} is not dropped, but nothing listened: {why}")
