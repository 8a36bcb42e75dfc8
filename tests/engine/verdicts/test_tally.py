"""What a socket's reading says of who holds it up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from meshtop.engine.verdicts.rules import IN_FLIGHT, WINDOW
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.tally import ACKED, FIELDS, RECEIVED, Cell, is_unread
from meshtop.readings import SocketId, SocketMemory, SocketReading

# A send buffer of 16 KB (doubled by the kernel) that a write has filled, all of it on its way: Linux 6.18, ss 6.1.
FULL = SocketReading(
    id=SocketId("10.10.10.5", 43204, "10.10.10.1", 5001, "1"),
    state="ESTAB",
    recv_q=0,
    send_q=63_000,
    cwnd=143,
    unacked=43,
    skmem=SocketMemory(sndbuf=32_768, wmem_queued=64_936),
)
MOVED = tuple(9000 if place == ACKED else 0 for place in range(len(FIELDS)))
GOT = tuple(9000 if place == RECEIVED else 0 for place in range(len(FIELDS)))
# All of an open window is on its way (13 × 1348 of 17,524 bytes), and more waits. Linux 6.18, ss 6.1.
HELD = msgspec.structs.replace(FULL, cwnd=26, unacked=13, mss=1348, snd_wnd=17_524, notsent=57_964, skmem=None)


@pytest.mark.parametrize(
    ("fields", "known", "full"),
    [
        ({}, 1, 1),
        ({"notsent": 5000}, 1, 0),  # what waits, waits for the congestion window
        ({"unacked": 143}, 1, 0),  # the window is full, which an ss without `notsent` tells as well
        ({"skmem": SocketMemory(sndbuf=105_984, wmem_queued=86_336)}, 1, 0),  # there is room for another write
        ({"skmem": SocketMemory(sndbuf=105_984)}, 0, 0),
        ({"skmem": None}, 0, 0),
    ],
)
def test_a_send_buffer_is_full_when_no_write_fits_and_all_of_it_is_on_its_way(
    fields: dict[str, Any], known: int, full: int
) -> None:
    cell = Cell(10.0, 1.0)
    cell.add(MOVED, msgspec.structs.replace(FULL, **fields), 0)
    assert (cell.buffer_known, cell.buffer_full) == (known, full)


@pytest.mark.parametrize(
    ("fields", "known", "full"),
    [
        ({}, 1, 1),
        ({"unacked": 9}, 1, 0),  # the window has room
        ({"notsent": None}, 1, 0),  # nothing waits for it
        ({"unacked": 1, "mss": 1152, "snd_wnd": 1152}, 1, 0),  # as good as closed: who reads does not keep up
        ({"snd_wnd": None}, 0, 0),
        ({"mss": None}, 0, 0),
    ],
)
def test_an_open_window_is_the_limit_when_all_of_it_is_on_its_way_and_more_waits(
    fields: dict[str, Any], known: int, full: int
) -> None:
    cell = Cell(10.0, 1.0)
    cell.add(MOVED, msgspec.structs.replace(HELD, **fields), 0)
    assert (cell.window_known, cell.window_full) == (known, full)


@pytest.mark.parametrize(
    ("recv_q", "skmem", "unread"),
    [
        (75_664, SocketMemory(rcvbuf=131_072), True),  # a store that reads at 2 Mbit/s
        (2_696, SocketMemory(rcvbuf=600_000), False),  # what had just come when a fast one was looked at
        (0, SocketMemory(), None),
        (9_000, None, None),
    ],
)
def test_what_a_reader_leaves_unread(recv_q: int, skmem: SocketMemory | None, unread: bool | None) -> None:
    reading = msgspec.structs.replace(FULL, recv_q=recv_q, skmem=skmem)
    assert is_unread(reading) is unread
    for step, count in ((GOT, unread is not None), (MOVED, False)):  # of what receives alone
        cell = Cell(10.0, 1.0)
        cell.add(step, reading, 0)
        assert (cell.received, cell.unread) == (count, count and unread)


def test_what_the_window_comes_to_is_said(link: Callable[..., LinkSignals]) -> None:
    told = WINDOW.summary(link(window_bytes=74_948, srtt_ms=143.2, peer_unread_share=0.0))
    assert told == (
        "e → a on vpn: a reads at once, but never lets more be on its way than its window of 73kB: "
        "4.2Mbit/s at 143.2 ms a round trip"
    )
    assert WINDOW.summary(link(peer_unread_share=0.0)).endswith("than its window")
    assert "may or may not read slowly" in WINDOW.summary(link(peer_unread_share=0.4))
    assert "may or may not read slowly" in WINDOW.summary(link())  # its socket is in a pod, for one


def test_whose_window_it_is_is_said_where_the_buffer_was_seen(link: Callable[..., LinkSignals]) -> None:
    assert "its application gives: the send buffer has room" in IN_FLIGHT.summary(link(buffer_full_share=0.0))
    assert "its send buffer or its application" in IN_FLIGHT.summary(link())
