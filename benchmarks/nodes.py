"""Nodes to measure on: network namespaces on three bridges (management, overlay, public), each with an OpenSSH server.

The bridges are in the benchmark's own namespace, which plays the operator. Everything is inside the sandbox
(``benchmarks.sandbox``) and goes with it. The configured line rates are those of the lab; nothing limits the links, so
that only meshtop's own cost shows.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from benchmarks import cpu, sandbox

HERE = Path("/run/bench")
NAMES = ("a", "b", "c", "d", "e")
UP_DOWN = {"a": ("10M", "40M"), "b": ("5M", "5M"), "c": ("500M", "500M"), "d": ("30M", "30M"), "e": ("30M", "30M")}
NETWORKS = {"mgmt": "10.90.0", "vpn": "10.91.0", "public": "10.92.0"}
ETHERNET_HEADER = 14  # interface counters hold it; a line's nominal rate is better compared without

SSHD_CONFIG = """
Port 22
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
ForceCommand {folder}/wrap
"""
# What a session runs lands in a control group of its own, apart from sshd, whose cost is told separately.
WRAP = """#!/bin/sh
echo $$ >>{folder}/pids
{join}
exec "${{SHELL:-/bin/sh}}" -c "$SSH_ORIGINAL_COMMAND"
"""
# busybox decides by the name it is called by what it is
BUSYBOX = "mount --bind {busybox} $(readlink -f /bin/sh) && mount --bind {busybox} $(readlink -f $(command -v awk)) && "


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass(slots=True)
class BenchNode:
    """One node: its namespace, server and CPU accounts. Start the server with ``serve``."""

    name: str
    index: int
    folder: Path
    probe_group: Path | None = None
    sshd_group: Path | None = None
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    sshd: subprocess.Popen[str] | None = None

    def address(self, network: str) -> str:
        return f"{NETWORKS[network]}.{self.index + 1}"

    def start(self, *command: str, stdin: int | IO[str] | None = None) -> subprocess.Popen[str]:
        """A process in the node's namespace; its output is a pipe."""
        child = subprocess.Popen(
            ("ip", "netns", "exec", self.name, *command),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(child)
        return child

    def serve(self, shell: str = "dash") -> None:
        """Start OpenSSH, with ``sh`` and ``awk`` being dash and the machine's awk or ("busybox") busybox."""
        self.folder.mkdir(exist_ok=True)
        for key in ("host_key",):
            if not (self.folder / key).exists():
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / key))
        (self.folder / "authorized_keys").write_text((HERE / "key.pub").read_text())
        (self.folder / "pids").write_text("")
        self.probe_group, self.sshd_group = sandbox.cgroup("probe"), sandbox.cgroup("sshd")
        join = f"echo $$ >{self.probe_group}/cgroup.procs" if self.probe_group else ":"
        wrap = self.folder / "wrap"
        wrap.write_text(WRAP.format(folder=self.folder, join=join))
        wrap.chmod(0o755)
        config = self.folder / "sshd_config"
        config.write_text(SSHD_CONFIG.format(address=self.address("mgmt"), folder=self.folder))
        before = f"echo $$ >{self.sshd_group}/cgroup.procs; " if self.sshd_group else ""
        if shell == "busybox":
            before += BUSYBOX.format(busybox=run("sh", "-c", "command -v busybox").strip())
        sshd = run("sh", "-c", "command -v sshd || echo /usr/sbin/sshd").strip()
        self.sshd = subprocess.Popen(
            ("ip", "netns", "exec", self.name, "sh", "-c", f"{before}exec {sshd} -D -e -f {config}"),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.sshd.stderr is not None
        line = self.sshd.stderr.readline()
        if "listening" not in line:
            raise RuntimeError(f"sshd of {self.name}: {line.strip()}")

    def stop(self) -> None:
        """End everything that runs on the node."""
        for pid in run("ip", "netns", "pids", self.name).split():
            subprocess.run(("kill", "-KILL", pid), check=False, capture_output=True)
        for child in (*self.processes, *([self.sshd] if self.sshd else [])):
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self.processes.clear()
        self.sshd = None

    def probe_cpu_s(self) -> float:
        """CPU seconds so far of everything that sessions ran on the node."""
        if self.probe_group is not None:
            return cpu.of_cgroup(self.probe_group)
        return sum(cpu.of_tree(int(pid)) for pid in (self.folder / "pids").read_text().split())

    def sshd_cpu_s(self) -> float:
        """CPU seconds so far of sshd without what it ran."""
        if self.sshd_group is not None:
            return cpu.of_cgroup(self.sshd_group)
        assert self.sshd is not None
        return cpu.of_tree(self.sshd.pid) - self.probe_cpu_s()

    def wire_bytes(self, network: str = "mgmt") -> tuple[int, int]:
        """(from the node, to the node) so far on one of its networks, with IP headers."""
        return _counters(f"{network[0]}-{self.name}")


def _counters(interface: str) -> tuple[int, int]:
    """(received, sent) bytes of the operator's end of a link, so (from the node, to the node), with IP headers."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, fields = line.partition(":")
        if name.strip() == interface:
            numbers = [int(text) for text in fields.split()]
            return numbers[0] - numbers[1] * ETHERNET_HEADER, numbers[8] - numbers[9] * ETHERNET_HEADER
    raise RuntimeError(f"no interface {interface}")


class BenchMesh:
    """The nodes with their bridges, keys and files, while the context lasts."""

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.nodes = {name: BenchNode(name, index, HERE / name) for index, name in enumerate(names)}
        self.config = HERE / "meshtop.toml"
        self.ssh_config = HERE / "ssh_config"
        for network, prefix in NETWORKS.items():
            run("ip", "link", "add", network, "type", "bridge")
            run("ip", "address", "add", f"{prefix}.254/24", "dev", network)
            run("ip", "link", "set", network, "up")
        for node in self.nodes.values():
            self._join(node)
        if not (HERE / "key").exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(HERE / "key"))

    def _join(self, node: BenchNode) -> None:
        run("ip", "netns", "add", node.name)
        inside = ("ip", "-n", node.name)
        run(*inside, "link", "set", "lo", "up")
        for network in NETWORKS:
            outer = f"{network[0]}-{node.name}"
            run("ip", "link", "add", outer, "type", "veth", "peer", "name", network, "netns", node.name)
            run("ip", "link", "set", outer, "master", network, "up")
            run(*inside, "address", "add", f"{node.address(network)}/24", "dev", network)
            run(*inside, "link", "set", network, "up")
        run("ip", "netns", "exec", node.name, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")

    def write_files(self, interval: str = "1s", watched: Sequence[str] = NAMES) -> None:
        """meshtop.toml, ssh_config and known_hosts; nodes that are not ``watched`` refuse the connection."""
        hosts = "".join(
            f"Host {name}\n HostName {node.address('mgmt')}\n User root\n IdentityFile {HERE}/key\n"
            f" Port {22 if name in watched else 9}\n"
            for name, node in self.nodes.items()
        )
        self.ssh_config.write_text(f"{hosts}Host *\n UserKnownHostsFile {HERE}/known_hosts\n IdentitiesOnly yes\n")
        known = [
            f"{node.address('mgmt')} {(node.folder / 'host_key.pub').read_text()}"
            for node in self.nodes.values()
            if (node.folder / "host_key.pub").exists()
        ]
        (HERE / "known_hosts").write_text("".join(known))
        parts = [
            f'[mesh]\nname = "bench"\ninterval = "{interval}"\n',
            f'[ssh]\nconfig = "{self.ssh_config}"\nknown_hosts = "{HERE}/known_hosts"\n',
            # Round trips of some 50 µs double and halve all the time, real ones do not: calm is what is to be measured
            "[thresholds]\ndegraded_inflation = 50\n",
            '[paths.vpn]\nkind = "overlay"\n[paths.public]\nkind = "underlay"\n',
        ]
        for name, node in self.nodes.items():
            up, down = UP_DOWN[name]
            parts.append(
                f'[nodes.{name}]\nssh = "{name}"\nup = "{up}"\ndown = "{down}"\n'
                f'address = {{ vpn = "{node.address("vpn")}", public = "{node.address("public")}" }}\n'
            )
        self.config.write_text("\n".join(parts))

    def traffic(self, outgoing: dict[str, int], moving: int, peers: Sequence[str] | None = None) -> None:
        """Open TCP connections: ``outgoing[name]`` from that node, shared out over ``peers`` (all others) and both
        paths, of which ``moving`` write a little ten times a second. Returns when all are open."""
        script = str(Path(__file__).with_name("traffic.py"))
        for node in self.nodes.values():
            listening = node.start(sys.executable, script, "accept")
            assert listening.stdout is not None
            assert listening.stdout.readline() == "ready\n"
        started = []
        for name, count in outgoing.items():
            addresses = [
                self.nodes[peer].address(path)
                for path in ("vpn", "public")
                for peer in peers or self.nodes
                if peer != name
            ]
            child = self.nodes[name].start(sys.executable, script, "connect", str(count), str(moving), *addresses)
            started.append(child)
        for child in started:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"

    def __enter__(self) -> BenchMesh:
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            node.stop()
            for network in NETWORKS:  # the kernel takes its time over a namespace; the names are free at once
                run("ip", "link", "del", f"{network[0]}-{node.name}")
            run("ip", "netns", "del", node.name)
        for network in NETWORKS:
            run("ip", "link", "del", network)
