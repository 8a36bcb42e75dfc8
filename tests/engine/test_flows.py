"""Sockets to links: what counts from zero, what sets a baseline, what is never counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.attribution import Attribution, OwnConnections
from meshtop.engine.flows import FlowTable, fields_missing, progress
from meshtop.model import LinkKey

LINK = LinkKey("e", "a", "vpn")


@pytest.fixture
def table(build):
    return FlowTable(Attribution(build.mesh(), "e", OwnConnections()))


def acked(activities):
    return activities[LINK].acked_bytes if LINK in activities else 0


def test_the_first_full_reading_sets_the_baseline(table, build):
    assert table.fold(build.full(build.socket(acked=5000)), 1.0) is None
    assert acked(table.fold(build.changed(build.socket(acked=5300)), 1.0)) == 300


def test_changes_without_a_full_reading_before_them_count_nothing(table, build):
    assert table.fold(build.changed(build.socket(acked=5000)), 1.0) is None
    assert not table.complete
    assert table.fold(build.changed(build.socket(acked=6000)), 1.0) is None
    assert table.fold(build.full(build.socket(acked=7000)), 1.0) is None
    assert acked(table.fold(build.changed(build.socket(acked=7001)), 1.0)) == 1


def test_the_syn_and_the_fin_are_no_bytes(table, build):
    table.fold(build.full(), 1.0)
    assert table.fold(build.changed(build.socket(acked=1)), 1.0) == {}
    table.fold(build.changed(gone=[build.socket().id]), 1.0)
    other = build.socket(local_port=41000, cookie="9", acked=1002, bytes_sent=1500, bytes_retrans=500)
    assert acked(table.fold(build.changed(other), 1.0)) == 1000
    waiting = build.socket(local_port=42000, cookie="a", acked=800, bytes_sent=3000)
    assert acked(table.fold(build.changed(waiting), 1.0)) == 800


def test_another_cookie_on_the_same_addresses_is_another_socket(table, build):
    table.fold(build.full(build.socket(acked=50_000, cookie="1")), 1.0)
    assert acked(table.fold(build.changed(build.socket(acked=60_000, bytes_sent=60_000, cookie="2")), 1.0)) == 60_000
    assert table.gauges(LINK).flows == 1  # the old one cannot be there any more


def test_without_cookies_counters_that_fell_are_a_new_socket(table, build):
    table.fold(build.full(build.socket(acked=50_000, cookie=None)), 1.0)
    assert acked(table.fold(build.changed(build.socket(acked=700, cookie=None)), 1.0)) == 700


def test_with_a_cookie_a_lower_reading_is_an_older_one(table, build):
    table.fold(build.full(build.socket(acked=50_000)), 1.0)
    assert acked(table.fold(build.changed(build.socket(acked=49_000)), 1.0)) == 0
    assert acked(table.fold(build.changed(build.socket(acked=51_000)), 1.0)) == 1000


def test_a_full_reading_replaces_all(table, build):
    one, two = build.socket(acked=10, local_port=1), build.socket(acked=10, local_port=2, cookie="2")
    table.fold(build.full(one, two), 1.0)
    assert table.gauges(LINK).flows == 2
    assert table.fold(build.full(build.socket(acked=30, local_port=2, cookie="2")), 1.0)[LINK].acked_bytes == 20
    assert table.gauges(LINK).flows == 1


def test_a_socket_that_was_missing_for_a_moment_is_not_new(table, build):
    """Its line was damaged once: what it moved before must not be counted again."""
    table.fold(build.full(build.socket(acked=9_000_000)), 1.0)
    table.fold(build.full(), 1.0)
    assert acked(table.fold(build.changed(build.socket(acked=9_000_500)), 1.0)) == 500


def test_a_socket_that_moved_to_another_row_is_not_gone(table, build):
    table.fold(build.full(build.socket(acked=100)), 1.0)
    moved = build.socket(acked=150)
    assert acked(table.fold(build.changed(moved, gone=[moved.id]), 1.0)) == 50
    assert table.gauges(LINK).flows == 1


def test_where_the_baseline_stands_the_syn_is_told_apart(table, build):
    """Another chain may count these from zero, up to here."""
    table.fold(build.full(build.socket(acked=1001, bytes_sent=1000), build.socket(local_port=2, acked=1)), 1.0)
    assert sorted(cumulative[0] - no_data for cumulative, no_data in table.standing().values()) == [0, 1000]


def test_a_socket_that_goes_keeps_what_it_moved(table, build):
    table.fold(build.full(build.socket(acked=0)), 1.0)
    moved = table.fold(build.changed(build.socket(acked=100)), 1.0)
    assert table.fold(build.changed(gone=[build.socket().id]), 1.0) == {}
    assert acked(moved) == 100
    assert table.gauges(LINK).flows == 0


@pytest.mark.parametrize(
    ("state", "flows"),
    [("ESTAB", 1), ("CLOSE-WAIT", 1), ("FIN-WAIT-1", 1), ("FIN-WAIT-2", 0), ("SYN-SENT", 0), ("TIME-WAIT", 0)],
)
def test_flows_are_sockets_that_may_still_send(table, build, state, flows):
    table.fold(build.full(build.socket(acked=10)), 1.0)
    table.fold(build.changed(build.socket(acked=20, state=state)), 1.0)
    assert table.gauges(LINK).flows == flows


def test_a_time_wait_without_counters_takes_its_socket_away_and_nothing_back(table, build):
    table.fold(build.full(build.socket(acked=10_000, cookie=None)), 1.0)
    assert table.fold(build.changed(build.socket(cookie=None, state="TIME-WAIT")), 1.0) == {}
    assert table.gauges(LINK).flows == 0


def test_gauges_are_of_open_flows_and_the_unmeasured_minrtt_is_none(table, build):
    table.fold(
        build.full(
            build.socket(local_port=1, cookie="1", minrtt_ms=4_294_967.295, pmtu=1500),
            build.socket(local_port=2, cookie="2", minrtt_ms=38.5, pmtu=1400),
            build.socket(local_port=3, cookie="3", minrtt_ms=37.5, pmtu=1300, state="FIN-WAIT-2"),
        ),
        1.0,
    )
    gauges = table.gauges(LINK)
    assert (gauges.flows, gauges.minrtt_ms, gauges.pmtu) == (2, 38.5, 1400)


def test_srtt_is_the_median_of_the_flows_that_moved(table, build):
    def flows(*acked_and_srtt):
        return [
            build.socket(local_port=n, cookie=f"{n}", acked=count, srtt_ms=srtt)
            for n, (count, srtt) in enumerate(acked_and_srtt)
        ]

    table.fold(build.full(*flows((0, 1.0), (0, 1.0), (0, 1.0), (0, 1.0))), 1.0)
    moved = table.fold(build.changed(*flows((9, 40.0), (9, 50.0), (9, 90.0), (0, 999.0))), 1.0)
    assert moved[LINK].srtt_ms == 50.0


def test_mapped_addresses_are_the_same_as_plain_ones(table, build):
    table.fold(build.full(build.socket(peer="::ffff:10.10.10.1", acked=0)), 1.0)
    assert acked(table.fold(build.changed(build.socket(peer="::ffff:10.10.10.1", acked=7)), 1.0)) == 7


COUNTERS = st.tuples(*[st.integers(0, 2**64) for _ in range(5)])


@given(COUNTERS, COUNTERS, st.booleans(), st.floats(0.01, 100))
def test_no_step_is_negative_or_absurd(before, now, has_cookie, seconds):
    step, standing = progress(before, now, has_cookie, seconds)
    assert all(0 <= part <= 125e9 * max(seconds, 1.0) for part in step)
    if has_cookie:
        assert all(new >= old or old >= 2**31 for old, new in zip(before, standing, strict=True))


def test_which_fields_are_missing():
    assert fields_missing("6.1.0", "6.1.0", ()) == ()
    assert fields_missing("4.9.0", "4.9.0", ()) == ("dsack_dups",)
    assert fields_missing("4.9.0", "4.9.0", ("dsack_dups",)) == ()  # it was printed, so it is supported
    assert "bytes_acked" in fields_missing(None, None, ())
