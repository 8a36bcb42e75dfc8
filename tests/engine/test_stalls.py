"""The stall detector: every transition, and what must never raise one."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.stall import Stall, Waiting
from meshtop.engine.stall_machine import TRANSITIONS, Signal, State
from meshtop.engine.stall_socket import threshold_s
from meshtop.engine.stalls import StallDetector
from meshtop.readings import SocketId, SocketReading, Timer

ID = SocketId("10.10.10.5", 40112, "10.10.10.1", 5201, "1a2b")
SUPPORTED = frozenset(SocketReading.__struct_fields__)
BASE = SocketReading(
    id=ID,
    state="ESTAB",
    recv_q=0,
    send_q=0,
    rto_ms=240.0,
    srtt_ms=40.0,
    minrtt_ms=38.0,
    mss=1448,
    cwnd=10,
    bytes_acked=1000,
    busy_ms=0,
    lastack_ms=0,
)


def reading(**fields: Any) -> SocketReading:
    return msgspec.structs.replace(BASE, **fields)


def known(_waiting: Waiting) -> tuple[str, bool]:
    return "delay", True


class Feed:
    """A detector with a clock: ``take`` is one frame with one socket."""

    def __init__(self, period_s: float = 0.2, supported: frozenset[str] = SUPPORTED) -> None:
        self.detector = StallDetector(known, supported)
        self.period_s = period_s
        self.found: list[Stall] = []

    def take(self, at: float, **fields: Any) -> list[Stall]:
        return self.see(at, [reading(**fields)])

    def see(self, at: float, changed: list[SocketReading], gone: tuple[SocketId, ...] = ()) -> list[Stall]:
        new = self.detector.observe(at, changed, gone, period_s=self.period_s)
        self.found += new
        return new

    @property
    def closed(self) -> list[Stall]:
        return [stall for stall in self.found if stall.outcome != "open"]


def flowing_until(feed: Feed, end: float, *, busy: bool = True) -> int:
    """Readings at the feed's period up to ``end`` in which data waits and moves. Returns bytes_acked."""
    acked = 1000
    count = round(end / feed.period_s)
    for n in range(count + 1):
        at = n * feed.period_s
        acked = 1000 + 10000 * n
        feed.take(at, bytes_acked=acked, unacked=10, busy_ms=round(1000 * at) if busy else 0, lastack_ms=5)
    return acked


def test_every_state_has_an_answer_to_every_signal() -> None:
    assert set(TRANSITIONS) == set(itertools.product(State, Signal))


def test_a_stall_opens_and_closes_with_its_times() -> None:
    feed = Feed()
    acked = flowing_until(feed, 2.0)
    for n in range(1, 11):  # nothing moves from 2.0 (last ACK at 1.995) to 4.0
        at = 2.0 + 0.2 * n
        feed.take(
            at,
            bytes_acked=acked,
            unacked=10,
            busy_ms=round(1000 * at),
            lastack_ms=round(1000 * (at - 1.995)),
            backoff=1,
        )
    assert feed.detector.state(ID) is State.STALLED
    (open_stall,) = feed.detector.open_stalls
    assert open_stall.outcome == "open"
    feed.take(4.2, bytes_acked=acked + 1448, unacked=5, busy_ms=4200, lastack_ms=100)
    (stall,) = feed.closed
    assert stall.start_uptime_s == pytest.approx(1.995, abs=0.001)
    assert stall.end_uptime_s == pytest.approx(4.1, abs=0.001)
    assert stall.resolution_s == pytest.approx(0.2, abs=0.001)
    assert (stall.outcome, stall.cause, stall.settled) == ("recovered", "delay", True)
    assert feed.detector.state(ID) is State.FLOWING
    assert feed.detector.open_stalls == ()


def test_a_stall_is_told_when_it_opens_when_its_cause_changes_and_when_it_closes() -> None:
    causes = iter(["recovery", "recovery", "rto-no-ack", "rto-no-ack", "rto-no-ack"])
    detector = StallDetector(lambda _: (next(causes), True), SUPPORTED)
    phases = []
    acked = 1000
    for n in range(8):
        at = 0.2 * n
        if n == 7:
            acked += 1
        for stall in detector.observe(
            at,
            [reading(bytes_acked=acked, unacked=3, busy_ms=round(1000 * at), lastack_ms=round(1000 * at))],
            period_s=0.2,
        ):
            phases.append((stall.outcome, [c.cause for c in stall.causes]))
    assert (
        phases
        == [
            ("open", ["recovery"]),
            ("open", ["recovery", "rto-no-ack"]),
            ("recovered", ["recovery", "rto-no-ack"]),
        ][: len(phases)]
    )
    assert phases[-1][0] == "recovered"
    assert len(phases) == 3


def test_an_application_that_writes_rarely_never_stalls() -> None:
    """A minute of silence, then data that waits for one round trip when it is looked at."""
    feed = Feed()
    feed.take(0.0, bytes_acked=1000, busy_ms=500)
    for n in range(1, 50):
        feed.take(n * 60.0, bytes_acked=1000 + n * 500, unacked=1, busy_ms=500 + 40 * n, lastack_ms=60000)
        feed.take(n * 60.0 + 0.2, bytes_acked=1000 + n * 500 + 400, busy_ms=500 + 40 * n + 30, lastack_ms=100)
    assert feed.found == []


def test_without_the_busy_guard_the_same_would_be_taken_for_stalls_so_it_is_named_as_missing() -> None:
    feed = Feed(supported=SUPPORTED - {"busy_ms"})
    feed.take(0.0, bytes_acked=1000, unacked=1, busy_ms=None)
    feed.take(2.0, bytes_acked=1000, unacked=1, busy_ms=None)
    (stall,) = feed.found
    assert stall.missing == ("busy_ms",)


@pytest.mark.parametrize("period_s", [0.2, 1.0])
def test_chatter_on_an_old_node_without_the_busy_guard_raises_nothing(period_s: float) -> None:
    """Whenever it is looked at, a segment has just been sent: nothing says since when, so nothing is claimed."""
    feed = Feed(period_s=period_s, supported=SUPPORTED - {"busy_ms", "lastack_ms"})
    for n in range(60):
        feed.take(n * period_s, bytes_acked=1000 + 400 * n, unacked=1, busy_ms=None, lastack_ms=None)
    for n in range(60, 120):  # now it is caught with data in every other reading only
        feed.take(n * period_s, bytes_acked=25000 + 400 * (n // 2), unacked=n % 2, busy_ms=None, lastack_ms=None)
    assert feed.found == []


def test_without_acked_bytes_no_stall_is_ever_raised() -> None:
    feed = Feed(supported=frozenset())
    for n in range(100):
        feed.take(0.2 * n, bytes_acked=None, unacked=10, busy_ms=200 * n, lastack_ms=200 * n)
    assert feed.found == []


def test_the_wait_begins_with_the_data_when_nothing_was_outstanding() -> None:
    feed = Feed()
    feed.take(0.0, bytes_acked=1000, busy_ms=100, lastack_ms=10)
    for n in range(1, 21):  # idle until 10.0, then data that nobody acknowledges
        at = 9.8 + 0.2 * n
        feed.take(at, bytes_acked=1000, unacked=1, busy_ms=100 + round(1000 * (at - 9.9)), lastack_ms=round(1000 * at))
    feed.take(14.0, bytes_acked=2000, busy_ms=4150, lastack_ms=50)
    (stall,) = feed.closed
    assert stall.start_uptime_s == pytest.approx(9.9, abs=0.01)
    assert stall.end_uptime_s == pytest.approx(13.95, abs=0.01)


def test_waiting_less_than_two_round_trips_or_an_rto_is_no_stall() -> None:
    assert threshold_s(reading(rto_ms=240.0, srtt_ms=40.0)) == pytest.approx(0.24)
    assert threshold_s(reading(rto_ms=240.0, srtt_ms=400.0)) == pytest.approx(0.8)
    assert threshold_s(reading(rto_ms=100.0, srtt_ms=1.0)) == pytest.approx(0.2)
    # three time-outs have doubled it thrice
    assert threshold_s(reading(rto_ms=1920.0, backoff=3)) == pytest.approx(0.24)
    # zero-window probes do not back the RTO itself off in that way
    assert (
        threshold_s(reading(rto_ms=960.0, backoff=2, timer=Timer(kind="persist", expires_ms=1, retransmits=2))) == 0.96
    )
    assert threshold_s(reading(rto_ms=None)) is None


def test_a_time_out_that_has_grown_with_the_spread_of_round_trips_excuses_no_more_than_a_second() -> None:
    assert threshold_s(reading(rto_ms=2712.0, srtt_ms=419.6)) == pytest.approx(1.0)
    assert threshold_s(reading(rto_ms=5388.0, srtt_ms=2179.3)) == pytest.approx(4.3586)


def test_a_long_path_is_given_its_time() -> None:
    feed = Feed()
    for n in range(10):
        feed.take(
            0.2 * n, bytes_acked=1000, unacked=10, busy_ms=200 * n, lastack_ms=200 * n, srtt_ms=1200.0, rto_ms=2400.0
        )
    assert feed.found == []


def test_the_socket_that_goes_while_it_stalls_is_lost() -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    for at in (1.2, 1.4, 1.6):
        feed.take(at, bytes_acked=acked, unacked=9, busy_ms=round(1000 * at), lastack_ms=round(1000 * (at - 1)))
    feed.see(1.8, [], (ID,))
    assert [stall.outcome for stall in feed.closed] == ["lost"]
    assert feed.detector.state(ID) is None


def test_a_socket_that_goes_while_it_flows_says_nothing() -> None:
    feed = Feed()
    flowing_until(feed, 1.0)
    feed.see(1.2, [], (ID,))
    assert feed.found == []


@pytest.mark.parametrize("fell", [{"bytes_acked": 1}, {"segs_out": 3}, {"inode": 78}])
def test_the_same_addresses_without_a_cookie_are_another_socket_when_the_counters_fall(fell: dict[str, int]) -> None:
    feed = Feed()
    unnamed = ID._replace(cookie=None)
    for n in range(9):
        at = 0.2 * n
        waits = {"unacked": 9, "busy_ms": round(1000 * at), "lastack_ms": round(1000 * at)}
        feed.take(at, id=unnamed, bytes_acked=5000, segs_out=20, inode=77, **waits)
    last = {"id": unnamed, "bytes_acked": 5000, "segs_out": 20, "inode": 77, "unacked": 1, "busy_ms": 1700, **fell}
    feed.take(1.8, **last)
    assert [stall.outcome for stall in feed.closed] == ["lost"]
    feed.take(2.0, **{**last, "bytes_acked": 9000})
    assert feed.detector.state(unnamed) is State.FLOWING


def test_with_a_cookie_a_lower_reading_is_an_older_one_and_changes_nothing() -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    for at in (1.2, 1.4, 1.6):
        feed.take(at, bytes_acked=acked, unacked=9, busy_ms=round(1000 * at), lastack_ms=round(1000 * (at - 1)))
    feed.take(1.8, bytes_acked=acked - 5000, unacked=9, busy_ms=1000, lastack_ms=5)
    assert feed.detector.state(ID) is State.STALLED
    assert feed.closed == []


def test_a_socket_that_is_not_sent_again_because_nothing_of_it_changed_goes_on_waiting() -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    feed.take(1.2, bytes_acked=acked, unacked=9, busy_ms=1200, lastack_ms=205)
    for at in (1.4, 1.6, 1.8):
        feed.see(at, [])
    assert feed.detector.state(ID) is State.STALLED
    (stall,) = feed.detector.open_stalls
    assert stall.start_uptime_s == pytest.approx(0.995, abs=0.01)


def test_one_that_stalled_already_when_it_was_first_seen_is_dated_back() -> None:
    feed = Feed()
    for n in range(6):
        at = 100 + 0.2 * n
        feed.take(
            at,
            bytes_acked=5,
            unacked=9,
            busy_ms=20000 + 200 * n,
            lastack_ms=round(1000 * (at - 99.0)),
            backoff=2,
            rto_ms=960.0,
        )
    (stall,) = feed.detector.open_stalls
    assert stall.start_uptime_s == pytest.approx(99.0, abs=0.01)


def test_dating_back_stops_where_the_back_off_says_that_the_data_is_younger() -> None:
    """The last ACK was an hour ago, but one time-out of 240 ms has doubled once."""
    feed = Feed()
    for n in range(4):
        at = 100 + 0.2 * n
        feed.take(at, bytes_acked=5, unacked=9, busy_ms=20000 + 200 * n, lastack_ms=3_600_000, backoff=1, rto_ms=480.0)
    (stall,) = feed.detector.open_stalls
    assert stall.start_uptime_s > 99


def test_missing_readings_make_the_cause_undetermined_and_are_told() -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    feed.take(11.0, bytes_acked=acked, unacked=9, busy_ms=11000, lastack_ms=10005)
    (stall,) = feed.detector.open_stalls
    assert stall.sampling_gap
    assert (stall.cause, stall.settled) == ("undetermined", False)
    assert stall.start_uptime_s == pytest.approx(0.995, abs=0.01)
    feed.take(21.0, bytes_acked=acked + 9, unacked=9, busy_ms=21000, lastack_ms=5)
    (closed,) = feed.closed
    assert closed.resolution_s == pytest.approx(10.0)


def test_moving_within_a_gap_is_no_stall() -> None:
    feed = Feed()
    flowing_until(feed, 1.0)
    feed.take(11.0, bytes_acked=999_999, unacked=9, busy_ms=11000, lastack_ms=5)
    assert feed.found == []


def test_retransmissions_within_the_stall_are_counted() -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    for n, at in enumerate((1.2, 1.4, 1.6)):
        feed.take(
            at,
            bytes_acked=acked,
            unacked=9,
            busy_ms=round(1000 * at),
            lastack_ms=round(1000 * (at - 1)),
            retrans_total=n + 1,
        )
    (stall,) = feed.detector.open_stalls
    assert stall.retransmitted_segs is not None
    feed.take(1.8, bytes_acked=acked + 1, unacked=9, busy_ms=1800, lastack_ms=5, retrans_total=3)
    assert feed.closed[0].retransmitted_segs == 3


def test_thousands_of_short_flows_raise_nothing_and_leave_nothing() -> None:
    feed = Feed(period_s=1.0)
    before: tuple[SocketId, ...] = ()
    for n in range(50):
        ids = tuple(SocketId("10.0.0.1", 1000 + i, "10.0.0.2", 80, f"{n:x}-{i:x}") for i in range(100))
        feed.see(float(n), [reading(id=id_, bytes_acked=1, unacked=1, busy_ms=4, lastack_ms=2) for id_ in ids], before)
        before = ids
    feed.see(50.0, [], before)
    assert feed.found == []
    assert all(feed.detector.state(id_) is None for id_ in before)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, bool]]:
    """(time, whether bytes are acknowledged until then) of a flow that always has data to send."""
    gaps = draw(st.lists(st.tuples(st.floats(0.01, 3.0), st.booleans()), min_size=2, max_size=60))
    at, history = 0.0, []
    for gap, moves in gaps:
        at += gap
        history.append((at, moves))
    return history


@given(histories(), st.sampled_from([0.1, 0.2, 1.0]))
def test_whatever_happens_stalls_of_a_socket_follow_each_other_and_lie_within_what_was_seen(
    history: list[tuple[float, bool]], period_s: float
) -> None:
    feed = Feed(period_s=period_s)
    acked, last_ack = 1000, 0.0
    feed.take(0.0, bytes_acked=acked, unacked=5)
    for at, moves in history:
        if moves:
            acked, last_ack = acked + 1448, at
        feed.take(at, bytes_acked=acked, unacked=5, busy_ms=int(1000 * at), lastack_ms=round(1000 * (at - last_ack)))
    closed = feed.closed
    for stall in closed:
        assert 0 <= stall.start_uptime_s <= stall.end_uptime_s <= history[-1][0]
        assert stall.duration_s >= 0.19
    for one, two in itertools.pairwise(closed):
        assert one.end_uptime_s <= two.start_uptime_s + 0.002
    moved = [0.0, *(at for at, moves in history if moves)]
    longest = max((b - a for a, b in itertools.pairwise(moved)), default=0.0)
    assert all(stall.duration_s <= longest + 0.003 for stall in closed)


def causes_of_a_stall(names: list[str]) -> Stall:
    """One whose judge says these, a reading after the other."""
    said = iter(names)
    detector = StallDetector(lambda _: (next(said), True), SUPPORTED)
    feed = Feed()
    feed.detector = detector
    acked = flowing_until(feed, 1.0)
    at = 1.0
    for _ in names:
        at += 0.3
        feed.take(at, bytes_acked=acked, unacked=9, busy_ms=round(1000 * at), lastack_ms=round(1000 * (at - 1)))
    feed.take(at + 0.3, bytes_acked=acked + 1, unacked=9, busy_ms=round(1000 * at) + 300, lastack_ms=5)
    (stall,) = feed.closed
    return stall


def test_what_is_seen_at_the_end_of_a_wait_does_not_hide_what_explains_it() -> None:
    """The window has opened, and the data that follows waits for its first ACK."""
    stall = causes_of_a_stall(["zero-window", "zero-window", "delay"])
    assert (stall.cause, stall.settled) == ("zero-window", True)
    assert [each.cause for each in stall.causes] == ["zero-window", "delay"]


@pytest.mark.parametrize(("sent_again", "cause"), [(0, "delay"), (1, "recovery")])
def test_what_was_sent_again_just_before_it_moved_was_no_mere_delay(sent_again: int, cause: str) -> None:
    feed = Feed()
    acked = flowing_until(feed, 1.0)
    for at in (1.2, 1.4, 1.6):
        feed.take(at, bytes_acked=acked, unacked=3, busy_ms=round(1000 * at), lastack_ms=round(1000 * (at - 1)))
    feed.take(1.8, bytes_acked=acked + 1, unacked=3, busy_ms=1800, lastack_ms=5, retrans_total=sent_again)
    (stall,) = feed.closed
    assert stall.cause == cause


def test_a_cause_that_is_over_before_the_wait_is_still_explains_it() -> None:
    """The outage is over and pings are answered; TCP waits for its timer."""
    assert causes_of_a_stall(["rto-no-ack", "blackout", "rto-no-ack", "rto-no-ack"]).cause == "blackout"


def test_of_causes_that_were_seen_to_hold_the_longest_counts() -> None:
    assert causes_of_a_stall(["zero-window", "blackout", "blackout", "rto-no-ack"]).cause == "blackout"
    assert causes_of_a_stall(["outer-stall", "outer-stall", "blackout", "rto-no-ack"]).cause == "outer-stall"
    assert causes_of_a_stall(["size-blackhole", "rto-no-ack"]).cause == "rto-no-ack"


def test_of_two_causes_that_explain_a_wait_the_later_one_counts() -> None:
    assert causes_of_a_stall(["recovery", "rto-no-ack", "blackout"]).cause == "blackout"
    assert causes_of_a_stall(["delay", "recovery"]).cause == "recovery"
