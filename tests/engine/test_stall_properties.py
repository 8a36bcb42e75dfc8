"""Stalls over probes that take over from each other in any order: none doubled, none split, none invented."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshtop.engine.attribution import Attribution, OwnConnections, Services
from meshtop.engine.chains import Chains, Reading
from meshtop.engine.clockmap import BootClock
from meshtop.engine.counters import CounterReading
from meshtop.engine.stallbook import StallBook
from meshtop.engine.waits import Waits
from meshtop.model import Mesh, Node, Path
from meshtop.readings import SocketChanges, SocketId, SocketReading

MESH = Mesh(
    name="m",
    nodes=(Node(name="a", address={"vpn": "10.0.0.1"}), Node(name="e", address={"vpn": "10.0.0.5"})),
    paths=(Path(name="vpn", kind="overlay"),),
)
FIELDS = frozenset(SocketReading.__struct_fields__)
PERIOD_S = 0.2
SOCKET = SocketId("10.0.0.5", 4000, "10.0.0.1", 443, "1")


class Flow:
    """Always has data waiting; ACKs each 10 ms but for the times in ``still`` (ticks of a fifth of a second)."""

    def __init__(self, still: list[tuple[float, float]]) -> None:
        self.still = still

    def read(self, at: float) -> SocketReading:
        waited = next((at - start for start, end in self.still if start <= at <= end), None)
        stood = sum(max(0.0, min(at, end) - start) for start, end in self.still if start < at)
        return SocketReading(
            id=SOCKET,
            state="ESTAB",
            recv_q=0,
            send_q=9000,
            unacked=10,
            mss=1448,
            rto_ms=240.0,
            srtt_ms=40.0,
            bytes_acked=1 + 1448 * round(100 * (at - stood)),
            busy_ms=round(1000 * at),
            lastack_ms=5 if waited is None else round(1000 * waited),
        )


@st.composite
def times(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Stalls of more than half a second, with more than half a second between them."""
    at, still = 0.0, []
    for gap, length in draw(st.lists(st.tuples(st.floats(0.7, 5), st.floats(0.7, 6)), max_size=4)):
        still.append((round(at + gap, 2), round(at + gap + length, 2)))
        at += gap + length
    return still


@st.composite
def cases(draw: st.DrawFn) -> tuple[Flow, list[tuple[str, list[float]]], list[str]]:
    """A flow; up to three probes with the times of their readings; an order in which these arrive. A probe's own come
    in their order."""
    probes = []
    for n in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, 100))
        ticks = range(first, first + draw(st.integers(5, 100)))
        offset = draw(st.sampled_from([0.0, 0.03, 0.11]))
        probes.append((f"p{n}", [round(PERIOD_S * tick + offset, 3) for tick in ticks]))
    order = draw(st.permutations([name for name, ticks in probes for _ in range((len(ticks) + 9) // 10)]))
    return Flow(draw(times())), probes, list(order)


def records(flow: Flow, probes: list[tuple[str, list[float]]], order: list[str]):
    """What the book holds when all has arrived, ten readings of a probe at a time."""
    own = OwnConnections()
    attribution = Attribution(MESH, "e", own)
    waits = Waits(own, Services(MESH, "e"), lambda _waits, _waiting: ("delay", True), FIELDS)
    chains, book, clock = Chains(attribution, waits), StallBook(), BootClock(0.0, 0.0)
    waiting = {name: iter(enumerate(ticks)) for name, ticks in probes}
    for name in order:
        for number, at in itertools.islice(waiting[name], 10):
            changes = SocketChanges(full=number == 0, changed=(flow.read(at),), total=1)
            chains.fold(name, Reading(at, PERIOD_S, CounterReading(None, None, None, None), changes))
            for stall in chains.found:
                book.take("e", "boot", clock, stall)
            chains.found.clear()
            if chains.waits is not None:
                for stall in chains.waits.detector.open_stalls:
                    book.take("e", "boot", clock, stall)
    return list(book)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_a_stall_is_told_once_and_never_where_there_was_none(case) -> None:
    flow, probes, order = case
    found = records(flow, probes, order)
    for record in found:
        stall = record.stall
        fits = [
            (start, end)
            for start, end in flow.still
            if (stall.start_uptime_s >= start - 0.05 and stall.end_uptime_s <= end + PERIOD_S + 0.05)
            or (stall.sampling_gap and stall.start_uptime_s < end and stall.end_uptime_s > start)
        ]  # fmt: skip
        assert fits, (stall.start_uptime_s, stall.end_uptime_s, flow.still)
    acked = [record.key.stands_at for record in found]
    assert len(acked) == len(set(acked)) <= len(flow.still)


@settings(max_examples=300, deadline=None)
@given(times(), st.integers(5, 60), st.integers(5, 60), st.integers(1, 20), st.data())
def test_once_all_has_arrived_it_is_as_if_one_probe_had_seen_it(still, first, second, overlap, data) -> None:
    """Two probes that overlap: whatever came when, the records are those of an unbroken watch."""
    flow = Flow(still)
    early = [round(PERIOD_S * tick, 3) for tick in range(first + overlap)]
    late = [round(PERIOD_S * tick + 0.05, 3) for tick in range(first, first + overlap + second)]
    probes = [("p0", early), ("p1", late)]
    order = data.draw(st.permutations([name for name, ticks in probes for _ in range((len(ticks) + 9) // 10)]))
    end = late[-1]
    found = sorted(
        (record.stall.start_uptime_s, record.stall.end_uptime_s, record.stall.outcome)
        for record in records(flow, probes, list(order))
    )
    whole = [(a, b) for a, b in still if a > 0.1 and b < end - PERIOD_S]
    seen = [(a, b) for a, b, outcome in found if outcome == "recovered"]
    assert len(seen) >= len(whole)
    for (start, stop), (found_start, found_stop) in zip(whole, seen, strict=False):
        assert found_start == pytest.approx(start, abs=0.06)
        assert found_stop == pytest.approx(stop, abs=PERIOD_S + 0.06)
    still_open = [1 for a, b in still if a + 0.5 < end <= b]
    assert sum(outcome == "open" for *_, outcome in found) >= len(still_open)
