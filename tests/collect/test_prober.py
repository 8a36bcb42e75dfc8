"""The operator's pings: real ones, over loopback and in namespaces that the tests make."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path as File

import msgspec
import pytest

from meshtop.collect import icmp, prober
from meshtop.collect.icmp import EchoSocket, Reply, Sent, round_trip_ms
from meshtop.collect.prober import OperatorProber
from meshtop.model import EngineEvent, Mesh, Node, OperatorPing, Path

ROOT = File(__file__).resolve().parents[2]
PATIENCE_S = 30.0


class WallClock:
    def now(self) -> float:
        return time.time()


def mesh(ping_s: float = 0.05, **addresses: dict[str, str]) -> Mesh:
    """A mesh of nodes with these addresses by path."""
    paths = {path: None for by_path in addresses.values() for path in by_path}
    return Mesh(
        name="t",
        nodes=tuple(Node(name=name, address=by_path) for name, by_path in addresses.items()),
        paths=tuple(Path(name=path, kind="underlay") for path in paths),
        ping_s=ping_s,
    )


async def watch(what: Mesh, enough: Callable[[list[OperatorPing]], bool]) -> list[OperatorPing]:
    """Run a prober until ``enough`` holds of the events so far."""
    events: list[OperatorPing] = []
    done = asyncio.Event()

    def sink(event: EngineEvent) -> None:
        assert isinstance(event, OperatorPing)
        events.append(event)
        if enough(events):
            done.set()

    task = asyncio.create_task(OperatorProber(what, sink, WallClock()).run())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return events


def by_node(events: list[OperatorPing], name: str) -> list[OperatorPing]:
    return [event for event in events if event.node == name]


# ── Without a network of its own ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.node
async def test_every_address_answers_and_nothing_is_left_open() -> None:
    addresses = {f"n{i}": {"public": f"127.0.0.{i}", "vpn": f"127.0.1.{i}"} for i in range(2, 7)}
    before = set(os.listdir("/proc/self/fd"))

    def enough(events: list[OperatorPing]) -> bool:
        answered = [(e.node, e.path) for e in events if e.rtt_ms is not None]
        return all(answered.count((n, p)) >= 3 for n in addresses for p in ("public", "vpn"))

    started = time.time()
    events = await watch(mesh(**addresses), enough)
    assert all(event.problem is None and event.rtt_ms is not None and event.rtt_ms >= 0 for event in events)
    assert all(started - 1 <= event.at <= time.time() + 1 for event in events)
    assert set(os.listdir("/proc/self/fd")) == before


def test_requests_are_spread_over_the_interval() -> None:
    """They do not leave as one volley, which a thin line would feel."""
    addresses = {f"n{i}": {"public": f"127.0.0.{i}", "vpn": f"127.0.1.{i}"} for i in range(2, 7)}
    targets = OperatorProber(mesh(0.5, **addresses), lambda event: None, WallClock())._targets(100.0)
    assert [target.due for target in targets] == pytest.approx([100 + 0.05 * i for i in range(10)])


def test_a_path_that_the_operator_is_not_on_is_never_sent_to() -> None:
    whole = mesh(n1={"public": "127.0.0.2", "vpn": "127.0.1.2"})
    paths = tuple(msgspec.structs.replace(path, from_operator=path.name == "public") for path in whole.paths)
    prober = OperatorProber(msgspec.structs.replace(whole, paths=paths), lambda event: None, WallClock())
    assert [target.path for target in prober._targets(0.0)] == ["public"]


@pytest.mark.node
async def test_times_are_the_kernels_while_the_loop_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """User space sees the answers only after each 10 ms block; the figure must not."""
    user_space_ms: list[float] = []

    def spy(sent: Sent, reply: Reply) -> float:
        user_space_ms.append((reply.read.monotonic_s - sent.monotonic_s) * 1000)
        return round_trip_ms(sent, reply)

    async def hog() -> None:
        while True:
            time.sleep(0.010)  # noqa: ASYNC251  # blocking is the point
            await asyncio.sleep(0)

    monkeypatch.setattr(prober, "round_trip_ms", spy)
    busy = asyncio.create_task(hog())
    try:
        events = await watch(mesh(0.02, n={"public": "127.0.0.2"}), lambda events: len(events) >= 40)
    finally:
        busy.cancel()
    kernel_ms = [event.rtt_ms for event in events if event.rtt_ms is not None]
    assert len(kernel_ms) == len(events)
    assert statistics.median(user_space_ms) > 5
    assert statistics.median(kernel_ms) < statistics.median(user_space_ms) / 10


@pytest.mark.node
async def test_two_probers_and_a_ping_do_not_hear_each_other() -> None:
    """Each gets one answer for each of its own requests, no more."""
    ping = await asyncio.create_subprocess_exec(
        "ping", "-c", "20", "-i", "0.05", "127.0.0.2", stdout=asyncio.subprocess.DEVNULL
    )
    what = mesh(0.05, n={"public": "127.0.0.2"})
    one, other = await asyncio.gather(*(watch(what, lambda events: len(events) >= 20) for _ in range(2)))
    assert await ping.wait() == 0
    for events in (one, other):
        assert events[-1].at - events[0].at >= 0.05 * 19 * 0.8


async def test_an_address_that_is_none_is_said_once() -> None:
    events = await watch(mesh(n={"public": "not-an-address"}), lambda events: len(events) == 1)
    assert events[0].rtt_ms is None
    assert events[0].problem == "not-an-address is no IP address"


def test_a_stepped_wall_clock_does_not_reach_the_round_trip() -> None:
    sent = Sent(wall_s=1000.0, monotonic_s=50.0)
    usual = Reply("192.0.2.1", 1, wall_s=1000.030, read=Sent(1000.040, 50.040))
    assert round_trip_ms(sent, usual) == pytest.approx(30)
    for step_s in (-3600.0, -0.02, 0.02, 3600.0):
        stepped = Reply("192.0.2.1", 1, wall_s=1000.030 + step_s, read=Sent(1000.040 + step_s, 50.040))
        assert round_trip_ms(sent, stepped) == pytest.approx(40)


def test_the_kernel_stamps_what_the_socket_hears() -> None:
    """A cmsg that is no time stamp, or none at all, falls back to the time of reading."""
    assert icmp._stamp([], 7.0) == 7.0
    assert icmp._stamp([(1, 99, b"x" * 16)], 7.0) == 7.0
    assert icmp._stamp([(1, icmp.SO_TIMESTAMPNS, icmp._TIMESPEC.pack(3, 500_000_000))], 7.0) == 3.5


# ── In namespaces ────────────────────────────────────────────────────────────────────────────────────────────────────

CHILD = """
import asyncio, sys, time, msgspec
from meshtop.collect.prober import OperatorProber
from meshtop.model import Mesh
class Clock:
    def now(self): return time.time()
async def main():
    def sink(event):
        sys.stdout.buffer.write(msgspec.json.encode(event) + b"\\n"); sys.stdout.flush()
    what = msgspec.json.decode(sys.argv[1].encode(), type=Mesh)
    task = asyncio.ensure_future(OperatorProber(what, sink, Clock()).run())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    task.cancel()
asyncio.run(main())
"""
# Answers every echo request to 127.0.1.* as that address should not: .1 from another source, .2 with another payload,
# .3 twice, .4 with another identifier.
RESPONDER = """
import socket, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
def answer(source, to, ident, seq, payload):
    out = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    out.bind((source, 0))
    head = struct.pack("!BBHHH", 0, 0, 0, ident, seq)
    head = struct.pack("!BBHHH", 0, 0, checksum(head + payload), ident, seq)
    out.sendto(head + payload, (to, 0)); out.close()
print("ready", flush=True)
while True:
    packet, (asker, _) = sock.recvfrom(2048)
    kind, _, _, ident, seq = struct.unpack("!BBHHH", packet[20:28])
    asked, payload = socket.inet_ntoa(packet[16:20]), packet[28:]
    if kind != 8 or not asked.startswith("127.0.1."):
        continue
    which = asked[-1]
    answer("127.0.9.9" if which == "1" else asked, asker, ident ^ (which == "4"), seq,
           bytes(56) if which == "2" else payload)
    if which == "3":
        answer(asked, asker, ident, seq, payload)
"""
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)


class Namespaces:
    """Two network namespaces joined by a veth: ``here`` (the operator's) and ``there``."""

    def __init__(self) -> None:
        tag = f"mtp{os.getpid():x}"
        self.here, self.there = f"{tag}h", f"{tag}t"
        self.children: list[subprocess.Popen[str]] = []

    def up(self) -> None:
        for name in (self.here, self.there):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "p0", "netns", self.here, "type", "veth", "peer", "name", "p0", "netns", self.there)
        for name, last in ((self.here, 1), (self.there, 2)):
            run("ip", "-n", name, "address", "add", f"10.98.0.{last}/24", "dev", "p0")
            run("ip", "-n", name, "address", "add", f"fd98::{last}/64", "dev", "p0", "nodad")
            run("ip", "-n", name, "link", "set", "p0", "up")

    def sysctl(self, name: str, setting: str) -> None:
        run("ip", "netns", "exec", name, "sysctl", "-qw", setting)

    def start(self, name: str, *command: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            ("ip", "netns", "exec", name, *command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.children.append(child)
        return child

    def prober(self, what: Mesh, *, nobody: bool = False) -> Events:
        argument = json.dumps(
            {
                "name": what.name,
                "ping_s": what.ping_s,
                "nodes": [{"name": node.name, "address": dict(node.address)} for node in what.nodes],
                "paths": [{"name": path.name, "kind": path.kind} for path in what.paths],
            }
        )
        user = AS_NOBODY if nobody else ()
        return Events(self.start(self.here, *user, sys.executable, "-c", CHILD, argument))

    def down(self) -> None:
        for child in self.children:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()
        for name in (self.here, self.there):
            subprocess.run(("ip", "netns", "del", name), check=False, capture_output=True)


class Events:
    """The events of a prober that runs as a child."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.child = child

    def until(self, enough: Callable[[list[OperatorPing]], bool]) -> list[OperatorPing]:
        assert self.child.stdout is not None
        events: list[OperatorPing] = []
        deadline = time.monotonic() + PATIENCE_S
        while not enough(events):
            assert time.monotonic() < deadline, events
            line = self.child.stdout.readline()
            assert line, "the prober ended"
            fields = json.loads(line)
            events.append(OperatorPing(**fields))
        return events

    def stop(self) -> list[OperatorPing]:
        """End it; what it still said."""
        rest, _ = self.child.communicate(timeout=PATIENCE_S)
        assert self.child.returncode == 0
        return [OperatorPing(**json.loads(line)) for line in rest.splitlines()]


@pytest.fixture
def namespaces() -> Iterator[Namespaces]:
    made = Namespaces()
    try:
        made.up()
        yield made
    finally:
        made.down()


def answers(events: list[OperatorPing], node: str) -> int:
    return sum(event.rtt_ms is not None for event in by_node(events, node))


@pytest.mark.lab
def test_an_ordinary_user_may_ping_where_the_group_range_allows(namespaces: Namespaces) -> None:
    namespaces.sysctl(namespaces.here, "net.ipv4.ping_group_range=0 2147483647")
    what = mesh(n={"public": "10.98.0.2", "six": "fd98::2"}, local={"public": "127.0.0.1", "six": "::1"})
    started = namespaces.prober(what, nobody=True)
    events = started.until(
        lambda events: len({(e.node, e.path) for e in events if e.rtt_ms is not None}) == 4 and len(events) >= 12
    )
    assert all(event.problem is None and event.rtt_ms is not None for event in events + started.stop())


@pytest.mark.lab
def test_who_may_not_ping_is_told_once_for_each_address(namespaces: Namespaces) -> None:
    namespaces.sysctl(namespaces.here, "net.ipv4.ping_group_range=1 0")
    what = mesh(0.02, n={"public": "10.98.0.2", "six": "fd98::2"}, m={"public": "10.98.0.2"})
    started = namespaces.prober(what, nobody=True)
    events = started.until(lambda events: len(events) == 3)
    time.sleep(0.5)  # 25 intervals in which nothing more may be said: there is no event to wait for
    assert started.stop() == []
    assert {(e.node, e.path) for e in events} == {("n", "public"), ("n", "six"), ("m", "public")}
    for event in events:
        assert event.rtt_ms is None
        assert event.problem is not None
        assert "not permitted" in event.problem
        assert "sysctl -w net.ipv4.ping_group_range=" in event.problem


@pytest.mark.lab
def test_an_address_without_a_route_is_asked_less_and_less(namespaces: Namespaces) -> None:
    what = mesh(up={"public": "10.98.0.2"}, away={"public": "10.77.0.1", "six": "fd77::1"})
    events = namespaces.prober(what).until(lambda events: answers(events, "up") >= 60)
    away = by_node(events, "away")
    assert {event.problem for event in away} == {
        "no route to 10.77.0.1 from this machine",
        "no route to fd77::1 from this machine",
    }
    assert all(event.rtt_ms is None for event in away)
    assert len(away) <= 2 * 10  # after 0, 2, 6, 14, 30 and 62 intervals; each time would be 60 of each


@pytest.mark.lab
def test_loss_is_told_when_it_is_due_and_answers_resume(namespaces: Namespaces) -> None:
    started = namespaces.prober(mesh(0.1, n={"public": "10.98.0.2"}))
    started.until(lambda events: answers(events, "n") >= 3)
    muted = time.time()
    namespaces.sysctl(namespaces.there, "net.ipv4.icmp_echo_ignore_all=1")
    lost = started.until(lambda events: bool(events) and events[-1].rtt_ms is None)[-1]
    assert lost.problem is None
    assert lost.at - muted >= prober.LOST_AFTER_S - 0.05
    namespaces.sysctl(namespaces.there, "net.ipv4.icmp_echo_ignore_all=0")
    started.until(lambda events: answers(events, "n") >= 5)


@pytest.mark.lab
def test_the_network_goes_down_and_comes_back(namespaces: Namespaces) -> None:
    started = namespaces.prober(mesh(n={"public": "10.98.0.2"}))
    started.until(lambda events: answers(events, "n") >= 3)
    run("ip", "-n", namespaces.here, "link", "set", "p0", "down")
    told = started.until(lambda events: bool(events) and events[-1].problem is not None)[-1]
    assert told.problem == "no route to 10.98.0.2 from this machine"
    run("ip", "-n", namespaces.here, "link", "set", "p0", "up")
    events = started.until(lambda events: answers(events, "n") >= 10)
    resumed = [event.at for event in events if event.rtt_ms is not None]
    gaps = [later - earlier for earlier, later in pairwise(resumed)]
    assert statistics.median(gaps) < 0.09  # its old pace of 50 ms; the slow ones are 100 ms and more


@pytest.mark.lab
@pytest.mark.parametrize("kind", ["ping socket", "raw socket"])
def test_only_the_true_answer_counts(namespaces: Namespaces, kind: str) -> None:
    """Another machine's answer, another payload or identifier is none; a duplicate is one."""
    allowed = "0 2147483647" if kind == "ping socket" else "1 0"
    namespaces.sysctl(namespaces.here, f"net.ipv4.ping_group_range={allowed}")
    namespaces.sysctl(namespaces.here, "net.ipv4.icmp_echo_ignore_all=1")
    responder = namespaces.start(namespaces.here, sys.executable, "-c", RESPONDER)
    assert responder.stdout is not None
    assert responder.stdout.readline() == "ready\n"
    what = mesh(
        0.25,
        other_source={"public": "127.0.1.1"},
        other_payload={"public": "127.0.1.2"},
        twice={"public": "127.0.1.3"},
        other_id={"public": "127.0.1.4"},
    )
    started = namespaces.prober(what)
    liars = ("other_source", "other_payload", "other_id")
    events = started.until(lambda events: all(by_node(events, liar) for liar in liars))
    for liar in liars:
        assert answers(events, liar) == 0
    twice = by_node(events, "twice")
    assert all(event.rtt_ms is not None for event in twice)
    span = twice[-1].at - twice[0].at
    assert len(twice) <= span / 0.25 + 2


@pytest.mark.lab
def test_a_raw_socket_hears_only_replies(namespaces: Namespaces) -> None:
    """The requests of others, which a raw socket would see too, do not wake the program."""
    code = """
import select, subprocess
from meshtop.collect.icmp import EchoSocket
for family, address in ((4, "127.0.0.1"), (6, "::1")):
    echo = EchoSocket(family)
    assert echo.privileged
    ping = subprocess.run(["ping", "-c", "2", "-i", "0.05", address], check=True, stdout=subprocess.DEVNULL)
    heard = 0
    while select.select([echo], [], [], 0)[0]:
        echo._echo.sock.recv(2048); heard += 1
    assert heard == 2, heard  # two replies; the two requests stayed outside
    echo.close()
print("fine", flush=True)
"""
    namespaces.sysctl(namespaces.here, "net.ipv4.ping_group_range=1 0")
    child = namespaces.start(namespaces.here, sys.executable, "-c", code)
    assert child.communicate(timeout=PATIENCE_S)[0] == "fine\n"


@pytest.mark.node
def test_the_socket_is_closed_even_if_never_used() -> None:
    before = set(os.listdir("/proc/self/fd"))
    EchoSocket(4).close()
    assert set(os.listdir("/proc/self/fd")) == before
