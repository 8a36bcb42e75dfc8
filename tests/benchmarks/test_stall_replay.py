"""The slower probe that a recording is replayed as: what it would have sent, neither more nor less."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.stall_replay import slower
from meshtop.model import FrameReceived, LogLine
from meshtop.readings import Frame, NodeInfo, PingReply, SocketChanges, SocketId, SocketReading

ONE = SocketId("10.0.0.1", 1000, "10.0.0.2", 80, "1")
TWO = SocketId("10.0.0.1", 1001, "10.0.0.2", 80, "2")


def reading(id_: SocketId = ONE, **fields: Any) -> SocketReading:
    return SocketReading(id=id_, state="ESTAB", recv_q=0, send_q=0, **fields)


def frame(
    n: int,
    *changed: SocketReading,
    gone: tuple[SocketId, ...] = (),
    full: bool = False,
    sockets: bool = True,
    node: str = "e",
    interval_s: float = 0.1,
    **fields: Any,
) -> FrameReceived:
    """The n-th at 10 Hz."""
    told = SocketChanges(full=full, changed=changed, gone=gone, total=9) if sockets else None
    uptime_s = 100 + n / 10
    value = Frame(
        boot="b", probe="p", seq=n + 1, uptime_s=uptime_s, interval_s=interval_s, sockets=told, raw_bytes=10, **fields
    )
    return FrameReceived(at=1e9 + uptime_s, node=node, connection=1, frame=value)


def kept(events: list[FrameReceived], interval_s: float = 0.5) -> list[Frame]:
    return [event.frame for event in slower(events, interval_s) if isinstance(event, FrameReceived)]


def test_one_in_so_many_frames_is_kept_with_the_number_and_interval_of_its_own_stream() -> None:
    frames = kept([frame(n) for n in range(11)])
    assert [each.uptime_s for each in frames] == [100.0, 100.5, 101.0]
    assert [each.seq for each in frames] == [1, 2, 3]
    assert {each.interval_s for each in frames} == {0.5}
    assert [each.raw_bytes for each in frames] == [10, 50, 50]


def test_frames_that_are_late_or_missing_leave_the_ticks_where_they_were() -> None:
    events = [frame(n) for n in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 14, 15)]
    assert [each.uptime_s for each in kept(events)] == [100.0, 100.7, 101.0, 101.5]


def test_changes_add_up_to_the_newest_of_each_socket() -> None:
    events = [
        frame(0, reading(bytes_acked=1), reading(TWO, bytes_acked=1), full=True),
        frame(1, reading(bytes_acked=2)),
        frame(2, reading(TWO, bytes_acked=5)),
        frame(3, reading(bytes_acked=3)),
        frame(4),
        frame(5, reading(bytes_acked=4)),
    ]
    first, second = kept(events)
    assert first.sockets is not None
    assert first.sockets.full
    assert second.sockets is not None
    assert not second.sockets.full
    assert {each.id: each.bytes_acked for each in second.sockets.changed} == {ONE: 4, TWO: 5}


def test_a_socket_at_rest_since_has_grown_older() -> None:
    events = [
        frame(0, full=True),
        frame(2, reading(bytes_acked=2, lastack_ms=40, lastsnd_ms=90)),
        *(frame(n) for n in (3, 4, 5)),
    ]
    sockets = kept(events)[1].sockets
    assert sockets is not None
    (told,) = sockets.changed
    assert (told.bytes_acked, told.lastack_ms, told.lastsnd_ms, told.lastrcv_ms) == (2, 340, 390, 300)


def test_what_came_and_went_in_between_was_never_seen() -> None:
    events = [frame(0, full=True), frame(2, reading()), frame(4, gone=(ONE,)), frame(5)]
    sockets = kept(events)[1].sockets
    assert sockets is not None
    assert sockets.changed == ()
    assert sockets.gone == ()


def test_what_went_is_told_gone_once() -> None:
    events = [frame(0, reading(), full=True), frame(2, gone=(ONE,)), *(frame(n) for n in range(3, 11))]
    gone = [each.sockets.gone for each in kept(events) if each.sockets is not None]
    assert gone == [(), (ONE,), ()]


def test_a_whole_frame_in_between_makes_the_next_one_whole() -> None:
    events = [
        frame(0, reading(), reading(TWO), full=True),
        frame(2, reading(TWO, bytes_acked=7), full=True),
        frame(5),
        frame(10),
    ]
    _, second, third = kept(events)
    assert second.sockets is not None
    assert second.sockets.full
    assert [each.id for each in second.sockets.changed] == [TWO]
    assert third.sockets is not None
    assert not third.sockets.full
    assert third.sockets.changed == ()


def test_without_sockets_in_any_of_them_there_are_none() -> None:
    events = [frame(0, full=True), *(frame(n, sockets=False) for n in range(1, 6))]
    assert kept(events)[1].sockets is None


def test_pings_and_what_the_node_says_of_itself_are_not_lost() -> None:
    reply = PingReply(target="10.0.0.2", payload_bytes=56, seq=1, rtt_ms=1.0, uptime_s=100.2)
    events = [
        frame(0),
        frame(1, info=NodeInfo(ss="6.1.0")),
        frame(2, pings=(reply,)),
        frame(3, info=NodeInfo(kernel="6.1")),
        frame(5, unparsed=1),
    ]
    second = kept(events)[1]
    assert second.pings == (reply,)
    assert second.info is not None
    assert (second.info.ss, second.info.kernel) == ("6.1.0", "6.1")
    assert second.unparsed == 1


def test_nodes_are_kept_apart_and_everything_else_passes() -> None:
    line = LogLine(at=1.0, node=None, level="info", text="x")
    events = [frame(0), frame(1, node="a"), line, frame(2), frame(3, node="a"), frame(5), frame(6, node="a")]
    out = list(slower(events, 0.5))
    assert [getattr(each, "node", "?") for each in out] == ["e", "a", None, "e", "a"]
    assert line in out


@pytest.mark.parametrize("interval_s", [0.1, 0.05])
def test_at_its_own_pace_or_faster_a_recording_stays_as_it_is(interval_s: float) -> None:
    events = [frame(n) for n in range(5)]
    assert list(slower(events, interval_s)) == events
