"""The life of one node's connections, with a scripted node and short durations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from meshtop.collect.supervisor import Backoff
from meshtop.collect.timing import Timing
from meshtop.model import BytesDropped, FrameReceived, LogLine, SessionChanged, SessionStats
from meshtop.transport.base import TransportFault, WireStats

if TYPE_CHECKING:
    Watched = Callable[..., Any]


def changes(node: Any) -> list[tuple[int, str, str | None]]:
    return [(event.connection, event.phase, event.fault) for event in node.of(SessionChanged)]


def record_jitter(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The upper ends of what was drawn from; what is drawn is the lower end."""
    drawn: list[float] = []

    def uniform(low: float, high: float) -> float:
        drawn.append(high)
        return low

    monkeypatch.setattr("random.uniform", uniform)
    return drawn


# ── connecting ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_up_is_told_before_the_first_frame(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        assert not node.supervisor.settled.is_set()
        assert node.supervisor.session is None
        channel.frame(1, 100.0)
        await node.supervisor.settled.wait()
        await node.until(lambda: node.frames() == [(1, 1)])
        kinds = [type(event) for event in node.events]
        assert kinds[:3] == [SessionChanged, SessionChanged, FrameReceived]
        assert changes(node) == [(1, "connecting", None), (1, "up", None)]
        assert channel.written[0] == b"start 0.05\n"
        assert node.taps == [b'{"boot": "boot", "seq": 1, "uptime_s": 100.0, "interval_s": 0.05}']
        await node.until(lambda: node.supervisor.session is not None)
        assert node.supervisor.session is node.transport.sessions[0]


async def test_a_fault_settles_and_is_told_once(watched: Watched) -> None:
    async with watched() as node:
        node.transport.faults = [TransportFault("refused", "nobody there", "start sshd") for _ in range(3)]
        await node.supervisor.settled.wait()
        channel = await node.transport.accept()
        channel.frame(1, 1.0)
        await node.until(lambda: bool(node.frames()))
        assert changes(node) == [(1, "connecting", None), (1, "down", "refused"), (4, "up", None)]
        down = node.of(SessionChanged)[1]
        assert (down.reason, down.cure) == ("nobody there", "start sshd")


async def test_another_reason_is_told(watched: Watched) -> None:
    async with watched() as node:
        node.transport.faults = [TransportFault("refused", "one"), TransportFault("timed-out", "two")]
        await node.until(lambda: len(changes(node)) == 3)
        assert [kind for _, _, kind in changes(node)] == [None, "refused", "timed-out"]


async def test_no_first_frame_is_a_fault_of_the_shell(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.errors = "fish: Unknown command"
        channel.say(b"Welcome \x1b[31mto fish\n")
        await node.until(lambda: len(changes(node)) == 2)
        told = node.of(SessionChanged)[-1]
        assert told.fault == "shell"
        assert (
            told.reason == "connected, but no frame came within 0.3 s; it said: Welcome to fish / fish: Unknown command"
        )
        assert node.of(BytesDropped)[0].excerpt == "Welcome to fish"
        assert node.transport.sessions[0].closed.is_set()


async def test_a_shell_that_ends_at_once_is_told_with_its_words(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.status = 1
        channel.say(b"This account is currently not available.\n", b"")
        await node.until(lambda: len(changes(node)) == 2)
        told = node.of(SessionChanged)[-1]
        assert told.fault == "shell"
        assert told.reason.endswith("with status 1; it said: This account is currently not available.")


async def test_garbage_between_frames_is_counted_and_harmless(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.say(b"\xff\xfe\n")
        channel.frame(1, 1.0)
        channel.say(b"wall: reboot soon\n", {"seq": 2}, {"seq": 3})
        channel.frame(4, 2.0)
        await node.until(lambda: node.frames() == [(1, 1), (1, 4)])
        dropped = node.of(BytesDropped)
        assert [event.count for event in dropped] == [2, 17, 10, 10]
        assert dropped[2].excerpt == "frame not understood: no boot id"
        assert channel.written.count(b"key\n") == 1  # one whole frame is asked for, not one for each damaged frame


async def test_the_back_off_grows_with_full_jitter_and_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = record_jitter(monkeypatch)
    backoff = Backoff(Timing())
    for _ in range(8):
        assert backoff.next_s() == 0
    assert drawn == [1, 2, 4, 8, 16, 30, 30, 30]
    backoff.reset()
    backoff.next_s()
    assert drawn[-1] == 1


@pytest.mark.parametrize("lives_s", [0.0, 1.2])
async def test_a_stable_connection_resets_the_back_off(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, quick: Timing, lives_s: float
) -> None:
    drawn = record_jitter(monkeypatch)
    async with watched(msgspec.structs.replace(quick, silent_floor_s=5.0)) as node:
        node.transport.faults = [TransportFault("refused", "one") for _ in range(5)]
        channel = await node.transport.accept()
        channel.frame(1, 1.0)
        await node.until(lambda: bool(node.frames()))
        await asyncio.sleep(lives_s)
        channel.say(b"")
        await node.transport.accept()
        assert drawn[-1] == (quick.backoff_first_s if lives_s > quick.stable_s else quick.backoff_cap_s)


async def test_where_retrying_is_pointless_it_waits_for_the_file_to_change(
    watched: Watched, tmp_path: Path, quick: Timing
) -> None:
    known = tmp_path / "known_hosts"
    refusal = TransportFault("host-key-changed", "changed", "ssh-keygen -R", retry=False, files=(str(known),))
    async with watched(msgspec.structs.replace(quick, recheck_s=60.0)) as node:
        node.transport.faults = [refusal]
        await node.supervisor.settled.wait()
        await asyncio.sleep(0.2)
        assert node.transport.attempts == 1
        known.write_text("a line")
        await node.transport.accept()


async def test_where_retrying_is_pointless_it_looks_again_slowly(watched: Watched, quick: Timing) -> None:
    async with watched() as node:
        began = time.monotonic()
        node.transport.faults = [TransportFault("host-key-unknown", "unknown", retry=False)]
        await node.transport.accept()
        assert time.monotonic() - began >= quick.recheck_s * 0.9


# ── a session that ends ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_that_ends_is_told_and_replaced(watched: Watched) -> None:
    async with watched() as node:
        first = await node.transport.accept()
        first.frame(1, 1.0)
        first.say(b"")
        second = await node.transport.accept()
        second.frame(1, 5.0, boot="after the reboot")
        await node.until(lambda: node.frames() == [(1, 1), (2, 1)])
        assert changes(node) == [
            (1, "connecting", None), (1, "up", None), (1, "down", "closed"), (2, "up", None),
        ]  # fmt: skip
        assert node.of(SessionChanged)[2].reason == "the probe ended with status 0"
        assert first.closed.is_set()


async def test_a_session_that_dies_is_told_by_its_fault(watched: Watched) -> None:
    async with watched() as node:
        first = await node.transport.accept()
        first.frame(1, 1.0)
        first.output.put_nowait(TransportFault("closed", "the session with a ended: Connection lost"))
        await node.until(lambda: (1, "down", "closed") in changes(node))
        assert node.supervisor.session is None


# ── silence ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_fresh_connection_takes_over_and_the_old_one_is_drained(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100.0)
        fresh = await node.transport.accept()  # asked for because of the silence
        assert not old.closed.is_set()
        fresh.frame(1, 110.0)
        await node.until(lambda: (2, 1) in node.frames())
        await node.until(lambda: node.supervisor.session is node.transport.sessions[1])
        old.frame(2, 105.0)
        fresh.frame(2, 110.5)
        await node.until(lambda: (1, 2) in node.frames())
        assert not old.closed.is_set()
        old.frame(3, 110.2)  # caught up with the first of the fresh one
        async with asyncio.timeout(1):
            await node.transport.sessions[0].closed.wait()
        fresh.frame(3, 111.0)
        await node.until(lambda: (2, 3) in node.frames())
        assert changes(node) == [(1, "connecting", None), (1, "up", None), (2, "up", None)]  # never down


async def test_an_old_connection_that_still_carries_a_command_is_kept_until_that_is_over(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        node.transport.sessions[0].channels = 2  # the probe's, and that of a burst
        old.frame(1, 100.0)
        fresh = await node.transport.accept()
        fresh.frame(1, 110.0)
        await node.until(lambda: (2, 1) in node.frames())
        old.frame(2, 110.2)  # caught up
        await node.until(lambda: (1, 2) in node.frames())
        told = len(node.of(SessionStats))
        ticking = asyncio.create_task(_tick(fresh, 110.0))
        await node.until(lambda: len(node.of(SessionStats)) >= told + 4)
        assert not node.transport.sessions[0].closed.is_set()
        node.transport.sessions[0].channels = 1
        async with asyncio.timeout(1):
            await node.transport.sessions[0].closed.wait()
        ticking.cancel()
        await asyncio.wait({ticking})


async def test_an_old_connection_that_revives_first_stays(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100.0)
        fresh = await node.transport.accept()
        old.frame(2, 101.0)
        async with asyncio.timeout(1):
            await node.transport.sessions[1].closed.wait()
        assert fresh.closed.is_set()
        old.frame(3, 102.0)
        await node.until(lambda: (1, 3) in node.frames())
        assert changes(node) == [(1, "connecting", None), (1, "up", None)]
        assert node.supervisor.session is node.transport.sessions[0]


async def test_while_it_is_silent_faults_of_the_fresh_connection_are_not_its_state(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        node.transport.faults = [TransportFault("timed-out", "no answer") for _ in range(4)]
        old.frame(1, 100.0)
        await node.transport.accept()
        assert changes(node) == [(1, "connecting", None), (1, "up", None)]
        lines = [event.text for event in node.of(LogLine)]
        assert lines.count("fresh connection: no answer") == 1


async def test_an_old_connection_that_dies_in_the_race_is_told_and_the_race_goes_on(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100.0)
        fresh = await node.transport.accept()
        old.output.put_nowait(TransportFault("closed", "not responding to keepalive"))
        await node.until(lambda: (1, "down", "closed") in changes(node))
        fresh.frame(1, 110.0)
        await node.until(lambda: (2, "up", None) in changes(node))
        assert node.transport.attempts == 2
        assert old.closed.is_set()


async def test_an_old_connection_that_never_catches_up_is_closed_in_the_end(watched: Watched, quick: Timing) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100.0)
        fresh = await node.transport.accept()
        fresh.frame(1, 110.0)
        began = time.monotonic()
        ticking = asyncio.create_task(_tick(fresh, 110.0))
        async with asyncio.timeout(3):
            await node.transport.sessions[0].closed.wait()
        ticking.cancel()
        await asyncio.wait({ticking})
        assert time.monotonic() - began >= quick.drain_s * 0.9
        assert not node.transport.sessions[1].closed.is_set()


async def test_an_old_connection_from_before_a_reboot_is_closed_at_once(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100_000.0)
        fresh = await node.transport.accept()
        fresh.frame(1, 12.0, boot="another")
        async with asyncio.timeout(0.3):
            await node.transport.sessions[0].closed.wait()


async def test_a_line_that_flaps_does_not_pile_up_connections(watched: Watched, quick: Timing) -> None:
    async with watched(msgspec.structs.replace(quick, drain_s=60.0)) as node:
        for number in range(6):
            channel = await node.transport.accept()
            channel.frame(1, 100.0 + number)
            await node.until(lambda number=number: (number + 1, 1) in node.frames())
        await node.transport.accept()
        still_open = [session for session in node.transport.sessions if not session.closed.is_set()]
        assert len(still_open) <= quick.drains + 2  # those that drain, the current one, the one just asked for


async def _tick(channel: Any, uptime_s: float) -> None:
    for seq in range(2, 1000):
        await asyncio.sleep(0.03)
        channel.frame(seq, uptime_s + seq * 0.03)


async def test_a_steady_node_is_never_raced(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.frame(1, 1.0)
        ticking = asyncio.create_task(_tick(channel, 1.0))
        await node.until(lambda: len(node.frames()) > 15)
        ticking.cancel()
        await asyncio.wait({ticking})
        assert node.transport.attempts == 1


async def test_silence_is_measured_by_the_interval_in_force(watched: Watched, quick: Timing) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.frame(1, 1.0)
        node.supervisor.set_interval(10.0)
        await asyncio.sleep(3 * quick.silent_floor_s)
        assert node.transport.attempts == 1
        node.supervisor.set_interval(0.05)  # the probe has not taken it up: its last frame said 10 s
        channel.frame(2, 2.0, interval_s=10.0)
        await asyncio.sleep(3 * quick.silent_floor_s)
        assert node.transport.attempts == 1
        channel.frame(3, 2.0)
        await node.transport.accept()


# ── what is kept going ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_leases_are_renewed_on_every_open_connection(watched: Watched) -> None:
    async with watched() as node:
        old = await node.transport.accept()
        old.frame(1, 100.0)
        fresh = await node.transport.accept()
        fresh.frame(1, 110.0)
        await node.until(lambda: b"lease\n" in old.written and b"lease\n" in fresh.written)


async def test_a_new_interval_reaches_the_probe_and_those_to_come(watched: Watched) -> None:
    async with watched() as node:
        first = await node.transport.accept()
        first.frame(1, 1.0)
        await node.until(lambda: bool(node.frames()))
        node.supervisor.set_interval(0.2)
        assert first.written[-1] == b"interval 0.2\n"
        first.say(b"")
        second = await node.transport.accept()
        second.frame(1, 2.0)
        await node.until(lambda: (2, 1) in node.frames())
        assert second.written[0] == b"start 0.2\n"


async def test_an_interval_set_during_the_handshake_is_not_lost(watched: Watched) -> None:
    async with watched() as node:
        await asyncio.sleep(0.01)
        node.supervisor.set_interval(0.3)
        channel = await node.transport.accept()
        channel.frame(1, 1.0)
        await node.until(lambda: bool(node.frames()))
        assert channel.written[:2] == [b"start 0.05\n", b"interval 0.3\n"]


async def test_statistics_come_regularly_and_only_where_there_are_any(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        channel.frame(1, 1.0, interval_s=10.0)
        await node.until(lambda: len(node.of(SessionStats)) >= 2)
        told = node.of(SessionStats)[0]
        assert (told.connection, told.ssh_rtt_ms, told.rx_wire_bytes) == (1, 1.0, 10)
        node.transport.sessions[0].wire = WireStats()
        count = len(node.of(SessionStats))
        await asyncio.sleep(0.2)
        assert len(node.of(SessionStats)) == count


# ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["transport", "reader"])
async def test_a_mistake_of_ours_costs_that_connection_alone(
    watched: Watched, where: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async with watched() as node:
        if where == "transport":
            node.transport.faults = [ZeroDivisionError("a mistake of ours")]
        else:
            channel = await node.transport.accept()
            channel.frame(1, 1.0)
            channel.frame(2, 2.0, boot="mistake")
        second = await node.transport.accept()
        second.frame(1, 9.0)
        await node.until(lambda: any(phase == "up" and number > 1 for number, phase, _ in changes(node)))
        (line,) = [event.text for event in node.of(LogLine) if event.level == "error"]
        assert line == "mistake in meshtop: ZeroDivisionError: a mistake of ours"
        assert "down" in [phase for _, phase, _ in changes(node)]
    assert capfd.readouterr() == ("", "")


async def test_a_flood_does_not_starve_the_other_tasks(watched: Watched) -> None:
    async with watched() as node:
        channel = await node.transport.accept()
        for seq in range(1, 2001):
            channel.frame(seq, float(seq))
        turns = 0
        while len(node.frames()) < 2000:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 1000
