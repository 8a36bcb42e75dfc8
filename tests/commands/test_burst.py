"""``meshtop burst``: what is refused before anything is connected to, and what it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest

from meshtop import config as configuration
from meshtop.burst import BurstInterval, BurstLimits, BurstPings, BurstRecord, BurstRequest, Bystander
from meshtop.collect.burst_abort import AbortReport
from meshtop.commands import burst_run, burst_text
from meshtop.commands.this_machine import with_this_machine
from meshtop.config import MeshConfig
from meshtop.engine.burst_compare import compare
from meshtop.engine.bursts import plan
from meshtop.engine.events import BurstEvent

TEXT = """
[paths.vpn]
kind = "overlay"
from_operator = false
[paths.public]
kind = "underlay"
[nodes.a]
ssh = "127.0.0.1:9"
up = "10M"
down = "40M"
address = { vpn = "10.10.10.1", public = "127.0.0.2" }
[nodes.b]
ssh = "127.0.0.3:9"
up = "30M"
down = "30M"
address = { vpn = "10.10.10.2", public = "127.0.0.3" }
"""
USUAL = burst_run.Asked(
    path=None,
    streams=8,
    size=None,
    seconds=None,
    reverse=False,
    bidir=False,
    udp=False,
    rate=None,
    mss=None,
    congestion=None,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "meshtop.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture
def config(file: Path) -> MeshConfig:
    return configuration.load(file)


def meshtop(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshtop.cli", "-c", str(file), "burst", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name two nodes"),
        (("a",), "name two nodes"),
        (("a", "x"), "there is no node 'x'; there are a, b"),
        (("a", "a"), "a cannot send to itself"),
        (("a", "b", "-n", "20M", "-t", "5"), "give either -n or -t"),
        (("a", "b", "-n", "many"), "many"),
        (("a", "b", "-t", "1.5s"), "whole seconds"),
        (("a", "b", "-R", "--bidir"), "choose one"),
        (("a", "b", "--path", "moon"), "there are vpn, public"),
        (("a", "b", "-P", "200"), "1 to 128"),
        (("a", "b", "-u", "-M", "1000"), "UDP has neither"),
        (("--abort-all", "a"), "name none"),
        (("a", "b", "--json", "--stream"), "take one of them"),
    ],
)
def test_what_cannot_be_is_wrong_usage(file: Path, arguments: tuple[str, ...], words: str) -> None:
    done = meshtop(file, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


def test_ends_that_cannot_be_reached(file: Path) -> None:
    done = meshtop(file, "a", "b", "--json")
    assert (done.returncode, done.stdout) == (3, "")
    assert "meshtop: a is down: " in done.stderr
    assert "meshtop: b is down: " in done.stderr
    assert meshtop(file, "--abort-all").returncode == 3


def test_both_paths_are_the_first_of_each_kind(config: MeshConfig) -> None:
    (usual,) = burst_run.requests(config, "a", "b", USUAL)
    assert (usual.path, usual.seconds, usual.bytes) == ("vpn", 10, None)
    both = burst_run.requests(config, "a", "b", burst_run.Asked(**{**_fields(USUAL), "path": "both", "size": 1000}))
    assert [(each.path, each.bytes, each.seconds) for each in both] == [("vpn", 1000, None), ("public", 1000, None)]


def _fields(asked: burst_run.Asked) -> dict[str, object]:
    return {name: getattr(asked, name) for name in asked.__struct_fields__}


def test_both_paths_need_both_kinds(file: Path) -> None:
    file.write_text(TEXT.replace('"overlay"\nfrom_operator = false', '"underlay"'))
    config = configuration.load(file)
    with pytest.raises(click.UsageError, match="has no overlay"):
        burst_run.requests(config, "a", "b", burst_run.Asked(**{**_fields(USUAL), "path": "both"}))


# ── this machine ──


def test_this_machine_is_a_client_on_the_paths_that_it_is_on(config: MeshConfig) -> None:
    widened, names = with_this_machine(config, ("local", "a"))
    assert names == ("local", "a")
    here = widened.mesh.nodes[-1]
    assert (here.name, dict(here.address), widened.targets["local"]) == ("local", {"public": "127.0.0.1"}, "local")
    (request,) = burst_run.requests(widened, "a", "local", USUAL)
    made = plan(request, widened.mesh, BurstLimits(max_bytes=10**9, max_time_s=60))
    assert (request.path, made.client, made.server, made.server_sends) == ("public", "local", "a", True)


def test_a_node_that_is_this_machine_is_local_too(file: Path) -> None:
    file.write_text(TEXT.replace('"127.0.0.3:9"', '"local"'))
    config = configuration.load(file)
    assert with_this_machine(config, ("a", "local")) == (config, ("a", "b"))
    assert with_this_machine(config, ("a", "b")) == (config, ("a", "b"))


# ── in words ──


def record(**changes: object) -> BurstRecord:
    known: dict[str, object] = {
        "id": "b1",
        "src": "e",
        "dst": "a",
        "path": "vpn",
        "streams": 8,
        "requested": {"bytes": 20 * 1024**2},
        "state": "done",
        "sent_bytes": 20 * 1024**2,
        "received_bytes": 20 * 1024**2,
        "sender_bps": 5.2e6,
        "receiver_bps": 5.1e6,
        "retransmits": 3189,
        "stalls": (),
        "longest_stall_s": 0.0,
    }
    return BurstRecord(**{**known, **changes})  # type: ignore[arg-type]


def test_the_cost_in_words(config: MeshConfig) -> None:
    limits = BurstLimits(max_bytes=10**9, max_time_s=60)
    sized = plan(BurstRequest(src="a", dst="b", path="vpn", bytes=20 * 1024**2), config.mesh, limits)
    assert burst_text.cost(sized) == "a → b over vpn: 8 streams of TCP, 20MiB; about 20MiB in 17s; a connects to b"
    timed = BurstRequest(src="a", dst="b", path="vpn", seconds=5, streams=1, reverse=True, udp=True, rate_bps=10**6)
    words = burst_text.cost(plan(timed, config.mesh, limits))
    assert words.startswith("a ← b over vpn: 1 stream of UDP, 5.0s, at most 1.0Mbit/s each; about 610KiB in 5.0s")


def test_the_summary_says_what_came_of_it() -> None:
    beside = Bystander(
        src="e", dst="b", path="vpn", flow={"local": "10.0.0.1:1", "peer": "10.0.0.2:2", "process": None},
        bps_before=2.9e6, bps_during=None,
    )  # fmt: skip
    pings = BurstPings(rtt_before_ms=38.0, rtt_ms=61.0, rtt_full_before_ms=39.0, rtt_full_ms=120.0, loss_pct=0.0)
    assert burst_text.summary(record(bystanders=(beside,), pings=pings)).splitlines() == [
        "e → a over vpn: done",
        "  sent      20MiB at 5.2Mbit/s",
        "  received  20MiB at 5.1Mbit/s",
        "  resent    3189 segments",
        "  stalls    none",
        "  ping      56 B 38.0 → 61.0 ms, 0.0% lost; 1200 B 39.0 → 120.0 ms, – lost",
        "  beside it 10.0.0.1:1 → 10.0.0.2:2: 2.9Mbit/s before, – during",
    ]
    failed = record(state="failed", reason="refused", cure="open the port", sent_bytes=None, received_bytes=None,
                    retransmits=None, stalls=None)  # fmt: skip
    assert burst_text.summary(failed) == "e → a over vpn: failed: refused (open the port)"


def test_a_line_for_each_second() -> None:
    said: list[str] = []
    live = burst_text.Live(said.append)

    def event(phase: str, t: float = 0.0, bps: float = 0.0) -> BurstEvent:
        interval = BurstInterval(t=t, bps=bps, retransmits=1, rtt_ms=50.0, cwnd_bytes=20480)
        fields = {name: getattr(record(port=5201), name) for name in BurstRecord.__struct_fields__}
        return BurstEvent(at="", phase=phase, **{**fields, "intervals": (interval,)})  # type: ignore[arg-type]

    live.hear(event("started"))
    for n in range(10):
        live.hear(event("interval", 0.2 * (n + 1), 4e6 if n < 5 else 8e6))
    assert said == [
        "e → a over vpn: it runs, on port 5201",
        "   1.0 s   4.0Mbit/s  retx     5  rtt   50.0 ms  cwnd    20KiB",
        "   2.0 s   8.0Mbit/s  retx     5  rtt   50.0 ms  cwnd    20KiB",
    ]


def test_the_comparison_in_words() -> None:
    sick = compare(record(), record(path="public", receiver_bps=28.6e6, retransmits=65))
    words = burst_text.comparison(sick)
    assert words.startswith(
        "overlay-only (critical, confidence 90%): e → a: TCP is sick on the overlay alone: vpn 5.1M"
    )
    assert "  goodput overlay/underlay: 0.178 (expected ≥ 0.7: 5.1Mbit/s against 29Mbit/s)" in words
    assert burst_text.comparison(compare(record(), record())) == ("no difference: both paths did alike")


def test_what_was_ended_in_words() -> None:
    reports = [
        AbortReport(node="a", ended=("iperf3 -s -1",)),
        AbortReport(node="b"),
        AbortReport(node="c", failure="x"),
    ]
    assert burst_text.aborted(reports) == "a: ended iperf3 -s -1"
    assert burst_text.aborted(reports[1:]) == "no burst of ours runs on b"
