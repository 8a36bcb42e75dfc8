"""What a receiver alone can tell of a stall, and what it must not take for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshtop.engine.events import StallEvent
from meshtop.engine.receivers import Receivers
from meshtop.model import SessionChanged
from meshtop.readings import SocketId, SocketMemory, SocketReading

ID = SocketId("10.10.10.5", 5001, "10.10.10.1", 40000, "1")
HOLE = {"skmem": SocketMemory(rmem_alloc=9000)}
BASE = SocketReading(
    id=ID, state="ESTAB", recv_q=0, send_q=0, skmem=SocketMemory(rmem_alloc=0), bytes_received=5000, lastrcv_ms=5
)


def reading(**fields: Any) -> SocketReading:
    return msgspec.structs.replace(BASE, **fields)


def watched(*, cause: dict[str, Any], seconds: float = 2.0, moves: bool = False) -> tuple[Receivers, list[Any]]:
    """A socket five times a second from 10.0 on, that shows ``cause`` and receives nothing in order, or does."""
    receivers = Receivers()
    found = []
    for n in range(round(seconds / 0.2) + 1):
        aged = {"lastrcv_ms": 10} if moves else {"lastrcv_ms": 200 * n}
        arrived = 5000 + 1448 * n if moves else 5000
        found += receivers.see(reading(**{**aged, "bytes_received": arrived, **cause}), 10.0 + 0.2 * n)
    return receivers, found


def test_a_hole_that_nothing_fills_is_a_stall_from_the_last_segment_in_order_on() -> None:
    receivers, found = watched(cause=HOLE)
    (opened,) = found
    assert (opened.outcome, opened.cause, opened.settled, opened.seen_by) == ("open", "recovery", False, "receiver")
    assert opened.start_uptime_s == pytest.approx(10.0)
    (standing,) = receivers.open_stalls
    assert standing.duration_s == pytest.approx(2.0)
    (closed,) = receivers.see(reading(lastrcv_ms=100, bytes_received=90_000), 12.2)
    assert (closed.outcome, closed.end_uptime_s, closed.resolution_s) == (
        "recovered",
        pytest.approx(12.1),
        pytest.approx(0.2),
    )
    assert receivers.open_stalls == []


def test_a_hole_in_a_socket_of_which_nothing_changes_grows_older_too() -> None:
    receivers = Receivers()
    receivers.see(reading(**HOLE), 10.0)
    assert receivers.unchanged(set(), 10.2) == []
    (opened,) = receivers.unchanged(set(), 10.8)
    assert opened.outcome == "open"
    assert [stall.outcome for stall in receivers.gone(ID, 11.0)] == ["lost"]


def test_a_window_that_is_shut_on_unread_data() -> None:
    _, found = watched(cause={"recv_q": 60_000, "rcv_wnd": 0})
    assert [stall.cause for stall in found] == ["zero-window"]


@pytest.mark.parametrize(
    ("cause", "moves"),
    [
        ({}, False),  # a receiver that rests
        (HOLE, True),  # reordering: holes come and are filled
        ({"recv_q": 60_000, "rcv_wnd": 64_000}, False),  # unread, and yet there is room
        ({"recv_q": 60_000, "rcv_wnd": None}, False),  # an ss that does not tell the window
        ({"recv_q": 60_000, "skmem": SocketMemory(rmem_alloc=70_000)}, False),
        ({**HOLE, "state": "CLOSE-WAIT"}, False),  # it is the FIN that lies there
        ({"skmem": None}, False),
        ({**HOLE, "srtt_ms": 1500.0}, False),  # a path that takes its time
    ],
)
def test_what_is_none(cause: dict[str, Any], moves: bool) -> None:
    receivers, found = watched(cause=cause, moves=moves)
    assert found == []
    assert receivers.open_stalls == []


def stalls_of(told: Any) -> list[StallEvent]:
    return [event for event in told if isinstance(event, StallEvent)]


@pytest.mark.parametrize("sender_seen", [False, True])
def test_a_hole_is_told_only_where_the_sender_is_not_seen(build: Any, sender_seen: bool) -> None:
    tale = build.Story(start=1000.0, interval_s=0.2)
    tale.begin(build.full(reading(bytes_received=1)))
    there = build.Probe(node="a", name="probe-a", interval_s=0.2)
    tale.receive(SessionChanged(at=tale.now, node="a", connection=1, phase="up"))
    told = []
    for n in range(15):
        tale.uptime += 0.2
        if sender_seen:
            mirror = reading(id=SocketId(ID.peer, ID.peer_port, ID.local, ID.local_port, "7"))
            tale.receive(there.tell(tale.uptime, build.full(mirror)))
        frame = tale.probe.tell(tale.uptime, build.changed(reading(lastrcv_ms=200 * n, **HOLE)))
        told += stalls_of(tale.receive(frame))
    if sender_seen:
        assert told == []
        return
    (stall,) = told
    assert (stall.src, stall.dst, stall.path, stall.node) == ("a", "e", "vpn", "e")
    assert stall.evidence["receiver"]["rmem_alloc"] == 9000
    assert tale.node().stalls == 1


def test_a_sender_outside_of_the_mesh_has_no_name(build: Any) -> None:
    tale = build.Story(start=1000.0, interval_s=0.2)
    client = ID._replace(peer="192.0.2.9")
    tale.begin(build.full(reading(id=client)))
    told = []
    for n in range(8):
        tale.uptime += 0.2
        frame = tale.probe.tell(tale.uptime, build.changed(reading(id=client, lastrcv_ms=200 * n, **HOLE)))
        told += stalls_of(tale.receive(frame))
    (stall,) = told
    assert (stall.src, stall.dst, stall.path) == (None, "e", "vpn")
