"""Bursts between nodes whose iperf3 differ: ``python -m benchmarks.iperf3_versions [--quick] [--keep DIR]``, as root.

The versions are those of Debian's suites, fetched by apt from this machine's own mirror into a folder, with what they
link to, and run by their own loader: nothing is installed. In a lab each is laid over a node's ``iperf3``. Then every
pair carries TCP, the other way, both ways and datagrams, each record is held against what iperf3 itself printed, and
each client is ended in the middle.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import Figure, Table
from meshtop.lab.network import Lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ALWAYS = ("iperf3", "libiperf0", "libc6", "libsctp1")
# What libcrypto is called in each, and what it needs beside the C library.
SUITES = {
    "bullseye": ("libssl1.1",),
    "bookworm": ("libssl3",),
    "trixie": ("libssl3t64", "libzstd1", "zlib1g"),
    "sid": ("libssl3t64", "libzstd1", "zlib1g"),
}
KINDS = {
    "TCP": ("-n", "4M", "-P", "4"),
    "-R": ("-n", "2M", "-P", "2", "-R"),
    "--bidir": ("-t", "2", "-P", "2", "--bidir"),
    "-u": ("-t", "2", "-P", "2", "-u", "-b", "2M"),
    "-u -R": ("-t", "2", "-P", "2", "-u", "-b", "2M", "-R"),
}
FIRST_INTERVAL_S = 2.0

Record = dict[str, Any]


class Tool(NamedTuple):
    version: str
    program: Path


def mirror() -> str:
    """Debian's archive, as this machine's apt knows it."""
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Component: main"]
    found = subprocess.run(listed, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    return next(uri for uri in found if uri.rstrip("/").endswith("/debian"))


def fetched(suite: str, folder: Path) -> Tool:
    """The suite's iperf3, ready to be run. Raises CalledProcessError with what apt or dpkg said."""
    root = folder / suite / "root"
    for each in ("lists/partial", "cache/archives/partial", "root"):
        (folder / suite / each).mkdir(parents=True, exist_ok=True)
    place = folder / suite
    (place / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    (place / "status").touch()
    settings = {
        "Dir::State::lists": place / "lists",
        "Dir::State::status": place / "status",
        "Dir::Cache": place / "cache",
        "Dir::Etc::sourcelist": place / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-qq", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    if not list(place.glob("iperf3_*.deb")):
        subprocess.run([*apt, "update"], check=True, timeout=300)
        subprocess.run([*apt, "download", *ALWAYS, *SUITES[suite]], check=True, timeout=300, cwd=place)
    for package in place.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, root], check=True, timeout=60)
    loader = next(root.rglob("ld-linux-*.so.2"))
    libraries = sorted({str(file.parent) for file in root.rglob("*.so.*") if file.is_file()})
    program = place / "iperf3"
    program.write_text(f'#!/bin/sh\nexec {loader} --library-path {":".join(libraries)} {root}/usr/bin/iperf3 "$@"\n')
    program.chmod(0o755)
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True, timeout=10).stdout
    return Tool(said.split()[1], program)


def lay(lab: Lab, node: str, tool: Tool) -> None:
    """Over the node's own, where its SSH server looks."""
    for server in lab.sshd_processes(node):
        enter = ["nsenter", f"--mount=/proc/{server.pid}/ns/mnt"]
        subprocess.run([*enter, "umount", "-q", "/usr/bin/iperf3"], check=False)
        subprocess.run([*enter, "mount", "--bind", tool.program, "/usr/bin/iperf3"], check=True)


def burst(lab: Lab, *options: str) -> Record:
    command = [MESHTOP, "-c", str(lab.config_path), "burst", "e", "a", "--path", "public", "-y", *options, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    made: Record = json.loads(done.stdout) if done.stdout else {"state": done.stderr.strip()[-60:]}
    return made


def complaints(record: Record, kind: str, client: Tool) -> Iterator[str]:
    """What a record says wrongly or not at all."""
    if record["state"] != "done":
        yield f"{record['state']}: {record.get('reason')}"
        return
    if record["tool"] != f"iperf3 {client.version}":
        yield f"tool {record['tool']}"
    if kind == "-R" and record["raw"]["client"].get("error"):  # these two have no end by size: it was ended
        asked = record["requested"]["bytes"]
        if not 0.8 * asked <= record["received_bytes"] <= 2.5 * asked or not record["sender_bps"]:
            yield f"{record['received_bytes']} bytes of {asked}"
        return
    end = record["raw"]["client"]["end"]
    sums = end.get("sum_sent") or end["sum"]
    if (record["sent_bytes"], record["sender_bps"]) != (sums["bytes"], sums["bits_per_second"]):
        yield "not the bytes and rate of iperf3's own result"
    if record["retransmits"] != sums.get("retransmits") or (record["retransmits"] is None) is not ("-u" in kind):
        yield "not the retransmissions of iperf3's own result"
    if not record["receiver_bps"] or record["receiver_bps"] > 1.05 * record["sender_bps"]:
        yield f"received {record['receiver_bps']}"
    if "-u" in kind and (record["lost_pct"] is None or record["jitter_ms"] is None):
        yield "no losses"
    if kind == "--bidir" and not record["other"]["receiver_bps"]:
        yield "nothing of the other way"
    if not record["intervals"] or ("-u" not in kind and not all(each["rtt_ms"] for each in record["intervals"])):
        yield "intervals without round trip"


def aborted(lab: Lab, client: Tool) -> tuple[float, list[str]]:
    """A live burst ended by Ctrl-C: seconds from the start to its first interval, and what was wrong."""
    command = [MESHTOP, "-c", str(lab.config_path), "burst", "e", "a", "--path", "public", "-t", "30", "--stream"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    began = first_s = 0.0
    events = []
    for line in run.stdout:
        events.append(json.loads(line))
        began = began or time.monotonic()  # when its two ends were told to start
        if events[-1]["phase"] == "interval" and not first_s:
            first_s = time.monotonic() - began
        if sum(each["phase"] == "interval" for each in events) == 8:
            run.send_signal(signal.SIGINT)
    run.communicate(timeout=30)
    last = events[-1]
    wrong = [] if (last["phase"], last["state"]) == ("closed", "aborted") else [f"{last['phase']} {last['state']}"]
    if not last["sent_bytes"] or last["received_bytes"] is not None:
        wrong.append(f"sent {last['sent_bytes']}, received {last['received_bytes']}")
    if last["tool"] != f"iperf3 {client.version}" or run.returncode != 130:
        wrong.append(f"tool {last['tool']}, exit code {run.returncode}")
    left = [node for node in ("e", "a") if lab.exec(node, ["sh", "-c", "ss -tlnH sport = :5201"]).stdout]
    return first_s, wrong + [f"{node} still listens" for node in left]


def measure(tools: Sequence[Tool], quick: bool) -> list[Table]:
    pairs = Table(
        "iperf3_versions", "Bursts e → a on public, 30 Mbit/s", ("client", "server", *KINDS, "what was wrong")
    )
    alone = Table(
        "iperf3_live", "Live intervals, and an end by Ctrl-C", ("client", "first interval, s", "what was wrong")
    )
    with tempfile.TemporaryDirectory() as folder, Lab.up("iperf3", directory=Path(folder) / "lab") as lab:
        for client, server in product(tools, tools):
            if quick and client.version == server.version:
                continue
            lay(lab, "e", client)
            lay(lab, "a", server)
            cells, wrong = [], []
            for kind, options in KINDS.items():
                record = burst(lab, *options)
                wrong += [f"{kind}: {each}" for each in complaints(record, kind, client)]
                cells.append(Figure((record.get("receiver_bps") or 0) / 1e6, "Mbit/s", 1))
            pairs.add(client.version, server.version, *cells, "; ".join(wrong) or "–")
            print(pairs.rows[-1][0], pairs.rows[-1][1], pairs.rows[-1][-1], flush=True)
        for client in tools:
            lay(lab, "e", client)
            lay(lab, "a", client)
            first_s, wrong = aborted(lab, client)
            alone.add(client.version, Figure(first_s, "s", 2, FIRST_INTERVAL_S), "; ".join(wrong) or "–")
    return [pairs, alone]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.iperf3_versions", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only pairs of different versions")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="fetch into DIR, or use what is there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = (options.keep or Path(folder)).absolute()
        tools = [fetched(suite, place) for suite in SUITES]
        tables = measure(tools, options.quick)
    for table in tables:
        print(f"\n{table.markdown()}")
        table.save()
    return 1 if any(row[-1] != "–" for table in tables for row in table.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
