"""The files of a lab: keys, known_hosts, ssh_config, meshtop.toml."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec

from meshtop.lab.netns import LabError
from meshtop.lab.plan import MESH_NAME, MGMT, OUTER_PORT, PUBLIC, VPN, LabPlan

NAMES = ("meshtop.toml", "ssh_config", "known_hosts", "wan.json", "keys", "logs", "node-tools")
USER = "root"
# The push of the scenario `miku`, hop by hop: e to the proxy on a, the proxy to the store on c.
PUSH_PORTS = (8443, 5000)
PUSH_NODES = ("a", "c", "e")


def prepare(directory: Path) -> None:
    """Make the directory unless it exists. Raises LabError when it holds files of those names already."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"{directory} cannot be made: {error.strerror}; choose another --dir") from error
    if taken := [name for name in NAMES if (directory / name).exists()]:
        raise LabError(f"{directory} already holds {', '.join(taken)}; choose an empty --dir")


def write_files(directory: Path, plan: LabPlan) -> None:
    """All files, into a prepared directory."""
    (directory / "logs").mkdir()
    (directory / "wan.json").write_bytes(msgspec.json.encode(plan.wan_spec()))
    (directory / "known_hosts").write_text(_write_keys(directory / "keys", plan))
    (directory / "ssh_config").write_text(ssh_config(directory, plan))
    (directory / "meshtop.toml").write_text(meshtop_toml(directory, plan))


def remove_files(directory: Path, *, made_dir: bool) -> None:
    """What ``write_files`` has written, and the directory if it was made for that and nothing else is in it."""
    for name in NAMES:
        path = directory / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if made_dir and directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _write_keys(directory: Path, plan: LabPlan) -> str:
    """The operator's key and a host key for each node; the text of known_hosts."""
    import asyncssh  # slow to load, and only needed while a lab is made

    directory.mkdir(mode=0o700)
    operator = asyncssh.generate_private_key("ssh-ed25519", comment="meshtop lab")
    operator.write_private_key(str(directory / "operator"))
    operator.write_public_key(str(directory / "authorized_keys"))
    (directory / "operator").chmod(0o600)
    lines = []
    for site in plan.sites:
        key = asyncssh.generate_private_key("ssh-ed25519", comment=f"meshtop lab node {site.name}")
        key.write_private_key(str(directory / f"host_{site.name}"))
        (directory / f"host_{site.name}").chmod(0o600)
        lines.append(f"{plan.address(MGMT, site.name)} {key.export_public_key().decode().strip()}\n")
    return "".join(lines)


def ssh_config(directory: Path, plan: LabPlan) -> str:
    blocks = [
        f"""\
Host {site.name}
    HostName {plan.address(MGMT, site.name)}
    User {USER}
    IdentityFile "{directory}/keys/operator"
    IdentitiesOnly yes
    UserKnownHostsFile "{directory}/known_hosts"
    StrictHostKeyChecking yes
"""
        for site in plan.sites
    ]
    return "\n".join(blocks)


def meshtop_toml(directory: Path, plan: LabPlan) -> str:
    parts = [
        f"""\
[mesh]
name = "{MESH_NAME}"

[ssh]
config = {json.dumps(f"{directory}/ssh_config")}
known_hosts = {json.dumps(f"{directory}/known_hosts")}

[paths.{VPN}]
kind = "overlay"
outer_ports = [{OUTER_PORT}]
from_operator = false

[paths.{PUBLIC}]
kind = "underlay"
"""
    ]
    for site in plan.sites:
        addresses = ", ".join(f'{net} = "{plan.seen_address(net, site.name)}"' for net in (VPN, PUBLIC))
        parts.append(
            f"""\
[nodes.{site.name}]
ssh = "{site.name}"
label = "{site.label}"
up = "{site.up_bps // 1_000_000}M"
down = "{site.down_bps // 1_000_000}M"
address = {{ {addresses} }}
"""
            + (f'nat = ["{PUBLIC}"]\n' if site.name in plan.nat else "")
        )
    parts.append(f"""\
[watch.push]
ports = [{", ".join(map(str, PUSH_PORTS))}]
nodes = [{", ".join(json.dumps(site) for site in PUSH_NODES)}]
""")
    return "\n".join(parts)
