"""The machine output that is promised, as shapes, and a check of documents against them. See docs/manual.md.

A shape is a name of :data:`PLAIN` (``?`` behind it: or null), a set of the values that are allowed, a list of one
shape, or a dict of those that must be there. Fields may be added to what is promised, so others are passed over.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from itertools import permutations
from typing import Any

Document = Mapping[str, Any]

_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


PLAIN: Mapping[str, Callable[[Any], bool]] = {
    "anything": lambda value: True,
    "text": lambda value: isinstance(value, str) and value.isprintable() and value != "",
    "utc": lambda value: isinstance(value, str) and _UTC.fullmatch(value) is not None,
    "whether": lambda value: isinstance(value, bool),
    "count": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "amount": lambda value: _is_number(value) and value >= 0,
    "signed": _is_number,
    "pct": lambda value: _is_number(value) and 0 <= value <= 100,
    "share": lambda value: _is_number(value) and 0 <= value <= 1,
}
NODE_STATES = {"up", "connecting", "silent", "down"}
LINK_STATES = {"no-data", "down", "stalled", "lossy", "degraded", "ok", "idle"}
CAUSES = {
    "zero-window", "outer-stall", "size-blackhole", "blackout", "rto-no-ack", "repeated-loss", "recovery", "host-queue",
    "delay", "undetermined",
}  # fmt: skip
CODES = {
    "loss", "reordering", "policer", "pmtu-blackhole", "bufferbloat", "tcp-over-tcp", "receiver-limited",
    "sender-limited", "app-limited", "host-drops", "ack-path-loss", "overlay-only", "node-wide", "blackout",
    "unreachable", "clock-skew",
}  # fmt: skip

NODE = {
    "name": "text", "state": NODE_STATES, "reason": "text?", "sample_age_s": "amount?", "samples": "count",
    "missed": "count", "late": "count", "unparsed": "count", "clock_offset_s": "signed?", "kernel": "text?",
    "ss": "text?", "iperf3": "text?", "root": "whether?", "ssh_rtt_ms": "amount?", "operator_rtt_ms": {},
    "cost": {"cpu_pct": "amount?", "rx_bytes_per_s": "amount?"},
    "tcp": {"retrans_per_s": "amount?", "retrans_pct": "pct?", "timeouts_per_s": "amount?", "dsack_per_s": "amount?"},
}  # fmt: skip
FIGURES = {
    "src": "text", "dst": "text", "path": "text", "state": LINK_STATES, "reason": "text?", "rtt_ms": "amount?",
    "rtt_baseline_ms": "amount?", "rtt_full_ms": "amount?", "pdv_ms": "amount?", "loss_pct": "pct?",
    "loss_full_pct": "pct?", "tx_bps": "amount?", "srtt_ms": "amount?", "minrtt_ms": "amount?",
    "retrans_per_s": "amount?", "retrans_pct": "amount?", "dsack_pct": "amount?", "flows": "count?", "stalls": "count?",
    "stalled_now": "whether?", "pmtu": "count?",
}  # fmt: skip
STALL = {
    "id": "text", "src": "text?", "dst": "text?", "path": "text?", "node": "text", "start": "utc", "end": "utc?",
    "flow": dict.fromkeys(("local", "peer"), "text") | dict.fromkeys(("cookie", "process", "cgroup", "watch"), "text?"),
    "duration_s": "amount", "resolution_s": "amount", "outcome": {"open", "recovered", "lost"}, "cause": CAUSES,
    "settled": "whether", "causes": [{"at": "utc", "cause": CAUSES}], "evidence": {},
}  # fmt: skip
EVIDENCE = [{"what": "text", "value": "anything", "expected": "text"}]
FINDING = {
    "code": CODES, "severity": {"info", "warning", "critical"}, "confidence": "share", "src": "text?", "dst": "text?",
    "path": "text?", "summary": "text", "evidence": EVIDENCE, "against": EVIDENCE, "next": ["text"],
}  # fmt: skip
INTERVAL = {
    "t": "amount", "bps": "amount?", "retransmits": "count?", "rtt_ms": "amount?", "cwnd_bytes": "count?",
    "streams": [{"bps": "amount?"}],
}  # fmt: skip
BURST = {
    "schema": {"meshtop.burst/1"}, "id": "text", "src": "text", "dst": "text", "path": "text", "tool": "text?",
    "streams": "count", "requested": {}, "predicted_s": "amount?", "state": {"done", "failed", "aborted"},
    "reason": "text?", "started": "utc?", "ended": "utc?", "sent_bytes": "count?", "received_bytes": "count?",
    "sender_bps": "amount?", "receiver_bps": "amount?", "retransmits": "count?", "intervals": [INTERVAL],
    "stalls": [STALL], "longest_stall_s": "amount?", "raw": {"client": "anything", "server": "anything"},
    "bystanders": [{"flow": {}, "bps_before": "amount?", "bps_during": "amount?"}],
}  # fmt: skip
_UNFINISHED = {
    name: shape for name, shape in BURST.items() if name not in ("state", "stalls", "bystanders", "raw")
}  # fmt: skip
COMPARISON = {"schema": {"meshtop.comparison/1"}, "bursts": [BURST], "finding": "anything"}
SNAPSHOT = {
    "schema": {"meshtop.snapshot/1"}, "mesh": "text", "at": "utc", "window_s": "amount", "nodes": [NODE],
    "links": [FIGURES], "stalls": [STALL], "bursts": [_UNFINISHED], "findings": [FINDING],
}  # fmt: skip
EVENTS: Mapping[str, Document] = {
    "link": {**FIGURES, "interval_s": "amount", "tx_bytes": "count?", "retrans": "count?", "late": "whether"},
    "node": NODE,
    "stall": {**STALL, "phase": {"open", "closed"}},
    "finding": {**FINDING, "phase": {"open", "changed", "closed"}},
    "burst": {**_UNFINISHED, "phase": {"queued", "started", "interval", "closed"}},
    "mark": {"text": "text"},
    "log": {"node": "text?", "level": {"info", "warning", "error"}, "text": "text"},
}


def departures(value: Any, shape: Any, where: str = "") -> list[str]:
    """What of ``value`` is not as promised, each with its place."""
    if isinstance(shape, str):
        ok = (shape.endswith("?") and value is None) or PLAIN[shape.rstrip("?")](value)
        return [] if ok else [f"{where} is {value!r}, not {shape}"]
    if isinstance(shape, set):
        return [] if isinstance(value, str) and value in shape else [f"{where} is {value!r}, not of {sorted(shape)}"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is {value!r}, not a list"]
        return [each for index, item in enumerate(value) for each in departures(item, shape[0], f"{where}[{index}]")]
    if not isinstance(value, dict):
        return [f"{where} is {value!r}, not an object"]
    found = [f"{where}.{name} is missing" for name in shape if name not in value]
    return found + [
        each for name, of in shape.items() if name in value for each in departures(value[name], of, f"{where}.{name}")
    ]


def of_snapshot(document: Document, nodes: Iterable[str], paths: Iterable[str]) -> list[str]:
    """Of `meshtop snapshot --json`, with what must hold between its fields."""
    found = departures(document, SNAPSHOT)
    names, paths = list(nodes), list(paths)
    if [node["name"] for node in document["nodes"]] != names:
        found.append(f"the nodes are not those of the file: {names}")
    expected = {(*pair, path) for pair in permutations(names, 2) for path in paths}
    links = [(link["src"], link["dst"], link["path"]) for link in document["links"]]
    if set(links) != expected or len(links) != len(expected):
        found.append(f"links: {expected.symmetric_difference(links) or 'some are there twice'}")
    for node in document["nodes"]:
        if set(node["operator_rtt_ms"]) != set(paths):
            found.append(f"{node['name']}: operator_rtt_ms has {node['operator_rtt_ms']}")
        if node["state"] == "down" and not node["reason"]:
            found.append(f"{node['name']} is down without a reason")
    for link in document["links"]:
        found += _of_link(link)
    for stall in document["stalls"]:
        found += _of_stall(stall)
    return found


def of_event(event: Document) -> list[str]:
    """Of one line of `meshtop stream`."""
    kind = str(event.get("type"))
    if kind not in EVENTS:
        return [f"no type of event: {kind}"]
    found = departures(event, {"at": "utc", **EVENTS[kind]}, str(kind))
    if found:
        return found
    if kind == "link":
        found += _of_link(event)
        if event["tx_bytes"] is not None and event["tx_bps"] is not None:
            counted = 8 * event["tx_bytes"] / event["interval_s"]
            if abs(counted - event["tx_bps"]) > 0.1 * counted + 1:
                found.append(f"tx_bps {event['tx_bps']} of {event['tx_bytes']} bytes in {event['interval_s']} s")
    if kind == "stall":
        found += _of_stall(event)
        if (event["phase"] == "open") != (event["outcome"] == "open"):
            found.append(f"stall {event['id']}: {event['phase']} with the outcome {event['outcome']}")
    return found


def _of_link(link: Document) -> list[str]:
    place = f"{link['src']}→{link['dst']} {link['path']}"
    found = []
    if link["state"] in ("no-data", "idle", "down", "lossy", "degraded", "stalled") and not link["reason"]:
        found.append(f"{place}: {link['state']} without a reason")
    if link["stalls"] and link["stalls"] > 0 and link["flows"] is None and "type" not in link:
        found.append(f"{place}: stalls of flows that are not known")
    if link["pdv_ms"] is not None and link["rtt_ms"] is None:
        found.append(f"{place}: a variation of no round trips")
    return found


def _of_stall(stall: Document) -> list[str]:
    found = []
    if (stall["end"] is None) != (stall["outcome"] == "open"):
        found.append(f"stall {stall['id']}: ended {stall['end']}, outcome {stall['outcome']}")
    if stall["end"] is not None:
        lasted = (datetime.fromisoformat(stall["end"]) - datetime.fromisoformat(stall["start"])).total_seconds()
        if abs(lasted - stall["duration_s"]) > stall["resolution_s"] + 0.01:
            found.append(f"stall {stall['id']}: {lasted} s from start to end, duration_s {stall['duration_s']}")
    return found
