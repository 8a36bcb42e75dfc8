"""Overlay against underlay: what differs, and what is only the price of a tunnel."""

from __future__ import annotations

import pytest

from meshtop.burst import BurstRecord
from meshtop.engine.burst_compare import compare


def record(path, mbps, retransmits=0, longest_s=0.0, **changes):
    known = {
        "id": f"b-{path}",
        "src": "e",
        "dst": "a",
        "path": path,
        "streams": 8,
        "requested": {"bytes": 20_000_000},
        "state": "done",
        "started": "2024-05-01T14:32:07.000Z",
        "sent_bytes": 20_000_000,
        "receiver_bps": mbps * 1e6,
        "retransmits": retransmits,
        "stalls": ({},) if longest_s else (),
        "longest_stall_s": longest_s,
    }
    return BurstRecord(**{**known, **changes})


def test_a_sick_overlay_on_a_sound_underlay():
    both = compare(record("vpn", 5.1, 3189, 1.8), record("public", 28.6, 65))
    finding = both.finding
    assert (finding.code, finding.severity, finding.path) == ("overlay-only", "critical", "vpn")
    assert "vpn 5.1Mbit/s, 3189 retransmissions, 1 stall, longest 1.8s" in finding.summary
    assert "public 29Mbit/s, 65 retransmissions, no stalls" in finding.summary
    assert [each.what for each in finding.evidence] == [
        "goodput overlay/underlay",
        "retransmitted, % of segments",
        "longest stall, s",
    ]
    assert [each.path for each in both.bursts] == ["vpn", "public"]


@pytest.mark.parametrize(
    ("overlay", "underlay"),
    [
        (record("vpn", 26.7, 41), record("public", 28.7, 37)),  # what encapsulation costs
        (record("vpn", 28.0, 118), record("public", 28.6, 130)),
        (record("vpn", 4.0, 3000, 2.0), record("public", 4.1, 2900, 2.1)),  # the line itself is sick
        (record("vpn", 30.0, 0), record("public", 20.0, 500)),
    ],
)
def test_no_difference(overlay, underlay):
    assert compare(overlay, underlay).finding is None


def test_what_was_not_carried_out_is_compared_with_nothing():
    failed = record("vpn", 0, state="failed", receiver_bps=None)
    assert compare(failed, record("public", 28.6)).finding is None
    assert compare(record("vpn", 5.0), record("public", 28.6, state="aborted")).finding is None


def test_slower_without_retransmissions_is_less_sure():
    slow = compare(record("vpn", 15.0), record("public", 28.6)).finding
    sick = compare(record("vpn", 15.0, 2000, 1.5), record("public", 28.6)).finding
    assert (slow.severity, sick.severity) == ("warning", "critical")
    assert slow.confidence < sick.confidence


def test_stalls_that_nobody_watched_are_not_said_to_be_none():
    finding = compare(record("vpn", 5.0, stalls=None, longest_stall_s=None), record("public", 28.6)).finding
    assert "vpn 5.0Mbit/s, 0 retransmissions;" in finding.summary
