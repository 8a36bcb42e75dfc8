"""Recordings: everything that reached the engine, as it arrived.

A recording holds the raw frames, not what was made of them, so that a better parser or a better rule can be run over
yesterday's incident. The format is described in docs/recordings.md; in short: one line of JSON with magic, version and
the mesh, then blocks. A block holds up to about a second of records, is compressed with the text before it as the
dictionary, carries its own checksum and is written by one ``write``. Every minute a block begins anew without a
dictionary: there a reader can start. A file that ends within a block (a killed writer, a full disk) opens up to there.
"""

from meshtop.recording.blocks import BLOCK_S as BLOCK_S
from meshtop.recording.blocks import FRESH_S as FRESH_S
from meshtop.recording.reader import RecordingReader as RecordingReader
from meshtop.recording.records import FORMAT as FORMAT
from meshtop.recording.records import MAGIC as MAGIC
from meshtop.recording.records import SUFFIX as SUFFIX
from meshtop.recording.records import FrameRecord as FrameRecord
from meshtop.recording.records import Glance as Glance
from meshtop.recording.records import Record as Record
from meshtop.recording.records import RecordedEvent as RecordedEvent
from meshtop.recording.records import RecordingError as RecordingError
from meshtop.recording.records import RecordingHeader as RecordingHeader
from meshtop.recording.records import TickRecord as TickRecord
from meshtop.recording.writer import RecordingWriter as RecordingWriter
