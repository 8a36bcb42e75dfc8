"""Whatever arrives in whatever order: totals are true, hostile numbers harm nobody, the same gives the same."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from meshtop.engine.engine import Engine
from meshtop.engine.events import LinkEvent
from meshtop.model import (
    BytesDropped,
    FrameReceived,
    LogLine,
    Mesh,
    Node,
    OperatorPing,
    Path,
    SessionChanged,
    SessionStats,
)
from meshtop.readings import (
    Frame,
    NodeInfo,
    PingProblem,
    PingReply,
    PingStarted,
    SocketChanges,
    SocketId,
    SocketMemory,
    SocketReading,
    Timer,
)

MESH = Mesh(
    name="m",
    nodes=(Node(name="a", address={"vpn": "10.0.0.1"}), Node(name="e", address={"vpn": "10.0.0.5"})),
    paths=(Path(name="vpn", kind="overlay"),),
)
EPOCH = 1_700_000_000.0


def frame(probe, seq, uptime, count, *, full=False, boot="b"):
    reading = SocketReading(
        id=SocketId("10.0.0.5", 4000, "10.0.0.1", 443, "1"), state="ESTAB", recv_q=0, send_q=0, bytes_acked=count
    )
    return Frame(
        boot=boot,
        probe=probe,
        seq=seq,
        uptime_s=uptime,
        interval_s=1.0,
        sockets=SocketChanges(full=full, changed=(reading,), total=1),
        info=NodeInfo(kernel="6.1.0", ss="6.1.0"),
    )


@settings(deadline=None, max_examples=150)
@given(
    lengths=st.lists(st.integers(2, 12), min_size=1, max_size=4),
    overlap=st.integers(1, 4),
    data=st.data(),
)
def test_bytes_are_counted_once_over_reconnections_late_frames_and_duplicates(lengths, overlap, data):
    """A chain of connections, each of which begins before the one before it has ended. The old ones' frames come late,
    mixed with those of the new, some of them twice."""
    frames, start = {}, 100.0
    for n, length in enumerate(lengths):
        probe = f"p{n}"
        times = [start + n * 0.25 + k for k in range(length + overlap)]
        frames[probe] = [frame(probe, k, t, int((t - 100.0) * 1000), full=k == 0) for k, t in enumerate(times)]
        start += length
    order = data.draw(st.permutations([probe for probe, made in frames.items() for _ in made]))
    waiting = {probe: iter(made) for probe, made in frames.items()}
    engine = Engine(MESH)
    total = 0
    now = EPOCH + start + 100.0
    for probe in order:
        received = FrameReceived(at=now, node="e", connection=1, frame=next(waiting[probe]))
        for _ in range(data.draw(st.integers(1, 2))):
            for event in engine.receive(received):
                if isinstance(event, LinkEvent):
                    assert event.tx_bytes is not None
                    assert 0 <= event.tx_bytes <= 1000 * event.interval_s + 1
                    total += event.tx_bytes
        now += 0.01
    last = max(made[-1].uptime_s for made in frames.values())
    assert total == int((last - 100.0) * 1000)


NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1]), st.integers(0, 9)
)
TIMES = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 50), st.sampled_from([1e308, -1e308, 0.0, 1e9])
)
MOSTLY_SANE = st.integers(0, 9).flatmap(lambda one_in_ten: TIMES if one_in_ten == 0 else st.floats(0.01, 50))
ADDRESSES = st.sampled_from(["10.0.0.1", "10.0.0.5", "::ffff:10.0.0.1", "nonsense", "", "fe80::1%eth0"])
COUNT = st.none() | NUMBERS
SOCKETS = st.builds(
    SocketReading,
    id=st.builds(
        SocketId, ADDRESSES, st.integers(0, 3), ADDRESSES, st.integers(0, 3), st.sampled_from([None, "1", "2"])
    ),
    state=st.sampled_from(["ESTAB", "ESTAB", "SYN-SENT", "TIME-WAIT", "nonsense"]),
    recv_q=NUMBERS,
    send_q=NUMBERS,
    bytes_acked=COUNT,
    bytes_sent=COUNT,
    bytes_retrans=COUNT,
    bytes_received=COUNT,
    data_segs_out=COUNT,
    retrans_total=COUNT,
    dsack_dups=COUNT,
    srtt_ms=st.none() | st.floats(0, 1e9),
    minrtt_ms=st.none() | st.floats(0, 1e9),
    pmtu=COUNT,
    unacked=COUNT,
    notsent=COUNT,
    sacked=COUNT,
    lost=COUNT,
    backoff=COUNT,
    mss=COUNT,
    snd_wnd=COUNT,
    delivered=COUNT,
    delivery_rate_bps=COUNT,
    lastack_ms=COUNT,
    busy_ms=COUNT,
    rwnd_limited_ms=COUNT,
    inode=COUNT,
    rto_ms=st.none() | TIMES,
    timer=st.none() | st.builds(Timer, kind=st.sampled_from(["on", "persist"]), expires_ms=TIMES, retransmits=NUMBERS),
    skmem=st.none() | st.builds(SocketMemory, wmem_alloc=COUNT),
)
PINGS = st.one_of(
    st.builds(
        PingStarted, target=ADDRESSES, payload_bytes=NUMBERS, interval_s=TIMES, uptime_s=TIMES, first_seq=NUMBERS
    ),
    st.builds(
        PingReply,
        target=ADDRESSES,
        payload_bytes=st.sampled_from([56, 1200]),
        seq=NUMBERS,
        rtt_ms=TIMES,
        uptime_s=TIMES,
        sent_uptime_s=st.none() | TIMES,
    ),
    st.builds(
        PingProblem, target=ADDRESSES, payload_bytes=NUMBERS, uptime_s=TIMES, text=st.just("no"), ended=st.booleans()
    ),
)
FRAMES = st.builds(
    Frame,
    boot=st.sampled_from(["b1", "b2"]),
    probe=st.sampled_from(["p1", "p2"]),
    seq=st.integers(0, 1000),
    uptime_s=MOSTLY_SANE,
    interval_s=MOSTLY_SANE,
    sockets=st.none()
    | st.builds(
        SocketChanges,
        full=st.booleans(),
        changed=st.lists(SOCKETS, max_size=4).map(tuple),
        gone=st.lists(SOCKETS.map(lambda reading: reading.id), max_size=2).map(tuple),
        total=st.integers(0, 9),
    ),
    snmp=st.none() | st.dictionaries(st.just("Tcp"), st.dictionaries(st.just("RetransSegs"), NUMBERS), max_size=1),
    pings=st.lists(PINGS, max_size=4).map(tuple),
    info=st.none()
    | st.builds(
        NodeInfo,
        ss=st.sampled_from([None, "6.1.0", "junk"]),
        wall_s=st.none() | TIMES,
        wall_uptime_s=st.none() | TIMES,
        probe_cpu_s=st.none() | TIMES,
    ),
)
EVENTS = st.one_of(
    st.builds(FrameReceived, at=st.floats(0, 60), node=st.just("e"), connection=st.just(1), frame=FRAMES),
    st.builds(
        SessionChanged,
        at=st.floats(0, 60),
        node=st.just("e"),
        connection=st.integers(1, 3),
        phase=st.sampled_from(["connecting", "up", "down"]),
    ),
    st.builds(
        SessionStats,
        at=st.floats(0, 60),
        node=st.just("e"),
        connection=st.integers(1, 3),
        ssh_rtt_ms=st.none() | st.floats(0, 1e4),
        rx_wire_bytes=st.none() | st.integers(0, 2**40),
    ),
    st.builds(
        OperatorPing,
        at=st.floats(0, 60),
        node=st.just("e"),
        path=st.sampled_from(["vpn", "zz"]),
        rtt_ms=st.none() | st.floats(0, 100),
    ),
    st.builds(
        BytesDropped,
        at=st.floats(0, 60),
        node=st.just("e"),
        connection=st.just(1),
        count=st.just(3),
        excerpt=st.just("x"),
    ),
    st.builds(LogLine, at=st.floats(0, 60), node=st.just("e"), level=st.just("info"), text=st.just("x")),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(EVENTS, max_size=25))
def test_nothing_that_a_node_sends_raises_or_makes_a_figure_negative(events):
    def run():
        engine = Engine(MESH)
        told = [told for event in events for told in (*engine.receive(event), *engine.tick(event.at))]
        return engine.view(60.0), told

    view, told = run()
    for link in (*view.snapshot.links, *(event for event in told if isinstance(event, LinkEvent))):
        for name in ("rtt_ms", "pdv_ms", "loss_pct", "tx_bps", "retrans_per_s", "retrans_pct", "dsack_pct"):
            figure = getattr(link, name)
            assert figure is None or 0 <= figure < 1e18
        assert link.loss_pct is None or link.loss_pct <= 100
    encoded = msgspec.json.encode([view.snapshot, told])
    again_view, again_told = run()
    assert msgspec.json.encode([again_view.snapshot, again_told]) == encoded


STUCK = st.builds(
    msgspec.structs.replace,
    SOCKETS,
    id=st.just(SocketId("10.0.0.5", 4000, "10.0.0.1", 443, "1")),
    state=st.just("ESTAB"),
    bytes_acked=st.just(1000),
    unacked=st.integers(1, 2**70),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(STUCK, min_size=4, max_size=12))
def test_whatever_a_stalled_socket_prints_its_record_can_be_written(readings):
    engine = Engine(MESH)
    told = []
    for n, reading in enumerate(readings):
        sockets = SocketChanges(full=n == 0, changed=(reading,), total=1)
        info = NodeInfo(kernel="6.1.0", ss="6.1.0")
        made = Frame(boot="b", probe="p", seq=n, uptime_s=100.0 + n, interval_s=1.0, sockets=sockets, info=info)
        told += engine.receive(FrameReceived(at=EPOCH + n, node="e", connection=1, frame=made))
    view = engine.view(EPOCH + len(readings))
    msgspec.json.encode([view.snapshot, view.stalls, told])
    assert len({stall.id for stall in view.stalls}) <= 1
    assert all(0 <= stall.duration_s <= 112 for stall in view.stalls)
