"""Recordings of real labs in trouble, folded by today's parsers and engine: what they showed must stay to be seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshtop.collect.replay import events
from meshtop.engine.engine import Engine
from meshtop.engine.snapshot import LinkView, Snapshot
from meshtop.model import LinkKey
from meshtop.recording import RecordingReader, TickRecord

RECORDINGS = Path(__file__).parents[1] / "fixtures" / "recordings"
SHIPPED = Path(__file__).parents[2] / "meshtop" / "lab" / "recordings"


def replayed(file: Path, window_s: float = 10.0) -> tuple[Snapshot, dict[LinkKey, LinkView]]:
    with RecordingReader(file) as reader:
        engine = Engine(reader.header.mesh)
        for event in events(reader.records()):
            engine.tick(event.at) if isinstance(event, TickRecord) else engine.receive(event)
        assert reader.incomplete is None
        state = engine.snapshot(reader.last_at, window_s)
    return state, {link.key: link for link in state.links}


@pytest.mark.parametrize(
    "file", sorted([*RECORDINGS.glob("*.mtr"), *SHIPPED.glob("*.mtr")]), ids=lambda file: file.stem
)
def test_every_node_was_up_and_every_byte_was_understood(file: Path) -> None:
    state, _ = replayed(file)
    assert {node.name: node.state for node in state.nodes} == dict.fromkeys("abcde", "up")
    assert [(node.unparsed, node.dropped_bytes, node.problems) for node in state.nodes] == [(0, 0, ())] * 5


def test_loss() -> None:
    _, links = replayed(RECORDINGS / "loss.mtr")
    sick = links[LinkKey("e", "a", "vpn")]
    assert sick.state == "lossy"
    assert sick.retrans_pct == pytest.approx(2.0, abs=1.0)
    assert sick.dsack_pct is not None
    assert sick.dsack_pct < 20  # it was real loss
    assert {link.state for key, link in links.items() if key.path == "public"} == {"ok"}


def test_blackout() -> None:
    _, links = replayed(RECORDINGS / "blackout.mtr", window_s=36.0)
    assert links[LinkKey("e", "a", "vpn")].state == "stalled"
    assert links[LinkKey("e", "a", "public")].state == "ok"


def test_small_pings_pass_a_size_black_hole_while_flows_stand_still() -> None:
    _, links = replayed(RECORDINGS / "mtu-blackhole.mtr")
    sick = links[LinkKey("e", "a", "vpn")]
    assert sick.state == "stalled"
    assert sick.loss_pct == 0.0


def test_a_slow_receiver_is_no_trouble_of_the_network() -> None:
    _, links = replayed(RECORDINGS / "receiver-slow.mtr")
    link = links[LinkKey("e", "a", "vpn")]
    assert link.tx_bps == pytest.approx(2_000_000, rel=0.2)
    assert link.retrans_pct == 0.0
    assert {each.state for each in links.values()} == {"ok"}


def test_a_healthy_mesh_is_green_all_over() -> None:
    state, links = replayed(RECORDINGS / "healthy.mtr")
    assert {link.state for link in links.values()} == {"ok"}
    assert all(not link.stalls for link in state.links)


def test_the_case_on_the_overlay_and_not_below() -> None:
    """What the demo shows where no lab can be made: small pings clean, bulk late, needless retransmissions."""
    _, links = replayed(SHIPPED / "miku.mtr", window_s=60.0)
    overlay, underlay = links[LinkKey("e", "a", "vpn")], links[LinkKey("e", "a", "public")]
    assert overlay.state in ("lossy", "stalled")
    assert overlay.loss_pct == 0.0
    assert overlay.rtt_full_ms is not None
    assert overlay.rtt_ms is not None
    assert overlay.rtt_full_ms > 3 * overlay.rtt_ms
    assert overlay.dsack_pct is not None
    assert overlay.dsack_pct > 50
    assert underlay.state == "ok"
    assert underlay.tx_bps is not None
    assert underlay.retrans_pct is not None
    assert underlay.retrans_pct < 1.0
