"""SSH servers for tests: OpenSSH's sshd and dropbear on loopback, with accounts of their own; and a lab.

Each runs in a mount namespace in which /etc/passwd and /root are replaced, so that accounts with any login shell exist
for it alone. Keys, configuration and known_hosts are made in a temporary folder.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psutil
import pytest
from hypothesis import HealthCheck, settings

from meshtop.lab import registry
from meshtop.lab.network import Lab

HOST = "127.0.0.1"

# Started by nohup, or by a shell in the background, the suite would hand on to all that it starts that a terminal's
# end, or its ctrl+c, is nothing.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# How long an example takes is the machine's business. What CI has beside that (no chance) stays.
settings.register_profile("meshtop", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("meshtop")


@dataclass
class SshSite:
    """The operator's side: a key, an ssh_config, a known_hosts file."""

    folder: Path
    key: asyncssh.SSHKey
    accounts: dict[str, str] = field(default_factory=lambda: {"root": "/bin/bash"})

    @property
    def key_file(self) -> Path:
        return self.folder / "id_test"

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    @property
    def config(self) -> Path:
        return self.folder / "ssh_config"

    def trust(self, port: int, host_key: asyncssh.SSHKey, host: str = HOST) -> None:
        with self.known_hosts.open("a") as known:
            known.write(f"[{host}]:{port} {host_key.export_public_key().decode().strip()}\n")

    def write_config(self, *blocks: str) -> None:
        usual = f"""Host *
    IdentityFile {self.key_file}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {self.known_hosts}
    GlobalKnownHostsFile none
    User root
"""
        self.config.write_text("\n".join([*blocks, usual]))

    def add_account(self, name: str, shell: str, script: str | None = None) -> None:
        """``script``: the text of a login shell to be made."""
        if script is not None:
            path = self.folder / shell
            path.write_text(script)
            path.chmod(0o755)
            shell = str(path)
        self.accounts[name] = shell


@dataclass
class SshServer:
    """``stop`` kills it with all its sessions, as a crash would."""

    site: SshSite
    port: int
    host_key: asyncssh.SSHKey
    command: Callable[[SshServer], list[str]]
    ready: bytes
    host: str = HOST
    process: subprocess.Popen[bytes] | None = None

    @property
    def target(self) -> str:
        return f"root@{self.host}:{self.port}"

    def start(self) -> None:
        """Returns once it listens."""
        self.process = subprocess.Popen(
            self.command(self), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert self.process.stderr is not None
        said = b""
        while self.ready not in said:
            line = self.process.stderr.readline()
            assert line, f"the server did not start: {said.decode()}"
            said += line

    def sessions(self) -> list[psutil.Process]:
        assert self.process is not None
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def stop(self) -> None:
        if self.process is None:
            return
        for victim in [psutil.Process(self.process.pid), *self.sessions()]:
            with contextlib.suppress(psutil.NoSuchProcess):  # a session may end by itself once the server is gone
                victim.kill()
        self.process.communicate()
        self.process = None


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def _in_own_root(site: SshSite, command: list[str]) -> list[str]:
    """``command`` with the site's accounts and an empty /root that lets the site's key in."""
    passwd = site.folder / "passwd"
    extra = [f"{name}:x:0:0::/root:{shell}" for name, shell in site.accounts.items()]
    system = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    passwd.write_text("\n".join([*extra, *system]) + "\n")
    authorized = site.folder / "authorized_keys"
    authorized.write_text(site.key.export_public_key().decode())
    steps = [
        f"mount --bind {shlex.quote(str(passwd))} /etc/passwd",
        f"cp {shlex.quote(str(authorized))} /run/authorized_keys.$$",
        "mount -t tmpfs -o mode=700 tmpfs /root",
        "mkdir -m 700 /root/.ssh",
        "mv /run/authorized_keys.$$ /root/.ssh/authorized_keys",
        f"exec {shlex.join(command)}",
    ]
    return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", " && ".join(steps)]


def _write_key(path: Path, key: asyncssh.SSHKey) -> None:
    path.write_bytes(key.export_private_key("openssh"))
    path.chmod(0o600)


@pytest.fixture
def ssh_site(tmp_path: Path) -> SshSite:
    site = SshSite(tmp_path, asyncssh.generate_private_key("ssh-ed25519"))
    _write_key(site.key_file, site.key)
    site.known_hosts.touch()
    site.write_config()
    return site


@pytest.fixture
def openssh(ssh_site: SshSite) -> Iterator[Callable[..., SshServer]]:
    """``openssh("Option value", …)`` starts an sshd; its host key is trusted unless ``trusted=False``. ``netns`` is the
    network namespace that it shall run in."""
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's privilege separation; elsewhere systemd makes it
    servers: list[SshServer] = []

    def start(
        *options: str,
        trusted: bool = True,
        key_kind: str = "ssh-ed25519",
        listen: str = HOST,
        netns: str | None = None,
    ) -> SshServer:
        number = len(servers)
        host_key = asyncssh.generate_private_key(key_kind)
        host_key_file = ssh_site.folder / f"host_key_{number}"
        _write_key(host_key_file, host_key)
        config = ssh_site.folder / f"sshd_config_{number}"
        port = free_port()
        lines = [f"Port {port}", f"ListenAddress {listen}", f"HostKey {host_key_file}", "PidFile none"]
        lines += ["PermitRootLogin yes", "StrictModes no", "UsePAM no", "LogLevel ERROR", *options]
        config.write_text("\n".join(lines) + "\n")
        sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
        assert sshd, "sshd is missing: apt-get install openssh-server"

        def command(_: SshServer) -> list[str]:
            inside = ["ip", "netns", "exec", netns] if netns else []
            run = [sshd, "-D", "-e", "-o", "LogLevel=INFO", "-f", str(config)]
            return inside + _in_own_root(ssh_site, run)

        server = SshServer(ssh_site, port, host_key, command, b"Server listening on", host=listen)
        servers.append(server)
        if trusted:
            ssh_site.trust(port, host_key, listen)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def dropbear(ssh_site: SshSite) -> Iterator[Callable[[], SshServer]]:
    """``dropbear()`` starts one whose root logs in to busybox's ash."""
    servers: list[SshServer] = []

    def start() -> SshServer:
        port = free_port()
        for tool in ("dropbear", "dropbearkey", "busybox"):
            assert shutil.which(tool), f"{tool} is missing: apt-get install dropbear-bin busybox"
        host_key_file = ssh_site.folder / "dropbear_key"
        made = subprocess.run(
            ["dropbearkey", "-t", "ed25519", "-f", str(host_key_file)], check=True, capture_output=True, text=True
        )
        public = next(line for line in made.stdout.splitlines() if line.startswith("ssh-ed25519 "))
        ash = ssh_site.folder / "ash"
        ash.symlink_to(shutil.which("busybox") or "")
        shells = ssh_site.folder / "shells"
        shells.write_text(f"{ash}\n")
        ssh_site.accounts = {"root": str(ash)}

        def command(_: SshServer) -> list[str]:
            run = ["dropbear", "-F", "-E", "-r", str(host_key_file), "-p", f"{HOST}:{port}"]
            bind = f"mount --bind {shlex.quote(str(shells))} /etc/shells && exec {shlex.join(run)}"
            return _in_own_root(ssh_site, ["/bin/sh", "-c", bind])

        server = SshServer(ssh_site, port, asyncssh.import_public_key(public), command, b"Not backgrounding")
        servers.append(server)
        ssh_site.trust(port, server.host_key)
        server.start()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def lab_of_the_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One lab for all tests that do not break it, in a home of its own: no ``lab down --all`` elsewhere meets it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.HOME_VARIABLE, str(tmp_path_factory.mktemp("lab")))
        lab = Lab.up("session")
    with lab:
        yield lab


@pytest.fixture
def lab(lab_of_the_session: Lab) -> Iterator[Lab]:
    """The session's lab; after each test faults are healed and killed SSH servers replaced. Mark the test ``lab``."""
    yield lab_of_the_session
    lab_of_the_session.heal()
    for node in lab_of_the_session.nodes:
        if not lab_of_the_session.sshd_processes(node):
            lab_of_the_session.start_sshd(node)
