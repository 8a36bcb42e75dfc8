"""What iperf3 said, as a burst's record has it.

The PyPI package iperf3 reads the sums of a document (its TestResult). It wants a whole one: what is not is looked at
first by :mod:`meshtop.parse.iperf3`. Importing it loads ctypes, so that is left until there is a result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from meshtop.burst import BurstInterval, BurstPlan, BurstRequest, BurstStream
from meshtop.parse.iperf3 import (
    Document,
    Interval,
    count,
    error_of,
    intervals_of,
    number,
    one_way,
    parse_text_interval,
    table,
)

# What TestResult raises where a part is missing, or is of another type than iperf3 writes.
_NOT_WHOLE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def is_whole(document: Document) -> bool:
    """Whether the test came to its end, with sums of both ends."""
    return error_of(document) is None and _test_result(one_way(document)) is not None


def outcome(document: Document, plan: BurstPlan) -> dict[str, Any]:
    """The record's figures. iperf3's direction is that which was asked for, but for both ways from the other end."""
    figures = _figures(document, plan, other=_swapped(plan))
    return {**figures, "other": _figures(document, plan, other=not _swapped(plan)) if plan.request.bidir else None}


def _swapped(plan: BurstPlan) -> bool:
    return plan.request.bidir and plan.turned


def _figures(document: Document, plan: BurstPlan, *, other: bool) -> dict[str, Any]:
    """Of one direction of a client's document; None for all that is not known."""
    way = one_way(document, other=other)
    test = _test_result(way)
    if test is None:
        return dict.fromkeys(_FIGURES)
    receives = plan.server_sends is not other  # whether this end does
    sent, received = _udp(test, way, document if receives else {}, other) if test.protocol == "UDP" else _tcp(test)
    if error_of(document) is not None:  # then the ends did not tell each other, and 0 stands for what is not known
        sent, received = ({}, received) if receives else (sent, {})
    return {**dict.fromkeys(_FIGURES), **sent, **received}


_FIGURES = ("sent_bytes", "received_bytes", "sender_bps", "receiver_bps", "retransmits", "lost_pct", "jitter_ms")


def _test_result(way: Document) -> Any:
    """The package's reading; None for what is not whole."""
    from iperf3 import TestResult

    try:
        return TestResult(json.dumps(way))
    except _NOT_WHOLE:
        return None


def _tcp(test: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    sent = {
        "sent_bytes": count(test.sent_bytes),
        "sender_bps": number(test.sent_bps),
        "retransmits": count(test.retransmits),
    }
    return sent, {"received_bytes": count(test.received_bytes), "receiver_bps": number(test.received_bps)}


def _udp(test: Any, way: Document, came: Document, other: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """TestResult has the bytes and the rate of who sent, the losses and the jitter of who received, in all versions,
    with -R too. What arrived is told from 3.10 on. Before, it is what this end's intervals say, where it received, else
    what was not lost, over the receiver's time. ``came``: the document of an end that received."""
    sent = {"sent_bytes": count(test.bytes), "sender_bps": number(test.bps)}
    packets, lost, seconds = number(test.packets), number(test.lost_packets), number(test.seconds)
    if not packets or lost is None:
        return sent, {}
    arrived = table(table(way, "end"), "sum_received")
    received_bytes, receiver_bps = count(arrived.get("bytes")), number(arrived.get("bits_per_second"))
    if not arrived and sent["sent_bytes"] is not None:
        counted = _arrived(intervals_of(came), other)
        received_bytes = round(sent["sent_bytes"] * max(0.0, 1 - lost / packets)) if counted is None else counted
        receiver_bps = number(8 * received_bytes / seconds) if seconds else None
    return sent, {
        "received_bytes": received_bytes,
        "receiver_bps": receiver_bps,
        "lost_pct": number(test.lost_percent),
        "jitter_ms": number(test.jitter_ms),
    }


def _arrived(found: Sequence[Interval], other: bool) -> int | None:
    ways = [(each.end_s, each.other if other else each.way) for each in found]
    lengths = [max(0.0, end_s - before_s) for (before_s, _), (end_s, _) in pairwise([(0.0, None), *ways])]
    bits = [length * (way.bps or 0.0) for length, (_, way) in zip(lengths, ways, strict=True) if way is not None]
    return count(round(sum(bits) / 8)) if bits else None


def intervals(document: Document, plan: BurstPlan) -> tuple[BurstInterval, ...]:
    return tuple(live_interval(each, plan) for each in intervals_of(document))


def live_interval(interval: Interval, plan: BurstPlan) -> BurstInterval:
    """One interval of the direction that was asked for."""
    swapped = _swapped(plan)
    way = interval.other or interval.way if swapped else interval.way
    streams = interval.streams
    if plan.request.bidir:
        streams = tuple(stream for stream in streams if stream.sender is not swapped)
    return BurstInterval(
        t=round(interval.end_s, 3),
        bps=way.bps,
        retransmits=way.retransmits,
        rtt_ms=_mean([stream.rtt_ms for stream in streams]),
        cwnd_bytes=_sum([stream.cwnd_bytes for stream in streams]),
        streams=tuple(
            BurstStream(
                port=each.port,
                bps=each.bps,
                retransmits=each.retransmits,
                rtt_ms=each.rtt_ms,
                cwnd_bytes=each.cwnd_bytes,
            )
            for each in streams
        ),
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
    return BurstInterval(t=found.end_s, bps=found.way.bps, retransmits=found.way.retransmits)


def sent_by_server(text: str, request: BurstRequest) -> dict[str, Any]:
    """What a server that sent says of it at its end, to a kbit/s and 10 ms; nothing if it did not come to that."""
    for line in text.splitlines():
        found = parse_text_interval(line, udp=request.udp)
        if found is not None and found.final == "sender" and (found.stream is None) is (request.streams > 1):
            return {
                "sent_bytes": round((found.way.bps or 0.0) * found.end_s / 8),
                "sender_bps": found.way.bps,
                "retransmits": found.way.retransmits,
            }
    return {}
