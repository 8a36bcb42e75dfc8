"""The lab as an object: five nodes in network namespaces, the WAN between them, an SSH server in each.

    with Lab.up(name="mine", directory=tmp_path) as lab:
        lab.exec("a", ["ping", "-c1", "10.10.10.5"])
        lab.fault("e", "loss", "1%", net="public")
        lab.cut_mgmt("b")

A lab lives in processes of its own and outlives the object that made it, unless that was used as a context manager.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

import meshtop
from meshtop.lab import fault_control, files, node_faults, overlay, registry
from meshtop.lab.clear import clear
from meshtop.lab.control import Reply, Request, WanStatus, ask
from meshtop.lab.faults import FaultRequest
from meshtop.lab.netns import LabError, add_namespaces, congestion_available, namespace_pids, set_up_ports
from meshtop.lab.overlay import DIRECT, TunnelProcess, parse_overlay, tunnel_argv, tunnel_roles
from meshtop.lab.plan import CASE, HUB, MGMT, VPN, LabPlan
from meshtop.lab.registry import LabRecord, ProcessRef, end_processes, process_ref, process_start
from meshtop.lab.sshd_config import PORT, PRIVSEP_DIR, openssh_config, openssh_path
from meshtop.lab.wanlog import MOST_BYTES, LogStatus

READY_WAIT_S = 15.0  # a start takes about one second; a machine under load may take several
CONGESTION = "cubic"  # what nearly every server uses; the machine's own default may be another
SSHD_KINDS = ("asyncssh", "openssh")
CONNECT_WAIT_S = 5.0  # a tunnel connects within a few round trips, or something is in its way


class Lab:
    """A lab that is up."""

    def __init__(self, record: LabRecord) -> None:
        self.record = record
        self.plan = LabPlan(index=record.index, nat=record.nat)
        self._children: list[subprocess.Popen[bytes]] = []  # those that we have started, to be waited for

    # ── Up and down ──────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def up(
        cls,
        name: str = registry.DEFAULT_NAME,
        directory: Path | None = None,
        *,
        sshd: str = "asyncssh",
        overlay: str = DIRECT,
        nat: Sequence[str] = (),
        truth: bool = False,
        seed: int = 1,
        congestion: str = CONGESTION,
    ) -> Self:
        """Make a lab and wait until all of it answers. Raises LabError; nothing is then left.

        Nobody can open connections to the sites ``nat`` on the public network. With ``truth`` the WAN notes what it
        does to packets from the beginning, in ``wan_log_path``. Labs of one ``seed`` have the same chances of loss.
        ``congestion`` is what the nodes' connections use, where the machine has it."""
        _check(name, sshd, overlay, nat)
        record = registry.claim(name, directory, process_ref(os.getpid()))
        lab = cls(record)
        try:
            lab._build(sshd, overlay, tuple(sorted(set(nat))), truth=truth, seed=seed, congestion=congestion)
        except BaseException:  # an interruption too leaves nothing
            lab.down()
            raise
        return lab

    @classmethod
    def open(cls, name: str = registry.DEFAULT_NAME) -> Self:
        """A lab that is up already. Raises LabError that says which there are."""
        return cls(registry.find(name))

    def down(self) -> None:
        """Take everything of this lab away. Idempotent."""
        clear(self.record)
        for child in self._children:
            child.wait()
        registry.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.down)

    def _build(self, sshd: str, carrier: str, nat: tuple[str, ...], *, truth: bool, seed: int, congestion: str) -> None:
        congestion = congestion if congestion in congestion_available() else ""
        self._change(sshd=sshd, nat=nat, congestion=congestion)
        self.plan = LabPlan(index=self.record.index, nat=nat, seed=seed)
        files.prepare(self.dir)
        self._change(owns_files=True)
        files.write_files(self.dir, self.plan)
        add_namespaces(self.plan.namespaces())
        spec = self.plan.wan_spec()
        for namespace in (*self.plan.namespaces(), None):
            set_up_ports([port for port in spec.ports if port.namespace == namespace], congestion or None)
        waits = [self._start_wan(), *(self._start_sshd(site.name) for site in self.plan.sites)]
        for wait in waits:
            wait.until_ready()
        if truth:
            self.begin_wan_log(self.wan_log_path)
        if carrier != DIRECT:
            self.set_overlay(carrier)
        self._change(complete=True)

    def _change(self, **values: object) -> None:
        self.record = registry.amend(self.record, lambda latest: msgspec.structs.replace(latest, **values))

    def _add_process(self, role: str, ref: ProcessRef) -> None:
        def add(latest: LabRecord) -> LabRecord:
            return msgspec.structs.replace(latest, processes={**latest.processes, role: ref})

        self.record = registry.amend(self.record, add)

    def _start(self, role: str, argv: Sequence[str], *, ready_fd: bool) -> _Wait:
        log = self.dir / "logs" / f"{role.replace(':', '-')}.log"
        read_end, write_end = os.pipe()
        root = str(Path(meshtop.__file__).parent.parent)  # found there also where meshtop is not installed
        with log.open("ab") as output:
            child = subprocess.Popen(
                [*argv, str(write_end)] if ready_fd else argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(write_end,) if ready_fd else (),
                env={**os.environ, "PYTHONPATH": root},
            )
        os.close(write_end)
        self._children.append(child)
        try:
            self._add_process(role, process_ref(child.pid))
        except LabError:  # taken down meanwhile: nobody else will ever know of this process
            os.close(read_end)
            child.kill()
            child.wait()
            raise
        return _Wait(role, log, os.fdopen(read_end, "rb", buffering=0), child)

    def _start_wan(self) -> _Wait:
        argv = [sys.executable, "-m", "meshtop.lab.wan_process", str(self.dir / "wan.json"), str(self.record.socket)]
        return self._start("wan", argv, ready_fd=True)

    def _start_sshd(self, node: str) -> _Wait:
        keys, address = self.dir / "keys", self.plan.address(MGMT, node)
        enter = ["ip", "netns", "exec", self.plan.namespace(node)]
        role = f"sshd:{node}"
        if self.record.sshd == "openssh":
            config = keys / f"sshd_config_{node}"
            config.write_text(openssh_config(address, keys / f"host_{node}", keys / "authorized_keys"))
            if not PRIVSEP_DIR.exists():
                self._change(made_privsep_dir=True)
                PRIVSEP_DIR.mkdir(mode=0o755, exist_ok=True)
            wait = self._start(role, [*enter, openssh_path(), "-D", "-e", "-f", str(config)], ready_fd=False)
            wait.address = address
            return wait
        argv = [
            *enter,
            sys.executable,
            "-m",
            "meshtop.lab.sshd",
            address,
            str(keys / f"host_{node}"),
            str(keys / "authorized_keys"),
        ]
        return self._start(role, argv, ready_fd=True)

    # ── The overlay ──────────────────────────────────────────────────────────────────────────────────────────────────

    def set_overlay(self, text: str) -> list[str]:
        """Switch the overlay: ``direct``, ``udp``, ``tcp1`` or ``striped:N``. Returns the nodes whose tunnel has not
        come up yet (something is in its way; it goes on trying)."""
        kind = parse_overlay(text)
        with overlay.lock_path(self.record).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # First, so that the status says which processes are missing when this is killed half-way.
            self._change(**({} if kind is None else {"overlay": text}))
            self._end_tunnels()
            overlay.set_mtu(self.plan, kind)
            if kind is None:
                self._ask(Request(op="attach", net=VPN))
                self._change(overlay=DIRECT)
                return []
            self._ask(Request(op="release", net=VPN))
            return self._start_tunnels(text)

    @property
    def overlay(self) -> str:
        """What carries the overlay now, whoever has switched it."""
        return (registry.current(self.record) or self.record).overlay

    def tunnels(self) -> list[TunnelProcess]:
        """The overlay's processes; none where the WAN itself carries it."""
        return overlay.tunnel_processes(registry.current(self.record) or self.record, self.plan)

    def _start_tunnels(self, text: str) -> list[str]:
        late = []
        hub, *clients = tunnel_roles(self.plan)
        self._start_tunnel(hub, text).until_ready()
        waits = [self._start_tunnel(role, text) for role in clients]
        give_up_at = time.monotonic() + CONNECT_WAIT_S
        for wait in waits:
            if not wait.until_connected(give_up_at):
                late.append(wait.role.removeprefix(overlay.ROLE))
        return late

    def _start_tunnel(self, role: str, text: str) -> _Wait:
        return self._start(role, tunnel_argv(self.plan, role.removeprefix(overlay.ROLE), text), ready_fd=True)

    def _end_tunnels(self) -> None:
        ends = {role: ref for role, ref in self.record.processes.items() if role.startswith(overlay.ROLE)}
        end_processes([*ends.values(), *overlay.all_processes(self.plan)])

        def without(latest: LabRecord) -> LabRecord:
            kept = {role: ref for role, ref in latest.processes.items() if ends.get(role) != ref}
            return msgspec.structs.replace(latest, processes=kept)

        self.record = registry.amend(self.record, without)

    # ── What it has ──────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def dir(self) -> Path:
        return Path(self.record.dir)

    @property
    def config_path(self) -> Path:
        """The lab's meshtop.toml."""
        return self.record.config

    @property
    def ssh_config_path(self) -> Path:
        return self.dir / "ssh_config"

    @property
    def wan_log_path(self) -> Path:
        """Where ``lab up --truth`` has the WAN's log; see ``wanlog.read_wan_log``."""
        return self.dir / "logs" / "wan.truth"

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(site.name for site in self.plan.sites)

    def address(self, net: str, node: str) -> str:
        """``net`` is public, vpn or mgmt; the operator is a node of public and mgmt by the name "operator"."""
        return self.plan.address(net, node)

    def status(self) -> WanStatus:
        status = self._ask(Request(op="status")).status or _no_status()
        if self.overlay == DIRECT:
            return status
        return msgspec.structs.replace(status, round_trips=overlay.by_the_hub(status.round_trips))

    def rtt_ms(self, src: str, dst: str, path: str) -> float:
        """The configured round trip; queueing and serialising come on top."""
        for trip in self.status().round_trips:
            if (trip.src, trip.dst, trip.path) == (src, dst, path):
                return trip.rtt_ms
        raise LabError(f"no way from {src!r} to {dst!r} by {path!r}")

    # ── What can be done to it ───────────────────────────────────────────────────────────────────────────────────────

    def command(self, node: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` on ``node``."""
        if node not in self.nodes:
            raise LabError(f"no node {node!r}; there are {', '.join(self.nodes)}")
        return ["ip", "netns", "exec", self.plan.namespace(node), *argv]

    def exec(self, node: str, argv: Sequence[str], timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
        """Run a command on a node to its end; its outputs as text."""
        return subprocess.run(self.command(node, argv), capture_output=True, text=True, check=False, timeout=timeout)

    def popen(
        self,
        node: str,
        argv: Sequence[str],
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
    ) -> subprocess.Popen[bytes]:
        """Start a command on a node; it ends with the lab at the latest."""
        return subprocess.Popen(self.command(node, argv), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)

    def fault(self, target: str, kind: str, value: str = "", *, net: str | None = None, one_way: bool = False) -> None:
        """``target`` is a site or "src:dst"; without ``net`` the public network and the overlay are meant.

        The kinds are those of ``lab fault --list``. Raises LabError that says what there is."""
        fault_control.put(self, FaultRequest(target=target, kind=kind, value=value, one_way=one_way, net=net))

    def heal(self, target: str | None = None, kind: str | None = None, net: str | None = None) -> int:
        """Take away all faults, or those that fit; how many there were."""
        return fault_control.heal(self, target, kind, net)

    def cut_mgmt(self, node: str) -> None:
        """From now on nothing passes between the operator's SSH and the node, and nobody is told."""
        self.fault(node, "blackout", net=MGMT)

    def heal_mgmt(self, node: str) -> None:
        self.heal(node, "blackout", MGMT)

    def sshd_processes(self, node: str) -> list[ProcessRef]:
        """The node's SSH server with the processes of its sessions, but not the commands in them."""
        refs = []
        for pid in namespace_pids(self.plan.namespace(node)):
            start = process_start(pid)
            if start is not None and _is_sshd(pid):
                refs.append(ProcessRef(pid=pid, start=start))
        return refs

    def kill_sshd(self, node: str) -> None:
        """SIGKILL to all of the node's sshd processes."""
        end_processes(self.sshd_processes(node))

    def start_sshd(self, node: str) -> None:
        """Start the server again, wait until it takes connections."""
        self._start_sshd(node).until_ready()
        node_faults.befall(self, node)

    def begin_wan_log(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        """From now on the WAN notes each packet that it drops, holds, reorders or doubles (``wanlog.py``)."""
        self._ask(Request(op="log", path=str(path.absolute()), most_bytes=most_bytes))

    def end_wan_log(self, path: Path) -> LogStatus:
        """The file is whole when this returns."""
        status = self._ask(Request(op="end-log", path=str(path.absolute()))).log
        assert status is not None  # noqa: S101  # an answer without error has it
        return status

    def ask(self, request: Request) -> Reply:
        """Of the WAN, by its control socket. Raises LabError."""
        return self._ask(request)

    def _ask(self, request: Request) -> Reply:
        return ask(self.record.socket, request)


class _Wait:
    """A process that is starting: ready when it has said so, or when its port answers."""

    def __init__(self, role: str, log: Path, ready: IO[bytes], child: subprocess.Popen[bytes]) -> None:
        self.role = role
        self.log = log
        self.ready = ready
        self.child = child
        self.address: str | None = None
        self._give_up_at = time.monotonic() + READY_WAIT_S

    def until_ready(self) -> None:
        with self.ready:
            came = self._port_answers() if self.address else self._says_so()
        if not came:
            raise LabError(self._complaint())

    def until_connected(self, give_up_at: float) -> bool:
        """Whether it has said so by then. Raises LabError when it has ended."""
        self._give_up_at = give_up_at
        with self.ready:
            if self._says_so():
                return True
            if self.child.poll() is None:
                return False
            raise LabError(self._complaint())

    def _complaint(self) -> str:
        said = self.log.read_text(errors="replace").strip().splitlines()[-5:]
        return f"the lab's {self.role} did not start: " + (" | ".join(said) or "it said nothing")

    def _says_so(self) -> bool:
        readable, _, _ = select.select([self.ready], [], [], max(0.0, self._give_up_at - time.monotonic()))
        return bool(readable) and self.ready.read(1) == b"+"

    def _port_answers(self) -> bool:
        while time.monotonic() < self._give_up_at and self.child.poll() is None:
            try:
                socket.create_connection((self.address, PORT), timeout=1.0).close()
            except OSError:
                time.sleep(0.02)
            else:
                return True
        return False


def _check(name: str, sshd: str, carrier: str, nat: Sequence[str]) -> None:
    """Before anything is made: what would fail later, in plain words."""
    if os.geteuid() != 0:
        raise LabError("the lab needs root: it makes network namespaces and TUN devices")
    if not Path("/dev/net/tun").exists():
        raise LabError("the lab needs /dev/net/tun; in a container start it with --device /dev/net/tun")
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()):
        raise LabError(f"{name!r} is no name for a lab; use letters, digits, - and _")
    if shutil.which("ip") is None:
        raise LabError("`ip` is not installed; on Debian and Ubuntu: apt-get install iproute2")
    if sshd not in SSHD_KINDS:
        raise LabError(f"no SSH server {sshd!r}; there are {', '.join(SSHD_KINDS)}")
    parse_overlay(carrier)
    sites = [site.name for site in CASE if site.name != HUB]
    if wrong := [name for name in nat if name not in sites]:
        why = f"{HUB} is where the overlay's clients connect to" if HUB in wrong else f"there is no site {wrong[0]!r}"
        raise LabError(f"{why}; behind NAT can be {', '.join(sites)}")
    if sshd == "openssh":
        openssh_path()


def _is_sshd(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"meshtop.lab.sshd" in words or words[0].split(b":")[0].rsplit(b"/")[-1] in (
        b"sshd",
        b"sshd-session",
        b"sshd-auth",
    )


def _no_status() -> WanStatus:
    raise LabError("the lab's WAN answered without its status")
