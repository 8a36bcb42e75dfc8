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
    yield Extra(_with_bbr(_renamed(scenario, f"{name}-bbr")), sick, once=once, congestion="bbr")
    yield Extra(_renamed(scenario, f"{name}-fast"), sick, once=once, interval_s=0.2)
    third = "d" if name == "node-down" else "b" if name == "tcp-over-tcp" else "c"
    yield Extra(_renamed(scenario, f"{name}-three"), sick, once=once, nodes=("a", third, "e"))


def _with_bbr(scenario: Scenario) -> Scenario:
    """BBR fills no long queue. On a full line it loses some percent by itself, beside which no other loss can be told:
    there is room on the line in the cases that are about loss."""
    if scenario.name == "bufferbloat-bbr":
        return msgspec.structs.replace(scenario, codes=Codes(must_not=("loss", "policer", "reordering")))
    if scenario.name not in ("loss-bbr", "reorder-bbr"):
        return scenario
    paced = tuple(
        msgspec.structs.replace(each, options=(("rate", "2M"),)) if each.run == "copy" else each
        for each in scenario.traffic
    )
    return msgspec.structs.replace(scenario, traffic=paced)


def _sick(
    name: str,
    summary: str,
    count: int,
    *faults: FaultAt,
    must: str,
    must_not: tuple[str, ...] = (),
    overlay: str = "direct",
    ground: tuple[FaultAt, ...] = (),
    congestion: str = "cubic",
    store_rate: str = "",
) -> Extra:
    store = _store("a")
    if store_rate:
        store = msgspec.structs.replace(store, options=(("rate", store_rate),))
    scenario = Scenario(
        name=name,
        summary=summary,
        hint="",
        overlay=overlay,
        trouble_s=5.0,
        traffic=(store, _copies("e", "a", count)),
        faults=faults,
        codes=Codes(must=((must,),), must_not=must_not),
    )
    return Extra(scenario, USUALLY_SICK, ground=ground, congestion=congestion)


def _at(kind: str, value: str, target: str = "e:a", path: str = "vpn", until_s: float | None = None) -> FaultAt:
    return FaultAt(target=target, kind=kind, value=value, path=path, at_s=5.0, until_s=until_s)


def _alike() -> Iterator[Extra]:
    """Pictures that are easily taken for one another, with few flows and many, near and far."""
    far = (_below("delay", "80ms"),)
    policer = FaultAt(target="e", kind="policer-udp", value="5M", path="public", at_s=5.0)
    no_policer, no_loss = ("policer", "reordering"), ("loss", "bufferbloat", "tcp-over-tcp")
    yield _sick("loss-one", "A single flow at 2 % loss.", 1, _at("loss", "2"), must="loss", must_not=no_policer)
    yield _sick("loss-many", "Sixteen flows at 5 % loss.", 16, _at("loss", "5"), must="loss", must_not=no_policer)
    yield _sick("loss-far", "Loss on a long way.", 8, _at("loss", "2"), must="loss", must_not=no_policer, ground=far)
    yield _sick("loss-bursts", "Losses in a row.", 4, _at("burst-loss", "2%/8"), must="loss", must_not=("reordering",))
    mute = (FaultAt(target="e", kind="icmp-drop", value=""),)
    yield _sick("loss-mute", "No ping is answered.", 4, _at("loss", "2"), must="loss", must_not=no_policer, ground=mute)
    plain = _at("policer", "8M", target="e")
    yield _sick("policer-tcp", "TCP itself is policed.", 4, plain, must="policer", must_not=("reordering",))
    for name, count, ground in (("policer-one", 1, ()), ("policer-far", 16, far)):
        summary = f"Policed UDP below {count} flows."
        yield _sick(
            name, summary, count, policer, must="policer", must_not=("reordering",), overlay="udp", ground=ground
        )
    hole = _at("mtu-blackhole", "1100", target="e", until_s=18.0)
    yield _sick("hole-healed", "A black hole that is mended.", 3, hole, must="pmtu-blackhole", must_not=("blackout",))
    yield _sick(
        "slow-store-far",
        "A slow receiver, far away.",
        2,
        must="receiver-limited",
        must_not=no_loss,
        ground=far,
        store_rate="3M",
    )


def _of_all_its_links() -> Iterator[Extra]:
    """The same on a whole row or column: one finding of the node."""
    peers = ("a", "b", "c", "d")
    stores = tuple(_store(node) for node in peers)
    cut = tuple(FaultAt(target="d", kind="blackout", path=path, at_s=5.0) for path in ("public", "vpn"))
    lossy = tuple(FaultAt(target=node, kind="loss", value="6", path="vpn", at_s=5.0) for node in ("b", "c", "d", "e"))
    sparse = tuple(_copies("e", node, 1, "300k") for node in ("a", "c"))
    for name, summary, traffic, faults, sick in (
        (
            "row-loss",
            "One node's line loses what it sends to four others.",
            (*stores, *(_copies("e", node, 1, "1500k") for node in peers)),
            (FaultAt(target="e", kind="loss", value="4", one_way=True, path="vpn", at_s=5.0),),
            ("e",),
        ),
        (
            "row-bloat",
            "One node's uplink has a long queue, and three copies fill it.",
            (*stores, *(_copies("e", node, 2) for node in ("a", "c", "d"))),
            (
                FaultAt(target="e", kind="queue", value="1500ms", at_s=5.0),
                FaultAt(target="e", kind="rate", value="8M", at_s=5.0),
            ),
            ("e",),
        ),
        (
            "ways-of-one",
            "On the overlay one node loses some of all it sends and is sent.",
            (*stores, *sparse),
            (FaultAt(target="e", kind="loss", value="6", path="vpn", at_s=5.0),),
            ("e",),
        ),
        ("ways-of-all", "On the overlay all nodes lose some.", (*stores, *sparse), lossy, ()),
        (
            "node-gone",
            "A node is gone, for its peers and for us.",
            (*stores, _copies("e", "d", 1, "2M")),
            (*cut, FaultAt(target="d", kind="mgmt-cut", at_s=5.0)),
            ("d",),
        ),
    ):
        code = "unreachable" if name == "node-gone" else "node-wide"
        scenario = Scenario(
            name=name,
            summary=summary,
            hint="",
            trouble_s=5.0,
            traffic=traffic,
            faults=faults,
            codes=Codes(must=((code,),), must_not=("reordering", "receiver-limited")),
        )
        yield Extra(scenario, sick=sick)


def _held_by_a_window() -> Iterator[Extra]:
    """A fixed receive buffer on a long way, whose application reads at once; and one that reads slowly beside it."""
    ground = (_below("delay", "60ms"),)
    for size, rate in (("16k", ""), ("64k", ""), ("256k", ""), ("64k", "1M")):
        options = (("window", size), *((("rate", rate),) if rate else ()))
        must_not = ("loss", "policer", "bufferbloat", "sender-limited")
        yield Extra(
            Scenario(
                name=f"recv-buffer-{size}-slow" if rate else f"recv-buffer-{size}",
                summary=f"A copy to a receive buffer of {size} over 140 ms{', read slowly' if rate else ''}.",
                hint="",
                trouble_s=2.0,
                traffic=(msgspec.structs.replace(_store("a"), options=options), _copies("e", "a", 1)),
                codes=Codes(must=(("receiver-limited",),), must_not=must_not),
            ),
            USUALLY_SICK,
            ground=ground,
        )


def _held_by_its_sender() -> Iterator[Extra]:
    """A fixed send buffer on a long way. The kernel itself counts that only where segments wait before a device."""
    ground = (
        _below("delay", "60ms"),
        FaultAt(target="e", kind="host-queue", value="30M/64k", at_s=0.0),
    )
    for size, device in (("16k", True), ("64k", True), ("256k", True), ("64k", False)):
        copies = msgspec.structs.replace(_copies("e", "a", 1), options=(("window", size),))
        yield Extra(
            Scenario(
                name=f"send-buffer-{size}" if device else f"send-buffer-{size}-virtual",
                summary=f"A copy with a send buffer of {size} over 140 ms.",
                hint="",
                trouble_s=2.0,
                traffic=(_store("a"), copies),
                codes=Codes(must=(("sender-limited",),), must_not=("loss", "policer", "receiver-limited")),
            ),
            USUALLY_SICK,
            ground=ground if device else ground[:1],
        )


def _at_a_node() -> Iterator[Extra]:
    """What a node does itself, and what looks like it."""
    ring = FaultAt(target="e", kind="host-ring", value="4", at_s=5.0)
    queue = FaultAt(target="e", kind="host-queue", value="8M", at_s=5.0)
    # What a queue dropped is told each ten seconds: until then what is sent again is called what it looks like.
    drops = Codes(must=(("host-drops",),), must_not=("policer", "reordering"))
    ring_case = _sick("host-ring", "Its interfaces hold four packets.", 4, ring, must="host-drops")
    queue_case = _sick("host-queue", "Its own queue is short.", 4, queue, must="host-drops", overlay="udp")
    for each in (ring_case, queue_case):
        yield each._replace(scenario=msgspec.structs.replace(each.scenario, codes=drops), sick=("e",))
    yield Extra(
        Scenario(
            name="hub-cpu",
            summary="The process of a tunnel over UDP does not keep up on its hub.",
            hint="",
            overlay="udp",
            trouble_s=5.0,
            traffic=(_store("a"), *(_copies(node, "a", 2, "6M") for node in ("d", "e"))),
            faults=(FaultAt(target="a", kind="cpu-full", value="60", at_s=5.0),),
            codes=Codes(must=(("host-drops",),), must_not=("policer", "reordering", "receiver-limited")),
        ),
        sick=("a",),
    )
    starved = FaultAt(target="e", kind="cpu-full", value="60", at_s=5.0)
    yield _sick("client-cpu", "That of a tunnel's client.", 4, starved, must="bufferbloat", overlay="udp")
    uploads = [_copies(node, "a", 1) for node in ("c", "e")]
    for name, summary, options, count, codes in (
        (
            "cpu-full",
            "Two upload to a node whose CPU is not theirs.",
            ("compress", "6"),
            "60",
            Codes(must=(("node-wide",),), must_not=("loss", "overlay-only", "unreachable", "policer")),
        ),
        (
            "cpu-given",
            "Two slow receivers on a machine that is full of what gives way.",
            ("rate", "2M"),
            "0",
            Codes(must=(("receiver-limited",),), must_not=("node-wide", "loss", "overlay-only", "host-drops")),
        ),
    ):
        store = msgspec.structs.replace(_store("a"), options=(options,))
        yield Extra(
            Scenario(
                name=name,
                summary=summary,
                hint="",
                trouble_s=5.0,
                traffic=(store, *uploads),
                faults=(FaultAt(target="a", kind="cpu-full", value=count, at_s=5.0),),
                codes=codes,
            ),
            sick=("a",),
        )


def extras() -> dict[str, Extra]:
    """By name."""
    bulk = (_store("a"), _store("c"), _copies("e", "a", 4), _copies("d", "c", 3))
    miku = Scenario.load("miku")
    found = [
        _quiet("full-lines", "Bulk TCP fills two lines, as it is meant to.", *bulk),
        _quiet("full-lines-udp", "The same through a tunnel over UDP.", *bulk, overlay="udp"),
        _quiet("full-lines-bbr", "The same with BBR.", *bulk)._replace(congestion="bbr"),
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
        *_alike(),
        *_held_by_a_window(),
        *_held_by_its_sender(),
        *_of_all_its_links(),
        *_at_a_node(),
    ]
    return {each.scenario.name: each for each in found}


def _renamed(scenario: Scenario, name: str) -> Scenario:
    return msgspec.structs.replace(scenario, name=name)
