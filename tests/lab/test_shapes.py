"""What each overlay does to bulk TCP: orders, not digits (make lab-report has those)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meshtop.lab.measure import Measured, measure, ping_figures
from meshtop.lab.network import Lab

LINE_MBIT_S = 30.0


@pytest.fixture(scope="module")
def shaped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab.up("shapes", tmp_path_factory.mktemp("shapes") / "lab") as lab:
        yield lab


def run(lab: Lab, overlay: str, net: str, seconds: float, *fault: str) -> Measured:
    """From e to a, with a fault at e on the public path."""
    if lab.overlay != overlay:
        assert lab.set_overlay(overlay) == []
    try:
        if fault:
            lab.fault("e", *fault, net="public")
        return measure(lab, "e", "a", net, seconds=seconds)
    finally:
        lab.heal()


@pytest.mark.lab
@pytest.mark.parametrize("overlay", ["direct", "udp", "striped:8"])
def test_a_clean_line_is_filled_by_every_overlay(shaped: Lab, overlay: str) -> None:
    got = run(shaped, overlay, "vpn", 5)
    assert got.mbit_s >= (0.6 if overlay == "striped:8" else 0.75) * LINE_MBIT_S, got
    assert got.small.lost <= 0.25 * got.small.sent, "some meet the full queue before the line"


@pytest.mark.lab
def test_slight_loss_is_nothing_to_the_public_path_and_ruins_the_striped_tunnel(shaped: Lab) -> None:
    public = run(shaped, "direct", "public", 5, "loss", "0.5%")
    striped = run(shaped, "striped:8", "vpn", 10, "loss", "0.5%")
    assert public.mbit_s >= 0.75 * LINE_MBIT_S, public
    assert (public.needless_pct or 0) <= 20
    assert striped.mbit_s <= 0.5 * LINE_MBIT_S, striped
    assert 200 <= striped.retransmitted <= 20_000, striped
    assert striped.needless_pct is not None
    assert striped.needless_pct >= 80, striped
    assert striped.dsacks >= 0.3 * striped.retransmitted, "the sender is told of most of it"
    assert striped.outer_retransmitted < striped.retransmitted
    assert striped.small.lost == 0, striped
    assert striped.small.median_ms is not None
    assert striped.full.median_ms is not None
    assert striped.full.median_ms >= 2 * striped.small.median_ms, "a small ping does not see where bulk waits"


@pytest.mark.lab
def test_a_single_connection_hides_loss_and_makes_everything_wait(shaped: Lab) -> None:
    got = run(shaped, "tcp1", "vpn", 6, "loss", "0.5%")
    assert got.mbit_s <= 0.6 * LINE_MBIT_S, got
    assert got.outer_retransmitted >= 10
    assert (got.needless_pct or 0) <= 20, "nothing is overtaken; what is lost, the full queue was thrown away with"
    assert got.srtt_over_minrtt is not None
    assert got.srtt_over_minrtt >= 5, got
    assert got.small.median_ms is not None
    assert got.small.median_ms >= 100, "with one connection nothing is ahead of bulk"


@pytest.mark.lab
def test_policed_udp_ends_in_timeouts_and_reports_no_duplicates(shaped: Lab) -> None:
    got = run(shaped, "udp", "vpn", 10, "policer-udp", "5M")
    assert got.mbit_s <= 6.0, got
    assert got.timeouts >= 20, got
    assert got.retransmitted >= 200
    assert got.dsacks <= 0.1 * got.retransmitted, got
    assert (got.needless_pct or 0) <= 20
    assert got.srtt_over_minrtt is not None
    assert got.srtt_over_minrtt <= 2.5, "nothing waits before a policer"


@pytest.mark.lab
def test_a_black_hole_lets_small_pings_through_and_no_data(shaped: Lab) -> None:
    got = run(shaped, "udp", "vpn", 5, "mtu-blackhole", "1400")
    assert got.mbit_s < 0.1, got
    assert got.timeouts >= 8
    assert (got.small.lost, got.full.lost) == (0, 0), "both fit what still passes"


def test_pings_sent_last_are_not_judged() -> None:
    lines = [f"64 bytes from 10.10.10.1: icmp_seq={n} ttl=64 time={20 + n}.5 ms" for n in (1, 2, 4, 15)]
    figures = ping_figures("\n".join([*lines, "20 packets transmitted, 4 received, 80% packet loss, time 3800ms"]))
    assert (figures.sent, figures.lost, figures.median_ms) == (10, 7, 22.5)
