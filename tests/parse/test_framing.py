"""Frames cut out of a stream, however it is chunked and whatever stands between them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.framing import END, MAGIC, MAX_BODY, MAX_HEADER, Dropped, FrameDecoder, parse_header, split_frame

BOOT = b"0f0e0d0c-0000-4000-8000-000000000001"


def frame(seq: int = 1, body: bytes = b"S0\n", kind: bytes = b"K", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"@meshtop1 %s abc123 %d 12.34 0.2 0 %s %d\n%s@end\n" % (BOOT, seq, kind, size, body)


bodies = st.lists(
    st.binary(max_size=60).map(lambda b: b"i" + b.replace(b"\n", b" ") + b"\n"), min_size=0, max_size=8
).map(b"".join)
frames = st.builds(frame, seq=st.integers(1, 10**9), body=bodies, kind=st.sampled_from([b"K", b"D"]))
# What a shell may say; damage that looks like our own marks comes in tests of its own.
noise = st.binary(max_size=200).filter(lambda b: b"@" not in b)
hostile = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from([MAGIC, END, b"@meshtop", b"\n@", b"\n", frame()[:40], frame(length=5), frame(length=10**7)]),
        frames,
    ),
    max_size=30,
).map(b"".join)


def chunked(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


def decode(chunks: list[bytes]) -> tuple[list[bytes], int]:
    """The frames, and how many bytes were dropped."""
    decoder = FrameDecoder()
    items = [item for chunk in chunks for item in decoder.feed(chunk)] + decoder.finish()
    return [item for item in items if isinstance(item, bytes)], sum(
        item.count for item in items if isinstance(item, Dropped)
    )


@given(st.lists(st.one_of(frames, noise), max_size=10), st.lists(st.integers(0, 10**6), max_size=40))
def test_any_chunking_gives_the_same_frames_and_drops_the_rest(parts, cuts):
    data = b"".join(parts)
    expected = [part for part in parts if part.startswith(MAGIC)]
    assert decode(chunked(data, cuts)) == (expected, len(data) - sum(map(len, expected)))


@given(hostile, st.lists(st.integers(0, 10**6), max_size=40))
def test_hostile_bytes_are_frames_or_are_counted(data, cuts):
    found, dropped = decode(chunked(data, cuts))
    assert sum(map(len, found)) + dropped == len(data)
    assert (found, dropped) == decode([data])
    for raw in found:
        split_frame(raw)


@given(hostile, st.lists(st.integers(0, 10**6), max_size=20))
def test_after_any_damage_the_second_frame_is_found(data, cuts):
    """The first may be swallowed by a header before it that was cut short, the second never is."""
    last = frame(seq=77)
    found, _ = decode(chunked(data + b"\n" + frame(seq=76) + last, cuts))
    assert found[-1] == last


def test_a_frame_is_given_as_soon_as_it_is_whole():
    decoder = FrameDecoder()
    raw = frame(body=b"S5\n")
    assert decoder.feed(raw[:-1]) == []
    assert decoder.feed(raw[-1:]) == [raw]


def test_an_empty_body():
    assert decode([frame(body=b"")]) == ([frame(body=b"")], 0)


@pytest.mark.parametrize("length", [0, 1, 4, 2000])
def test_a_length_that_is_not_true_costs_that_frame_alone(length):
    wrong = frame(seq=1, body=b"m1=a b\nm2=c d\n", length=length)
    decoder = FrameDecoder()
    items = decoder.feed(wrong + frame(seq=2))
    assert [item for item in items if isinstance(item, bytes)] == [frame(seq=2)]
    assert sum(item.count for item in items if isinstance(item, Dropped)) == len(wrong)


def test_a_frame_cut_in_the_middle_does_not_hold_up_the_next():
    cut = frame(seq=1, body=b"m1=" + b"1 " * 5000 + b"\n")[:4000]
    decoder = FrameDecoder()
    assert decoder.feed(cut) == []
    items = decoder.feed(b"\n" + frame(seq=2))
    assert items[-1] == frame(seq=2)


def test_a_banner_is_told_in_clean_text():
    decoder = FrameDecoder()
    (dropped,) = decoder.feed(b"Last login: \x1b[31mtoday\x1b[0m\r\n")
    assert isinstance(dropped, Dropped)
    assert dropped == Dropped(count=28, excerpt="Last login: today")


def test_memory_is_bounded_by_one_frame():
    decoder = FrameDecoder()
    claim = b"@meshtop1 %s abc 1 1.00 1 0 K %d\n" % (BOOT, MAX_BODY)
    decoder.feed(claim)
    chunk = b"s1=" + b"x" * 65532 + b"\n"
    for _ in range(MAX_BODY // len(chunk) + 20):
        decoder.feed(chunk)
        assert len(decoder._buffer) <= MAX_BODY + MAX_HEADER + 2 * len(chunk)
    # It is no frame, as it does not end where it said; the stream goes on.
    assert decoder.feed(frame(seq=9))[-1] == frame(seq=9)


def test_garbage_is_not_kept():
    decoder = FrameDecoder()
    for _ in range(50):
        decoder.feed(b"x" * 65536)
    assert len(decoder._buffer) < len(MAGIC)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"@meshtop1 \n",
        b"@meshtop2 %s abc 1 1.00 1 0 K 3\n" % BOOT,
        b"@meshtop1 %s abc 1 1.00 0 0 K 3\n" % BOOT,
        b"@meshtop1 %s abc 1 1.00 1 0 X 3\n" % BOOT,
        b"@meshtop1 %s abc 1 1.00 1 0 K 99999999\n" % BOOT,
        b"@meshtop1 %s abc 1 1.00 1 0 K 3" % BOOT,
        b"@meshtop1 /etc/passwd abc 1 1.00 1 0 K 3\n",
    ],
)
def test_what_is_no_header(line):
    with pytest.raises(ParseError):
        parse_header(line)


def test_a_header():
    header, body = split_frame(frame(seq=7, kind=b"D"))
    assert header._asdict() == {
        "boot": BOOT.decode(),
        "probe": "abc123",
        "seq": 7,
        "uptime_s": 12.34,
        "interval_s": 0.2,
        "skipped": 0,
        "key": False,
        "length": 3,
    }
    assert body == b"S0\n"


@pytest.mark.parametrize("raw", [b"", frame()[:-1], frame() + b"x", frame(body=b"S0"), frame(length=2)])
def test_what_is_no_single_frame(raw):
    with pytest.raises(ParseError):
        split_frame(raw)
