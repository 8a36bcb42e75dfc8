"""Every duration by which sessions are kept alive, given up and raced, with its reason."""

from __future__ import annotations

from meshtop.model import Value


class Timing(Value, frozen=True, kw_only=True):
    """Seconds, unless the name says otherwise. Tests shorten them; nothing else should need to."""

    # Nodes start this far apart, so that five handshakes do not make each other's first round trips look slow.
    stagger_s: float = 0.02
    # A handshake costs 2–3.5 ms of CPU; eight at a time keep the screen smooth and stay below the ten unauthenticated
    # sessions from which a common jump host's sshd starts to drop (MaxStartups 10:30:100).
    handshakes: int = 8

    # Exponential back-off with full jitter: the first retry is nearly immediate, a dead node is asked twice a minute.
    backoff_first_s: float = 1.0
    backoff_cap_s: float = 30.0
    # A session that lived this long was no failure to connect: the next retry starts from backoff_first_s again.
    stable_s: float = 60.0
    # Where retrying blindly is pointless (host keys, configuration): look again this often, …
    recheck_s: float = 60.0
    # … or when one of the files that the fault names has changed, which is looked for this often.
    file_poll_s: float = 2.0

    # From the open channel to the first frame: a login shell's start-up files and the probe's own start, on a bad line.
    first_frame_s: float = 15.0
    # Silent: no frame for max(silent_intervals × interval, silent_floor_s), as `meshtop snapshot` defines it.
    silent_intervals: float = 3.0
    silent_floor_s: float = 3.0
    # An old connection is drained for this long after a fresh one has taken over: by then a probe that does not hear us
    # has ended itself, and a dead connection has been found by its keepalives.
    drain_s: float = 90.0
    # More draining connections than this at a time would only be a line that flaps; the oldest is closed.
    drains: int = 2
    # The probe ends itself 75 to 79 s after the last renewal: four may be lost before that.
    lease_renew_s: float = 15.0

    # The pace of SessionStats.
    stats_s: float = 1.0
    # What an orderly end may take: standard input ended, the probe's own clean-up, the connection closed.
    close_s: float = 2.0
