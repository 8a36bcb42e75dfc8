"""The change-only encoding, undone: each operation, and what does not fit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.rows import MAX_ROW, MAX_ROWS, MAX_TAKEN, RowChange, Rows, edited

OLD = ["ESTAB", "0", "36", "10.0.0.1:22", "rtt:43.6/11.7", "bytes_acked:4778", "busy:312ms", "cubic"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("", OLD),
        ("b5", ["ESTAB", "5", "36", "10.0.0.1:22", "rtt:43.6/11.7", "bytes_acked:4778", "busy:312ms", "cubic"]),
        ("b5a-36", ["ESTAB", "5", "0", "10.0.0.1:22", "rtt:43.6/11.7", "bytes_acked:4778", "busy:312ms", "cubic"]),
        ("a=FIN-WAIT-1", ["FIN-WAIT-1", *OLD[1:]]),
        ("e~44.1/9 a1448a36", [*OLD[:4], "rtt:44.1/9", "bytes_acked:6226", "busy:348ms", "cubic"]),
        ("d+timer:(on a+,084ms", [*OLD[:3], "timer:(on", ",084ms", *OLD[3:]]),
        ("h!", OLD[:-1]),
        ("e!a!a!", [*OLD[:4], "cubic"]),
        ("i+notsent:5", [*OLD, "notsent:5"]),
        ("h+dctcp a!", [*OLD[:-1], "dctcp"]),
    ],
)
def test_operations(change, expected):
    assert edited(OLD, change) == expected


def test_skips_beyond_the_alphabet():
    old = [str(number) for number in range(60)]
    assert edited(old, "zzc1") == [*old[:52], "53", *old[53:]]
    assert edited(old, "y1a1") == [*old[:24], "25", "26", *old[26:]]


@pytest.mark.parametrize("change", ["?", "a", "b", "5", "a5 b5", "i5", "i!", "i=x", "j+x", "zz1", "ax", "h5", "a5-"])
def test_what_is_no_change_of_this_row(change):
    with pytest.raises(ParseError):
        edited(OLD, change)


@given(st.lists(st.text("a1:. ,()/", min_size=1, max_size=8), max_size=8), st.text("abz~=+!-0123 ,x", max_size=40))
def test_a_hostile_change_raises_nothing_else(old, change):
    try:
        words = edited([word for word in old if word.strip()], change)
    except ParseError:
        return
    assert all(isinstance(word, str) for word in words)


def test_rows_come_whole_change_and_go():
    rows = Rows()
    assert rows.apply("s12=a b1 c") == RowChange("s", "12", ["a", "b1", "c"])
    assert rows.apply("s12 b4") == RowChange("s", "12", ["a", "b5", "c"])
    assert rows.apply("m1=x") == RowChange("m", "1", ["x"])
    assert rows.table("s") == {"12": ["a", "b5", "c"]}
    assert rows.apply("s12-") == RowChange("s", "12", None)
    assert rows.table("s") == {}
    rows.clear()
    assert rows.table("m") == {}


@pytest.mark.parametrize("line", ["", "s", "12=a", "S5", "s-12", "s12", "s12-x", "$12=a", "s1/2=a", "Üx=1"])
def test_what_is_no_row(line):
    assert Rows().apply(line) is None


def test_a_change_to_what_never_came():
    with pytest.raises(ParseError, match="never came whole"):
        Rows().apply("s12 a5")


def test_rows_are_bounded():
    rows = Rows()
    with pytest.raises(ParseError):
        rows.apply("q1=" + "x" * (MAX_ROW + 1))
    for number in range(MAX_ROWS):
        rows.apply(f"q{number}=x")
    with pytest.raises(ParseError):
        rows.apply("qlast=x")
    rows = Rows()
    line = "q1=" + "x" * MAX_ROW
    for _ in range(MAX_TAKEN // MAX_ROW):
        rows.apply(line)
    with pytest.raises(ParseError):
        rows.apply(line)
