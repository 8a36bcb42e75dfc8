"""A recording gives what was live."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.network import Lab
from tests.e2e.conftest import MESHTOP, Stream, snapshot

pytestmark = pytest.mark.lab


def read(*arguments: str) -> tuple[str, str]:
    done = subprocess.run([MESHTOP, *arguments], capture_output=True, check=True, text=True, timeout=60)
    return done.stdout, done.stderr


def differences(live: Any, again: Any, at: str = "") -> list[str]:
    if isinstance(live, dict) and isinstance(again, dict) and live.keys() == again.keys():
        return [found for key in live for found in differences(live[key], again[key], f"{at}.{key}")]
    if isinstance(live, list) and isinstance(again, list) and len(live) == len(again):
        return [
            found for n, (a, b) in enumerate(zip(live, again, strict=True)) for found in differences(a, b, f"{at}[{n}]")
        ]
    return [] if live == again else [f"{at}: {live!r} became {again!r}"]


def test_a_replayed_snapshot_is_the_live_one_field_by_field(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    with lab.popen("a", ["timeout", "60", "iperf3", "-s", "-1", "--forceflush"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "listening" in str(line):
                break
        load = lab.popen("e", ["iperf3", "-c", lab.address("vpn", "a"), "-t", "12", "-P", "2", "-C", "cubic"])
        live = snapshot(lab.config_path, "--for", "8s", "--record", str(file))
        load.communicate(timeout=60)
        server.stdout.read()
    text, complaints = read("snapshot", "--json", "--for", "8s", "--from", str(file))
    assert differences(live, json.loads(text)) == []
    assert complaints == ""
    moved = [link for link in live["links"] if link["tx_bps"]]
    assert moved, "nothing was on the wire: the test would compare zeros"


def test_a_replayed_stream_is_the_live_one(lab: Lab, tmp_path: Path, stream: Callable[..., Stream]) -> None:
    file = tmp_path / "x.mtr"
    live = stream(lab.config_path, "--record", str(file))
    live.until(lambda e: e["type"] == "link" and e["src"] == "c" and e["rtt_ms"] is not None, 20)
    assert live.stop() == 130
    text, _ = read("stream", "--from", str(file))
    assert [json.loads(line) for line in text.splitlines()] == live.events


def test_a_killed_monitor_leaves_a_recording_up_to_its_last_second(
    lab: Lab, tmp_path: Path, stream: Callable[..., Stream]
) -> None:
    file = tmp_path / "x.mtr"
    live = stream(lab.config_path, "--record", str(file))
    for node in ("a", "b", "c", "d", "e"):
        measured = [e for e in live.events if e["type"] == "link" and e["src"] == node and e["rtt_ms"] is not None]
        if not measured:
            live.until(lambda e, node=node: e["type"] == "link" and e["src"] == node and e["rtt_ms"] is not None, 20)
    live.process.kill()
    live.process.wait(timeout=10)
    live.stop()
    whole = file.read_bytes()
    text, _ = read("snapshot", "--json", "--from", str(file))
    assert {node["state"] for node in json.loads(text)["nodes"]} == {"up"}
    file.write_bytes(whole[:-10])
    text, complaints = read("snapshot", "--json", "--from", str(file))
    assert "is incomplete: ends within a block" in complaints


def test_an_existing_file_is_never_written_over(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "x.mtr"
    file.write_text("dear")
    command = [MESHTOP, "-c", str(lab.config_path), "snapshot", "--record", str(file)]
    done = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert done.returncode == 2
    assert "File exists" in done.stderr
    assert file.read_text() == "dear"
