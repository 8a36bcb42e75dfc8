"""Each kind of fault against kernel TCP, UDP and ping, with the WAN's log and captures as the truth."""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab
from meshtop.lab.run_truth import RunTruth

pytestmark = pytest.mark.lab

Iperf3 = Callable[..., dict[str, Any]]


def received_bps(report: dict[str, Any]) -> float:
    return float(report["end"]["sum_received"]["bits_per_second"])


def ping(lab: Lab, src: str, dst: str, *options: str) -> list[tuple[float, int, float]]:
    """What came back, in the order in which it came: time of arrival, sequence number, round trip in ms."""
    said = lab.exec(src, ["ping", "-n", "-D", *options, lab.address("public", dst)]).stdout
    found = re.findall(r"^\[([\d.]+)\].* icmp_seq=(\d+) .*time=([\d.]+) ms", said, re.MULTILINE)
    return [(float(at), int(number), float(rtt)) for at, number, rtt in found]


def counters(lab: Lab, node: str) -> dict[str, int]:
    """/proc/net/netstat of a node."""
    lines = lab.exec(node, ["cat", "/proc/net/netstat"]).stdout.splitlines()
    found: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found |= dict(zip(names.split()[1:], map(int, values.split()[1:]), strict=True))
    return found


def since(lab: Lab, node: str, before: dict[str, int]) -> Counter[str]:
    return Counter({name: value - before.get(name, 0) for name, value in counters(lab, node).items()})


@pytest.fixture
def forgets_mtu(lab: Lab) -> Iterator[None]:
    """What a node has learned of the ways' MTU is kept for ten minutes."""
    yield
    for node in lab.nodes:
        lab.exec(node, ["ip", "route", "flush", "cache"])


def test_every_byte_that_did_not_arrive_is_in_the_log(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    lab.fault("e", "loss", "1%", net="public", one_way=True)
    with RunTruth(lab, "e", "a", "public", tmp_path) as truth:
        iperf3(lab, "e", "a", "public", "-P", "4", "-t", "3")
    flows = [flow for flow in truth.flows() if flow.data_bytes > 100_000]
    assert len(flows) == 4
    lost = 0
    for flow in flows:
        assert flow.toll is not None
        assert flow.arrived_bytes is not None
        assert flow.data_bytes - flow.arrived_bytes == flow.toll.dropped_bytes
        assert set(flow.toll.dropped) <= {"loss", "queue-full"}
        lost += flow.toll.dropped["loss"]
    assert lost >= 20
    assert sum(flow.needless_bytes or 0 for flow in flows) <= 0.05 * sum(flow.retransmitted_bytes for flow in flows)


def test_burst_loss_comes_in_runs(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    def fault() -> None:
        lab.fault("e:c", "burst-loss", "5%/10", net="public", one_way=True)

    with RunTruth(lab, "e", "c", "public", tmp_path) as truth:
        report = iperf3(lab, "e", "c", "public", "-u", "-b", "8M", "-l", "500", "-t", "3", once_connected=fault)
    lost = [event for event in truth.events() if event.why == "burst-loss" and event.size == 528]
    total = report["end"]["sum"]
    assert len(lost) == pytest.approx(total["lost_packets"], abs=25)  # the last run may be lost to iperf3 too
    assert total["lost_percent"] == pytest.approx(5, abs=3)
    numbers = sorted({int.from_bytes(event.head[28:40][8:12], "big") for event in lost})  # iperf3's own, in the payload
    runs = 1 + sum(later - earlier > 1 for earlier, later in itertools.pairwise(numbers))
    assert 4 < len(numbers) / runs < 25


def test_a_policer_of_udp_takes_what_is_above_its_rate_and_leaves_tcp_alone(lab: Lab, iperf3: Iperf3) -> None:
    lab.fault("e", "policer-udp", "4M", net="public")
    report = iperf3(lab, "e", "c", "public", "-u", "-b", "10M", "-t", "3", "-l", "1200")
    offered = 10e6 * 1228 / 1200  # with headers, as the WAN counts
    assert report["end"]["sum"]["lost_percent"] == pytest.approx(100 * (1 - 4e6 / offered), abs=4)
    assert received_bps(iperf3(lab, "e", "c", "public", "-t", "2")) > 15e6


def test_a_policer_makes_tcp_retransmit_without_dsacks_or_queueing(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    lab.fault("e", "policer", "6M", net="public")
    before = counters(lab, "e")
    with RunTruth(lab, "e", "c", "public", tmp_path) as truth:
        report = iperf3(lab, "e", "c", "public", "-P", "8", "-t", "4")
    assert 2e6 < received_bps(report) < 6.5e6
    flows = [flow for flow in truth.flows() if flow.data_bytes > 10_000]
    retransmitted = sum(flow.retransmitted_segments for flow in flows)
    assert retransmitted > 100
    assert since(lab, "e", before)["TCPDSACKRecv"] < 0.1 * retransmitted
    assert sum(flow.toll.dropped["policer"] for flow in flows if flow.toll) >= 0.8 * retransmitted
    rtts = [stream["sender"]["mean_rtt"] / 1000 for stream in report["end"]["streams"]]
    assert statistics.median(rtts) < lab.rtt_ms("e", "c", "public") + 15  # nothing waits


@pytest.mark.usefixtures("forgets_mtu")
def test_a_small_mtu_is_told_and_learned(lab: Lab, iperf3: Iperf3) -> None:
    lab.fault("d:c", "mtu", "1300", net="public")
    large = ["ping", "-n", "-c1", "-W1", "-M", "do", "-s", "1372", lab.address("public", "c")]
    first = lab.exec("d", large)
    assert first.returncode == 1
    assert "mtu = 1300" in first.stdout + first.stderr
    assert "mtu 1300" in lab.exec("d", ["ip", "route", "get", lab.address("public", "c")]).stdout
    report = iperf3(lab, "d", "c", "public", "-n", "3M")
    assert received_bps(report) > 5e6
    assert lab.status().answered > 0


@pytest.mark.usefixtures("forgets_mtu")
def test_in_an_mtu_black_hole_large_packets_vanish_while_small_ones_live(lab: Lab) -> None:
    lab.fault("d:c", "mtu-blackhole", "1300", net="public")
    assert len(ping(lab, "d", "c", "-c3", "-i0.2", "-W1")) == 3
    assert ping(lab, "d", "c", "-c3", "-i0.2", "-W1", "-M", "do", "-s", "1372") == []
    assert "mtu" not in lab.exec("d", ["ip", "route", "get", lab.address("public", "c")]).stdout
    send = "import socket, sys; s = socket.create_connection((sys.argv[1], 7001)); s.recv(100); s.sendall(bytes(50000))"
    listen = (
        "import socket; s = socket.create_server(('', 7001)); print('ready', flush=True); c, _ = s.accept();"
        " c.sendall(b'hello'); c.settimeout(2)\ntry: print(len(c.recv(9999)))\nexcept TimeoutError: print('nothing')"
    )
    server = lab.popen("c", ["python3", "-c", listen])
    assert server.stdout is not None
    assert server.stdout.readline() == b"ready\n"
    client = lab.popen("d", ["python3", "-c", send, lab.address("public", "c")])
    try:
        assert server.stdout.readline() == b"nothing\n"  # connected, greeted, and not one byte of bulk
    finally:
        for process in (client, server):
            process.kill()
            process.communicate()


def test_reordering_loses_nothing_and_makes_tcp_retransmit_needlessly(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    lab.fault("c:d", "reorder", "3%/15ms", net="public", one_way=True)
    before = counters(lab, "c")
    with RunTruth(lab, "c", "d", "public", tmp_path) as truth:
        iperf3(lab, "c", "d", "public", "-b", "15M", "-t", "3")  # below the line: no queue overflows
    assert {event.what for event in truth.events()} == {"reorder"}
    seen = since(lab, "c", before)
    assert seen["TCPSACKReorder"] + seen["TCPTSReorder"] >= 1
    (flow,) = (flow for flow in truth.flows() if flow.data_bytes > 100_000)
    assert flow.toll is not None
    assert flow.toll.reordered > 30
    assert flow.needless_segments == flow.retransmitted_segments  # whatever was sent again was there already


def test_duplicates_arrive_twice(lab: Lab) -> None:
    lab.fault("c:d", "duplicate", "40%", net="public", one_way=True)
    said = lab.exec("c", ["ping", "-c", "60", "-i", "0.01", lab.address("public", "d")]).stdout
    assert "0% packet loss" in said
    match = re.search(r"\+(\d+) duplicates", said)
    assert match, said
    assert 10 <= int(match[1]) <= 45
    assert "DUP!" in said


def test_a_hold_lets_all_of_its_time_out_in_a_bunch(lab: Lab) -> None:
    lab.fault("c:d", "hold", "300ms/1s", net="public", one_way=True)
    replies = ping(lab, "c", "d", "-c", "200", "-i", "0.01")
    assert len(replies) == 200
    plain = lab.rtt_ms("c", "d", "public")
    held = [reply for reply in replies if reply[2] > plain + 15]
    assert 30 <= len(held) <= 75  # two ends of a second, 30 pings each; on a busy machine ping sends fewer
    assert max(reply[2] for reply in replies) == pytest.approx(plain + 300, abs=25)
    bunch = Counter(round(at, 2) for at, _, _ in held)
    assert sum(count for _, count in bunch.most_common(4)) >= 0.8 * len(held)
    assert [number for _, number, _ in replies] == sorted(number for _, number, _ in replies)


def test_jitter_spreads_round_trips_and_keeps_the_order(lab: Lab) -> None:
    lab.fault("c:d", "jitter", "40ms", net="public", one_way=True)
    replies = ping(lab, "c", "d", "-c", "200", "-i", "0.005")
    assert [number for _, number, _ in replies] == list(range(1, 201))
    plain, rtts = lab.rtt_ms("c", "d", "public"), [rtt for _, _, rtt in replies]
    assert min(rtts) < plain + 8
    assert plain + 25 < max(rtts) < plain + 48
    assert statistics.pstdev(rtts) > 5


def test_a_slower_line_with_a_longer_queue_is_bufferbloat(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    lab.fault("d", "rate", "4M")
    lab.fault("d", "queue", "1s")
    pings = lab.popen("d", ["ping", "-n", "-D", "-i", "0.1", "-c", "38", lab.address("public", "c")])
    with RunTruth(lab, "d", "c", "public", tmp_path) as truth:
        report = iperf3(lab, "d", "c", "public", "-P", "8", "-t", "4")
    rtts = [float(each) for each in re.findall(rb"time=([\d.]+)", pings.communicate(timeout=20)[0])]
    assert received_bps(report) == pytest.approx(4e6, rel=0.15)
    assert max(rtts) > 350
    flows = [flow for flow in truth.flows() if flow.data_bytes > 10_000]
    assert sum(flow.retransmitted_segments for flow in flows) < 0.02 * sum(flow.data_segments for flow in flows)
    rates = {line.name: (line.rate_bps, line.queue_bytes) for line in lab.status().lines}
    assert rates["d:up"] == rates["d:down"] == (4_000_000, 500_000)
    lab.heal("d")
    assert {line.rate_bps for line in lab.status().lines if line.name[0] == "d"} == {30_000_000}


def test_a_pair_has_a_rate_of_its_own(lab: Lab, iperf3: Iperf3) -> None:
    lab.fault("e:c", "rate", "3M", net="public", one_way=True)
    assert received_bps(iperf3(lab, "e", "c", "public", "-t", "3")) == pytest.approx(3e6, rel=0.15)
    assert received_bps(iperf3(lab, "e", "d", "public", "-t", "2")) > 12e6


def test_without_icmp_pings_die_and_tcp_lives(lab: Lab, iperf3: Iperf3) -> None:
    lab.fault("b", "icmp-drop", net="public")
    assert ping(lab, "b", "c", "-c2", "-i0.2", "-W1") == []
    assert received_bps(iperf3(lab, "b", "c", "public", "-n", "500K")) > 1e6


def test_lost_acks_cost_no_retransmissions(lab: Lab, iperf3: Iperf3, tmp_path: Path) -> None:
    lab.fault("c:e", "loss", "30%", net="public", one_way=True)
    with RunTruth(lab, "e", "c", "public", tmp_path) as truth:
        report = iperf3(lab, "e", "c", "public", "-b", "15M", "-t", "3")
    assert received_bps(report) > 6e6
    (flow,) = (flow for flow in truth.flows() if flow.data_bytes > 100_000)
    assert flow.toll is not None
    assert flow.toll_back is not None
    assert flow.toll_back.dropped["loss"] > 50
    assert flow.toll.dropped["loss"] == 0  # where few ACKs come, the sender's bunches may overrun the queue
    assert flow.retransmitted_segments < 0.02 * flow.data_segments


def test_a_stall_is_charged_to_what_held_its_packets(lab: Lab, tmp_path: Path, iperf3: Iperf3) -> None:
    lab.fault("e:c", "hold", "1200ms/2s", net="public")
    with RunTruth(lab, "e", "c", "public", tmp_path) as truth:
        iperf3(lab, "e", "c", "public", "-b", "5M", "-t", "4")
    (flow,) = (flow for flow in truth.flows() if flow.data_bytes > 100_000)
    assert any(stall.duration_s > 0.5 and stall.wan and stall.wan.get("hold") for stall in flow.stalls)


def test_a_fault_inside_a_tunnel_is_refused_with_what_to_do(lab: Lab) -> None:
    lab.set_overlay("udp")
    try:
        with pytest.raises(LabError, match=r"--path public.*overlay direct"):
            lab.fault("e", "loss", "1%", net="vpn")
        lab.fault("e", "loss", "1%")
    finally:
        lab.set_overlay("direct")


def test_faults_and_names_that_do_not_exist_are_refused_when_healing_too(lab: Lab) -> None:
    for arguments, said in (
        (("z",), "there are a, b, c, d, e, operator"),
        (("a", "gremlins"), "there are loss, burst-loss"),
        (("a", None, "lan"), "public, vpn, mgmt"),
    ):
        with pytest.raises(LabError, match=said):
            lab.heal(*arguments)
