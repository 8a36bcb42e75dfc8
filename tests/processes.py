"""Processes of scripts that are handed over, and what is left of bursts on the nodes of a lab."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil

from meshtop.lab.netns import namespace_pids
from meshtop.lab.network import Lab

SHELLS = (["dash"], ["bash", "--posix"], ["bash"], ["busybox", "ash"])
GONE_WITHIN_S = 10.0


def until_said(process: subprocess.Popen[bytes], wanted: bytes) -> list[psutil.Process]:
    """The process with all that it started, once that line has come."""
    assert process.stdout is not None
    while wanted not in (line := process.stdout.readline()):
        assert line, f"{wanted!r} did not come"
    me = psutil.Process(process.pid)
    return [me, *me.children(recursive=True)]


def until_runs(process: subprocess.Popen[bytes], **wanted: int) -> list[psutil.Process]:
    """The process with all that it started, once so many programs of these names run among them."""
    give_up_at = time.monotonic() + GONE_WITHIN_S
    me = psutil.Process(process.pid)
    while True:
        processes = [me, *me.children(recursive=True)]
        running = Counter(filter(None, map(_program, processes)))
        if all(running[name] >= count for name, count in wanted.items()):
            return processes
        assert time.monotonic() < give_up_at, running
        time.sleep(0.02)


def _program(process: psutil.Process) -> str | None:
    """Its name, of a tool of BusyBox the tool's; None of one that is gone."""
    try:
        words = process.cmdline()
    except psutil.NoSuchProcess:
        return None
    return next((Path(word).name for word in words if Path(word).name != "busybox"), None)


def is_alive(process: psutil.Process) -> bool:
    """A zombie that nobody has waited for yet holds nothing any more."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def until_gone(processes: list[psutil.Process], within_s: float) -> None:
    give_up_at = time.monotonic() + within_s
    while left := [each for each in processes if is_alive(each)]:
        assert time.monotonic() < give_up_at, left
        time.sleep(0.02)


def burst_tools(lab: Lab) -> list[str]:
    """Command lines of everything of a burst that runs on any node."""
    found = []
    for name in lab.nodes:
        for pid in namespace_pids(lab.plan.namespace(name)):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.endswith((b"iperf3", b"timeout")) or b"meshtop-burst" in word for word in words):
                found.append(f"{name}: {b' '.join(words).decode()[:80]}")
    return found


def await_no_burst(lab: Lab, within_s: float = GONE_WITHIN_S) -> float:
    """How long it took until nothing was left."""
    began = time.monotonic()
    while left := burst_tools(lab):
        assert time.monotonic() - began < within_s, left
        time.sleep(0.05)
    return time.monotonic() - began
