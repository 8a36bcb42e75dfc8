"""Intervals of a burst put together: what one source lacks from another, several as one, the old of many coarser."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshtop.burst import BurstInterval, BurstStream

MOST_INTERVALS = 3000  # live ones of one burst: ten minutes at five a second


def thinned(intervals: tuple[BurstInterval, ...]) -> tuple[BurstInterval, ...]:
    """Of a burst that goes on and on, the older half two by two."""
    if len(intervals) <= MOST_INTERVALS:
        return intervals
    half = len(intervals) // 4 * 2
    pairs, since = [], 0.0
    for one, two in zip(intervals[:half:2], intervals[1:half:2], strict=True):
        moved = (one.bps or 0.0) * (one.t - since) + (two.bps or 0.0) * (two.t - one.t)
        bps = round(moved / (two.t - since)) if two.t > since else two.bps
        pairs.append(msgspec.structs.replace(summed((one, two)), bps=bps))
        since = two.t
    return (*pairs, *intervals[half:])


def is_whole(interval: BurstInterval) -> bool:
    return interval.retransmits is not None and interval.rtt_ms is not None


def merged(told: BurstInterval, seen: BurstInterval) -> BurstInterval:
    """``told`` with what it lacks, from what was seen over the same time."""
    by_port = {each.port: each for each in seen.streams}
    streams = []
    for each in told.streams:
        other = by_port.get(each.port) if each.retransmits is None and each.port is not None else None
        streams.append(each if other is None else msgspec.structs.replace(other, bps=each.bps))
    return msgspec.structs.replace(
        told,
        retransmits=told.retransmits if told.retransmits is not None else seen.retransmits,
        rtt_ms=told.rtt_ms if told.rtt_ms is not None else seen.rtt_ms,
        cwnd_bytes=told.cwnd_bytes if told.cwnd_bytes is not None else seen.cwnd_bytes,
        streams=tuple(streams) or seen.streams,
    )


def summed(parts: Sequence[BurstInterval]) -> BurstInterval:
    """Several intervals in a row as one: retransmissions added up, the rest as of the last. Rates are left out."""
    by_port: dict[int | None, BurstStream] = {}
    for part in parts:
        for each in part.streams:
            earlier = by_port.get(each.port)
            counts = [one.retransmits for one in (earlier, each) if one is not None and one.retransmits is not None]
            by_port[each.port] = msgspec.structs.replace(each, bps=None, retransmits=sum(counts) if counts else None)
    counts = [part.retransmits for part in parts if part.retransmits is not None]
    return msgspec.structs.replace(
        parts[-1], bps=None, retransmits=sum(counts) if counts else None, streams=tuple(by_port.values())
    )
