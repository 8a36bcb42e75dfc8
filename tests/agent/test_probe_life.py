"""The end of the probe: whatever happens to its session or to a part of it, nothing of it stays on the node."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from itertools import pairwise

import pytest

from meshtop.agent.probe import PingPlan, ProbePlan, renew_lease
from meshtop.readings import PingReply, PingStarted

pytestmark = pytest.mark.node

HERE = "127.0.0.1"
# Nobody answers there, so that ping prints nothing that could tell it of a broken pipe.
MUTE = "192.0.2.1"
SHELLS = ["dash", "bash", "busybox"]
GONE_S = 5.0
F_SETPIPE_SZ = 1031


def plan(**changes):
    pings = (
        PingPlan(target=HERE, payload_bytes=56, interval_s=1.0),
        PingPlan(target=MUTE, payload_bytes=1200, interval_s=5.0),
    )
    return ProbePlan(**({"interval_s": 0.2, "pings": pings, "addresses": (HERE,)} | changes))


@pytest.fixture(params=SHELLS)
def running(node, request):
    """A probe whose pings run."""
    node.shell = request.param
    probe = node.start(plan())
    probe.until(lambda: probe.events(PingReply, 56) and probe.events(PingStarted, 1200))
    return probe


def test_it_goes_when_its_standard_input_ends(running):
    before = running.processes()
    assert sum("ping" in command.split()[0] for command in before.values()) == 2
    running.hang_up()
    assert not running.left_after(GONE_S)


@pytest.mark.parametrize("role", ["top", "main", "awk", "keeper", "ticker"])
def test_it_goes_when_a_part_of_it_is_killed(running, role):
    running.kill(role)
    if role in ("keeper", "ticker"):
        # Nobody needs these to be told of the end of the session; main looks after them at each renewal.
        running.send(renew_lease())
    if role == "ticker":
        seen = running.frames[-1].seq
        assert running.frame_with(lambda frame: frame.seq > seen)
        running.hang_up()
    assert not running.left_after(GONE_S)


@pytest.mark.parametrize("role", ["top", "awk", "keeper", "ticker"])
def test_it_goes_though_a_part_of_it_is_stopped(running, role):
    os.kill(running.pid_of(role), signal.SIGSTOP)
    running.hang_up()
    assert not running.left_after(GONE_S)


def test_it_goes_though_main_is_stopped_when_its_output_breaks(running):
    os.kill(running.pid_of("main"), signal.SIGSTOP)
    running.hang_up()
    running.process.stdout.close()
    assert not running.left_after(GONE_S)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_goes_when_the_server_of_its_session_is_killed(node, shell):
    """A parent that holds the other ends of its pipes, as sshd does, dies without a word."""
    node.shell = shell
    probe = node.start_under_a_server(plan())
    probe.until(lambda: probe.events(PingReply, 56))
    assert probe.processes()
    probe.process.kill()
    assert not probe.left_after(GONE_S)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lease(node, shell):
    node.shell = shell
    probe = node.start(plan(lease_s=3.0, poll_s=0.5))
    first = probe.next_frame()
    for number in range(1, 5):
        probe.frame_with(lambda frame, after=number: frame.uptime_s - first.uptime_s > after)
        probe.send(renew_lease())
    assert probe.frame_with(lambda frame: frame.uptime_s - first.uptime_s > 6)
    assert not probe.left_after(GONE_S)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_lease_ends_it_when_nobody_reads_its_output(node, shell):
    node.shell = shell
    probe = node.start(plan(lease_s=4.0, poll_s=0.5, interval_s=0.1))
    fcntl.fcntl(probe.process.stdout, F_SETPIPE_SZ, 4096)
    probe.next_frame()
    assert not probe.left_after(4.0 + GONE_S)


@pytest.mark.parametrize("role", ["top", "main"])
def test_it_goes_when_it_is_asked_to(running, role):
    os.kill(running.pid_of(role), signal.SIGTERM)
    assert not running.left_after(GONE_S)


@pytest.mark.parametrize("shell", SHELLS)
def test_it_spares_the_process_group_that_it_was_started_in(node, shell):
    """Where the server gives a session no group of its own, as dropbear does, the probe makes one."""
    node.shell = shell
    neighbour = subprocess.Popen((node.real("sleep"), "60"), process_group=0)
    try:
        probe = node.start(plan(), start_new_session=False, process_group=neighbour.pid)
        probe.until(lambda: probe.events(PingReply, 56))
        assert probe.processes()
        probe.hang_up()
        assert not probe.left_after(GONE_S)
        assert neighbour.poll() is None
    finally:
        neighbour.kill()
        neighbour.wait()


def test_an_orphan_without_a_group_of_its_own(node):
    """No setsid on the node, no group from the server: it ends what it knows."""
    node.without("setsid")
    probe = node.start(plan(), start_new_session=False, process_group=0)
    probe.until(lambda: probe.events(PingReply, 56))
    probe.hang_up()
    assert probe.process.wait(GONE_S) is not None


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_held_up_awk_skips_ticks_and_dates_pings_rightly(node, shell):
    node.shell = shell
    probe = node.start(plan(interval_s=0.2, pings=(PingPlan(target=HERE, payload_bytes=56, interval_s=0.5),)))
    probe.until(lambda: len(probe.events(PingReply, 56)) >= 2)
    awk = probe.pid_of("awk")
    os.kill(awk, signal.SIGSTOP)
    subprocess.run((node.real("sleep"), "3"), check=True)
    os.kill(awk, signal.SIGCONT)
    before = probe.frames[-1]
    after = probe.frame_with(lambda frame: frame.uptime_s > before.uptime_s + 2)
    # No frame is missing: that time was lost, not its frames.
    assert [frame.seq for frame in probe.frames] == list(range(1, len(probe.frames) + 1))
    replies = [event for event in after.pings if isinstance(event, PingReply)]
    assert len(replies) >= 4
    steps = [round(b.uptime_s - a.uptime_s, 1) for a, b in pairwise(replies)]
    assert all(0.3 <= step <= 0.8 for step in steps)
