"""A link's last seconds as a row of bars: fixed scale, gaps as gaps, lost probes as marks.

Time runs to the right at one column an interval, by the time of the samples, not of their arrival. RTT is drawn over
the link's own baseline: the second bar is the baseline, each further one half a baseline more, the eighth four times
and beyond. Nothing is ever scaled to what happens to be on the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10

from meshtop.engine.view import TrailPoint
from meshtop.model import Thresholds
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.metrics import Gravity, MetricName, inflation_gravity
from meshtop.ui.theme import Palette

LEVELS = 8
FULL_INFLATION = 4.0  # of baselines; also what the legend of the matrix says
LONGEST_WAIT = 2  # intervals between probes on lines where they must be rare
UNDECIDED_S = 5.0  # after this, or four baselines, an unanswered probe is lost
_DEFAULT_LINE_BPS = 1e9  # the scale for nodes whose line rate nobody configured

Bar = tuple[int, Gravity] | None  # level 0–7, or nothing measured


def columns(trail: Sequence[TrailPoint], width: int, interval_s: float, now_s: float) -> list[TrailPoint | None]:
    """The newest ``width`` intervals, oldest first; None where there was no sample.

    Points are placed by their distance to the newest, rounded, so that jitter makes no holes; the newest stands at the
    right edge, or further left by as many intervals as it is overdue. Where a node is looked at more closely, several
    points share a column, and distances are taken to the newest of ordinary length: else all would move with each.
    """
    placed: list[list[TrailPoint]] = [[] for _ in range(width)]
    if not trail or interval_s <= 0 or width <= 0:
        return [None] * width
    newest = trail[-1].at
    overdue = max(0, round((now_s - newest) / interval_s) - 2)
    fixed = next((point.at for point in reversed(trail) if (point.interval_s or interval_s) > interval_s / 2), 0.0)
    last = round((newest - fixed) / interval_s)
    for point in reversed(trail):
        index = width - 1 - overdue - last + round((point.at - fixed) / interval_s)
        if index < 0:
            break
        if index < width:
            placed[index].append(point)
    return [_together(points) for points in placed]


def _together(points: Sequence[TrailPoint]) -> TrailPoint | None:
    """One for all of a column, the newest first: the longest round trip, unless a probe was lost; rates over time."""
    if len(points) < 2:
        return points[0] if points else None
    lost = sum(point.lost for point in points)
    rtts = [point.rtt_ms for point in points if point.rtt_ms is not None]
    rates = [(point.tx_bps, point.interval_s or 1.0) for point in points if point.tx_bps is not None]
    retrans = [point.retrans for point in points if point.retrans is not None]
    return TrailPoint(
        at=points[0].at, rtt_ms=max(rtts) if rtts and not lost else None, lost=lost, state=points[0].state,
        tx_bps=sum(bps * span for bps, span in rates) / sum(span for _, span in rates) if rates else None,
        retrans=sum(retrans) if retrans else None,
    )  # fmt: skip


def without_short_waits(points: Sequence[TrailPoint | None], decided_at: float) -> list[TrailPoint | None]:
    """``points`` with the measurement before in place of a short emptiness between two of them.

    Where probes go out less often than frames come, some intervals have none: nothing is missing there. Only what was
    sampled and is old enough for a lost probe to have been told as lost (``decided_at``) is filled in.
    """
    filled = list(points)
    for index, point in enumerate(points):
        if point is None or point.rtt_ms is not None or point.lost or point.state == "no-data" or point.at > decided_at:
            continue
        before = filled[index - 1] if index else None
        following = points[index + 1 : index + 1 + LONGEST_WAIT]
        if before is not None and any(later is not None and later.rtt_ms is not None for later in following):
            filled[index] = TrailPoint(
                at=point.at, rtt_ms=before.rtt_ms, tx_bps=point.tx_bps, retrans=point.retrans, state=point.state
            )
    return filled


def inflation_bar(point: TrailPoint, baseline_ms: float | None, thresholds: Thresholds) -> Bar:
    if point.rtt_ms is None or not baseline_ms:
        return None
    ratio = point.rtt_ms / baseline_ms
    level = min(LEVELS - 1, max(0, round(ratio * LEVELS / FULL_INFLATION) - 1))
    return level, inflation_gravity(ratio, thresholds)


def rate_bar(point: TrailPoint, line_bps: float | None) -> Bar:
    """Eight steps from a thousandth of the line to all of it, each a factor of 2.7, so that chat and push both show."""
    if point.tx_bps is None:
        return None
    share = point.tx_bps / (line_bps or _DEFAULT_LINE_BPS)
    if share < 0.001:
        return 0, Gravity.FINE
    return min(LEVELS - 1, 1 + int((LEVELS - 1) * (log10(share) + 3) / 3)), Gravity.FINE


def retrans_bar(point: TrailPoint) -> Bar:
    """None shows the lowest bar, then each level is twice as many segments."""
    if point.retrans is None:
        return None
    level = min(LEVELS - 1, point.retrans.bit_length())
    return level, Gravity.FINE if level == 0 else Gravity.RAISED if level < 4 else Gravity.BAD


def draw(
    line: Line,
    points: Sequence[TrailPoint | None],
    bar: Callable[[TrailPoint], Bar],
    *,
    stale: bool,
    glyphs: Glyphs,
    palette: Palette,
) -> Line:
    """Add one cell for each point to ``line``. Lost probes are marks whatever is charted."""
    grey = palette.states["stale"]
    for point in points:
        if point is None:
            line.add(glyphs.gap, grey if stale else palette.dim)
            continue
        if point.lost and point.rtt_ms is None:
            line.add(glyphs.lost, grey if stale else palette.states_bold["stalled"])
            continue
        found = bar(point)
        if found is None:
            line.add(glyphs.gap, grey if stale else palette.dim)
        else:
            level, gravity = found
            line.add(glyphs.bars[level], grey if stale else palette.bars[gravity])
    return line


def bar_for(
    metric: MetricName, baseline_ms: float | None, line_bps: float | None, thresholds: Thresholds
) -> Callable[[TrailPoint], Bar]:
    """What the metric charts; stalls are charted by strips."""
    if metric == "rate":
        return lambda point: rate_bar(point, line_bps)
    if metric == "retx":
        return retrans_bar
    return lambda point: inflation_bar(point, baseline_ms, thresholds)


def scale_words(metric: MetricName, glyphs: Glyphs) -> str:
    """The scale of the bars, for the legend."""
    bars = glyphs.bars
    words = {
        "rate": f"{bars[1]}0.1% {bars[-1]}line",
        "retx": f"{bars[1]}1 {bars[-1]}≥64",
    }
    if metric == "stall":
        strips = glyphs.strips
        return f"{strips['sending']}sent {strips['retransmitting']}retx"
    return words.get(metric, f"{bars[1]}1× {bars[-1]}4×") + f" {glyphs.lost}lost"
