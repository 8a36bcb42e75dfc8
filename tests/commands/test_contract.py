"""The promised machine output, from recordings of real labs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import contract

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
RECORDINGS = sorted((Path(__file__).parents[1] / "fixtures" / "recordings").glob("*.mtr"))


def read(*arguments: str) -> str:
    return subprocess.run([MESHTOP, *arguments], capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_every_line_of_a_stream_is_as_promised(file: Path) -> None:
    events = [json.loads(line) for line in read("stream", "--from", str(file)).splitlines()]
    assert {"link", "node", "finding"} <= {event["type"] for event in events}
    assert [each for event in events for each in contract.of_event(event)] == []


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.stem)
def test_a_snapshot_is_as_promised(file: Path) -> None:
    document = json.loads(read("snapshot", "--from", str(file), "--json"))
    assert contract.of_snapshot(document, "abcde", ("vpn", "public")) == []


def test_departures_are_found() -> None:
    document = json.loads(read("snapshot", "--from", str(RECORDINGS[0]), "--json"))
    link = document["links"][3]
    link["loss_pct"], link["state"], link["flows"] = 101, "fine", 1.5
    del link["pmtu"]
    document["at"] = "2026-11-23T01:14:21+00:00"
    document["links"].pop(0)
    said = " ".join(contract.of_snapshot(document, "abcde", ("vpn", "public")))
    for words in (".loss_pct is 101", "'fine', not of", ".flows is 1.5", ".pmtu is missing", ".at is", "links: {("):
        assert words in said
