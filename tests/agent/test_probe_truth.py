"""What comes out of a frame is what ss and the kernel's files say on that node."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from meshtop.agent.probe import PingPlan, ProbePlan, request_key_frame
from meshtop.parse.net_dev import parse_net_dev
from meshtop.parse.snmp import parse_counters
from meshtop.parse.ss import parse_ss
from meshtop.readings import PingReply

pytestmark = pytest.mark.node

HERE = "127.0.0.1"
PLAN = ProbePlan(interval_s=0.2, addresses=(HERE,))
CAPTURED = Path(__file__).parent.parent / "fixtures" / "tc"
# A hundred datagrams at once, to whom nobody answers.
FLOOD = """
import socket, sys
sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(100):
    try:
        sending.sendto(bytes(1400), (sys.argv[1], 9))
    except OSError:
        continue
"""


def sockets(probe):
    """id → reading, all frames so far put together."""
    known = {}
    for frame in probe.frames:
        if frame.sockets is None:
            continue
        if frame.sockets.full:
            known = {}
        for gone in frame.sockets.gone:
            del known[gone]
        known |= {reading.id: reading for reading in frame.sockets.changed}
    return known


def at_rest(reading):
    """Without what goes on while nothing happens."""
    return msgspec.structs.replace(reading, lastsnd_ms=None, lastrcv_ms=None, lastack_ms=None, timer=None)


def quiet(probe):
    """Take frames until three in a row tell of no change."""
    still = 0
    while still < 3:
        frame = probe.next_frame()
        still = 0 if frame.sockets.changed or frame.sockets.gone else still + 1


@pytest.mark.parametrize("awk", ["mawk", "busybox"])
def test_sockets_are_what_ss_prints(node, awk):
    node.tool("awk", node.real(awk))
    probe = node.start(PLAN)
    probe.next_frame()
    talk = node.talk(probe, 30)
    command = (node.real("ss"), "-tinmoeHO", "dst", HERE)
    for count in (0, 100, 200_000, 7):
        talk.write(count)
        probe.until(lambda: len(sockets(probe)) == 60)
        quiet(probe)
        printed, failed = parse_ss(node.inside(probe, *command))
        assert failed == 0
        assert {reading.id: at_rest(reading) for reading in printed} == {
            id_: at_rest(reading) for id_, reading in sockets(probe).items()
        }
    assert all(reading.inode and reading.id.cookie for reading in sockets(probe).values())
    assert probe.frames[-1].sockets.total == 60
    before = sockets(probe)
    probe.send(request_key_frame())
    probe.frame_with(lambda frame: frame.sockets.full)
    assert {id_: at_rest(reading) for id_, reading in sockets(probe).items()} == {
        id_: at_rest(reading) for id_, reading in before.items()
    }
    owners = {process.inode: process for process in probe.info.processes}
    assert all(owners[reading.inode].pid == talk.process.pid for reading in before.values())
    talk.end()
    probe.until(lambda: not sockets(probe))
    assert sum(frame.unparsed for frame in probe.frames) == 0


def test_sockets_of_a_watched_port_at_either_end(node):
    first = node.start(PLAN)
    first.next_frame()
    talk = node.talk(first, 3)
    node.share_network_of(first)
    probe = node.start(ProbePlan(interval_s=0.2, addresses=("192.0.2.9", "2001:db8::9"), ports=(talk.port, 9)))
    frame = probe.next_frame()
    assert frame.sockets.total == 6
    assert all(talk.port in (reading.id.local_port, reading.id.peer_port) for reading in frame.sockets.changed)
    nothing = node.start(ProbePlan(interval_s=0.2, addresses=("192.0.2.9", "2001:db8::9"), ports=(9,)))
    assert nothing.next_frame().sockets.total == 0


@pytest.mark.parametrize("address", [HERE, "::"])
def test_who_listens_on_a_watched_port_is_told_with_the_slow_beat(node, address):
    first = node.start(PLAN)
    first.next_frame()
    talk = node.talk(first, 1, address)
    node.share_network_of(first)
    probe = node.start(msgspec.structs.replace(PLAN, services=(talk.port, 9)))
    probe.until(lambda: probe.info is not None and probe.info.listening is not None)
    assert probe.info.listening == (talk.port,)
    other = node.start(msgspec.structs.replace(PLAN, services=(9,)))
    other.until(lambda: other.info is not None and other.info.listening is not None)
    assert other.info.listening == ()
    assert first.info.listening is None  # not asked
    assert sum(frame.unparsed for frame in probe.frames) == 0


def test_mapped_addresses_are_found(node):
    """A server that listens on :: has sockets whose peers print as ::ffff:127.0.0.1."""
    probe = node.start(PLAN)
    probe.next_frame()
    node.talk(probe, 2, "::")
    probe.until(lambda: len(sockets(probe)) == 4)
    assert {id_.peer for id_ in sockets(probe)} == {HERE}


def test_more_sockets_than_are_followed(node):
    probe = node.start(msgspec.structs.replace(PLAN, max_sockets=10))
    probe.next_frame()
    node.talk(probe, 10)
    probe.until(lambda: "ss" in probe.problems)
    assert "20 sockets match" in probe.problems["ss"]
    assert len(sockets(probe)) == 10
    assert probe.frames[-1].sockets.total == 20


def test_counters_are_what_the_kernel_says(node):
    probe = node.start(PLAN)
    probe.next_frame()
    talk = node.talk(probe, 5)
    for count in (10_000, 100, 30):
        talk.write(count)
        quiet(probe)
        # The first frame after the writing has all of it; a packet of IPv6's own may come in between.
        for source, parse in (("snmp", parse_counters), ("netstat", parse_counters), ("dev", parse_net_dev)):
            name = "net_dev" if source == "dev" else source
            text = node.inside(probe, "cat", f"/proc/net/{source}")
            assert parse(text) == (getattr(probe.next_frame(), name), 0)


@pytest.mark.parametrize("awk", ["mawk", "busybox"])
def test_queue_disciplines_are_what_tc_prints(node, awk):
    """A shaper that drops, and one with another below it, which is not told before it has dropped."""
    node.tool("awk", node.real(awk))
    probe = node.start(ProbePlan(interval_s=0.2, beat_s=0.5))
    probe.until(lambda: probe.info.qdiscs == ())
    for words in (
        "qdisc replace dev mute root tbf rate 1mbit burst 4kb limit 6000",
        "qdisc replace dev other root handle 1: htb default 10",
        "class add dev other parent 1: classid 1:10 htb rate 1mbit",
        "qdisc add dev other parent 1:10 handle 10: bfifo limit 3000",
    ):
        node.inside(probe, "tc", *words.split())
    node.inside(probe, sys.executable, "-c", FLOOD, "192.0.2.1")
    probe.until(lambda: probe.info.qdiscs and any(one.dropped for one in probe.info.qdiscs))
    told = {(one.device, one.kind, one.parent): one for one in probe.info.qdiscs}
    assert set(told) == {("mute", "tbf", None), ("other", "htb", None)}
    shaper = told["mute", "tbf", None]
    said = node.inside(probe, "tc", "-s", "qdisc", "show", "dev", "mute")
    assert f"(dropped {shaper.dropped}, overlimits {shaper.overlimits} requeues 0)" in said
    assert shaper.rate == "1Mbit"
    assert sum(frame.unparsed for frame in probe.frames) == 0


@pytest.mark.parametrize("awk", ["mawk", "busybox"])
def test_what_tc_has_printed_elsewhere(node, awk):
    node.tool("awk", node.real(awk))
    node.tool("cat")
    node.script("tc", f"#!/bin/sh\ncat {CAPTURED}/iproute2-6.1-shapers.txt\n")
    probe = node.start(ProbePlan(interval_s=0.2))
    probe.until(lambda: probe.info.qdiscs)
    assert [(one.device, one.kind, one.parent, one.sent_packets, one.dropped) for one in probe.info.qdiscs] == [
        ("vpn0", "pfifo_fast", None, 0, 0),
        ("v0", "tbf", None, 6, 94),
        ("w1", "ingress", "ffff:fff1", 0, 0),
        ("w0", "htb", None, 4, 96),
        ("w0", "bfifo", "1:10", 4, 96),
    ]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (f"cat {CAPTURED}/busybox-1.35.txt >&2; exit 1", "this tc does not tell"),
        ("echo qdisc noqueue 0: dev lo root refcnt 2", "this tc tells no counts"),
    ],
)
def test_why_queue_disciplines_are_not_visible(node, script, why):
    node.tool("cat")
    node.script("tc", f"#!/bin/sh\n{script}\n")
    probe = node.start(ProbePlan(interval_s=0.2))
    probe.until(lambda: probe.info.qdisc_problem)
    assert (probe.info.qdiscs, probe.info.qdisc_problem) == (None, why)


def test_lines_of_ss_survive_other_writers_in_the_pipe(node):
    pings = tuple(PingPlan(target=HERE, payload_bytes=size, interval_s=0.1) for size in range(56, 68))
    probe = node.start(msgspec.structs.replace(PLAN, interval_s=0.1, pings=pings))
    probe.next_frame()
    talk = node.talk(probe, 200)
    probe.until(lambda: len(sockets(probe)) == 400)
    talk.write(10)
    first = probe.next_frame()
    # Each line of ss is looked at anew in a key frame.
    while probe.next_frame().uptime_s < first.uptime_s + 4:
        probe.send(request_key_frame())
    assert all(frame.sockets.total == 400 for frame in probe.frames[first.seq :])
    assert all(len(frame.sockets.changed) == 400 for frame in probe.frames[first.seq :] if frame.sockets.full)
    assert sum(frame.unparsed for frame in probe.frames) == 0
    assert len(sockets(probe)) == 400
    assert all(len(probe.events(PingReply, size)) > 20 for size in range(56, 68))
