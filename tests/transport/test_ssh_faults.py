"""Why a node cannot be reached: each fault against a real server, told apart, in words, with nothing printed."""

from __future__ import annotations

import asyncio
import os
import random
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import psutil
import pytest

from meshtop.transport.base import TransportFault, WireStats
from meshtop.transport.ssh import SshTransport

if TYPE_CHECKING:
    Servers = Callable[..., Any]
    Transports = Callable[..., SshTransport]
    Fault = Callable[..., Awaitable[TransportFault]]

pytestmark = pytest.mark.node

LOCK = "of the test alone"


# ── host keys ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_unknown_host_key(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    server = openssh(trusted=False)
    told = await fault(server.target)
    assert (told.kind, told.retry) == ("host-key-unknown", False)
    assert f"no line for [127.0.0.1]:{server.port} in {ssh_site.known_hosts}" in told.reason
    assert server.host_key.get_fingerprint() in told.reason
    assert f"ssh -F {ssh_site.config} -p {server.port} root@127.0.0.1" in told.cure


async def test_a_missing_known_hosts_file(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    server = openssh()
    told = await fault(server.target, known_hosts=str(ssh_site.folder / "nowhere"))
    assert (told.kind, told.retry) == ("host-key-unknown", False)
    assert "there is no" in told.reason
    assert told.files == (str(ssh_site.folder / "nowhere"),)


async def test_known_hosts_of_meshtop_toml_comes_before_that_of_ssh_config(
    ssh_site: Any, openssh: Servers, fault: Fault
) -> None:
    server = openssh()  # known to the file that ssh_config names
    empty = ssh_site.folder / "empty"
    empty.touch()
    told = await fault(server.target, known_hosts=str(empty))
    assert told.kind == "host-key-unknown"
    assert f"-o UserKnownHostsFile={empty}" in told.cure  # or ssh would note the key elsewhere


async def test_a_changed_host_key(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    server = openssh(trusted=False)
    expected = asyncssh.generate_private_key("ssh-ed25519")
    ssh_site.known_hosts.write_text("# the mesh\n")
    ssh_site.trust(server.port, expected)
    told = await fault(server.target)
    assert (told.kind, told.retry) == ("host-key-changed", False)
    assert f"{ssh_site.known_hosts}:2 expects ssh-ed25519 {expected.get_fingerprint()}" in told.reason
    assert f"offers ssh-ed25519 {server.host_key.get_fingerprint()}" in told.reason
    assert f"ssh-keygen -f {ssh_site.known_hosts} -R '[127.0.0.1]:{server.port}'" in told.cure


@pytest.mark.parametrize("offered", ["ecdsa-sha2-nistp256", "ssh-rsa"])
async def test_a_host_key_changed_to_another_kind(ssh_site: Any, openssh: Servers, fault: Fault, offered: str) -> None:
    """asyncssh asks for keys of the known kind only, so that the server breaks off before it offers any."""
    server = openssh(trusted=False, key_kind=offered)
    ssh_site.trust(server.port, asyncssh.generate_private_key("ssh-ed25519"))
    told = await fault(server.target)
    assert told.kind == "host-key-changed"
    assert server.host_key.get_fingerprint() in told.reason


async def test_a_host_with_several_known_keys_is_let_in(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    server = openssh(trusted=False)
    ssh_site.trust(server.port, asyncssh.generate_private_key("ecdsa-sha2-nistp256"))
    ssh_site.trust(server.port, server.host_key)
    await (await transport(server.target).connect()).close()


async def test_a_revoked_host_key(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    server = openssh()
    with ssh_site.known_hosts.open("a") as known:
        known.write(f"@revoked * {server.host_key.export_public_key().decode()}")
    told = await fault(server.target)
    assert (told.kind, told.retry) == ("host-key-changed", False)
    assert f"forbidden by {ssh_site.known_hosts}:2" in told.reason


@pytest.mark.parametrize("lax", ["UserKnownHostsFile none", "StrictHostKeyChecking no", "StrictHostKeyChecking off"])
async def test_ssh_config_cannot_switch_the_check_off(ssh_site: Any, openssh: Servers, fault: Fault, lax: str) -> None:
    ssh_site.write_config(f"Host *\n    {lax}\n")
    assert (await fault(openssh(trusted=False).target)).kind == "host-key-unknown"


# ── the way there ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_refused_connection(openssh: Servers, fault: Fault) -> None:
    server = openssh()
    server.stop()
    told = await fault(server.target)
    assert (told.kind, told.retry) == ("refused", True)
    assert str(server.port) in told.reason


async def _serve(answer: bytes, stay: bool) -> tuple[asyncio.Server, str]:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if stay:
            await reader.read()  # until the client has gone
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    return server, f"root@127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff\x00\x1b[2J" * 100, b"SSH-1.5-old\r\n"]
)
async def test_what_is_no_ssh_server(fault: Fault, answer: bytes) -> None:
    server, target = await _serve(answer, stay=False)
    told = await fault(target)
    assert told.kind == "protocol"
    server.close()


async def test_a_server_that_says_nothing(fault: Fault) -> None:
    server, target = await _serve(b"", stay=True)
    told = await fault(target, connect_timeout_s=0.2)
    assert told.kind == "timed-out"
    assert "no SSH greeting within 0.2 s" in told.reason
    server.close()


async def test_a_server_that_stops_after_its_greeting(fault: Fault) -> None:
    server, target = await _serve(b"SSH-2.0-Sleepy\r\n", stay=True)
    told = await fault(target, connect_timeout_s=0.2)
    assert told.kind == "timed-out"
    assert "key exchange did not end" in told.reason
    server.close()


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_after_the_greeting(fault: Fault, seed: int) -> None:
    chance = random.Random(seed)
    plausible = struct.pack(">IB", chance.choice([12, 28, 252]), 4) + bytes([chance.choice([1, 2, 20, 21, 30, 53, 94])])
    server, target = await _serve(b"SSH-2.0-x\r\n" + plausible + chance.randbytes(400), stay=False)
    assert (await fault(target)).kind == "protocol"
    server.close()


async def test_a_proxy_command_leads_to_the_node(
    ssh_site: Any, openssh: Servers, transport: Transports, capfd: pytest.CaptureFixture[str]
) -> None:
    server = openssh()
    relay = ssh_site.folder / "relay.py"
    relay.write_text(RELAY)
    command = f"{sys.executable} '{relay}' %h %p || true"  # as ssh, by a shell
    ssh_site.write_config(f"Host node\n    HostName 127.0.0.1\n    Port {server.port}\n    ProxyCommand {command}\n")
    before = set(psutil.Process().children())
    session = await transport("node").connect()
    channel = await session.open("for n in 1 2 3 4 5; do echo hello; sleep 0.05; done")
    received = b""
    while data := await channel.read():
        received += data
    assert received == b"hello\n" * 5
    assert session.stats() == WireStats()
    assert set(psutil.Process().children()) - before
    await session.close()
    assert set(psutil.Process().children()) - before == set()
    assert capfd.readouterr() == ("", "")


RELAY = """
import os, select, socket, sys
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    print("relay: a warning", file=sys.stderr, flush=True)
    for ready in select.select([0, far], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else far.recv(65536)
        if not data:
            sys.exit()
        far.sendall(data) if ready == 0 else os.write(1, data)
"""


async def test_a_proxy_command_that_fails_is_told_with_its_words(ssh_site: Any, fault: Fault) -> None:
    ssh_site.write_config("Host node\n    ProxyCommand no-such-relay %h\n")
    told = await fault("node")
    assert told.kind == "protocol"
    assert "is not reached by its ProxyCommand" in told.reason
    assert "no-such-relay: not found" in told.reason


async def test_a_proxy_command_that_hangs_is_given_up(ssh_site: Any, fault: Fault) -> None:
    before = set(psutil.Process().children())
    ssh_site.write_config("Host node\n    ProxyCommand sleep 1000\n")
    assert (await fault("node", connect_timeout_s=0.2)).kind == "timed-out"
    assert set(psutil.Process().children()) - before == set()


async def test_no_cipher_in_common(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    ssh_site.write_config("Host *\n    Ciphers aes256-ctr\n")
    told = await fault(openssh("Ciphers aes128-ctr").target)
    assert told.kind == "protocol"
    assert "aes128-ctr" in told.reason


# ── the login ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_that_is_not_let_in(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    server = openssh("AuthorizedKeysFile none", "PasswordAuthentication yes")
    told = await fault(server.target)
    assert (told.kind, told.retry) == ("auth", False)  # who tries too often is banned
    assert told.files == (str(ssh_site.config), str(ssh_site.key_file))
    assert "for user root" in told.reason
    assert str(ssh_site.key_file) in told.reason
    assert "no agent is running" in told.reason
    assert "a password, for which meshtop never asks" in told.reason
    assert "ssh-copy-id" in told.cure


async def test_a_key_with_a_passphrase(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    ssh_site.key_file.write_bytes(ssh_site.key.export_private_key("openssh", passphrase=LOCK))
    told = await fault(openssh().target)
    assert told.kind == "auth"
    assert f"{ssh_site.key_file} is protected by a passphrase" in told.reason
    assert "ssh-add" in told.cure


@pytest.fixture
def agent(ssh_site: Any) -> Iterator[Path]:
    """An ssh-agent of its own that holds the site's key."""
    path = ssh_site.folder / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    subprocess.run(
        ["ssh-add", "-q", str(ssh_site.key_file)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(path)}
    )
    yield path
    process.kill()
    process.communicate()


@pytest.mark.parametrize("named", ["{path}", "SSH_AUTH_SOCK", "$SSH_AUTH_SOCK"])
async def test_an_agent_opens_what_a_passphrase_locks(
    ssh_site: Any, openssh: Servers, transport: Transports, agent: Path, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
    ssh_site.key_file.write_bytes(ssh_site.key.export_private_key("openssh", passphrase=LOCK))
    ssh_site.write_config(f"Host *\n    IdentityAgent {named.format(path=agent)}\n")
    await (await transport(openssh().target).connect()).close()


async def test_the_keys_of_the_agent_are_counted(ssh_site: Any, openssh: Servers, fault: Fault, agent: Path) -> None:
    ssh_site.write_config(f"Host *\n    IdentityAgent {agent}\n")
    told = await fault(openssh("AuthorizedKeysFile none").target)
    assert told.kind == "auth"
    assert "1 of the agent" in told.reason


async def test_an_identity_file_that_is_missing_or_damaged_is_passed_over(
    ssh_site: Any, openssh: Servers, transport: Transports, fault: Fault
) -> None:
    damaged = ssh_site.folder / "damaged"
    damaged.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n")
    ssh_site.write_config(f"Host *\n    IdentityFile {ssh_site.folder}/none\n    IdentityFile {damaged}\n")
    await (await transport(openssh().target).connect()).close()
    told = await fault(openssh("AuthorizedKeysFile none").target)
    assert f"{ssh_site.folder}/none cannot be read (No such file or directory)" in told.reason
    assert f"{damaged} is no private key" in told.reason


async def test_a_banner_of_the_login_is_shown_with_its_refusal(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    banner = ssh_site.folder / "banner"
    banner.write_bytes(b"\x1b]0;title\x07Keep out \xff\n")
    told = await fault(openssh("AuthorizedKeysFile none", f"Banner {banner}").target)
    assert "it said: Keep out" in told.reason


async def test_a_server_that_stops_listening_to_keys(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    files = []
    for number in range(3):
        files.append(ssh_site.folder / f"other_{number}")
        files[-1].write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key("openssh"))
    ssh_site.write_config("Host *\n" + "".join(f"    IdentityFile {file}\n" for file in files))
    told = await fault(openssh("MaxAuthTries 1").target)
    assert told.kind == "auth"


# ── ssh_config ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong", ["    Port twenty-two", 'Match exec "test x = x"', "    ProxyJump a b", "    Compression maybe"]
)
async def test_a_mistake_in_ssh_config_is_shown_with_its_line(ssh_site: Any, fault: Fault, wrong: str) -> None:
    ssh_site.config.write_text(f"Host *\n    User root\n{wrong}\n")
    told = await fault("node")
    assert (told.kind, told.retry) == ("config", False)
    assert f"{ssh_site.config}:3: " in told.reason
    assert told.files == (str(ssh_site.config),)


async def test_an_ssh_config_that_is_missing(ssh_site: Any, fault: Fault) -> None:
    told = await fault("node", config=(str(ssh_site.folder / "none"),))
    assert (told.kind, told.retry) == ("config", False)
    assert f"cannot read {ssh_site.folder}/none: No such file or directory" in told.reason


async def test_a_match_that_hangs_is_given_up(ssh_site: Any, fault: Fault) -> None:
    ssh_site.config.write_text('Match exec "sleep 1"\n    User root\n')
    told = await fault("node", connect_timeout_s=0.1)
    assert told.kind == "config"
    assert "took more than 0.1 s" in told.reason


async def test_a_match_final_is_followed(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    server = openssh()
    ssh_site.write_config(f"Host node\n    HostName 127.0.0.1\nMatch final host 127.0.0.1\n    Port {server.port}\n")
    await (await transport("node").connect()).close()


# ── jump hosts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _jump(site: Any, jump: Any, node: Any, *more: str) -> None:
    site.write_config(
        f"Host jump\n    HostName 127.0.0.1\n    Port {jump.port}\n",
        f"Host node\n    HostName 127.0.0.1\n    Port {node.port}\n    ProxyJump jump\n",
        *more,
    )


async def test_a_jump_host_leads_to_the_node(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    jump, node = openssh(), openssh()
    _jump(ssh_site, jump, node)
    session = await transport("node").connect()
    channel = await session.open("echo $SSH_CONNECTION")
    assert (await channel.read()).split()[-1] == str(node.port).encode()
    assert session.stats() == WireStats()  # the only socket is that to the jump host
    await session.close()
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == 1


async def test_two_jump_hosts_in_a_row(ssh_site: Any, openssh: Servers, transport: Transports) -> None:
    first, second, node = openssh(), openssh(), openssh()
    _jump(
        ssh_site,
        second,
        node,
        f"Host far\n    HostName 127.0.0.1\n    Port {node.port}\n    ProxyJump root@127.0.0.1:{first.port},jump\n",
    )
    await (await transport("far").connect()).close()


async def test_the_host_key_of_a_jump_host_is_checked_too(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    jump, node = openssh(trusted=False), openssh()
    _jump(ssh_site, jump, node)
    told = await fault("node")
    assert (told.kind, told.retry) == ("host-key-unknown", False)
    assert told.reason.startswith("jump host jump: ")
    assert jump.host_key.get_fingerprint() in told.reason
    empty = ssh_site.folder / "empty"
    empty.touch()
    assert (await fault("node", known_hosts=str(empty))).files == (str(empty),)


async def test_the_host_key_behind_a_jump_host_is_checked(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    jump, node = openssh(), openssh(trusted=False)
    _jump(ssh_site, jump, node)
    told = await fault("node")
    assert told.kind == "host-key-unknown"
    assert node.host_key.get_fingerprint() in told.reason


async def test_a_jump_host_that_is_down(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    jump, node = openssh(), openssh()
    _jump(ssh_site, jump, node)
    jump.stop()
    told = await fault("node")
    assert told.kind == "refused"
    assert told.reason.startswith("jump host jump: ")


async def test_a_node_that_is_down_behind_its_jump_host(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    jump, node = openssh(), openssh()
    _jump(ssh_site, jump, node)
    node.stop()
    told = await fault("node")
    assert told.kind == "refused"
    assert told.reason.startswith(f"jump cannot connect to 127.0.0.1:{node.port}")


async def test_a_jump_host_that_may_not_forward(ssh_site: Any, openssh: Servers, fault: Fault) -> None:
    jump, node = openssh("AllowTcpForwarding no"), openssh()
    _jump(ssh_site, jump, node)
    told = await fault("node")
    assert told.kind == "config"
    assert "may not forward" in told.reason


async def test_jump_hosts_in_a_circle(ssh_site: Any, fault: Fault) -> None:
    ssh_site.write_config("Host a\n    ProxyJump b\nHost b\n    ProxyJump a\n")
    told = await fault("a")
    assert (told.kind, told.retry) == ("config", False)
    assert "circle" in told.reason
