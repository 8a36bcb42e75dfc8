"""Real results of six versions, and hostile ones."""

from __future__ import annotations

import json
from pathlib import Path

import iperf3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.iperf3 import (
    MAX_LINE_BYTES,
    Interval,
    Live,
    Result,
    StreamAssembler,
    StreamEnd,
    StreamError,
    StreamStart,
    decode,
    listening_port,
    parse_result,
    parse_stream_line,
    parse_text_interval,
    result_of,
)

VERSIONS = ("3.7", "3.9", "3.12", "3.16", "3.18", "3.22")
TROUBLED = ("3.7", "3.9", "3.12", "3.18", "3.22")  # of which failures were captured
BOTH_WAYS = 5_111_808  # bytes each way of the captured two-second tests at 20 Mbit/s


@pytest.fixture
def outputs(fixtures: Path) -> Path:
    return fixtures / "iperf3"


def read(outputs: Path, version: str, kind: str) -> Result:
    return parse_result((outputs / f"iperf3-{version}-{kind}").read_bytes())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_result(outputs: Path, version: str) -> None:
    result = read(outputs, version, "json.out")
    assert (result.version, result.role, result.protocol, result.streams) == (version, "client", "TCP", 1)
    assert result.complete
    assert result.error is None
    assert result.errors == 0
    assert result.sent is not None
    assert result.received is not None
    assert result.sent.bytes == result.received.bytes == 12_582_912
    assert result.sent.retransmits == 0
    assert result.received.retransmits is None  # a receiver cannot know: absent, not zero
    assert [interval.end_s for interval in result.intervals] == pytest.approx([1, 2], abs=0.01)
    (stream,) = result.intervals[0].streams
    assert stream.sender
    assert stream.cwnd_bytes
    assert 0 < (stream.rtt_ms or 0) < 1  # over loopback, and given in microseconds
    (total,) = result.stream_totals
    assert (total.min_rtt_ms or 0) <= (total.mean_rtt_ms or 0) <= (total.max_rtt_ms or 0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("kind", "streams"), [("json.out", 1), ("json-P2.out", 2), ("json-srvout.out", 1)])
def test_agrees_with_the_package_iperf3(outputs: Path, version: str, kind: str, streams: int) -> None:
    theirs = iperf3.TestResult((outputs / f"iperf3-{version}-{kind}").read_text())
    ours = read(outputs, version, kind)
    assert ours.sent is not None
    assert ours.received is not None
    assert (ours.sent.bytes, ours.sent.rate_bps) == (theirs.sent_bytes, theirs.sent_bps)
    assert (ours.received.bytes, ours.received.rate_bps) == (theirs.received_bytes, theirs.received_bps)
    assert ours.sent.retransmits == theirs.retransmits
    assert ours.streams == theirs.num_streams == len(ours.stream_totals) == streams
    assert ours.reverse == theirs.reverse
    assert ours.local_ports[0] == theirs.local_port


@pytest.mark.parametrize("version", VERSIONS)
def test_udp(outputs: Path, version: str) -> None:
    theirs = iperf3.TestResult((outputs / f"iperf3-{version}-json-udp.out").read_text())
    ours = read(outputs, version, "json-udp.out")
    assert ours.protocol == "UDP"
    assert ours.errors == 0
    assert ours.sent is not None
    assert ours.sent.bytes == theirs.bytes
    assert ours.sent.packets == theirs.packets
    assert ours.sent.retransmits is None
    assert ours.stream_totals[0].sent is not None
    assert ours.stream_totals[0].sent.jitter_ms == theirs.jitter_ms


@pytest.mark.parametrize("version", VERSIONS)
def test_both_ways_are_kept_apart(outputs: Path, version: str) -> None:
    """3.7 and 3.9 repeat sum_sent, and a plain decoder keeps only the last."""
    result = read(outputs, version, "json-bidir.out")
    totals = (result.sent, result.received, result.other_sent, result.other_received)
    assert all(total is not None and abs((total.bytes or 0) - BOTH_WAYS) < 262_144 for total in totals)
    assert [total.sender for total in result.stream_totals] == [True, False]
    assert all(interval.other is not None for interval in result.intervals)


def test_the_first_of_two_equal_keys_is_the_forward_direction(outputs: Path) -> None:
    result = read(outputs, "3.7", "json-bidir.out")
    assert result.sent is not None
    assert result.other_sent is not None
    assert (result.sent.retransmits, result.other_sent.retransmits) == (0, 1)


@pytest.mark.parametrize("version", [version for version in TROUBLED if version != "3.9"])
@pytest.mark.parametrize(("kind", "said"), [("err-busy", "server is busy"), ("err-refused", "Connection refused")])
def test_failures_say_why(outputs: Path, version: str, kind: str, said: str) -> None:
    result = read(outputs, version, f"{kind}.json")
    assert not result.complete
    assert said in (result.error or "")
    assert not (result.error or "").startswith("error")


@pytest.mark.parametrize("kind", ["err-busy", "err-refused"])
def test_3_9_leaves_the_error_out(outputs: Path, kind: str) -> None:
    text = (outputs / f"iperf3-3.9-{kind}.json").read_text()
    with pytest.raises(KeyError):
        iperf3.TestResult(text)
    result = parse_result(text.encode())
    assert (result.complete, result.error, result.version) == (False, None, "3.9")


@pytest.mark.parametrize("version", TROUBLED)
def test_a_dying_server_leaves_what_came_before(outputs: Path, version: str) -> None:
    result = read(outputs, version, "srvkill.json")
    assert result.intervals
    assert not result.complete
    assert version == "3.9" or result.error


@pytest.mark.parametrize("version", TROUBLED)
def test_an_interrupted_client_still_counts(outputs: Path, version: str) -> None:
    result = read(outputs, version, "sigterm.json")
    assert result.complete
    assert result.sent is not None
    assert result.sent.bytes
    assert version == "3.9" or "client has terminated" in (result.error or "")


@pytest.mark.parametrize("name", ["3.18-jsonstream", "3.22-jsonstream", "3.18-jsonstream-P2-bidir"])
@pytest.mark.parametrize("size", [1, 7, 1000, 100_000])
def test_a_stream_in_pieces_is_the_same_result(outputs: Path, name: str, size: int) -> None:
    data = (outputs / f"iperf3-{name}.out").read_bytes()
    assembler = StreamAssembler()
    live: list[Live] = []
    for begin in range(0, len(data), size):
        live += assembler.feed(data[begin : begin + size])
    assert [type(event) for event in live] == [StreamStart, Interval, Interval, StreamEnd]
    result = assembler.result()
    assert result.complete
    assert result.intervals == tuple(event for event in live if isinstance(event, Interval))
    assert assembler.errors == result.errors == 0
    if "P2" not in name:
        theirs = iperf3.TestResult(json.dumps(assembler.document()))
        assert result.sent is not None
        assert result.sent.bytes == theirs.sent_bytes


def test_a_full_stream_has_its_document_after_it(outputs: Path) -> None:
    assembler = StreamAssembler()
    assembler.feed((outputs / "iperf3-3.22-jsonstreamfull.out").read_bytes())
    assert assembler.result().complete


def test_a_stream_tells_of_its_failure() -> None:
    assembler = StreamAssembler()
    line = b'{"event":"error","data":"unable to connect to server: Connection refused"}\n'
    assert assembler.feed(line) == [StreamError(text="unable to connect to server: Connection refused")]
    assert assembler.result().error == "unable to connect to server: Connection refused"


def test_an_endless_line_is_dropped_and_counted_once() -> None:
    assembler = StreamAssembler()
    for _ in range(4):
        assert assembler.feed(b"x" * MAX_LINE_BYTES) == []
    assert assembler.feed(b'tail\n{"event":"end","data":{}}\n') == [StreamEnd()]
    assert assembler.errors == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_text_intervals(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line))]
    live = [interval for interval in found if interval.final is None]
    socket = 4 if version == "3.22" else 5
    assert [(each.start_s, each.end_s, each.stream) for each in live] == [(0, 1, socket), (1, 2, socket)]
    assert [each.final for each in found[len(live) :]] == ["sender", "receiver"]
    exact = read(outputs, version, "json.out").intervals[0].total.rate_bps
    assert live[0].total.rate_bps == pytest.approx(exact, rel=0.01)
    assert live[0].total.retransmits == (1 if version == "3.7" else 0)
    assert 800_000 < (live[0].cwnd_bytes or 0) < 1_300_000
    assert found[-1].total.retransmits is None


@pytest.mark.parametrize("version", VERSIONS)
def test_text_of_two_streams_both_ways(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text-P2-bidir.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line))]
    sums = [each for each in found if each.stream is None and each.final is None]
    assert [each.role for each in sums] == ["TX-C", "RX-C"] * 2
    assert all(each.total.retransmits is None for each in found if each.role == "RX-C" and each.final is None)
    assert len(found) == 12 + 12


@pytest.mark.parametrize("version", VERSIONS)
def test_text_of_udp(outputs: Path, version: str) -> None:
    lines = (outputs / f"iperf3-{version}-text-udp.out").read_text().splitlines()
    found = [interval for line in lines if (interval := parse_text_interval(line, udp=True))]
    assert [each.total.packets for each in found] == [20, 19, 39, 39]
    assert [each.total.retransmits for each in found] == [None] * 4
    assert found[-1].total.lost_packets == 0


def test_a_server_says_where_it_listens() -> None:
    rule = "-" * 59
    assert listening_port(f"{rule}\nServer listening on 5203 (test #1)\n{rule}\n") == 5203
    assert listening_port(f"{rule}\nServer listening on 5201\n{rule}\n") == 5201
    assert listening_port("iperf3: error - unable to start listener for connections: Address already in use") is None


def test_wrong_fields_are_counted_and_not_taken_for_zero() -> None:
    result = result_of({"start": [], "end": {"sum_sent": {"bytes": "many", "retransmits": -1, "seconds": True}}})
    assert result.sent is not None
    assert (result.sent.bytes, result.sent.retransmits, result.sent.seconds) == (None, None, None)
    assert result.errors == 4


def test_words_are_cleaned() -> None:
    assert parse_result(b'{"error": "iperf3: error - \\u001b[31mred\\u202e"}').error == "red"


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"{}", b'{"a":' * 100_000, b'{"start": ' + b"9" * 5000 + b"}"])
def test_what_is_no_result(data: bytes) -> None:
    with pytest.raises(ParseError):
        parse_result(data)


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
    for read_it in (decode, parse_result, parse_stream_line):
        try:
            read_it(data)
        except ParseError:
            continue
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
    assembler.result()
