"""Bursts in words for a terminal: what one will cost, a line for each second of it, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import click

from meshtop.burst import BurstInterval, BurstPlan, BurstRecord
from meshtop.collect.burst_abort import AbortReport
from meshtop.engine.burst_compare import Comparison
from meshtop.engine.events import BurstEvent, StreamEvent
from meshtop.units import format_bytes, format_duration, format_figure, format_ms, format_pct, format_rate

EVERY_S = 1.0  # a line; five a second would be unreadable


def note(text: str) -> None:
    click.echo(text, err=True)


def cost(plan: BurstPlan) -> str:
    request = plan.request
    amount = _size(request.bytes) if request.bytes is not None else format_duration(request.seconds)
    parts = [
        f"{request.streams} {'stream' if request.streams == 1 else 'streams'} of {'UDP' if request.udp else 'TCP'}",
        amount,
    ]
    if request.rate_bps is not None:
        parts.append(f"at most {_rate(request.rate_bps)} each")
    predicted = "its cost cannot be told"
    if plan.predicted_s is not None and plan.predicted_bytes is not None:
        predicted = f"about {_size(plan.predicted_bytes)} in {format_duration(plan.predicted_s)}"
    way = f"{plan.client} connects to {plan.server}"
    return (
        f"{_way(request.src, request.dst, request.asked())} over {request.path}: {', '.join(parts)}; {predicted}; {way}"
    )


def _way(src: str, dst: str, asked: Mapping[str, object]) -> str:
    return f"{src} {'↔' if asked.get('bidir') else '←' if asked.get('reverse') else '→'} {dst}"


def _rate(rate_bps: float | None) -> str:
    return format_rate(rate_bps) if rate_bps is None else f"{format_rate(rate_bps)}bit/s"


def _size(size: float | None) -> str:
    text = format_bytes(size)
    return f"{text[:-1]}{text[-1].upper()}iB" if text[-1:].isalpha() else text if size is None else f"{text} B"


class Live:
    """A line for each second of a burst, from its intervals."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._kept: list[BurstInterval] = []
        self._from = 0.0

    def hear(self, event: StreamEvent) -> None:
        if not isinstance(event, BurstEvent):
            return
        if event.phase == "started":
            self._kept, self._from = [], 0.0
            way = _way(event.src, event.dst, event.requested)
            self._say(f"{way} over {event.path}: it runs, on port {event.port}")
        elif event.phase == "interval":
            self._kept += event.intervals
            if self._kept and self._kept[-1].t - self._from >= EVERY_S - 0.05:
                self._say(line(self._kept, self._from, event))
                self._from, self._kept = self._kept[-1].t, []


def line(parts: list[BurstInterval], since: float, event: BurstEvent) -> str:
    last = parts[-1]
    before, moved = since, 0.0
    for each in parts:
        moved += (each.bps or 0.0) * max(0.0, each.t - before)
        before = each.t
    told = [each.retransmits for each in parts if each.retransmits is not None]
    rate = moved / (last.t - since) if last.t > since else last.bps
    cells = [f"{last.t:6.1f} s", f"{_rate(rate):>10}"]
    if told:
        cells.append(f"retx {sum(told):>5}")
    if last.rtt_ms is not None:
        cells.append(f"rtt {format_ms(last.rtt_ms):>6} ms")
    if last.cwnd_bytes is not None:
        cells.append(f"cwnd {_size(last.cwnd_bytes):>8}")
    standing = sum(stall.end is None for stall in event.stalls or ())
    if standing:
        cells.append(f"{standing} stalled")
    return "  ".join(cells)


def summary(record: BurstRecord) -> str:
    head = f"{_way(record.src, record.dst, record.requested)} over {record.path}: {record.state}"
    if record.reason:
        head += f": {record.reason}" + (f" ({record.cure})" if record.cure else "")
    rows = [head]
    if record.sent_bytes is not None:
        rows.append(f"  sent      {_size(record.sent_bytes)} at {_rate(record.sender_bps)}")
    if record.received_bytes is not None:
        rows.append(f"  received  {_size(record.received_bytes)} at {_rate(record.receiver_bps)}")
    if record.retransmits is not None:
        rows.append(f"  resent    {record.retransmits} segments")
    if record.lost_pct is not None:
        rows.append(
            f"  lost      {format_pct(record.lost_pct)} of the datagrams, jitter {format_ms(record.jitter_ms)} ms"
        )
    if record.other is not None:
        back = f"{_size(record.other['received_bytes'])} at {_rate(record.other['receiver_bps'])}"
        rows.append(f"  way back  {back}")
    if record.stalls is not None:
        rows.append(f"  stalls    {_stalls(record)}")
    rows += _pings(record)
    for each in (record.bystanders or ())[:4]:
        flow = f"{each.flow['local']} → {each.flow['peer']}"
        rows.append(f"  beside it {flow}: {_rate(each.bps_before)} before, {_rate(each.bps_during)} during")
    return "\n".join(rows)


def _stalls(record: BurstRecord) -> str:
    if not record.stalls:
        return "none"
    causes = Counter(stall.cause for stall in record.stalls)
    named = ", ".join(f"{cause} {count}" for cause, count in causes.most_common())
    return f"{len(record.stalls)}, longest {format_duration(record.longest_stall_s)} ({named})"


def _pings(record: BurstRecord) -> list[str]:
    pings = record.pings
    if pings is None:
        return []
    return [
        f"  ping      56 B {format_ms(pings.rtt_before_ms)} → {format_ms(pings.rtt_ms)} ms, "
        f"{format_pct(pings.loss_pct)} lost; 1200 B {format_ms(pings.rtt_full_before_ms)} → "
        f"{format_ms(pings.rtt_full_ms)} ms, {format_pct(pings.loss_full_pct)} lost"
    ]


def aborted(reports: Sequence[AbortReport]) -> str:
    rows = [f"{each.node}: ended {command}" for each in reports for command in each.ended]
    asked = [each for each in reports if each.failure is None]
    if not rows:
        rows.append(f"no burst of ours runs on {', '.join(each.node for each in asked)}" if asked else "")
    return "\n".join(row for row in rows if row)


def comparison(both: Comparison) -> str:
    if any(record.state != "done" for record in both.bursts):
        return "nothing to compare: not both were carried out"
    if both.finding is None:
        return "no difference: both paths did alike"
    finding = both.finding
    rows = [f"{finding.code} ({finding.severity}, confidence {finding.confidence:.0%}): {finding.summary}"]
    rows += [f"  {each.what}: {format_figure(each.value)} (expected {each.expected})" for each in finding.evidence]
    rows += [f"  next: {each}" for each in finding.next]
    return "\n".join(rows)
