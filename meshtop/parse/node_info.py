"""The slow beat: what a node is, from the words of its own tools.

/proc/sys/kernel/osrelease, ``id -u``, ``ss -V``, ``iperf3 --version``, ``ping -V``, ``ip -o addr``,
``date``, ``ss -tln`` of the watched ports, sshd's SSH_CONNECTION, ``ss -tnpe`` and /proc/PID/stat of the probe's own
processes; of the host itself in ``host.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address

from meshtop.parse.host import host_cpu, qdiscs
from meshtop.parse.ss import parse_processes
from meshtop.parse.text import clean
from meshtop.parse.versions import parse_iperf3_version, parse_ping_version, parse_ss_version
from meshtop.readings import NodeInfo, Process

MAX_ADDRESSES = 256
_MAX_PORT = 65535
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_NUMBER = re.compile(r"[0-9]{1,10}")

Words = Mapping[str, list[str]]


def node_info(rows: Words, owners: Words) -> tuple[NodeInfo, int]:
    """All that is known so far, from the rows of the tables ``i`` and ``q``; and how many of them were not
    understood."""
    text = {name: " ".join(words) for name, words in rows.items()}
    wall = rows.get("wall", [])
    wall_known = len(wall) == 2 and all(_SECONDS.fullmatch(word) for word in wall)
    processes, failed = _processes(owners) if "processes" in rows else (None, 0)
    addresses, strange = _addresses(rows["addresses"]) if "addresses" in rows else (None, 0)
    uid = text.get("uid", "")
    listening, unknown = _ports(rows["listening"]) if "listening" in rows else (None, 0)
    queues, asked_s, problem = qdiscs(rows["qdisc"]) if "qdisc" in rows else (None, None, None)
    info = NodeInfo(
        kernel=clean(text["kernel"], 64) if "kernel" in text else None,
        ss=parse_ss_version(text.get("ss", "")),
        iperf3=parse_iperf3_version(text.get("iperf3", "")),
        ping=parse_ping_version(text.get("ping", "")),
        root=uid == "0" if _NUMBER.fullmatch(uid) else None,
        wall_s=float(wall[0]) if wall_known else None,
        wall_uptime_s=float(wall[1]) if wall_known else None,
        addresses=addresses,
        processes=processes,
        probe_cpu_s=float(text["cpu"]) if _SECONDS.fullmatch(text.get("cpu", "")) else None,
        ssh_socket=_ssh_socket(rows.get("ssh", [])),
        listening=listening,
        host=host_cpu(rows.get("host", ())),
        qdiscs=queues,
        qdiscs_at_s=asked_s,
        qdisc_problem=problem,
    )
    return info, failed + strange + unknown


def _ports(words: list[str]) -> tuple[tuple[int, ...], int]:
    """``- 443 5000``: the blank that stands for none, then those that there are."""
    ports = {int(word) for word in words[1:] if _NUMBER.fullmatch(word) and int(word) <= _MAX_PORT}
    return tuple(sorted(ports)), sum(not _NUMBER.fullmatch(word) or int(word) > _MAX_PORT for word in words[1:])


def _addresses(words: list[str]) -> tuple[tuple[tuple[str, str], ...], int]:
    """``eth0=10.0.0.1``, canonical."""
    found: list[tuple[str, str]] = []
    failed = 0
    for word in words[:MAX_ADDRESSES]:
        interface, _, address = word.rpartition("=")
        canonical = _canonical(address)
        if interface and canonical:
            found.append((clean(interface, 64), canonical))
        else:
            failed += 1
    return tuple(found), failed


def _processes(owners: Words) -> tuple[tuple[Process, ...], int]:
    # A blank at the beginning, as in the line of ss that this was cut from.
    return parse_processes("\n".join(" " + " ".join(words) for words in owners.values()))


def _ssh_socket(words: list[str]) -> tuple[str, int, str, int] | None:
    """``client port server port`` (sshd(8)) → the node's own end first."""
    if len(words) != 4 or not (_NUMBER.fullmatch(words[1]) and _NUMBER.fullmatch(words[3])):
        return None
    peer, local = _canonical(words[0]), _canonical(words[2])
    if peer is None or local is None:
        return None
    return local, int(words[3]), peer, int(words[1])


def _canonical(text: str) -> str | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
