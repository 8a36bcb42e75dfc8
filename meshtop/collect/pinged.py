"""Series of pings on a node for experiments: started over its session, read line by line, ended with the channel.

``agent/pinger.sh`` runs there. Series that run at the same time have payloads of different sizes: a reply says how many
bytes it has, and by that it is known whose it is.
"""

from __future__ import annotations

import asyncio
import math
import re
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from meshtop.agent.script import COMMAND, script
from meshtop.model import NodeName, Value
from meshtop.parse.errors import ParseError
from meshtop.parse.ping import parse_ping_line
from meshtop.parse.text import clean_bytes
from meshtop.readings import PingReply
from meshtop.transport.base import Channel, Session

_MARK = b"#mt "
_MOST_LINE = 4096
_MOST_SAID = 20  # lines of trouble that are kept
_BEGIN_S = 10.0  # a login shell on a far node that has much to do
_OVERTIME_S = 5.0
_SIZE = re.compile(rb"(\d{1,6}) bytes from ")
_ICMP_HEADER = 8  # counted by ping in what it says of a reply
# Said by the node's own stack ("message too long, mtu=1400") and by routers ("DF set (mtu = 1300)").
_TOLD_MTU = re.compile(r"\bmtu ?[=:] ?(\d{2,5})\b")


class PingFailed(Exception):
    """No pings could be sent there. ``reason`` and ``cure`` are for the operator."""

    def __init__(self, reason: str, cure: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


class Series(Value, frozen=True, kw_only=True):
    """``count`` pings of ``payload_bytes``, one each ``interval_s``; after the last, an answer is waited for as long as
    ``wait_s``. ``whole``: they must not be fragmented on the way."""

    count: int
    payload_bytes: int
    interval_s: float = 0.3
    wait_s: int = 2
    whole: bool = False

    @property
    def longest_s(self) -> float:
        """With an answer so late that ping waits two round trips; a BusyBox sends one a second."""
        return self.count * max(1.0, self.interval_s) + 2 * self.wait_s


class Answers(Value, frozen=True, kw_only=True):
    """What came of one series. ``rtts_ms`` has no entry for a ping that was not answered. ``over``: it was carried out
    to its end."""

    series: Series
    rtts_ms: tuple[float, ...] = ()
    over: bool = False

    @property
    def loss_pct(self) -> float:
        return 100.0 * max(0, self.series.count - len(self.rtts_ms)) / self.series.count


class Pinger:
    """``async with Pinger(…) as pinger: await pinger.ping(…)``. ``kind`` is iputils or busybox; ``said`` what ping, or
    a router on the way, told of trouble; ``told_mtus`` the MTUs in it."""

    def __init__(self, node: NodeName, session: Session, target: str, limit_s: float) -> None:
        """Raises ValueError for a target that is no address. Nothing is left there after ``limit_s``."""
        self.node = node
        self.kind: str | None = None
        self.said: list[str] = []
        self.told_mtus: set[int] = set()
        self._session = session
        self._script = script("pinger.sh", {"MT_TARGET": str(ip_address(target)), "MT_LIMIT": str(math.ceil(limit_s))})
        self._channel: Channel | None = None
        self._reading: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()
        self._moved = asyncio.Event()
        self._rtts: dict[int, list[float]] = {}  # by payload, of the series that run
        self._over: set[int] = set()
        self._number = 0
        self._missing = False

    async def __aenter__(self) -> Self:
        """Raises PingFailed, TransportFault."""
        self._channel = await self._session.open(COMMAND)
        try:
            self._channel.write(self._script)
            self._reading = asyncio.create_task(self._read(self._channel), name=f"pings on {self.node}")
            await self._begin()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def ping(self, *asked: Series) -> tuple[Answers, ...]:
        """All of them at the same time, to their ends. Raises PingFailed when the pings break off, TransportFault when
        the session dies."""
        assert self._channel is not None  # noqa: S101  # entered
        assert len({each.payload_bytes for each in asked}) == len(asked)  # noqa: S101
        self._rtts = {each.payload_bytes: [] for each in asked}
        numbers = {}
        for each in asked:
            self._number += 1
            numbers[self._number] = each
            mode = "df" if each.whole else "any"
            words = f"{each.count} {each.interval_s:g} {each.payload_bytes} {each.wait_s} {mode}\n"
            self._channel.write(words.encode())
        longest_s = max((each.longest_s for each in asked), default=0.0) + _OVERTIME_S
        try:
            async with asyncio.timeout(longest_s):
                while not numbers.keys() <= self._over:
                    await self._next_line()
        except TimeoutError:
            pass  # what was answered was answered
        return tuple(
            Answers(series=each, rtts_ms=tuple(self._rtts[each.payload_bytes]), over=number in self._over)
            for number, each in numbers.items()
        )

    async def _begin(self) -> None:
        try:
            async with asyncio.timeout(_BEGIN_S):
                while self.kind is None:
                    await self._next_line()
        except TimeoutError:
            raise PingFailed(f"no shell answered on {self.node} within {_BEGIN_S:.0f} s") from None

    async def _next_line(self) -> None:
        """Until something was read. Raises PingFailed or TransportFault when nothing more will come."""
        assert self._reading is not None  # noqa: S101
        if self._reading.done():
            self._reading.result()
            if self._missing:
                raise PingFailed(f"{self.node} has no ping", f"install ping on {self.node}")
            said = self._channel.stderr_excerpt() if self._channel is not None else ""
            raise PingFailed(f"the pings on {self.node} broke off{f': {said}' if said else ''}")
        self._moved.clear()
        waiting = asyncio.create_task(self._moved.wait())
        try:
            await asyncio.wait({waiting, self._reading}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _read(self, channel: Channel) -> None:
        rest = b""
        while data := await channel.read():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            if len(rest) > _MOST_LINE:
                return
            self._moved.set()

    def _take(self, line: bytes) -> None:
        if line.startswith(_MARK):
            word, _, value = line.removeprefix(_MARK).partition(b" ")
            self._mark(word, clean_bytes(value, 40))
        elif self.kind is not None and line.strip():
            self._ping_line(line)

    def _mark(self, word: bytes, value: str) -> None:
        match word:
            case b"ping" if value in ("iputils", "busybox"):
                self.kind = value
            case b"missing":
                self._missing = True
            case b"end" if value.isdecimal():
                self._over.add(int(value))

    def _ping_line(self, line: bytes) -> None:
        size = _SIZE.match(line)
        payload = int(size[1]) - _ICMP_HEADER if size else 0
        try:
            event = parse_ping_line(clean_bytes(line, 400), "", payload, 0.0)
        except ParseError:
            return  # BusyBox prints its help for what it does not know
        if isinstance(event, PingReply):
            if payload in self._rtts:
                self._rtts[payload].append(event.rtt_ms)
        elif event is not None and event.text not in self.said[-_MOST_SAID:]:
            self.said.append(event.text)
            self.told_mtus |= {int(mtu) for mtu in _TOLD_MTU.findall(event.text)}

    async def _close(self) -> None:
        if self._channel is not None:
            await self._channel.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
