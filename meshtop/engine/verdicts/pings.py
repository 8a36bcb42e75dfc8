"""What pings tell of a link: loss and delay over the last half minute, silence, and how their loss goes with TCP's."""

from __future__ import annotations

from meshtop.engine.links import LinkRecord
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.probes import LOST_AFTER_S, Outcomes, lost_after_s
from meshtop.engine.timeseries import median
from meshtop.engine.verdicts.signals import LinkSignals, at_most
from meshtop.engine.verdicts.tally import RETRANS, SEGS, Group

PINGS_S = 30.0
_RTT_S = 5.0  # pings of the last seconds: a queue that has come or gone is to be seen at once
_FULL_PINGS_S = 20.0  # they come every five seconds
# How still the least round trip stands is told by so many pings, where so much is added.
_ENOUGH_LATELY, _TELLING_MS = 3, 20.0
_FLOORS, _RISEN = 24, 2.0  # for two minutes, as long as it is at twice the baseline
# Fewer pings than this would hardly have met any loss.
_ENOUGH_PINGS = 8
# Where fewer than this would have been lost, that none was tells nothing.
_TELLING_LOST = 0.7
# Segments in a second whose lost share says something of that second.
_TELLING_SEGS = 20


def take_pings(signals: LinkSignals, record: NodeRecord, link: LinkRecord, now: float) -> None:
    if link.obstacle is not None:
        return
    _silence(signals, record, link, now)
    if not link.ever_answered:
        return
    rtts, signals.small_lost = link.small.tally(now - PINGS_S, now)
    signals.small_decided = len(rtts) + signals.small_lost
    signals.small_loss_pct = _pct(signals.small_lost, signals.small_decided)
    signals.loss_runs = _runs(link.small, now)
    full_rtts, signals.full_lost = link.full.tally(now - PINGS_S, now)
    signals.full_decided = len(full_rtts) + signals.full_lost
    signals.full_loss_pct = _pct(signals.full_lost, signals.full_decided)
    signals.pings_lost = signals.small_lost + signals.full_lost
    signals.ping_loss_pct = _pct(signals.pings_lost, signals.small_decided + signals.full_decided)
    signals.rtt_ms = median(link.small.tally(now - _RTT_S, now)[0]) or median(link.small.tally(now - PINGS_S, now)[0])
    signals.full_rtt_ms = median(link.full.tally(now - _FULL_PINGS_S, now)[0])
    if signals.rtt_ms is not None and signals.baseline_ms:
        signals.rtt_inflation = signals.rtt_ms / signals.baseline_ms
        signals.rtt_added_ms = signals.rtt_ms - signals.baseline_ms
    if signals.rtt_ms and signals.full_rtt_ms is not None:
        signals.size_ratio = signals.full_rtt_ms / signals.rtt_ms


def _silence(signals: LinkSignals, record: NodeRecord, link: LinkRecord, now: float) -> None:
    running = record.boot.pings(link.key) if record.boot is not None else ()
    if not running:
        return
    answers = (link.small.last_answer(now), link.full.last_answer(now))
    last = max((at for at in answers if at is not None), default=None)
    began = min(series.started_at for series in running)
    signals.silence_s = max(0.0, now - max(began, last if last is not None else began))
    interval_s = min(series.interval_s or 0.0 for series in running)
    # Two probes in a row without an answer, each given the time that it may take here.
    usual_s = min(4 * (link.baseline.rtt_ms or 0.0) / 1000, lost_after_s(link.baseline.rtt_ms))
    signals.silence_limit_s = 2 * interval_s + max(1.0, usual_s)
    if signals.silence_s <= signals.silence_limit_s:
        return
    if link.ever_answered:
        signals.silent_for_s = signals.silence_s
    elif signals.silence_s > signals.silence_limit_s + LOST_AFTER_S:
        signals.mute_for_s = signals.silence_s


def floors(signals: LinkSignals, link: LinkRecord, now: float) -> None:
    """The least round trip of every five seconds. A queue is never still; a way that became longer is, but for what
    waits on top of it now and then. So it is told by how the least has moved since it rose."""
    if not signals.baseline_ms:
        return
    least: list[float] = []
    for back in range(_FLOORS):
        rtts = link.small.tally(now - (back + 1) * _RTT_S, now - back * _RTT_S)[0]
        if len(rtts) < _ENOUGH_LATELY or (back >= 2 and min(rtts) < _RISEN * signals.baseline_ms):
            break
        least.append(min(rtts))
    if len(least) >= 2:
        signals.rtt_floor_inflation = min(least[:2]) / signals.baseline_ms
        risen_ms = min(least) - signals.baseline_ms
        if signals.rtt_floor_inflation >= _RISEN and risen_ms >= _TELLING_MS:
            signals.rtt_floor_moves = (max(least) - min(least)) / risen_ms


def against_pings(signals: LinkSignals, group: Group, link: LinkRecord, now: float) -> None:
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
        if lost or expected >= _TELLING_LOST:
            signals.blind_chance = at_most(lost, expected)


def _pct(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _runs(outcomes: Outcomes, now: float) -> int:
    runs, before = 0, False
    for outcome in sorted(outcomes.ring.between(now - PINGS_S, now), key=lambda outcome: outcome.sent_at):
        lost = outcome.rtt_ms is None
        runs += lost and not before
        before = lost
    return runs
