"""One connection to a node and the frames that come over it, from the bootstrap of the probe to its end.

Bytes become events here, in the order in which they came and before more are read: a slow consumer stops the reading,
then the channel's window, then the probe. Nothing is queued in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from meshtop.collect.clock import Clock
from meshtop.collect.timing import Timing
from meshtop.model import BytesDropped, EngineEvent, FrameReceived, NodeName
from meshtop.parse.errors import ParseError
from meshtop.parse.text import clean
from meshtop.readings import Frame
from meshtop.transport.base import Channel, Session, TransportFault
from meshtop.transport.tail import Tail

Sink = Callable[[EngineEvent], None]
RawTap = Callable[[NodeName, int, float, bytes], None]

_SHELL_CURE = "log in by hand with the same account: it needs a login shell that can run /bin/sh"


class Dropped(Protocol):
    """Bytes that belong to no frame."""

    @property
    def count(self) -> int: ...
    @property
    def excerpt(self) -> str: ...


class Decoder(Protocol):
    """Bytes to whole raw frames."""

    def feed(self, data: bytes) -> Sequence[bytes | Dropped]: ...
    def finish(self) -> Sequence[Dropped]: ...


class Reader(Protocol):
    """Raw frames of one probe to decoded ones. Raises ParseError only."""

    def read(self, raw: bytes) -> Frame: ...


def frame_event(reader: Reader, node: NodeName, connection: int, at: float, raw: bytes) -> FrameReceived | BytesDropped:
    """What one raw frame says to the engine, be it from a session or from a recording."""
    try:
        frame = reader.read(raw)
    except ParseError as error:
        excerpt = clean(f"frame not understood: {error}")
        return BytesDropped(at=at, node=node, connection=connection, count=len(raw), excerpt=excerpt, framed=True)
    return FrameReceived(at=at, node=node, connection=connection, frame=frame)


@dataclass(frozen=True)
class ProbeLanguage:
    """How to talk with the probe of one node."""

    bootstrap: Callable[[float], tuple[str, bytes]]  # interval → command line, first bytes of standard input
    renew_lease: Callable[[], bytes]
    set_interval: Callable[[float], bytes]
    request_key_frame: Callable[[], bytes]
    decoder: Callable[[], Decoder]
    reader: Callable[[], Reader]


@dataclass(frozen=True)
class Outlet:
    """Where what comes from a node goes."""

    node: NodeName
    sink: Sink
    clock: Clock
    raw_tap: RawTap | None = None


class Feed:
    """A session with a probe on it. ``number`` tells the connections of a node apart."""

    def __init__(
        self,
        number: int,
        session: Session,
        channel: Channel,
        language: ProbeLanguage,
        outlet: Outlet,
        came_up: Callable[[int], None],
    ) -> None:
        """Starts reading. ``came_up`` is called before the first frame is handed on."""
        self.number = number
        self.session = session
        self.channel = channel
        self._outlet = outlet
        self._came_up = came_up
        self._language = language
        self._damaged = False  # frames cannot be understood until a whole one comes, which was asked for
        self._decoder = language.decoder()
        self._reader = language.reader()
        self._before = Tail()  # what came instead of a first frame
        self._loop = asyncio.get_running_loop()
        self.born = self.heard_at = self._loop.time()
        self.heard = asyncio.Event()  # set by every frame and by the end; cleared by who waits
        self.first: Frame | None = None
        self.last: Frame | None = None
        self.pump = asyncio.create_task(self._read_all(), name=f"{outlet.node} connection {number}")
        self.pump.add_done_callback(lambda _: self.heard.set())

    @property
    def age_s(self) -> float:
        return self._loop.time() - self.born

    @property
    def quiet_s(self) -> float:
        """Since the last frame, or since the start."""
        return self._loop.time() - self.heard_at

    async def first_frame(self, timeout_s: float) -> None:
        """Wait until the probe speaks. Raises TransportFault if it does not."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.heard.wait()
        except TimeoutError as exc:
            reason = f"connected, but no frame came within {timeout_s:g} s{self._said_instead()}"
            raise TransportFault("shell", reason, _SHELL_CURE) from exc
        if self.first is None:
            raise self.pump.result()

    def write(self, data: bytes) -> None:
        self.channel.write(data)

    async def close(self, within_s: float) -> None:
        """End the probe and the session. Idempotent."""
        self.pump.cancel()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.channel.close()
        finally:
            await self.session.close()
        await asyncio.wait({self.pump})
        if not self.pump.cancelled():
            self.pump.result()  # a mistake of ours is not to be lost

    async def _read_all(self) -> TransportFault:
        """Until the end, and why it came."""
        try:
            while data := await self.channel.read():
                self._take(data)
                # A read of what is buffered already does not let others run, and after an outage there is much of it.
                await asyncio.sleep(0)
            return self._ended(await self.channel.close())
        except TransportFault as fault:
            return fault
        finally:
            for dropped in self._decoder.finish():
                self._drop(self._outlet.clock.now(), dropped.count, dropped.excerpt)

    def _ended(self, status: int | None) -> TransportFault:
        how = "without a status" if status is None else f"with status {status}"
        if self.first is None:
            return TransportFault("shell", f"the login shell ended {how}{self._said_instead()}", _SHELL_CURE)
        errors = self.channel.stderr_excerpt()
        return TransportFault("closed", f"the probe ended {how}{f': {errors}' if errors else ''}")

    def _said_instead(self) -> str:
        said = [text for text in (self._before.excerpt(), self.channel.stderr_excerpt()) if text]
        return f"; it said: {clean(' / '.join(said))}" if said else " and said nothing"

    def _take(self, data: bytes) -> None:
        outlet, now = self._outlet, self._outlet.clock.now()
        if self.first is None:
            self._before.feed(data)
        for item in self._decoder.feed(data):
            if not isinstance(item, bytes):
                self._drop(now, item.count, item.excerpt)
                continue
            event = frame_event(self._reader, outlet.node, self.number, now, item)
            if isinstance(event, FrameReceived):
                self._damaged = False
                self._note(event.frame)
            else:
                self._ask_for_a_whole_frame()
            # right before the event that it becomes, so that a recording has both in the order of the engine
            if outlet.raw_tap is not None:
                outlet.raw_tap(outlet.node, self.number, now, item)
            outlet.sink(event)

    def _ask_for_a_whole_frame(self) -> None:
        if not self._damaged:
            self._damaged = True
            self.write(self._language.request_key_frame())

    def _note(self, frame: Frame) -> None:
        if self.first is None:
            self.first = frame
            self._came_up(self.number)
        self.last = frame
        self.heard_at = self._loop.time()
        self.heard.set()

    def _drop(self, now: float, count: int, excerpt: str) -> None:
        outlet = self._outlet
        event = BytesDropped(at=now, node=outlet.node, connection=self.number, count=count, excerpt=clean(excerpt))
        outlet.sink(event)

    def caught_up_with(self, fresh: Feed) -> bool:
        """Whether nothing more can come from here that ``fresh`` does not have."""
        if self.last is None or fresh.first is None or self.pump.done():
            return self.pump.done()
        return self.last.boot != fresh.first.boot or self.last.uptime_s >= fresh.first.uptime_s


async def start_feed(
    number: int,
    session: Session,
    language: ProbeLanguage,
    interval_s: float,
    outlet: Outlet,
    came_up: Callable[[int], None],
) -> Feed:
    """Start a probe on a session. Raises TransportFault."""
    command, script = language.bootstrap(interval_s)
    channel = await session.open(command)
    channel.write(script)
    return Feed(number, session, channel, language, outlet, came_up)


def silence_limit(timing: Timing, feed: Feed, interval_s: float) -> float:
    """After how many seconds without a frame a feed is silent. A new interval counts once the probe has taken it up."""
    told = feed.last.interval_s if feed.last is not None else 0.0
    return max(timing.silent_intervals * max(interval_s, told), timing.silent_floor_s)
