"""When a burst that iperf3 does not end is ended."""

from __future__ import annotations

import asyncio

from meshtop.burst import BurstInterval, BurstPlan, BurstRequest
from meshtop.collect.burst_size import STUCK_S, EndBySize, is_endless

MB = 1_000_000


def planned(*, reverse: bool = True) -> BurstPlan:
    request = BurstRequest(src="e", dst="a", path="p", bytes=MB, reverse=reverse)
    return BurstPlan(request=request, server="a", client="e", turned=False, connect_to="192.0.2.1")


def sent(t: float, bps: float) -> BurstInterval:
    return BurstInterval(t=t, bps=bps)


def test_versions_without_an_end() -> None:
    assert [is_endless(version) for version in ("3.7", "3.9", "3.10", "3.12", "3.17.1", None)] == [True, True] + [
        False
    ] * 4


async def test_an_old_client_is_ended_when_it_has_enough() -> None:
    ended = asyncio.Event()
    size = EndBySize(planned(), ended.set)
    size.heard(sent(0.5, 8e6), endless=True)  # half of it
    assert not size.came
    size.heard(sent(0.95, 8e6), endless=True)  # 50 ms are left at that rate
    async with asyncio.timeout(5):
        await ended.wait()
    figures = {"sent_bytes": MB, "sender_bps": 8e6, "received_bytes": MB, "receiver_bps": 8e6}
    assert size.without_the_wait(figures, [sent(0.5, 0.0)]) == (figures, (sent(0.5, 0.0),))


async def test_one_that_stands_still_has_no_rate_to_go_by() -> None:
    size = EndBySize(planned(), lambda: None)
    size.heard(sent(0.5, 8e6), endless=True)
    size.heard(sent(20.0, 0.0), endless=True)
    await asyncio.sleep(0)
    assert not size.came


def test_what_waits_for_the_last_block_is_ended_and_the_wait_is_not_counted() -> None:
    ends: list[int] = []
    size = EndBySize(planned(), lambda: ends.append(1))
    size.heard(sent(1.0, 7.95e6), endless=False)
    size.heard(sent(1.0 + STUCK_S - 0.5, 0.0), endless=False)
    assert not ends
    size.heard(sent(1.0 + STUCK_S, 0.0), endless=False)
    size.heard(sent(2.0 + STUCK_S, 0.0), endless=False)
    assert ends == [1]
    figures = {"sent_bytes": MB, "sender_bps": 0.7e6, "received_bytes": 900_000, "receiver_bps": 0.6e6}
    told, intervals = size.without_the_wait(figures, [sent(1.0, 7.95e6), sent(11.0, 0.0)])
    assert (told["sender_bps"], told["receiver_bps"]) == (8e6, 7.2e6)
    assert intervals == (sent(1.0, 7.95e6),)


def test_a_stall_before_all_was_sent_is_waited_for() -> None:
    ends: list[int] = []
    size = EndBySize(planned(), lambda: ends.append(1))
    size.heard(sent(1.0, 4e6), endless=False)
    size.heard(sent(60.0, 0.0), endless=False)
    assert not ends


def test_a_client_that_sends_ends_by_itself() -> None:
    ends: list[int] = []
    size = EndBySize(planned(reverse=False), lambda: ends.append(1))
    size.heard(sent(1.0, 8e6), endless=True)
    size.heard(sent(60.0, 0.0), endless=True)
    assert not ends
