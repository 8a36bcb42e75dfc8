"""Why a socket stands still: the first row of the table that fits, from the socket's own readings and its surroundings.

The order matters: what explains a silence completely comes before what only accompanies it. docs/operations.md gives
the table in words with its grounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from meshtop.engine.stall import Waiting
from meshtop.model import Value

# An ACK of any kind within the last fifth of the wait means that the way there and back is open.
_SILENT_SHARE = 0.8
# Three time-outs in a row lose a full-size segment each; with 1 % loss that is one in a million.
_BLACKHOLE_BACKOFF = 3
# Data counts as stuck in the host when nearly all that is in flight still lies in its own queues.
_HOST_QUEUE_SHARE = 0.8


class Surroundings(Value, frozen=True, kw_only=True):
    """What is known beside the socket itself. None is not known, and never speaks for a cause."""

    outer_stalled: bool | None = None  # the tunnel's own socket on that leg holds data and gets no ACKs
    small_probe_answered: bool | None = None  # a 56-byte ping sent within the wait was answered
    small_probe_lost: bool | None = None  # all those sent within the wait, and due, were not
    full_size_moved: bool | None = None  # any flow to that peer had full segments acknowledged within the wait


class Cause(NamedTuple):
    name: str
    fits: Callable[[Waiting, Surroundings], bool]
    settled: bool = True  # False: the likeliest, an experiment would tell


def _timed_out(waiting: Waiting) -> bool:
    reading = waiting.reading
    retransmits = reading.timer.retransmits if reading.timer and reading.timer.kind != "persist" else 0
    return bool(reading.backoff) or retransmits >= 1


def _silent(waiting: Waiting) -> bool:
    """No ACK of any kind came for nearly as long as the wait. Small segments that got through in its first moments may
    have been SACKed."""
    reading = waiting.reading
    return reading.lastack_ms is not None and reading.lastack_ms / 1000 >= _SILENT_SHARE * waiting.age_s


def _zero_window(waiting: Waiting, _: Surroundings) -> bool:
    reading = waiting.reading
    if reading.timer is None or reading.timer.kind != "persist":
        return False
    # the persist timer alone also follows a failed local send
    limited = (reading.rwnd_limited_ms or 0) > (waiting.before.rwnd_limited_ms or 0)
    return limited or reading.snd_wnd == 0


def _outer_stall(_: Waiting, around: Surroundings) -> bool:
    return around.outer_stalled is True


def _size_blackhole(waiting: Waiting, around: Surroundings) -> bool:
    return (
        _timed_out(waiting)
        and _silent(waiting)
        and (waiting.reading.backoff or 0) >= _BLACKHOLE_BACKOFF
        and around.small_probe_answered is True
        and around.full_size_moved is False
    )


def _blackout(waiting: Waiting, around: Surroundings) -> bool:
    return _timed_out(waiting) and _silent(waiting) and around.small_probe_lost is True


def _rto_no_ack(waiting: Waiting, _: Surroundings) -> bool:
    # what was SACKed got through: the way was open, and what was sent again is lost once more
    return _timed_out(waiting) and _silent(waiting) and not waiting.reading.sacked


def _repeated_loss(waiting: Waiting, _: Surroundings) -> bool:
    return _timed_out(waiting)


def _recovery(waiting: Waiting, _: Surroundings) -> bool:
    reading = waiting.reading
    return bool(reading.sacked or reading.lost or reading.retrans)


def _host_queue(waiting: Waiting, _: Surroundings) -> bool:
    reading = waiting.reading
    if reading.skmem is None or not reading.skmem.wmem_alloc or not reading.unacked or not reading.mss:
        return False
    return reading.skmem.wmem_alloc >= _HOST_QUEUE_SHARE * reading.unacked * reading.mss


def _delay(waiting: Waiting, _: Surroundings) -> bool:
    return bool(waiting.reading.unacked)


CAUSES: tuple[Cause, ...] = (
    Cause("zero-window", _zero_window),
    Cause("outer-stall", _outer_stall),
    Cause("size-blackhole", _size_blackhole, settled=False),
    Cause("blackout", _blackout),
    Cause("rto-no-ack", _rto_no_ack),
    Cause("repeated-loss", _repeated_loss),
    Cause("recovery", _recovery),
    Cause("host-queue", _host_queue),
    Cause("delay", _delay),
)


def judge(waiting: Waiting, around: Surroundings) -> tuple[str, bool]:
    """(cause, settled). ``undetermined`` where no row fits."""
    for cause in CAUSES:
        if cause.fits(waiting, around):
            return cause.name, cause.settled
    return "undetermined", False
