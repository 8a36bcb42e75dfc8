"""What ssh_config(5) says of a destination, as asyncssh reads it, and which of its keys can be used.

asyncssh applies most of the file by itself when it connects. Read here is what it would otherwise apply less safely
than ssh(1) does: the known_hosts files (``none`` would make it trust any key), jump hosts (to which it would not hand
on how host keys are checked) and identity files (of which a missing or damaged one would be fatal).
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Sequence
from typing import cast

import asyncssh

from meshtop.model import Value
from meshtop.transport.base import TransportFault
from meshtop.transport.target import Target, parse_target

# ssh(1)'s own defaults (ssh_config(5), FILES and UserKnownHostsFile).
_CONFIG_FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
_USER_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
_GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_DEFAULT_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
ENCRYPTED = "is protected by a passphrase"
_TOKEN = re.compile(r"%(.)")
_PLACE = re.compile(r"(?P<file>.+) line (?P<line>\d+): (?P<what>.+)", re.DOTALL)


class SshOptions(Value, frozen=True, kw_only=True):
    """``config`` None: the user's and the system's ssh_config. ``known_hosts`` None: what ssh_config says."""

    config: tuple[str, ...] | None = None
    known_hosts: str | None = None
    connect_timeout_s: float = 5.0

    def config_files(self) -> tuple[str, ...]:
        """Paths to read. Those that were named must exist, the usual ones may not."""
        if self.config is not None:
            return tuple(os.path.expanduser(file) for file in self.config)
        return tuple(file for file in map(os.path.expanduser, _CONFIG_FILES) if os.access(file, os.R_OK))


class Hop(Value, frozen=True, kw_only=True):
    """One server to log in to."""

    target: Target
    host: str  # HostName
    port: int
    user: str
    key_alias: str | None  # HostKeyAlias
    jump: tuple[Target, ...]
    proxy: str | None  # ProxyCommand
    canonical: bool  # CanonicalizeHostname: which host it is in the end is left to asyncssh
    family: int
    bind: str | None
    known_hosts: tuple[str, ...]
    identities: tuple[str, ...] | None  # IdentityFile that exist; None: the default ones
    unusable: tuple[str, ...]  # identity files that cannot be used, with the reason
    agent: str  # path of its socket; empty: none
    ciphers_set: bool
    config: tuple[str, ...]
    config_named: str | None  # the one file that the operator chose, as ssh -F wants it
    known_hosts_named: str | None


async def read_hop(target: Target, options: SshOptions) -> Hop:
    """Raises TransportFault. Reads files and runs what ``Match exec`` says, in a thread."""
    files = options.config_files()
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            return await asyncio.to_thread(_read_hop, target, options, files)
    except TimeoutError as exc:
        reason = f"reading {', '.join(files)} took more than {options.connect_timeout_s:g} s"
        raise TransportFault("config", reason, "does a `Match exec` in it hang?", files=files) from exc
    except asyncssh.ConfigParseError as exc:
        raise _config_fault(str(exc), files) from exc
    except OSError as exc:
        reason = f"cannot read {exc.filename or 'a file'}: {exc.strerror or exc}"
        cure = "name an ssh_config that exists and is readable"
        raise TransportFault("config", reason, cure, retry=False, files=files) from exc
    except (ValueError, asyncssh.Error) as exc:
        reason = f"ssh_config cannot be used for {target}: {exc}"
        raise TransportFault("config", reason, "correct ssh_config", retry=False, files=files) from exc


def _config_fault(said: str, files: tuple[str, ...]) -> TransportFault:
    place = _PLACE.fullmatch(said)
    where = f"{place['file']}:{place['line']}: {place['what']}" if place else f"{', '.join(files)}: {said}"
    cure = (
        "correct that line; where ssh itself accepts it, put what meshtop needs into a file of its own ([ssh] config)"
    )
    return TransportFault("config", f"ssh_config not understood: {where}", cure, retry=False, files=files)


def _read_hop(target: Target, options: SshOptions, files: tuple[str, ...]) -> Hop:
    read = asyncssh.SSHClientConnectionOptions(
        host=target.host,
        port=() if target.port is None else target.port,
        username=() if target.user is None else target.user,
        config=list(files),
        known_hosts=b"",
        client_keys=None,  # not needed to read the configuration
    )
    if read.config.has_match_final():
        read.update(reload=True, final=True)
    identities, unusable = _vetted(
        cast("Sequence[str] | None", read.config.get("IdentityFile")), bool(read.config.get("IdentitiesOnly"))
    )
    jump = read.tunnel if isinstance(read.tunnel, str) else ""
    return Hop(
        target=target,
        host=read.host,
        port=read.port,
        user=read.username,
        key_alias=read.host_key_alias,
        jump=tuple(_jump_target(one) for one in jump.split(",") if one),
        proxy=cast("str | None", read.config.get("ProxyCommand")),
        canonical=bool(read.canonicalize_hostname),
        family=socket.AddressFamily(read.family),
        bind=_bind_address(read.local_addr),
        known_hosts=_known_hosts_files(options, read),
        identities=identities,
        unusable=unusable,
        agent=_agent(read.config.get("IdentityAgent", "SSH_AUTH_SOCK")),
        ciphers_set=read.config.get("Ciphers") is not None,
        config=files,
        known_hosts_named=options.known_hosts,
        config_named=files[0] if options.config is not None and len(files) == 1 else None,
    )


def _bind_address(local: tuple[str, int] | None) -> str | None:
    return None if local is None else local[0]


def _agent(named: object) -> str:
    """IdentityAgent: a path, ``none``, or the name of a variable, of which asyncssh knows the first two only."""
    if not isinstance(named, str):
        return ""
    if named == "SSH_AUTH_SOCK" or named.startswith("$"):
        return os.environ.get(named.lstrip("$").strip("{}"), "")
    return os.path.expanduser(named)


def _jump_target(spec: str) -> Target:
    """ProxyJump's ``[user@]host[:port]`` or ``ssh://`` URI. Raises ValueError."""
    return parse_target(spec.strip().removeprefix("ssh://").rstrip("/"))


def _known_hosts_files(options: SshOptions, read: asyncssh.SSHClientConnectionOptions) -> tuple[str, ...]:
    if options.known_hosts is not None:
        return (os.path.expanduser(options.known_hosts),)
    tokens = {"%": "%", "d": os.path.expanduser("~"), "h": read.host, "n": read.orig_host, "p": str(read.port)}
    tokens |= {"r": read.username, "u": read.client_username, "k": read.host_key_alias or read.orig_host}
    files: list[str] = []
    for keyword, usual in (("UserKnownHostsFile", _USER_KNOWN_HOSTS), ("GlobalKnownHostsFile", _GLOBAL_KNOWN_HOSTS)):
        named = cast("Sequence[str] | None", read.config.get(keyword))  # []: it says none
        if named is None:
            present = [file for file in map(os.path.expanduser, usual) if os.path.exists(file)]
            files += present or [os.path.expanduser(usual[0])]
        else:
            expanded = (_TOKEN.sub(lambda match: tokens.get(match[1], match[0]), file) for file in named)
            files += map(os.path.expanduser, expanded)
    return tuple(files)


def _vetted(named: Sequence[str] | None, identities_only: bool) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Identity files that asyncssh can be given, and what is wrong with the others. ssh(1) passes over the same."""
    usable: list[str] = []
    unusable: list[str] = []
    for file in named or _DEFAULT_KEYS:
        path = os.path.expanduser(file)
        problem = _key_problem(path, identities_only)
        if problem is None:
            usable.append(path)
        elif named or os.path.exists(path):
            unusable.append(f"{path} {problem}")
        if problem == ENCRYPTED and named:
            usable.append(path)  # an agent may hold it
    return (tuple(usable) if named else None), tuple(unusable)


def _key_problem(path: str, identities_only: bool) -> str | None:
    try:
        asyncssh.read_private_key(path)
    except asyncssh.KeyEncryptionError as exc:
        return f"is encrypted in a way that asyncssh cannot undo ({exc})"
    except asyncssh.KeyImportError as exc:
        if str(exc).startswith("Passphrase"):  # there is no exception of its own; asyncssh itself goes by this word
            return ENCRYPTED
        try:
            asyncssh.read_public_key(path)  # beside IdentitiesOnly it picks one of the agent's keys
        except (OSError, asyncssh.KeyImportError):
            return "is no private key that can be read"
        return None if identities_only else "is a public key: without IdentitiesOnly the agent offers all of its own"
    except OSError as exc:
        return f"cannot be read ({exc.strerror})"
    return None
