"""A question to the person at the terminal, asked without holding up the sessions."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import click


def somebody_there() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


async def ask(question: str) -> bool:
    """A line from the terminal; a signal ends the wait."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    fd = sys.stdin.fileno()

    def readable() -> None:
        loop.remove_reader(fd)
        with contextlib.suppress(asyncio.InvalidStateError):
            answer.set_result(os.read(fd, 1024))

    click.echo(question, err=True, nl=False)
    loop.add_reader(fd, readable)
    try:
        return (await answer).strip().lower() in (b"y", b"yes")
    finally:
        loop.remove_reader(fd)
