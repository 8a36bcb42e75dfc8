"""Standard output under slow, vanished and full readers, in a real pipe."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from meshtop.commands.output import Lines, verdict


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    ends = list(os.pipe())
    yield ends
    for end in ends:
        if end >= 0:
            os.close(end)


def lost(count: int) -> bytes:
    return f"lost {count}\n".encode()


async def read_all(fd: int) -> bytes:
    def read() -> bytes:
        parts = []
        while part := os.read(fd, 65536):
            parts.append(part)
        return b"".join(parts)

    return await asyncio.to_thread(read)


async def test_lines_come_out_in_order(pipe: list[int]) -> None:
    lines = Lines(pipe[1], lost)
    expected = [f"line {number}\n".encode() for number in range(1000)]
    reading = asyncio.create_task(read_all(pipe[0]))
    for line in expected:
        lines.put(line)
    await lines.flush(10)
    os.close(pipe[1])
    pipe[1] = -1
    assert await reading == b"".join(expected)


async def test_a_slow_reader_loses_lines_and_is_told_how_many(pipe: list[int]) -> None:
    lines = Lines(pipe[1], lost, limit=10)
    long = b"x" * 4095 + b"\n"
    for _ in range(100):  # a pipe takes 16 of them, the queue 10, the thread holds one
        lines.put(long)
        await asyncio.sleep(0)
    reading = asyncio.create_task(read_all(pipe[0]))
    while True:
        await asyncio.sleep(0.01)
        lines.put(b"last\n")
        if lines._lost == 0:
            break
    await lines.flush(10)
    os.close(pipe[1])
    pipe[1] = -1
    text = (await reading).decode().splitlines()
    told = sum(int(line.split()[1]) for line in text if line.startswith("lost "))
    arrived = sum(line.startswith("xxx") for line in text)
    assert told > 0
    assert arrived + told >= 100  # beyond the hundred, "last" may have been lost before there was room


async def test_a_vanished_reader_closes(pipe: list[int]) -> None:
    os.close(pipe[0])
    pipe[0] = -1
    lines = Lines(pipe[1], lost)
    lines.put(b"anyone?\n")
    await asyncio.wait_for(lines.closed.wait(), 10)
    assert isinstance(lines.error, BrokenPipeError)
    assert verdict(lines.error) == 0
    await lines.flush(10)


async def test_an_end_is_not_held_up_by_who_does_not_read(pipe: list[int]) -> None:
    lines = Lines(pipe[1], lost, limit=4)
    for _ in range(50):
        lines.put(b"x" * 65536)
    began = asyncio.get_running_loop().time()
    await lines.flush(0.2)
    assert asyncio.get_running_loop().time() - began < 5
    os.close(pipe[0])  # lets the thread go
    pipe[0] = -1
    await asyncio.wait_for(lines.closed.wait(), 10)


def test_a_failed_write_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(None) is None
    assert verdict(OSError(28, "No space left on device")) == 1
    assert capsys.readouterr().err == "meshtop: standard output cannot be written: No space left on device\n"
