"""What the tests of the lab share: iperf3 runs, and the look for what a lab has left behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab import registry
from meshtop.lab.netns import NETNS_DIR
from meshtop.lab.network import Lab

Iperf3 = Callable[..., dict[str, Any]]


@pytest.fixture
def iperf3() -> Iperf3:
    """``iperf3(lab, src, dst, net, *options)``: the client's report of one run, its server gone afterwards.
    ``once_connected`` is called when the streams stand: over UDP iperf3 asks for each of them with one datagram, and
    does not ask again where that is lost."""

    def said(server: subprocess.Popen[bytes], words: bytes) -> None:
        assert server.stdout is not None
        while words not in (line := server.stdout.readline()):
            assert line, f"the iperf3 server ended before it said {words.decode()!r}"

    def run(
        lab: Lab, src: str, dst: str, net: str, *options: str, once_connected: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        server = lab.popen(dst, ["timeout", "60", "iperf3", "-s", "-1", "--forceflush"])
        try:
            said(server, b"Server listening")
            client = lab.popen(src, ["timeout", "60", "iperf3", "-J", "-c", lab.address(net, dst), *options])
            if once_connected is not None:
                said(server, b" connected to ")
                once_connected()
            report: dict[str, Any] = json.loads(client.communicate()[0])
            assert "error" not in report, report["error"]
            return report
        finally:
            server.kill()
            server.communicate()

    return run


@pytest.fixture
def remains() -> Callable[[Lab], list[str]]:
    """``remains(lab)`` while it is up gives what is there; the same list must be empty after it went down."""
    namespace_ids: dict[int, set[int]] = {}

    def look(lab: Lab) -> list[str]:
        index = lab.record.index
        ids = namespace_ids.setdefault(index, set())
        if lab.record.path.exists() and registry.current(lab.record) is None:
            return [lab.record.dir] if Path(lab.record.dir).exists() else []  # the number is another lab's by now
        found = []
        for name in lab.plan.namespaces():
            if (NETNS_DIR / name).exists():
                ids.add((NETNS_DIR / name).stat().st_ino)
                found.append(f"namespace {name}")
        for device in lab.plan.operator_devices():
            if Path("/sys/class/net", device).exists():
                found.append(f"device {device}")
        routes = subprocess.run(
            ["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True
        ).stdout
        found += [line for line in routes.splitlines() if f"198.18.{index}." in line or f"198.19.{index}." in line]
        found += [f"process {pid}" for pid in _processes(lab, ids)]
        found += [str(path) for path in (Path(lab.record.dir), lab.record.path, lab.record.socket) if path.exists()]
        return found

    return look


def _processes(lab: Lab, namespace_ids: set[int]) -> list[int]:
    """Those inside the lab's namespaces, and those whose command line names its files."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            inside = (entry / "ns/net").stat().st_ino in namespace_ids
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = any(word.startswith((lab.record.dir.encode(), str(lab.record.socket).encode())) for word in words)
        if inside or ours:
            found.append(int(entry.name))
    return found


@pytest.fixture
def lab_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, so that ``down --all`` does not meet the labs of anybody else."""
    monkeypatch.setenv(registry.HOME_VARIABLE, str(tmp_path / "labs"))
    return tmp_path / "labs"
