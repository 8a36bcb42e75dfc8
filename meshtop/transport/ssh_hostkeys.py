"""known_hosts, line by line: whether a host key is unknown or changed, where that is written and what to type.

File format: sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". asyncssh does the checking; this finds the words for its refusal,
which is the same exception for both cases.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import asyncssh

from meshtop.transport.base import TransportFault

SSH_PORT = 22
_NEVER_ACCEPTED = "meshtop always checks host keys and never accepts one by itself"


@dataclass(frozen=True)
class Entry:
    """One line that speaks of a host."""

    file: str
    line: int
    key: asyncssh.SSHKey
    role: str  # "key", "ca" or "revoked"


@dataclass(frozen=True)
class HostName:
    """What a server is looked up by. ``shown`` is how the operator reaches it with ssh(1)."""

    name: str
    address: str
    port: int
    shown: str

    @property
    def pattern(self) -> str:
        """As known_hosts spells it."""
        return self.name if self.port == SSH_PORT else f"[{self.name}]:{self.port}"


class KnownHosts:
    """The text of some known_hosts files. Files that do not exist are remembered; that is no error by itself."""

    def __init__(self, files: Sequence[str]) -> None:
        """Reads now. Raises TransportFault for a file that exists and cannot be read."""
        self.files = tuple(files)
        self.missing: list[str] = []
        self._lines: list[tuple[str, int, str]] = []
        for file in files:
            try:
                with open(file, encoding="utf-8", errors="replace") as stream:
                    self._lines += [(file, number, line) for number, line in enumerate(stream, 1)]
            except FileNotFoundError:
                self.missing.append(file)
            except OSError as exc:
                reason = f"cannot read the known_hosts file {file}: {exc.strerror}"
                raise TransportFault("config", reason, f"ls -l {file}", retry=False, files=self.files) from exc

    def trusted(self) -> asyncssh.SSHKnownHosts:
        """For asyncssh. A line that it cannot read is left out, as ssh(1) does; that can only refuse more."""
        try:
            return asyncssh.import_known_hosts("".join(line for _, _, line in self._lines))
        except ValueError:
            return asyncssh.import_known_hosts("".join(line for _, _, line in self._lines if _one_line(line)))

    def entries(self, host: HostName) -> list[Entry]:
        """All that is said of a host. As ssh(1), names without a port count only where none has the port."""
        port = None if host.port == SSH_PORT else host.port
        names = [name for name in (host.name, host.address) if name]
        found = [entry for name in names for entry in self._matching(f"[{name}]:{port}", "")] if port else []
        unique = {(entry.file, entry.line): entry for entry in found or self._matching(host.name, host.address)}
        return list(unique.values())

    def _matching(self, name: str, address: str) -> Iterator[Entry]:
        for file, number, line in self._lines:
            known = _one_line(line)
            if known is None:
                continue
            keys, authorities, revoked, *_ = asyncssh.match_known_hosts(known, name, address, None)
            for role, said in (("key", keys), ("ca", authorities), ("revoked", revoked)):
                for key in said:
                    yield Entry(file, number, key, role)


def _one_line(line: str) -> asyncssh.SSHKnownHosts | None:
    try:
        return asyncssh.import_known_hosts(line)
    except ValueError:
        return None


def _shown(key: asyncssh.SSHKey) -> str:
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


def refused(host: HostName, known: KnownHosts, offered: asyncssh.SSHKey | None, said: str = "") -> TransportFault:
    """Why this key was not accepted. ``offered`` None: a certificate, of which ``said`` is all that is known."""
    entries = known.entries(host)
    revoked = [entry for entry in entries if entry.role == "revoked"]
    if revoked and "revoked" in said:  # asyncssh refuses before it shows the key
        return _revoked(host, known, revoked)
    expected = [entry for entry in entries if entry.role == "key"]
    authorities = [entry for entry in entries if entry.role == "ca"]
    if offered is not None and expected:
        return _changed(host, known, offered, expected)
    if authorities or offered is None:
        return _not_certified(host, known, offered, authorities, said)
    return _unknown(host, known, offered)


def _changed(host: HostName, known: KnownHosts, offered: asyncssh.SSHKey, expected: Sequence[Entry]) -> TransportFault:
    same_kind = [entry for entry in expected if entry.key.get_algorithm() == offered.get_algorithm()]
    told = (same_kind or list(expected))[0]
    reason = (
        f"host key changed: {told.file}:{told.line} expects {_shown(told.key)} for {host.pattern}, "
        f"the server offers {_shown(offered)}"
    )
    cure = (
        "somebody may be in between; only if the change is known to be right: "
        f"ssh-keygen -f {shlex.quote(told.file)} -R {shlex.quote(host.pattern)}, then {host.shown} once"
    )
    return TransportFault("host-key-changed", reason, cure, retry=False, files=known.files)


def _unknown(host: HostName, known: KnownHosts, offered: asyncssh.SSHKey) -> TransportFault:
    if not known.files:
        where = "ssh_config allows no known_hosts file (UserKnownHostsFile none)"
    elif len(known.missing) == len(known.files):
        where = f"there is no {' or '.join(known.missing)}"
    else:
        where = f"no line for {host.pattern} in {', '.join(file for file in known.files if file not in known.missing)}"
    reason = f"host key unknown: {where}; the server offers {_shown(offered)}. {_NEVER_ACCEPTED}"
    scan = ["ssh-keyscan", *(["-p", str(host.port)] if host.port != SSH_PORT else []), host.name]
    kind = offered.get_algorithm().removeprefix("ssh-").partition("-")[0]
    cure = (
        f"compare it with `ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on the node, then {host.shown} once "
        f"(or add the line that {shlex.join(scan)} prints)"
    )
    return TransportFault("host-key-unknown", reason, cure, retry=False, files=known.files)


def _revoked(host: HostName, known: KnownHosts, revoked: Sequence[Entry]) -> TransportFault:
    lines = ", ".join(f"{entry.file}:{entry.line} ({_shown(entry.key)})" for entry in revoked)
    reason = f"host key revoked: the key that {host.pattern} offers is forbidden by {lines}"
    cure = "give the server a new host key; somebody may hold the old one"
    return TransportFault("host-key-changed", reason, cure, retry=False, files=known.files)


def _not_certified(
    host: HostName, known: KnownHosts, offered: asyncssh.SSHKey | None, authorities: Sequence[Entry], said: str
) -> TransportFault:
    trusted = [f"{entry.file}:{entry.line} trusts the authority {_shown(entry.key)}" for entry in authorities]
    offers = f"the server offers the plain key {_shown(offered)}" if offered is not None else said
    reason = f"host key not certified for {host.pattern}: {'; '.join([*trusted, offers])}"
    cure = f"renew the server's certificate, or check with {host.shown}"
    return TransportFault("host-key-unknown", reason, cure, retry=False, files=known.files)
