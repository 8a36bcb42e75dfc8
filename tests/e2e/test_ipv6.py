"""A mesh on IPv6 in earnest: OpenSSH, kernel TCP, ping and iperf3 between network namespaces, IPv4 beside it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncssh
import psutil
import pytest

from meshtop.lab.netns import add_namespaces, delete_namespaces, namespace_pids, run
from meshtop.lab.sshd_config import PRIVSEP_DIR, openssh_config, openssh_path
from tests.e2e.conftest import MESHTOP

pytestmark = pytest.mark.lab

OPERATOR, PREFIX = "mtsix-op", "mtsix-"
SITES = {"a": 1, "b": 2}
SMALLER_MTU = 1400


def six(site: str, host: str = "1") -> str:
    return f"fd00:6d74:{SITES[site]}::{host}"


def four(site: str, host: str = "1") -> str:
    return f"198.18.20{SITES[site]}.{host}"


class Six(NamedTuple):
    config: Path

    def meshtop(self, *arguments: str, codes: Sequence[int] = (0,)) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", OPERATOR, MESHTOP, "-c", str(self.config), *arguments]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode in codes, done.stderr
        return done

    def document(self, *arguments: str, codes: Sequence[int] = (0,)) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(self.meshtop(*arguments, codes=codes).stdout)
        return made


def wire() -> None:
    """The operator's namespace routes between two lines."""
    lines = {OPERATOR: "link set lo up\n"}
    for site in SITES:
        line = f"line-{site}"
        lines[OPERATOR] += (
            f"link add {line} type veth peer name eth0 netns {PREFIX}{site}\n"
            f"addr add {six(site, 'fe')}/64 dev {line} nodad\n"
            f"addr add {four(site, '254')}/24 dev {line}\n"
            f"link set {line} up\n"
        )
        lines[PREFIX + site] = (
            "link set lo up\n"
            f"addr add {six(site)}/64 dev eth0 nodad\n"
            f"addr add {four(site)}/24 dev eth0\n"
            "link set eth0 up\n"
            f"route add default via {six(site, 'fe')}\n"
            f"route add default via {four(site, '254')}\n"
        )
    for namespace, text in lines.items():
        run(["ip", "-n", namespace, "-batch", "-"], text=text)
    for file in ("net/ipv6/conf/all/forwarding", "net/ipv4/ip_forward"):
        run(["ip", "netns", "exec", OPERATOR, "sh", "-c", f"echo 1 >/proc/sys/{file}"])


def write_files(folder: Path) -> None:
    operator = asyncssh.generate_private_key("ssh-ed25519")
    operator.write_private_key(str(folder / "operator"))
    operator.write_public_key(str(folder / "authorized_keys"))
    (folder / "operator").chmod(0o600)
    (folder / "ssh_config").write_text(f'Host *\n  IdentityFile "{folder}/operator"\n  IdentitiesOnly yes\n')
    known, nodes = "", ""
    for site in SITES:
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(folder / f"host_{site}"))
        (folder / f"host_{site}").chmod(0o600)
        server = openssh_config(f"[{six(site)}]", folder / f"host_{site}", folder / "authorized_keys")
        (folder / f"sshd_{site}").write_text(server)
        known += f"{six(site)} {key.export_public_key().decode().strip()}\n"
        # written in another spelling, as people do
        nodes += f'[nodes.{site}]\nssh = "root@[{six(site).upper()}]:22"\n'
        nodes += f'address = {{ six = "{six(site).replace("::", ":0::")}", four = "{four(site)}" }}\n'
    (folder / "known_hosts").write_text(known)
    (folder / "meshtop.toml").write_text(
        '[ssh]\nconfig = "ssh_config"\nknown_hosts = "known_hosts"\n'
        '[probe]\nping = "0.5s"\nping_full = "1s"\n[thresholds]\ndown_after = "2s"\n'
        f'[paths.six]\nkind = "underlay"\n[paths.four]\nkind = "underlay"\n{nodes}'
    )


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Six]:
    folder = tmp_path_factory.mktemp("six")
    names = [OPERATOR, *(PREFIX + site for site in SITES)]
    write_files(folder)
    made_privsep = not PRIVSEP_DIR.exists()
    PRIVSEP_DIR.mkdir(mode=0o755, exist_ok=True)
    add_namespaces(names)
    try:
        wire()
        for site in SITES:
            run(["ip", "netns", "exec", PREFIX + site, openssh_path(), "-f", str(folder / f"sshd_{site}")])
        yield Six(folder / "meshtop.toml")
    finally:
        for pid in {pid for name in names for pid in namespace_pids(name)}:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        delete_namespaces(names)
        if made_privsep:
            PRIVSEP_DIR.rmdir()


@contextlib.contextmanager
def push(address: str, *options: str) -> Iterator[None]:
    """From a to b at 8 Mbit/s while the block runs; the server listens on all addresses of both families."""
    with contextlib.ExitStack() as stack:
        for site, arguments in (
            ("b", ["-s", "-1"]),
            ("a", ["-c", address, "-t", "60", "-b", "8M", "-C", "cubic", *options]),
        ):
            command = ["ip", "netns", "exec", PREFIX + site, "timeout", "90", "iperf3", "--forceflush", *arguments]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.terminate)
            assert process.stdout is not None
            assert any(word in line for line in process.stdout for word in ("listening", "connected"))
        yield


def link(document: dict[str, Any], src: str, dst: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        each for each in document["links"] if (each["src"], each["dst"], each["path"]) == (src, dst, path)
    )
    return found


def test_what_is_there_is_seen(mesh: Six) -> None:
    with push(six("b")):
        seen = mesh.document("snapshot", "--json", "--for", "4s")
    assert {node["name"]: (node["state"], node["unparsed"]) for node in seen["nodes"]} == {
        "a": ("up", 0),
        "b": ("up", 0),
    }
    for node in seen["nodes"]:
        assert node["ssh_rtt_ms"] is not None
        assert all(rtt is not None for rtt in node["operator_rtt_ms"].values()), "the operator's own pings"
    for each in seen["links"]:
        assert each["state"] == "ok", each
        assert each["rtt_ms"] is not None
        assert each["rtt_full_ms"] is not None
        assert (each["loss_pct"], each["loss_full_pct"]) == (0.0, 0.0)
    there = link(seen, "a", "b", "six")
    assert there["tx_bps"] == pytest.approx(8e6, rel=0.15)
    assert there["pmtu"] == 1500
    # SSH leads to that very address, and is not counted
    assert link(seen, "a", "b", "four")["flows"] == 0
    assert link(seen, "b", "a", "six")["flows"] == 2


def test_sockets_of_both_families_are_told_apart(mesh: Six) -> None:
    """b's socket is one of IPv6, as its server listens on all addresses; its peer is ::ffff:198.18.201.1."""
    with push(four("b"), "-R"):
        seen = mesh.document("snapshot", "--json", "--for", "3s")
    assert link(seen, "b", "a", "four")["tx_bps"] == pytest.approx(8e6, rel=0.2)
    assert link(seen, "b", "a", "six")["tx_bps"] == 0.0


def test_bursts(mesh: Six) -> None:
    burst = mesh.document("burst", "a", "b", "--path", "six", "-n", "4M", "-b", "20M", "-P", "2", "--json")
    assert (burst["state"], burst["sent_bytes"], burst["connect_to"]) == ("done", 4 * 1024**2, six("b"))
    here = mesh.document("burst", "local", "b", "-u", "-t", "1", "-b", "2M", "-P", "1", "--json")
    assert (here["path"], here["state"]) == ("six", "done")
    assert here["received_bytes"] > 100_000
    assert here["bystanders"] == [], "SSH from this machine to b is not counted"


def test_pings_outlive_what_a_router_says(mesh: Six) -> None:
    """The first ICMP error would end a ping that has a deadline, and the link would go unwatched for a while."""
    command = ["ip", "netns", "exec", OPERATOR, MESHTOP, "-c", str(mesh.config), "stream", "--interval", "200ms"]
    route = ["ip", "-n", OPERATOR, "route", "{}", f"{six('b', '').removesuffix('::')}::/64", "dev", "line-b"]
    with subprocess.Popen([*command, "--for", "30s"], stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdout is not None
        events = (json.loads(line) for line in stream.stdout)
        there = (
            each for each in events if [each.get(name) for name in ("type", "src", "path")] == ["link", "a", "six"]
        )
        assert any(each["rtt_ms"] is not None for each in there)
        run([word.format("del") for word in route])
        try:
            assert any(each["state"] == "down" for each in there)
        finally:
            run([word.format("add") for word in route])
        healed = datetime.now(UTC)
        back = next(each for each in there if each["rtt_ms"] is not None)
        assert (datetime.fromisoformat(back["at"]) - healed).total_seconds() < 3
        stream.terminate()


def set_mtu_of_b(mtu: int) -> None:
    for namespace, line in ((OPERATOR, "line-b"), (PREFIX + "b", "eth0")):
        run(["ip", "-n", namespace, "link", "set", line, "mtu", str(mtu)])


def test_a_smaller_mtu_on_the_way(mesh: Six) -> None:
    set_mtu_of_b(SMALLER_MTU)
    try:
        found = mesh.document("diagnose", "a", "b", "--path", "six", "--for", "1s", "--json", "-y", codes=(0, 1))
        sweep = next(each for each in found["experiments"] if each["kind"] == "pmtu-sweep")
        assert (sweep["state"], sweep["figures"]["pmtu_bytes"]) == ("done", SMALLER_MTU)
        checked = mesh.document("doctor", "--json", codes=(0, 1))
        told = next(each for each in link(checked, "a", "b", "six")["checks"] if each["check"] == "pmtu")
        assert link(checked, "a", "b", "six")["pmtu"] == SMALLER_MTU
        assert told["state"] == "warning", "the router says so in ICMPv6: no black hole"
    finally:
        set_mtu_of_b(1500)
