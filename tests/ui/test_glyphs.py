"""Text fitted to cells, whatever it holds."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from meshtop.ui.glyphs import ASCII, UNICODE, terminal_is_poor

ANY = st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "width", "align", "fitted"),
    [
        ("abc", 5, "<", "abc  "),
        ("abc", 5, ">", "  abc"),
        ("abc", 5, "^", " abc "),
        ("abcdef", 5, "<", "abcd…"),
        ("湖北", 4, "<", "湖北"),
        ("湖北香港", 5, "<", "湖北…"),
        ("湖北香港", 4, "<", "湖… "),
        ("湖北", 1, "<", "…"),
        ("abc", 0, "<", ""),
        ("abc", -3, "<", ""),
        ("", 3, "<", "   "),
    ],
)
def test_text_takes_exactly_its_cells(text, width, align, fitted) -> None:
    assert UNICODE.fit(text, width, align) == fitted


@given(ANY, st.integers(0, 30), st.sampled_from("<>^"))
def test_any_text_takes_exactly_its_cells(text, width, align) -> None:
    for glyphs in (UNICODE, ASCII):
        assert cell_len(glyphs.fit(text, width, align)) == width


@given(ANY)
def test_nothing_steers_the_terminal(text) -> None:
    unsafe = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert not unsafe & {category(char) for char in UNICODE.text(text)}
    assert ASCII.text(text).isascii()
    assert ASCII.text(text).isprintable() or not text


@pytest.mark.parametrize("hostile", ["\x1b[31m", "\x9b2J", "a\rb", "\u202eabc", "\u200b", "\x00", "\ue000", "\udc80"])
def test_what_steers_is_replaced(hostile) -> None:
    shown = UNICODE.text(hostile)
    assert "\ufffd" in shown
    assert not any(char in shown for char in "\x1b\x9b\r\u202e\u200b\x00\ue000\udc80")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("❤\ufe0f!", "❤!"), ("1\ufe0f\u20e3", "1"), ("👍🏽", "👍"), ("🇩🇪", "��"), ("e\u0301", "é"), ("\u3164", "�")],
)
def test_a_sign_is_as_wide_in_each_terminal(text, shown) -> None:
    assert UNICODE.text(text) == shown
    assert cell_len(shown) == sum(cell_len(char) for char in shown)


def test_text_is_cut_by_its_cells() -> None:
    assert UNICODE.cut("湖北武汉", 8) == "湖北武汉"
    assert UNICODE.cut("湖北武汉", 7) == "湖北武…"
    assert UNICODE.cut("湖北武汉", 6) == "湖北…"
    assert UNICODE.cut("abc", 9) == "abc"
    assert UNICODE.cut("abc", 0) == ""


@given(st.text(alphabet="ab 湖\t\u202e[]/", max_size=60), st.integers(1, 20), st.integers(1, 4))
def test_wrapped_text_stays_within_its_bounds(text, width, limit) -> None:
    lines = UNICODE.wrap(text, width, limit)
    assert len(lines) <= limit
    assert all(cell_len(line) <= width for line in lines)


def test_wrapping_breaks_between_words_and_says_when_it_cuts() -> None:
    assert UNICODE.wrap("the quick brown fox jumps", 10, 9) == ["the quick", "brown fox", "jumps"]
    assert UNICODE.wrap("the quick brown fox jumps", 10, 2) == ["the quick", "brown fox…"]
    assert UNICODE.wrap("abcdefghijkl mno", 5, 9) == ["abcde", "fghij", "kl", "mno"]
    assert UNICODE.wrap("", 5, 3) == []


@pytest.mark.parametrize(
    ("term", "encoding", "poor"),
    [
        ("xterm-256color", "utf-8", False),
        ("tmux-256color", "UTF-8", False),
        ("xterm", "ansi_x3.4-1968", True),
        ("vt100", "utf-8", True),
        ("dumb", "utf-8", True),
        ("linux", "utf-8", True),
    ],
)
def test_poor_terminals_get_ascii(term, encoding, poor) -> None:
    assert terminal_is_poor(term, encoding) is poor
