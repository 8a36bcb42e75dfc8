"""Bringing a node's own faults about, and undoing them: frozen, no SSH server, another host key, tools gone or slow,
its own queues too short, its CPU full.

Nothing outside the node is touched: processes are those of its namespaces, mounts are made in the mount namespace of
its SSH server (``ip netns exec`` gives it one) and end with it, files are in the lab's folder. So taking the lab down
undoes all of it, whoever was killed meanwhile. Read for this: signal(7), mount_namespaces(7), nsenter(1), ip-netns(8),
tc-tbf(8), ip-link(8).
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from meshtop.lab.busy import argv, beside, core, is_busy, pin
from meshtop.lab.faults.nodes import (
    ClockOff,
    CpuFull,
    Freeze,
    HostKey,
    HostQueue,
    HostRing,
    NodeFault,
    NoRoute,
    SshdKill,
    ToolFault,
    ToolMissing,
    ToolSlow,
)
from meshtop.lab.netns import TUN_QUEUE_PACKETS, LabError, namespace_pids, run
from meshtop.lab.overlay import DIRECT
from meshtop.lab.plan import PUBLIC, VPN
from meshtop.lab.registry import ProcessRef, end_processes, process_start
from meshtop.lab.sshd_config import SEARCH_PATH

if TYPE_CHECKING:
    from meshtop.lab.network import Lab

FOLDER = "node-tools"  # in the lab's folder
FIRST_KEY = ".first"  # what a host key's file is called while another is in its place
STOP_WAIT_S, START_WAIT_S = 5.0, 30.0
_OBSERVER = b"meshtop.lab.capture"  # not of the node: what it notes is the truth also about a frozen one


def bring_about(lab: Lab, fault: NodeFault, others: Iterable[NodeFault]) -> None:
    """``others`` are the node's faults that are in force besides. Idempotent. Raises LabError."""
    node = fault.source
    if isinstance(fault, Freeze):
        freeze(lab.plan.namespace(node))
    elif isinstance(fault, SshdKill):
        lab.kill_sshd(node)
    elif isinstance(fault, HostKey):
        _swap_host_key(lab, node)
        _restart_sshd(lab, node, others)
    elif isinstance(fault, NoRoute):
        _set_routes(lab, node, fault.path, lost=True)
    elif isinstance(fault, HostQueue):
        _set_qdiscs(lab, node, fault)
    elif isinstance(fault, HostRing):
        _set_rings(lab, node, fault.packets)
    elif isinstance(fault, CpuFull):
        _fill_cpu(lab, node, fault.count)
    else:
        _set_tools(lab, node, [*others, fault])


def undo(lab: Lab, fault: NodeFault, others: Iterable[NodeFault]) -> None:
    """As if ``fault`` had never been, with ``others`` still in force. Idempotent. Raises LabError."""
    node = fault.source
    if isinstance(fault, Freeze):
        thaw(lab.plan.namespace(node))
    elif isinstance(fault, SshdKill):
        if not lab.sshd_processes(node):
            lab.start_sshd(node)
    elif isinstance(fault, HostKey):
        _first_host_key(lab, node)
        _restart_sshd(lab, node, others)
    elif isinstance(fault, NoRoute):
        _set_routes(lab, node, fault.path, lost=False)
    elif isinstance(fault, HostQueue):
        _set_qdiscs(lab, node, None)
    elif isinstance(fault, HostRing):
        _set_rings(lab, node, TUN_QUEUE_PACKETS)
    elif isinstance(fault, CpuFull):
        _empty_cpu(lab, node)
    else:
        _set_tools(lab, node, list(others))


# ── Frozen ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def freeze(namespace: str) -> None:
    """Stop every process in a network namespace; those too that others start before they are stopped themselves."""
    _signal_until(namespace, signal.SIGSTOP, lambda state: state == "T")


def thaw(namespace: str) -> None:
    _signal_until(namespace, signal.SIGCONT, lambda state: state != "T")


def _signal_until(namespace: str, number: signal.Signals, is_done: Callable[[str], bool]) -> None:
    give_up_at = time.monotonic() + STOP_WAIT_S
    while pids := [pid for pid in _own_pids(namespace) if not _is(pid, is_done)]:
        if time.monotonic() > give_up_at:
            raise LabError(f"these processes do not take {number.name}: {', '.join(map(str, pids))}")
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        time.sleep(0.005)


def _is(pid: int, is_done: Callable[[str], bool]) -> bool:
    """By the state letter of /proc/<pid>/stat (proc(5)); what has ended is done."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return True
    state = stat[stat.rindex(")") + 2]
    return state in "ZX" or is_done(state)


def _own_pids(namespace: str) -> list[int]:
    return [pid for pid in namespace_pids(namespace) if not _is_observer(pid)]


def _is_observer(pid: int) -> bool:
    try:
        return _OBSERVER in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


# ── Another host key ─────────────────────────────────────────────────────────────────────────────────────────────────


def _swap_host_key(lab: Lab, node: str) -> None:
    import asyncssh  # slow to load, and only needed here

    key = lab.dir / "keys" / f"host_{node}"
    first = key.with_name(key.name + FIRST_KEY)
    if first.exists():
        return
    other = key.with_name(key.name + ".other")
    asyncssh.generate_private_key("ssh-ed25519", comment=f"meshtop lab node {node}").write_private_key(str(other))
    other.chmod(0o600)
    first.hardlink_to(key)
    other.replace(key)


def _first_host_key(lab: Lab, node: str) -> None:
    key = lab.dir / "keys" / f"host_{node}"
    first = key.with_name(key.name + FIRST_KEY)
    if first.exists():
        first.replace(key)


def _restart_sshd(lab: Lab, node: str, others: Iterable[NodeFault]) -> None:
    """Also where it does not run, as when this was killed half-way; not where it is meant not to."""
    if not any(isinstance(other, SshdKill) for other in others):
        lab.kill_sshd(node)
        lab.start_sshd(node)


# ── Routes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_routes(lab: Lab, node: str, path: str, *, lost: bool) -> None:
    """Routes that lead nowhere, more special than the path's own: a half of its prefix each. Set, or taken away."""
    network = ip_network(f"{lab.plan.address(path, node)}/24", strict=False)
    verb = ["replace", "unreachable"] if lost else ["flush", "type", "unreachable", "exact"]
    for half in network.subnets():
        run(["ip", "-n", lab.plan.namespace(node), "route", *verb, str(half)])


# ── Its own queues ───────────────────────────────────────────────────────────────────────────────────────────────────

# A bucket must hold what the rate gives in a tick of the kernel's timer, and a packet with its headers.
_TICK_S, _PACKET_BYTES = 0.01, 2000


def _set_qdiscs(lab: Lab, node: str, fault: HostQueue | None) -> None:
    """Before its line, and before the overlay where the WAN itself carries that. None: what the kernel gives a device.

    A TCP of the node itself is told of what is dropped there and slows down, as if it had been lost; what a tunnel's
    datagrams carry is lost to the TCP inside."""
    tunnelled = fault is not None and lab.overlay != DIRECT
    for device in _data_devices(lab, node)[: 1 if tunnelled else None]:
        at = ["tc", "-n", lab.plan.namespace(node), "qdisc"]
        if fault is not None:
            burst = max(_PACKET_BYTES, int(fault.rate_bps / 8 * _TICK_S))
            shape = ["rate", f"{fault.rate_bps}bit", "burst", f"{burst}b", "limit", f"{fault.limit_bytes}b"]
            run([*at, "replace", "dev", device, "root", "tbf", *shape])
        elif " tbf " in run([*at, "show", "dev", device]):
            run([*at, "del", "dev", device, "root"])


def _set_rings(lab: Lab, node: str, packets: int) -> None:
    for device in _data_devices(lab, node):
        run(["ip", "-n", lab.plan.namespace(node), "link", "set", device, "txqueuelen", str(packets)])


def _data_devices(lab: Lab, node: str) -> list[str]:
    namespace = lab.plan.namespace(node)
    devices = {port.net: port.device for port in lab.plan.wan_spec().ports if port.namespace == namespace}
    return [devices[net] for net in (PUBLIC, VPN)]


# ── CPU ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fill_cpu(lab: Lab, node: str, count: int) -> None:
    _end_busy(lab, node)
    _pin(lab, node, count)
    null = subprocess.DEVNULL  # they would hold a pipe of ours
    command = lab.command(node, argv(count))
    if subprocess.run(command, stdin=null, stdout=null, stderr=null, check=False, timeout=START_WAIT_S).returncode:
        raise LabError(f"what never rests could not be started on {node}")


def _empty_cpu(lab: Lab, node: str) -> None:
    _end_busy(lab, node)
    _pin(lab, node, 0)


def _pin(lab: Lab, node: str, count: int) -> None:
    cores = {core()} if count else os.sched_getaffinity(0)
    pin(lambda: _own_pids(lab.plan.namespace(node)), cores)


def _end_busy(lab: Lab, node: str) -> None:
    pids = (pid for pid in namespace_pids(lab.plan.namespace(node)) if is_busy(pid))
    end_processes([ProcessRef(pid=pid, start=start) for pid in pids if (start := process_start(pid)) is not None])


# ── Tools ────────────────────────────────────────────────────────────────────────────────────────────────────────────
# A folder of the PATH is covered by one of links to what was in it; in that, links go away and come back. A mount over
# the one file would not do: what is there but cannot be run is not what "not found" is.


def _set_tools(lab: Lab, node: str, faults: Iterable[NodeFault]) -> None:
    """Make the node's tools what ``faults`` say, for all who come by SSH."""
    of_tools = [fault for fault in faults if isinstance(fault, ToolFault)]
    # one that is missing is nothing else besides
    wanted = {fault.tool: fault for fault in sorted(of_tools, key=lambda each: isinstance(each, ToolMissing))}
    place = lab.dir / FOLDER / node
    for tool in wanted:
        folders = _folders_with(tool)
        if not folders:
            raise LabError(f"the node has no {tool!r} in {SEARCH_PATH}")
        for folder in folders:
            _prepare(place, folder)
    for base in _bases(place):
        folder = Path((base / "covers").read_text())
        for name in {*os.listdir(base / "changed"), *(each for each in wanted if folder in _folders_with(each))}:
            (base / "changed" / name).touch()
            _set_tool(base / "links", name, wanted.get(name))
    for ref in lab.sshd_processes(node):
        _cover(ref.pid, place)


def _folders_with(tool: str) -> list[Path]:
    """Without those that have a mere link to the one in another."""
    real = {Path(os.path.realpath(entry)) for entry in SEARCH_PATH.split(":")}
    having = {folder for folder in real if (folder / tool).exists()}
    return sorted(folder for folder in having if _home(folder / tool) not in having - {folder})


def _home(tool: Path) -> Path:
    return Path(os.path.realpath(tool)).parent


def _prepare(place: Path, folder: Path) -> None:
    """``links``: what will be seen; ``whole``: where the real folder can still be found; ``changed``: tools that were
    ever changed; ``covers``: the real folder's path, written last."""
    base = place / folder.as_posix().strip("/").replace("/", "-")
    if (base / "covers").exists():
        return
    for name in ("links", "whole", "changed"):
        (base / name).mkdir(parents=True, exist_ok=True)
    for entry in os.listdir(folder):
        _link(base / "links", entry)
    (base / "covers").write_text(str(folder))


def _bases(place: Path) -> list[Path]:
    return sorted(file.parent for file in place.glob("*/covers"))


def _link(links: Path, name: str) -> None:
    fresh = links / f".{name}.new"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(links.parent / "whole" / name)
    fresh.replace(links / name)


def _set_tool(links: Path, name: str, fault: ToolFault | None) -> None:
    if fault is None:
        _link(links, name)
    elif isinstance(fault, ToolMissing):
        (links / name).unlink(missing_ok=True)
    else:
        real = shlex.quote(str(links.parent / "whole" / name))
        fresh = links / f".{name}.new"
        fresh.write_text(f"#!/bin/sh\n{_before(fault, real)}")
        fresh.chmod(0o755)
        fresh.replace(links / name)


def _before(fault: ToolFault, real: str) -> str:
    """What a script does in the place of the tool at ``real``."""
    if isinstance(fault, ToolSlow):
        return f'sleep {fault.sleep_s}\nexec {real} "$@"\n'
    if isinstance(fault, ClockOff):
        return f'exec {real} -d "{fault.offset_s:+.3f} seconds" "$@"\n'
    # In a user namespace of its own nobody has a right over the node's network; and the groups that may ping
    # (net.ipv4.ping_group_range) are none in a new network namespace.
    return f'exec unshare --user --map-root-user {real} "$@"\n'


def _cover(pid: int, place: Path) -> None:
    """Mount the folders of links, in the mount namespace of ``pid``, unless they are."""
    try:
        mounted = Path(f"/proc/{pid}/mountinfo").read_text()
        if os.path.samestat(os.stat(f"/proc/{pid}/ns/mnt"), os.stat("/proc/self/ns/mnt")):
            return  # the machine's own: not a node's
    except OSError:
        return  # it has ended
    steps = []
    for base in _bases(place):
        whole = str(base / "whole").replace(" ", "\\040")  # as mountinfo has it
        if f" {whole} " not in mounted:
            folder = (base / "covers").read_text()
            steps.append(shlex.join(["mount", "--bind", folder, str(base / "whole")]))
            steps.append(shlex.join(["mount", "--bind", str(base / "links"), folder]))
    if steps:
        if shutil.which("nsenter") is None:
            raise LabError("nsenter is not installed; on Debian and Ubuntu: apt-get install util-linux")
        run(["nsenter", f"--mount=/proc/{pid}/ns/mnt", "sh", "-c", " && ".join(steps)])


def befall(lab: Lab, node: str) -> None:
    """A new SSH server, which has a mount namespace of its own and all cores, as the one before it."""
    namespace = lab.plan.namespace(node)
    if count := max(map(beside, namespace_pids(namespace)), default=0):
        _pin(lab, node, count)
    place = lab.dir / FOLDER / node
    if place.is_dir():
        for ref in lab.sshd_processes(node):
            _cover(ref.pid, place)
