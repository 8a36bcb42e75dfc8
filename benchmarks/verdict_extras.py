"""Cases beside the scenarios: what is ordinary and looks like trouble, and overlays that are harder to see through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from meshtop.lab.scenario import Codes, Endpoint, FaultAt, Scenario, Traffic, names


class Extra(NamedTuple):
    """``sick`` as in ``verdict_cases.Case``; ``nat``: sites that nobody can dial on the public network; ``named``:
    whether the configuration names the tunnel's ports; ``ground``: what is in force before anybody watches.
    ``late``: nobody watches before the trouble is there. ``congestion``: what all senders use. ``interval_s``: how
    often the nodes are asked. ``nodes``: those that are watched; empty for all."""

    scenario: Scenario
    sick: tuple[str, ...] = ()
    nat: tuple[str, ...] = ()
    named: bool = True
    ground: tuple[FaultAt, ...] = ()
    late: bool = False
    once: bool = False
    congestion: str = "cubic"
    interval_s: float | None = None
    nodes: tuple[str, ...] = ()


def _store(on: str, path: str = "vpn") -> Traffic:
    return Traffic(run="store", on=on, bind=Endpoint(node=on, path=path, port=5001))


def _copies(on: str, to: str, count: int, rate: str = "", path: str = "vpn") -> Traffic:
    options = (("rate", rate),) if rate else ()
    return Traffic(
        run="copy", on=on, to=Endpoint(node=to, path=path, port=5001), count=count, at_s=2.0, options=options
    )


def _quiet(
    name: str,
    summary: str,
    *traffic: Traffic,
    ground: tuple[FaultAt, ...] = (),
    faults: tuple[FaultAt, ...] = (),
    overlay: str = "direct",
) -> Extra:
    return Extra(
        Scenario(
            name=name,
            summary=summary,
            hint="",
            overlay=overlay,
            trouble_s=2.0,
            traffic=traffic,
            faults=faults,
            codes=Codes(silent=True),
        ),
        ground=ground,
    )


def _below(kind: str, value: str) -> FaultAt:
    return FaultAt(target="e:a", kind=kind, value=value, at_s=0.0)


# An outage of which nobody has seen the time before is no news but how things are; flapping has its own times.
_NOT_LATE = ("blackout", "flapping")
SICK: Mapping[str, tuple[str, ...]] = {
    "healthy": (),
    "app-limited": (),
    "tcp-over-tcp": ("b", "a"),
    "node-down": ("d",),
}
USUALLY_SICK = ("e", "a")


def _late(name: str) -> Extra:
    """As an operator does who is called when it hurts."""
    scenario = _renamed(Scenario.load(name), f"{name}-late")
    return Extra(scenario, SICK.get(name, USUALLY_SICK), late=True, once=name == "node-down")


def _otherwise(name: str) -> Iterator[Extra]:
    """The same trouble with senders that do not wait for loss, seen five times a second, and by three nodes alone."""
    scenario, sick, once = Scenario.load(name), SICK.get(name, USUALLY_SICK), name == "node-down"
    yield Extra(_renamed(scenario, f"{name}-bbr"), sick, once=once, congestion="bbr")
    yield Extra(_renamed(scenario, f"{name}-fast"), sick, once=once, interval_s=0.2)
    third = "d" if name == "node-down" else "b" if name == "tcp-over-tcp" else "c"
    yield Extra(_renamed(scenario, f"{name}-three"), sick, once=once, nodes=("a", third, "e"))


def extras() -> dict[str, Extra]:
    """By name."""
    bulk = (_store("a"), _store("c"), _copies("e", "a", 4), _copies("d", "c", 3))
    miku = Scenario.load("miku")
    found = [
        _quiet("full-lines", "Bulk TCP fills two lines, as it is meant to.", *bulk),
        _quiet("full-lines-udp", "The same through a tunnel over UDP.", *bulk, overlay="udp"),
        _quiet(
            "long-way",
            "Bulk TCP over 320 ms.",
            _store("a"),
            _copies("e", "a", 2),
            ground=(_below("delay", "150ms"),),
        ),
        _quiet(
            "detour",
            "The way becomes 100 ms longer while little is sent: no queue.",
            _store("a"),
            _copies("e", "a", 2, "3M"),
            faults=(FaultAt(target="e:a", kind="delay", value="50ms", at_s=8.0),),
        ),
        _quiet(
            "jitter",
            "Delays vary by 20 ms.",
            _store("a"),
            _copies("e", "a", 2, "5M"),
            ground=(_below("jitter", "20ms"),),
        ),
        _quiet(
            "duplicates",
            "One packet in a hundred arrives twice.",
            _store("a"),
            _copies("e", "a", 2, "5M"),
            ground=(_below("duplicate", "1"),),
        ),
        Extra(
            Scenario(
                name="two-edges",
                summary="Two edges talk by way of the hub, over a striped tunnel with some loss below.",
                hint="",
                overlay="striped:8",
                trouble_s=5.0,
                traffic=(_store("d"), _copies("e", "d", 4)),
                faults=(FaultAt(target="e:a", kind="loss", value="0.7", path="public", at_s=5.0),),
                codes=Codes(
                    must=(("overlay-only",), ("reordering", "tcp-over-tcp")), must_not=("policer", "loss@public")
                ),
            ),
            sick=("e", "d"),
        ),
        Extra(_renamed(miku, "miku-unnamed"), sick=("e", "a"), named=False),
        Extra(_renamed(miku, "miku-nat"), sick=("e", "a"), nat=("d", "e")),
        *(_late(name) for name in names() if name not in _NOT_LATE),
        *(each for name in names() for each in _otherwise(name)),
    ]
    return {each.scenario.name: each for each in found}


def _renamed(scenario: Scenario, name: str) -> Scenario:
    return msgspec.structs.replace(scenario, name=name)
