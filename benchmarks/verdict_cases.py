"""What the verdicts are scored on: every scenario of the lab, as it is shipped and varied.

Odd seeds play a scenario as it is, with that seed's chances of loss. Even seeds vary it: another line rate, a longer
way, another tunnel, a fault of another size, the same trouble at another node. What is wrong stays what it is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from benchmarks.verdict_extras import SICK, USUALLY_SICK, extras
from meshtop.lab.scenario import FaultAt, Scenario, Traffic, names

# Counters are ten seconds' worth by then, and what opens late is still seen.
AFTER_S = 32.0


class Case(NamedTuple):
    """``sick``: the nodes that the trouble is between, or the one that it is at. ``once``: the trouble is one finding,
    not one for each pair. ``ground``: lines and ways as they are before anybody watches. ``how``: what was varied, in
    words; empty for the scenario as it is shipped. The others are as in
    ``verdict_extras.Extra``."""

    scenario: Scenario
    seed: int
    sick: tuple[str, ...]
    once: bool = False
    ground: tuple[FaultAt, ...] = ()
    how: str = ""
    nat: tuple[str, ...] = ()
    named: bool = True
    late: bool = False
    congestion: str = "cubic"
    interval_s: float | None = None
    nodes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.scenario.name

    @property
    def seconds(self) -> float:
        return self.scenario.trouble_s + AFTER_S


def all_names() -> list[str]:
    """The scenarios, then the cases beside them."""
    return [*names(), *extras()]


def case(name: str, seed: int) -> Case:
    """Raises ScenarioError. The cases beside the scenarios are the same with every seed but for its chances."""
    if (extra := extras().get(name)) is not None:
        return Case(
            extra.scenario,
            seed,
            extra.sick,
            once=extra.once,
            ground=extra.ground,
            nat=extra.nat,
            named=extra.named,
            late=extra.late,
            congestion=extra.congestion,
            interval_s=extra.interval_s,
            nodes=extra.nodes,
        )
    made = Case(Scenario.load(name), seed, SICK.get(name, USUALLY_SICK), once=name == "node-down")
    return made if seed % 2 else _varied(made)


def cases(chosen: Sequence[str], seeds: Sequence[int]) -> list[Case]:
    """Seed by seed, so that all scenarios have been seen before any is seen twice. The cases beside them are the same
    with every seed but for its chances: where none are chosen, they are played with the first alone."""
    return [
        case(name, seed) for place, seed in enumerate(seeds) for name in chosen or (names() if place else all_names())
    ]


# ── Varied ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Ways(NamedTuple):
    """What there is to choose from. ``rates``: lines of the node in trouble, in Mbit/s; None leaves it as it is."""

    overlays: tuple[str, ...] = ("direct",)
    rates: tuple[int | None, ...] = (None, 8, 15, 60)
    delays_ms: tuple[int, ...] = (0, 10, 40, 80)
    swap: tuple[str, str] | None = ("e", "d")


_WAYS = {
    "healthy": _Ways(("direct", "udp", "tcp1", "striped:8"), (None, 15, 60)),
    "app-limited": _Ways(("direct", "udp", "tcp1", "striped:8"), (None, 15, 60)),
    "miku": _Ways(("striped:4", "striped:8", "striped:16"), (None, 15, 60), (0, 5, 15)),
    "udp-policed": _Ways(("udp",), (None, 20, 60)),
    "loss": _Ways(("direct", "udp")),
    "flapping": _Ways(("direct", "udp"), (None, 15, 60), (0, 10, 30)),
    "reorder": _Ways(),
    "tcp-over-tcp": _Ways(("tcp1",), (None, 3, 8), (0, 10, 30), swap=None),
    "bufferbloat": _Ways(("direct", "udp"), (None, 6, 12, 20)),
    "mtu-blackhole": _Ways(("direct", "udp")),
    "blackout": _Ways(("direct", "udp")),
    "receiver-slow": _Ways(("direct", "udp", "tcp1"), (None, 15, 60)),
    "ack-loss": _Ways(("direct", "udp"), (None, 25, 60), (0, 10, 30)),
    "node-down": _Ways(("direct", "udp", "striped:4"), (None,), swap=("d", "c")),
}

Chance = random.Random


def _varied(made: Case) -> Case:
    ways = _WAYS[made.name]
    chance = random.Random(f"{made.name}/{made.seed}")  # the same each time is what is wanted
    scenario = made.scenario
    sick = made.sick
    overlay = chance.choice(ways.overlays)
    rate, delay_ms = chance.choice(ways.rates), chance.choice(ways.delays_ms)
    told = [overlay]
    faults = [_revalued(fault, chance, delay_ms, told) for fault in scenario.faults]
    if overlay != "direct":
        faults = [fault if fault.path != "vpn" else msgspec.structs.replace(fault, path="public") for fault in faults]
    ground = []
    at = sick[0] if sick else "e"
    if rate is not None:
        ground.append(FaultAt(target=at, kind="rate", value=f"{rate}M"))
        told.append(f"line {rate} Mbit/s")
    if delay_ms:
        way = ":".join(sick) if len(sick) == 2 else at
        ground.append(FaultAt(target=way, kind="delay", value=f"{delay_ms}ms"))
        told.append(f"{2 * delay_ms} ms longer")
    traffic = [_resized(each, chance, made.name) for each in scenario.traffic]
    scenario = msgspec.structs.replace(scenario, overlay=overlay, faults=tuple(faults), traffic=tuple(traffic))
    if ways.swap and chance.random() < 0.5:
        scenario, sick = _swapped(scenario, ways.swap), tuple(_other(node, ways.swap) for node in sick)
        ground = [_moved(fault, ways.swap) for fault in ground]
        told.append("{} and {} changed places".format(*ways.swap))
    return made._replace(scenario=scenario, sick=sick, ground=tuple(ground), how=", ".join(told))


_VALUES: dict[tuple[str, str], Callable[[Chance, int], str]] = {
    ("loss", "2"): lambda chance, _: f"{chance.uniform(1.5, 5):.1f}",
    ("loss", "5"): lambda chance, _: f"{chance.uniform(3, 8):.1f}",
    ("loss", "0.5"): lambda chance, _: f"{chance.uniform(0.4, 1):.1f}",
    ("loss", "20"): lambda chance, _: f"{chance.uniform(10, 30):.0f}",
    # what is late by less than a round trip is hardly noticed: RACK waits for it
    ("reorder", "2%/60ms"): lambda chance, delay_ms: f"{chance.uniform(1, 4):.1f}%/{60 + 3 * delay_ms}ms",
    ("policer-udp", "5M"): lambda chance, _: f"{chance.choice((3, 5, 8))}M",
    ("queue", "8M"): lambda chance, _: f"{chance.choice((1000, 1500, 2500))}ms",
    ("mtu-blackhole", "1300"): lambda chance, _: f"{chance.choice((900, 1200, 1300, 1380))}",
}


def _revalued(fault: FaultAt, chance: Chance, delay_ms: int, told: list[str]) -> FaultAt:
    choose = _VALUES.get((fault.kind, fault.value))
    value = choose(chance, delay_ms) if choose else fault.value
    if value:
        told.append(f"{fault.kind} {value}")
    return msgspec.structs.replace(fault, value=value)


def _resized(traffic: Traffic, chance: Chance, name: str) -> Traffic:
    """A receiver of another pace, another number of copies."""
    if name == "receiver-slow" and traffic.run == "store":
        return msgspec.structs.replace(traffic, options=(("rate", f"{chance.choice((1, 2, 4))}M"),))
    if traffic.count > 2:
        return msgspec.structs.replace(traffic, count=chance.choice((traffic.count - 1, traffic.count + 2)))
    return traffic


def _other(node: str, pair: tuple[str, str]) -> str:
    return {pair[0]: pair[1], pair[1]: pair[0]}.get(node, node)


def _swapped(scenario: Scenario, pair: tuple[str, str]) -> Scenario:
    """The same with two nodes in each other's place."""

    def traffic(each: Traffic) -> Traffic:
        ends = {
            name: msgspec.structs.replace(end, node=_other(end.node, pair))
            for name in ("bind", "to")
            if (end := getattr(each, name)) is not None
        }
        return msgspec.structs.replace(each, on=_other(each.on, pair), **ends)

    return msgspec.structs.replace(
        scenario,
        traffic=tuple(traffic(each) for each in scenario.traffic),
        faults=tuple(_moved(each, pair) for each in scenario.faults),
    )


def _moved(fault: FaultAt, pair: tuple[str, str]) -> FaultAt:
    return msgspec.structs.replace(fault, target=":".join(_other(node, pair) for node in fault.target.split(":")))
