"""The memory of one socket, and what the timing of its readings tells: how long it may wait, since when it has waited,
until when it did.

Times are node uptime in seconds. Sources: Linux net/ipv4/tcp.c (tcp_get_info, tcp_chrono_*), RFC 6298, RFC 8985.
"""

from __future__ import annotations

from meshtop.engine.stall import CauseAt
from meshtop.engine.stall_machine import State
from meshtop.readings import SocketReading

# Delayed ACKs wait up to 200 ms on common stacks (RFC 1122 allows 500): nothing shorter is a stall.
MIN_AGE_S = 0.2
# Where round trips vary, as over striped tunnels, the time-out grows to many of them (srtt 0.4 s, rto 2.7 s). It says
# how long TCP will wait, not how long a wait is usual: beyond the first RTO of RFC 6298 only round trips excuse one.
_LONGEST_BASE_MS = 1000.0
# tcp_retries2 gives up after 15; whatever a node prints beyond this is damaged and must not overflow.
_MAX_DOUBLINGS = 20
_ONLY_RISE = ("bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out", "busy_ms")


def threshold_s(reading: SocketReading) -> float | None:
    """How long this socket may wait for an ACK before it counts as stalled; None without an RTO."""
    if reading.rto_ms is None:
        return None
    base_ms = reading.rto_ms
    if not (reading.timer is not None and reading.timer.kind == "persist"):
        base_ms /= 2.0 ** _doublings(reading)
    return max(2 * (reading.srtt_ms or 0.0) / 1000, min(base_ms, _LONGEST_BASE_MS) / 1000, MIN_AGE_S)


def _doublings(reading: SocketReading) -> int:
    return max(0, min(reading.backoff or 0, _MAX_DOUBLINGS))


def is_pending(reading: SocketReading) -> bool:
    """Whether data waits for the peer: sent and not acknowledged, or not sent."""
    return bool(reading.unacked) or bool(reading.notsent)


class Followed:
    """One socket. ``moved_at`` is when bytes were last acknowledged, as well as it is known."""

    __slots__ = (
        "before",
        "busy_at_move_ms",
        "causes",
        "gap_s",
        "last",
        "last_at",
        "moved_at",
        "onset",
        "read_at",
        "seen_move",
        "state",
    )

    def __init__(self, reading: SocketReading, at: float) -> None:
        self.state = State.SUSPECT if is_pending(reading) else State.IDLE
        self.last = reading
        self.before = reading  # that in which bytes were last seen to move
        self.last_at = at  # the newest frame, whether the socket was in it or stood still
        self.read_at = at  # the newest frame that it was in
        self.moved_at = at
        self.busy_at_move_ms = float(reading.busy_ms or 0)
        self.seen_move = False
        self.onset: float | None = None
        self.causes: list[CauseAt] = []
        self.gap_s = 0.0  # without readings, since bytes last moved

    def copy(self) -> Followed:
        twin = Followed.__new__(Followed)
        for name in Followed.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.causes = list(self.causes)
        return twin

    def add_cause(self, news: CauseAt) -> bool:
        """True if it is another than before."""
        if self.causes and self.causes[-1][1:] == news[1:]:
            return False
        self.causes.append(news)
        return True

    def is_another(self, reading: SocketReading) -> bool:
        """Without cookies the same addresses may be another connection; it shows by counters that fell."""
        before = self.last
        if reading.id.cookie is not None:
            return False
        if reading.inode and before.inode and reading.inode != before.inode:
            return True
        return any((getattr(reading, name) or 0) < (getattr(before, name) or 0) for name in _ONLY_RISE)

    def sent_again(self, reading: SocketReading) -> bool:
        """Since bytes last moved."""
        return (reading.retrans_total or 0) > (self.before.retrans_total or 0)

    def elapsed_ms(self, reading: SocketReading, at: float) -> float:
        """Time since this reading was taken: one that is repeated because nothing changed has aged."""
        return 1000 * (at - self.read_at) if reading is self.last else 0.0

    def last_ack_at(self, reading: SocketReading, at: float) -> float:
        """When bytes were last acknowledged, for a reading in which they were. The last ACK of any kind lies between
        the two readings; it is later than the one that advanced by the duplicates that followed it, at most."""
        if reading.lastack_ms is None:
            return at
        return min(at, max(self.last_at, at - reading.lastack_ms / 1000))

    def seen_too_late(self, reading: SocketReading, at: float) -> float | None:
        """The onset of a wait that began before the socket was first seen; None where that cannot be told. The last ACK
        may be older than the data that waits, so that the back-off has the last word: after b doublings of the RTO less
        than rto·(2 − 2^−b) … in all base·(2^(b+1) − 1) have passed since the first segment."""
        timeouts = min(_MAX_DOUBLINGS, max(_doublings(reading), reading.timer.retransmits if reading.timer else 0))
        if self.seen_move or not timeouts or reading.lastack_ms is None or reading.rto_ms is None:
            return None
        if not _stood_still(self.before, reading):
            return None
        base_s = reading.rto_ms / 1000 / 2.0 ** _doublings(reading)
        longest_s = base_s * (2.0 ** (timeouts + 1) - 1)
        return at - min(longest_s, (reading.lastack_ms + self.elapsed_ms(reading, at)) / 1000)

    def moved_on_at(self, reading: SocketReading, at: float) -> tuple[float, float]:
        """When bytes moved again: between the two readings, earlier the more has been delivered since. With it the
        distance of the readings, which the estimate cannot be wrong by more than."""
        resolution_s = at - self.last_at
        end = at if reading.lastack_ms is None else at - reading.lastack_ms / 1000
        delivered = (reading.bytes_acked or 0) - (self.last.bytes_acked or 0)
        # what had been SACKed is acknowledged at one blow when the hole is filled
        delivered -= (self.last.sacked or 0) * (reading.mss or 0)
        if reading.delivery_rate_bps and delivered > 0:
            end -= 8 * delivered / reading.delivery_rate_bps
        return min(at, max(self.last_at, end)), resolution_s


def _stood_still(before: SocketReading, reading: SocketReading) -> bool:
    """No ACK that told anything, so that ``lastack`` is the last that did."""
    return (before.delivered, before.sacked, before.dsack_dups) == (
        reading.delivered,
        reading.sacked,
        reading.dsack_dups,
    )
