"""`meshtop run` without a mesh to see: the command's streams, its exit code, its signals, its terminal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meshtop.commands.run import exit_code
from meshtop.commands.run_pty import PtyCommand
from tests.meshes import UNREACHABLE


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "meshtop.toml"
    file.write_text(UNREACHABLE)
    return str(file)


def start(config: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "meshtop.cli", "-c", config, "run", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"}, start_new_session=True,
    )  # fmt: skip


def test_the_command_has_our_streams_and_its_exit_code_is_ours(config: str) -> None:
    running = start(config, "--", "sh", "-c", "read line; echo got $line; echo oops >&2; exit 9")
    out, said = running.communicate("words\n", timeout=60)
    assert (running.returncode, out) == (9, "got words\n")
    assert "oops" in said
    assert "ended with 9" in said
    assert "nothing is known of the way" in said


def test_with_json_standard_output_is_the_documents_alone(config: str) -> None:
    running = start(config, "--json", "--", "sh", "-c", "echo hello; kill -TERM $$")
    out, said = running.communicate(timeout=60)
    found = json.loads(out)
    assert (running.returncode, found["exit_code"], found["seen"], found["schema"]) == (
        143,
        143,
        False,
        "meshtop.run/1",
    )
    assert found["command"] == ["sh", "-c", "echo hello; kill -TERM $$"]
    assert "hello" in said


@pytest.mark.parametrize(("command", "code"), [("/no/such/command", 127), ("/", 126)])
def test_what_cannot_be_started_has_the_codes_of_a_shell(config: str, command: str, code: int) -> None:
    running = start(config, "--", command)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (code, "")
    assert command in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_reach_the_command_and_we_wait_for_it(config: str, number: signal.Signals) -> None:
    script = f"trap 'sleep 0.2; echo told; exit 7' {number.name[3:]}; echo up; while :; do sleep 0.05; done"
    running = start(config, "--", "sh", "-c", script)
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(number)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (7, "told\n"), said


async def test_a_command_on_its_terminal_has_its_size_its_keys_and_its_ctrl_c() -> None:
    script = "stty size; tty >/dev/null && echo is a tty; trap 'exit 5' INT; read x; echo got $x; "
    script += "while :; do sleep 0.05; done"
    command = PtyCommand(("sh", "-c", script), "test")
    said = b""
    heard = asyncio.Event()

    def output(data: bytes) -> None:
        nonlocal said
        said += data
        heard.set()

    async def until(words: bytes) -> None:
        async with asyncio.timeout(20):
            while words not in said:
                heard.clear()
                await heard.wait()

    command.listen(output)
    command.resize(97, 31)
    assert command.pane_there.is_set()
    running = asyncio.create_task(command.run(exit_code))
    await until(b"is a tty")
    assert b"31 97" in said
    command.write(b"word\r")
    await until(b"got word")
    assert command.status()[1] is None
    command.write(b"\x03")
    assert await asyncio.wait_for(running, 20) == 5
    assert command.status()[0].startswith("ended with 5")
    assert command.status()[1] is False
    assert command.pid is None


async def test_a_terminal_that_is_closed_ends_its_command(tmp_path: Path) -> None:
    mark = tmp_path / "hung-up"
    command = PtyCommand(("sh", "-c", f"trap 'echo > {mark}; exit' HUP; echo up; while :; do sleep 0.05; done"), "test")
    up = asyncio.Event()
    command.listen(lambda data: up.set() if b"up" in data else None)
    running = asyncio.create_task(command.run(exit_code))
    await asyncio.wait_for(up.wait(), 20)
    pid = command.pid
    assert pid is not None
    running.cancel()
    await asyncio.wait({running})
    assert mark.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_flood_of_output_leaves_the_loop_its_turns() -> None:
    command = PtyCommand(("sh", "-c", "yes | head -c 2000000"), "test")
    received = 0

    def count(data: bytes) -> None:
        nonlocal received
        received += len(data)

    command.listen(count)
    async with asyncio.timeout(60):
        assert await command.run(exit_code) == 0
    assert received >= 2_000_000
