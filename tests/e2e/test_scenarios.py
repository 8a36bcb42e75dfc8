"""Every scenario does what it says, by the truth of the wire: captures at both ends and the WAN's log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from meshtop.lab.network import Lab
from meshtop.lab.play import playing
from meshtop.lab.run_truth import RunTruth
from meshtop.lab.scenario import Scenario, names
from meshtop.lab.truth import FlowTruth
from meshtop.lab.wanlog import WanEvent

pytestmark = pytest.mark.lab


class Run(NamedTuple):
    """What one run left: the flows of the watched direction, and what the WAN did to packets of all sites."""

    seconds: float
    flows: list[FlowTruth]
    events: list[WanEvent]

    @property
    def segments(self) -> int:
        return sum(flow.data_segments for flow in self.flows)

    @property
    def retransmitted(self) -> int:
        return sum(flow.retransmitted_segments for flow in self.flows)

    @property
    def retransmitted_pct(self) -> float:
        return 100 * self.retransmitted / max(1, self.segments)

    @property
    def needless_pct(self) -> float:
        again = sum(flow.retransmitted_bytes for flow in self.flows)
        return 100 * sum(flow.needless_bytes or 0 for flow in self.flows) / max(1, again)

    @property
    def longest_stall_s(self) -> float:
        return max((stall.duration_s for flow in self.flows for stall in flow.stalls), default=0.0)

    @property
    def mbit_s(self) -> float:
        return sum(flow.acked_bytes for flow in self.flows) * 8 / self.seconds / 1e6

    def dropped(self, src: str, dst: str) -> int:
        return sum(event.what == "drop" and (event.src, event.dst) == (src, dst) for event in self.events)


class Watch(NamedTuple):
    src: str
    dst: str
    net: str
    seconds: float
    holds: Callable[[Run], bool]


def all_well(run: Run) -> bool:
    return run.longest_stall_s < 1.0 and run.retransmitted_pct < 0.5 and run.segments > 100


WATCHES = {
    "healthy": Watch("e", "c", "vpn", 12, all_well),
    "app-limited": Watch("e", "a", "vpn", 12, lambda run: run.longest_stall_s < 1.0 and run.retransmitted == 0),
    "miku": Watch("e", "a", "vpn", 25, lambda run: run.retransmitted > 50 and run.needless_pct > 60),
    "udp-policed": Watch("e", "a", "vpn", 20, lambda run: run.retransmitted > 50 and run.needless_pct < 30),
    "loss": Watch("e", "a", "vpn", 15, lambda run: 0.5 < run.retransmitted_pct < 8 and run.needless_pct < 30),
    "reorder": Watch("e", "a", "vpn", 15, lambda run: run.retransmitted > 20 and run.needless_pct > 60),
    "tcp-over-tcp": Watch("b", "a", "vpn", 20, lambda run: run.retransmitted_pct < 1 and run.mbit_s > 2),
    "bufferbloat": Watch("e", "a", "vpn", 15, lambda run: run.retransmitted_pct < 2 and run.mbit_s > 15),
    "mtu-blackhole": Watch("e", "a", "vpn", 18, lambda run: run.longest_stall_s > 5),
    "blackout": Watch("e", "a", "vpn", 32, lambda run: run.longest_stall_s > 15),
    "receiver-slow": Watch("e", "a", "vpn", 15, lambda run: run.retransmitted_pct < 0.5 and 1 < run.mbit_s < 6),
    "ack-loss": Watch(
        "e", "a", "vpn", 15, lambda run: run.dropped("a", "e") > 50 and run.dropped("e", "a") == 0 and run.mbit_s > 8
    ),
    "node-down": Watch("d", "a", "vpn", 16, lambda run: run.longest_stall_s > 4 and run.dropped("d", "a") > 0),
    "flapping": Watch("e", "a", "vpn", 22, lambda run: run.dropped("e", "a") > 20 and run.retransmitted > 20),
}


def test_every_scenario_is_watched() -> None:
    assert set(WATCHES) == set(names())


@pytest.mark.parametrize("name", sorted(WATCHES))
async def test_scenario(lab: Lab, tmp_path: Path, name: str) -> None:
    watch = WATCHES[name]
    told: list[str] = []
    await asyncio.to_thread(lab.set_overlay, Scenario.load(name).overlay)
    with RunTruth(lab, watch.src, watch.dst, watch.net, tmp_path) as truth:
        async with playing(lab, Scenario.load(name), told.append):
            await asyncio.sleep(watch.seconds)  # the scenario is what takes its time: there is no event to wait for
    run = Run(watch.seconds, truth.flows(), truth.events())
    assert not [line for line in told if "failed" in line]
    assert watch.holds(run), (
        f"{run.segments} segments, {run.retransmitted} again ({run.retransmitted_pct:.2f} %), "
        f"{run.needless_pct:.0f} % of them needless, longest stall {run.longest_stall_s:.1f} s, {run.mbit_s:.1f} Mbit/s"
    )
    assert await asyncio.to_thread(lab.heal) == 0, "the scenario left a fault in force"
