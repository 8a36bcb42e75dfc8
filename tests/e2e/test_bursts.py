"""``meshtop burst`` on a lab: what its record says against iperf3 itself and against a capture, and what is left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.network import Lab
from meshtop.lab.run_truth import RunTruth
from tests.e2e.conftest import MESHTOP
from tests.processes import GONE_WITHIN_S, await_no_burst, burst_tools

pytestmark = pytest.mark.lab

Document = dict[str, Any]
LONG_S = 0.8  # shorter waits may well be a round trip of a full queue


def burst(lab: Lab, *options: str, code: int = 0) -> Document:
    command = [MESHTOP, "-c", str(lab.config_path), "burst", *options, "--json"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr.decode()
    document: Document = json.loads(done.stdout)
    return document


def is_free(lab: Lab, port: int = 5201) -> bool:
    return not lab.exec("a", ["ss", "-tlnH", f"sport = :{port}"]).stdout


class Told:
    """``meshtop burst … --stream`` in a process of its own; what it tells, with the time at which it came."""

    def __init__(self, lab: Lab, *options: str) -> None:
        self.events: list[tuple[float, Document]] = []
        self._news = threading.Condition()
        command = [MESHTOP, "-c", str(lab.config_path), "burst", *options, "--stream"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.events.append((time.monotonic(), json.loads(line)))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def until(self, wanted: Callable[[Document], bool], within_s: float = 20.0) -> float:
        """When the first such event came."""

        def found() -> bool:
            return any(wanted(event) for _, event in self.events)

        with self._news:
            assert self._news.wait_for(found, within_s), self.events[-1:]
        return next(at for at, event in self.events if wanted(event))

    def end(self, within_s: float = 60.0) -> int:
        code = self.process.wait(within_s)
        self._reader.join(within_s)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def told(lab: Lab) -> Iterator[Callable[..., Told]]:
    running: list[Told] = []

    def start(*options: str) -> Told:
        running.append(Told(lab, *options))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
            each.end()
    lab.heal()
    for node in lab.nodes:
        if not lab.sshd_processes(node):
            lab.start_sshd(node)


def test_the_operators_own_experiment(lab: Lab) -> None:
    record = burst(lab, "e", "a", "-n", "20M", "-P", "8")
    end = record["raw"]["client"]["end"]
    assert (record["schema"], record["state"], record["reason"]) == ("meshtop.burst/1", "done", None)
    assert record["requested"] == {"bytes": 20 * 1024**2}
    assert record["sent_bytes"] == end["sum_sent"]["bytes"] >= 20 * 1024**2
    assert record["received_bytes"] == end["sum_received"]["bytes"]
    assert record["sender_bps"] == pytest.approx(end["sum_sent"]["bits_per_second"], rel=0.01)
    assert record["receiver_bps"] == pytest.approx(end["sum_received"]["bits_per_second"], rel=0.01)
    assert record["retransmits"] == end["sum_sent"]["retransmits"] is not None
    assert all(len(each["streams"]) == 8 and each["rtt_ms"] for each in record["intervals"])
    assert record["pings"]["rtt_before_ms"] == pytest.approx(lab.rtt_ms("e", "a", "vpn"), abs=8)
    assert record["pings"]["rtt_ms"] > record["pings"]["rtt_before_ms"]  # the queue of a full line
    assert record["bystanders"] == []
    await_no_burst(lab, 2)


OUTAGE_S = 1.7


def test_live_intervals_come_soon_and_stalls_agree_with_a_capture(
    lab: Lab, told: Callable[..., Told], tmp_path: Path
) -> None:
    with RunTruth(lab, "e", "a", "vpn", tmp_path) as truth:
        run = told("e", "a", "-t", "8", "-P", "4")
        began = run.until(lambda event: event["phase"] == "started")
        assert run.until(lambda event: event["phase"] == "interval") - began < 2
        run.until(lambda event: event["phase"] == "interval" and event["intervals"][0]["t"] > 2)
        lab.fault("e", "blackout", net="vpn")
        time.sleep(OUTAGE_S)
        lab.heal()
        assert run.end() == 0
    record = run.events[-1][1]
    intervals = [event["intervals"][0] for _, event in run.events if event["phase"] == "interval"]
    assert len(intervals) >= 25  # about five a second
    assert {each["source"] for each in intervals} == {"ss"}
    assert all(len(each["streams"]) == 4 and each["rtt_ms"] and each["cwnd_bytes"] for each in intervals[1:])
    true = {
        (flow.flow.src_port, stall.start): stall
        for flow in truth.flows()
        if flow.flow.dst_port == record["port"]
        for stall in flow.stalls
        if stall.duration_s >= LONG_S and stall.duration_s > stall.explained_s
    }
    assert len(true) >= 4
    seen = [
        (int(stall["flow"]["local"].rpartition(":")[2]), stall)
        for stall in record["stalls"]
        if stall["duration_s"] >= LONG_S
    ]
    for (port, _), stall in true.items():
        near = [each for own, each in seen if own == port and abs(each["duration_s"] - stall.duration_s) < 0.5]
        assert near, (port, stall, seen)
    assert len(seen) == len(true)
    assert record["longest_stall_s"] == max(each["duration_s"] for each in record["stalls"])


def test_nothing_is_sent_without_a_word(lab: Lab) -> None:
    config = ["-c", str(lab.config_path), "burst", "e", "a"]

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MESHTOP, *config, *options], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )

    refused = run("-n", "300M")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "it will send 300M, more than [burst] max_bytes 250M" in refused.stderr
    assert "start it with -y" in refused.stderr
    dry = run("-n", "300M", "--dry-run", "--json")
    plan = json.loads(dry.stdout)
    assert dry.returncode == 0
    assert plan["predicted_bytes"] == 300 * 1024**2
    assert plan["predicted_s"] == pytest.approx(300 * 1024**2 * 8 / 30e6, rel=0.05)  # the thinner of the two lines
    assert plan["asks"]
    assert burst_tools(lab) == []


# ── Whatever dies ──


def moment(run: Told, which: str) -> None:
    """Before the server listens; while it sends; while both ends talk about their results."""
    if which == "starting":
        run.until(lambda event: event["phase"] == "queued")
        return
    run.until(lambda event: event["phase"] == "started")
    if which == "closing":
        run.until(lambda event: event["phase"] == "interval" and event["intervals"][0]["t"] > 0.9)
        time.sleep(0.15)  # of a second in all; an event of its own that it has not


@pytest.mark.parametrize("which", ["starting", "running", "closing"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_ended_meshtop_leaves_nothing(
    lab: Lab, told: Callable[..., Told], number: signal.Signals, which: str
) -> None:
    run = told("e", "a", "-t", "1" if which == "closing" else "30")
    moment(run, which)
    run.process.send_signal(number)
    code = run.end(10)
    assert code in ((-9,) if number == signal.SIGKILL else (130, 0) if which == "closing" else (130,))
    if number != signal.SIGKILL and which == "running":
        assert run.events[-1][1]["sent_bytes"]
    await_no_burst(lab, GONE_WITHIN_S if number == signal.SIGKILL else 1)
    assert is_free(lab)


def test_an_interrupted_document_says_what_came_of_it(lab: Lab) -> None:
    command = [MESHTOP, "-c", str(lab.config_path), "burst", "e", "a", "-t", "30", "--json"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not any(" -c " in each for each in burst_tools(lab)):
        assert time.monotonic() < deadline, "no client was started"
        assert run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    out, _ = run.communicate(timeout=15)
    assert run.returncode == 130
    record = json.loads(out)
    assert (record["schema"], record["state"]) == ("meshtop.burst/1", "aborted")
    assert record["ended"] is not None
    await_no_burst(lab, 1)


@pytest.mark.parametrize("which", ["starting", "running", "closing"])
@pytest.mark.parametrize("node", ["e", "a"])
def test_killed_ssh_servers_leave_nothing(lab: Lab, told: Callable[..., Told], node: str, which: str) -> None:
    run = told("e", "a", "-t", "1" if which == "closing" else "30")
    moment(run, which)
    lab.kill_sshd(node)
    await_no_burst(lab)
    assert is_free(lab)
    assert run.end(20) in ((0, 1) if which == "closing" else (1,))
    phase, record = run.events[-1][1]["phase"], run.events[-1][1]
    assert phase == "closed"
    assert record["state"] == "failed" or which == "closing"
    assert record["reason"] or which == "closing"


def test_a_burst_of_a_dead_session_is_ended_by_command(lab: Lab, told: Callable[..., Told]) -> None:
    """Of another meshtop that is stopped dead: neither its sessions nor its reapers know."""
    run = told("e", "a", "-t", "30")
    run.until(lambda event: event["phase"] == "started")
    run.process.send_signal(signal.SIGSTOP)
    try:
        command = [MESHTOP, "-c", str(lab.config_path), "burst", "--abort-all"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert re.search(r"^a: ended iperf3 -s|^e: ended iperf3 -c", done.stdout, re.MULTILINE)
        assert burst_tools(lab) == []
        idle = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert idle.stdout.startswith("no burst of ours runs")
    finally:
        run.process.send_signal(signal.SIGCONT)
    assert run.end() == 1
    assert run.events[-1][1]["state"] == "failed"


def test_this_machine_as_an_end(lab: Lab) -> None:
    sent = burst(lab, "local", "a", "-n", "2M", "-P", "2", "--path", "public")
    assert (sent["state"], sent["client"], sent["retransmits"] is not None) == ("done", "local", True)
    got = burst(lab, "a", "local", "-n", "1M", "-P", "2", "--path", "public")
    assert (got["state"], got["client"]) == ("done", "local")
    assert got["raw"]["client"]["start"]["test_start"]["reverse"] == 1
    assert got["receiver_bps"] < 10.5e6  # the thin uplink of a
    await_no_burst(lab, 2)


# ── Both paths ──


def test_both_paths_are_alike_where_all_is_well(lab: Lab) -> None:
    both = burst(lab, "e", "a", "-n", "10M", "--path", "both")
    assert (both["schema"], both["finding"]) == ("meshtop.comparison/1", None)
    assert [each["path"] for each in both["bursts"]] == ["vpn", "public"]
    assert [each["state"] for each in both["bursts"]] == ["done", "done"]
    befores = [each["pings"]["rtt_before_ms"] for each in both["bursts"]]  # before the first one, on each path
    assert befores == pytest.approx([lab.rtt_ms("e", "a", path) for path in ("vpn", "public")], abs=8)


def test_a_sick_overlay_is_found_by_comparison(lab: Lab) -> None:
    playing = subprocess.Popen(
        [MESHTOP, "lab", "scenario", "miku", "--name", "e2e"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert playing.stdout is not None
        while b"loss" not in (line := playing.stdout.readline()):
            assert line, "the scenario ended"
        both = burst(lab, "e", "a", "-n", "8M", "--path", "both")
    finally:
        playing.send_signal(signal.SIGINT)
        playing.communicate(timeout=30)
        lab.set_overlay("direct")
    finding = both["finding"]
    assert (finding["code"], finding["src"], finding["dst"], finding["path"]) == ("overlay-only", "e", "a", "vpn")
    above, below = both["bursts"]
    assert above["receiver_bps"] < 0.7 * below["receiver_bps"]
    assert f"{above['retransmits']} retransmissions" in finding["summary"]
    assert f"{below['retransmits']} retransmissions" in finding["summary"]
