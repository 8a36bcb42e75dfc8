"""Running a command's event loop, so that a signal ends it in an orderly way: SIGINT, SIGTERM and SIGHUP alike ask for
the end, what was started is cleaned up, and the exit code is 130. A second one ends the process at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")

FINE, FOUND_FAILURE, NO_NODE, INTERRUPTED = 0, 1, 3, 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(main: Callable[[], Awaitable[int]]) -> int:
    """Run ``main`` to its exit code, or to 130 where a signal ended it."""
    return asyncio.run(_guarded(main))


async def _guarded(main: Callable[[], Awaitable[int]]) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(main())
    asked = asyncio.Event()

    def on_signal() -> None:
        asked.set()
        work.cancel()
        for each in SIGNALS:
            loop.remove_signal_handler(each)  # the default again: the next one ends the process

    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    try:
        return await work
    except asyncio.CancelledError:
        if asked.is_set():
            return INTERRUPTED
        raise
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


class Watching(Protocol):
    """A monitor, or a recording that is played in its place."""

    async def run(self) -> None: ...


async def beside(monitor: Watching, body: Coroutine[Any, Any, T]) -> T:
    """``body``'s result, with ``monitor`` running beside it; a fault of either ends both. Both are over on return."""
    watching = asyncio.create_task(monitor.run(), name="monitor")
    work = asyncio.create_task(body, name="front end")
    try:
        await asyncio.wait({watching, work}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            watching.result()  # raises: a monitor never ends by itself otherwise
            raise RuntimeError("the monitor ended by itself")
        return work.result()
    finally:
        for task in (work, watching):  # a burst is ended in an orderly way over sessions that still stand
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, Exception):
                _log.debug("at the end", exc_info=outcome)
