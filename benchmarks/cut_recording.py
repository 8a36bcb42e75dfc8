"""A recording made small for a test: its first seconds, and of the mesh only some nodes.

python -m benchmarks.cut_recording FROM.mtr TO.mtr SECONDS [a,e]
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from meshtop.recording import FrameRecord, RecordingReader
from meshtop.recording.writer import RecordingWriter


def cut(source: Path, target: Path, seconds: float, nodes: frozenset[str]) -> None:
    """The first ``seconds`` of ``source`` with these nodes; all of them where there are none."""
    with RecordingReader(source) as reader, target.open("xb", buffering=0) as file:
        mesh = reader.header.mesh
        kept = tuple(node for node in mesh.nodes if not nodes or node.name in nodes)
        header = msgspec.structs.replace(reader.header, mesh=msgspec.structs.replace(mesh, nodes=kept))
        writer = RecordingWriter(file, header)
        names = {node.name for node in kept} | {None}
        for record in reader.records():
            if record.at - reader.first_at > seconds:
                break
            if (record.node if isinstance(record, FrameRecord) else getattr(record, "node", None)) in names:
                writer.add(record)
        writer.flush()


if __name__ == "__main__":
    source, target, seconds, *nodes = sys.argv[1:]
    cut(Path(source), Path(target), float(seconds), frozenset(nodes[0].split(",")) if nodes else frozenset())
