"""The real probe over real sessions: this machine, OpenSSH with several login shells, dropbear with busybox ash."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from meshtop.agent import probe
from meshtop.collect.clock import Clock
from meshtop.collect.collector import Collector
from meshtop.collect.timing import Timing
from meshtop.model import BytesDropped, EngineEvent, FrameReceived, Mesh, Node, SessionChanged, SessionStats
from meshtop.model import Path as MeshPath
from meshtop.parse.framing import split_frame
from meshtop.transport.base import Transport
from meshtop.transport.local import LocalTransport
from meshtop.transport.ssh import SshOptions, SshTransport

if TYPE_CHECKING:
    Servers = Callable[..., Any]

pytestmark = pytest.mark.node


def mesh_of(*names: str, interval_s: float = 0.2) -> Mesh:
    """Nodes that ping each other over loopback."""
    nodes = [Node(name=name, address={"lo": f"127.0.0.{place}"}) for place, name in enumerate([*names, "idle"], 1)]
    return Mesh(name="test", nodes=tuple(nodes), paths=(MeshPath(name="lo", kind="underlay"),), interval_s=interval_s)


class Collected:
    """A collector at work, and what it told."""

    def __init__(self, mesh: Mesh, transports: Mapping[str, Transport], timing: Timing | None) -> None:
        self.events: list[EngineEvent] = []
        self.raw: list[tuple[str, int, float, bytes]] = []
        self._news = asyncio.Event()
        self.collector = Collector(
            mesh, transports, self._take, Clock(), lambda *one: self.raw.append(one), timing=timing
        )

    def _take(self, event: EngineEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def of(self, kind: type[Any], node: str = "a") -> list[Any]:
        return [event for event in self.events if isinstance(event, kind) and event.node == node]

    def phases(self, node: str = "a") -> list[str]:
        return [event.phase for event in self.of(SessionChanged, node)]

    def seqs(self, connection: int, node: str = "a") -> list[int]:
        return [event.frame.seq for event in self.of(FrameReceived, node) if event.connection == connection]


@asynccontextmanager
async def collecting(
    mesh: Mesh, transports: Mapping[str, Transport], timing: Timing | None = None
) -> AsyncIterator[Collected]:
    collected = Collected(mesh, transports, timing)
    task = asyncio.create_task(collected.collector.run())
    try:
        yield collected
    finally:
        began = time.monotonic()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert time.monotonic() - began < 2.5
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def ssh(ssh_site: Any) -> Callable[[Any], SshTransport]:
    return lambda server: SshTransport(server.target, SshOptions(config=(str(ssh_site.config),)))


def probes_of(server: Any) -> list[psutil.Process]:
    """All that runs on behalf of the server's sessions, sshd itself apart."""
    found = []
    for process in server.sessions():
        with contextlib.suppress(psutil.NoSuchProcess):  # a tool that a probe called for a moment
            if process.name() not in ("sshd", "dropbear"):
                found.append(process)
    return found


async def gone(processes: list[psutil.Process], within_s: float) -> list[psutil.Process]:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, within_s)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


# ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_this_machine_without_ssh(capfd: pytest.CaptureFixture[str]) -> None:
    before = set(psutil.Process().children(recursive=True))
    async with collecting(mesh_of("a"), {"a": LocalTransport()}) as node:
        await node.collector.all_settled()
        await node.until(lambda: len(node.seqs(1)) >= 5)
        assert node.seqs(1) == list(range(1, len(node.seqs(1)) + 1))
        assert node.phases() == ["connecting", "up"]
        assert node.of(BytesDropped) == []
        assert node.of(SessionStats) == []
        started = set(psutil.Process().children(recursive=True)) - before
        assert started
    assert await gone(list(started), 1.0) == []
    assert capfd.readouterr() == ("", "")


async def test_a_node_over_openssh(openssh: Servers, ssh: Any, capfd: pytest.CaptureFixture[str]) -> None:
    server = openssh()
    async with collecting(mesh_of("a"), {"a": ssh(server)}) as node:
        await node.collector.all_settled()
        await node.until(lambda: len(node.seqs(1)) >= 8 and bool(node.of(SessionStats)))
        frames = [event.frame for event in node.of(FrameReceived)]
        assert {frame.problems for frame in frames} == {()}
        assert frames[0].snmp is not None
        assert frames[0].snmp["Tcp"]["ActiveOpens"] >= 0
        stats = node.of(SessionStats)[-1]
        assert stats.rx_wire_bytes > 1000
        assert 0 < stats.ssh_rtt_ms < 1000
        # What is recorded is what came, and it alone gives the same frames.
        assert [split_frame(raw)[0].seq for _, _, _, raw in node.raw] == node.seqs(1)
        session = node.collector.session("a")
        assert session is not None
        command = await session.open("echo beside")
        assert await command.read() == b"beside\n"
        running = probes_of(server)
        assert running
    assert await gone(running, 1.0) == []
    assert capfd.readouterr() == ("", "")


async def test_a_node_over_dropbear_and_ash(dropbear: Servers, ssh: Any) -> None:
    server = dropbear()
    async with collecting(mesh_of("a"), {"a": ssh(server)}) as node:
        await node.until(lambda: len(node.seqs(1)) >= 5)
        assert node.phases() == ["connecting", "up"]
        running = probes_of(server)
    assert await gone(running, 2.0) == []


async def test_several_nodes_and_one_that_is_down(openssh: Servers, ssh: Any) -> None:
    up, down = openssh(), openssh()
    down.stop()
    transports = {"a": ssh(up), "b": ssh(down), "c": LocalTransport()}
    async with collecting(mesh_of("a", "b", "c"), transports) as mesh:
        await mesh.collector.all_settled()
        assert mesh.of(SessionChanged, "b")[-1].fault == "refused"
        await mesh.until(lambda: len(mesh.seqs(1, "a")) > 3 and len(mesh.seqs(1, "c")) > 3)
        assert mesh.phases("a") == mesh.phases("c") == ["connecting", "up"]
        assert mesh.collector.session("b") is None
        assert mesh.collector.session("nobody") is None


async def test_the_interval_changes_while_it_runs(openssh: Servers, ssh: Any) -> None:
    async with collecting(mesh_of("a", interval_s=1.0), {"a": ssh(openssh())}) as node:
        await node.until(lambda: len(node.seqs(1)) >= 1)
        await node.collector.set_interval(0.2)
        await node.until(lambda: node.of(FrameReceived)[-1].frame.interval_s == 0.2)
        began, count = time.monotonic(), len(node.seqs(1))
        await node.until(lambda: len(node.seqs(1)) >= count + 10)
        assert time.monotonic() - began < 4
        with pytest.raises(ValueError, match=r"0.1 to 60 s"):
            await node.collector.set_interval(0.01)


async def test_one_node_can_be_sampled_at_a_pace_of_its_own(openssh: Servers, ssh: Any) -> None:
    async with collecting(mesh_of("a", interval_s=1.0), {"a": ssh(openssh())}) as node:
        await node.until(lambda: len(node.seqs(1)) >= 1)
        await node.collector.set_node_interval("a", 0.2)
        await node.until(lambda: node.of(FrameReceived)[-1].frame.interval_s == 0.2)
        await node.collector.set_node_interval("a", 1.0)
        await node.until(lambda: node.of(FrameReceived)[-1].frame.interval_s == 1.0)
        await node.collector.set_node_interval("nobody", 0.2)
        with pytest.raises(ValueError, match=r"0.1 to 60 s"):
            await node.collector.set_node_interval("a", 61.0)


# ── login shells ─────────────────────────────────────────────────────────────────────────────────────────────────────

LOUD = """#!/bin/sh
printf '\\033[2J\\033]0;owned\\007Welcome to fish, the friendly interactive shell\\n'
printf '\\377\\000@meshtop1 not a frame\\n@end\\n'
echo 'motd on stderr' >&2
exec /bin/sh "$@"
"""
FISHLIKE = """#!/bin/sh
echo "fish: Unknown command: $*" >&2
echo 'fish: '
exit 127
"""


def account(site: Any, name: str, shell: str, script: str | None = None) -> Callable[[Any], SshTransport]:
    site.add_account(name, shell, script)
    options = SshOptions(config=(str(site.config),))
    return lambda server: SshTransport(f"{name}@127.0.0.1:{server.port}", options)


async def test_a_login_shell_that_prints_banners_and_garbage(ssh_site: Any, openssh: Servers) -> None:
    loud = account(ssh_site, "loud", "loud-shell", LOUD)
    async with collecting(mesh_of("a"), {"a": loud(openssh())}) as node:
        await node.until(lambda: len(node.seqs(1)) >= 3)
        assert node.seqs(1)[:3] == [1, 2, 3]
        dropped = "".join(event.excerpt for event in node.of(BytesDropped))
        assert "Welcome to fish" in dropped
        assert dropped.isprintable()


@pytest.mark.parametrize(
    ("shell", "script", "said"),
    [
        ("/usr/sbin/nologin", None, "This account is currently not available."),
        ("/bin/false", None, "said nothing"),
        ("fishlike", FISHLIKE, "fish: Unknown command"),
    ],
)
async def test_an_account_without_a_usable_shell(
    ssh_site: Any, openssh: Servers, shell: str, script: str | None, said: str
) -> None:
    odd = account(ssh_site, "odd", shell, script)
    async with collecting(mesh_of("a"), {"a": odd(openssh())}) as node:
        await node.collector.all_settled()
        told = node.of(SessionChanged)[-1]
        assert (told.phase, told.fault) == ("down", "shell")
        assert said in told.reason


async def test_a_login_shell_that_never_answers(ssh_site: Any, openssh: Servers) -> None:
    mute = account(ssh_site, "mute", "mute-shell", "#!/bin/sh\necho wait\nexec cat >/dev/null\n")
    async with collecting(mesh_of("a"), {"a": mute(openssh())}, Timing(first_frame_s=0.5)) as node:
        await node.collector.all_settled()
        told = node.of(SessionChanged)[-1]
        assert told.fault == "shell"
        assert told.reason == "connected, but no frame came within 0.5 s; it said: wait"


# ── loss ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_sshd_killed_and_started_again(openssh: Servers, ssh: Any) -> None:
    server = openssh()
    async with collecting(mesh_of("a"), {"a": ssh(server)}) as node:
        await node.until(lambda: len(node.seqs(1)) >= 3)
        left_over = probes_of(server)
        server.stop()
        await node.until(lambda: node.phases()[-1] == "down")
        assert node.of(SessionChanged)[-1].fault == "closed"
        assert await gone(left_over, 5.0) == []  # the probe notices by itself
        server.start()
        await node.until(lambda: node.phases()[-1] == "up", within_s=20)
        number = node.of(SessionChanged)[-1].connection
        await node.until(lambda: len(node.seqs(number)) >= 3)
        probes = {event.frame.probe for event in node.of(FrameReceived)}
        assert len(probes) == 2


async def test_a_host_key_that_changes_stops_that_node_until_it_is_settled(
    ssh_site: Any, openssh: Servers, ssh: Any
) -> None:
    server = openssh(trusted=False)
    ssh_site.trust(server.port, openssh(trusted=False).host_key)
    async with collecting(mesh_of("a"), {"a": ssh(server)}, Timing(file_poll_s=0.05)) as node:
        await node.collector.all_settled()
        assert node.of(SessionChanged)[-1].fault == "host-key-changed"
        ssh_site.known_hosts.write_text("")
        await node.until(lambda: node.of(SessionChanged)[-1].fault == "host-key-unknown")
        ssh_site.trust(server.port, server.host_key)
        await node.until(lambda: node.phases()[-1] == "up")


OPERATOR = """
import asyncio, sys
from meshtop.collect.clock import Clock
from meshtop.collect.collector import Collector
from meshtop.model import Mesh, Node, Path
from meshtop.transport.local import LocalTransport
from meshtop.transport.ssh import SshOptions, SshTransport
nodes = (Node(name="a", address={"lo": "127.0.0.1"}), Node(name="b", address={"lo": "127.0.0.2"}))
mesh = Mesh(name="test", nodes=nodes, paths=(Path(name="lo", kind="underlay"),))
transports = {"a": SshTransport(sys.argv[1], SshOptions(config=(sys.argv[2],))), "b": LocalTransport()}
async def main():
    collector = Collector(mesh, transports, lambda event: None, Clock())
    running = asyncio.create_task(collector.run())
    await collector.all_settled()
    print("up", flush=True)
    await running
asyncio.run(main())
"""


def test_an_operator_that_is_killed_leaves_no_probe(ssh_site: Any, openssh: Servers) -> None:
    server = openssh()
    operator = subprocess.Popen(
        [sys.executable, "-c", OPERATOR, server.target, str(ssh_site.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert operator.stdout is not None
    assert operator.stdout.readline() == b"up\n"
    left_over = probes_of(server) + psutil.Process(operator.pid).children(recursive=True)
    assert len(left_over) > 2
    operator.send_signal(signal.SIGKILL)
    operator.communicate()
    assert asyncio.run(gone(left_over, 5.0)) == []


async def test_fifty_sessions_leave_nothing(openssh: Servers, ssh: Any) -> None:
    server = openssh()
    descriptors = []
    for _ in range(25):
        async with collecting(mesh_of("a", "b"), {"a": ssh(server), "b": LocalTransport()}) as node:
            await node.collector.all_settled()
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert descriptors[-1] <= descriptors[0]
    assert await gone(probes_of(server), 2.0) == []


def test_leases_are_renewed_as_the_probe_expects() -> None:
    assert Timing().lease_renew_s <= probe.RENEW_EVERY_S


def test_without_ssh_nodes_asyncssh_is_not_loaded() -> None:
    code = "import sys, meshtop.collect.collector, meshtop.transport.local; print('asyncssh' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout == "False\n"
