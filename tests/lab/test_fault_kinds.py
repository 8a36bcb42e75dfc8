"""What each fault of the way does to packets, under scripted time and seeded chance."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.lab.faults import Fault, FaultRequest, make_fault
from meshtop.lab.faults.mtu import fragmentation_needed

SITES = ("a", "b")
TCP, UDP, ICMP = 6, 17, 1


def fault(kind: str, value: str = "") -> Fault:
    return make_fault(FaultRequest(target="a", kind=kind, value=value), SITES)


def packet(size: int = 1000, protocol: int = TCP, fragment: int = 0x4000) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, size, 7, fragment, 64, protocol, 0, b"\xc6\x12\0\1", b"\xc6\x12\0\2")
    return head + bytes([8]).ljust(size - 20, b"\0")  # for ICMP: an echo request


def through(made: Fault, times: Sequence[float], data: bytes = b"", seed: int = 3) -> list[Sequence[float]]:
    random = Random(seed)
    return [made.passes(at, data or packet(), random) for at in times]


def steps(count: int, gap_s: float) -> list[float]:
    return [100.0 + n * gap_s for n in range(count)]


def test_loss_loses_the_share_that_was_asked_for() -> None:
    passed = through(fault("loss", "5%"), steps(20_000, 0.001))
    assert sum(map(len, passed)) == pytest.approx(19_000, abs=150)  # five standard deviations


def test_burst_loss_loses_its_share_in_runs_of_the_length_asked_for() -> None:
    lost = [not times for times in through(fault("burst-loss", "2%/10"), steps(200_000, 0.001))]
    runs = [len(list(group)) for gone, group in itertools.groupby(lost) if gone]
    assert sum(lost) / len(lost) == pytest.approx(0.02, rel=0.25)
    assert sum(runs) / len(runs) == pytest.approx(10, rel=0.2)
    assert max(runs) > 25  # lengths vary as chance has them


def test_burst_loss_of_single_packets_is_plain_loss() -> None:
    lost = [not times for times in through(fault("burst-loss", "10%/1"), steps(20_000, 0.001))]
    assert sum(lost) / len(lost) == pytest.approx(0.1, rel=0.1)


def test_delay_delays_and_says_by_how_much() -> None:
    assert fault("delay", "40ms").passes(1.0, b"", Random(1)) == (1.04,)
    assert fault("delay", "1.5s").added_s == 1.5
    assert fault("delay", "7").added_s == 0.007


@given(st.lists(st.floats(0, 0.05), min_size=1, max_size=200), st.integers(0, 9))
def test_jitter_adds_no_more_than_asked_and_keeps_the_order(gaps: list[float], seed: int) -> None:
    times = list(itertools.accumulate(gaps, initial=50.0))
    out = [each[0] for each in through(fault("jitter", "20ms"), times, seed=seed)]
    assert out == sorted(out)
    assert all(0 <= later - at <= 0.020 + 1e-9 for at, later in zip(times, out, strict=True))


def test_jitter_uses_the_whole_range() -> None:
    times = steps(2000, 0.1)
    added = [out[0] - at for at, out in zip(times, through(fault("jitter", "20ms"), times), strict=True)]
    assert sum(added) / len(added) == pytest.approx(0.010, rel=0.1)
    assert min(added) < 0.001
    assert max(added) > 0.019


def test_reorder_makes_a_share_late_and_loses_none() -> None:
    times = steps(20_000, 0.001)
    out = through(fault("reorder", "5%/8ms"), times)
    late = [each[0] - at for at, each in zip(times, out, strict=True) if each[0] != at]
    assert {len(each) for each in out} == {1}
    assert len(late) == pytest.approx(1000, abs=150)
    assert late == pytest.approx([0.008] * len(late))


def test_duplicate_doubles_its_share_and_loses_none() -> None:
    out = through(fault("duplicate", "5%"), steps(20_000, 0.001))
    assert {len(each) for each in out} == {1, 2}
    assert sum(len(each) == 2 for each in out) == pytest.approx(1000, abs=150)


def test_hold_lets_a_bunch_go_at_the_end_of_each_period() -> None:
    times = steps(4000, 0.001)
    out = [each[0] for each in through(fault("hold", "300ms/2s"), times)]
    waited = [at for at, later in zip(times, out, strict=True) if later > at]
    assert len(waited) == pytest.approx(600, abs=2)  # the last 300 ms of each of two periods
    bunches = {round(later, 6) for at, later in zip(times, out, strict=True) if later > at}
    assert bunches == {102.0, 104.0}
    assert out == sorted(out)
    assert out[0] == times[0]  # the first packet is not held


def test_a_rate_between_a_pair_spaces_packets_and_drops_beyond_its_queue() -> None:
    made = make_fault(FaultRequest(target="a:b", kind="rate", value="8M"), SITES)
    assert made.line_of() is None
    out = through(made, [5.0] * 200)
    passed = [each[0] for each in out if each]
    assert passed == pytest.approx([5.0 + (n + 1) * 0.001 for n in range(len(passed))])
    assert 65 <= len(passed) <= 67  # 64 KiB of queue and the packet on the line
    assert through(made, [6.0])[0] == pytest.approx((6.001,))


def test_the_rate_and_the_queue_of_a_site_are_those_of_its_line() -> None:
    rate, queue = fault("rate", "2M"), fault("queue", "500ms")
    assert rate.line_of() == queue.line_of() == "a"
    assert rate.set_line(10e6, 65536, up=True) == (2e6, 65536)
    assert queue.set_line(2e6, 65536, up=False) == (2e6, 125_000)
    assert fault("queue", "256k").set_line(2e6, 65536, up=True) == (2e6, 262_144)
    up_only = make_fault(FaultRequest(target="a", kind="rate", value="2M", one_way=True), SITES)
    assert up_only.set_line(10e6, 65536, up=False) == (10e6, 65536)


def test_a_policer_passes_its_rate_and_its_burst_and_delays_nothing() -> None:
    made = fault("policer", "4M/20k")
    times = steps(10_000, 0.001)  # 8 Mbit/s are offered for ten seconds
    out = through(made, times)
    passed = sum(map(len, out))
    assert passed * 1000 * 8 == pytest.approx(4e6 * 10 + 20 * 1024 * 8, rel=0.01)
    assert all(each in ((), (at,)) for at, each in zip(times, out, strict=True))
    assert all(out[:20])  # the burst


def test_a_policer_below_its_rate_drops_nothing() -> None:
    assert all(through(fault("policer", "9M"), steps(5000, 0.001)))


@pytest.mark.parametrize(("protocol", "expected"), [(UDP, 20), (TCP, 100), (ICMP, 100)])
def test_an_udp_policer_is_for_udp_alone(protocol: int, expected: int) -> None:
    made = fault("policer-udp", "8k/20000")
    assert sum(map(len, through(made, [1.0] * 100, packet(protocol=protocol)))) == expected


def test_icmp_drop_drops_all_icmp_and_nothing_else() -> None:
    made = fault("icmp-drop")
    assert [len(made.passes(1.0, packet(protocol=each), Random(1))) for each in (ICMP, TCP, UDP)] == [0, 1, 1]


def test_port_block_drops_what_goes_to_these_ports_alone() -> None:
    made = fault("port-block", "5201-5210")
    for protocol, port, passes in (
        (TCP, 5201, True), (UDP, 5210, True), (TCP, 5211, False), (TCP, 443, False), (ICMP, 5205, False),
    ):  # fmt: skip
        data = bytearray(packet(protocol=protocol))
        data[20:24] = (5205).to_bytes(2, "big") + port.to_bytes(2, "big")
        assert len(made.passes(1.0, bytes(data), Random(1))) == (0 if passes else 1)
    later = bytearray(packet(protocol=TCP))
    later[6:8] = (185).to_bytes(2, "big")  # a fragment has no ports of its own
    later[22:24] = (5201).to_bytes(2, "big")
    assert len(made.passes(1.0, bytes(later), Random(1))) == 1


@pytest.mark.parametrize("kind", ["blackout", "mgmt-cut"])
def test_nothing_passes_a_blackout(kind: str) -> None:
    assert through(fault(kind), steps(3, 1.0)) == [(), (), ()]


@pytest.mark.parametrize("kind", ["mtu", "mtu-blackhole"])
def test_an_mtu_drops_what_is_larger(kind: str) -> None:
    made = fault(kind, "1300")
    assert [len(made.passes(1.0, packet(size), Random(1))) for size in (1300, 1301)] == [1, 0]


def test_only_the_mtu_with_icmp_answers() -> None:
    assert fault("mtu-blackhole", "1300").answer(packet(1400)) is None
    answer = fault("mtu", "1300").answer(packet(1400))
    assert answer is not None
    assert (answer[12:16], answer[16:20]) == (b"\xc6\x12\0\xfe", b"\xc6\x12\0\1")  # from the router to the sender
    assert len(answer) == int.from_bytes(answer[2:4], "big") <= 576
    assert (answer[9], answer[20], answer[21]) == (ICMP, 3, 4)
    assert int.from_bytes(answer[26:28], "big") == 1300
    assert answer[28:] == packet(1400)[: len(answer) - 28]
    assert ones_sum(answer[:20]) == ones_sum(answer[20:]) == 0xFFFF  # RFC 1071: right checksums add up to this


def ones_sum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_icmp_errors_and_later_fragments_are_not_answered() -> None:
    error = bytearray(packet(1400, ICMP))
    error[20] = 3
    assert fragmentation_needed(bytes(error), 1300) is None
    assert fragmentation_needed(packet(1400, fragment=0x0010), 1300) is None
    assert fragmentation_needed(packet(1400, ICMP), 1300) is not None  # a ping is
