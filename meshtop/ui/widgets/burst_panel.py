"""One burst: by interval and stream while it runs and after, and what it did to everything beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

from textual.strip import Strip

from meshtop.burst import BurstInterval, BurstRecord, BurstStream, Bystander
from meshtop.ui.burst_form import asked_words
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.scene import Scene
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets.burst_list import (
    OVER,
    mean_bps,
    peak_bps,
    retransmits,
    stall_words,
    state_style,
    stood_still,
    widths,
)
from meshtop.ui.widgets.canvas import panel, scrolled
from meshtop.units import format_bytes, format_duration, format_ms, format_pct, format_rate

# iperf3 tells an interval at least every second; beyond that something is slow, and the screen says so.
LATE_S = 1.5
_LABEL = 9
_RATE = 13  # cells of time and rate
_FIGURES = {"retx": 6, "rtt": 7, "cwnd": 6, "still": 6}
_LEAST_BAR, _MOST_BAR = 7, 40
_STREAM = 5
_STEPS = (1, 2, 5)


class _Table(NamedTuple):
    """What stands in a line of the intervals. ``bar`` in cells is ``scale`` bits a second long."""

    columns: tuple[str, ...]
    bar: int
    streams: int
    figures: bool
    scale: float


@dataclass(frozen=True)
class BurstPanel:
    """``others``: all bursts of the session, oldest first, to hold this one against. ``beside``: one that is drawn on
    the same scale."""

    scene: Scene
    burst: BurstRecord
    others: Sequence[BurstRecord]
    glyphs: Glyphs
    palette: Palette
    beside: BurstRecord | None = None
    first: int = 0  # so many lines of the summary are scrolled out above

    # ── by interval ──────────────────────────────────────────────────────────────────────────────────────────────

    def intervals(self, width: int, height: int) -> list[Strip]:
        glyphs, palette = self.glyphs, self.palette
        rows = max(height - 3, 1)
        merged, span = _merged(self.burst, rows)
        table = self._table(width, merged)
        body = [self._headings(table)] if merged else []
        for one in merged:
            body.append(self._interval(one, table))
        body.append(self._ticking(width))
        title = Line().add(f"{self.burst.id} by interval", palette.title)
        streams = len(merged[-1].streams) if merged else 0
        each = f" · a line is {format_duration(round(span, 1) or span)}" if span else ""
        more = f", {streams - table.streams} of {streams} streams not shown" if streams > table.streams > 0 else ""
        title.add(glyphs.text(f"{each}{more}"), palette.dim)
        return panel(title, body, width, height, False, glyphs, palette)

    def _table(self, width: int, merged: Sequence[BurstInterval]) -> _Table:
        """What fits, figures first: of the streams a figure each, or a sign each where that is too wide."""
        columns: list[str] = []
        used = _RATE
        for name, size in _FIGURES.items():
            if used + size + _LEAST_BAR <= width:
                columns.append(name)
                used += size
        streams = len(merged[-1].streams) if merged else 0
        figures = width - used - streams * _STREAM >= _LEAST_BAR
        shown = streams if figures else max(0, min(streams, width - used - _LEAST_BAR - 1))
        bar = width - used - (shown * _STREAM if figures else shown + 1)
        peaks = [peak_bps(one) or 0.0 for one in (self.burst, self.beside) if one is not None]
        scale = _scale(max(peaks))
        return _Table(tuple(columns), min(max(bar, 0), _MOST_BAR), shown, figures, scale)

    def _headings(self, table: _Table) -> Line:
        glyphs, dim = self.glyphs, self.palette.dim
        line = Line().add("     t  rate ", dim)
        scale = f"0…{format_rate(table.scale)}" if table.scale else ""
        line.add(glyphs.fit(f"{scale}bit/s" if table.bar >= 12 else scale, table.bar), dim)
        for name in table.columns:
            line.add(glyphs.fit(name, _FIGURES[name], ">"), dim)
        if not table.figures:
            return line.gap().add(glyphs.fit("streams", table.streams), dim)
        for number in range(table.streams):
            line.add(glyphs.fit(f"s{number + 1}", _STREAM, ">"), dim)
        return line

    def _interval(self, one: BurstInterval, table: _Table) -> Line:
        glyphs, palette = self.glyphs, self.palette
        still, count = stood_still(one), one.retransmits
        line = Line().add(glyphs.fit(f"{one.t:.1f}s", 6, ">"), palette.dim).gap()
        line.add(glyphs.fit(format_rate(one.bps), 5, ">"), palette.text).gap()
        filled = round(table.bar * (one.bps or 0.0) / table.scale) if table.scale else 0
        line.add((("=" if glyphs.is_ascii else "█") * filled), palette.series["underlay"]).to(_RATE + table.bar)
        told = {
            "retx": (UNKNOWN if count is None else str(count), palette.states["degraded"] if count else palette.text),
            "rtt": (format_ms(one.rtt_ms), palette.text),
            "cwnd": (format_bytes(one.cwnd_bytes), palette.text),
            "still": (UNKNOWN if still is None else f"{still}/{len(one.streams)}",
                      palette.states_bold["stalled"] if still else palette.dim),
        }  # fmt: skip
        for name in table.columns:
            text, style = told[name]
            line.add(glyphs.fit(text, _FIGURES[name], ">"), style)
        line.gap(0 if table.figures else 1)
        most = max((stream.bps or 0.0 for stream in one.streams), default=0.0)
        for stream in one.streams[: table.streams]:
            style = palette.text if table.figures else palette.dim
            style = palette.states_bold["stalled"] if stream.bps == 0 else style
            text = format_rate(stream.bps) if table.figures else self._sign(stream.bps, most)
            line.add(glyphs.fit(text, _STREAM if table.figures else 1, ">"), style)
        return line

    def _sign(self, bps: float | None, most: float) -> str:
        """One cell for a stream: its share of the quickest one, a cross where it stood still."""
        if bps is None:
            return self.glyphs.gap
        if bps == 0 or not most:
            return self.glyphs.lost
        bars = self.glyphs.bars
        return bars[min(int(bps / most * len(bars)), len(bars) - 1)]

    def _ticking(self, width: int) -> Line:
        """The last line moves on whether anything arrives or not."""
        burst, glyphs, palette = self.burst, self.glyphs, self.palette
        if burst.state == "queued":
            return Line().gap().add("waits until what was asked for before is over", palette.dim)
        if burst.state in OVER:
            if burst.state == "done" or not burst.reason:
                return Line()
            text = f"{burst.reason}{f'; {burst.cure}' if burst.cure else ''}"
            return Line().gap().add(glyphs.fit(text, width - 2).rstrip(), palette.states_bold["lossy"])
        elapsed = self._elapsed_s
        if elapsed is None:
            return Line().gap().add("the two ends get ready", palette.dim)
        silent = elapsed - (burst.intervals[-1].t if burst.intervals else 0.0)
        if silent > LATE_S:
            return Line().gap().add(f" no interval for {silent:.1f} s ", palette.alarm)
        return Line().gap().add(f"{elapsed:.1f} s", palette.dim)

    @property
    def _elapsed_s(self) -> float | None:
        return max(self.scene.now_s - utc(self.burst.started), 0.0) if self.burst.started else None

    # ── what it did ──────────────────────────────────────────────────────────────────────────────────────────────

    def summary(self, width: int, height: int, *, against: bool = True) -> list[Strip]:
        glyphs, palette, burst = self.glyphs, self.palette, self.burst
        body = self._facts(width)
        for lines in (self._bystanders(width), self._against(width) if against else []):
            body += lines
        body = scrolled(body, height - 1, self.first, palette)
        title = Line().add(glyphs.fit(f"{burst.src} → {burst.dst}", max(width - 24, 6)).rstrip(), palette.title)
        title.add(glyphs.text(f" · {burst.path} · {burst.id}"), palette.dim)
        return panel(title, body, width, height, False, glyphs, palette)

    def _facts(self, width: int) -> list[Line]:
        burst = self.burst
        count, peak, mean = retransmits(burst), peak_bps(burst), mean_bps(burst)
        least = min((one.bps for one in burst.intervals if one.bps is not None), default=None)
        lines = self._fact("state", self._state_words(), width, bold=burst.state not in OVER)
        lines += self._fact("asked", f"{asked_words(burst)}{f', {burst.tool}' if burst.tool else ''}", width)
        if burst.client is not None and burst.server is not None:
            to = f" {burst.connect_to}:{burst.port}" if burst.connect_to and burst.port else ""
            lines += self._fact("connects", f"{burst.client} to {burst.server}{to}", width)
        lines += self._fact("arrived", self._moved_words(), width)
        rates = f"mean {format_rate(mean)}  peak {format_rate(peak)}  least {format_rate(least)} bit/s"
        lines += self._fact("rate", rates, width)
        lines += self._fact("retx", UNKNOWN if count is None else f"{count} segments", width)
        stalls = UNKNOWN if burst.stalls is None else str(len(burst.stalls))
        lines += self._fact("stalls", f"{stalls}, longest {stall_words(burst.longest_stall_s)}", width)
        if (pings := burst.pings) is not None:
            rtt = f"{format_ms(pings.rtt_before_ms)} → {format_ms(pings.rtt_ms)} ms, loss {format_pct(pings.loss_pct)}"
            full = f"{format_ms(pings.rtt_full_before_ms)} → {format_ms(pings.rtt_full_ms)} ms"
            lines += self._fact("ping 56", rtt, width)
            lines += self._fact("ping 1200", f"{full}, loss {format_pct(pings.loss_full_pct)}", width)
        if burst.state in ("failed", "aborted") and burst.reason:
            lines += self._fact("why", f"{burst.reason}{f'; {burst.cure}' if burst.cure else ''}", width)
        return lines

    def _state_words(self) -> str:
        burst, elapsed = self.burst, self._elapsed_s
        guess = format_duration(burst.predicted_s) if burst.predicted_s else None
        about = f" of about {guess}" if guess else ""
        if burst.state == "queued":
            return f"waits, then about {guess}" if guess else "waits"
        if burst.state in OVER:
            took = utc(burst.ended) - utc(burst.started) if burst.started and burst.ended else None
            return f"{burst.state}{f' in {format_duration(took)}' if took is not None else ''}"
        return f"{burst.state}{f' {format_duration(int(elapsed))}' if elapsed is not None else ''}{about}"

    def _moved_words(self) -> str:
        burst = self.burst
        asked = burst.requested.get("bytes")
        moved: float | None = burst.received_bytes
        if moved is None and burst.intervals:
            moved = sum((one.bps or 0.0) * width / 8 for one, width in zip(burst.intervals, widths(burst), strict=True))
        if moved is None:
            return UNKNOWN
        share = f" of {format_bytes(asked)}B, {format_pct(100 * moved / asked)}" if isinstance(asked, int) else ""
        return f"{format_bytes(moved)}B{share}"

    def _fact(self, label: str, text: str, width: int, *, bold: bool = False) -> list[Line]:
        glyphs, palette = self.glyphs, self.palette
        style = state_style(self.burst, palette) if bold else palette.text
        return [
            Line().gap().add(glyphs.fit("" if place else label, _LABEL), palette.dim).gap().add(part, style)
            for place, part in enumerate(glyphs.wrap(text, max(width - _LABEL - 3, 4), 3))
        ]

    def _bystanders(self, width: int) -> list[Line]:
        burst, palette = self.burst, self.palette
        if burst.bystanders is None:
            return [] if burst.state in ("queued", "starting") else self._fact("beside it", "nobody watched", width)
        if not burst.bystanders:
            return self._fact("beside it", "no other flow on these lines", width)
        lines = [Line().gap().add(self.glyphs.fit("Beside it, before → during", width - 2).rstrip(), palette.title)]
        flows: list[Bystander] = list(burst.bystanders)
        for one in flows[:6]:
            where = f"{one.src}→{one.dst or '*'}{f' {one.path}' if one.path else ''}"
            whose = one.flow.get("process") or one.flow.get("peer") or ""
            rates = f"{format_rate(one.bps_before)} → {format_rate(one.bps_during)}"
            room = max(width - 4 - 11, 4)
            line = Line().gap(2).add(self.glyphs.fit(f"{where} {whose}", room), palette.text).gap()
            worse = one.bps_before and one.bps_during is not None and one.bps_during < one.bps_before / 2
            lines.append(line.add(self.glyphs.text(rates), palette.states["degraded"] if worse else palette.text))
        if len(flows) > 6:
            lines.append(Line().gap(2).add(f"and {len(flows) - 6} more", palette.dim))
        return lines

    def _against(self, width: int) -> list[Line]:
        """The last one before it on this link and path, and the newest on each other path."""
        burst, palette, glyphs = self.burst, self.palette, self.glyphs
        pair = (burst.src, burst.dst)
        same = [one for one in self.others if (one.src, one.dst) == pair and one.state == "done" and one.id != burst.id]
        older = self.others[: next((at for at, one in enumerate(self.others) if one.id == burst.id), 0)]
        found = [one for one in reversed(older) if one in same and one.path == burst.path][:1]
        for path in self.scene.paths:
            if path.name != burst.path:
                found += [one for one in reversed(same) if one.path == path.name][:1]
        if not found:
            return []
        lines = [Line().gap().add("Against", palette.title)]
        for one in found:
            count = retransmits(one)
            which = "before" if one.path == burst.path else "on"
            line = Line().gap(2).add(glyphs.fit(f"{which} {one.path} {one.id}", 18), palette.text).gap()
            told = f"{format_rate(mean_bps(one))}bit/s  retx {UNKNOWN if count is None else count}"
            told += f"  stall {stall_words(one.longest_stall_s)}"
            lines.append(line.add(glyphs.fit(told, max(width - line.width - 1, 4)).rstrip(), palette.text))
        return lines


def _merged(burst: BurstRecord, rows: int) -> tuple[list[BurstInterval], float]:
    """At most ``rows`` intervals: neighbours put together evenly, so that the whole burst is in sight; and how many
    seconds one of them is."""
    spans = widths(burst)
    if not burst.intervals:
        return [], 0.0
    times = max(1, ceil(len(burst.intervals) / max(rows, 1)))
    merged = [
        _together(burst.intervals[at : at + times], spans[at : at + times])
        for at in range(0, len(burst.intervals), times)
    ]
    return merged, sum(spans[:times])


def _together(group: Sequence[BurstInterval], spans: Sequence[float]) -> BurstInterval:
    if len(group) == 1:
        return group[0]
    total = sum(spans) or 1.0
    known = [(one.bps, span) for one, span in zip(group, spans, strict=True) if one.bps is not None]
    counts = [one.retransmits for one in group if one.retransmits is not None]
    rtts = [one.rtt_ms for one in group if one.rtt_ms is not None]
    return BurstInterval(
        t=group[-1].t,
        bps=sum(bps * span for bps, span in known) / total if known else None,
        retransmits=sum(counts) if counts else None,
        rtt_ms=max(rtts) if rtts else None,
        cwnd_bytes=group[-1].cwnd_bytes,
        streams=_streams_together(group),
    )


def _streams_together(group: Sequence[BurstInterval]) -> tuple[BurstStream, ...]:
    """Each stream's mean: one that stood still all the time has 0."""
    if len({len(one.streams) for one in group}) > 1:
        return group[-1].streams
    found = []
    for members in zip(*(one.streams for one in group), strict=True):
        known = [one.bps for one in members if one.bps is not None]
        found.append(BurstStream(port=members[0].port, bps=sum(known) / len(known) if known else None))
    return tuple(found)


def _scale(peak: float) -> float:
    """The next round rate: the axis stays where it is while the rate moves."""
    if peak <= 0:
        return 0.0
    power = 10.0 ** (len(str(int(peak))) - 1)
    return next((step * power for step in _STEPS if step * power >= peak), 10 * power)
