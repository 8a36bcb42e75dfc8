"""What is known of a path on which large packets may vanish: the flows that stand still for it, and what has tried the
path since. A flow in a black hole waits ever longer for its next try (RFC 6298), so that it may still wait for minutes
after the path is well again.
"""

from __future__ import annotations

from meshtop.engine.links import LinkRecord
from meshtop.engine.stall import Stall
from meshtop.engine.verdicts.signals import LinkSignals

_CAUSE = "size-blackhole"
_LOOK_BACK_S = 60.0
# A ping that is lost among others is chance; two full-size ones in a row while small ones live are hardly.
_IN_A_ROW = 2


def take_holes(signals: LinkSignals, link: LinkRecord, now: float) -> None:
    """After the pings have been taken."""
    stuck = [each.stall for each in link.stalls.overlapping(now, now) if each.open and each.stall.cause == _CAUSE]
    if stuck:
        signals.blackholed_s = max(stall.duration_s for stall in stuck)
        signals.holed_flows = len(stuck)
        signals.hole_untried_s = min(_since_last_try_s(stall) for stall in stuck)
    _full_size_pings(signals, link, now)


def _since_last_try_s(stall: Stall) -> float:
    """The first try after a back-off of b comes after rto/2^b·(2^b − 1) in all, which is rto less the first wait."""
    reading = stall.reading
    rto_s = (reading.rto_ms or 0.0) / 1000
    tried_s = rto_s - rto_s / 2.0 ** min(reading.backoff or 0, 16)
    return max(0.0, stall.duration_s - tried_s)


def _full_size_pings(signals: LinkSignals, link: LinkRecord, now: float) -> None:
    outcomes = sorted(link.full.ring.between(now - _LOOK_BACK_S, now), key=lambda outcome: outcome.sent_at)
    answered = [outcome.rtt_ms is not None for outcome in outcomes]
    tail = answered[::-1].index(True) if True in answered else len(answered)
    signals.full_dead = tail if link.full.last_answer(now) is not None else 0
    since = now - signals.blackholed_s if signals.blackholed_s is not None else now - _LOOK_BACK_S
    meanwhile = [outcome.rtt_ms is not None for outcome in outcomes if outcome.sent_at >= since]
    if meanwhile.count(False) >= _IN_A_ROW:
        signals.full_back = meanwhile[-1]
