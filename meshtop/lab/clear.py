"""Taking labs down: everything that belongs to one, whole, half made or orphaned."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from meshtop.lab import files, registry
from meshtop.lab.netns import LabError, delete_devices, delete_namespaces, lab_namespaces, namespace_pids
from meshtop.lab.plan import LabPlan
from meshtop.lab.registry import LabRecord, ProcessRef, end_processes, process_start
from meshtop.lab.sshd_config import PRIVSEP_DIR


def clear(record: LabRecord) -> None:
    """Processes, then devices and namespaces, then files. The record goes last: a killed clear can be repeated.

    A lab that is gone already is left alone: its number may be another's by now."""
    with registry.locked():
        latest = registry.current(record)
        if latest is not None:
            _clear(latest)


def clear_all() -> list[str]:
    """Every lab of our home, and namespaces of labs that have no record at all. What was cleared, in words."""
    cleared = []
    with registry.locked():
        there = registry.records()
        for record in there:
            if record.home == str(registry.home()):
                _clear(record)
                cleared.append(f"lab {record.name!r}")
        known = {record.index for record in there}
        for index, namespaces in lab_namespaces().items():
            if index not in known:
                _clear_network(index)
                cleared.append(f"leftover namespaces {', '.join(namespaces)}")
    registry.tidy()
    return cleared


def _clear(record: LabRecord) -> None:
    end_processes([ref for ref in (*record.processes.values(), *_wan_processes(record)) if ref.alive()])
    _clear_network(record.index)
    if record.owns_files:
        files.remove_files(Path(record.dir), made_dir=record.made_dir)
    if record.made_privsep_dir:
        with contextlib.suppress(OSError):  # it is in use by others meanwhile, or gone
            PRIVSEP_DIR.rmdir()
    registry.forget(record)


def _clear_network(index: int) -> None:
    namespaces = lab_namespaces().get(index, [])
    _end_inside(namespaces)
    delete_devices(LabPlan(index=index).operator_devices())
    delete_namespaces(namespaces)


def _end_inside(namespaces: Iterable[str]) -> None:
    """End whatever runs in a lab's namespaces: SSH servers, their commands, iperf3 servers left behind.

    Twice at least, as what is being killed may be starting others."""
    names = list(namespaces)
    for _ in range(10):
        refs = list(_refs(pid for name in names for pid in namespace_pids(name)))
        if not refs:
            return
        end_processes(refs)
    raise LabError(f"processes in {', '.join(names)} keep coming back")


def _wan_processes(record: LabRecord) -> Iterable[ProcessRef]:
    """The WAN also where it was started but not yet recorded: its command line holds the path of its socket. One with
    the same path in another user namespace is a rootless lab's, which has its own /run."""
    ours = os.readlink("/proc/self/ns/user")
    wanted = str(record.socket).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if wanted not in words or os.readlink(entry / "ns" / "user") != ours:
                continue
        except OSError:
            continue
        if b"meshtop.lab.wan_process" in words:
            yield from _refs([int(entry.name)])


def _refs(pids: Iterable[int]) -> Iterable[ProcessRef]:
    for pid in pids:
        start = process_start(pid)
        if start is not None:
            yield ProcessRef(pid=pid, start=start)
