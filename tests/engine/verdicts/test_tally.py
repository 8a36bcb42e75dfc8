"""What a socket's reading says of who holds it up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from meshtop.engine.verdicts.rules import IN_FLIGHT
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.tally import ACKED, FIELDS, Cell
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


def test_whose_window_it_is_is_said_where_the_buffer_was_seen(link: Callable[..., LinkSignals]) -> None:
    assert "its application gives: the send buffer has room" in IN_FLIGHT.summary(link(buffer_full_share=0.0))
    assert "its send buffer or its application" in IN_FLIGHT.summary(link())
