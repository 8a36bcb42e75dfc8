"""One node's session kept alive: connect, watch, race a fresh connection against a silent one, drain, begin again.

    connecting ──first frame──► up ──no frame──► silent: race ──old revives──► up (the fresh one is dropped)
        ▲  │                    │                  │  ╰──fresh delivers──► up, the old one is drained
        │  ╰──fault──► down ◄───┴──ended───────────╯
        ╰──back-off──────╯

After a stall the old connection holds the frames of the stall, but TCP's own back-off may keep them for as long as the
stall lasted; a fresh connection works at once. So both are wanted for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
from typing import Literal

from meshtop.collect.feed import Feed, Outlet, ProbeLanguage, silence_limit, start_feed
from meshtop.collect.timing import Timing
from meshtop.model import LogLine, SessionChanged, SessionStats
from meshtop.parse.text import clean
from meshtop.transport.base import Session, Transport, TransportFault, WireStats

_log = logging.getLogger(__name__)
_log.addHandler(logging.NullHandler())  # logging's last resort would print on the screen


class Backoff:
    """Exponential with full jitter: nodes that were lost together do not come back together."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._failures = 0

    def next_s(self) -> float:
        limit = min(self._timing.backoff_cap_s, self._timing.backoff_first_s * 2**self._failures)
        if limit < self._timing.backoff_cap_s:
            self._failures += 1
        return random.uniform(0, limit)

    def reset(self) -> None:
        self._failures = 0


class Supervisor:
    """``settled`` is set once the node is up or has failed for the first time."""

    def __init__(
        self,
        transport: Transport,
        language: ProbeLanguage,
        outlet: Outlet,
        timing: Timing,
        handshakes: asyncio.Semaphore,
        interval_s: float,
    ) -> None:
        self._transport = transport
        self._language = language
        self._outlet = outlet
        self._timing = timing
        self._handshakes = handshakes
        self._interval_s = interval_s
        self._backoff = Backoff(timing)
        self._numbers = 0
        self._feeds: list[Feed] = []  # all that are open, oldest first
        self._current: Feed | None = None
        self._candidate: Feed | None = None
        self._told: tuple[str, str] | None = None  # the fault that the node is down by
        self._told_racing: str | None = None  # the last one that was met beside a silent connection
        self.settled = asyncio.Event()

    @property
    def session(self) -> Session | None:
        """For more commands beside the probe's; None while there is none that works."""
        return None if self._current is None else self._current.session

    def set_interval(self, interval_s: float) -> None:
        """For the probes that run and all that come."""
        self._interval_s = interval_s
        for feed in self._feeds:
            feed.write(self._language.set_interval(interval_s))

    async def run(self, delay_s: float = 0.0) -> None:
        """Until cancelled. Never raises anything else."""
        await asyncio.sleep(delay_s)
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._tick())
                    await self._supervise(group)
            except Exception as exc:
                # Whatever goes wrong with one node, be it a mistake of ours, must not end the others.
                self._report_mistake(exc)
            finally:
                await self._close_all()
            await asyncio.sleep(self._backoff.next_s())

    # ── the life of a node's connections ─────────────────────────────────────────────────────────────────────────────

    async def _supervise(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._tell_connecting()
            feed: Feed | None = await self._connect()
            while feed is not None:
                self._current = feed
                fault = await self._watch(feed)
                if fault is None:
                    feed = await self._race(feed, group)
                else:
                    await self._lose(feed, fault)
                    feed = None
            await asyncio.sleep(self._backoff.next_s())

    async def _connect(self, racing: bool = False) -> Feed:
        """Try until a connection has delivered a frame."""
        while True:
            try:
                return await self._attempt()
            except TransportFault as fault:
                self._tell_fault(fault, racing)
                await self._pause(fault)

    async def _attempt(self) -> Feed:
        self._numbers += 1
        number, interval_s = self._numbers, self._interval_s
        async with self._handshakes:
            session = await self._transport.connect()
        feed = None
        try:
            feed = await start_feed(number, session, self._language, interval_s, self._outlet, self._tell_up)
            self._feeds.append(feed)
            self._candidate = feed
            if self._interval_s != interval_s:
                feed.write(self._language.set_interval(self._interval_s))
            await feed.first_frame(self._timing.first_frame_s)
        except BaseException:
            await (session.close() if feed is None else self._close(feed))
            raise
        finally:
            self._candidate = None
        return feed

    async def _watch(self, feed: Feed) -> TransportFault | None:
        """Until the feed ends, with the reason, or is silent: None."""
        while not feed.pump.done():
            patience_s = silence_limit(self._timing, feed, self._interval_s) - feed.quiet_s
            if patience_s <= 0:
                return None
            # At most a second, since a new interval may come in between.
            await asyncio.wait({feed.pump}, timeout=min(patience_s, self._timing.stats_s))
        return feed.pump.result()

    async def _race(self, old: Feed, group: asyncio.TaskGroup) -> Feed:
        """The feed to go on with."""
        self._log("warning", f"silent for {old.quiet_s:.1f} s; trying a fresh connection beside the old one")
        self._told_racing = None
        self._forgive(old)
        fresh = asyncio.create_task(self._begin_beside())
        try:
            outcome = await self._first_of(old, fresh)
            if outcome == "revived":
                self._log("info", f"speaks again on connection {old.number}")
                return old
            if outcome == "ended":
                await self._lose(old, old.pump.result())
            successor = await fresh
        finally:
            if not fresh.done():
                fresh.cancel()
                await asyncio.wait({fresh})
        if outcome == "overtaken":
            self._log("info", f"connection {successor.number} has taken over from {old.number}")
            group.create_task(self._drain(old, successor))
        return successor

    async def _begin_beside(self) -> Feed:
        # Short stalls end by themselves; and a node that is silent because it is overloaded is not given another probe
        # each time at once.
        await asyncio.sleep(self._backoff.next_s())
        return await self._connect(racing=True)

    async def _first_of(self, old: Feed, fresh: asyncio.Task[Feed]) -> Literal["revived", "ended", "overtaken"]:
        old.heard.clear()
        heard = asyncio.create_task(old.heard.wait())
        try:
            await asyncio.wait({heard, fresh}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()
        if fresh.done() or (self._candidate is not None and self._candidate.first is not None):
            return "overtaken"  # it has been announced
        return "ended" if old.pump.done() else "revived"

    async def _drain(self, old: Feed, fresh: Feed) -> None:
        """Let what the old connection still holds arrive, late, then end it."""
        for surplus in self._feeds[: -self._timing.drains - 1]:
            await self._close(surplus)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.drain_s):
                while not old.caught_up_with(fresh):
                    old.heard.clear()
                    await old.heard.wait()
        while old.session.channels > 1 and not old.pump.done():
            await asyncio.wait({old.pump}, timeout=self._timing.stats_s)  # a burst goes on, until its own time limit
        await self._close(old)
        self._log("info", f"connection {old.number} is drained and closed")

    async def _lose(self, feed: Feed, fault: TransportFault) -> None:
        self._forgive(feed)
        self._current = None
        self._tell_down(feed.number, fault)
        await self._close(feed)

    def _forgive(self, feed: Feed) -> None:
        if feed.age_s >= self._timing.stable_s:
            self._backoff.reset()

    async def _pause(self, fault: TransportFault) -> None:
        if fault.retry:
            await asyncio.sleep(self._backoff.next_s())
            return
        before = _stamps(fault.files)
        for _ in range(max(1, round(self._timing.recheck_s / self._timing.file_poll_s))):
            await asyncio.sleep(self._timing.file_poll_s)
            if _stamps(fault.files) != before:
                return

    async def _close(self, feed: Feed) -> None:
        if feed in self._feeds:
            self._feeds.remove(feed)
        await feed.close(self._timing.close_s)

    async def _close_all(self) -> None:
        self._current = None
        await asyncio.gather(*(self._close(feed) for feed in list(self._feeds)), return_exceptions=True)

    async def _tick(self) -> None:
        """Statistics and leases."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            await asyncio.sleep(self._timing.stats_s)
            if loop.time() - renewed >= self._timing.lease_renew_s:
                renewed = loop.time()
                for feed in self._feeds:
                    feed.write(self._language.renew_lease())
            if self._current is not None:
                self._tell_stats(self._current)

    # ── what is told ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _tell_connecting(self) -> None:
        """Not while the node is known to be down: its reason is worth more than that another try is under way."""
        if self._told is None:
            number = self._numbers + 1
            self._outlet.sink(self._change(number, "connecting"))

    def _tell_up(self, number: int) -> None:
        self._told = None
        self._outlet.sink(self._change(number, "up"))
        self.settled.set()

    def _tell_fault(self, fault: TransportFault, racing: bool) -> None:
        if not racing or self._current is None:
            self._tell_down(self._numbers, fault)
        elif self._told_racing != fault.reason:
            self._told_racing = fault.reason
            self._log("warning", f"fresh connection: {fault.reason}")

    def _tell_down(self, number: int, fault: TransportFault) -> None:
        if self._told != (fault.kind, fault.reason):
            self._told = (fault.kind, fault.reason)
            self._outlet.sink(self._change(number, "down", fault))
        self.settled.set()

    def _change(
        self, number: int, phase: Literal["connecting", "up", "down"], fault: TransportFault | None = None
    ) -> SessionChanged:
        return SessionChanged(
            at=self._outlet.clock.now(),
            node=self._outlet.node,
            connection=number,
            phase=phase,
            fault=fault.kind if fault else None,
            reason=fault.reason if fault else None,
            cure=fault.cure or None if fault else None,
        )

    def _tell_stats(self, feed: Feed) -> None:
        stats = feed.session.stats()
        if stats != WireStats():
            outlet = self._outlet
            event = SessionStats(
                at=outlet.clock.now(),
                node=outlet.node,
                connection=feed.number,
                ssh_rtt_ms=stats.rtt_ms,
                rx_wire_bytes=stats.rx_wire_bytes,
            )
            outlet.sink(event)

    def _log(self, level: Literal["info", "warning", "error"], text: str) -> None:
        self._outlet.sink(LogLine(at=self._outlet.clock.now(), node=self._outlet.node, level=level, text=text))

    def _report_mistake(self, exc: Exception) -> None:
        _log.error("session of %s", self._outlet.node, exc_info=exc)
        while isinstance(exc, ExceptionGroup):
            exc = exc.exceptions[0]
        reason = clean(f"mistake in meshtop: {type(exc).__name__}: {exc}")
        try:
            self._log("error", reason)
            self._tell_down(self._numbers, TransportFault("closed", reason, "please report it; trying again"))
        except Exception:  # the sink itself is what fails
            _log.exception("sink of %s", self._outlet.node)
            self.settled.set()


def _stamps(files: tuple[str, ...]) -> list[tuple[int, int] | None]:
    stamps: list[tuple[int, int] | None] = []
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            stamps.append(None)
        else:
            stamps.append((status.st_mtime_ns, status.st_size))
    return stamps
