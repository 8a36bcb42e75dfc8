"""The terminal around the screen: whether it keeps up, and signals that end us.

Textual draws on standard error. A terminal that stops reading (a stalled SSH session) fills its buffer; whoever writes
then waits, and with us the collecting that shares our event loop. So a paint that would wait is left out instead.
"""

from __future__ import annotations

import asyncio
import select
import signal
import sys
from collections.abc import Callable

# SIGHUP comes when the terminal is gone, the others from operators and service managers. Each ends the screen alike.
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def takes_output() -> bool:
    """Whether the terminal would take some output now. True where that cannot be told."""
    stream = sys.__stderr__
    try:
        return stream is None or bool(select.select([], [stream.fileno()], [], 0)[1])
    except (OSError, ValueError):
        return True


def on_ending_signals(callback: Callable[[], None]) -> Callable[[], None]:
    """Call ``callback`` in the running loop when a signal asks us to end. Returns what undoes that.

    Signals that somebody else handles or ignores are left alone, and outside of the main thread, where Python takes
    none, nothing is installed.
    """
    loop = asyncio.get_running_loop()
    installed: list[signal.Signals] = []
    for name in _ENDING:
        if not _unclaimed(signal.getsignal(name)):
            continue
        try:
            loop.add_signal_handler(name, callback)
        except (ValueError, RuntimeError, NotImplementedError):
            continue
        installed.append(name)

    def undo() -> None:
        for name in installed:
            loop.remove_signal_handler(name)

    return undo


def _unclaimed(handler: object) -> bool:
    """Python's own handlers, and the one by which asyncio.run turns SIGINT into a cancelled main task."""
    by_runner = isinstance(getattr(getattr(handler, "func", None), "__self__", None), asyncio.Runner)
    return by_runner or handler in (signal.SIG_DFL, signal.default_int_handler)
