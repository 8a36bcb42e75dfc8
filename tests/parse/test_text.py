"""What a node says cannot move the cursor, hide or turn text round, or fill a screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.text import ELLIPSIS, clean, clean_bytes

HOSTILE = st.text(
    st.one_of(
        st.sampled_from(
            "\x1b\x07\x9b\x9d\x90\x9c[]();\\mHJ0123456789 abc\u202e\u2066\u200b\u200d\ufe0f\ud800\n\t\r\x00"
        ),
        st.characters(exclude_categories=()),
    ),
    max_size=300,
)


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("plain", "plain"),
        ("  two  words \n", "two  words"),
        ("a\tb\nc\r\nd", "a b c  d"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[1;1Hhome", "home"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("\x9dtitle\x9cafter", "after"),
        ("\x1b]never ended", "never ended"),
        ("\x1b(Bcharset\x1bcreset", "charsetreset"),
        ("\x1b", ""),
        ("gnp\u202egnp.exe", "gnpgnp.exe"),
        ("z\u200be\u200dr\ufeffo", "zero"),
        ("tag\U000e0041\U000e007f", "tag"),
        ("\ud800 lone", "\ufffd lone"),
        ("a\u00a0b\u3000c\u2028d", "a b c d"),
        ("日本語 é ➜", "日本語 é ➜"),
        ("e\u0301", "e\u0301"),
    ],
)
def test_clean(given_text: str, expected: str) -> None:
    assert clean(given_text) == expected


def test_long_text_ends_in_an_ellipsis_within_the_limit() -> None:
    assert clean("x" * 201) == "x" * 199 + ELLIPSIS
    assert clean("x" * 200) == "x" * 200
    assert clean("abcdef", 3) == "ab" + ELLIPSIS
    assert clean("abc", 1) == ELLIPSIS


def test_escapes_do_not_count_towards_the_limit() -> None:
    assert clean("\x1b[31m" * 20 + "abc", 3) == "abc"


def test_bytes_that_are_not_utf8() -> None:
    assert clean_bytes(b"caf\xc3\xa9 \xff\xfe") == "café \ufffd\ufffd"
    assert clean_bytes("日本語".encode()[:-1]) == "日本\ufffd"


@given(HOSTILE, st.integers(1, 60))
def test_the_result_is_one_harmless_bounded_line(text: str, limit: int) -> None:
    cleaned = clean(text, limit)
    assert len(cleaned) <= limit
    assert cleaned.isprintable()
    assert clean(cleaned, limit) == cleaned


@given(st.binary(max_size=300), st.integers(1, 60))
def test_any_bytes(data: bytes, limit: int) -> None:
    assert len(clean_bytes(data, limit)) <= limit


@pytest.mark.parametrize("flood", ["\x1b]", "\x9d", "\x1b[0", "\x1b", "\u202e", "\x1bP\x9d"])
def test_a_megabyte_costs_what_a_line_costs(flood: str) -> None:
    """Only the part that may end up in the result is looked at, so a flood cannot hide text behind it either."""
    assert clean(flood * 500_000 + "tail") in ("", ELLIPSIS, "0" * 199 + ELLIPSIS)
