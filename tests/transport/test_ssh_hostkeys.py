"""known_hosts: which line speaks of a host, and what is said of a key that is not accepted."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from meshtop.transport.base import TransportFault
from meshtop.transport.ssh_hostkeys import HostName, KnownHosts, refused

NODE = HostName("node", "192.0.2.7", 22, "`ssh node`")
NODE_2222 = HostName("node", "192.0.2.7", 2222, "`ssh -p 2222 node`")


def _key(kind: str = "ssh-ed25519") -> asyncssh.SSHKey:
    return asyncssh.generate_private_key(kind).convert_to_public()


def _line(pattern: str, key: asyncssh.SSHKey) -> str:
    return f"{pattern} {key.export_public_key().decode().strip()}\n"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def test_the_line_is_found(known: Path) -> None:
    right, other = _key(), _key()
    known.write_text(f"# a comment\n\n{_line('other', other)}garbage\n{_line('node,192.0.2.7', right)}")
    (entry,) = KnownHosts([str(known)]).entries(NODE)
    assert (entry.file, entry.line, entry.key, entry.role) == (str(known), 5, right, "key")


@pytest.mark.node
def test_hashed_names_are_found(known: Path) -> None:
    key = _key()
    known.write_text(_line("[node]:2222", key) + _line("node", _key()))
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert "node" not in known.read_text()
    (entry,) = KnownHosts([str(known)]).entries(NODE_2222)
    assert (entry.line, entry.key) == (1, key)


def test_a_name_without_port_counts_only_where_none_has_it(known: Path) -> None:
    plain, with_port = _key(), _key()
    known.write_text(_line("node", plain))
    assert [entry.key for entry in KnownHosts([str(known)]).entries(NODE_2222)] == [plain]
    known.write_text(_line("node", plain) + _line("[node]:2222", with_port))
    assert [entry.key for entry in KnownHosts([str(known)]).entries(NODE_2222)] == [with_port]
    assert [entry.key for entry in KnownHosts([str(known)]).entries(NODE)] == [plain]


def test_a_damaged_line_does_not_cost_the_others(known: Path) -> None:
    key = _key()
    known.write_text("@nonsense x y\n|1|broken\nlonely\n" + _line("node", key))
    keys, *_ = asyncssh.match_known_hosts(KnownHosts([str(known)]).trusted(), "node", "", None)
    assert keys == [key]


def test_an_unreadable_file_is_a_fault_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(TransportFault, match="cannot read the known_hosts file") as told:
        KnownHosts([str(tmp_path)])  # a folder
    assert (told.value.kind, told.value.retry) == ("config", False)


def test_changed_is_told_with_line_fingerprints_and_cure(known: Path) -> None:
    expected, offered = _key(), _key()
    known.write_text(_line("[node]:2222", _key("ecdsa-sha2-nistp256")) + _line("[node]:2222", expected))
    fault = refused(NODE_2222, KnownHosts([str(known)]), offered)
    assert (fault.kind, fault.retry, fault.files) == ("host-key-changed", False, (str(known),))
    assert f"{known}:2 expects ssh-ed25519 {expected.get_fingerprint()}" in fault.reason
    assert f"offers ssh-ed25519 {offered.get_fingerprint()}" in fault.reason
    assert f"ssh-keygen -f {known} -R '[node]:2222'" in fault.cure


@pytest.mark.node
def test_the_cure_for_a_changed_key_works(known: Path) -> None:
    known.write_text(_line("[node]:2222", _key()) + _line("other", _key()))
    cure = refused(NODE_2222, KnownHosts([str(known)]), _key()).cure
    command = cure[cure.index("ssh-keygen") :].partition(", then")[0]
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)
    after = KnownHosts([str(known)])
    assert after.entries(NODE_2222) == []
    assert refused(NODE_2222, after, _key()).kind == "host-key-unknown"


def test_unknown_is_told_with_files_and_fingerprint(known: Path) -> None:
    known.write_text(_line("other", _key()))
    offered = _key()
    fault = refused(NODE_2222, KnownHosts([str(known)]), offered)
    assert (fault.kind, fault.retry) == ("host-key-unknown", False)
    assert f"no line for [node]:2222 in {known}" in fault.reason
    assert offered.get_fingerprint() in fault.reason
    assert "ssh_host_ed25519_key.pub" in fault.cure
    assert "`ssh -p 2222 node` once" in fault.cure
    assert "ssh-keyscan -p 2222 node" in fault.cure


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    fault = refused(NODE, KnownHosts([str(tmp_path / "none")]), _key())
    assert (fault.kind, fault.retry) == ("host-key-unknown", False)
    assert f"there is no {tmp_path / 'none'}" in fault.reason


def test_no_file_at_all_trusts_nothing() -> None:
    fault = refused(NODE, KnownHosts([]), _key())
    assert fault.kind == "host-key-unknown"
    assert "UserKnownHostsFile none" in fault.reason


def test_a_revoked_key_is_told(known: Path) -> None:
    key = _key()
    known.write_text(_line("node", key) + "@revoked " + _line("*", key))
    fault = refused(NODE, KnownHosts([str(known)]), None, "Host key is revoked for host node")
    assert (fault.kind, fault.retry) == ("host-key-changed", False)
    assert f"forbidden by {known}:2 (ssh-ed25519 {key.get_fingerprint()})" in fault.reason


def test_a_plain_key_where_an_authority_is_trusted(known: Path) -> None:
    known.write_text("@cert-authority " + _line("*", _key()))
    fault = refused(NODE, KnownHosts([str(known)]), _key())
    assert fault.kind == "host-key-unknown"
    assert f"{known}:1 trusts the authority" in fault.reason
