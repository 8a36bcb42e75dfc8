"""A window cut out of a recording, so that it is a recording of its own: with a lead from which the state at its
beginning can be known."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

import meshtop
from meshtop.collect.fold import Fold
from meshtop.model import BaselinesKnown, NodeName
from meshtop.recording import FrameRecord, Record, RecordingHeader, RecordingReader
from meshtop.recording.recent import KeyFrames, Standing, is_key

# Folded before the lead, to know the links' RTT baselines, which take minutes to learn.
LEARN_S = 300.0


def cut(reader: RecordingReader, begin: float, end: float) -> tuple[RecordingHeader, Iterator[Record]]:
    """The header of the new recording, and its records in their order."""
    needed = _needed_from(reader, begin)
    header = msgspec.structs.replace(
        reader.header, meshtop=meshtop.__version__, started_at=begin, part=1, lead_until=begin
    )
    return header, _records(reader, needed, end)


def _needed_from(reader: RecordingReader, begin: float) -> float:
    keys = KeyFrames()
    for record in reader.records():
        if record.at > begin:
            break
        if isinstance(record, FrameRecord):
            keys.see(record)
    return keys.needed_from(begin)


def _records(reader: RecordingReader, needed: float, end: float) -> Iterator[Record]:
    standing, learnt = Standing(), Fold(reader.header.mesh)
    begun: set[tuple[NodeName, int]] = set()
    inside = False
    for record in reader.records():
        if record.at > end:
            break
        if not inside and record.at < needed:
            if not isinstance(record, FrameRecord):
                standing.learn(record)
            if record.at >= needed - LEARN_S or isinstance(record, BaselinesKnown):
                learnt.take(record)
            continue
        if not inside:
            inside = True
            for event in (*standing.events(), learnt.engine.baselines(needed)):
                yield msgspec.structs.replace(event, at=needed)
        if isinstance(record, FrameRecord):
            connection = (record.node, record.connection)
            if connection not in begun and not is_key(record.raw):
                continue  # builds on what was cut off
            begun.add(connection)
        yield record
