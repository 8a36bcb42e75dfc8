"""A mesh, a scripted node and its kernel, from which hand-made frames are built."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from meshtop.engine.engine import Engine
from meshtop.model import FrameReceived, LinkKey, Mesh, Node, Path, SessionChanged
from meshtop.readings import (
    DevCounters,
    Frame,
    NodeInfo,
    PingEvent,
    PingProblem,
    PingReply,
    PingStarted,
    ProbeProblem,
    SocketChanges,
    SocketId,
    SocketReading,
    SoftnetRow,
)

EPOCH = 1_714_573_000.0  # operator's UTC at which every scripted node's uptime was 0
INFO = NodeInfo(kernel="6.1.0", ss="6.1.0", ping="iputils 20221126", root=False)


def make_mesh(**changes: object) -> Mesh:
    nodes = (
        Node(name="a", address={"vpn": "10.10.10.1", "public": "203.0.113.10"}),
        Node(name="c", address={"vpn": "10.10.10.3", "public": "198.51.100.33"}, nat=("public",)),
        Node(name="e", address={"vpn": "10.10.10.5", "public": "198.51.100.55"}),
    )
    paths = (Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay"))
    return Mesh(**{"name": "test", "nodes": nodes, "paths": paths, **changes})  # type: ignore[arg-type]


def socket(
    peer: str = "10.10.10.1",
    port: int = 5201,
    *,
    local: str = "10.10.10.5",
    local_port: int = 40000,
    cookie: str | None = "1",
    state: str = "ESTAB",
    acked: int | None = None,
    **fields: object,
) -> SocketReading:
    identity = SocketId(local, local_port, peer, port, cookie)
    return SocketReading(id=identity, state=state, recv_q=0, send_q=0, bytes_acked=acked, **fields)  # type: ignore[arg-type]


def full(*readings: SocketReading) -> SocketChanges:
    return SocketChanges(full=True, changed=readings, total=len(readings))


def changed(*readings: SocketReading, gone: Sequence[SocketId] = (), total: int = 1) -> SocketChanges:
    return SocketChanges(full=False, changed=readings, gone=tuple(gone), total=total)


@dataclass
class Probe:
    """One probe on a scripted node: numbers its frames, and says when the operator gets them."""

    node: str = "e"
    boot: str = "boot-1"
    name: str = "probe-1"
    connection: int = 1
    interval_s: float = 1.0
    epoch: float = EPOCH
    delay_s: float = 0.02
    seq: int = field(default=-1)

    def frame(self, uptime_s: float, sockets: SocketChanges | None = None, **parts: object) -> Frame:
        self.seq += 1
        if self.seq == 0:
            parts.setdefault("info", INFO)
        return Frame(
            boot=self.boot,
            probe=self.name,
            seq=self.seq,
            uptime_s=uptime_s,
            interval_s=self.interval_s,
            sockets=sockets,
            **parts,  # type: ignore[arg-type]
        )

    def sent(self, frame: Frame, *, received_uptime_s: float | None = None) -> FrameReceived:
        """As an event; ``received_uptime_s``: the node's uptime at which it arrived."""
        at = self.epoch + self.delay_s + (frame.uptime_s if received_uptime_s is None else received_uptime_s)
        return FrameReceived(at=at, node=self.node, connection=self.connection, frame=frame)

    def tell(self, uptime_s: float, sockets: SocketChanges | None = None, **parts: object) -> FrameReceived:
        return self.sent(self.frame(uptime_s, sockets, **parts))


class Pinger:
    """A ping process on the node that starts at ``started`` with number 1."""

    def __init__(self, started: float, target: str = "10.10.10.1", payload: int = 56, interval_s: float = 1.0) -> None:
        self.target, self.payload, self.interval_s, self.started = target, payload, interval_s, started

    def start(self) -> PingStarted:
        return PingStarted(
            target=self.target,
            payload_bytes=self.payload,
            interval_s=self.interval_s,
            uptime_s=self.started,
            first_seq=1,
        )

    def reply(self, seq: int, rtt_ms: float = 38.0, *, at: float | None = None) -> PingReply:
        sent = self.started + (seq - 1) * self.interval_s if at is None else at
        return PingReply(
            target=self.target,
            payload_bytes=self.payload,
            seq=seq,
            rtt_ms=rtt_ms,
            uptime_s=sent + rtt_ms / 1000,
            sent_uptime_s=sent,
        )

    def problem(self, uptime_s: float, text: str, *, ended: bool = False) -> PingProblem:
        return PingProblem(target=self.target, payload_bytes=self.payload, uptime_s=uptime_s, text=text, ended=ended)


class Story:
    """An engine and one node that is told of second by second: each second a ping of 56 bytes, and the sockets."""

    def __init__(self, mesh: Mesh | None = None, start: float = 1000.0, **probe: object) -> None:
        self.engine = Engine(mesh or make_mesh())
        self.probe = Probe(**probe)  # type: ignore[arg-type]
        self.pinger = Pinger(start)
        self.uptime = start
        self.events: list[object] = []
        self.seq = 0

    @property
    def now(self) -> float:
        return self.probe.epoch + self.probe.delay_s + self.uptime

    def up(self, connection: int = 1) -> None:
        self.receive(SessionChanged(at=self.now, node=self.probe.node, connection=connection, phase="up"))

    def receive(self, event: object) -> tuple[object, ...]:
        told = self.engine.receive(event)  # type: ignore[arg-type]
        self.events.extend(told)
        return told

    def begin(self, sockets: SocketChanges | None = None, **parts: object) -> None:
        self.up()
        pings: tuple[PingEvent, ...] = (self.pinger.start(),)
        self.receive(self.probe.tell(self.uptime, sockets if sockets is not None else full(), pings=pings, **parts))

    def second(
        self,
        rtt_ms: float | None = 38.0,
        sockets: SocketChanges | None = None,
        pings: Iterable[PingEvent] = (),
        **parts: object,
    ) -> tuple[object, ...]:
        """One interval passes; ``rtt_ms`` None: its ping is not answered."""
        self.seq += 1
        answers = [] if rtt_ms is None else [self.pinger.reply(self.seq, rtt_ms)]
        self.uptime += self.probe.interval_s
        told = self.receive(
            self.probe.tell(
                self.uptime, sockets if sockets is not None else changed(total=0), pings=(*answers, *pings), **parts
            )
        )
        self.engine.tick(self.now)
        return told

    def link(self, dst: str = "a", path: str = "vpn", now: float | None = None, window_s: float = 10.0):
        snapshot = self.engine.snapshot(self.now if now is None else now, window_s)
        return next(link for link in snapshot.links if link.key == LinkKey(self.probe.node, dst, path))

    def node(self, now: float | None = None, window_s: float = 10.0):
        snapshot = self.engine.snapshot(self.now if now is None else now, window_s)
        return next(node for node in snapshot.nodes if node.name == self.probe.node)

    def state(self, dst: str = "a", path: str = "vpn") -> str:
        return self.link(dst, path).state


@pytest.fixture
def build() -> SimpleNamespace:
    """The builders of this file, for tests that cannot import it."""
    return SimpleNamespace(
        mesh=make_mesh,
        socket=socket,
        full=full,
        changed=changed,
        Probe=Probe,
        Pinger=Pinger,
        Story=Story,
        epoch=EPOCH,
        info=INFO,
        dev=lambda rx, tx, drop=0: DevCounters(
            rx_bytes=rx,
            rx_packets=0,
            rx_errs=0,
            rx_drop=drop,
            rx_fifo=0,
            tx_bytes=tx,
            tx_packets=0,
            tx_errs=0,
            tx_drop=0,
            tx_fifo=0,
            tx_carrier=0,
        ),
        softnet=lambda dropped: (SoftnetRow(cpu=0, processed=1, dropped=dropped, time_squeeze=0),),
        problem=lambda source, text: ProbeProblem(source=source, text=text),
    )


@pytest.fixture
def story(build: SimpleNamespace) -> Callable[..., Story]:
    return Story
