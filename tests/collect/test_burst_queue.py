"""The queue of bursts: order, one on a line, confirmation, taking out, and its end. No session, so each fails at once;
those that are to last wait for a session that never comes up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshtop.burst import BurstLimits, BurstRecord, BurstRequest, NodeLoad
from meshtop.collect.burst_queue import MOST_WAITING, BurstQueue, BurstTerms
from meshtop.collect.clock import Clock
from meshtop.model import BurstTold, LinkKey, Mesh, Node, Path
from meshtop.requests import AbortBurst, ClearBursts, StartBurst
from meshtop.transport.base import Channel, Session, WireStats

NODES = tuple(Node(name=name, address={"p": f"192.0.2.{n}"}, up_bps=10**7, down_bps=10**7) for n, name in
              enumerate("abcd", start=1))  # fmt: skip
MESH = Mesh(name="m", nodes=NODES, paths=(Path(name="p", kind="underlay"),))
TERMS = BurstTerms(limits=BurstLimits(max_bytes=10**7, max_time_s=60), ports=(5201,))


class Unwatched:
    def loads(self, now: float) -> dict[str, NodeLoad]:
        return {}

    def pmtu(self, link: LinkKey) -> int | None:
        return None

    def seen_until(self, node: str) -> float | None:
        return None

    def burst(self, identity: str) -> BurstRecord | None:
        return None


class Waiting:
    """A session that takes its time to open a channel."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def open(self, command: str) -> Channel:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError("never")

    def stats(self) -> WireStats:
        return WireStats()

    @property
    def channels(self) -> int:
        return 1

    async def close(self) -> None:
        pass


class Site:
    def __init__(self, *, lasting: bool = False, replay: bool = False) -> None:
        self.told: list[BurstTold] = []
        self.news = asyncio.Event()
        self.session: Session | None = Waiting() if lasting else None
        self.queue = BurstQueue(MESH, TERMS, lambda _: self.session, Unwatched(), Clock(), self.hear, replay=replay)

    def hear(self, event: BurstTold) -> None:
        self.told.append(event)
        self.news.set()

    def history(self) -> list[tuple[str, str, str]]:
        return [(each.burst.id, each.phase, each.burst.state) for each in self.told]

    async def until(self, *wanted: tuple[str, str, str]) -> None:
        async with asyncio.timeout(5):
            while not set(wanted) <= set(self.history()):
                self.news.clear()
                await self.news.wait()


def asked(src: str, dst: str, size: int = 10**6) -> BurstRequest:
    return BurstRequest(src=src, dst=dst, path="p", bytes=size)


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[Site]:
    serving = asyncio.create_task(site.queue.serve())
    await asyncio.sleep(0)
    try:
        yield site
    finally:
        serving.cancel()
        await asyncio.wait({serving})
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_bursts_on_one_line_run_one_after_the_other() -> None:
    async with serving(Site()) as site:
        first, second = await asyncio.gather(site.queue.run(asked("a", "b")), site.queue.run(asked("b", "c")))
        assert [each.reason for each in (first, second)] == ["there is no session with b", "there is no session with c"]
        assert site.history() == [
            ("b1", "queued", "starting"),
            ("b2", "queued", "queued"),
            ("b1", "closed", "failed"),
            ("b2", "queued", "starting"),
            ("b2", "closed", "failed"),
        ]


async def test_bursts_on_other_lines_run_beside_each_other_but_not_those_of_one_command() -> None:
    async with serving(Site(lasting=True)) as site:
        site.queue.obey(StartBurst(requests=(asked("a", "b"),)))
        site.queue.obey(StartBurst(requests=(asked("c", "d"), asked("d", "c"))))
        await site.until(("b1", "queued", "starting"), ("b2", "queued", "starting"))
        assert [plan.request.src for plan in site.queue.plans] == ["a", "c"]
    async with serving(Site(lasting=True)) as site:
        site.queue.obey(StartBurst(requests=(asked("a", "b"), asked("c", "d"))))
        await site.until(("b1", "queued", "starting"), ("b2", "queued", "queued"))
        site.queue.obey(AbortBurst(id="b1"))
        await site.until(("b1", "closed", "aborted"), ("b2", "queued", "starting"))


async def test_above_the_limits_nothing_starts_without_confirmation() -> None:
    async with serving(Site()) as site:
        large = (asked("a", "b", 2 * 10**7),)
        with pytest.raises(ValueError, match="confirm it to start"):
            site.queue.obey(StartBurst(requests=large))
        assert site.told == []
        site.queue.obey(StartBurst(requests=large, confirmed=True))
        await site.until(("b1", "closed", "failed"))


async def test_what_cannot_be_is_refused_whole() -> None:
    async with serving(Site()) as site:
        with pytest.raises(ValueError, match="there is no node 'x'"):
            site.queue.obey(StartBurst(requests=(asked("a", "b"), asked("a", "x"))))
        with pytest.raises(ValueError, match="no burst is running"):
            site.queue.obey(AbortBurst())
        with pytest.raises(ValueError, match="there is no burst b7"):
            site.queue.obey(AbortBurst(id="b7"))
        assert site.told == []
    with pytest.raises(ValueError, match="meshtop is ending"):
        site.queue.start(StartBurst(requests=(asked("a", "b"),)))


async def test_a_replay_sends_nothing() -> None:
    async with serving(Site(replay=True)) as site:
        with pytest.raises(ValueError, match="a recording is played"):
            site.queue.obey(StartBurst(requests=(asked("a", "b"),)))


async def test_the_queue_can_be_cleared_and_has_an_end() -> None:
    async with serving(Site(lasting=True)) as site:
        site.queue.obey(StartBurst(requests=tuple(asked("a", "b") for _ in range(MOST_WAITING - 1))))
        with pytest.raises(ValueError, match="wait already"):
            site.queue.obey(StartBurst(requests=(asked("a", "b"), asked("a", "b"), asked("a", "b"))))
        site.queue.obey(ClearBursts())
        closed = [(identity, state) for identity, phase, state in site.history() if phase == "closed"]
        assert closed == [(f"b{n}", "aborted") for n in range(2, MOST_WAITING)]
        assert len(site.queue.plans) == 1


async def test_its_end_is_the_end_of_all() -> None:
    site = Site(lasting=True)
    async with serving(site):
        running = asyncio.create_task(site.queue.run(asked("a", "b")))
        waiting = asyncio.create_task(site.queue.run(asked("a", "b")))
        assert isinstance(site.session, Waiting)
        await site.session.asked.wait()
        await site.until(("b1", "queued", "starting"), ("b2", "queued", "queued"))
        serve = next(task for task in asyncio.all_tasks() if "serve" in repr(task.get_coro()))
        serve.cancel()
        records = await asyncio.gather(running, waiting)
        assert [(each.state, each.reason) for each in records] == [("aborted", "meshtop was ended")] * 2


async def test_who_waits_and_is_cancelled_aborts_what_waits() -> None:
    async with serving(Site(lasting=True)) as site:
        work = asyncio.create_task(site.queue.run(asked("a", "b")))
        assert isinstance(site.session, Waiting)
        await site.session.asked.wait()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert site.history()[-1] == ("b1", "closed", "aborted")
        assert site.queue.plans == []
