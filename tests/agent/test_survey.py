"""The survey and the try of ways under the shells that nodes have, and what ends them."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from importlib.resources import files

import pytest

from meshtop.agent.survey import Way, survey_script, ways_script
from meshtop.collect.errand import run_errand
from meshtop.parse.survey import parse_survey
from meshtop.parse.ways import parse_ways
from meshtop.transport.base import Channel, TransportFault
from meshtop.transport.local import LocalSession, start

pytestmark = pytest.mark.node

SHELLS = ("dash", "bash", "busybox sh")


class UnderShell(LocalSession):
    """Commands by another shell than /bin/sh."""

    def __init__(self, shell: str, before: str = "") -> None:
        super().__init__()
        self._shell, self._before = shell, before

    async def open(self, command: str) -> Channel:
        name, *rest = self._shell.split()
        found = " ".join([shutil.which(name) or name, *rest])
        return await start(self._before + command.replace("exec /bin/sh", f"exec {found}"), lambda channel: None)


@pytest.mark.parametrize("shell", SHELLS)
async def test_a_survey_says_what_this_machine_is(shell: str) -> None:
    said = await run_errand(UnderShell(shell), survey_script(), 30, time.time)
    assert (said.began, said.whole, said.noise) == (True, True, "")
    found = parse_survey(said.lines)
    assert found.whole
    assert found.uid is not None
    assert {"ss", "ping", "awk"} <= set(found.tools)
    assert found.own_pings.keys() == {56, 1200}
    assert found.ss_complaint is None
    assert any(each.kind == "loopback" for each in found.interfaces)
    assert said.asked_at is not None
    assert said.answered_at is not None
    assert found.wall_s is not None
    assert abs(found.wall_s - said.answered_at) < 5


@pytest.mark.parametrize("shell", SHELLS)
async def test_ways_to_this_machine_itself(shell: str, closed_port: int, open_port: int) -> None:
    ways = [Way(number=0, address="127.0.0.1", ports=(open_port, closed_port), pmtu=True),
            Way(number=7, address="127.0.0.9", ports=())]  # fmt: skip
    said = await run_errand(UnderShell(shell), ways_script(ways), 60, time.time)
    assert said.whole
    found = parse_ways(said.lines)
    assert found[0].tcp == {open_port: "open", closed_port: "refused"}
    assert [found[number].pings[size].answered for number in (0, 7) for size in (56, 1200)] == [3] * 4
    if "busybox" in shell:  # its own ping cannot forbid fragments
        assert found[0].pmtu is None
    else:
        assert found[0].pmtu is not None
        assert found[0].pmtu.how == "open"


async def test_a_login_shell_that_talks_first_is_noticed() -> None:
    said = await run_errand(UnderShell("dash", "echo Welcome to node; "), survey_script(), 30, time.time)
    assert (said.whole, said.noise) == (True, "Welcome to node")


async def test_a_shell_that_runs_nothing_gives_no_survey() -> None:
    said = await run_errand(UnderShell("dash", "echo This account is closed; exit 1; "), survey_script(), 30, time.time)
    assert (said.began, said.noise) == (False, "This account is closed")


async def test_what_hangs_is_given_up() -> None:
    said = await run_errand(UnderShell("dash", "sleep 60; "), survey_script(), 0.5, time.time)
    assert (said.began, said.whole) == (False, False)


async def test_a_session_that_breaks_is_told() -> None:
    class Broken(LocalSession):
        async def open(self, command: str) -> Channel:
            raise TransportFault("closed", "gone")

    with pytest.raises(TransportFault):
        await run_errand(Broken(), survey_script(), 5, time.time)


def test_only_addresses_get_into_the_script() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        ways_script([Way(number=0, address="$(reboot)")])


@pytest.fixture
async def open_port() -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("script", ["survey.sh", "ways.sh"])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_posix(script: str, shell: str) -> None:
    text = (files("meshtop.agent") / script).read_text("utf-8")
    assert subprocess.run([*shell.split(), "-n"], input=text, text=True, check=False).returncode == 0
