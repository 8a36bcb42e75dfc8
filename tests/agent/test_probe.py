"""The probe under real shells: what it reports, whatever the node has or lacks."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import pytest

from meshtop.agent.probe import PingPlan, ProbePlan, request_key_frame, set_interval
from meshtop.readings import PingProblem, PingReply, PingStarted

pytestmark = pytest.mark.node

HERE = "127.0.0.1"
PINGS = (
    PingPlan(target=HERE, payload_bytes=56, interval_s=1.0),
    PingPlan(target=HERE, payload_bytes=1200, interval_s=2.0, delay_s=0.2),
)
PLAN = ProbePlan(interval_s=0.2, pings=PINGS, addresses=(HERE, "::1"), ports=(443,))


@pytest.mark.parametrize("awk", ["mawk", "busybox"])
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_frames_pings_and_slow_beat_under_each_shell_and_awk(node, shell, awk):
    node.shell = shell
    node.tool("awk", node.real(awk))
    probe = node.start(PLAN)
    first = probe.next_frame()
    assert first.seq == 1
    assert first.sockets is not None
    assert first.sockets.full
    assert first.snmp["Tcp"]["RtoMin"] == 200
    assert "TCPTimeouts" in first.netstat["TcpExt"]
    assert "lo" in first.net_dev
    assert first.softnet
    probe.until(lambda: probe.info.wall_s and probe.info.kernel)
    probe.until(lambda: probe.events(PingReply, 56))
    probe.until(lambda: probe.events(PingReply, 1200))
    last = probe.frame_with(lambda frame: frame.info is not None and frame.info.host is not None)
    assert last.info.host.cores == os.cpu_count()
    assert None not in (last.info.host.cpu_pct, last.info.host.steal_pct, last.info.host.busiest_core_softirq_pct)
    assert last.info.host.wait_ms is not None
    assert probe.info.qdiscs == ()  # what there is never queues
    for payload in (56, 1200):
        started = probe.events(PingStarted, payload)
        replies = probe.events(PingReply, payload)
        assert len(started) == 1
        assert replies[0].seq == started[0].first_seq
        assert 0 < replies[0].rtt_ms < 1000
        assert abs(started[0].uptime_s - replies[0].uptime_s) < 1
    assert [frame.seq for frame in probe.frames] == list(range(1, last.seq + 1))
    assert sum(frame.unparsed for frame in probe.frames) == 0
    assert probe.problems == {}
    assert not probe.dropped
    assert probe.error() == ""


def test_a_node_of_busybox_with_ss(busybox_node):
    probe = busybox_node.start(PLAN)
    probe.until(lambda: probe.events(PingReply, 56))
    probe.until(lambda: probe.events(PingReply, 1200))
    probe.until(lambda: probe.info.ping)
    info = probe.info
    assert info.ping.startswith("busybox 1.")
    assert info.iperf3 is None
    assert info.root is True
    assert ("lo", HERE) in info.addresses
    started = probe.events(PingStarted)
    assert started[0].first_seq == 0
    assert probe.frames[0].sockets is not None
    assert sum(frame.unparsed for frame in probe.frames) == 0


def test_a_node_of_busybox_without_ss(busybox_node):
    busybox_node.without("ss")
    probe = busybox_node.start(PLAN)
    probe.until(lambda: probe.events(PingReply, 56))
    assert all(frame.sockets is None for frame in probe.frames)
    assert probe.problems == {"ss": "ss: not found"}
    assert probe.frames[-1].snmp


def test_an_ordinary_user(node):
    node.become_ordinary_user()
    probe = node.start(PLAN)
    probe.until(lambda: probe.info.root is not None)
    info = probe.info
    assert info.root is False
    probe.until(lambda: probe.events(PingReply, 56))
    assert probe.frames[0].sockets is not None
    assert probe.problems == {}


def test_what_the_session_is_and_what_the_tools_are(node):
    probe = node.start(PLAN)
    probe.until(lambda: probe.info.ssh_socket)
    info = probe.info
    assert info.ssh_socket == ("192.0.2.2", 22, "192.0.2.1", 50123)
    assert info.ss
    assert info.ping.startswith("iputils ")
    assert info.iperf3.startswith("3.")


def test_no_ping(node):
    node.without("ping")
    probe = node.start(PLAN)
    probe.frame_with(lambda frame: frame.problems)
    assert probe.problems == {"ping": "ping: not found"}
    assert probe.next_frame().sockets is not None


def test_a_ping_that_is_not_permitted(node):
    # A copy has not the capability of the original.
    node.without("ping")
    (node.folder / "ping").write_bytes(Path(node.real("ping")).read_bytes())
    (node.folder / "ping").chmod(0o755)
    node.become_ordinary_user()
    probe = node.start(PLAN)
    frame = probe.frame_with(lambda frame: any(isinstance(event, PingProblem) and event.ended for event in frame.pings))
    ended = next(event for event in frame.pings if isinstance(event, PingProblem) and event.ended)
    assert "permitted" in ended.text or "capability" in ended.text
    assert ended.target == HERE


def test_an_ss_that_fails_and_recovers(node):
    node.script("ss", "#!/bin/sh\nexit 3\n")
    probe = node.start(PLAN)
    probe.frame_with(lambda frame: any(problem.source == "ss" for problem in frame.problems))
    assert "3" in probe.problems["ss"]
    assert probe.frames[-1].sockets is None
    node.tool("ss")
    probe.frame_with(lambda frame: frame.sockets is not None)
    assert probe.problems["ss"] == ""


def test_an_old_ss_without_one_line_output(node):
    node.script("ss", f'#!/bin/sh\ncase $1 in *O*) exit 255 ;; esac\nexec {node.real("ss")} "$@"\n')
    probe = node.start(PLAN)
    probe.next_frame()
    node.talk(probe, 1)
    frame = probe.frame_with(lambda frame: frame.sockets and frame.sockets.total >= 2)
    assert all(reading.mss for reading in frame.sockets.changed)
    assert sum(frame.unparsed for frame in probe.frames) == 0


@pytest.mark.parametrize("login", ["bash", "dash", "busybox"])
def test_noise_of_the_login_shell_is_dropped_and_counted(node, login):
    noise = "Welcome! \x1b]0;title\x07 @meshtop1 is not a header\n"
    node.before = f"printf %s '{noise}'; "
    node.login = login if login != "busybox" else "sh"
    node.shell = "dash" if login != "busybox" else "busybox"
    probe = node.start(PLAN)
    assert probe.next_frame().seq == 1
    assert sum(drop.count for drop in probe.dropped) == len(noise)
    assert probe.dropped[0].excerpt.startswith("Welcome!")
    assert "\x1b" not in probe.dropped[0].excerpt


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_the_interval_changes_while_it_runs_and_pings_go_on(node, shell):
    node.shell = shell
    probe = node.start(ProbePlan(interval_s=1.0, pings=PINGS, addresses=(HERE,)))
    probe.until(lambda: probe.events(PingReply, 56))
    probe.send(set_interval(0.2))
    frames = [probe.frame_with(lambda frame: frame.interval_s == 0.2) for _ in range(6)]
    steps = [round(b.uptime_s - a.uptime_s, 2) for a, b in pairwise(frames)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(0.2, abs=0.05)
    probe.send(set_interval(1.0))
    probe.frame_with(lambda frame: frame.interval_s == 1.0)
    assert len(probe.events(PingStarted)) == 1
    assert [frame.seq for frame in probe.frames] == list(range(1, len(probe.frames) + 1))


def test_a_whole_frame_on_request(node):
    probe = node.start(PLAN)
    probe.next_frame()
    assert not probe.next_frame().sockets.full
    probe.send(request_key_frame())
    assert probe.frame_with(lambda frame: frame.sockets.full).seq > 2


def test_ticks_hold_their_pace(node):
    probe = node.start(ProbePlan(interval_s=0.2, addresses=(HERE,)))
    first = probe.next_frame()
    last = probe.frame_with(lambda frame: frame.uptime_s - first.uptime_s > 3.9)
    # The phase is kept: a drift of 5 ms a tick would be seen.
    phase = (last.uptime_s - first.uptime_s) % 0.2
    assert min(phase, 0.2 - phase) < 0.06


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_a_ping_that_ended_is_tried_again(node, shell):
    node.shell = shell
    node.script("ping", "#!/bin/sh\necho ping: broken >&2\nexit 2\n")
    ping = PingPlan(target="192.0.2.1", payload_bytes=56, interval_s=1.0)
    probe = node.start(ProbePlan(interval_s=0.2, pings=(ping,), addresses=(HERE,), retry_s=2.0, poll_s=0.5))
    probe.until(lambda: len(probe.events(PingStarted)) == 3)
    first, second, third = probe.events(PingStarted)
    assert 1.0 <= second.uptime_s - first.uptime_s < 10  # 2 s after it began, which a busy machine tells late
    assert 1.0 <= third.uptime_s - second.uptime_s < 10
    ends = [event for event in probe.events(PingProblem) if event.ended]
    assert len(ends) >= 2
    assert "ping: " in ends[0].text


def test_a_sleep_of_whole_seconds_only(node):
    node.script("sleep", f'#!/bin/sh\ncase $1 in *.*) exit 1 ;; esac\nexec {node.real("sleep")} "$@"\n')
    probe = node.start(ProbePlan(interval_s=0.2, addresses=(HERE,)))
    first = probe.next_frame()
    second = probe.next_frame()
    assert first.interval_s == second.interval_s == 1.0
    assert second.uptime_s - first.uptime_s == pytest.approx(1.0, abs=0.2)
    assert "whole seconds" in probe.problems["sleep"]
    probe.send(set_interval(1.5))
    assert probe.frame_with(lambda frame: frame.interval_s != 1.0).interval_s == 2.0
