"""ss -tinmoe, from captures of three releases and from lines made for one trait each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from meshtop.parse.errors import ParseError
from meshtop.parse.ss import MAX_LINE, MAX_UNKNOWN, STATES, parse_socket, parse_ss
from meshtop.readings import SocketId, SocketMemory, SocketReading, Timer

Captured = Callable[[str], str]
HEAD = "ESTAB 0 0 10.0.0.1:40000 10.0.0.2:443"

BUSY_LINE = (
    "ESTAB 0      185320 198.51.100.55:43374 203.0.113.11:443  timer:(on,248ms,0) ino:535286 sk:29e7 cgroup:/ <-> "
    "skmem:(r0,rb131072,t0,tb377856,f2776,w206120,o0,bl0,d3) ts sack cubic wscale:10,10 rto:248 rtt:44.539/7.44 ato:40 "
    "mss:1448 pmtu:1500 rcvmss:1448 advmss:1448 cwnd:68 ssthresh:68 bytes_sent:1105643 bytes_retrans:5300 "
    "bytes_acked:915024 bytes_received:26147 segs_out:845 segs_in:369 data_segs_out:814 data_segs_in:67 "
    "send 17685893bps lastsnd:20 lastrcv:40 lastack:4 pacing_rate 41196912bps delivery_rate 31352400bps delivered:773 "
    "app_limited busy:1124ms rwnd_limited:36ms(3.2%) sndbuf_limited:12ms(1.1%) unacked:132 retrans:2/5 lost:2 "
    "sacked:95 dsack_dups:7 reordering:33 reord_seen:4 rcv_rtt:47.5 rcv_space:18519 rcv_ssthresh:81920 notsent:39112 "
    "minrtt:36.995 rcv_ooopack:14 snd_wnd:916480 rcv_wnd:81920 rehash:1"
)
BUSY_READING = SocketReading(
    id=SocketId("198.51.100.55", 43374, "203.0.113.11", 443, "29e7"),
    state="ESTAB",
    recv_q=0,
    send_q=185320,
    inode=535286,
    cgroup="/",
    timer=Timer(kind="on", expires_ms=248.0, retransmits=0),
    skmem=SocketMemory(
        rmem_alloc=0,
        rcvbuf=131072,
        wmem_alloc=0,
        sndbuf=377856,
        fwd_alloc=2776,
        wmem_queued=206120,
        optmem=0,
        backlog=0,
        drops=3,
    ),
    congestion="cubic",
    rto_ms=248.0,
    srtt_ms=44.539,
    rttvar_ms=7.44,
    minrtt_ms=36.995,
    ato_ms=40.0,
    mss=1448,
    pmtu=1500,
    rcvmss=1448,
    advmss=1448,
    cwnd=68,
    ssthresh=68,
    snd_wnd=916480,
    rcv_wnd=81920,
    rcv_rtt_ms=47.5,
    rcv_space=18519,
    rcv_ssthresh=81920,
    reordering=33,
    unacked=132,
    sacked=95,
    lost=2,
    notsent=39112,
    retrans=2,
    lastsnd_ms=20,
    lastrcv_ms=40,
    lastack_ms=4,
    delivery_rate_bps=31352400,
    pacing_rate_bps=41196912,
    app_limited=True,
    bytes_sent=1105643,
    bytes_retrans=5300,
    bytes_acked=915024,
    bytes_received=26147,
    segs_out=845,
    segs_in=369,
    data_segs_out=814,
    data_segs_in=67,
    retrans_total=5,
    dsack_dups=7,
    reord_seen=4,
    rcv_ooopack=14,
    delivered=773,
    rehash=1,
    busy_ms=1124,
    rwnd_limited_ms=36,
    sndbuf_limited_ms=12,
)


def test_every_field_finds_its_place() -> None:
    assert parse_socket(BUSY_LINE) == BUSY_READING


def test_an_absent_field_stays_absent() -> None:
    assert parse_socket(HEAD) == SocketReading(
        id=SocketId("10.0.0.1", 40000, "10.0.0.2", 443, None), state="ESTAB", recv_q=0, send_q=0
    )


@pytest.mark.parametrize("release", ["5.9", "6.1", "6.15"])
@pytest.mark.parametrize(("moment", "sockets"), [("1", 5), ("4", 12), ("6", 13)])
def test_captures_of_three_releases(captured: Captured, release: str, moment: str, sockets: int) -> None:
    readings, failed = parse_ss(captured(f"ss/iproute2-{release}-e-{moment}.txt"))
    assert (len(readings), failed) == (sockets, 0)
    assert {name for reading in readings for name in reading.unknown} == set()
    assert all(reading.congestion == "cubic" and reading.srtt_ms and reading.id.cookie for reading in readings)
    assert any(reading.snd_wnd for reading in readings) == (release != "5.9")
    assert any(reading.rcv_wnd for reading in readings) == (release == "6.15")


def test_two_hundred_sockets_with_bbr(captured: Captured) -> None:
    readings, failed = parse_ss(captured("ss/iproute2-6.1-200-sockets.txt"))
    assert (len(readings), failed) == (200, 0)
    assert {reading.congestion for reading in readings} == {"bbr"}
    assert {reading.unknown for reading in readings} == {()}
    assert max(reading.delivery_rate_bps or 0 for reading in readings) > 10**11


def test_two_lines_a_socket_give_the_same_sockets(captured: Captured) -> None:
    one, _ = parse_ss(captured("ss/iproute2-6.1-e-6.txt"))
    two, failed = parse_ss(captured("ss/iproute2-6.1-e-twoline-6.txt"))
    assert failed == 0
    assert [reading.id for reading in one] == [reading.id for reading in two]
    assert [reading.mss for reading in one] == [reading.mss for reading in two]
    assert all(reading.bytes_sent and reading.skmem and reading.congestion == "cubic" for reading in two)


def test_with_its_header(captured: Captured) -> None:
    headed, failed = parse_ss(captured("ss/namespace-6.1-header.txt"))
    bare, _ = parse_ss(captured("ss/namespace-6.1-all-twoline.txt"))
    assert failed == 0
    assert [reading.id for reading in headed] == [reading.id for reading in bare]


def test_states_and_families(captured: Captured) -> None:
    readings, failed = parse_ss(captured("ss/namespace-6.1-all.txt"))
    assert failed == 0
    by_cookie = {reading.id.cookie: reading for reading in readings}
    assert {reading.state for reading in readings} == {
        *("LISTEN", "ESTAB", "TIME-WAIT", "FIN-WAIT-2", "SYN-SENT", "CLOSE-WAIT")
    }
    assert by_cookie["d5"].uid == 65534
    assert by_cookie["d4"].uid is None
    assert by_cookie["d8"].timer == Timer(kind="timewait", expires_ms=58_000.0, retransmits=0)
    assert by_cookie["d7"].timer == Timer(kind="keepalive", expires_ms=95_000.0, retransmits=0)
    persist = by_cookie["df"]
    assert persist.timer is not None
    assert (persist.timer.kind, persist.backoff, persist.rwnd_limited_ms) == ("persist", 2, persist.busy_ms)
    assert by_cookie["dc"].id[2:4] == ("192.0.2.9", 80)
    assert by_cookie["e0"].id[:4] == ("::", 7002, "::", 0)
    assert by_cookie["e2"].id[:2] == ("fe80::1", 7005)
    assert by_cookie["e3"].id[:3] == ("127.0.0.1", 7002, "127.0.0.1")
    assert by_cookie["e4"].id[:3] == ("::1", 7003, "::1")
    assert {reading.unknown for reading in readings} == {()}
    assert {reading.cgroup for reading in readings} == {"/", None}
    assert by_cookie["de"].skmem is not None
    assert by_cookie["de"].skmem.drops == 2


def test_a_filter_on_one_state_drops_the_column(captured: Captured) -> None:
    text = captured("ss/namespace-6.1-established.txt")
    readings, failed = parse_ss(text)
    assert (len(readings), failed, {reading.state for reading in readings}) == (8, 0, {"ESTAB"})
    assert {reading.state for reading in parse_ss(text, default_state="SYN-SENT")[0]} == {"SYN-SENT"}


def test_without_numeric_rates_have_units_and_a_named_port_is_counted(captured: Captured) -> None:
    readings, failed = parse_ss(captured("ss/namespace-6.1-units.txt"))
    assert (len(readings), failed) == (17, 1)
    assert {reading.delivery_rate_bps for reading in readings} == {None, 29_100_000_000, 1_640_000_000}


def test_processes_shown_beside_do_not_disturb(captured: Captured) -> None:
    readings, failed = parse_ss(captured("ss/namespace-6.1-processes.txt"))
    assert (len(readings), failed, {reading.unknown for reading in readings}) == (18, 0, {()})
    spaced = parse_socket(HEAD + ' users:(("a b cwnd:9",pid=1,fd=3)) ino:7 sk:5')
    assert (spaced.cwnd, spaced.inode, spaced.unknown) == (None, 7, ())


@pytest.mark.parametrize(
    ("timer", "expected"),
    [
        ("(on,160ms,0)", ("on", 160.0, 0)),
        ("(on,084ms,2)", ("on", 84.0, 2)),
        ("(on,1.052ms,0)", ("on", 1052.0, 0)),
        ("(on,1.052sec,0)", ("on", 1052.0, 0)),
        ("(persist,9.5sec,3)", None),
        ("(timewait,58sec,0)", ("timewait", 58_000.0, 0)),
        ("(keepalive,1min37sec,0)", ("keepalive", 97_000.0, 0)),
        ("(keepalive,119min,0)", ("keepalive", 7_140_000.0, 0)),
        ("(on,,3)", ("on", 0.0, 3)),
        ("(unknown,5sec,0)", ("unknown", 5000.0, 0)),
        ("(on,160ms)", None),
        ("(on,-5ms,0)", None),
        ("on", None),
    ],
)
def test_timers(timer: str, expected: tuple[str, float, int] | None) -> None:
    reading = parse_socket(f"{HEAD} timer:{timer} cwnd:10")
    if expected is None:
        assert (reading.timer, reading.unknown) == (None, ("timer",))
    else:
        kind, expires_ms, retransmits = expected
        assert reading.timer == Timer(kind=kind, expires_ms=expires_ms, retransmits=retransmits)
        assert reading.unknown == ()
    assert reading.cwnd == 10


def test_timers_of_more_than_a_second_as_captured(captured: Captured) -> None:
    readings, _ = parse_ss(captured("ss/namespace-6.1-later.txt"))
    timers = {reading.timer.kind: reading.timer for reading in readings if reading.timer}
    assert timers["on"] == Timer(kind="on", expires_ms=1820.0, retransmits=5)
    assert timers["persist"] == Timer(kind="persist", expires_ms=1292.0, retransmits=0)


@pytest.mark.parametrize(
    ("rate", "bits"),
    [
        ("2622179bps", 2_622_179),
        ("30Mbps", 30_000_000),
        ("1.2Gbps", 1_200_000_000),
        ("1.64kbps", 1640),
        ("1.5Kbps", 1500),
        ("2Tbps", 2 * 10**12),
        ("1e+03Mbps", 10**9),
        ("131072000000bps", 131_072_000_000),
        ("6058696bps/12000bps", 6_058_696),
        ("0bps", 0),
        ("fastbps", None),
        ("nanbps", None),
        ("-5bps", None),
    ],
)
def test_rates(rate: str, bits: int | None) -> None:
    reading = parse_socket(f"{HEAD} send {rate} pacing_rate {rate} delivery_rate {rate} cwnd:1")
    assert (reading.pacing_rate_bps, reading.delivery_rate_bps, reading.cwnd) == (bits, bits, 1)
    assert reading.unknown == (() if bits is not None else ("pacing_rate", "delivery_rate"))


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        ("1.2.3.4:5 6.7.8.9:10", ("1.2.3.4", 5, "6.7.8.9", 10)),
        ("[::ffff:1.2.3.4]:443 [::ffff:6.7.8.9]:10", ("1.2.3.4", 443, "6.7.8.9", 10)),
        ("::ffff:1.2.3.4:443 ::ffff:6.7.8.9:10", ("1.2.3.4", 443, "6.7.8.9", 10)),
        ("[2001:DB8:0:0::1]:5 [2001:db8::2]:6", ("2001:db8::1", 5, "2001:db8::2", 6)),
        ("[fe80::1]%eth0:22 [fe80::2]:9", ("fe80::1", 22, "fe80::2", 9)),
        ("fe80::1%eth0:22 fe80::2:9", ("fe80::1", 22, "fe80::2", 9)),
        ("127.0.0.53%lo:53 0.0.0.0:*", ("127.0.0.53", 53, "0.0.0.0", 0)),  # noqa: S104  # read, not bound
        ("*:22 *:*", ("::", 22, "::", 0)),
        (":::22 :::*", ("::", 22, "::", 0)),
    ],
)
def test_addresses(addresses: str, expected: tuple[str, int, str, int]) -> None:
    assert parse_socket(f"LISTEN 0 128 {addresses}").id == SocketId(*expected, None)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ESTAB",
        "ESTAB 0 0",
        "ESTAB 0 0 10.0.0.1:1",
        "ESTAB x 0 10.0.0.1:1 10.0.0.2:2",
        "ESTAB 0 0 10.0.0.1:1 10.0.0.2:http",
        "ESTAB 0 0 10.0.0.1:1 10.0.0.256:2",
        "ESTAB 0 0 10.0.0.1:1 10.0.0.2:123456",
        "ESTAB 0 0 host:1 10.0.0.2:2",
        "ESTAB 0 0 10.0.0.1 10.0.0.2",
        "FLYING 0 0 10.0.0.1:1 10.0.0.2:2",
        "bash: ss: command not found",
        HEAD + " " * 10 + "x" * MAX_LINE,
    ],
)
def test_what_is_no_socket(line: str) -> None:
    with pytest.raises(ParseError):
        parse_socket(line)


def test_padding_of_any_length_is_no_fault() -> None:
    assert parse_socket(HEAD + " " * MAX_LINE).id.peer == "10.0.0.2"


def test_other_lines_are_counted_and_the_rest_is_read() -> None:
    text = f"Cannot open netlink socket\n\n{HEAD}\n\t cwnd:3\nESTAB broken\n\t cwnd:4\n{HEAD} cwnd:5\n"
    readings, failed = parse_ss(text)
    assert ([reading.cwnd for reading in readings], failed) == ([3, 5], 2)


def test_netid_column() -> None:
    assert parse_socket("tcp " + HEAD).state == "ESTAB"


def test_listen_has_a_backlog_not_segments() -> None:
    reading = parse_socket("LISTEN 3 128 10.0.0.1:80 0.0.0.0:* cubic cwnd:10 unacked:3 sacked:128")
    assert (reading.unacked, reading.sacked, reading.recv_q, reading.unknown) == (None, None, 3, ())


@pytest.mark.parametrize(
    ("words", "congestion", "unknown"),
    [
        ("ts sack cubic wscale:7,7", "cubic", ()),
        ("ts sack ecn ecnseen fastopen bbr wscale:7,7 bbr:(bw:0bps,mrtt:0.1)", "bbr", ()),
        ("dctcp dctcp:fallback_mode", "dctcp", ()),
        ("ts our_own_cc wscale:7,7", "our_own_cc", ()),
        ("ts newflag cubic wscale:7,7", "cubic", ("newflag",)),
        ("vegas vegas_rtt:3", "vegas", ("vegas_rtt",)),
        ("Odd!", None, ("Odd!",)),
        ("tcp-ulp-mptcp flags:Mmec token:0000(id:0)/5c3b(id:0) seq:1 sfseq:1 ssnoff:1 maplen:1 cubic", "cubic", ()),
        ("tcp-ulp-tls version: 1.3 cipher: aes-gcm-128 rxconf: none txconf: sw cubic", "cubic", ()),
    ],
)
def test_algorithm_and_flags(words: str, congestion: str | None, unknown: tuple[str, ...]) -> None:
    reading = parse_socket(f"{HEAD} {words}")
    assert (reading.congestion, reading.unknown) == (congestion, unknown)


@pytest.mark.parametrize(
    ("fields", "expected", "unknown"),
    [
        ("cwnd:abc mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("cwnd:-1 mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("cwnd:1_0 mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("cwnd:1.5 mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("cwnd:null mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("cwnd mss:5", {"cwnd": None, "mss": 5}, ("cwnd",)),
        ("bytes_acked:99999999999999999999 mss:5", {"bytes_acked": None, "mss": 5}, ("bytes_acked",)),
        ("cwnd:007", {"cwnd": 7}, ()),
        ("rto:nan mss:5", {"rto_ms": None, "mss": 5}, ("rto_ms",)),
        ("rto:inf rtt:1e+300/5", {"rto_ms": None, "srtt_ms": None, "rttvar_ms": 5.0}, ("rto_ms", "srtt_ms")),
        ("rtt:5", {"srtt_ms": 5.0, "rttvar_ms": None}, ()),
        ("rcv_rtt:1.23457e+06", {"rcv_rtt_ms": 1_234_570.0}, ()),
        ("retrans:5", {"retrans": 5, "retrans_total": None}, ("retrans_total",)),
        ("skmem:(r1,rb2,new7)", {"skmem": SocketMemory(rmem_alloc=1, rcvbuf=2)}, ()),
        ("skmem:(r-1)", {"skmem": None}, ("skmem",)),
        ("skmem:", {"skmem": None}, ("skmem",)),
        ("sk:xyz", {"id": SocketId("10.0.0.1", 40000, "10.0.0.2", 443, None)}, ("sk",)),
        ("sk:0", {"id": SocketId("10.0.0.1", 40000, "10.0.0.2", 443, None)}, ()),
        ("newcount:5 newgroup:(a:1) newcount:6", {}, ("newcount", "newgroup")),
    ],
)
def test_damaged_and_new_fields_are_named_and_cost_only_themselves(
    fields: str, expected: dict[str, Any], unknown: tuple[str, ...]
) -> None:
    reading = parse_socket(f"{HEAD} {fields}")
    assert {name: getattr(reading, name) for name in expected} == expected
    assert reading.unknown == unknown


def test_unknown_names_are_few_clean_and_short() -> None:
    reading = parse_socket(HEAD + " \x1b[31mred:1 " + " ".join(f"new{number}:1" for number in range(100)))
    assert len(reading.unknown) == MAX_UNKNOWN
    assert reading.unknown[0] == "red"
    assert parse_socket(f"{HEAD} {'n' * 500}:1").unknown == ("n" * 31 + "…",)


@pytest.mark.parametrize(
    ("text", "cgroup"),
    [
        ("cgroup:/ <->", "/"),
        ("cgroup:/system.slice/ssh.service -->", "/system.slice/ssh.service"),
        ("cgroup:/a:b <->", "/a:b"),
        ("cgroup:/my unit cwnd:99 ino:1 v6only:1 <->", "/my unit cwnd:99 ino:1"),
        ("cgroup:/my unit cwnd:99 <--", "/my unit cwnd:99"),
        ("cgroup:unreachable:1b3 <->", "unreachable:1b3"),
        ("cgroup:/x", "/x"),
        ("cgroup:/\x1b[31mx <->", "/x"),
    ],
)
def test_cgroups(text: str, cgroup: str) -> None:
    reading = parse_socket(f"{HEAD} ino:5 sk:1 {text} cubic cwnd:10")
    assert (reading.cgroup, reading.inode, reading.cwnd) == (cgroup, 5, 10)


def test_every_state_is_known() -> None:
    for state in STATES:
        assert parse_socket(f"{state} 0 0 10.0.0.1:1 10.0.0.2:2").state == state
