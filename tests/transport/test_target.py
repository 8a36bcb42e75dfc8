"""How a destination is written."""

from __future__ import annotations

import pytest

from meshtop.transport.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "host", "port", "user"),
    [
        ("a", "a", None, None),
        (" chongqing.example ", "chongqing.example", None, None),
        ("root@a", "a", None, "root"),
        ("a:2222", "a", 2222, None),
        ("root@203.0.113.10:22", "203.0.113.10", 22, "root"),
        ("[2001:db8::1]:2222", "2001:db8::1", 2222, None),
        ("root@[2001:db8::1]", "2001:db8::1", None, "root"),
        ("2001:db8::1", "2001:db8::1", None, None),
        ("user@corp@a", "a", None, "user@corp"),
    ],
)
def test_targets_are_taken_apart(text: str, host: str, port: int | None, user: str | None) -> None:
    assert parse_target(text) == Target(host=host, port=port, user=user)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "root@",
        "@a",
        "a:",
        "a:0",
        "a:65536",
        "a:ssh",
        "a:²",
        "-oProxyCommand=x",
        "a b",
        "$(id)@a",
        "a;id",
        "[a",
        "/a",
    ],
)
def test_what_is_no_target_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"user@host:port"):
        parse_target(text)


@pytest.mark.parametrize("text", ["a", "root@a:22", "[2001:db8::1]:22", "root@2001:db8::1"])
def test_a_target_is_shown_as_it_is_written(text: str) -> None:
    assert str(parse_target(text)) == text
