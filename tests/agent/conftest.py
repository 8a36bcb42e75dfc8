"""The real probe under real shells, in network and mount namespaces of its own."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from meshtop.agent.probe import ProbePlan, bootstrap
from meshtop.parse.frame import FrameReader
from meshtop.parse.framing import Dropped, FrameDecoder
from meshtop.readings import Frame, NodeInfo, PingProblem, PingReply, PingStarted

NEEDED = ("sleep", "date", "id", "ip", "head", "setsid", "getconf", "iperf3")
# The program given becomes what /bin/sh is, for everything that starts in this mount namespace. At 192.0.2.1 there is
# a neighbour that takes every packet and answers none.
ENTER = """
mount --bind "$1" "$(readlink -f /bin/sh)" && ip link set lo up &&
ip link add mute type veth peer name other &&
ip link set mute addrgenmode none up && ip link set other addrgenmode none up &&
ip address add 192.0.2.2/24 dev mute && ip neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev mute &&
shift && exec "$@"
"""
ENTER_AGAIN = 'mount --bind "$1" "$(readlink -f /bin/sh)" && shift && exec "$@"'
ORDINARY_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PATIENCE_S = 15.0
PID_MAX = int(Path("/proc/sys/kernel/pid_max").read_text())
# Opens COUNT connections to itself; each number that comes is so many bytes to write on each of them.
TALK = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
server = socket.create_server((sys.argv[2], 0), family=family, backlog=1000, dualstack_ipv6=":" in sys.argv[2])
ends = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(("127.0.0.1", server.getsockname()[1]))
    ends.append((client, server.accept()[0]))
print(server.getsockname()[1], flush=True)
for line in sys.stdin:
    for client, accepted in ends:
        client.sendall(bytes(int(line)))
        left = int(line)
        while left:
            left -= len(accepted.recv(left))
    print("written", flush=True)
"""


E = TypeVar("E", PingProblem, PingReply, PingStarted)


def found(tool: str) -> str:
    path = shutil.which(tool)
    assert path, f"{tool} is needed for this test"
    return path


# Stands where sshd does: it holds the other ends of the command's pipes and passes bytes on.
SERVER = """
import os, select, subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
print(child.pid, file=sys.stderr, flush=True)
ways = {0: child.stdin.fileno(), child.stdout.fileno(): 1}
while True:
    for source in select.select(list(ways), [], [])[0]:
        data = os.read(source, 65536)
        if not data:
            sys.exit()
        os.write(ways[source], data)
"""


@dataclass
class RunningProbe:
    """A probe as a session would hold it: its output decoded, its processes known."""

    process: subprocess.Popen[bytes]
    session: int
    decoder: FrameDecoder = field(default_factory=FrameDecoder)
    reader: FrameReader = field(default_factory=FrameReader)
    frames: list[Frame] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    taken: int = 0

    def read(self, deadline: float) -> bool:
        """Wait for more output; False at its end."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimeoutError(f"no frame in time; {len(self.frames)} before, dropped {self.dropped}")
        data = os.read(self.process.stdout.fileno(), 65536)
        for item in self.decoder.feed(data):
            if isinstance(item, Dropped):
                self.dropped.append(item)
            else:
                self.frames.append(self.reader.read(item))
        return bool(data)

    def next_frame(self, timeout: float = PATIENCE_S) -> Frame:
        deadline = time.monotonic() + timeout
        while self.taken == len(self.frames):
            assert self.read(deadline), f"the probe ended: {self.dropped} {self.error()}"
        self.taken += 1
        return self.frames[self.taken - 1]

    def frame_with(self, wanted: Callable[[Frame], object], timeout: float = PATIENCE_S) -> Frame:
        """The next frame of which that holds."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.next_frame(deadline - time.monotonic())
            if wanted(frame):
                return frame

    def until(self, condition: Callable[[], object], timeout: float = PATIENCE_S) -> None:
        """Take frames until that holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            self.next_frame(deadline - time.monotonic())

    @property
    def info(self) -> NodeInfo:
        """What the node said last of itself."""
        return next((frame.info for frame in reversed(self.frames) if frame.info), NodeInfo())

    @property
    def problems(self) -> dict[str, str]:
        """source → what was said of it last."""
        return {problem.source: problem.text for frame in self.frames for problem in frame.problems}

    def events(self, kind: type[E], payload: int = 56) -> list[E]:
        """All ping events of a kind and series."""
        found = [event for frame in self.frames for event in frame.pings if isinstance(event, kind)]
        return [event for event in found if event.payload_bytes == payload]

    def error(self) -> str:
        assert self.process.stderr is not None
        os.set_blocking(self.process.stderr.fileno(), False)
        return (self.process.stderr.read() or b"").decode()

    def send(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def processes(self) -> dict[int, str]:
        """All living processes of the probe's session: pid → command line."""
        return {pid: command for pid, (session, command) in living().items() if session == self.session}

    def pid_of(self, role: str) -> int:
        """top, main, awk, keeper or ticker: in the order in which they are started."""
        top = self.session
        main, awk = self.children(top)[:2]
        if role in ("top", "main", "awk"):
            return {"top": top, "main": main, "awk": awk}[role]
        return self.children(main)[("keeper", "ticker").index(role)]

    def children(self, pid: int) -> list[int]:
        """In the order in which they were started; numbers begin anew behind the highest."""
        found = [other for other in self.processes() if parent(other) == pid]
        return sorted(found, key=lambda other: (other - pid) % PID_MAX)

    def kill(self, role: str) -> None:
        """SIGKILL; returns when it is dead."""
        pid = self.pid_of(role)
        os.kill(pid, signal.SIGKILL)
        assert ended(pid, time.monotonic() + PATIENCE_S)
        if pid == self.process.pid:
            self.process.wait()

    def left_after(self, within: float) -> dict[int, str]:
        """The processes of the session that still live after so long; returns as soon as there are none."""
        deadline = time.monotonic() + within
        while left := self.processes():
            pid = min(left)
            if not ended(pid, deadline):
                return left
            if pid == self.process.pid:
                self.process.wait()
        return {}


def living() -> dict[int, tuple[int, str]]:
    """pid → (session, command line) of every process that is no zombie."""
    processes = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if fields[0] != "Z":
            processes[int(entry.name)] = (int(fields[3]), command)
    return processes


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
    except OSError:
        return 0


def ended(pid: int, deadline: float) -> bool:
    """Wait for the end of a process, anybody's child."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], max(0.0, deadline - time.monotonic()))[0])
    finally:
        os.close(watched)


@dataclass
class Talk:
    """Connections whose two ends are both on the node: ``port`` is the server's."""

    process: subprocess.Popen[str]
    port: int

    def write(self, count: int) -> None:
        """Returns when ``count`` bytes were written, and read, on each connection."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "written\n"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass
class Node:
    """Where a probe runs: which shell is /bin/sh, which tools there are, who the user is."""

    folder: Path
    shell: str = "dash"
    login: str = "bash"
    user: tuple[str, ...] = ()
    before: str = ""  # what the login shell does ahead of the command
    running: list[RunningProbe] = field(default_factory=list)
    talks: list[subprocess.Popen[str]] = field(default_factory=list)
    network: tuple[str, ...] = ()

    def real(self, name: str) -> str:
        """Where the machine has that program."""
        return found(name)

    def tool(self, name: str, target: str | None = None) -> None:
        link = self.folder / name
        link.unlink(missing_ok=True)
        link.symlink_to(target or found(name))

    def become_ordinary_user(self) -> None:
        self.user = ORDINARY_USER

    def script(self, name: str, text: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def without(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def command(self, command: str) -> tuple[str, ...]:
        login = (found(self.login), "-c", self.before + command)
        network = self.network or ("unshare", "--mount", "--net")
        enter = ENTER if not self.network else ENTER_AGAIN
        return (*network, "/bin/sh", "-c", enter, "enter", found(self.shell), *self.user, *login)

    def start(self, plan: ProbePlan, **options: object) -> RunningProbe:
        """With standard input kept open; ``options`` for Popen."""
        command, script = bootstrap(plan)
        environment = {"PATH": str(self.folder), "SSH_CONNECTION": "192.0.2.1 50123 192.0.2.2 22"}
        arguments = {"start_new_session": True} | options
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(self.enter(command), env=environment, **pipes, **arguments)  # type: ignore[call-overload]
        running = RunningProbe(process, process.pid)
        self.running.append(running)
        running.send(script)
        return running

    def start_under_a_server(self, plan: ProbePlan) -> RunningProbe:
        """The probe as the child of a process that passes its bytes on."""
        command, script = bootstrap(plan)
        process = subprocess.Popen(
            (sys.executable, "-c", SERVER, *self.enter(command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": str(self.folder)},
        )
        assert process.stderr is not None
        running = RunningProbe(process, int(process.stderr.readline()))
        self.running.append(running)
        running.send(script)
        return running

    def enter(self, command: str) -> tuple[str, ...]:
        return tuple(
            found(part) if part in ("nsenter", "unshare", "setpriv") else part for part in self.command(command)
        )

    def inside(self, probe: RunningProbe, *command: str) -> str:
        """Run a command in the probe's network namespace."""
        enter = ("nsenter", f"--net=/proc/{probe.process.pid}/ns/net")
        return subprocess.run((*enter, *command), check=True, capture_output=True, text=True).stdout

    def share_network_of(self, probe: RunningProbe) -> None:
        """The probes that start from now on run in the network namespace of that one."""
        self.network = ("nsenter", f"--net=/proc/{probe.process.pid}/ns/net", "unshare", "--mount")

    def talk(self, probe: RunningProbe, connections: int, address: str = "127.0.0.1") -> Talk:
        """TCP connections over loopback in the probe's network namespace, to a server at that address."""
        process = subprocess.Popen(
            (
                "nsenter",
                f"--net=/proc/{probe.process.pid}/ns/net",
                sys.executable,
                "-c",
                TALK,
                str(connections),
                address,
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        self.talks.append(process)
        return Talk(process, int(process.stdout.readline()))

    def close(self) -> None:
        for process in self.talks:
            process.kill()
            process.communicate()
        for probe in self.running:
            for pid in probe.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for stream in (probe.process.stdin, probe.process.stdout, probe.process.stderr):
                if stream is not None:
                    try:
                        stream.close()
                    except BrokenPipeError:
                        continue
            probe.process.wait()


@pytest.fixture
def node() -> Iterator[Node]:
    """A node with dash, the machine's awk, ss and ping."""
    with tempfile.TemporaryDirectory() as folder:
        # An ordinary user must reach it, which pytest's own folders do not let.
        Path(folder).chmod(0o755)
        made = Node(Path(folder))
        for tool in (*NEEDED, "awk", "ss", "ping", "tc", "mount", "readlink"):
            made.tool(tool)
        try:
            yield made
        finally:
            made.close()


@pytest.fixture
def busybox_node(node: Node) -> Node:
    """A node where everything but ss is BusyBox."""
    busybox = found("busybox")
    for tool in ("iperf3", "getconf", "awk"):
        node.without(tool)
    for applet in subprocess.run((busybox, "--list"), check=True, capture_output=True, text=True).stdout.split():
        if applet not in ("ip", "mount"):
            node.tool(applet, busybox)
    node.shell = "busybox"
    node.login = "sh"
    return node
