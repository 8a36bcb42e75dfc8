"""The reaper under each shell, as root and as an ordinary user; and what is made of what it says."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from meshtop.agent.script import READER
from meshtop.collect.reaped import Order, Reaped
from meshtop.collect.reaped import reaper as prelude
from meshtop.transport.local import LocalTransport
from tests.processes import SHELLS, until_gone, until_said

pytestmark = pytest.mark.node

Start = Callable[..., subprocess.Popen[bytes]]


def order(port: int, limit_s: float = 60.0) -> Order:
    arguments = ("-s", "-1", "--forceflush")
    return Order(role="server", arguments=arguments, limit_s=limit_s, ports=(port,), bind="127.0.0.1")


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request: pytest.FixtureRequest) -> list[str]:
    argv: list[str] = request.param
    assert shutil.which(argv[0]), f"{argv[0]} is missing"
    return argv


@pytest.fixture(params=["root", "nobody"])
def start(request: pytest.FixtureRequest, shell: list[str]) -> Start:
    user = request.param

    def begin(asked: Order) -> subprocess.Popen[bytes]:
        reaper = subprocess.Popen(
            [*shell, "-c", READER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            user=pwd.getpwnam(user).pw_uid,
            start_new_session=True,
        )
        assert reaper.stdin is not None
        reaper.stdin.write(prelude() + asked.script())
        reaper.stdin.flush()
        return reaper

    return begin


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_the_end_of_input_is_the_end(start: Start) -> None:
    reaper = start(order(free_port()))
    processes = until_said(reaper, b"Server listening")
    assert any("iperf3" in " ".join(each.cmdline()) for each in processes)
    assert reaper.stdin is not None
    reaper.stdin.close()
    until_gone(processes, 4)
    assert reaper.stdout is not None
    reaper.stdout.close()
    reaper.wait()


def test_a_word_is_the_end_and_output_ends(start: Start) -> None:
    reaper = start(order(free_port()))
    processes = until_said(reaper, b"Server listening")
    said, _ = reaper.communicate(b"x\n", timeout=5)
    assert b"#mt end " in said
    until_gone(processes, 2)


def test_a_signal_is_the_end(start: Start) -> None:
    reaper = start(order(free_port()))
    processes = until_said(reaper, b"Server listening")
    reaper.terminate()
    reaper.wait(5)
    until_gone(processes, 3)
    reaper.communicate()


def test_time_is_the_end_even_without_the_shell(start: Start) -> None:
    reaper = start(order(free_port(), limit_s=2))
    processes = until_said(reaper, b"Server listening")
    reaper.kill()
    began = time.monotonic()
    until_gone([each for each in processes if each.name() in ("iperf3", "timeout")], 5)
    assert time.monotonic() - began < 4
    reaper.communicate()  # the end of its input ends what watched it
    until_gone(processes, 3)


def test_a_port_that_is_taken_is_told(start: Start) -> None:
    port = free_port()
    first = start(order(port))
    processes = until_said(first, b"Server listening")
    second = start(order(port))
    said, _ = second.communicate(timeout=5)
    assert b"#mt no-port" in said
    first.communicate(b"x\n", timeout=5)
    until_gone(processes, 2)


async def test_a_version_with_a_stream_is_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that says which options it got, for each version."""
    for version, flag in (("3.7", "-J"), ("3.16", "-J"), ("3.17.1", "--json-stream"), ("3.22", "--json-stream")):
        fake = tmp_path / "iperf3"
        fake.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "iperf {version} (cJSON 1.7.15)" || echo "got $*"\n')
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        tool, output = await run(Order(role="client", arguments=("-c", "it's"), limit_s=5))
        assert (tool, output.split()) == (version, ["got", "-c", "it's", flag])


async def run(asked: Order) -> tuple[str | None, str]:
    session = await LocalTransport().connect()
    end = await Reaped.start("x", session, asked)
    async with asyncio.timeout(10):
        await end.follow(lambda line: None)
    await end.close()
    assert end.ended
    return end.tool, end.output.decode()


async def test_an_old_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "iperf3"
    fake.write_text('#!/bin/sh\necho "iperf 3.6 (cJSON 1.5.2)"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    session = await LocalTransport().connect()
    end = await Reaped.start("x", session, Order(role="client", arguments=("-c", "127.0.0.1"), limit_s=5))
    await end.follow(lambda line: None)
    await end.close()
    assert end.too_old
    assert end.output == b""


def test_no_value_reaches_the_shell_unquoted() -> None:
    script = Order(role="client", arguments=("-c", "$(reboot)", "it's"), limit_s=5).script().decode()
    assert "reaper -c '$(reboot)' 'it'\"'\"'s'" in script
    with pytest.raises(ValueError, match="does not appear to be"):
        Order(role="server", arguments=(), limit_s=5, bind="$(reboot)").script()


def test_a_whole_result_over_loopback(start: Start) -> None:
    port = free_port()
    server = start(order(port))
    processes = until_said(server, b"Server listening")
    client = start(Order(role="client", arguments=("-c", "127.0.0.1", "-p", str(port), "-n", "64K"), limit_s=10))
    assert client.stdout is not None
    text = client.stdout.read().decode()
    client.communicate()
    document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert document["end"]["sum_sent"]["bytes"] >= 65536
    assert text.rstrip().endswith("#mt end 0")
    server.communicate(timeout=5)
    until_gone(processes, 2)
