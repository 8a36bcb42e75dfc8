"""From what asyncssh raises to what the operator should read.

The exceptions are few and broad: a wrong port, an overloaded sshd and a banned address are all "connection lost". What
was seen on the way (a greeting, the start of the login, an offered key) tells them apart. RFC 4253, section 11.1, has
the reason codes; RFC 4254, section 5.1, those of a channel that is not opened.
"""

from __future__ import annotations

import errno
import shlex
from dataclasses import dataclass, field

import asyncssh

from meshtop.parse.text import clean
from meshtop.transport.base import FaultKind, TransportFault
from meshtop.transport.ssh_config import ENCRYPTED, Hop
from meshtop.transport.target import Target

_OPEN_REFUSED_BY_RULE = 1  # SSH_OPEN_ADMINISTRATIVELY_PROHIBITED


class Witness(asyncssh.SSHClient):
    """Sees what happens while a connection is made. Never answers a question with anything but no."""

    def __init__(self) -> None:
        self.connection: asyncssh.SSHClientConnection | None = None
        self.offered: asyncssh.SSHKey | None = None
        self.login_began = False
        self.methods: list[str] = []  # those that a person would have to answer
        self.banner = ""

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.offered = key
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner = clean(msg)

    def begin_auth(self, username: str) -> None:
        self.login_began = True

    def password_auth_requested(self) -> None:
        self.methods.append("a password")

    def kbdint_auth_requested(self) -> None:
        self.methods.append("typed answers")

    @property
    def greeting(self) -> str | None:
        """The server's identification line, once it was received."""
        return self.connection.get_extra_info("server_version") if self.connection is not None else None

    @property
    def address(self) -> str:
        peer = self.connection.get_extra_info("peername") if self.connection is not None else None
        return str(peer[0]) if peer else ""


@dataclass
class Attempt:
    """One login, as far as it came."""

    hop: Hop
    by_way_of: Target | None = None
    witness: Witness = field(default_factory=Witness)
    agent_keys: int | None = None  # None: no agent answered
    proxy_said: str = ""  # a ProxyCommand's standard error

    @property
    def where(self) -> str:
        host = f"[{self.hop.host}]" if ":" in self.hop.host else self.hop.host
        return f"{host}:{self.hop.port}"

    @property
    def ssh_command(self) -> str:
        """What the operator would type to log in by hand."""
        target = self.hop.target
        words = ["ssh"]
        if self.hop.config_named is not None:
            words += ["-F", self.hop.config_named]
        if self.hop.known_hosts_named is not None:
            words += ["-o", f"UserKnownHostsFile={self.hop.known_hosts_named}"]
        if target.port is not None:
            words += ["-p", str(target.port)]
        return f"`{shlex.join([*words, f'{target.user}@{target.host}' if target.user else target.host])}`"


def handshake_fault(exc: Exception, attempt: Attempt) -> TransportFault:
    """For anything that ``asyncssh.connect`` raises, host keys apart. Unknown exceptions are raised again."""
    if isinstance(exc, asyncssh.PermissionDenied):
        return _login_refused(attempt)
    if isinstance(exc, asyncssh.KeyExchangeFailed):
        return _fault("protocol", attempt, f"has no algorithm in common with us: {exc.reason}", "update its SSH server")
    if isinstance(exc, asyncssh.ChannelOpenError):
        return _jump_fault(exc, attempt)
    if isinstance(exc, asyncssh.Error):
        return _broken_off(exc.reason, attempt)
    if isinstance(exc, OSError):
        return _broken_off(exc.strerror or str(exc), attempt, exc.errno)
    if attempt.witness.greeting is not None:  # asyncssh hands on whatever it stumbled over in what the server sent
        return _broken_off(f"{type(exc).__name__}: {exc}", attempt)
    if isinstance(exc, ValueError):  # a key, an algorithm or an option that cannot be used
        reason = clean(f"the SSH settings for {attempt.hop.target} cannot be used: {exc}")
        return TransportFault("config", reason, "correct ssh_config", retry=False, files=attempt.hop.config)
    raise exc


def _fault(kind: FaultKind, attempt: Attempt, what: str, cure: str) -> TransportFault:
    return TransportFault(kind, clean(f"{attempt.where} {what}", 400), cure)


def _broken_off(said: str, attempt: Attempt, code: int | None = None) -> TransportFault:
    witness = attempt.witness
    if "authentication failures" in said.lower():  # MaxAuthTries: too many keys of the agent were offered
        return _login_refused(attempt, "the server stopped listening after too many keys")
    if code == errno.ETIMEDOUT:
        return _fault("timed-out", attempt, "stopped answering during the login", "is the line up?")
    if witness.greeting is None and attempt.hop.proxy is not None:
        complaint = f"; it said: {attempt.proxy_said}" if attempt.proxy_said else ""
        cure = f"{attempt.ssh_command} must work with the same ProxyCommand"
        return _fault("protocol", attempt, f"is not reached by its ProxyCommand{complaint}", cure)
    if witness.greeting is None:
        cure = "is it the right port? An overloaded sshd (MaxStartups) and a ban (fail2ban) look the same"
        return _fault("protocol", attempt, f"does not speak SSH, or broke off before its greeting: {said}", cure)
    if witness.login_began:
        banner = f"; it said: {witness.banner}" if witness.banner else ""
        return _fault("auth", attempt, f"broke off during the login: {said}{banner}", "see the node's sshd log")
    return _fault("protocol", attempt, f"broke off during the key exchange: {said}", "see the node's sshd log")


def _login_refused(attempt: Attempt, why: str = "") -> TransportFault:
    hop, witness = attempt.hop, attempt.witness
    tried = []
    if attempt.agent_keys:
        tried.append(f"{attempt.agent_keys} of the agent")
    named = hop.identities if hop.identities is not None else ["the usual files in ~/.ssh"]
    tried += [file for file in named if f"{file} {ENCRYPTED}" not in hop.unusable]
    reason = f"{attempt.where} lets no key in for user {hop.user}; tried: {', '.join(tried) or 'none'}"
    if hop.unusable:
        reason += f"; not usable: {', '.join(hop.unusable)}"
    if attempt.agent_keys is None:
        reason += "; no agent is running"
    if witness.methods:
        reason += f"; it would take {' or '.join(dict.fromkeys(witness.methods))}, for which meshtop never asks"
    if why:
        reason += f"; {why}"
    if witness.banner:
        reason += f"; it said: {witness.banner}"
    if any(problem.endswith(ENCRYPTED) for problem in hop.unusable):
        cure = f"give the key to an agent (ssh-add), then {attempt.ssh_command} must work without a question"
    else:
        cure = f"{attempt.ssh_command} must work without a question; add the public key by ssh-copy-id"
    # Every try is noted by the server, and some ban who tries too often.
    files = (*hop.config, *(hop.identities or ()))
    return TransportFault("auth", clean(reason, 600), cure, retry=False, files=files)


_OPEN_FAILURES: tuple[tuple[str, FaultKind], ...] = (
    ("refused", "refused"),
    ("timed out", "timed-out"),
    ("not known", "unknown-host"),
    ("resolution", "unknown-host"),
    ("no route", "unreachable"),
    ("unreachable", "unreachable"),
)


def _jump_fault(exc: asyncssh.ChannelOpenError, attempt: Attempt) -> TransportFault:
    """The jump host could not, or would not, connect onward. OpenSSH's sshd gives the C library's words."""
    jump = attempt.by_way_of
    said = clean(exc.reason)
    if exc.code == _OPEN_REFUSED_BY_RULE:
        cure = f"allow AllowTcpForwarding on {jump}"
        return TransportFault("config", f"{jump} may not forward to {attempt.where}: {said}", cure)
    kind: FaultKind = next((kind for words, kind in _OPEN_FAILURES if words in said.lower()), "unreachable")
    return TransportFault(kind, f"{jump} cannot connect to {attempt.where}: {said}", f"try it from {jump}")


def too_slow(attempt: Attempt, patience_s: float) -> TransportFault:
    """For a handshake that was given up."""
    witness = attempt.witness
    cure = "is the node overloaded, or the line very lossy?"
    if witness.greeting is None:
        what = f"accepts connections but gave no SSH greeting within {patience_s:g} s"
        return _fault("timed-out", attempt, what, f"{cure} Is it an SSH port at all?")
    stage = "login" if witness.login_began else "key exchange"
    return _fault("timed-out", attempt, f"greeted, but the {stage} did not end", cure)


def session_fault(exc: Exception, where: str) -> TransportFault:
    """For an exception of a connection that was up."""
    said = exc.reason if isinstance(exc, asyncssh.Error) else getattr(exc, "strerror", None) or str(exc)
    return TransportFault("closed", clean(f"the session with {where} ended: {said or type(exc).__name__}"))


def channel_fault(exc: Exception, where: str) -> TransportFault:
    """For a channel that the server did not open, or a command that it did not start."""
    said = exc.reason if isinstance(exc, asyncssh.Error) else str(exc)
    cure = "does this account have a login shell, and may it open more sessions (MaxSessions)?"
    return TransportFault("shell", clean(f"{where} starts no command: {said}"), cure)
