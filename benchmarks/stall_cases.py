"""What the stalls are scored on: the lab's scenarios, and troubles at rates, delays and tunnels that are not the lab's.

``causes`` are those that explain the trouble; ``why`` says it in words.
"""

from __future__ import annotations

from typing import NamedTuple

from meshtop.lab.scenario import Endpoint, FaultAt, Scenario, Traffic

_PORT = 5001


class Case(NamedTuple):
    name: str
    scenario: Scenario
    seconds: float
    causes: frozenset[str]
    why: str

    @property
    def quiet(self) -> bool:
        """Nothing may stand still for a second."""
        return not self.causes


def _store(on: str = "a", path: str = "vpn", rate: str | None = None) -> Traffic:
    bind = Endpoint(node=on, path=path, port=_PORT)
    return Traffic(run="store", on=on, bind=bind, options=(("rate", rate),) if rate else ())


def _copies(on: str, count: int, to: str = "a", path: str = "vpn", rate: str | None = None) -> Traffic:
    goal = Endpoint(node=to, path=path, port=_PORT)
    options = (("rate", rate),) if rate else ()
    return Traffic(run="copy", on=on, to=goal, count=count, at_s=1.0, options=options)


def _chatter(on: str, every: str, to: str = "a") -> Traffic:
    goal = Endpoint(node=to, path="vpn", port=_PORT)
    return Traffic(run="chatter", on=on, to=goal, options=(("every", every),))


def _fault(
    target: str, kind: str, value: str = "", *, at: float = 4.0, until: float | None = None, path: str = "vpn"
) -> FaultAt:
    return FaultAt(target=target, kind=kind, value=value, path=path, at_s=at, until_s=until)


def _cuts(target: str, times: tuple[tuple[float, float], ...], path: str = "vpn") -> tuple[FaultAt, ...]:
    return tuple(_fault(target, "blackout", at=at, until=at + length, path=path) for at, length in times)


def _shipped(name: str, seconds: float, causes: str, why: str) -> Case:
    return Case(name, Scenario.load(name), seconds, frozenset(causes.split()), why)


def _made(
    name: str,
    seconds: float,
    causes: str,
    why: str,
    *traffic: Traffic,
    faults: tuple[FaultAt, ...] = (),
    overlay: str = "direct",
) -> Case:
    scenario = Scenario(name=name, summary=why, hint="", overlay=overlay, traffic=traffic, faults=faults)
    return Case(name, scenario, seconds, frozenset(causes.split()), why)


LOST = "rto-no-ack repeated-loss recovery"


def cases() -> list[Case]:
    """In the order in which they are run."""
    return [
        _shipped("healthy", 25, "", "nothing is wrong"),
        _shipped("app-limited", 25, "", "nothing is wrong; the applications write little"),
        _made(
            "receiver-idle",
            25,
            "",
            "connections on which seconds pass between two requests, over a long way",
            _store(),
            _chatter("e", "3s"),
            _chatter("d", "1100ms"),
            faults=(_fault("e:a", "delay", "120ms", at=0.0),),
        ),
        _shipped("bufferbloat", 20, "", "round trips of seconds, and data moves all the time"),
        _shipped("ack-loss", 20, "", "acknowledgements are cumulative: one lost costs nothing"),
        _shipped("reorder", 20, "", "all arrives"),
        _shipped(
            "blackout", 32, "blackout rto-no-ack", "nothing comes back; without a ping that fell due it is rto-no-ack"
        ),
        _made(
            "short-cuts",
            45,
            "blackout rto-no-ack",
            "cuts of one to four seconds, too short for a ping of each size to be decided",
            _store(),
            _copies("e", 3),
            _copies("d", 2, rate="2M"),
            faults=(
                _fault("e", "delay", "40ms", at=0.0),
                *_cuts("e:a", ((4, 1.1), (10, 1.6), (16, 2.5), (25, 4), (36, 0.8), (40, 1.3))),
                *_cuts("d:a", ((6, 1.2), (13, 2), (20, 0.7), (24, 3), (33, 1), (38, 1.5))),
            ),
        ),
        _shipped(
            "mtu-blackhole",
            28,
            "size-blackhole rto-no-ack",
            "full segments vanish; before the third time-out nothing sets it apart from rto-no-ack",
        ),
        _shipped("receiver-slow", 20, "zero-window", "the receiver closes its window"),
        _made(
            "receiver-stops",
            25,
            "zero-window",
            "the receiver reads 64 kB every 2.6 s",
            _store(rate="200k"),
            _copies("e", 3),
            faults=(_fault("e", "delay", "60ms", at=0.0),),
        ),
        _made(
            "holds",
            30,
            "rto-no-ack delay",
            "everything waits for 1.5 s and then arrives",
            _store(),
            _copies("e", 3),
            _copies("d", 1, rate="4M"),
            faults=(_fault("a", "hold", "1500ms/5s"), _fault("a", "delay", "25ms", at=0.0)),
        ),
        _made(
            "heavy-loss",
            40,
            LOST,
            "a sixth of all packets is lost on a thin and long way",
            _store(),
            _copies("e", 4),
            faults=(
                _fault("e:a", "rate", "3M", at=0.0),
                _fault("e:a", "delay", "60ms", at=0.0),
                _fault("e:a", "loss", "16", at=3.0),
            ),
        ),
        _made(
            "burst-loss",
            40,
            LOST + " blackout",
            "packets are lost thirty in a row: while all wait for their timers nothing passes, no ping either",
            _store(),
            _copies("e", 4),
            _copies("b", 2),
            faults=(_fault("e:a", "burst-loss", "8%/30"), _fault("b:a", "burst-loss", "12%/20")),
        ),
        _shipped("flapping", 36, LOST, "five per cent of loss now and then"),
        _shipped("loss", 20, LOST, "two per cent of loss: RTOs are rare, fast recovery the rule"),
        _shipped("udp-policed", 35, LOST + " delay", "what exceeds a rate is dropped, retransmissions too"),
        _shipped(
            "tcp-over-tcp", 30, "outer-stall delay rto-no-ack recovery repeated-loss", "the tunnel holds the data"
        ),
        _shipped("miku", 45, "outer-stall delay " + LOST, "striping: the tunnel loses nothing, but it is late"),
        _made(
            "udp-cuts",
            30,
            "blackout rto-no-ack",
            "cuts below a tunnel over UDP",
            _store(),
            _copies("e", 3),
            faults=_cuts("e:a", ((4, 1.3), (10, 2.2), (18, 3.5), (26, 1.1)), path="public"),
            overlay="udp",
        ),
        _made(
            "tcp1-cuts",
            35,
            "outer-stall blackout rto-no-ack",
            "cuts below a tunnel over one TCP connection, which is what stalls first",
            _store(),
            _copies("e", 3),
            faults=(
                _fault("e:a", "delay", "30ms", at=0.0, path="public"),
                *_cuts("e:a", ((5, 1.3), (12, 2.2), (22, 3)), path="public"),
            ),
            overlay="tcp1",
        ),
        _made(
            "striped-loss",
            35,
            "outer-stall delay " + LOST,
            "loss below a tunnel of four connections",
            _store(),
            _copies("e", 4),
            faults=(_fault("e:a", "loss", "3", path="public"),),
            overlay="striped:4",
        ),
        _shipped("node-down", 25, "blackout rto-no-ack", "the node is gone from every network, its management too"),
    ]
