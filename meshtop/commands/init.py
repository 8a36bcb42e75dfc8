"""``meshtop init``: hosts by name in, a commented meshtop.toml out."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_interface
from pathlib import Path

import click
import psutil

from meshtop.agent.survey import Way
from meshtop.collect.preflight import Preflight
from meshtop.commands.running import FINE, FOUND_FAILURE, NO_NODE
from meshtop.config import LOCAL, ConfigErrors, load
from meshtop.model import LinkKey, NodeName, Value
from meshtop.parse.text import clean
from meshtop.setup.facts import NodeFacts
from meshtop.setup.proposal import Host, ProposedPath, name_for, propose, unique, with_reached
from meshtop.setup.writing import WrittenNode, config_text
from meshtop.transport.base import Transport
from meshtop.transport.local import LocalTransport
from meshtop.transport.ssh_aliases import aliases
from meshtop.transport.target import parse_target

SSH_PORT = 22  # any answer from it, a refusal too, says that the address is reached
TRY_S = 15.0
STANDARD_OUTPUT = "-"


class Wishes(Value, frozen=True, kw_only=True):
    """What was asked for on the command line."""

    hosts: tuple[str, ...]
    output: str
    ssh_config: str | None = None


# ── Before anything is asked over the network ────────────────────────────────────────────────────────────────────────


def prepare(wishes: Wishes) -> dict[NodeName, str]:
    """The nodes to ask, by the name that each will have. Asks on a terminal; a usage error where it cannot."""
    check_output(wishes.output)
    hosts = wishes.hosts or _choose(wishes.ssh_config)
    named: dict[NodeName, str] = {}
    taken: set[str] = set()
    for text in hosts:
        name, equals, target = text.partition("=")
        if not equals:
            name, target = "", text
        target = target.strip()
        try:
            host = socket.gethostname() if target == LOCAL else parse_target(target).host
        except ValueError as error:
            raise click.UsageError(f'{error}, or "{LOCAL}" for this machine') from None
        if target in named.values():
            raise click.UsageError(f"{clean(target, 60)} is named twice")
        if equals and name_for(name) != name:
            raise click.UsageError(
                f"{clean(name, 40)!r} is no name for a node; write {name_for(name)}={clean(target, 60)}"
            )
        named[unique(name_for(name or host), taken)] = target
    if len(named) < 2:
        raise click.UsageError("a mesh has two nodes at least; name them: meshtop init HOST HOST…")
    return named


def check_output(output: str) -> None:
    """Nothing is written over without being asked."""
    if output == STANDARD_OUTPUT:
        return
    file = Path(output).expanduser()
    if not file.parent.is_dir():
        raise click.UsageError(f"there is no folder {file.parent}")
    if file.is_dir():
        raise click.UsageError(f"{file} is a folder; name the file in it")
    if not (file.exists() or file.is_symlink()):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{file} is there already; name another with -o, or move it away")
    if not click.confirm(f"{file} is there already. Write over it, if all goes well?", default=False, err=True):
        raise click.UsageError(f"{file} is left as it is; name another with -o")


def _choose(ssh_config: str | None) -> tuple[str, ...]:
    files = (ssh_config,) if ssh_config else ("~/.ssh/config", "/etc/ssh/ssh_config")
    known = [clean(name, 60) for name in aliases([os.path.expanduser(file) for file in files])]
    if not known:
        raise click.UsageError(
            f"no host is named, and {' and '.join(files)} name none; write: meshtop init user@host user@host:port …"
        )
    listed = "ssh_config has: " + " ".join(known)
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"name the hosts of the mesh; {listed}\nsuch as: meshtop init {' '.join(known[:3])}")
    click.echo(listed, err=True)
    answer = click.prompt("Which of them are the mesh? (names apart by blanks, or: all)", default="all", err=True)
    chosen = tuple(answer.replace(",", " ").split())
    return tuple(known) if chosen == ("all",) else chosen


# ── Over the network ─────────────────────────────────────────────────────────────────────────────────────────────────


async def init(wishes: Wishes, named: Mapping[NodeName, str]) -> int:
    """Ask the nodes, write the file, say what was found. Exit code 1 where a host is missing in it, or nothing could be
    written; 3 where none was reached."""
    began = time.monotonic()
    _say(f"asking {len(named)} hosts …")
    async with Preflight(_transports(named, wishes.ssh_config)) as preflight:
        facts = await preflight.survey()
        hosts, nodes = _sorted_out(named, facts)
        if not hosts:
            _tell_faults(nodes)
            _say("no host could be reached")
            return NO_NODE
        paths = propose(hosts, operator_networks())
        paths = await _tried(preflight, paths, hosts)
    _tell_faults(nodes)
    usable = _usable(nodes, paths)
    if len([node for node in usable if node.survey is not None]) < 2 or not paths:
        _say("there is nothing to write yet: " + _why_nothing(hosts, paths))
        return FOUND_FAILURE
    text = config_text(usable, paths, datetime.now(UTC).date().isoformat(), wishes.ssh_config)
    _write(wishes.output, text)
    _tell_result(wishes, usable, paths, time.monotonic() - began)
    return FINE if all(node.survey is not None for node in usable) else FOUND_FAILURE


def _transports(named: Mapping[NodeName, str], ssh_config: str | None) -> dict[NodeName, Transport]:
    from meshtop.transport.ssh import SshTransport
    from meshtop.transport.ssh_config import SshOptions

    options = SshOptions(config=None if ssh_config is None else (ssh_config,))
    return {
        name: LocalTransport() if target == LOCAL else SshTransport(target, options) for name, target in named.items()
    }


def _sorted_out(
    named: Mapping[NodeName, str], facts: Mapping[NodeName, NodeFacts]
) -> tuple[list[Host], list[WrittenNode]]:
    """Those that can be used, and all as they will be written: a host that failed or is there twice as a comment."""
    hosts: list[Host] = []
    nodes: list[WrittenNode] = []
    for name, target in named.items():
        its = facts[name]
        why, cure = _why_not(its, hosts)
        if why is None and its.survey is not None:
            hosts.append(Host(name=name, survey=its.survey, dialled=its.dialled))
            offset = its.clock_offset_s if its.clock_is_off else None
            nodes.append(WrittenNode(name=name, target=target, survey=its.survey, clock_offset_s=offset))
        else:
            nodes.append(WrittenNode(name=name, target=target, fault=why, cure=cure))
    return hosts, nodes


def _why_not(its: NodeFacts, hosts: Sequence[Host]) -> tuple[str | None, str | None]:
    if its.fault is not None:
        return its.fault.reason, its.fault.cure
    if its.survey is None or not its.survey.whole:
        said = its.noise or its.complaint or "nothing"
        return f"its shell gave no answer; it said: {said}", "the account needs a login shell that runs commands"
    own = its.survey.addresses
    same = next((host.name for host in hosts if own and host.survey.addresses == own), None)
    if same is not None:
        return f"the same machine as {same}", "one machine cannot be two nodes"
    return None, None


async def _tried(
    preflight: Preflight, paths: Sequence[ProposedPath], hosts: Sequence[Host]
) -> tuple[ProposedPath, ...]:
    """Whether the addresses are right is for the nodes themselves to say."""
    _say("trying their addresses from each other …")
    keys = [
        (LinkKey(src, dst, path.name), address)
        for path in paths
        for src in path.address
        for dst, address in path.address.items()
        if src != dst
    ]
    ways = {
        key: Way(number=number, address=address, ports=(SSH_PORT,), pmtu=False)
        for number, (key, address) in enumerate(keys)
    }
    answers = await preflight.try_ways(ways, patience_s=TRY_S, ours=False)
    reached: dict[tuple[str, NodeName], bool | None] = {}
    for key, its in answers.items():
        answered = any(ping.answered for ping in its.pings.values()) or any(
            word in ("open", "refused") for word in its.tcp.values()
        )
        reached[key.path, key.dst] = bool(reached.get((key.path, key.dst))) or answered
    usable = [path for path in paths if not all(reached.get((path.name, name)) is False for name in path.address)]
    for path in paths:
        if path not in usable and usable:
            own = ", ".join(f"{name} {address}" for name, address in path.address.items())
            _say(f"{path.kind} {path.name} is left out: no node gets an answer from another there ({own})")
    return tuple(
        with_reached(path, {name: reached.get((path.name, name)) for name in path.address}, hosts)
        for path in usable or paths
    )


def operator_networks() -> list[str]:
    """Those that this machine has an address in."""
    found = []
    for each in psutil.net_if_addrs().values():
        for one in each:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.netmask:
                try:
                    mask = one.netmask if one.family == socket.AF_INET else _v6(one.netmask).bit_count()
                    network = ip_interface(f"{one.address.partition('%')[0]}/{mask}").network
                except ValueError:
                    continue
                if not (network.is_loopback or network.is_link_local) and network.num_addresses > 1:
                    found.append(str(network))
    return found


def _v6(netmask: str) -> int:
    return int(ip_interface(netmask.partition("%")[0]).ip)


# ── Afterwards ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _usable(nodes: Sequence[WrittenNode], paths: Sequence[ProposedPath]) -> list[WrittenNode]:
    """A node without an address on any path would be a mistake in the file: it becomes a comment."""
    placed = {name for path in paths for name in (*path.address, *path.behind_nat)}
    return [
        node
        if node.survey is None or node.name in placed
        else WrittenNode(
            name=node.name,
            target=node.target,
            fault=f"no address that the others could dial; it has {', '.join(sorted(node.survey.addresses)) or 'none'}",
        )
        for node in nodes
    ]


def _why_nothing(hosts: Sequence[Host], paths: Sequence[ProposedPath]) -> str:
    if len(hosts) < 2:
        return f"only {hosts[0].name} was reached, and a mesh has two nodes at least"
    own = "; ".join(f"{host.name}: {', '.join(sorted(host.survey.addresses)) or 'none'}" for host in hosts)
    return f"no two nodes have addresses on a path in common. They have: {own}"


def _write(output: str, text: str) -> None:
    """Whole or not at all, and only what `config check` takes."""
    if output == STANDARD_OUTPUT:
        click.echo(text, nl=False)
        return
    file = Path(output).expanduser()
    try:
        descriptor, fresh = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise click.UsageError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
        load(fresh)
        Path(fresh).chmod(0o644)
        os.replace(fresh, file)
    except ConfigErrors as error:
        lines = "\n".join(error.lines())
        raise RuntimeError(f"what was found does not make a configuration; a fault of meshtop:\n{lines}") from error
    finally:
        Path(fresh).unlink(missing_ok=True)


def _tell_faults(nodes: Sequence[WrittenNode]) -> None:
    for node in nodes:
        if node.survey is None:
            _say(f"{node.name} ({clean(node.target, 60)}): {node.fault}" + (f"; {node.cure}" if node.cure else ""))


def _tell_result(wishes: Wishes, nodes: Sequence[WrittenNode], paths: Sequence[ProposedPath], took_s: float) -> None:
    for path in paths:
        ports = f", outer ports {', '.join(map(str, path.outer_ports))}" if path.outer_ports else ""
        addresses = ", ".join(f"{name} {address}" for name, address in path.address.items())
        _say(f"{path.kind} {path.name} ({path.why}{ports}): {addresses}")
        for note in path.notes:
            _say(f"  {note}")
    there = sum(node.survey is not None for node in nodes)
    if wishes.output != STANDARD_OUTPUT:
        chosen = "" if wishes.output == "meshtop.toml" else f" -c {wishes.output}"
        _say(f"{wishes.output}: {there} nodes, {len(paths)} paths, in {took_s:.1f} s; next: meshtop{chosen} doctor")


def _say(text: str) -> None:
    click.echo(f"meshtop: {text}", err=True)
