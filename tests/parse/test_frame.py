"""Frames of a probe decoded: what only changes say, what is missing, what is hostile."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.frame import AwaitingKeyFrame, FrameReader
from meshtop.parse.framing import FrameDecoder
from meshtop.readings import PingProblem, PingReply, PingStarted, ProbeProblem, Process, SocketId

CAPTURED = Path(__file__).parent.parent / "fixtures" / "frames" / "probe-20-sockets.txt"
BOOT = "0f0e0d0c-0000-4000-8000-000000000001"
SOCKET = (
    "ESTAB 0 0 10.0.0.1:22 10.0.0.2:5000 skmem:(r0 ,rb131072 ,t0 ,tb46080 ,f0 ,w0 ,o0 ,bl0 ,d0) ts sack cubic "
    "wscale:10 ,10 rto:204 rtt:4.5/2 mss:1448 cwnd:10 bytes_acked:100 segs_out:10 segs_in:9 lastsnd:8 minrtt:4"
)
IDENTITY = " ino:77 sk:1a cgroup:/system.slice <->"
COUNTERS = (
    "m1=Tcp: RtoAlgorithm RetransSegs",
    "m2=Tcp: 1 5",
    "t1=TcpExt: TCPTimeouts",
    "t2=TcpExt: 3",
    "d1=Inter-| Receive | Transmit",
    "d2=face |bytes packets",
    "d3=lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0",
    "f1=0000000a 00000000 00000001 00000000",
)


def raw(seq: int, *lines: str, key: bool = False, probe: str = "abc", uptime: float | None = None, skipped: int = 0):
    body = "".join(line + "\n" for line in lines).encode()
    at = 100 + seq if uptime is None else uptime
    head = f"@meshtop1 {BOOT} {probe} {seq} {at:.2f} 1 {skipped} {'K' if key else 'D'} {len(body)}\n"
    return head.encode() + body + b"@end\n"


@pytest.fixture
def reader():
    return FrameReader()


def opened(reader, *more: str):
    return reader.read(raw(1, f"s1={SOCKET}{IDENTITY}", "S1", *COUNTERS, *more, key=True))


ONE = SocketId("10.0.0.1", 22, "10.0.0.2", 5000, "1a")


def test_a_key_frame_tells_everything(reader):
    frame = opened(reader)
    assert (frame.boot, frame.probe, frame.seq, frame.uptime_s, frame.interval_s) == (BOOT, "abc", 1, 101.0, 1.0)
    assert frame.sockets is not None
    assert frame.sockets.full
    assert frame.sockets.total == 1
    (reading,) = frame.sockets.changed
    assert reading.id == ONE
    assert (reading.inode, reading.cgroup, reading.bytes_acked) == (77, "/system.slice", 100)
    assert reading.skmem is not None
    assert reading.skmem.sndbuf == 46080
    assert reading.unknown == ()
    assert frame.snmp == {"Tcp": {"RtoAlgorithm": 1, "RetransSegs": 5}}
    assert frame.netstat == {"TcpExt": {"TCPTimeouts": 3}}
    assert frame.net_dev is not None
    assert (frame.net_dev["lo"].rx_bytes, frame.net_dev["lo"].tx_bytes) == (10, 20)
    assert frame.softnet is not None
    assert frame.softnet[0].processed == 10
    assert frame.unparsed == 0


def test_changes_build_on_it_and_counters_are_repeated(reader):
    opened(reader)
    frame = reader.read(raw(2, "s1 x1448", "S1", "m2 c2"))
    assert frame.sockets is not None
    assert not frame.sockets.full
    assert frame.sockets.changed[0].bytes_acked == 1548
    assert frame.snmp == {"Tcp": {"RtoAlgorithm": 1, "RetransSegs": 7}}
    assert frame.netstat == {"TcpExt": {"TCPTimeouts": 3}}
    assert frame.net_dev is not None
    assert frame.info is None


def test_nothing_changed(reader):
    opened(reader)
    frame = reader.read(raw(2, "S1"))
    assert frame.sockets is not None
    assert frame.sockets.changed == ()
    assert frame.sockets.total == 1


def test_a_socket_goes(reader):
    opened(reader)
    frame = reader.read(raw(2, "s1-", "S0"))
    assert frame.sockets is not None
    assert frame.sockets.gone == (ONE,)
    assert frame.sockets.total == 0


def test_a_row_that_becomes_another_socket(reader):
    opened(reader)
    frame = reader.read(raw(2, f"s1={SOCKET.replace('5000', '5001')}{IDENTITY}", "S1"))
    assert frame.sockets is not None
    assert frame.sockets.gone == (ONE,)
    assert frame.sockets.changed[0].id.peer_port == 5001


def test_a_cookie_that_is_learnt_late_does_not_make_another_socket(reader):
    reader.read(raw(1, f"s1={SOCKET}", "S1", key=True))
    for frame in (
        reader.read(raw(2, f"s1={SOCKET}{IDENTITY}", "S1")),
        reader.read(raw(3, f"s1={SOCKET}{IDENTITY}", "S1", key=True)),
    ):
        assert frame.sockets is not None
        assert frame.sockets.gone == ()
        assert frame.sockets.changed[0].id == ONE._replace(cookie=None)
        assert frame.sockets.changed[0].inode == 77


def test_no_ss_is_not_no_sockets(reader):
    frame = reader.read(raw(1, *COUNTERS, "xss=ss: not found", key=True))
    assert frame.sockets is None
    assert frame.problems == (ProbeProblem(source="ss", text="ss: not found"),)
    assert reader.read(raw(2, "S0", "xss-")).problems == (ProbeProblem(source="ss", text=""),)


def test_what_a_node_cannot_give_is_none(reader):
    frame = reader.read(raw(1, "S0", key=True))
    assert (frame.snmp, frame.netstat, frame.net_dev, frame.softnet, frame.info) == (None, None, None, None, None)


def test_a_gap_waits_for_the_next_key_frame(reader):
    opened(reader)
    with pytest.raises(AwaitingKeyFrame):
        reader.read(raw(3, "S1"))
    with pytest.raises(AwaitingKeyFrame):
        reader.read(raw(4, "S1"))
    assert reader.awaiting == 2
    frame = reader.read(raw(5, f"s1={SOCKET}{IDENTITY}", "S1", *COUNTERS, key=True))
    assert frame.sockets is not None
    assert frame.sockets.full
    assert reader.read(raw(6, "S1")).seq == 6


def test_another_probe_on_the_stream_begins_anew(reader):
    opened(reader)
    with pytest.raises(AwaitingKeyFrame):
        reader.read(raw(2, "S1", probe="def"))
    assert reader.read(raw(1, "S0", key=True, probe="def")).snmp is None


def test_damage_waits_for_the_next_key_frame(reader):
    opened(reader)
    with pytest.raises(ParseError):
        reader.read(raw(2, "s9 a5"))
    with pytest.raises(AwaitingKeyFrame):
        reader.read(raw(3, "S1"))
    assert opened(reader).seq == 1


def test_unknown_lines_are_counted(reader):
    frame = opened(reader, "?? what", "ü=1", "U3")
    assert frame.unparsed == 5


def test_a_socket_line_that_ss_would_not_print_is_counted(reader):
    frame = reader.read(raw(1, "s1=ESTAB no socket", f"s2={SOCKET}", "S2", key=True))
    assert frame.unparsed == 1
    assert frame.sockets is not None
    assert len(frame.sockets.changed) == 1


def test_the_slow_beat(reader):
    info = opened(
        reader,
        "ikernel=6.1.0",
        "iuid=0",
        "iss=ss utility, iproute2-6.1.0",
        "iiperf3=iperf 3.12 (cJSON 1.7.15)",
        "iping=ping: invalid option -- 'V' BusyBox v1.35.0 (Debian) multi-call binary.",
        "iwall=1795372635.19 100.5",
        "iaddresses=eth0=10.0.0.1 eth0=::ffff:10.0.0.3 eth0=fe80::1%eth0 strange",
        "issh=192.0.2.1 50123 192.0.2.2 22",
        "icpu=1.25",
        'q77=users:(("ss hd",pid=9,fd=3)) ino:77 sk:',
        "iprocesses=1",
        "ilistening=- 5000 443 0x1 99999",
        "ilater=what a later probe tells",
    ).info
    assert info is not None
    assert (info.kernel, info.root, info.ss, info.iperf3, info.ping) == (
        "6.1.0",
        True,
        "6.1.0",
        "3.12",
        "busybox 1.35.0",
    )
    assert (info.wall_s, info.wall_uptime_s, info.probe_cpu_s) == (1795372635.19, 100.5, 1.25)
    assert info.addresses == (("eth0", "10.0.0.1"), ("eth0", "10.0.0.3"), ("eth0", "fe80::1"))
    assert info.ssh_socket == ("192.0.2.2", 22, "192.0.2.1", 50123)
    assert info.processes == (Process(inode=77, pid=9, name="ss hd"),)
    assert info.listening == (443, 5000)


@pytest.mark.parametrize(("rows", "listening"), [((), None), (("ilistening=-",), ()), (("ilistening=- 80",), (80,))])
def test_nobody_listens_is_not_the_same_as_not_told(reader, rows, listening):
    info = opened(reader, "ikernel=6.1.0", *rows).info
    assert info is not None
    assert info.listening == listening


def test_the_slow_beat_keeps_what_did_not_change(reader):
    opened(reader, "ikernel=6.1.0", "icpu=1.25")
    info = reader.read(raw(2, "S1", "icpu a+1.50 a!")).info
    assert info is not None
    assert (info.kernel, info.probe_cpu_s) == ("6.1.0", 1.5)


PING = "g0=10.0.0.2 56 100"


def test_a_ping_from_its_start(reader):
    line = "[1795345824.730436] 64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=40.2 ms"
    frame = opened(
        reader,
        PING,
        "p0=10050 #run 4711 1.5 1",
        "p0=10055 PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.",
        f"p0=10055 {line}",
    )
    started, reply = frame.pings
    assert started == PingStarted(target="10.0.0.2", payload_bytes=56, interval_s=1.5, uptime_s=100.5, first_seq=1)
    assert isinstance(reply, PingReply)
    assert (reply.seq, reply.rtt_ms, reply.uptime_s) == (1, 40.2, 100.55)
    assert reply.sent_uptime_s == pytest.approx(100.55 - 0.0402)
    (later,) = reader.read(raw(2, "S1", "p0 a100a~1795345825.731000] e1b~39.9")).pings
    assert isinstance(later, PingReply)
    assert (later.seq, later.rtt_ms) == (2, 39.9)
    assert later.sent_uptime_s == pytest.approx(101.55 - 0.0399, abs=0.01)


def test_a_ping_that_ends_says_why(reader):
    frame = opened(
        reader,
        PING,
        "p0=10050 #run 4711 1 1",
        "p0=10051 ping: socktype: SOCK_RAW",
        "p0=10051 ping: socket: Operation not permitted",
        "p0=10052 #end",
    )
    end = frame.pings[-1]
    assert isinstance(end, PingProblem)
    assert end.ended
    assert end.text == "ping: socktype: SOCK_RAW; ping: socket: Operation not permitted"


def test_a_stream_opened_in_the_middle_begins_its_pings_with_the_first_reply(reader):
    frame = opened(reader, PING, "p0=10055 64 bytes from 10.0.0.2: seq=41 ttl=64 time=40.0 ms")
    started, reply = frame.pings
    assert isinstance(started, PingStarted)
    assert (started.first_seq, started.interval_s, started.uptime_s) == (41, 1.0, pytest.approx(100.51))
    assert isinstance(reply, PingReply)


def test_replies_seen_late_are_dated_by_their_stamps(reader):
    def reply(seq: int, wall: float, seen: float) -> str:
        return f"p0={seen * 100:.0f} [{wall:.6f}] 64 bytes from 10.0.0.2: icmp_seq={seq} ttl=64 time=40.0 ms"

    opened(reader, PING, reply(1, 5000.0, 101.0))
    held_up = [reply(seq, 4999.0 + seq, 130.0) for seq in range(2, 20)]
    frame = reader.read(raw(2, "S1", *held_up, uptime=130.5, skipped=29))
    assert [round(event.uptime_s) for event in frame.pings] == list(range(102, 120))
    # The wall clock was set back an hour: stamps and uptime are matched anew.
    (stepped,) = reader.read(raw(3, "S1", reply(20, 1400.0, 131.0))).pings
    assert stepped.uptime_s == 131.0


@pytest.mark.parametrize("line", ["p9=100 64 bytes", "p0=x y", "p0=", "p0=100 #what", "p0=100 64 byt"])
def test_ping_lines_that_cannot_be_are_counted(reader, line):
    frame = opened(reader, PING, line)
    assert frame.pings == ()
    assert frame.unparsed == 1


lines = st.one_of(
    st.text("smtdfiqxgpSU0123456789=- ~!+abz.:,()/#[]é\x1b\x00\x0b", max_size=60),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from("smtdfiqxgp"),
        st.integers(0, 3),
        st.sampled_from("=- "),
        st.text(max_size=40),
    ),
    st.sampled_from([f"s1={SOCKET}", "s1 zv1", "S1", PING, "p0=100 #run 1 1 1", "p0=100 #end", *COUNTERS]),
).map(lambda text: text.replace("\n", " "))


@given(st.lists(st.tuples(st.booleans(), st.lists(lines, max_size=12)), max_size=8))
def test_hostile_frames_raise_nothing_but_the_parsers_error(parts):
    reader = FrameReader()
    seq = 0
    for key, body in parts:
        seq += 1
        try:
            frame = reader.read(raw(seq, *(line.encode("utf-8", "replace").decode() for line in body), key=key))
        except ParseError:
            continue
        assert frame.unparsed >= 0
    assert opened(reader).unparsed == 0


@given(st.binary(max_size=300))
def test_hostile_bytes_raise_nothing_but_the_parsers_error(data):
    with pytest.raises(ParseError):
        FrameReader().read(b"@meshtop1 " + data)


def test_a_captured_stream():
    items = FrameDecoder().feed(CAPTURED.read_bytes())
    reader = FrameReader()
    frames = [reader.read(item) for item in items if isinstance(item, bytes)]
    assert len(frames) == len(items) > 10
    assert [frame.seq for frame in frames] == list(range(1, len(frames) + 1))
    assert sum(frame.unparsed for frame in frames) == 0
    assert all(frame.sockets and frame.sockets.total == 20 for frame in frames)
    known: dict[SocketId, int] = {}
    for frame in frames:
        for reading in frame.sockets.changed if frame.sockets else ():
            assert reading.unknown == ()
            assert reading.id.cookie
            assert (reading.bytes_acked or 0) >= known.get(reading.id, 0)
            known[reading.id] = reading.bytes_acked or 0
    assert len(known) == 20
    assert frames[-1].net_dev
