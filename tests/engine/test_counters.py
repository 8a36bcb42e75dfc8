"""Differences of counters are never negative and never absurd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine.counters import (
    DSACK,
    MAX_PER_S,
    RETRANS,
    WRAP_AT,
    CounterReading,
    advance,
    difference,
)
from meshtop.readings import SoftnetRow


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.floats(0, 1e6))
def test_a_step_is_unknown_or_plausible(before, now, seconds):
    step = advance(before, now, seconds)
    assert step is None or 0 <= step <= MAX_PER_S * max(seconds, 1.0)


@given(st.integers(0, 2**40), st.integers(0, 10**9))
def test_a_counter_that_rises_is_taken_as_it_is(before, step):
    assert advance(before, before + step, 1.0) == step


@given(st.integers(0, 2**29), st.integers(1, 2**29))
def test_a_32_bit_counter_wraps(now, short_of_the_end):
    before = WRAP_AT - short_of_the_end
    assert advance(before, now, 1.0) == now + short_of_the_end


def test_a_counter_that_fell_otherwise_has_begun_anew():
    assert advance(3_000_000_000, 5, 1.0) is None  # not near the end of 32 bits
    assert advance(2**40, 5, 1.0) is None  # beyond 32 bits
    assert advance(WRAP_AT - 5, 2**31, 1.0) is None  # not near the start


def reading(snmp=None, netstat=None, net_dev=None, softnet=None):
    return CounterReading(snmp, netstat, net_dev, softnet)


def test_what_a_node_cannot_give_is_not_known():
    before = reading({"Tcp": {"RetransSegs": 5}}, {"TcpExt": {}})
    now = reading({"Tcp": {"RetransSegs": 7}}, {"TcpExt": {"TCPDSACKRecv": 4}})
    deltas = difference(before, now, 1.0)
    assert (deltas.tcp[RETRANS], deltas.tcp[DSACK]) == (2, None)
    assert deltas.devices is None
    assert deltas.softnet_dropped is None


def test_interfaces_that_come_or_start_anew_are_not_known_and_still_ones_are_left_out(build):
    before = reading(net_dev={"eth0": build.dev(100, 100), "tun0": build.dev(900, 900), "lo": build.dev(1, 1)})
    now = reading(
        net_dev={"eth0": build.dev(150, 130), "tun0": build.dev(3, 3), "lo": build.dev(1, 1), "eth1": build.dev(9, 9)}
    )
    devices = difference(before, now, 1.0).devices
    assert devices is not None
    assert (devices["eth0"].rx_bytes, devices["eth0"].tx_bytes) == (50, 30)
    assert devices["tun0"] is None
    assert devices["eth1"] is None
    assert "lo" not in devices


@pytest.mark.parametrize(
    ("before", "now", "dropped"),
    [
        ({"RcvbufErrors": 5, "MemErrors": 1}, {"RcvbufErrors": 9, "MemErrors": 2}, 5),
        ({"RcvbufErrors": 5}, {"RcvbufErrors": 5}, 0),  # MemErrors are of Linux 5.11 and later
        ({"RcvbufErrors": 5}, {"RcvbufErrors": 2}, None),
        ({"InErrors": 5}, {"InErrors": 7}, None),
    ],
)
def test_datagrams_that_found_no_room(before, now, dropped):
    assert difference(reading({"Udp": before}), reading({"Udp": now}), 1.0).udp_dropped == dropped


def test_softnet_counts_the_cpus_that_were_there_before():
    def row(cpu, dropped):
        return SoftnetRow(cpu=cpu, processed=1, dropped=dropped, time_squeeze=0)

    before = reading(softnet=(row(0, 5), row(1, 7)))
    now = reading(softnet=(row(0, 6), row(1, 7), row(2, 100)))
    assert difference(before, now, 1.0).softnet_dropped == 1
