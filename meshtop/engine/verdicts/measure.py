"""The signals of one link, from its pings, its sockets at both ends and its stalls.

TCP is counted over ten seconds; over more where it takes longer to see a hundred data segments, over six where there
are many, since what was before a change weighs as much as what came after. Pings are counted over thirty: one a second
tells little in ten. Where the two are compared, it is over the same time.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

from meshtop.engine.counters import RETRANS as NODE_RETRANS
from meshtop.engine.counters import TIMEOUTS as NODE_TIMEOUTS
from meshtop.engine.links import LinkRecord
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.timeseries import median
from meshtop.engine.verdicts.holes import take_holes
from meshtop.engine.verdicts.pings import against_pings, floors, take_pings
from meshtop.engine.verdicts.signals import ENOUGH_SEGS, LinkSignals
from meshtop.engine.verdicts.tally import (
    ACKED,
    BUSY,
    DSACK,
    OOO,
    RECEIVED,
    REORD,
    RETRANS,
    RWND,
    SEGS,
    SEGS_IN,
    SNDBUF,
    Cell,
    Group,
    NodeTally,
    is_unread,
    total,
    totals,
)
from meshtop.model import LinkKey

# A window, and the data segments that it must have.
_WINDOWS = ((6.0, 3 * ENOUGH_SEGS), (10.0, ENOUGH_SEGS), (20.0, ENOUGH_SEGS), (30.0, ENOUGH_SEGS))
_WINDOW_S, LONGEST_S = 10.0, 30.0
# Fewer retransmissions say nothing of how many of them were needless.
_ENOUGH_RETRANS = 8
# So much is lost that TCP's own pace would vary from second to second, were it by chance.
_HEAVY_PCT = 3.0
# It is the path, not an application, that sets the pace: data is outstanding for so much of the time, and more waits to
# be sent in so many of the readings.
_BUSY, _BACKLOGGED, _WINDOW_LIMITED = 0.8, 0.9, 0.3
_FEWEST_READINGS = 3  # of flows that moved, before a share of them says something
# Over so long, with so many seconds in it, retransmissions that come by chance vary by less than 1.9 times what chance
# would have, in 95 of 100 cases (χ² with nine degrees of freedom).
_STEADY_S, _STEADY_BINS, _STEADY_SPREAD = 13.0, 9, 0.2
_TELLING_SEGS, _TELLING_RETRANS = 20, 30
_FLAT_RETRANS = 60  # fewer vary too little within a window
_LUMPS_TOUCH_PCT = 8.0
# Below it a round trip grows by what hosts and their interrupts do.
_HOST_MS = 10.0
# A queue is too long when it makes five round trips of one, or adds what people notice in a conversation (ITU-T G.114:
# 150 ms one way); less than a tenth of a second nobody notices.
_BLOAT, _BLOAT_MS, MIN_BLOAT_MS = 5.0, 300.0, 100.0
# Acknowledged within this time: the way there and back was open.
_PROGRESS_S = 2.5
# tcp_info's min_rtt before the first measurement, 2³²−1 µs.
_NO_MINRTT_MS = 4_294_967.0
_NORMAL_95 = 1.645
_FEWEST_BINS = 5
_OVERSHOOT_S, _OVERSHOOT_RTTS = 2, 6
_FEWEST_USUAL = 3
_MOSTLY_ITS = 0.7
# A second in which more than this share was sent again is one of the trouble. So many make a pattern where goodput is
# as steady as this, so many in any case: a single flow's never is.
_LOSSY_SHARE = 0.003
_PATTERN_S, _MOVES, _PATTERN_OLD_S = 8, 0.4, 15
# What exceeds a rate is lost most of all at first, until senders slow down: one half of ten seconds against the other.
_HALF_S, _SETTLES = 5, 2.0
_EDGE_S = 0.05  # an interval of a second that is some milliseconds longer is one second still


def gather(record: NodeRecord, link: LinkRecord, tally: NodeTally | None, peer: NodeTally | None) -> LinkSignals:
    """Of a node whose samples are fresh. ``peer`` is the tally of the other end."""
    newest = record.boot.newest if record.boot is not None else None
    axis_now = newest if newest is not None else 0.0
    signals = LinkSignals(key=link.key, measurable=link.obstacle is None)
    signals.state = link.newest.shown.state if link.newest is not None else None
    signals.baseline_ms = link.baseline.rtt_ms
    take_pings(signals, record, link, axis_now)
    group = tally.links.get(link.key) if tally is not None else None
    if group is not None:
        _tcp(signals, group, axis_now, record.missing)
        _node_timeouts(signals, record, axis_now)
        against_pings(signals, group, link, axis_now)
        if signals.bloat is not None:
            floors(signals, link, axis_now)
    if peer is not None and peer.at is not None:
        _receiver(signals, peer.links.get(LinkKey(link.key.dst, link.key.src, link.key.path)), peer.at)
    _stalls(signals, link, axis_now)
    take_holes(signals, link, axis_now)
    signals.blackout_stalls = signals.stalls.get("blackout", 0)
    return signals


# ── TCP ──


def _window(group: Group, now: float) -> tuple[float, list[Cell]]:
    cells: list[Cell] = []
    for seconds, enough in _WINDOWS:
        cells = group.since(now - seconds)
        if total(cells, SEGS) >= enough:
            return seconds, cells
    return _WINDOW_S, group.since(now - _WINDOW_S)


def _tcp(signals: LinkSignals, group: Group, now: float, missing: Sequence[str]) -> None:
    signals.flows = len(group.sockets)
    _gauges(signals, group, now)
    if group.still(now - LONGEST_S):
        return
    signals.window_s, cells = _window(group, now)
    counts = totals(cells)
    signals.data_segs = counts[SEGS]
    signals.timeouts = sum(cell.timeouts for cell in cells)
    _delay(signals, cells, group)
    if "retrans_total" not in missing:
        _retransmissions(signals, counts, missing)
        _steady(signals, group, now)
    _goodput(signals, cells, now)
    _limits(signals, cells, counts)
    signals.new_loss = _is_new_loss(signals, _by_second(group.since(now - LONGEST_S), now))
    if signals.new_loss:
        signals.young_dsack_share = signals.dsack_share
    if signals.retrans and _is_held_by_path(signals):
        if (signals.retrans_pct or 0.0) >= _HEAVY_PCT:
            signals.heavy_spread = signals.goodput_spread
        signals.flatness = _flatness(signals)
        signals.clustering = _clustering(_in_trouble(_by_second(group.since(now - _STEADY_S), now)))


def _retransmissions(signals: LinkSignals, counts: Sequence[int], missing: Sequence[str]) -> None:
    signals.retrans = retrans = counts[RETRANS]
    if signals.data_segs:
        signals.retrans_pct = 100 * retrans / signals.data_segs
    if retrans >= _ENOUGH_RETRANS and "dsack_dups" not in missing:
        signals.dsack_share = counts[DSACK] / retrans
    signals.reord_seen = counts[REORD]
    if retrans:
        signals.timeout_share = signals.timeouts / retrans


def _steady(signals: LinkSignals, group: Group, now: float) -> None:
    """What is sent again second by second, without the worst ones: a flow that begins overshoots its line once (slow
    start) and takes some round trips to put that right, which is no trouble."""
    overshoot = ceil(_OVERSHOOT_S + _OVERSHOOT_RTTS * (signals.srtt_ms or 0.0) / 1000)
    for window_s in (signals.window_s, _WINDOW_S, 2 * _WINDOW_S):
        if window_s < signals.window_s:
            continue
        seconds = _by_second(group.since(now - window_s), now)
        sending = [(second[SEGS], second[RETRANS]) for second in seconds if second[SEGS]]
        if len(sending) >= overshoot + _FEWEST_USUAL:
            break
    else:
        return
    signals.steady_share = sum(again > 0 for _, again in sending) / len(sending)
    usual = sorted(sending, key=lambda second: second[1])[:-overshoot]
    segs, again = sum(segs for segs, _ in usual), sum(again for _, again in usual)
    signals.retrans_floor_pct = 100 * max(0.0, again - _NORMAL_95 * sqrt(again)) / segs


def _node_timeouts(signals: LinkSignals, record: NodeRecord, now: float) -> None:
    """Most time-outs come and go between two readings of a socket. The node counts them all: where nearly all that it
    sends again is this link's, so are they."""
    if not signals.retrans:
        return
    again = timeouts = 0
    for measured in record.measured.between(now - signals.window_s, now):
        again += measured.counters.tcp[NODE_RETRANS] or 0
        timeouts += measured.counters.tcp[NODE_TIMEOUTS] or 0
    if signals.retrans >= _MOSTLY_ITS * again:
        signals.timeouts = max(signals.timeouts, timeouts)
        signals.timeout_share = signals.timeouts / signals.retrans


def _by_second(cells: list[Cell], now: float) -> list[Sequence[int]]:
    """Intervals put together by whole seconds, however fast they were sampled: counts by field, oldest first."""
    bins: dict[int, list[Cell]] = {}
    for cell in cells:
        bins.setdefault(int(now - cell.end + _EDGE_S), []).append(cell)
    return [totals(second) for second in bins.values()]


def _is_held_by_path(signals: LinkSignals) -> bool:
    """Whether it is the path that sets the pace, and no application or window."""
    if (signals.busy_share or 0.0) < _BUSY or (signals.backlog_share or 0.0) < _BACKLOGGED:
        return False
    return max(signals.rwnd_share or 0.0, signals.sndbuf_share or 0.0) < _WINDOW_LIMITED


def _flatness(signals: LinkSignals) -> float | None:
    """Senders slow down by what is lost, so that losses by chance make goodput vary by about half of what chance varies
    them."""
    if signals.goodput_spread is None or signals.new_loss or signals.retrans < _FLAT_RETRANS:
        return None
    return signals.goodput_spread * 2 * sqrt(signals.retrans / signals.window_s)


def _is_new_loss(signals: LinkSignals, seconds: list[Sequence[int]]) -> bool:
    """Whether losses are too young, or still settle too much with their beginning, to tell chance from a rate that is
    exceeded."""
    lossy = sum(second[RETRANS] > _LOSSY_SHARE * second[SEGS] for second in seconds)
    if lossy < _PATTERN_S:
        return True
    before, lately = _share_again(seconds[-2 * _HALF_S : -_HALF_S]), _share_again(seconds[-_HALF_S:])
    if before > _SETTLES * lately and before >= _HEAVY_PCT / 100:
        return True
    moves = signals.goodput_spread is None or signals.goodput_spread >= _MOVES
    return moves and lossy < _PATTERN_OLD_S


def _share_again(seconds: list[Sequence[int]]) -> float:
    segs = sum(second[SEGS] for second in seconds)
    return sum(second[RETRANS] for second in seconds) / segs if segs else 0.0


def _in_trouble(seconds: list[Sequence[int]]) -> list[Sequence[int]]:
    """From the first to the last second in which as much was lost as usual: what was well before or after says nothing
    of how losses are spread."""
    usual = _share_again(seconds) / 3
    lossy = [place for place, second in enumerate(seconds) if second[RETRANS] > usual * second[SEGS]]
    return seconds[lossy[0] : lossy[-1] + 1] if lossy else []


def _clustering(seconds: list[Sequence[int]]) -> float | None:
    """The index of dispersion of retransmissions, where the path gives the same from second to second. Loss by chance
    gives about 1; what overflows a bucket or a short queue is lost in lumps. None where it cannot be told, and where so
    much is lost that lumps touch."""
    sending = [second for second in seconds if second[SEGS] >= _TELLING_SEGS]
    segs, again = sum(s[SEGS] for s in sending), sum(s[RETRANS] for s in sending)
    if len(sending) < _STEADY_BINS or again < _TELLING_RETRANS or 100 * again > _LUMPS_TOUCH_PCT * segs:
        return None
    half = len(sending) // 2
    halves = sorted((_share_again(sending[:half]), _share_again(sending[half:])))
    if halves[1] > _SETTLES * halves[0]:
        return None  # still settling
    mean = sum(s[ACKED] for s in sending) / len(sending)
    if sum((s[ACKED] - mean) ** 2 for s in sending) / len(sending) > (_STEADY_SPREAD * mean) ** 2:
        return None
    share = again / segs
    apart = sorted((s[RETRANS] - share * s[SEGS]) ** 2 / (share * s[SEGS]) for s in sending)
    return sum(apart[:-1]) / (len(apart) - 2)  # the worst second may be one of a flow that began


def _delay(signals: LinkSignals, cells: list[Cell], group: Group) -> None:
    signals.srtt_ms = median([rtt for cell in cells for rtt in cell.srtts])
    known = [r.minrtt_ms for r in group.sockets.values() if r.minrtt_ms and r.minrtt_ms < _NO_MINRTT_MS]
    # A flow that began while the queue was full has never seen the path without it: pings have.
    signals.minrtt_ms = min([*known, *([signals.baseline_ms] if signals.baseline_ms else [])], default=None)
    if signals.srtt_ms is not None and signals.minrtt_ms:
        signals.tcp_inflation = signals.srtt_ms / signals.minrtt_ms
        added_ms = signals.tcp_added_ms = signals.srtt_ms - signals.minrtt_ms
        if known:
            signals.own_inflation = signals.srtt_ms / min(known)
        signals.queue = signals.tcp_inflation if added_ms >= _HOST_MS else 1.0
        if added_ms >= MIN_BLOAT_MS:
            signals.bloat = max(signals.tcp_inflation / _BLOAT, added_ms / _BLOAT_MS)


def _goodput(signals: LinkSignals, cells: list[Cell], now: float) -> None:
    bins: dict[int, list[float]] = {}
    for cell in cells:
        one = bins.setdefault(int(now - cell.end + _EDGE_S), [0.0, 0.0])
        one[0] += 8.0 * cell.counts[ACKED]
        one[1] += cell.seconds
    rates = [bits / seconds for bits, seconds in bins.values() if seconds > 0]
    if cells:
        began = cells[0].end - cells[0].seconds  # the oldest interval may begin before the window does
        signals.goodput_bps = 8.0 * total(cells, ACKED) / max(signals.window_s, now - began)
    mean = sum(rates) / len(rates) if rates else 0.0
    if len(rates) >= _FEWEST_BINS and mean > 0:
        signals.goodput_spread = (sum((rate - mean) ** 2 for rate in rates) / len(rates)) ** 0.5 / mean


def _limits(signals: LinkSignals, cells: list[Cell], counts: Sequence[int]) -> None:
    busy_ms = counts[BUSY]
    there_s = sum(cell.present * cell.seconds for cell in cells)
    if there_s > 0:
        signals.busy_share = min(1.0, busy_ms / 1000 / there_s)
    if busy_ms > 0:
        signals.rwnd_share = counts[RWND] / busy_ms
        signals.sndbuf_share = counts[SNDBUF] / busy_ms
    known = sum(cell.buffer_known for cell in cells)
    if known >= _FEWEST_READINGS:
        signals.buffer_full_share = sum(cell.buffer_full for cell in cells) / known
        signals.sndbuf_share = max(signals.sndbuf_share or 0.0, signals.buffer_full_share)
    known = sum(cell.window_known for cell in cells)
    if known >= _FEWEST_READINGS:
        signals.window_full_share = sum(cell.window_full for cell in cells) / known
    moving = sum(cell.moving for cell in cells)
    if moving:
        signals.app_limited_share = sum(cell.app_limited for cell in cells) / moving
        signals.backlog_share = sum(cell.backlogged for cell in cells) / moving


def _gauges(signals: LinkSignals, group: Group, now: float) -> None:
    pending = list(group.pending())
    signals.backoff = max((r.backoff or 0 for r in pending), default=0)
    signals.persisting = sum(r.timer is not None and r.timer.kind == "persist" for r in pending)
    signals.window_bytes = max((r.snd_wnd for r in pending if r.snd_wnd is not None), default=None)
    acked = [cell.end for cell in group.since(now - LONGEST_S) if cell.counts[ACKED] or cell.counts[RECEIVED]]
    signals.progress = bool(acked) and now - acked[-1] < _PROGRESS_S
    if pending:
        signals.idle_ack_s = now - acked[-1] if acked else LONGEST_S


def _receiver(signals: LinkSignals, group: Group | None, now: float) -> None:
    if group is None:
        return
    cells = group.since(now - _WINDOW_S)
    told = sum(cell.received for cell in cells)
    if told:
        signals.peer_unread_share = sum(cell.unread for cell in cells) / told
    else:  # a window that stays closed: what was told last is how it is
        left = [unread for r in group.sockets.values() if (unread := is_unread(r)) is not None]
        signals.peer_unread_share = sum(left) / len(left) if left else None
    received = total(cells, SEGS_IN)
    if received >= ENOUGH_SEGS:
        signals.peer_ooo_pct = 100 * total(cells, OOO) / received


# ── Stalls ──


def _stalls(signals: LinkSignals, link: LinkRecord, now: float) -> None:
    if not link.stalls:
        return
    opened: dict[str, float] = {}
    counted: dict[str, int] = {}
    for stall in link.stalls.overlapping(now - _WINDOW_S, now):
        cause = stall.stall.cause
        counted[cause] = counted.get(cause, 0) + 1
        if stall.open:
            opened[cause] = max(opened.get(cause, 0.0), stall.stall.duration_s)
    signals.open_stalls, signals.stalls = opened, counted
