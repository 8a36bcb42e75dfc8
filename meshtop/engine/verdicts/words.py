"""What a finding of a link says in one sentence, and how severe it is."""

from __future__ import annotations

from meshtop import units
from meshtop.engine.verdicts.cpu import LONG_WAIT_MS
from meshtop.engine.verdicts.signals import ENOUGH_SEGS, READS_AT_ONCE, LinkSignals
from meshtop.engine.verdicts.weigh import Severity, ago

_MIXED = 0.1  # of what is sent again was needless: some of it only came late
_UNTRIED_S = 30.0  # who waits longer than that for its next try says little of now


def _pair(s: LinkSignals) -> str:
    return f"{s.key.src} → {s.key.dst} on {s.key.path}"


def _pct(value: float | None) -> str:
    return f"{units.format_pct(value)}"


def _times(value: float | None) -> str:
    return f"{value:.0f} times" if value is not None else "many times"


def say_loss(s: LinkSignals) -> str:
    if s.data_segs < ENOUGH_SEGS:
        return f"{_pair(s)}: {s.pair_lost} of {s.pair_decided} pings are lost on the way, there or back"
    lost = f"{_pair(s)}: {_pct(s.retrans_pct)} of segments are lost"
    if s.doubted or s.new_loss:
        return f"{lost}, by chance or by a policer: not told apart yet"
    if (s.dsack_share or 0.0) >= _MIXED:
        return f"{lost} or overtaken on the way: {_pct(100 * (s.dsack_share or 0.0))} of what is sent again is needless"
    return f"{lost} on the way, and no queue grows"


def say_reordering(s: LinkSignals) -> str:
    needless = "most of them needlessly"
    if s.dsack_share is not None:
        needless = f"{_pct(min(100.0, 100 * s.dsack_share))} of them needlessly"
    how = ""
    if s.outer == "tcp" and (s.outer_connections or 0) > 1:
        how = f"; the tunnel spreads over {s.outer_connections} TCP connections"
    return f"{_pair(s)}: packets overtake each other: {_pct(s.retrans_pct)} are sent again, {needless}{how}"


def say_policer(s: LinkSignals) -> str:
    dropped = f"{_pair(s)}: what exceeds about {units.format_rate(s.goodput_bps)}bit/s is dropped at once"
    if s.doubted:
        return f"{dropped}, or {_pct(s.retrans_pct)} of segments by chance: not told apart yet"
    return f"{dropped}: {_pct(s.retrans_pct)} of segments are sent again, and no queue grows"


def say_blackhole(s: LinkSignals) -> str:
    flows = "1 flow stands" if s.holed_flows == 1 else f"{s.holed_flows} flows stand"
    waiting = f"{flows} still for {units.format_duration(s.blackholed_s)}"
    if s.full_back or s.tried.get("vanishes") == 0:
        return f"{_pair(s)}: large packets pass again; {waiting}, until the next time-out"
    untried = f"; untried for {s.hole_untried_s:.0f} s" if (s.hole_untried_s or 0.0) >= _UNTRIED_S else ""
    return f"{_pair(s)}: small packets pass, full-size ones vanish without a word; {waiting}{untried}"


def say_swept(s: LinkSignals) -> str:
    passes, vanishes = s.tried.get("pmtu_bytes"), s.tried.get("vanish_bytes")
    sizes = "large packets vanish"
    if passes and vanishes:
        sizes = f"packets of up to {passes:.0f} bytes pass, of {vanishes:.0f} and more vanish"
    return f"{_pair(s)}: {sizes} without a word, as tried {_ago(s, 'vanishes')}"


def say_blackhole_pings(s: LinkSignals) -> str:
    return f"{_pair(s)}: small pings are answered, the last {s.full_dead} of full size were not"


def say_loss_tried(s: LinkSignals) -> str:
    pct = _pct(s.tried.get("udp_loss_pct"))
    return f"{_pair(s)}: {pct} of UDP was lost well below the line's rate, as tried {_ago(s, 'udp_loss_pct')}"


def say_policer_tried(s: LinkSignals) -> str:
    rate = s.tried.get("ramp_received_bps") or s.tried.get("tcp_bps") or s.tried.get("burst_bps")
    return (
        f"{_pair(s)}: UDP above about {units.format_rate(rate)}bit/s was dropped at once, "
        f"as tried {_ago(s, 'udp_policed')}"
    )


def _ago(s: LinkSignals, figure: str) -> str:
    return ago(s.tried_by[figure][1]) if figure in s.tried_by else "before"


def say_bufferbloat(s: LinkSignals) -> str:
    tunnel = ", before or inside the tunnel's TCP connection" if s.outer == "tcp" else ""
    waits = _waits(f"; {s.key.src}'s", s.src_wait_ms) if s.overlay else ""
    return (
        f"{_pair(s)}: a queue adds {units.format_ms(s.tcp_added_ms)} ms to every round trip, "
        f"{_times(s.tcp_inflation)} the least{tunnel}; little is lost{waits}"
    )


def _waits(whose: str, wait_ms: float | None) -> str:
    if wait_ms is None or wait_ms < LONG_WAIT_MS:
        return ""
    return f"{whose} processes wait {units.format_ms(wait_ms)} ms for a CPU each time"


def say_tcp_over_tcp(s: LinkSignals) -> str:
    count = s.outer_connections or 1
    what = "one TCP connection" if count == 1 else f"{count} TCP connections"
    return f"{_pair(s)}: the tunnel is {what}, and data waits inside: {units.format_ms(s.srtt_ms)} ms a round trip"


def say_receiver(s: LinkSignals) -> str:
    share = _pct(100 * (s.rwnd_share or 0))
    waits = _waits(", and its", s.dst_wait_ms)
    return f"{_pair(s)}: {s.key.dst} reads too slowly: its window is closed {share} of the time{waits}"


def say_window(s: LinkSignals) -> str:
    """With what the window comes to by the second."""
    reads = "may or may not read slowly"
    if s.peer_unread_share is not None and s.peer_unread_share < READS_AT_ONCE:
        reads = "reads at once"
    most = ""
    if s.window_bytes and s.srtt_ms:
        rate = units.format_rate(8000 * s.window_bytes / s.srtt_ms)
        most = f" of {units.format_bytes(s.window_bytes)}B: {rate}bit/s at {units.format_ms(s.srtt_ms)} ms a round trip"
    return f"{_pair(s)}: {s.key.dst} {reads}, but never lets more be on its way than its window{most}"


def say_sender(s: LinkSignals) -> str:
    return f"{_pair(s)}: the send buffer on {s.key.src} is the limit {_pct(100 * (s.sndbuf_share or 0))} of the time"


def say_in_flight(s: LinkSignals) -> str:
    known = s.buffer_full_share is not None
    gives = "its application gives: the send buffer has room" if known else "its send buffer or its application gives"
    return f"{_pair(s)}: {s.key.src} never has more on its way than {gives}"


def say_app(s: LinkSignals) -> str:
    return f"{_pair(s)}: the applications on {s.key.src} write less than the path takes: not the network"


def say_acks(s: LinkSignals) -> str:
    return (
        f"{_pair(s)}: data arrives, what comes back is lost: {_pct(s.pair_loss_pct)} of pings, "
        f"but {_pct(s.retrans_pct)} of segments"
    )


def say_blackout(s: LinkSignals) -> str:
    return f"{_pair(s)}: nothing has come through for {s.silence_s or 0:.0f} s, of any size"


# ── Severity ──


def by_retransmissions(s: LinkSignals) -> Severity:
    """Ten percent sent again, or flows that stood still lately, is what users call broken."""
    return "critical" if (s.retrans_pct or 0) >= 10 or s.stalls else "warning"


def by_needless(s: LinkSignals) -> Severity:
    """Below one percent it costs little, and says how the path is made."""
    return "info" if (s.retrans_pct or 0) < 1 and not s.stalls else by_retransmissions(s)


def info(_: LinkSignals) -> Severity:
    return "info"


def warning(_: LinkSignals) -> Severity:
    return "warning"


def critical(_: LinkSignals) -> Severity:
    return "critical"
