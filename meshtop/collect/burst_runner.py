"""A burst carried out over two sessions: server, client, both ends' results, and nothing left behind.

The server prints text, as it says only so when it listens and when it is connected to, and its intervals are live in
every version; the client prints JSON, which has what counts.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Literal

import msgspec

from meshtop.burst import BurstPlan, BurstRaw, BurstRecord
from meshtop.collect.burst_failure import Explained, explain, unheard
from meshtop.collect.burst_result import intervals, is_whole, live_interval, outcome, sent_by_server, text_interval
from meshtop.collect.burst_size import EndBySize, is_endless
from meshtop.collect.clock import Clock
from meshtop.collect.reaped import Order, Reaped, close_all
from meshtop.engine.bursts import BurstCourse, BurstStep, queued
from meshtop.engine.timeseries import rfc3339
from meshtop.model import NodeName
from meshtop.parse.errors import ParseError
from meshtop.parse.iperf3 import Document, Interval, StreamAssembler, decode, error_of, listening_port
from meshtop.parse.text import clean_bytes
from meshtop.transport.base import Session, TransportFault

LISTEN_S = 10.0  # a shell, a few round trips, and 4 ms of iperf3
CONNECT_S = 8.0  # three SYNs, at 0, 1, 3 and 7 s
MUTE_S = 12.0  # a client that has said nothing by then, with a server that nobody has connected to, or sent to
LAST_WORDS_S = 3.0  # from the end of one side to that of the other; then it is ended
OVERTIME_S = 5.0  # the node's own time limit comes first
LIVE_S = 0.5  # iperf3's intervals …
MOST_INTERVALS = 600  # … but of a long burst, or one of many streams, longer ones: its document would be too large
STREAMS_A_SECOND = 100
LONGEST_INTERVAL_S = 60.0  # iperf3's own limit

Phase = Literal["started", "interval", "closed"]
Tell = Callable[[Phase, BurstRecord], None]
Sessions = Callable[[NodeName], Session | None]


class _Failure(Exception):
    def __init__(self, why: Explained) -> None:
        super().__init__(why.reason)
        self.why = why


class BurstRun:
    """One burst. ``tell`` gets the record as it grows, in the event loop's thread."""

    def __init__(
        self,
        identity: str,
        plan: BurstPlan,
        sessions: Sessions,
        ports: Sequence[int],
        clock: Clock,
        tell: Tell | None = None,
        here: Collection[NodeName] = (),
    ) -> None:
        """``here``: nodes that are this machine itself."""
        self.record = queued(identity, plan)
        self._plan = plan
        self._sessions = sessions
        self._ports = tuple(ports)
        self._clock = clock
        self._here = frozenset(here)
        self._tell = tell or (lambda phase, record: None)
        self._course = BurstCourse()
        self._abort = asyncio.Event()
        self._server: Reaped | None = None
        self._client: Reaped | None = None
        self._listening = asyncio.Event()
        self._connected = asyncio.Event()
        self._flowing = asyncio.Event()  # something was sent
        self._size = EndBySize(plan, self._end_client)
        self._stream = StreamAssembler()
        self._streaming = False
        self._following: list[asyncio.Task[None]] = []

    def abort(self) -> None:
        """End it in an orderly way: what came so far is kept."""
        self._abort.set()

    async def run(self) -> BurstRecord:
        """To its end, which is in the record; raises only when cancelled, and has cleaned up then, too."""
        self._step("begin", started=rfc3339(self._clock.now()))
        work = asyncio.create_task(self._carry_out(), name="burst")
        aborted = asyncio.create_task(self._abort.wait(), name="burst's abort")
        try:
            await asyncio.wait({work, aborted}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                self._step("abort", reason="aborted by the operator")
                await self._end_both()
                self._change(cure=self._unconfirmed())
            work.cancel()
            await asyncio.wait({work})
            self._judge(work)
        finally:
            await self._clean_up(work, aborted)
        self._collect()
        self._step("closed", ended=rfc3339(self._clock.now()))
        self._change(state=self._course.state)
        self._tell("closed", self.record)
        return self.record

    def _judge(self, work: asyncio.Task[None]) -> None:
        if work.cancelled():
            return
        error = work.exception()
        if error is None:
            self._step("finish")
        elif isinstance(error, _Failure):
            self._step("fail", reason=error.why.reason, cure=error.why.cure)
        else:
            raise error

    async def _clean_up(self, *tasks: asyncio.Task[object]) -> None:
        self._size.cancel()
        tasks = (*tasks, *self._following)
        for task in tasks:
            task.cancel()
        try:
            await close_all((self._client, self._server))
        finally:
            await asyncio.gather(*tasks, return_exceptions=True)

    def _step(self, step: BurstStep, **changes: object) -> None:
        before = self._course.state
        state = self._course.step(step)
        if state != before or step == "closed":
            self._change(state=state, **changes)

    def _change(self, **changes: object) -> None:
        self.record = msgspec.structs.replace(self.record, **changes)

    # ── the way of a burst ───────────────────────────────────────────────────────────────────────────────────────────

    async def _carry_out(self) -> None:
        """Raises _Failure."""
        try:
            async with asyncio.timeout(self._plan.limit_s + OVERTIME_S):
                await self._listen_with_a_client_at_hand()
                await self._connect()
                await self._finish()
        except TimeoutError:
            why = f"not over after {self._plan.limit_s:.0f} s, the most that is allowed for it"
            raise _Failure(Explained(why, "see the intervals for what stalled; ask for less")) from None

    async def _listen_with_a_client_at_hand(self) -> None:
        """While the server is being started, so is the client's shell: what is left to do then is one message."""
        opening = asyncio.create_task(self._ready(self._plan.client), name="burst's client")
        try:
            await self._listen()
            self._client = await asyncio.shield(opening)
        finally:
            if self._client is None:
                opening.cancel()
                await asyncio.wait({opening})
                if not opening.cancelled() and opening.exception() is None:
                    self._client = opening.result()  # to be closed with the rest

    async def _listen(self) -> None:
        """A server on the first free port: the next one where the node's ``ss`` did not see what is in the way."""
        ports = self._ports
        while True:
            order = Order(
                role="server",
                arguments=("-s", "-1", "--forceflush", "-i", interval_of(self._plan), "-f", "k"),
                limit_s=self._plan.limit_s,
                ports=ports,
                bind=self._plan.connect_to,
                python=self._python(self._plan.server),
            )
            self._server = await self._ready(self._plan.server)
            self._server.begin(order)
            following = self._follow(self._server, self._heard_server)
            await self._first(following, self._listening, LISTEN_S)
            if self._listening.is_set():
                self._change(port=self._server.port)
                return
            if following.done():
                self._check(self._server, following)
            port = self._server.port
            rest = tuple(each for each in ports if port is not None and each > port)
            in_use = "Address already in use" in self._server.complaint() + self._server.output.decode(
                "utf-8", "replace"
            )
            if not (in_use and rest):
                raise _Failure(self._explain(self._server))
            await self._server.close()
            ports = rest

    async def _connect(self) -> None:
        assert self._server is not None  # noqa: S101  # it listens
        assert self._client is not None  # noqa: S101  # it waits for its order
        order = Order(
            role="client",
            arguments=self._client_arguments(),
            limit_s=self._plan.limit_s,
            python=self._python(self._plan.client),
        )
        self._client.begin(order)
        following = self._follow(self._client, self._heard_client)
        await self._first(following, self._connected, MUTE_S)
        if not self._connected.is_set():
            if following.done():
                self._check(self._client, following)
                raise _Failure(self._explain(self._client))
            raise _Failure(self._never_connected())
        if self._plan.request.udp:  # before 3.17 a client whose first datagram was lost waits for ever
            await self._first(following, self._flowing, MUTE_S + float(interval_of(self._plan)))
            if not self._flowing.is_set() and not following.done():
                raise _Failure(unheard(self._plan))

    async def _finish(self) -> None:
        """Both ends' last words. Raises _Failure."""
        assert self._client is not None  # noqa: S101  # it is connected
        assert self._server is not None  # noqa: S101
        server, client = self._following[-2:]
        await asyncio.wait({server, client}, return_when=asyncio.FIRST_COMPLETED)
        await self._last_words({server, client})
        await self._end_both()
        self._check(self._client, client)
        self._check(self._server, server)
        document = self._document()
        if not (is_whole(document) or (self._size.came and document.get("intervals"))):
            raise _Failure(self._explain(self._client))

    async def _end_both(self) -> None:
        for end in (self._client, self._server):
            if end is not None and not end.ended:
                end.stop()
        if open_ones := {task for task in self._following if not task.done()}:
            await self._last_words(open_ones)

    def _unconfirmed(self) -> str | None:
        """Of ends that did not say that their iperf3 is gone; their reapers see to it."""
        silent = [end.node for end in (self._client, self._server) if end is not None and end.began and not end.ended]
        if not silent:
            return None
        limit = f"{self._plan.limit_s:.0f} s"
        return f"{' and '.join(silent)} did not answer: iperf3 ends there with its session, or {limit} from its start"

    async def _last_words(self, following: set[asyncio.Task[None]]) -> None:
        """Until both have ended, or nothing more comes: a large document takes its time over a thin line."""
        heard = -1
        while heard != self._heard():
            heard = self._heard()
            _, talking = await asyncio.wait(following, timeout=LAST_WORDS_S)
            if not talking:
                return

    def _heard(self) -> int:
        return sum(end.received for end in (self._client, self._server) if end is not None)

    def _python(self, node: NodeName) -> str:
        return sys.executable if node in self._here else ""

    async def _ready(self, node: NodeName) -> Reaped:
        session = self._sessions(node)
        if session is None:
            raise _Failure(Explained(f"there is no session with {node}", "see that node's state for why"))
        try:
            return await Reaped.ready(node, session)
        except TransportFault as fault:
            raise _Failure(Explained(f"{node}: {fault.reason}", fault.cure)) from fault

    def _follow(self, end: Reaped, on_line: Callable[[bytes], None]) -> asyncio.Task[None]:
        task = asyncio.create_task(end.follow(on_line), name=f"iperf3 on {end.node}")
        self._following.append(task)
        return task

    async def _first(self, following: asyncio.Task[None], event: asyncio.Event, patience_s: float) -> None:
        """Until the event, or the end of that output, or of patience."""
        waiting = asyncio.create_task(_wait(event.wait()))
        try:
            await asyncio.wait({following, waiting}, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _client_arguments(self) -> tuple[str, ...]:
        """Raises nothing: the request was checked, and every value is quoted on its way."""
        plan, request = self._plan, self._plan.request
        assert self._server is not None  # noqa: S101  # it listens
        words = ["-c", plan.connect_to, "-p", str(self._server.port), "-P", str(request.streams)]
        words += ["-i", interval_of(plan)]
        words += ["--connect-timeout", str(round(CONNECT_S * 1000))]
        words += ["-n", str(request.bytes)] if request.bytes is not None else ["-t", str(request.seconds)]
        if plan.server_sends:
            words.append("-R")
        if request.bidir:
            words.append("--bidir")
        if request.udp:
            words += ["-u", "-l", str(plan.datagram_bytes)]
        for flag, value in (("-b", request.rate_bps), ("-M", request.mss), ("-C", request.congestion)):
            if value is not None:
                words += [flag, str(value)]
        return tuple(words)

    # ── what the ends say ────────────────────────────────────────────────────────────────────────────────────────────

    def _heard_server(self, line: bytes) -> None:
        text = clean_bytes(line, 400)
        if listening_port(text) is not None:
            self._listening.set()
        elif text.startswith("Accepted connection from"):
            self._begin_load()
        elif found := text_interval(text, self._plan.request):
            self._flowing.set()
            self._size.heard(found, endless=self._client is not None and is_endless(self._client.tool))
            if not self._streaming and not self._plan.request.bidir:
                self._add_interval(found)

    def _heard_client(self, line: bytes) -> None:
        if not line.startswith(b'{"event":'):
            return
        if not self._streaming:
            self._streaming = True
            self._change(intervals=())
        for event in self._stream.feed(line + b"\n"):
            if isinstance(event, Interval):
                self._add_interval(live_interval(event, self._plan))

    def _begin_load(self) -> None:
        """Here and not where it is waited for: an interval may come in the same piece, and must not be told before."""
        if self._course.state == "starting":
            self._step("load", **self._tool())
            self._tell("started", self.record)
        self._connected.set()

    def _add_interval(self, interval: object) -> None:
        self._begin_load()
        self._change(intervals=(*self.record.intervals, interval))
        self._tell("interval", self.record)

    def _end_client(self) -> None:
        if self._client is not None and not self._client.ended:
            self._client.stop()

    def _tool(self) -> dict[str, str]:
        return {"tool": f"iperf3 {self._client.tool}"} if self._client is not None and self._client.tool else {}

    def _document(self) -> Document:
        """What the client has printed; nothing if that is no result of iperf3."""
        if self._streaming:
            return self._stream.document()
        try:
            return decode(bytes(self._client.output)) if self._client is not None else {}
        except ParseError:
            return {}

    def _collect(self) -> None:
        """Both ends' results into the record, also of what was aborted or failed half-way."""
        server = None if self._server is None else clean_lines(bytes(self._server.output))
        self._change(**self._tool())
        document = self._document()
        if document:
            figures = outcome(document, self._plan)
            if self._plan.server_sends and figures["sender_bps"] is None:  # it was ended before it was told
                figures |= sent_by_server(server or "", self._plan.request)
            figures, found = self._size.without_the_wait(figures, intervals(document, self._plan))
            self._change(raw=BurstRaw(client=document, server=server), **figures)
            if found:
                self._change(intervals=found)
        else:
            text = None if self._client is None else clean_lines(bytes(self._client.output)) or None
            self._change(raw=BurstRaw(client=text, server=server))

    def _check(self, end: Reaped, following: asyncio.Task[None]) -> None:
        """Raises _Failure if that end could not be followed to its end."""
        if following.done() and not following.cancelled():
            error = following.exception()
            if isinstance(error, TransportFault):
                raise _Failure(
                    Explained(f"the session with {end.node} was lost: {error.reason}", error.cure)
                ) from error
            if error is not None:
                raise error

    def _explain(self, end: Reaped) -> Explained:
        said = error_of(self._document()) if end is self._client else None
        return explain(self._plan, end, self._ports, said, here=end.node in self._here)

    def _never_connected(self) -> Explained:
        assert self._server is not None  # noqa: S101  # it listens
        return Explained(
            f"{self._plan.client} never connected to {self._plan.connect_to} port {self._server.port} "
            f"on {self._plan.request.path} within {MUTE_S:.0f} s",
            f"let TCP and UDP {self._ports[0]}-{self._ports[-1]} through to {self._plan.server}",
        )


def interval_of(plan: BurstPlan) -> str:
    """Of iperf3's reports, in seconds."""
    long_s = max(LIVE_S, (plan.predicted_s or 0.0) / MOST_INTERVALS, plan.request.streams / STREAMS_A_SECOND)
    return f"{min(long_s, LONGEST_INTERVAL_S):.1f}"


async def _wait(event: Awaitable[object]) -> None:
    await event


def clean_lines(data: bytes) -> str:
    """What a tool printed, line by line made harmless; the first 64 KiB."""
    return "\n".join(clean_bytes(line, 400) for line in data[: 64 * 1024].splitlines()).strip()
