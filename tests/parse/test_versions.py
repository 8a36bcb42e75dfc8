"""What tools say of their version."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.versions import parse_iperf3_version, parse_ping_version, parse_ss_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("ss utility, iproute2-6.1.0\n", "6.1.0"),
        ("ss utility, iproute2-6.15.0, libbpf 1.5.0", "6.15.0"),
        ("ss utility, iproute2-v6.6.0", "6.6.0"),
        ("ss utility, iproute2-ss200127", "5.5.0"),
        ("ss utility, iproute2-ss190107", "4.20.0"),
        ("ss utility, iproute2-ss180129", "4.15.0"),
        ("ss utility, iproute2-ss151103", "4.3.0"),
        ("ss utility, iproute2-ss131122", None),
        ("sh: ss: not found", None),
        ("", None),
    ],
)
def test_ss(text: str, version: str | None) -> None:
    assert parse_ss_version(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("iperf 3.12 (cJSON 1.7.15)\nLinux e 6.1.0\nOptional features", "3.12"),
        ("iperf 3.17.1+ (cJSON 1.7.15)", "3.17.1"),
        ("iperf version 2.1.8", None),
        ("sh: 1: iperf3: not found", None),
    ],
)
def test_iperf3(text: str, version: str | None) -> None:
    assert parse_iperf3_version(text) == version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("ping from iputils 20221126\nlibcap: yes", "iputils 20221126"),
        ("ping utility, iputils-s20190709", "iputils 20190709"),
        ("ping from iputils 20240905", "iputils 20240905"),
        ("BusyBox v1.35.0 (Debian 1:1.35.0-4) multi-call binary.", "busybox 1.35.0"),
        (
            "ping: unrecognized option: V\nBusyBox v1.36.1 (2023-11-07 18:53:09 UTC) multi-call binary.",
            "busybox 1.36.1",
        ),
        ("ping (GNU inetutils) 2.4", None),
    ],
)
def test_ping(text: str, version: str | None) -> None:
    assert parse_ping_version(text) == version


@given(st.text(max_size=200))
def test_nothing_raises(text: str) -> None:
    for parse in (parse_ss_version, parse_iperf3_version, parse_ping_version):
        version = parse(text)
        assert version is None or version.isascii()


@pytest.mark.node
def test_the_tools_of_this_machine_are_understood() -> None:
    def said(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout

    assert parse_ss_version(said("ss", "-V")) is not None
    assert parse_ping_version(said("ping", "-V")) is not None
