"""Real documents of six versions, and hostile ones. Their sums: tests/collect/test_burst_result.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.iperf3 import (
    MAX_LINE_BYTES,
    Interval,
    Live,
    StreamAssembler,
    StreamEnd,
    StreamError,
    StreamStart,
    decode,
    error_of,
    intervals_of,
    listening_port,
    one_way,
    parse_text_interval,
)

VERSIONS = ("3.7", "3.9", "3.12", "3.16", "3.18", "3.22")
TROUBLED = ("3.7", "3.9", "3.12", "3.18", "3.22")  # of which failures were captured


@pytest.fixture
def outputs(fixtures: Path) -> Path:
    return fixtures / "iperf3"


def read(outputs: Path, version: str, kind: str) -> dict[str, Any]:
    return decode((outputs / f"iperf3-{version}-{kind}").read_bytes())


@pytest.mark.parametrize("version", VERSIONS)
def test_intervals(outputs: Path, version: str) -> None:
    document = read(outputs, version, "json.out")
    intervals = intervals_of(document)
    assert [interval.end_s for interval in intervals] == pytest.approx([1, 2], abs=0.01)
    (stream,) = intervals[0].streams
    assert stream.sender
    assert stream.cwnd_bytes
    assert 0 < (stream.rtt_ms or 0) < 1  # over loopback, and given in microseconds
    assert stream.port == document["start"]["connected"][0]["local_port"]
    assert error_of(document) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ways_are_kept_apart(outputs: Path, version: str) -> None:
    """3.7 and 3.9 repeat sum_sent, and a plain decoder keeps only the last."""
    document = read(outputs, version, "json-bidir.out")
    assert one_way(document)["end"]["sum_sent"] != one_way(document, other=True)["end"]["sum_sent"]
    intervals = intervals_of(document)
    assert all(interval.other is not None for interval in intervals)
    assert [stream.sender for stream in intervals[0].streams] == [True, False]
    assert intervals[0].streams[1].retransmits is None  # a receiver cannot know: absent, not zero


def test_the_first_of_two_equal_keys_is_the_forward_direction(outputs: Path) -> None:
    document = read(outputs, "3.7", "json-bidir.out")
    counts = [one_way(document, other=other)["end"]["sum_sent"]["retransmits"] for other in (False, True)]
    assert counts == [0, 1]


@pytest.mark.parametrize("version", [version for version in TROUBLED if version != "3.9"])
@pytest.mark.parametrize(("kind", "said"), [("err-busy", "server is busy"), ("err-refused", "Connection refused")])
def test_failures_say_why(outputs: Path, version: str, kind: str, said: str) -> None:
    error = error_of(read(outputs, version, f"{kind}.json")) or ""
    assert said in error
    assert not error.startswith("error")


@pytest.mark.parametrize("version", TROUBLED)
def test_a_dying_server_leaves_what_came_before(outputs: Path, version: str) -> None:
    document = read(outputs, version, "srvkill.json")
    assert intervals_of(document)
    assert version == "3.9" or error_of(document)


@pytest.mark.parametrize("name", ["3.18-jsonstream", "3.22-jsonstream", "3.18-jsonstream-P2-bidir"])
@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_stream_in_pieces_is_the_same_result(outputs: Path, name: str, size: int) -> None:
    data = (outputs / f"iperf3-{name}.out").read_bytes()
    assembler = StreamAssembler()
    live: list[Live] = []
    for begin in range(0, len(data), size):
        live += assembler.feed(data[begin : begin + size])
    assert [type(event) for event in live] == [StreamStart, Interval, Interval, StreamEnd]
    document = assembler.document()
    assert document["end"]["sum_sent"]["bytes"]
    assert intervals_of(document) == tuple(event for event in live if isinstance(event, Interval))
    assert all(stream.port for interval in intervals_of(document) for stream in interval.streams)


def test_a_full_stream_has_its_document_after_it(outputs: Path) -> None:
    assembler = StreamAssembler()
    assembler.feed((outputs / "iperf3-3.22-jsonstreamfull.out").read_bytes())
    assert assembler.document()["end"]["sum_sent"]["bytes"]


def test_a_stream_tells_of_its_failure() -> None:
    assembler = StreamAssembler()
    line = b'{"event":"error","data":"unable to connect to server: Connection refused"}\n'
    assert assembler.feed(line) == [StreamError(text="unable to connect to server: Connection refused")]
    assert error_of(assembler.document()) == "unable to connect to server: Connection refused"


def test_an_endless_line_is_dropped() -> None:
    assembler = StreamAssembler()
    for _ in range(4):
        assert assembler.feed(b"x" * MAX_LINE_BYTES) == []
    end = b'{"event":"end","data":{}}\n'
    assert assembler.feed(end + end) == [StreamEnd()]  # the first one is still of that line


@pytest.mark.parametrize("version", VERSIONS)
def test_text_intervals(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line))]
    live = [interval for interval in found if interval.final is None]
    socket = 4 if version == "3.22" else 5
    assert [(each.end_s, each.stream) for each in live] == [(1, socket), (2, socket)]
    assert [each.final for each in found[len(live) :]] == ["sender", "receiver"]
    exact = intervals_of(read(outputs, version, "json.out"))[0].way.bps
    assert live[0].way.bps == pytest.approx(exact, rel=0.01)
    assert live[0].way.retransmits == (1 if version == "3.7" else 0)
    assert found[-1].way.retransmits is None


@pytest.mark.parametrize("version", VERSIONS)
def test_text_of_two_streams_both_ways(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text-P2-bidir.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line))]
    sums = [each for each in found if each.stream is None and each.final is None]
    assert [each.way.retransmits is None for each in sums] == [False, True] * 2  # [TX-C], [RX-C]
    assert len(found) == 12 + 12


@pytest.mark.parametrize("version", VERSIONS)
def test_text_of_udp(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text-udp.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line, udp=True))]
    assert len(found) == 4
    assert [each.way.retransmits for each in found] == [None] * 4
    assert found[0].way.bps == pytest.approx(5.2e6, rel=0.05)


def test_a_server_says_where_it_listens() -> None:
    rule = "-" * 59
    assert listening_port(f"{rule}\nServer listening on 5203 (test #1)\n{rule}\n") == 5203
    assert listening_port(f"{rule}\nServer listening on 5201\n{rule}\n") == 5201
    assert listening_port("iperf3: error - unable to start listener for connections: Address already in use") is None


def test_wrong_fields_are_not_taken_for_zero() -> None:
    sums = {"bits_per_second": "many", "retransmits": -1, "end": True}
    (interval,) = intervals_of({"start": [], "intervals": [7, {"sum": sums, "streams": {}}]})
    assert interval == Interval(end_s=0.0, way=interval.way)
    assert (interval.way.bps, interval.way.retransmits) == (None, None)


def test_words_are_cleaned() -> None:
    assert error_of(decode(b'{"error": "iperf3: error - \\u001b[31mred\\u202e"}')) == "red"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"{}", b'{"a":' * 100_000, b'{"start": ' + b"9" * 5000 + b"}"])
def test_what_is_no_result(data: bytes) -> None:
    with pytest.raises(ParseError):
        decode(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["start", "intervals", "end", "error", "sum", "streams", "sum_sent", "bytes", "rtt", "udp", "sender",
                 "test_start", "connected", "local_port", "version", "event", "data", "start"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.one_of(st.binary(), JSON.map(lambda value: json.dumps(value).encode())))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    try:
        document = decode(data)
    except ParseError:
        document = {}
    intervals_of(document)
    error_of(document)
    one_way(document, other=True)
    parse_text_interval(data.decode("utf-8", "replace"))
    listening_port(data.decode("utf-8", "replace"))


@given(
    st.lists(
        st.one_of(st.binary(), JSON.map(lambda value: b'{"event":"interval","data":%s}\n' % json.dumps(value).encode()))
    )
)
def test_a_hostile_stream_raises_nothing(pieces: list[bytes]) -> None:
    assembler = StreamAssembler()
    for piece in pieces:
        assembler.feed(piece)
    intervals_of(assembler.document())
