"""One node of the lab is a small system: dropbear, busybox for everything, and ``ss`` (or not even that)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import asyncssh
import pytest

from meshtop.lab.network import Lab
from tests.e2e.conftest import MESHTOP, Stream, snapshot
from tests.e2e.test_spine import check_idle, check_iperf
from tests.processes import await_no_burst

pytestmark = pytest.mark.lab

PORT = 2222


def small_system(folder: Path, extra: tuple[str, ...]) -> Path:
    """A folder to be laid over /usr/bin: busybox under all its names, and the tools named."""
    folder.mkdir()
    busybox = shutil.copy(shutil.which("busybox") or "busybox", folder / "busybox")
    names = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for name in names:
        if not (folder / name).exists():
            (folder / name).symlink_to("busybox")
    for tool in extra:
        shutil.copy(shutil.which(tool) or tool, folder / tool)
    return folder


def dropbear_script(folder: Path, lab: Lab, address: str, tools: Path) -> str:
    """What starts the server in a mount namespace of its own. Root logs in to busybox's ash with the lab's key."""
    passwd = folder / "passwd"
    passwd.write_text("root:x:0:0::/root:/bin/ash\n")
    (folder / "shells").write_text("/bin/ash\n")
    key = asyncssh.read_private_key(lab.dir / "keys" / "operator")
    public = key.export_public_key().decode()
    (folder / "authorized_keys").write_text(public)
    subprocess.run(
        ["dropbearkey", "-t", "ed25519", "-f", str(folder / "host_key")], check=True, stdout=subprocess.DEVNULL
    )
    return f"""set -e
mount --bind {passwd} /etc/passwd
mount --bind {folder}/shells /etc/shells
mount -t tmpfs -o mode=700 tmpfs /root
mkdir -m 700 /root/.ssh
cp {folder}/authorized_keys /root/.ssh/authorized_keys
chmod 600 /root/.ssh/authorized_keys
mount --bind {tools} /usr/bin
exec /usr/sbin/dropbear -F -E -r {folder}/host_key -p {address}:{PORT}
"""


Small = Callable[..., Path]


@pytest.fixture
def small_node(lab: Lab, tmp_path: Path) -> Iterator[Small]:
    """``small_node("ss")`` puts such a system in front of node e; the configuration that reaches it."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(*extra: str) -> Path:
        address = lab.address("mgmt", "e")
        script = dropbear_script(tmp_path, lab, address, small_system(tmp_path / "bin", extra))
        command = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script]
        server = subprocess.Popen(lab.command("e", command), stderr=subprocess.PIPE, start_new_session=True)
        servers.append(server)
        errors = cast("IO[bytes]", server.stderr)
        for line in errors:
            if b"Not backgrounding" in line:
                break
        else:
            pytest.fail("dropbear did not start")
        return configuration(lab, tmp_path, address)

    yield start
    for server in servers:
        os.killpg(server.pid, signal.SIGKILL)
        server.communicate()


def configuration(lab: Lab, folder: Path, address: str) -> Path:
    asked = ["dropbearkey", "-y", "-f", str(folder / "host_key")]
    printed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    key = next(line for line in printed.splitlines() if line.startswith("ssh-ed25519 "))
    known = folder / "known_hosts"
    known.write_text((lab.dir / "known_hosts").read_text() + f"[{address}]:{PORT} {key}\n")
    ssh_config = folder / "ssh_config"
    small = f"Host small\n  HostName {address}\n  Port {PORT}\n  User root\n  IdentityFile {lab.dir}/keys/operator\n"
    ssh_config.write_text(f"{small}  UserKnownHostsFile {known}\n\n{lab.ssh_config_path.read_text()}")
    text = lab.config_path.read_text().replace('ssh = "e"', 'ssh = "small"')
    text = text.replace(str(lab.dir / "ssh_config"), str(ssh_config)).replace(str(lab.dir / "known_hosts"), str(known))
    config = folder / "meshtop.toml"
    config.write_text(text)
    return config


def test_a_busybox_node_with_ss_is_a_node_like_the_others(lab: Lab, small_node: Small) -> None:
    config = small_node("ss")
    document = snapshot(config, "--for", "10s")
    check_idle(lab, document)
    node = next(node for node in document["nodes"] if node["name"] == "e")
    assert "busybox" in node["ping"].lower()
    assert node["problems"] == []
    stream = Stream(config)
    try:
        check_iperf(lab, stream)
    finally:
        stream.stop()


def test_without_ss_pings_and_counters_still_work_and_the_rest_says_why_not(lab: Lab, small_node: Small) -> None:
    document = snapshot(small_node(), "--for", "10s")
    node = next(node for node in document["nodes"] if node["name"] == "e")
    assert node["state"] == "up"
    assert any("ss" in problem.split(":")[0] for problem in node["problems"])
    assert node["tcp"]["retrans_per_s"] == 0.0
    assert node["interfaces"]
    for link in document["links"]:
        if link["src"] == "e":
            assert link["rtt_ms"] == pytest.approx(lab.rtt_ms("e", link["dst"], link["path"]), abs=6)
            assert link["tx_bps"] is None
            assert link["flows"] is None
        else:
            assert link["tx_bps"] == 0.0


def test_a_busybox_node_can_be_either_end_of_a_burst(lab: Lab, small_node: Small) -> None:
    config = small_node("ss", "iperf3")
    for ends in (("e", "a"), ("a", "e")):
        command = [MESHTOP, "-c", str(config), "burst", *ends, "-n", "2M", "-P", "2", "--json"]
        record = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
        assert (record["state"], record["reason"]) == ("done", None)
        assert record["sent_bytes"] >= 2 * 1024**2
        assert record["stalls"] is not None
    await_no_burst(lab, 2)
