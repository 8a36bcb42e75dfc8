"""The causes of trouble on a link, as a table: what speaks for each, what against it, what would settle and cure it.

The limits are ratios and what TCP and queues do by their nature (RFC 3708: DSACK tells a needless retransmission; RFC
8985; "TCP Congestion Signatures", IMC 2017: round trips over their minimum; "An Internet-Wide Analysis of Traffic
Policing", SIGCOMM 2016). docs/findings.md says the same to operators.
"""

from __future__ import annotations

from meshtop.engine.verdicts.cpu import FULL_PCT, LONG_WAIT_MS
from meshtop.engine.verdicts.measure import MIN_BLOAT_MS
from meshtop.engine.verdicts.signals import ENOUGH_SEGS, READS_AT_ONCE
from meshtop.engine.verdicts.weigh import Rule, Sign
from meshtop.engine.verdicts.words import (
    by_needless,
    by_retransmissions,
    critical,
    info,
    say_acks,
    say_app,
    say_blackhole,
    say_blackhole_pings,
    say_blackout,
    say_bufferbloat,
    say_in_flight,
    say_loss,
    say_loss_tried,
    say_policer,
    say_policer_tried,
    say_receiver,
    say_reordering,
    say_sender,
    say_swept,
    say_tcp_over_tcp,
    say_window,
    warning,
)

# ── Shared by several causes ──

_ENOUGH = Sign("data segments", "data_segs", ">=", ENOUGH_SEGS, needed=True)
# What holds back a flow by itself leaves the path to others.
_GAIN = Sign("burst as tried / flows here", "tried_gain", ">=", 2.0, 0.5)

LOSS = Rule(
    code="loss",
    prior=-0.6,
    signs=(
        _ENOUGH,
        Sign("retransmitted, surely above", "retrans_floor_pct", ">", 1.0, 0.6, needed=True, unit="%"),
        Sign("retransmitted", "retrans_pct", ">", 1.0, 0.2, unit="%"),
        Sign("needless by DSACK", "dsack_share", "<", 0.35, 0.0, needed=True),
        Sign("needless by DSACK", "dsack_share", "<", 0.1, 1.0, 1.2),
        Sign("needless by DSACK, of a loss that is young", "young_dsack_share", "<", 0.1, 0.0, 1.2),
        Sign("srtt/minrtt", "queue", "<", 3.0, needed=True),
        Sign("srtt/minrtt", "queue", "<", 2.0, 0.8, 0.8, contra=2.5),
        Sign("seconds with retransmissions", "steady_share", ">=", 0.6, 0.5, 1.5, contra=0.4),
        Sign("chance of so few lost pings, if all lose alike", "blind_chance", ">=", 0.05, 0.0, 1.5, contra=0.05),
        Sign("goodput varies, of its mean", "heavy_spread", ">=", 0.06, 0.0, 1.0),
        Sign("goodput varies, against chance", "flatness", ">=", 0.5, 0.0, 1.6),
        Sign("goodput varies, against chance", "flatness", ">=", 0.25, 0.0, 0.8),
        Sign("losses clump, against chance", "clustering", "<", 2.0, 0.2, 1.0, contra=2.2),
        Sign("losses clump, against chance", "clustering", "<", 3.0, 0.0, 1.0),
        Sign("UDP lost at half rate", "tried.udp_loss_pct", ">", 0.5, 1.5, 2.0, unit="%"),
        Sign("burst's segments sent again", "tried.burst_retrans_pct", ">", 1.0, 0.5, 0.8, contra=0.3, unit="%"),
        Sign("tunnel's transport", "outer", "=", "udp", 0.0, 1.5, expected="not tcp, which loses nothing"),
        Sign("a full line's queue overflows", "overflows", "=", False, 0.2, 2.8),
    ),
    severity=by_retransmissions,
    summary=say_loss,
    next=(
        "`meshtop diagnose {src} {dst} --path {path}`: UDP lost at half the rate too is the line's, none a policer's",
        "`meshtop burst {src} {dst} --path both`: does the overlay lose, or the line below?",
        "a lossy line is the provider's to mend; BBR instead of cubic bears it better",
    ),
    experiments=("tcp-udp", "paths"),
)

PING_LOSS = Rule(
    code="loss",
    prior=0.2,
    signs=(
        Sign("data segments", "data_segs", "<", ENOUGH_SEGS, needed=True),
        Sign("data segments the other way", "back_segs", "<", ENOUGH_SEGS, needed=True),
        Sign("pings lost, both ways", "pair_lost", ">=", 4, 0.3, needed=True),
        Sign("pings lost, both ways", "pair_loss_pct", ">=", 3.0, 0.3, needed=True, unit="%"),
        Sign("separate losses", "pair_runs", ">=", 3, 0.3, needed=True),
        Sign("a full line's queue overflows", "overflows", "=", False, 0.0, 1.6),
    ),
    severity=warning,
    summary=say_loss,
    next=(
        "`meshtop burst {src} {dst} --path {path}`, then with -R: which direction loses?",
        "`meshtop burst {src} {dst} --path both`: does the overlay lose, or the line below?",
    ),
    experiments=("tcp-udp", "paths"),
    most=0.8,
    both_ways=True,
)

REORDERING = Rule(
    code="reordering",
    prior=-0.8,
    signs=(
        _ENOUGH,
        Sign("retransmitted", "retrans_pct", ">", 0.5, 0.3, needed=True, unit="%"),
        Sign("retransmissions", "retrans", ">=", 15, 0.2, needed=True),
        Sign("needless by DSACK", "dsack_share", ">=", 0.35, 0.2, needed=True),
        Sign("needless by DSACK", "dsack_share", ">=", 0.5, 1.0),
        # Not counted where every late segment was sent again before it came.
        Sign("reordering seen by senders", "reord_seen", ">", 0, 0.8, 0.4),
        Sign("out of order at the receiver", "peer_ooo_pct", ">", 1.0, 0.7, 0.7, contra=0.3, unit="%"),
        Sign("full-size / small round trip", "size_ratio", ">=", 3.0, 0.5),
        Sign("full-size / small ping, as tried", "tried_size_ratio", ">=", 3.0, 0.6),
        Sign("tunnel's TCP connections", "outer_connections", ">=", 2, 0.5),
        Sign("retransmissions by time-out", "timeout_share", "<", 0.2, 0.2, 0.8, contra=0.4),
    ),
    severity=by_needless,
    summary=say_reordering,
    next=(
        "`meshtop burst {src} {dst} --path {path} -P 1`, then -P 8: does it grow with the streams?",
        "one connection instead of several (SoftEther: MaxConnection 1), or a transport without TCP (UDP, WireGuard)",
        "newer kernels bear more reordering (RACK); BBR does not take it for congestion",
    ),
    experiments=("probe-sizes", "paths", "streams"),
)

POLICER = Rule(
    code="policer",
    prior=-1.8,
    signs=(
        _ENOUGH,
        Sign("retransmitted, surely above", "retrans_floor_pct", ">", 1.0, 0.3, needed=True, unit="%"),
        Sign("retransmitted, surely above", "retrans_floor_pct", ">", 3.0, 0.5, unit="%"),
        Sign("losses clump, against chance", "clustering", ">", 2.2, 0.6),
        Sign("losses clump, against chance", "clustering", ">", 3.0, 0.8),
        Sign("needless by DSACK", "dsack_share", "<", 0.25, 0.0, needed=True),
        Sign("needless by DSACK", "dsack_share", "<", 0.1, 0.4, 1.0),
        Sign("srtt/minrtt", "queue", "<=", 1.7, 0.2, needed=True),
        Sign("srtt/minrtt", "queue", "<=", 1.4, 0.4),
        Sign("chance of so few lost pings, if all lose alike", "blind_chance", "<", 0.1, 1.2, 1.5, contra=0.5),
        Sign("retransmissions by time-out", "timeout_share", ">=", 0.03, 0.5, 0.3, contra=0.01),
        Sign("goodput varies, of its mean", "goodput_spread", "<", 0.15, 0.5, 0.5, contra=0.4),
        Sign("goodput varies, against chance", "flatness", "<", 1.2, 0.0, 1.0),
        Sign("goodput varies, against chance", "flatness", "<", 0.5, 0.7, 1.0, contra=0.7),
        Sign("goodput varies, against chance", "flatness", "<", 0.35, 0.7),
        Sign("goodput varies, against chance", "flatness", "<", 0.25, 0.3),
        Sign("a full line's queue overflows", "overflows", "=", False, 0.0, 2.8),
        Sign("underlay TCP retransmitted", "below.retrans_pct", "<", 1.0, 0.5, unit="%"),
        Sign("tunnel's transport", "outer", "=", "udp", 0.3, 1.0, expected="udp, which is what gets policed"),
        Sign("UDP loses just what exceeds a rate", "udp_policed", "=", True, 2.5, 2.0),
    ),
    severity=critical,
    summary=say_policer,
    next=(
        "`meshtop diagnose {src} {dst} --path {path}`: UDP above the rate loses what exceeds it, below it nothing",
        "where UDP is policed: a transport over TCP (SoftEther: UDP acceleration off), or another provider",
        "shape below the policer's rate (tc with fq or cake): what is never sent too fast is never dropped",
    ),
    experiments=("tcp-udp", "streams", "paths"),
)

BLACKHOLE = Rule(
    code="pmtu-blackhole",
    prior=0.0,
    signs=(
        Sign("a flow that full segments do not leave", "blackholed_s", ">=", 1.0, 0.6, needed=True, unit="s"),
        Sign("time-outs in a row", "backoff", ">=", 3, 0.5),
        Sign("since the last answer to a ping", "silence_s", "<", 2.5, 0.8, 3.0, contra=3.5, unit="s"),
        Sign("small pings lost", "small_loss_pct", "<", 5.0, 0.3, 0.3, contra=20.0, unit="%"),
        Sign("larger packets vanish, by DF sweep", "tried.vanishes", ">=", 1, 1.5, 3.5),
        Sign("full-size pings pass again", "full_back", "=", False, 0.4, 3.5),
        Sign("since a stuck flow last sent", "hole_untried_s", "<", 20.0, 0.0, 0.8, contra=30.0, unit="s"),
    ),
    severity=critical,
    summary=say_blackhole,
    next=(
        "`meshtop diagnose {src} {dst} --path {path}`: a sweep of DF pings finds the size that still passes",
        "clamp the MSS on the tunnel (iptables --clamp-mss-to-pmtu, or a lower MTU of the overlay's interface)",
        "let ICMP “fragmentation needed” through; net.ipv4.tcp_mtu_probing=1 gets around it",
    ),
    experiments=("pmtu-sweep", "mss"),
)

# Nothing flows, and what was sent to try it tells enough.
_QUIET = Sign("data segments", "data_segs", "<", ENOUGH_SEGS, needed=True)

BLACKHOLE_SWEPT = Rule(
    code="pmtu-blackhole",
    prior=0.0,
    signs=(
        Sign("larger packets vanish, by DF sweep", "tried.vanishes", ">=", 1, 1.6, needed=True),
        Sign("larger packets vanish: the smallest", "tried.vanish_bytes", ">", 0, 0.2, unit="bytes", expected="none"),
        Sign("acknowledged lately", "progress", "=", False, 0.2, 0.6, expected="nothing"),
        Sign("full-size pings pass again", "full_back", "=", False, 0.4, 2.5),
    ),
    severity=critical,
    summary=say_swept,
    next=BLACKHOLE.next[1:],
    experiments=("mss",),
    most=0.9,
)

BLACKHOLE_PINGS = Rule(
    code="pmtu-blackhole",
    prior=0.0,
    signs=(
        Sign("full-size pings lost in a row", "full_dead", ">=", 3, 0.5, needed=True),
        Sign("full-size pings lost in a row", "full_dead", ">=", 5, 0.7),
        Sign("since the last answer to a ping", "silence_s", "<", 2.5, 0.4, needed=True, unit="s"),
        Sign("small pings lost", "small_loss_pct", "<", 10.0, 0.4, needed=True, unit="%"),
        Sign("acknowledged lately", "progress", "=", False, 0.0, needed=True, expected="nothing"),
        Sign("larger packets vanish, by DF sweep", "tried.vanishes", ">=", 1, 1.5, 2.0),
    ),
    severity=critical,
    summary=say_blackhole_pings,
    next=BLACKHOLE.next,
    experiments=("pmtu-sweep", "mss"),
    most=0.85,
    both_ways=True,
)

LOSS_TRIED = Rule(
    code="loss",
    prior=-0.4,
    signs=(
        _QUIET,
        Sign("UDP lost at half rate", "tried.udp_loss_pct", ">=", 1.0, 1.2, needed=True, unit="%"),
        Sign("UDP lost at half rate", "tried.udp_loss_pct", ">=", 2.0, 0.4, unit="%"),
        Sign("burst's segments sent again", "tried.burst_retrans_pct", ">", 1.0, 0.4, 0.8, contra=0.3, unit="%"),
        Sign("pings lost, both ways", "pair_loss_pct", ">", 0.5, 0.4, unit="%"),
    ),
    severity=warning,
    summary=say_loss_tried,
    next=LOSS.next[1:],
    experiments=("paths", "tcp-udp"),
    most=0.85,
)

POLICER_TRIED = Rule(
    code="policer",
    prior=-0.4,
    signs=(
        _QUIET,
        Sign("UDP loses just what exceeds a rate", "udp_policed", "=", True, 1.6, needed=True),
        Sign("UDP lost at half rate", "tried.udp_loss_pct", "<", 1.0, 0.5, 1.5, unit="%"),
        Sign("burst's segments sent again", "tried.burst_retrans_pct", ">", 1.0, 0.4, 0.8, contra=0.3, unit="%"),
    ),
    severity=warning,
    summary=say_policer_tried,
    next=POLICER.next[1:],
    experiments=("tcp-udp", "paths"),
    most=0.85,
)

BUFFERBLOAT = Rule(
    code="bufferbloat",
    prior=-0.9,
    signs=(
        _ENOUGH,
        Sign("queue, against 5 × minrtt or 300 ms", "bloat", ">=", 1.0, 0.4, needed=True),
        Sign("srtt/minrtt", "tcp_inflation", ">=", 2.0, 0.4, needed=True),
        Sign("added to every round trip", "tcp_added_ms", ">=", MIN_BLOAT_MS, 0.5, needed=True, unit="ms"),
        Sign("srtt / the flows' own minrtt", "own_inflation", ">=", 2.0, 0.1, 2.5, contra=1.5),
        Sign("least ping moves, of what is added", "rtt_floor_moves", ">=", 0.05, 0.1, 3.5, contra=0.025),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.6, 1.2, contra=3.0, unit="%"),
        Sign("ping / its baseline", "rtt_inflation", ">=", 3.0, 0.6, 0.5, contra=1.7),
        Sign("least ping of ten seconds / its baseline", "rtt_floor_inflation", ">=", 2.0, 0.6, 2.5, contra=1.7),
        Sign("tunnel's transport", "outer", "=", "udp", 0.0, 0.4, expected="not tcp, which queues by itself"),
        Sign("added, against the underlay's", "above_ratio", "<", 2.0, 0.2, 1.0, contra=3.0),
        Sign("unsent in the tunnel's sockets", "outer_notsent", "<", 32_768, 0.0, 0.6, unit="bytes"),
        Sign("underlay pings, added", "below.rtt_added_ms", ">=", MIN_BLOAT_MS / 2, 0.3, unit="ms"),
        Sign("loaded ping / idle ping", "loaded_ratio", ">=", 3.0, 1.5, 1.5, contra=2.0),
        Sign("the sender's processes wait for a CPU, each time", "src_wait_ms", ">=", LONG_WAIT_MS, 0.1, unit="ms"),
    ),
    severity=warning,
    summary=say_bufferbloat,
    next=(
        "`meshtop diagnose {src} {dst} --path {path}`: ping at rest against ping under load",
        "a short queue that is shared fairly (tc qdisc cake or fq_codel, shaped just below the line)",
        "fewer streams at once, or a limit on the bulk sender",
    ),
    experiments=("loaded-ping", "paths"),
)

TCP_OVER_TCP = Rule(
    code="tcp-over-tcp",
    prior=-1.0,
    signs=(
        _ENOUGH,
        Sign("tunnel's transport", "outer", "=", "tcp", 0.5, needed=True),
        Sign("queue, against 5 × minrtt or 300 ms", "bloat", ">=", 0.8, 0.3, needed=True),
        Sign("added to every round trip", "tcp_added_ms", ">=", MIN_BLOAT_MS, 0.3, needed=True, unit="ms"),
        Sign("added, against the underlay's", "above_ratio", ">=", 2.0, 0.8, 1.2, contra=1.3),
        Sign("srtt / the flows' own minrtt", "own_inflation", ">=", 2.0, 0.1, 2.0, contra=1.5),
        Sign("unsent in the tunnel's sockets", "outer_notsent", ">=", 32_768, 0.8, unit="bytes"),
        Sign("loaded ping / idle ping", "loaded_ratio", ">=", 3.0, 0.8, 0.8, contra=1.5),
        Sign("burst here / below", "tried_paths_ratio", "<", 0.7, 0.6, 0.4, contra=0.9),
        Sign("tunnel's retransmitted", "outer_retrans_pct", ">=", 0.1, 0.4, unit="%"),
        Sign("tunnel's time-outs in a row", "outer_backoff", ">=", 1, 0.4),
        Sign("retransmitted inside", "retrans_pct", "<", 1.0, 0.4, unit="%"),
    ),
    severity=by_retransmissions,
    summary=say_tcp_over_tcp,
    next=(
        "`meshtop burst {src} {dst} --path both`: fast below and slow here is the tunnel",
        "a transport without TCP (SoftEther: UDP acceleration; WireGuard; OpenVPN proto udp)",
        "less data in flight inside: fewer streams, smaller windows, a pacing sender",
    ),
    experiments=("paths", "loaded-ping"),
)

RECEIVER = Rule(
    code="receiver-limited",
    prior=-0.9,
    signs=(
        Sign("window closed, of the busy time", "rwnd_share", ">", 0.5, 0.9, needed=True),
        Sign("busy", "busy_share", ">=", 0.3, 0.3, needed=True),
        Sign("receiver's readings with much unread", "peer_unread_share", ">=", 0.5, 1.0, 1.5, contra=READS_AT_ONCE),
        Sign("flows on the persist timer", "persisting", ">", 0, 0.5),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.2, 0.8, contra=2.0, unit="%"),
        Sign("srtt/minrtt", "tcp_inflation", "<", 5.0, 0.2, 0.8, contra=8.0),
        Sign("CPU of the receiver", "dst_cpu_pct", ">=", FULL_PCT, 0.2, unit="%"),
        Sign("its processes wait for a CPU, each time", "dst_wait_ms", ">=", LONG_WAIT_MS, 0.2, unit="ms"),
    ),
    severity=warning,
    summary=say_receiver,
    next=(
        "look at the application on the receiving end: its disk, its CPU, the next hop that it writes to",
        "`meshtop burst {src} {dst} --path {path}`: fast where only the application is slow",
        "slow object storage closes the window rightly; a larger one would only hide it for longer",
    ),
    experiments=("tcp-udp",),
)

WINDOW = Rule(
    code="receiver-limited",
    prior=-0.6,
    signs=(
        _ENOUGH,
        Sign("window the limit, of the busy time", "rwnd_share", ">", 0.5, 0.6, needed=True),
        Sign("busy", "busy_share", ">=", 0.5, 0.3, needed=True),
        Sign("readings with an open window used up", "window_full_share", ">=", 0.7, 0.6, needed=True),
        Sign("receiver's readings with much unread", "peer_unread_share", "<", READS_AT_ONCE, 0.8, 2.5, contra=0.5),
        Sign("flows on the persist timer", "persisting", "=", 0, 0.2, 1.5),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.3, 1.0, contra=2.0, unit="%"),
        Sign("srtt/minrtt", "queue", "<", 2.0, 0.2, 1.5, contra=3.0),
        _GAIN,
    ),
    severity=info,
    summary=say_window,
    next=(
        "a larger receive buffer (SO_RCVBUF left alone, net.ipv4.tcp_rmem) if the path has room for more",
        "never more than 64 KB: window scaling is off at one end, or taken out on the way (`ss -ti`: wscale)",
        "`meshtop burst {src} {dst} --path {path}`: faster where only that application's socket is so small",
    ),
    experiments=("streams",),
)

SENDER = Rule(
    code="sender-limited",
    prior=-0.2,
    signs=(
        _ENOUGH,
        Sign("send buffer full, of the busy time", "sndbuf_share", ">", 0.3, 1.2, needed=True),
        Sign("busy", "busy_share", ">=", 0.5, 0.4, needed=True),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.3, 1.0, contra=2.0, unit="%"),
        Sign("srtt/minrtt", "queue", "<", 2.0, 0.2, 1.5, contra=3.0),
        Sign("CPU of the sender", "src_cpu_pct", ">=", FULL_PCT, 0.2, unit="%"),
        Sign("its processes wait for a CPU, each time", "src_wait_ms", ">=", LONG_WAIT_MS, 0.2, unit="ms"),
        _GAIN,
    ),
    severity=info,
    summary=say_sender,
    next=("a larger send buffer (SO_SNDBUF left alone, net.ipv4.tcp_wmem) if the path has room for more",),
    experiments=("streams",),
)

IN_FLIGHT = Rule(
    code="sender-limited",
    prior=-0.4,
    signs=(
        _ENOUGH,
        Sign("busy", "busy_share", ">=", 0.8, 0.6, needed=True),
        Sign("readings that say app_limited", "app_limited_share", ">", 0.8, 0.8, needed=True),
        Sign("window closed, of the busy time", "rwnd_share", "<", 0.3, 0.1, needed=True),
        Sign("send buffer full, of the busy time", "sndbuf_share", "<=", 0.3, 0.0, needed=True),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.3, needed=True, unit="%"),
        Sign("srtt/minrtt", "queue", "<", 2.0, 0.2, 0.8, contra=3.0),
        Sign("CPU of the sender", "src_cpu_pct", ">=", FULL_PCT, 0.2, unit="%"),
        Sign("its processes wait for a CPU, each time", "src_wait_ms", ">=", LONG_WAIT_MS, 0.2, unit="ms"),
        _GAIN,
    ),
    severity=info,
    summary=say_in_flight,
    next=(
        "`meshtop burst {src} {dst} --path {path}`: faster than the application means a window of its own",
        "an application's own window: that of an SSH channel, of HTTP/2, of a proxy",
        *SENDER.next,
    ),
    experiments=("streams",),
)

APP = Rule(
    code="app-limited",
    prior=-0.2,
    signs=(
        _ENOUGH,
        Sign("flows that are a tunnel's own", "tunnel_share", "=", 0.0, needed=True),
        Sign("busy", "busy_share", "<", 0.5, 0.9, needed=True),
        Sign("readings that say app_limited", "app_limited_share", ">", 0.5, 0.8, 0.5, contra=0.2),
        Sign("retransmitted", "retrans_pct", "<", 1.0, 0.2, needed=True, unit="%"),
        _GAIN,
    ),
    severity=info,
    summary=say_app,
    next=("iperf3 is fast where the application is slow; behind a buffering proxy look at the next hop",),
    experiments=("tcp-udp",),
)

ACK_LOSS = Rule(
    code="ack-path-loss",
    prior=-0.9,
    signs=(
        _ENOUGH,
        Sign("pings lost, both ways", "pair_lost", ">=", 3, 0.5, needed=True),
        Sign("pings lost, both ways", "pair_loss_pct", ">=", 3.0, 0.3, needed=True, unit="%"),
        Sign("separate losses", "pair_runs", ">=", 3, 0.4, needed=True),
        Sign("chance of so many, by the loss of segments", "echo_chance", "<", 0.002, 1.0, needed=True),
        Sign("retransmitted", "retrans_pct", "<", 3.0, 0.0, needed=True, unit="%"),
        Sign("pings lost the other way", "back_loss_pct", ">=", 3.0, 0.6, 0.2, contra=1.0, unit="%"),
        Sign("others' pings to there lost", "peers_loss_pct", "<", 3.0, 0.5, 0.8, contra=5.0, unit="%"),
        Sign("retransmitted the other way", "back_retrans_pct", ">", 1.0, 0.8, 0.8, contra=0.3, unit="%"),
    ),
    severity=warning,
    summary=say_acks,
    next=(
        "`meshtop burst {dst} {src} --path {path}`: it crawls where ACKs are lost here",
        "a node that limits ICMP looks alike: then no other traffic suffers",
    ),
    experiments=("tcp-udp",),
)

BLACKOUT = Rule(
    code="blackout",
    prior=-0.6,
    signs=(
        Sign(
            "since the last answer to any ping",
            "silent_for_s",
            ">",
            0.0,
            0.6,
            needed=True,
            unit="s",
            expected="two pings",
        ),
        Sign("since any acknowledgement", "idle_ack_s", ">=", 2.0, 0.6, needed=False, unit="s"),
        Sign("acknowledged lately", "progress", "=", False, 0.3, needed=True, expected="nothing"),
        Sign("since the last answer to any ping", "silence_s", ">=", 5.0, 0.8, unit="s"),
        Sign("stalls that pings died with", "blackout_stalls", ">", 0, 0.8),
        Sign("opposite direction is silent", "back_silent", "=", True, 0.5),
    ),
    severity=critical,
    summary=say_blackout,
    next=(
        "is the same pair well on the other path? then the tunnel is out, else the line",
        "routes, firewalls, the tunnel's session on either end; `mtr` from both sides",
    ),
    experiments=("paths",),
    both_ways=True,
)

RULES: tuple[Rule, ...] = (
    BLACKOUT,
    BLACKHOLE,
    BLACKHOLE_SWEPT,
    BLACKHOLE_PINGS,
    POLICER,
    POLICER_TRIED,
    REORDERING,
    LOSS,
    PING_LOSS,
    LOSS_TRIED,
    TCP_OVER_TCP,
    BUFFERBLOAT,
    ACK_LOSS,
    RECEIVER,
    WINDOW,
    SENDER,
    IN_FLIGHT,
    APP,
)
