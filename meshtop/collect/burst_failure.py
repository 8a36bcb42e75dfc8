"""Failures of iperf3 in plain words, with what to do. Read: iperf3's src/iperf_error.c."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from meshtop.burst import BurstPlan
from meshtop.collect.reaped import Reaped
from meshtop.parse.iperf3 import error_text


class Explained(NamedTuple):
    reason: str
    cure: str


def explain(
    plan: BurstPlan, end: Reaped, ports: Sequence[int], said: str | None = None, *, here: bool = False
) -> Explained:
    """Why one end's iperf3 did not do it. ``said``: its own words from the document, where it has some. ``here``: that
    end is this machine."""
    span = f"{ports[0]}-{ports[-1]}"
    if end.missing == "iperf3" and here:
        return Explained(
            "this machine has neither libiperf nor iperf3", "install one of them: Debian's libiperf0 or iperf3"
        )
    if end.missing is not None:
        return Explained(f"{end.missing} is not installed on {end.node}", f"install {end.missing} on {end.node}")
    if end.too_old:
        return Explained(f"the iperf3 of {end.node} is older than 3.7", f"install iperf3 3.7 or later on {end.node}")
    if end.no_port:
        return Explained(
            f"every port of {span} is in use on {end.node}", "end what listens there, or set [burst] ports"
        )
    if not end.began:
        return Explained(
            f"the shell of {end.node} did not start a burst: {end.complaint() or 'it said nothing'}",
            "log in by hand with the same account: it needs a login shell that can run /bin/sh",
        )
    words = said or error_text(end.complaint()) or error_text(end.output[-300:].decode("utf-8", "replace"))
    return _of_words(words, plan, end, span)


def unheard(plan: BurstPlan) -> Explained:
    """iperf3 opens each stream of datagrams with one either way, and sends none of them again."""
    return Explained(
        f"{plan.client} and {plan.server} are connected, but a first datagram was lost on {plan.request.path}",
        "start it again, where much is lost with fewer streams; or let UDP through to the ports of [burst], too",
    )


def _of_words(words: str, plan: BurstPlan, end: Reaped, span: str) -> Explained:
    way = f"{plan.client} cannot connect to {plan.server} ({plan.connect_to}) on {plan.request.path}"
    open_ports = (
        f"let TCP and UDP {span} through to {plan.server}, or set [burst] ports to what its firewall lets through"
    )
    if "Address already in use" in words:
        return Explained(
            f"every port of {span} is in use on {end.node}", "end what listens there, or set [burst] ports"
        )
    if "busy" in words:
        return Explained(f"{way}: another client was faster", "start it again")
    if "onnection refused" in words:
        return Explained(f"{way}: refused", open_ports)
    if "unreachable" in words or "No route to host" in words:
        return Explained(f"{way}: no route ({words})", f"look at the routes of {plan.client} on {plan.request.path}")
    if "timed out" in words or "timeout" in words or "in progress" in words:
        return Explained(f"{way}: no answer", open_ports)
    if "TCP_CONGESTION" in words:
        return Explained(
            f"{end.node} has no congestion control {plan.request.congestion!r}",
            "sysctl net.ipv4.tcp_available_congestion_control says there which it has",
        )
    if plan.request.udp and "stream socket" in words:
        return unheard(plan)
    if "closed unexpectedly" in words or "server has terminated" in words or "unable to receive" in words:
        return Explained(f"the iperf3 of {plan.server} went away: {words}", "start it again")
    if "has terminated" in words or words == "Terminated":
        return Explained(f"the iperf3 of {end.node} was ended by a signal", "start it again")
    return Explained(f"iperf3 on {end.node}: {words or 'it ended without a word'}", "run it there by hand")
