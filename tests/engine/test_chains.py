"""Readings of several probes of one kernel: every moment is counted once, in whatever order they arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshtop.engine.attribution import Attribution, OwnConnections
from meshtop.engine.chains import Chains, Reading
from meshtop.engine.counters import RETRANS, CounterReading
from meshtop.model import LinkKey, Mesh, Node, Path
from meshtop.readings import SocketChanges, SocketId, SocketReading

LINK = LinkKey("e", "a", "vpn")
MESH = Mesh(
    name="m",
    nodes=(Node(name="a", address={"vpn": "10.0.0.1"}), Node(name="e", address={"vpn": "10.0.0.5"})),
    paths=(Path(name="vpn", kind="overlay"),),
)


class Kernel:
    """Sockets that come, move and go in time; what a probe reads at any moment is a function of it alone."""

    def __init__(self, lives: list[tuple[int, int, int]], with_cookies: bool) -> None:
        # Each life: made at, closed at (exclusive), bytes a tick.
        self.lives = lives
        self.with_cookies = with_cookies

    def sockets(self, tick: int) -> dict[SocketId, int]:
        return {
            SocketId("10.0.0.5", 4000 + n, "10.0.0.1", 443, f"{n:x}" if self.with_cookies else None): (tick - made)
            * rate
            for n, (made, closed, rate) in enumerate(self.lives)
            if made <= tick < closed
        }

    def retrans(self, tick: int) -> int:
        return tick * 3


class KernelProbe:
    """Reads the kernel every other tick and sends what changed, as the real one does."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.kernel, self.name = kernel, name
        self.known: dict[SocketId, int] | None = None

    def read(self, tick: int) -> Reading:
        now = self.kernel.sockets(tick)
        before = self.known
        moved = [
            SocketReading(id=socket, state="ESTAB", recv_q=0, send_q=0, bytes_acked=count, bytes_sent=count)
            for socket, count in now.items()
            if before is None or before.get(socket) != count
        ]
        gone = [] if before is None else [socket for socket in before if socket not in now]
        self.known = now
        changes = SocketChanges(full=before is None, changed=tuple(moved), gone=tuple(gone), total=len(now))
        counters = CounterReading({"Tcp": {"RetransSegs": self.kernel.retrans(tick)}}, None, None, None)
        return Reading(float(tick), 2.0, counters, changes)


def true_bytes(kernel: Kernel, spans: list[tuple[int, int]]) -> int:
    """What can be known from readings at the ends of these spans: what a socket moved until the last reading that
    shows it."""
    total = 0
    for start, end in spans:
        before, after = kernel.sockets(start), kernel.sockets(end)
        total += sum(count - before.get(socket, 0) for socket, count in after.items())
    return total


LIVES = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 40), st.integers(0, 10_000)).map(
        lambda life: (life[0], life[0] + life[1], life[2])
    ),
    max_size=6,
)


@st.composite
def overlapping_probes(draw: st.DrawFn) -> tuple[Kernel, list[tuple[str, list[int]]], list[str]]:
    """Up to three probes with their reading times, and an order in which their readings arrive."""
    kernel = Kernel(draw(LIVES), draw(st.booleans()))
    probes = []
    for n in range(draw(st.integers(1, 3))):
        first = draw(st.integers(0, 30))
        ticks = range(first, first + 2 * draw(st.integers(1, 15)), 2)
        probes.append((f"p{n}", list(ticks)))
    order = draw(st.permutations([name for name, ticks in probes for _ in ticks]))
    return kernel, probes, list(order)


def run(kernel: Kernel, probes: list[tuple[str, list[int]]], order: list[str]):
    chains = Chains(Attribution(MESH, "e", OwnConnections()))
    readers = {name: KernelProbe(kernel, name) for name, _ in probes}
    waiting = {name: iter(ticks) for name, ticks in probes}
    steps = []
    for name in order:
        steps.extend(chains.fold(name, readers[name].read(next(waiting[name]))))
    return steps, chains


@settings(max_examples=400, deadline=None)
@given(overlapping_probes())
def test_no_moment_is_counted_twice_and_no_count_exceeds_the_truth(case):
    kernel, probes, order = case
    steps, _ = run(kernel, probes, order)
    spans = sorted((int(step.start_s), int(step.end_s)) for step in steps)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert all(start < end for start, end in spans)
    for step in steps:
        start, end = int(step.start_s), int(step.end_s)
        assert step.counters.tcp[RETRANS] == kernel.retrans(end) - kernel.retrans(start)
        assert step.activities is not None
        activity = step.activities.get(LINK)
        counted = activity.acked_bytes if activity else 0
        assert counted == true_bytes(kernel, [(start, end)])
        assert step.sockets_s == end - start


@settings(max_examples=300, deadline=None)
@given(overlapping_probes())
def test_stretches_that_overlap_or_touch_become_one(case):
    """Once all has arrived, what the probes covered together is measured, whatever the order was."""
    kernel, probes, order = case
    steps, _ = run(kernel, probes, order)
    covered = merged([(ticks[0], ticks[-1]) for _, ticks in probes])
    measured = merged(sorted((int(step.start_s), int(step.end_s)) for step in steps))
    assert measured == [span for span in covered if span[0] < span[1]]


def merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans joined where they overlap or lie at most one interval (2) apart."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] <= 2:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


@settings(max_examples=100, deadline=None)
@given(LIVES, st.lists(st.integers(1, 30), min_size=1, max_size=20), st.booleans())
def test_one_probe_loses_nothing_over_readings_that_were_lost(lives, gaps, with_cookies):
    """Frames that never come leave longer intervals, not smaller totals: the sockets that stayed are counted whole."""
    kernel = Kernel([(made, 10_000, rate) for made, _, rate in lives], with_cookies)
    probe = KernelProbe(kernel, "p")
    chains = Chains(Attribution(MESH, "e", OwnConnections()))
    tick = 0
    chains.fold("p", probe.read(tick))
    total = 0
    for gap in gaps:
        tick += gap
        for step in chains.fold("p", probe.read(tick)):
            assert step.activities is not None
            total += step.activities[LINK].acked_bytes if LINK in step.activities else 0
    assert total == true_bytes(kernel, [(0, tick)])


def test_a_gap_waits_for_the_late_frames_and_is_closed_exactly():
    kernel = Kernel([(0, 1000, 100)], True)
    chains = Chains(Attribution(MESH, "e", OwnConnections()))
    old, new = KernelProbe(kernel, "old"), KernelProbe(kernel, "new")
    chains.fold("old", old.read(0))
    late = [old.read(tick) for tick in (2, 4, 6)]
    assert chains.fold("new", new.read(9)) == ()
    assert [(s.start_s, s.end_s) for s in chains.fold("new", new.read(11))] == [(9.0, 11.0)]
    spans = [(s.start_s, s.end_s) for reading in late for s in chains.fold("old", reading)]
    assert spans == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)]  # 3 are missing: the next may still come
    assert [(s.start_s, s.end_s) for s in chains.fold("old", old.read(8))] == [(6.0, 8.0), (8.0, 9.0)]
    assert chains.fold("old", old.read(10)) == ()
    assert chains.redundant == 1


def test_sockets_that_could_not_be_read_for_a_while_are_counted_over_the_longer_time():
    kernel = Kernel([(0, 1000, 100)], True)
    chains = Chains(Attribution(MESH, "e", OwnConnections()))
    probe = KernelProbe(kernel, "p")
    chains.fold("p", probe.read(0))
    (blind,) = chains.fold("p", probe.read(2)._replace(sockets=None))
    assert (blind.activities, blind.sockets_s) == (None, 0.0)
    assert not chains.sockets_known
    (seen,) = chains.fold("p", probe.read(4))
    assert seen.activities is not None
    assert (seen.activities[LINK].acked_bytes, seen.sockets_s) == (400, 4.0)
    assert chains.sockets_known


@pytest.mark.parametrize("chains_begun", [20])
def test_what_never_heals_does_not_grow_without_bound(chains_begun):
    chains = Chains(Attribution(MESH, "e", OwnConnections()))
    kernel = Kernel([], True)
    for n in range(chains_begun):
        chains.fold(f"p{n}", KernelProbe(kernel, f"p{n}").read(100 * n))
    assert len(chains._chains) == 8
    assert len(chains._of_probe) <= 16
