"""The end of standard error."""

from __future__ import annotations

from meshtop.transport.tail import Tail


def test_the_last_lines_are_kept_clean() -> None:
    tail = Tail()
    for number in range(10):
        tail.feed(f"line {number}\n\n".encode())
    tail.feed(b"\x1b[31mred\x07\xff")
    assert tail.excerpt() == "line 6 / line 7 / line 8 / line 9 / red\N{REPLACEMENT CHARACTER}"


def test_a_flood_costs_no_memory() -> None:
    tail = Tail()
    for _ in range(100):
        tail.feed(b"x" * 100_000)
    assert len(tail._kept) <= 4096
    assert len(tail.excerpt()) <= 200


def test_silence_is_empty() -> None:
    assert Tail().excerpt() == ""
