"""A recording in other names: every record of it, the raw frames too. What is told with it is made from the result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from meshtop.burst import BurstRaw, BurstRecord
from meshtop.model import (
    BaselinesKnown,
    BurstTold,
    BytesDropped,
    ExperimentRecord,
    ExperimentTold,
    LinkKey,
    LogLine,
    LookTaken,
    Mark,
    NodeName,
    OperatorPing,
    SessionChanged,
    SessionStats,
)
from meshtop.parse.errors import ParseError
from meshtop.recording import FrameRecord, Record, RecordingHeader, TickRecord
from meshtop.report.frames import FrameRedactor
from meshtop.report.names import Names

# Lines of the log that meshtop writes itself, wholly made of its own words and figures. Others are not told: what SSH
# and the nodes say may hold anything.
_OWN_LINES = re.compile(
    r"speaks again on connection \d+|silent for [\d.]+ s; trying a fresh connection beside the old one"
    r"|connection \d+ has taken over from \d+|connection \d+ is drained and closed"
    r"|sampling every [\d.a-z]+|baselines forgotten; they are learnt anew"
)
_TOOL = re.compile(r"iperf3? [0-9.]+|ping|iputils [0-9]+")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_WORD = re.compile(r"[a-z][a-z-]{0,20}")  # of meshtop's tables: causes, states, outcomes
_NODES, _PATHS = ("src", "dst", "node"), ("path", "tunnel")
_TABLES = ("cause", "outcome", "state", "phase", "code", "kind", "severity", "schema", "id", "cookie", "unit")


def redacted_header(header: RecordingHeader, names: Names) -> RecordingHeader:
    return msgspec.structs.replace(header, mesh=names.mesh(header.mesh), redacted=True)


def redacted(records: Iterator[Record], names: Names) -> Iterator[Record]:
    """Record by record. A frame that cannot be told in other names is told as bytes that were taken out."""
    frames: dict[tuple[NodeName, int], FrameRedactor] = {}
    marks = 0
    for record in records:
        if isinstance(record, FrameRecord):
            redactor = frames.setdefault((record.node, record.connection), FrameRedactor(names))
            node = names.node(record.node)
            try:
                yield FrameRecord(record.at, node, record.connection, redactor.told(record.raw))
            except ParseError:
                yield BytesDropped(
                    at=record.at, node=node, connection=record.connection, count=len(record.raw), excerpt="taken out"
                )
        elif isinstance(record, Mark):
            marks += 1
            yield Mark(at=record.at, text=f"mark {marks}")
        else:
            yield _event(record, names)


def _event(record: Record, names: Names) -> Record:
    match record:
        case SessionChanged():
            reason = None if record.reason is None else (record.fault or "not told").replace("-", " ")
            return msgspec.structs.replace(record, node=names.node(record.node), reason=reason, cure=None)
        case OperatorPing():
            problem = None if record.problem is None else "cannot be sent"
            return msgspec.structs.replace(
                record, node=names.node(record.node), path=names.path(record.path), problem=problem
            )
        case SessionStats() | LookTaken():
            return msgspec.structs.replace(record, node=names.node(record.node))
        case BytesDropped():
            return msgspec.structs.replace(record, node=names.node(record.node), excerpt="not told")
        case LogLine():
            node = None if record.node is None else names.node(record.node)
            told = record.text if _OWN_LINES.fullmatch(record.text) else f"({len(record.text)} characters not told)"
            return msgspec.structs.replace(record, node=node, text=told)
        case BurstTold():
            return msgspec.structs.replace(record, burst=_burst(record.burst, names))
        case ExperimentTold():
            return msgspec.structs.replace(record, experiment=_experiment(record.experiment, names))
        case BaselinesKnown():
            known = ((LinkKey(names.node(k.src), names.node(k.dst), names.path(k.path)), v) for k, v in record.rtt_ms)
            return msgspec.structs.replace(record, rtt_ms=tuple(known))
        case TickRecord():
            return record
        case _:
            return record  # of figures alone


def _burst(burst: BurstRecord, names: Names) -> BurstRecord:
    return msgspec.structs.replace(
        burst,
        src=names.node(burst.src),
        dst=names.node(burst.dst),
        path=names.path(burst.path),
        tool=burst.tool if burst.tool and _TOOL.fullmatch(burst.tool) else None,
        client=None if burst.client is None else names.node(burst.client),
        server=None if burst.server is None else names.node(burst.server),
        connect_to=None if burst.connect_to is None else names.address(burst.connect_to),
        requested={key: _value(key, value, names) for key, value in burst.requested.items()},
        reason=None if burst.reason is None else "not told",
        cure=None,
        other=None if burst.other is None else _value("", _plain(burst.other), names),
        stalls=None if burst.stalls is None else tuple(_value("", each, names) for each in _plain(burst.stalls)),
        bystanders=None
        if burst.bystanders is None
        else tuple(_value("", each, names) for each in _plain(burst.bystanders)),
        raw=BurstRaw(),
    )


def _experiment(experiment: ExperimentRecord, names: Names) -> ExperimentRecord:
    return msgspec.structs.replace(
        experiment,
        src=names.node(experiment.src),
        dst=names.node(experiment.dst),
        path=names.path(experiment.path),
        sends=names.text(experiment.sends),
        reason=None if experiment.reason is None else "not told",
        cure=None,
        summary=None if experiment.summary is None else names.text(experiment.summary),
    )


def _plain(values: Any) -> Any:
    return msgspec.to_builtins(values)


def _value(key: str, value: Any, names: Names) -> Any:
    """Of what has no type of its own: figures stay, and texts of which it is known what they are."""
    if isinstance(value, dict):
        return {name: _value(name, each, names) for name, each in value.items() if isinstance(name, str)}
    if isinstance(value, list | tuple):
        return [_value(key, each, names) for each in value]
    if not isinstance(value, str):
        return value
    if key in _NODES:
        return names.node(value)
    if key in _PATHS:
        return names.path(value)
    by_key = {
        "local": names.endpoint,
        "peer": names.endpoint,
        "process": names.process,
        "cgroup": names.cgroup,
        "watch": names.watch,
    }
    if key in by_key:
        return by_key[key](value)
    if _TIME.fullmatch(value) or (key in _TABLES and re.fullmatch(r"[A-Za-z0-9./-]{1,24}", value)):
        return value
    return value if key == "congestion" and _WORD.fullmatch(value) else "not told"
