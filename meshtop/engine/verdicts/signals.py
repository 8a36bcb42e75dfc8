"""What is known of a link now, as figures that rules can be held against. None is not known, and speaks for nothing.

TCP is counted over ten seconds; over more where it takes longer to see a hundred data segments, over six where there
are many, since what was before a change weighs as much as what came after. Pings are counted over thirty: one a second
tells little in ten. Where the two are compared, it is over the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, factorial

from meshtop.engine.counters import RETRANS as NODE_RETRANS
from meshtop.engine.counters import TIMEOUTS as NODE_TIMEOUTS
from meshtop.engine.links import LinkRecord
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.probes import Outcomes, lost_after_s
from meshtop.engine.snapshot import LinkState
from meshtop.engine.timeseries import median
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
    total,
)
from meshtop.model import LinkKey

ENOUGH_SEGS = 100
# A window, and the data segments that it must have.
_WINDOWS = ((6.0, 3 * ENOUGH_SEGS), (10.0, ENOUGH_SEGS), (20.0, ENOUGH_SEGS), (30.0, ENOUGH_SEGS))
_WINDOW_S, LONGEST_S = 10.0, 30.0
PINGS_S = 30.0
_FULL_PINGS_S = 20.0  # they come every five seconds
# Fewer retransmissions say nothing of how many of them were needless.
_ENOUGH_RETRANS = 8
# Fewer pings than this would hardly have met any loss.
_ENOUGH_PINGS = 8
# Segments in a second whose lost share says something of that second.
_TELLING_SEGS = 20
_MOST_COUNTED = 100
# So much is lost that TCP's own pace would vary from second to second, were it by chance.
_HEAVY_PCT = 3.0
_BUSY = 0.8  # of the time: it is the path, not an application, that sets the pace
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
_OVERSHOOT_S = 2
_MOSTLY_ITS = 0.7
_EDGE_S = 0.05  # an interval of a second that is some milliseconds longer is one second still
_RTT_S = 5.0  # pings of the last seconds: a queue that has come or gone is to be seen at once


@dataclass(slots=True)
class LinkSignals:
    """One directed link. Percentages are 0 … 100, shares of something 0 … 1."""

    key: LinkKey
    state: LinkState | None = None
    overlay: bool = False
    measurable: bool = True
    window_s: float = 0.0
    flows: int = 0
    # What TCP sent.
    data_segs: int = 0
    retrans: int = 0
    retrans_pct: float | None = None
    retrans_floor_pct: float | None = None  # without its worst two seconds, which it is above with 95 % certainty
    dsack_share: float | None = None
    reord_seen: int | None = None
    peer_ooo_pct: float | None = None  # of the segments that the other end received, those out of order
    steady_share: float | None = None  # of the seconds in which data was sent, those with retransmissions
    timeouts: int = 0
    timeout_share: float | None = None  # of the retransmissions
    srtt_ms: float | None = None
    minrtt_ms: float | None = None
    tcp_inflation: float | None = None
    tcp_added_ms: float | None = None
    queue: float | None = None  # the inflation, where what is added is more than an odd wait in a host
    bloat: float | None = None  # how far beyond the limit of what a queue may add: 1 is just there
    goodput_bps: float | None = None
    goodput_spread: float | None = None  # standard deviation of one-second goodput over its mean
    heavy_spread: float | None = None  # the same, where the path sets the pace and loses three percent and more
    idle_ack_s: float | None = None  # since anything was acknowledged, while data waits
    busy_share: float | None = None  # of the time of the flows that were there
    rwnd_share: float | None = None  # of the busy time
    sndbuf_share: float | None = None
    app_limited_share: float | None = None
    tunnel_share: float = 0.0  # of the flows, those that are a tunnel's own
    persisting: int = 0
    backoff: int = 0  # the highest now
    peer_recv_q: int | None = None
    # Pings.
    small_lost: int = 0
    small_decided: int = 0
    small_loss_pct: float | None = None
    loss_runs: int = 0  # separate runs of lost pings: an outage is one
    full_lost: int = 0
    full_decided: int = 0
    full_loss_pct: float | None = None
    rtt_ms: float | None = None
    baseline_ms: float | None = None
    rtt_inflation: float | None = None
    rtt_added_ms: float | None = None
    full_rtt_ms: float | None = None
    size_ratio: float | None = None  # full-size round trip over the small one
    silence_s: float | None = None  # since the last answer at either size, while pings were sent
    silence_limit_s: float = 5.0
    # Stalls: the causes of the open ones with the longest age of each, and how many of each the window has.
    open_stalls: Mapping[str, float] = field(default_factory=dict)
    stalls: Mapping[str, int] = field(default_factory=dict)
    # What follows from these.
    expected_share: float | None = None  # of pings, that would be lost were loss blind to what a packet is
    pings_lost: int = 0
    ping_loss_pct: float | None = None
    blind_chance: float | None = None  # of no more lost pings than there were, if so
    silent_for_s: float | None = None  # as silence_s, once it is longer than chance and round trips explain
    progress: bool = False  # anything was acknowledged in the last seconds
    blackholed_s: float | None = None
    blackout_stalls: int = 0
    # Others, filled in by whoever compares.
    echo_chance: float | None = None  # of as many lost pings as there were, by the loss that segments meet
    back_silent: bool | None = None
    above_ratio: float | None = None  # of what is added to a round trip here to what is below
    loaded_ratio: float | None = None
    udp_policed: bool | None = None
    pair_lost: int = 0  # pings of both directions and sizes: each goes there and back
    pair_decided: int = 0
    pair_loss_pct: float | None = None
    pair_runs: int = 0
    back_loss_pct: float | None = None  # pings of the opposite link
    back_retrans_pct: float | None = None  # TCP of the opposite link
    peers_loss_pct: float | None = None  # pings of others to the same node, the worst of them
    line_use: float | None = None  # of the nominal rate of the line, the fuller of the two ends
    outer: str | None = None  # what carries an overlay: "tcp" or "udp"
    outer_connections: int | None = None
    outer_retrans_pct: float | None = None
    outer_backoff: int | None = None
    outer_notsent: int | None = None
    outer_stalled: bool | None = None
    outer_added_ms: float | None = None
    below: Below | None = None
    tried: Mapping[str, float] = field(default_factory=dict)  # figures of experiments and bursts by name


@dataclass(slots=True)
class Below:
    """The underlay of the same pair, or of its legs by the hub: the worst of them."""

    links: tuple[LinkKey, ...]
    data_segs: int
    retrans_pct: float | None
    dsack_share: float | None
    rtt_inflation: float | None
    rtt_added_ms: float | None
    tcp_added_ms: float | None
    loss_pct: float | None
    pings: int
    stalled: bool
    silent: bool


def gather(record: NodeRecord, link: LinkRecord, tally: NodeTally | None, peer: NodeTally | None) -> LinkSignals:
    """Of a node whose samples are fresh. ``peer`` is the tally of the other end."""
    newest = record.boot.newest if record.boot is not None else None
    axis_now = newest if newest is not None else 0.0
    signals = LinkSignals(key=link.key, measurable=link.obstacle is None)
    signals.state = link.newest.shown.state if link.newest is not None else None
    signals.baseline_ms = link.baseline.rtt_ms
    _pings(signals, record, link, axis_now)
    group = tally.links.get(link.key) if tally is not None else None
    if group is not None:
        _tcp(signals, group, axis_now, record.missing)
        _node_timeouts(signals, record, axis_now)
        _against_pings(signals, group, link, axis_now)
    if peer is not None and peer.at is not None:
        _receiver(signals, peer.links.get(LinkKey(link.key.dst, link.key.src, link.key.path)), peer.at)
    _stalls(signals, link, axis_now)
    _derive(signals)
    return signals


def _derive(signals: LinkSignals) -> None:
    signals.pings_lost = signals.small_lost + signals.full_lost
    signals.ping_loss_pct = _pct(signals.pings_lost, signals.small_decided + signals.full_decided)
    if signals.silence_s is not None and signals.silence_s > signals.silence_limit_s:
        signals.silent_for_s = signals.silence_s
    signals.blackholed_s = signals.open_stalls.get("size-blackhole")
    signals.blackout_stalls = signals.stalls.get("blackout", 0)


def _against_pings(signals: LinkSignals, group: Group, link: LinkRecord, now: float) -> None:
    """How many pings would have been lost, had each met the share of lost segments of its own second."""
    seconds: dict[int, list[int]] = {}
    for cell in group.since(now - PINGS_S - lost_after_s(link.baseline.rtt_ms)):
        one = seconds.setdefault(int(cell.end), [0, 0])
        one[0] += cell.counts[SEGS]
        one[1] += cell.counts[RETRANS]
    decided_by = now - lost_after_s(link.baseline.rtt_ms)
    expected, met, lost = 0.0, 0, 0
    for outcome in link.small.ring.between(now - PINGS_S, now):
        segs, again = seconds.get(int(outcome.sent_at + 1), (0, 0))
        if outcome.sent_at <= decided_by and segs >= _TELLING_SEGS:
            expected += min(1.0, again / segs)
            met += 1
            lost += outcome.rtt_ms is None
    if met >= _ENOUGH_PINGS:
        signals.expected_share = expected / met
        signals.blind_chance = at_most(lost, expected)


def at_most(count: int, expected: float) -> float:
    """The chance of at most that many, where so many are expected (Poisson)."""
    return min(1.0, sum(exp(-expected) * expected**n / factorial(n) for n in range(min(count, _MOST_COUNTED) + 1)))


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
    signals.data_segs = total(cells, SEGS)
    signals.timeouts = sum(cell.timeouts for cell in cells)
    if "retrans_total" not in missing:
        _retransmissions(signals, cells, now, missing)
    _delay(signals, cells, group)
    _goodput(signals, cells, now)
    _limits(signals, cells)
    if (signals.retrans_pct or 0.0) >= _HEAVY_PCT and (signals.busy_share or 0.0) >= _BUSY:
        signals.heavy_spread = signals.goodput_spread


def _retransmissions(signals: LinkSignals, cells: list[Cell], now: float, missing: Sequence[str]) -> None:
    signals.retrans = retrans = total(cells, RETRANS)
    if signals.data_segs:
        signals.retrans_pct = 100 * retrans / signals.data_segs
    if retrans >= _ENOUGH_RETRANS and "dsack_dups" not in missing:
        signals.dsack_share = total(cells, DSACK) / retrans
    signals.reord_seen = total(cells, REORD)
    if retrans:
        signals.timeout_share = signals.timeouts / retrans
    sending = [(second[SEGS], second[RETRANS]) for second in _by_second(cells, now) if second[SEGS]]
    if len(sending) >= _FEWEST_BINS:
        signals.steady_share = sum(again > 0 for _, again in sending) / len(sending)
        # A flow that begins overshoots its line once (slow start): that is no trouble.
        usual = sorted(sending, key=lambda second: second[1])[:-_OVERSHOOT_S]
        segs, again = sum(segs for segs, _ in usual), sum(again for _, again in usual)
        signals.retrans_floor_pct = 100 * max(0.0, again - _NORMAL_95 * again**0.5) / segs


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


def _by_second(cells: list[Cell], now: float) -> list[list[int]]:
    """Intervals put together by whole seconds, however fast they were sampled: counts by field."""
    bins: dict[int, list[int]] = {}
    for cell in cells:
        one = bins.setdefault(int(now - cell.end + _EDGE_S), [0] * len(cell.counts))
        for place, count in enumerate(cell.counts):
            one[place] += count
    return list(bins.values())


def _delay(signals: LinkSignals, cells: list[Cell], group: Group) -> None:
    signals.srtt_ms = median([rtt for cell in cells for rtt in cell.srtts])
    known = [r.minrtt_ms for r in group.sockets.values() if r.minrtt_ms and r.minrtt_ms < _NO_MINRTT_MS]
    # A flow that began while the queue was full has never seen the path without it: pings have.
    signals.minrtt_ms = min([*known, *([signals.baseline_ms] if signals.baseline_ms else [])], default=None)
    if signals.srtt_ms is not None and signals.minrtt_ms:
        signals.tcp_inflation = signals.srtt_ms / signals.minrtt_ms
        added_ms = signals.tcp_added_ms = signals.srtt_ms - signals.minrtt_ms
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
    signals.goodput_bps = 8.0 * total(cells, ACKED) / signals.window_s
    mean = sum(rates) / len(rates) if rates else 0.0
    if len(rates) >= _FEWEST_BINS and mean > 0:
        signals.goodput_spread = (sum((rate - mean) ** 2 for rate in rates) / len(rates)) ** 0.5 / mean


def _limits(signals: LinkSignals, cells: list[Cell]) -> None:
    busy_ms = total(cells, BUSY)
    there_s = sum(cell.present * cell.seconds for cell in cells)
    if there_s > 0:
        signals.busy_share = min(1.0, busy_ms / 1000 / there_s)
    if busy_ms > 0:
        signals.rwnd_share = total(cells, RWND) / busy_ms
        signals.sndbuf_share = total(cells, SNDBUF) / busy_ms
    moving = sum(cell.moving for cell in cells)
    if moving:
        signals.app_limited_share = sum(cell.app_limited for cell in cells) / moving


def _gauges(signals: LinkSignals, group: Group, now: float) -> None:
    pending = list(group.pending())
    signals.backoff = max((r.backoff or 0 for r in pending), default=0)
    signals.persisting = sum(r.timer is not None and r.timer.kind == "persist" for r in pending)
    acked = [cell.end for cell in group.since(now - LONGEST_S) if cell.counts[ACKED] or cell.counts[RECEIVED]]
    signals.progress = bool(acked) and now - acked[-1] < _PROGRESS_S
    if pending:
        signals.idle_ack_s = now - acked[-1] if acked else LONGEST_S


def _receiver(signals: LinkSignals, group: Group | None, now: float) -> None:
    if group is None:
        return
    signals.peer_recv_q = max((r.recv_q for r in group.sockets.values()), default=None)
    cells = group.since(now - _WINDOW_S)
    received = total(cells, SEGS_IN)
    if received >= ENOUGH_SEGS:
        signals.peer_ooo_pct = 100 * total(cells, OOO) / received


# ── Pings ──


def _pings(signals: LinkSignals, record: NodeRecord, link: LinkRecord, now: float) -> None:
    if link.obstacle is not None or not link.ever_answered:
        return
    rtts, signals.small_lost = link.small.tally(now - PINGS_S, now)
    signals.small_decided = len(rtts) + signals.small_lost
    signals.small_loss_pct = _pct(signals.small_lost, signals.small_decided)
    signals.loss_runs = _runs(link.small, now)
    full_rtts, signals.full_lost = link.full.tally(now - PINGS_S, now)
    signals.full_decided = len(full_rtts) + signals.full_lost
    signals.full_loss_pct = _pct(signals.full_lost, signals.full_decided)
    signals.rtt_ms = median(link.small.tally(now - _RTT_S, now)[0]) or median(link.small.tally(now - PINGS_S, now)[0])
    signals.full_rtt_ms = median(link.full.tally(now - _FULL_PINGS_S, now)[0])
    if signals.rtt_ms is not None and signals.baseline_ms:
        signals.rtt_inflation = signals.rtt_ms / signals.baseline_ms
        signals.rtt_added_ms = signals.rtt_ms - signals.baseline_ms
    if signals.rtt_ms and signals.full_rtt_ms is not None:
        signals.size_ratio = signals.full_rtt_ms / signals.rtt_ms
    running = record.boot.pings(link.key) if record.boot is not None else ()
    if running:
        answers = (link.small.last_answer(now), link.full.last_answer(now))
        last = max((at for at in answers if at is not None), default=None)
        began = min(series.started_at for series in running)
        signals.silence_s = max(0.0, now - max(began, last if last is not None else began))
        interval_s = min(series.interval_s or 0.0 for series in running)
        # Two probes in a row without an answer, each given the time that it may take here.
        usual_s = min(4 * (link.baseline.rtt_ms or 0.0) / 1000, lost_after_s(link.baseline.rtt_ms))
        signals.silence_limit_s = 2 * interval_s + max(1.0, usual_s)


def _pct(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _runs(outcomes: Outcomes, now: float) -> int:
    runs, before = 0, False
    for outcome in sorted(outcomes.ring.between(now - PINGS_S, now), key=lambda outcome: outcome.sent_at):
        lost = outcome.rtt_ms is None
        runs += lost and not before
        before = lost
    return runs


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


def worst(values: Iterable[float | None]) -> float | None:
    """The highest of those that are known."""
    return max((value for value in values if value is not None), default=None)
