"""What iperf3 said, as a burst's record has it; and its failures in plain words, with what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from meshtop.burst import BurstInterval, BurstPlan, BurstRequest, BurstStream
from meshtop.collect.reaped import Reaped
from meshtop.parse.iperf3 import Interval, Result, StreamInterval, Total, error_text, parse_text_interval


class Explained(NamedTuple):
    reason: str
    cure: str


def outcome(result: Result, plan: BurstPlan) -> dict[str, Any]:
    """The record's figures. iperf3's direction is that which was asked for, but for both ways from the other end."""
    swapped = plan.request.bidir and plan.turned
    first, other = (result.sent, result.received), (result.other_sent, result.other_received)
    if swapped:
        first, other = other, first
    figures = _figures(*first)
    return {**figures, "other": _figures(*other) if plan.request.bidir else None}


def _figures(sent: Total | None, received: Total | None) -> dict[str, Any]:
    return {
        "sent_bytes": sent.bytes if sent else None,
        "received_bytes": received.bytes if received else None,
        "sender_bps": sent.rate_bps if sent else None,
        "receiver_bps": received.rate_bps if received else None,
        "retransmits": sent.retransmits if sent else None,
        "lost_pct": received.lost_pct if received else None,
        "jitter_ms": received.jitter_ms if received else None,
    }


def intervals(result: Result, plan: BurstPlan) -> tuple[BurstInterval, ...]:
    ports = dict(zip((total.socket for total in result.stream_totals), result.local_ports, strict=False))
    return tuple(live_interval(each, plan, ports) for each in result.intervals)


def live_interval(interval: Interval, plan: BurstPlan, ports: dict[int | None, int] | None = None) -> BurstInterval:
    """One interval of the direction that was asked for."""
    swapped = plan.request.bidir and plan.turned
    total = interval.other or interval.total if swapped else interval.total
    streams = interval.streams
    if plan.request.bidir:
        streams = tuple(stream for stream in streams if stream.sender is not swapped)
    return BurstInterval(
        t=round(interval.end_s, 3),
        bps=total.rate_bps,
        retransmits=total.retransmits,
        rtt_ms=_mean([stream.rtt_ms for stream in streams]),
        cwnd_bytes=_sum([stream.cwnd_bytes for stream in streams]),
        streams=tuple(_stream(stream, ports or {}) for stream in streams),
    )


def _stream(stream: StreamInterval, ports: dict[int | None, int]) -> BurstStream:
    return BurstStream(
        port=ports.get(stream.socket),
        bps=stream.total.rate_bps,
        retransmits=stream.total.retransmits,
        rtt_ms=stream.rtt_ms,
        cwnd_bytes=stream.cwnd_bytes,
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 3) if known else None


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def text_interval(line: str, request: BurstRequest) -> BurstInterval | None:
    """A server's line of all streams together; None for all other lines."""
    found = parse_text_interval(line, udp=request.udp)
    if found is None or found.final is not None or (found.stream is not None) is (request.streams > 1):
        return None
    return BurstInterval(t=found.end_s, bps=found.total.rate_bps, retransmits=found.total.retransmits)


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
    if "closed unexpectedly" in words or "server has terminated" in words or "unable to receive" in words:
        return Explained(f"the iperf3 of {plan.server} went away: {words}", "start it again")
    if "has terminated" in words or words == "Terminated":
        return Explained(f"the iperf3 of {end.node} was ended by a signal", "start it again")
    return Explained(f"iperf3 on {end.node}: {words or 'it ended without a word'}", "run it there by hand")
