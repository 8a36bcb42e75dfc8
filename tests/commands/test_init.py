"""`meshtop init` before it asks anybody: which hosts, by which name, into which file."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from meshtop.commands.init import Wishes, prepare
from meshtop.transport.ssh_aliases import aliases


def prepared(*hosts: str, output: str = "-", ssh_config: Path | None = None) -> dict[str, str]:
    return prepare(Wishes(hosts=hosts, output=output, ssh_config=None if ssh_config is None else str(ssh_config)))


def test_nodes_are_named_by_their_hosts_or_as_it_is_said() -> None:
    named = prepared("hub.example.org", "root@203.0.113.10:2222", "hub", "x=user@[2001:db8::1]:22")
    assert named == {
        "hub": "hub.example.org",
        "203.0.113.10": "root@203.0.113.10:2222",
        "hub2": "hub",
        "x": "user@[2001:db8::1]:22",
    }


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        (("a",), "two nodes at least"),
        (("a", "a"), "named twice"),
        (("a", "-oProxyCommand"), "ssh_config alias"),
        (("a", "two words=b"), "write two-words=b"),
        (("a", "b;reboot"), "names no host"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_write(hosts: tuple[str, ...], words: str) -> None:
    with pytest.raises(click.UsageError, match=words):
        prepared(*hosts)


def test_without_hosts_and_without_a_terminal_the_aliases_are_told(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host a b *.internal\n  User me\nHOST=c !d\nInclude more/*.conf\nMatch host x\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text('Host "e" a\nInclude ../config\n')
    assert aliases([str(config)]) == ["a", "b", "c", "e"]
    with pytest.raises(click.UsageError, match="meshtop init a b c"):
        prepared(ssh_config=config)
    config.write_text("")
    with pytest.raises(click.UsageError, match="user@host"):
        prepared(ssh_config=config)


def test_no_file_is_written_over_without_a_terminal_to_ask_on(tmp_path: Path) -> None:
    there = tmp_path / "meshtop.toml"
    there.write_text("mine")
    with pytest.raises(click.UsageError, match="is there already"):
        prepared("a", "b", output=str(there))
    with pytest.raises(click.UsageError, match="is a folder"):
        prepared("a", "b", output=str(tmp_path))
    with pytest.raises(click.UsageError, match="no folder"):
        prepared("a", "b", output=str(tmp_path / "nowhere" / "x.toml"))
    assert there.read_text() == "mine"
    assert len(prepared("a", "b", output=str(tmp_path / "new.toml"))) == 2
