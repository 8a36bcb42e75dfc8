"""How an SSH destination is written: an ssh_config alias, ``user@host``, ``host:port``, ``user@[2001:db8::1]:22``."""

from __future__ import annotations

import re
from ipaddress import IPv6Address

from meshtop.model import Value

_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]+)\](?::(?P<port>\d+))?")
# ssh(1) refuses the same: a host of this kind could be taken for an option or a shell word by a ProxyCommand.
_UNSAFE = re.compile(r"^-|[\s'\"`$\\;&<>|(){}\[\]/]")
WRITE_IT = "write an ssh_config alias, user@host, user@host:port or user@[IPv6]:port"


class Target(Value, frozen=True, kw_only=True):
    """``port`` and ``user`` are None where ssh_config or the default decides."""

    host: str
    port: int | None = None
    user: str | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port is not None else self.host
        port = "" if self.port is None else f":{self.port}"
        user = "" if self.user is None else f"{self.user}@"
        return f"{user}{host}{port}"


def parse_target(text: str) -> Target:
    """Raises ValueError with a message that says what to write. A bare IPv6 address has no port."""
    user, at, rest = text.strip().rpartition("@")
    if at and (not user or _UNSAFE.search(user)):
        raise ValueError(f'"{text}" has no usable user name; {WRITE_IT}')
    bracketed = _BRACKETED.fullmatch(rest)
    if bracketed:
        host, port = bracketed["host"], bracketed["port"]
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    else:
        host, port = _bare(text, rest), None
    if not host or _UNSAFE.search(host):
        raise ValueError(f'"{text}" names no host; {WRITE_IT}')
    if port is not None and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f'"{text}" has no usable port, which is 1 to 65535; {WRITE_IT}')
    return Target(host=host, port=None if port is None else int(port), user=user or None)


def _bare(text: str, host: str) -> str:
    """A host without a port. Several colons are those of an IPv6 address."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError(f'"{text}" names no host; {WRITE_IT}') from None
    return host
