"""What is known of a link now, as figures that rules can be held against. None is not known, and speaks for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp, factorial

from meshtop.engine.snapshot import LinkState
from meshtop.model import LinkKey

# Fewer data segments than this say nothing of what share of them is lost.
ENOUGH_SEGS = 100
# With much unread in fewer of a receiver's readings than this, its application reads as data comes.
READS_AT_ONCE = 0.3
_MOST_COUNTED = 100


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
    own_inflation: float | None = None  # against what the flows themselves have seen of the path
    queue: float | None = None  # the inflation, where what is added is more than an odd wait in a host
    bloat: float | None = None  # how far beyond the limit of what a queue may add: 1 is just there
    goodput_bps: float | None = None
    goodput_spread: float | None = None  # standard deviation of one-second goodput over its mean
    heavy_spread: float | None = None  # the same, where the path sets the pace and loses three percent and more
    flatness: float | None = None  # the same, over what losses by chance would make of it
    clustering: float | None = (
        None  # variance of retransmissions by the second over what chance would have: 1 is chance
    )
    new_loss: bool = False  # too young to tell loss by chance from loss above a rate
    young_dsack_share: float | None = None  # dsack_share, where that is so: duplicates are reported later than lost
    doubted: bool = False  # two causes look alike on all that is known
    idle_ack_s: float | None = None  # since anything was acknowledged, while data waits
    busy_share: float | None = None  # of the time of the flows that were there
    rwnd_share: float | None = None  # of the busy time
    # The kernel counts only where a segment is sent later than it was written, as before a NIC that is busy; readings
    # see a buffer full only until some of it is acknowledged. Each is too low: this is the higher one.
    sndbuf_share: float | None = None
    buffer_full_share: float | None = None  # of the readings of flows that moved, by the memory of their sockets
    app_limited_share: float | None = None
    backlog_share: float | None = None  # of the readings of flows that moved, those with data that was not sent yet
    tunnel_share: float = 0.0  # of the flows, those that are a tunnel's own
    persisting: int = 0
    backoff: int = 0  # the highest now
    window_full_share: float | None = None  # of the readings of flows that moved, those that had used up an open one
    window_bytes: int | None = None  # the widest that a flow is offered now
    peer_unread_share: float | None = None  # of what the other end's receiving sockets told, much unread
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
    rtt_floor_inflation: float | None = None  # the least of the last ten seconds over the baseline
    rtt_floor_moves: float | None = None  # by how much the least of five seconds moves, of what is added to it
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
    mute_for_s: float | None = None  # no ping was ever answered, for so long
    progress: bool = False  # anything was acknowledged in the last seconds
    blackholed_s: float | None = None  # of the flows that stand still where large packets vanish, the longest
    holed_flows: int = 0
    hole_untried_s: float | None = None  # since the last of them sent anything
    full_dead: int = 0  # full-size pings in a row that were lost last
    full_back: bool | None = None  # whether they are answered again, where several were lost meanwhile
    blackout_stalls: int = 0
    # Others, filled in by whoever compares.
    echo_chance: float | None = None  # of as many lost pings as there were, by the loss that segments meet
    back_silent: bool | None = None
    above_ratio: float | None = None  # of what is added to a round trip here to what is below
    loaded_ratio: float | None = None
    udp_policed: bool | None = None
    tried_size_ratio: float | None = None
    tried_paths_ratio: float | None = None  # of what a burst got here to what it got on the underlay
    tried_gain: float | None = None  # of what a burst of TCP got here to what flows get now
    pair_lost: int = 0  # pings of both directions and sizes: each goes there and back
    pair_decided: int = 0
    pair_loss_pct: float | None = None
    pair_runs: int = 0
    back_loss_pct: float | None = None  # pings of the opposite link
    back_segs: int = 0
    back_retrans_pct: float | None = None  # TCP of the opposite link
    peers_loss_pct: float | None = None  # pings of others to the same node, the worst of them
    src_cpu_pct: float | None = None  # of the host's time, what is gone: busy or stolen
    dst_cpu_pct: float | None = None
    src_wait_ms: float | None = None  # for a CPU, each time that a process there wants one
    dst_wait_ms: float | None = None
    line_use: float | None = None  # of the nominal rate of the line, the fuller of the two ends
    overflows: bool | None = None  # the line is full and a queue stands before it
    outer: str | None = None  # what carries an overlay: "tcp" or "udp"
    outer_connections: int | None = None
    outer_retrans_pct: float | None = None
    outer_backoff: int | None = None
    outer_notsent: int | None = None
    outer_stalled: bool | None = None
    outer_added_ms: float | None = None
    below: Below | None = None
    # Figures of experiments and bursts by name, and of each and of what was drawn from it: what told it, seconds ago.
    tried: Mapping[str, float] = field(default_factory=dict)
    tried_by: dict[str, tuple[str, float]] = field(default_factory=dict)


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


def worst(values: Iterable[float | None]) -> float | None:
    """The highest of those that are known."""
    return max((value for value in values if value is not None), default=None)


def at_most(count: int, expected: float) -> float:
    """The chance of at most that many, where so many are expected (Poisson)."""
    return min(1.0, sum(exp(-expected) * expected**n / factorial(n) for n in range(min(count, _MOST_COUNTED) + 1)))
