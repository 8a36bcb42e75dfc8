"""A pair of nodes over the whole window as one SVG: round trips, retransmissions, stalls and marks on one axis of time.

Drawn by hand in a few elements, so that it opens anywhere and stays small. A gap in what was measured is a gap in the
line; a lost probe is a mark of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import ceil

from meshtop.engine.snapshot import StallView
from meshtop.engine.timeseries import utc_seconds
from meshtop.engine.view import TrailPoint
from meshtop.model import LinkKey, Mark
from meshtop.report.story import Story

WIDTH, LEFT, RIGHT = 960, 64, 16
_RTT, _RETX, _STALLS = (40, 180), (200, 270), (284, 324)  # top and bottom of each panel
_HEIGHT = 360
# Okabe and Ito: told apart by all kinds of eyes, on white paper too.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_STALL, _LOST = "#B00020", "#B00020"
# Points further apart than this many of their usual distance are not joined.
_GAP = 3.0
_NICE = (1, 2, 5)


def chart(story: Story, src: str, dst: str) -> str:
    """All paths of the pair in this direction."""
    keys = [link.key for link in story.last.snapshot.links if (link.src, link.dst) == (src, dst)]
    trails = {key: story.trail(key) for key in keys}
    parts = [_head(story, src, dst)]
    top_ms = _ceiling([p.rtt_ms for points in trails.values() for p in points if p.rtt_ms is not None])
    top_retx = _ceiling([float(p.retrans) for points in trails.values() for p in points if p.retrans])
    parts += _panel(*_RTT, f"rtt ms, to {top_ms:g}") + _panel(*_RETX, f"segments sent again, to {top_retx:g}")
    parts += _panel(*_STALLS, "stalls")
    for place, (key, points) in enumerate(trails.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        parts += _rtts(story, points, top_ms, colour) + _retrans(story, points, top_retx, colour)
        parts += _stall_bars(story, key, place, len(trails), colour)
        x = LEFT + 8 + place * 150
        parts.append(f'<rect x="{x}" y="28" width="10" height="3" fill="{colour}"/>')
        parts.append(_text(x + 14, 32, key.path))
    parts += _marks(story, story.last.marks) + _times(story)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _head(story: Story, src: str, dst: str) -> str:
    title = f"{src} → {dst} · {story.header.mesh.name} · {_clock(story.begin)} to {_clock(story.end)} UTC"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_HEIGHT}" width="{WIDTH}" height="{_HEIGHT}" '
        f'font-family="sans-serif" font-size="11">\n<rect width="{WIDTH}" height="{_HEIGHT}" fill="white"/>\n'
        + _text(LEFT, 18, title, size=14)
    )


def _panel(top: int, bottom: int, label: str) -> list[str]:
    frame = f'<rect x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{bottom - top}"'
    return [f'{frame} fill="none" stroke="#ccc"/>', _text(LEFT + 4, bottom - 4, label, colour="#888")]


def _rtts(story: Story, points: tuple[TrailPoint, ...], top_ms: float, colour: str) -> list[str]:
    parts, run, before = [], "", None
    usual = _usual_gap(points)
    for point in points:
        x = _x(story, point.at)
        if point.lost:
            parts.append(f'<path d="M{x:.1f} {_RTT[0]}v6" stroke="{_LOST}" stroke-width="1.5"/>')
        if point.rtt_ms is None:
            continue
        joined = before is not None and point.at - before <= _GAP * usual
        run += f"{'L' if joined else 'M'}{x:.1f} {_y(point.rtt_ms, top_ms, *_RTT):.1f}"
        before = point.at
    if run:
        parts.append(f'<path d="{run}" fill="none" stroke="{colour}" stroke-width="1.2"/>')
    return parts


def _retrans(story: Story, points: tuple[TrailPoint, ...], top: float, colour: str) -> list[str]:
    run = "".join(
        f"M{_x(story, point.at):.1f} {_RETX[1]}V{_y(point.retrans, top, *_RETX):.1f}"
        for point in points
        if point.retrans
    )
    return [f'<path d="{run}" stroke="{colour}" stroke-width="1.2"/>'] if run else []


def _stall_bars(story: Story, key: LinkKey, place: int, count: int, colour: str) -> list[str]:
    height = (_STALLS[1] - _STALLS[0]) / max(count, 1)
    top = _STALLS[0] + place * height
    return [
        f'<rect x="{begin:.1f}" y="{top + 2:.1f}" width="{max(end - begin, 1):.1f}" height="{height - 4:.1f}" '
        f'fill="{_STALL}" stroke="{colour}"><title>{escape(f"{stall.id} {stall.duration_s:.1f} s {stall.cause}")}'
        "</title></rect>"
        for stall in story.stalls
        if (stall.src, stall.dst, stall.path) == key
        for begin, end in [_span(story, stall)]
    ]


def _span(story: Story, stall: StallView) -> tuple[float, float]:
    begin = max(utc_seconds(stall.start), story.begin)
    end = story.end if stall.end is None else min(utc_seconds(stall.end), story.end)
    return _x(story, begin), _x(story, max(end, begin))


def _marks(story: Story, marks: tuple[Mark, ...]) -> list[str]:
    parts = []
    for mark in marks:
        if story.begin <= mark.at <= story.end:
            x = _x(story, mark.at)
            parts.append(f'<path d="M{x:.1f} {_RTT[0]}V{_STALLS[1]}" stroke="#666" stroke-dasharray="3 3"/>')
            parts.append(_text(x + 3, _RTT[0] + 10, mark.text, colour="#666"))
    return parts


def _times(story: Story) -> list[str]:
    step = _step(story.seconds / 8)
    first = ceil(story.begin / step) * step
    times = [first + number * step for number in range(int((story.end - first) / step) + 1)]
    return [
        part
        for at in times
        for part in (
            f'<path d="M{_x(story, at):.1f} {_STALLS[1]}v5" stroke="#888"/>',
            _text(_x(story, at) - 22, _STALLS[1] + 18, _clock(at), colour="#888"),
        )
    ]


def _x(story: Story, at: float) -> float:
    return LEFT + (at - story.begin) / max(story.seconds, 1e-3) * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float, upper: int, lower: int) -> float:
    return lower - min(value / top, 1.0) * (lower - upper)


def _usual_gap(points: tuple[TrailPoint, ...]) -> float:
    times = [point.at for point in points if point.rtt_ms is not None]
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    return gaps[len(gaps) // 2] if gaps else 1.0


def _ceiling(values: list[float]) -> float:
    """A round number that nothing is above."""
    most, power = max(values, default=1.0), 1.0
    while power * 10 <= most:
        power *= 10
    return next((nice * power for nice in (*_NICE, 10) if nice * power >= most), power * 10)


def _step(seconds: float) -> float:
    return next((step for step in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600) if step >= seconds), 7200.0)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def _text(x: float, y: float, text: str, *, colour: str = "#222", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="{colour}" font-size="{size}">{escape(text)}</text>'
