"""What bulk TCP does in a lab as it is now, with small and full-size pings beside it: measured, checked by captures.

iperf3 sends; truth.py tells from captures at both ends what was retransmitted, and what of that the receiver had
already. Counters are the sending node's (/proc/net/netstat, snmp_counter.rst), the tunnel's own sockets included.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from meshtop.lab.capture import Capture, read_pcap
from meshtop.lab.network import Lab
from meshtop.lab.plan import OUTER_PORT
from meshtop.lab.run_truth import DEVICES
from meshtop.lab.truth import FlowTruth, check
from meshtop.model import Value

IPERF3_PORT = 5201
PING_INTERVAL_S = 0.2
PING_WAIT_S = 10  # a reply that comes later than this counts as lost; queues of the lab hold seconds
SMALL_BYTES, FULL_BYTES = 56, 1200
GRACE_S = 15  # for iperf3 to end by itself: by then what is queued has drained, or nothing gets through


class PingFigures(Value, frozen=True, kw_only=True):
    sent: int
    lost: int
    median_ms: float | None


class Measured(Value, frozen=True, kw_only=True):
    """One run. Without an answer from iperf3 ``mbit_s`` is of what arrived by the capture."""

    overlay: str
    net: str
    streams: int
    seconds: float
    mbit_s: float
    segments: int
    retransmitted: int
    needless_pct: float | None  # of retransmitted bytes, those that the receiver had already
    stalls: int
    longest_stall_s: float
    stalled_s: float  # of all flows together
    timeouts: int  # TCPTimeouts of the sender
    dsacks: int  # TCPDSACKRecv of the sender
    outer_retransmitted: int  # by the tunnel's own sockets at the sender
    srtt_over_minrtt: float | None  # the median of the streams', at the end
    small: PingFigures
    full: PingFigures
    wan_cpu_pct: float
    tunnel_cpu_pct: dict[str, float]  # by node


def measure(lab: Lab, src: str, dst: str, net: str, *, seconds: float = 10, streams: int = 8) -> Measured:
    """Send for that long from ``src`` to ``dst``. Raises LabError or CaptureError."""
    before, cpu, began = _counters(lab, src), _cpu(lab), time.monotonic()
    outer_before = _outer_retransmissions(lab, src)
    with TemporaryDirectory(prefix="meshtop-measure-") as folder:
        files = Path(folder, "src.pcap"), Path(folder, "dst.pcap")
        with contextlib.ExitStack() as stack:
            for file, node in zip(files, (src, dst), strict=True):
                stack.enter_context(Capture(DEVICES[net], file, lab.command(node, [])))
            pings = [stack.enter_context(_ping(lab, src, dst, net, size)) for size in (SMALL_BYTES, FULL_BYTES)]
            reported, ratios = _iperf3(lab, src, dst, net, seconds, streams)
            took = time.monotonic() - began
            wan_cpu, *tunnel_cpu = ((then - now) / took * 100 for now, then in zip(cpu, _cpu(lab), strict=True))
            small, full = (_ping_figures(process) for process in pings)
        truth = [flow for flow in check(read_pcap(files[0]), read_pcap(files[1])) if _is_bulk(flow)]
    after = _counters(lab, src)
    stalls = [stall for flow in truth for stall in flow.stalls]
    retransmitted_bytes = sum(flow.retransmitted_bytes for flow in truth)
    needless = sum(min(flow.needless_bytes or 0, flow.retransmitted_bytes) for flow in truth)
    return Measured(
        overlay=lab.overlay,
        net=net,
        streams=streams,
        seconds=seconds,
        mbit_s=reported if reported is not None else sum(flow.arrived_bytes or 0 for flow in truth) * 8 / took / 1e6,
        segments=sum(flow.data_segments for flow in truth),
        retransmitted=sum(flow.retransmitted_segments for flow in truth),
        needless_pct=100 * needless / retransmitted_bytes if retransmitted_bytes else None,
        stalls=len(stalls),
        longest_stall_s=max((stall.duration_s for stall in stalls), default=0.0),
        stalled_s=sum(stall.duration_s for stall in stalls),
        timeouts=after["TCPTimeouts"] - before["TCPTimeouts"],
        dsacks=after["TCPDSACKRecv"] - before["TCPDSACKRecv"],
        outer_retransmitted=_outer_retransmissions(lab, src) - outer_before,
        srtt_over_minrtt=statistics.median(ratios) if ratios else None,
        small=small,
        full=full,
        wan_cpu_pct=wan_cpu,
        tunnel_cpu_pct=dict(zip([tunnel.node for tunnel in lab.tunnels()], tunnel_cpu, strict=True)),
    )


def _is_bulk(flow: FlowTruth) -> bool:
    """One of the streams, not iperf3's control connection: that one talks, but in a few segments."""
    return flow.flow.dst_port == IPERF3_PORT and flow.data_bytes > 4096


def _iperf3(lab: Lab, src: str, dst: str, net: str, seconds: float, streams: int) -> tuple[float | None, list[float]]:
    """Mbit/s as the receiver saw it (None: it never said), and srtt ÷ minrtt of the streams near the end."""
    patience = str(seconds + GRACE_S)
    server = lab.popen(dst, ["timeout", patience, "iperf3", "-s", "-1", "--forceflush", "-p", str(IPERF3_PORT)])
    try:
        assert server.stdout is not None  # noqa: S101  # it was asked for
        while b"Server listening" not in server.stdout.readline():
            if server.poll() is not None:
                break
        address = lab.address(net, dst)
        argv = ["timeout", patience, "iperf3", "-J", "-c", address, "-p", str(IPERF3_PORT)]
        client = lab.popen(src, [*argv, "-P", str(streams), "-t", str(seconds)])
        with contextlib.suppress(subprocess.TimeoutExpired):
            client.wait(seconds * 0.9)
        ratios = _srtt_over_minrtt(lab, src, address)
        output, _ = client.communicate()
        return _received_mbit_s(output), ratios
    finally:
        server.kill()
        server.communicate()


def _received_mbit_s(output: bytes) -> float | None:
    try:
        report = json.loads(output)
        return float(report["end"]["sum_received"]["bits_per_second"]) / 1e6
    except (ValueError, KeyError):  # it was ended, or its control connection was
        return None


def _srtt_over_minrtt(lab: Lab, node: str, address: str) -> list[float]:
    said = lab.exec(node, ["ss", "-tinHO", "dst", address, "dport", "=", f":{IPERF3_PORT}"]).stdout
    pairs = re.findall(r" rtt:([\d.]+)/.* minrtt:([\d.]+)", said)
    return [float(srtt) / float(minrtt) for srtt, minrtt in pairs]


def _outer_retransmissions(lab: Lab, node: str) -> int:
    said = lab.exec(node, ["ss", "-tinHO", f"( sport = :{OUTER_PORT} or dport = :{OUTER_PORT} )"]).stdout
    return sum(int(total) for total in re.findall(r" retrans:\d+/(\d+)", said))


def _counters(lab: Lab, node: str) -> dict[str, int]:
    lines = lab.exec(node, ["cat", "/proc/net/netstat"]).stdout.splitlines()
    values: dict[str, int] = {}
    for names, numbers in zip(lines[::2], lines[1::2], strict=False):
        values |= dict(zip(names.split()[1:], map(int, numbers.split()[1:]), strict=True))
    return values


def _cpu(lab: Lab) -> Sequence[float]:
    """Seconds of CPU: the WAN's, then each tunnel process's."""
    return [lab.status().cpu_s, *(tunnel.cpu_s or 0.0 for tunnel in lab.tunnels())]


@contextlib.contextmanager
def _ping(lab: Lab, src: str, dst: str, net: str, payload_bytes: int) -> Iterator[subprocess.Popen[bytes]]:
    argv = ["ping", "-i", str(PING_INTERVAL_S), "-s", str(payload_bytes), "-W", str(PING_WAIT_S)]
    process = lab.popen(src, [*argv, lab.address(net, dst)])
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _ping_figures(process: subprocess.Popen[bytes]) -> PingFigures:
    """Ends it. Those that were sent in the last two seconds are not judged: their replies may be under way."""
    process.send_signal(2)
    output, _ = process.communicate()
    return ping_figures(output.decode())


def ping_figures(output: str) -> PingFigures:
    found = [(int(seq), float(ms)) for seq, ms in re.findall(r"icmp_seq=(\d+) .*?time=([\d.]+) ms", output)]
    sent_match = re.search(r"(\d+) packets transmitted", output)
    decided = max(0, (int(sent_match[1]) if sent_match else 0) - int(2 / PING_INTERVAL_S))
    answered = {seq: ms for seq, ms in found if seq <= decided}
    times = list(answered.values())
    return PingFigures(
        sent=decided, lost=decided - len(answered), median_ms=statistics.median(times) if times else None
    )
