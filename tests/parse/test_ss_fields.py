"""When absent means zero."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from meshtop.parse.ss import parse_ss, supported_fields
from meshtop.readings import SocketReading

RELEASES = ["4.1.0", "4.2.0", "4.6.0", "4.10.0", "4.20.0", "5.9.0", "5.18.0", "6.1.0", "6.7.0", "6.15.0"]


@pytest.mark.parametrize(("release", "ss"), [("5.9", "5.9.0"), ("6.1", "6.1.0"), ("6.15", "6.15.0")])
def test_what_a_release_printed_is_supported(captured: Callable[[str], str], release: str, ss: str) -> None:
    """The captures are of one node and burst, so only the release makes the difference."""

    def shown(name: str) -> set[str]:
        readings, _ = parse_ss(captured(f"ss/iproute2-{name}-e-6.txt"))
        return {field for reading in readings for field in reading.__struct_fields__ if getattr(reading, field)}

    every, supported = supported_fields("6.15.0", "6.18.44"), supported_fields(ss, "6.18.44")
    assert shown(release) & every <= supported
    recent = {"snd_wnd", "rcv_wnd", "rcv_ooopack", "bytes_retrans", "dsack_dups", "delivered"}
    assert recent <= shown("6.15")
    assert shown(release) & recent == supported & recent


def test_the_names_are_those_of_the_reading() -> None:
    assert supported_fields("99.0", "99.0") <= set(SocketReading.__struct_fields__)
    assert len(supported_fields("99.0", "99.0")) == 31


@pytest.mark.parametrize(
    ("ss", "kernel", "present", "absent"),
    [
        ("6.1.0", "6.1.0-18-amd64", {"snd_wnd", "rcv_ooopack", "dsack_dups"}, {"rcv_wnd", "rehash"}),
        ("6.15.0", "5.4.0-150-generic", {"snd_wnd"}, {"rcv_wnd", "rehash"}),
        ("6.15.0", "4.18.0-553.el8_10.x86_64", {"delivered", "busy_ms"}, {"bytes_retrans", "dsack_dups"}),
        ("4.15.0", "6.8.0-40-generic", {"busy_ms", "notsent", "unacked"}, {"delivered", "bytes_sent"}),
        ("4.9.0", "4.9.0-19-amd64", {"notsent", "retrans_total"}, {"busy_ms", "app_limited"}),
        ("5.5.0", "5.15.0", {"bytes_sent", "reord_seen", "uid"}, {"snd_wnd"}),
    ],
)
def test_both_ends_must_know_a_field(ss: str, kernel: str, present: set[str], absent: set[str]) -> None:
    fields = supported_fields(ss, kernel)
    assert present <= fields
    assert not absent & fields


@pytest.mark.parametrize(("ss", "kernel"), [(None, "6.1"), ("6.1", None), ("", ""), ("new", "6.1"), ("3.16.0", "6.1")])
def test_nothing_is_taken_for_zero_when_a_version_is_not_known(ss: str | None, kernel: str | None) -> None:
    assert supported_fields(ss, kernel) == frozenset()


def test_a_newer_release_never_supports_less() -> None:
    for older, newer in pairwise(RELEASES):
        assert supported_fields(older, "6.18") <= supported_fields(newer, "6.18")
        assert supported_fields("6.15", older) <= supported_fields("6.15", newer)
