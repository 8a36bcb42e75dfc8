"""What a transport is: it connects to one node and opens channels on it. Nothing more.

A channel is one running command with a byte stream each way; when it is closed, or its session ends, the command's
standard input ends, and that is all that a command may rely on.
"""

from __future__ import annotations

from typing import Literal, Protocol

from meshtop.model import Value

FaultKind = Literal[
    "unknown-host",  # the name does not resolve
    "refused",
    "timed-out",
    "unreachable",  # no route, network down
    "host-key-unknown",
    "host-key-changed",
    "auth",  # no key or user was accepted
    "config",  # ssh_config or a key file cannot be used
    "protocol",  # not SSH, or no algorithm in common
    "closed",  # the session ended after it was up
    "shell",  # connected, but no usable shell answered
]
FAULTS: tuple[FaultKind, ...] = FaultKind.__args__  # type: ignore[attr-defined]  # the words of the Literal


class TransportFault(Exception):
    """A node cannot be reached or used. ``reason`` and ``cure`` are clean text for the operator; ``retry`` is False
    where trying again by itself is pointless or unsafe (host keys, configuration); ``files`` are paths whose change
    makes a new try worth while."""

    def __init__(
        self, kind: FaultKind, reason: str, cure: str = "", *, retry: bool = True, files: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{kind}: {reason}")
        self.kind = kind
        self.reason = reason
        self.cure = cure
        self.retry = retry
        self.files = files


class WireStats(Value, frozen=True, kw_only=True):
    """Of the connection under all channels, from the operator's kernel. None where there is none (local)."""

    rtt_ms: float | None = None
    rx_wire_bytes: int | None = None  # cumulative, with TCP and IP headers
    peer_address: str | None = None  # of the far end


class Channel(Protocol):
    """One running command."""

    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte of standard output, or ``b""`` at its end. Raises TransportFault when the session dies."""
        ...

    def write(self, data: bytes) -> None:
        """Queue bytes for standard input. Never blocks; a dead channel swallows them, as ``read`` reports it."""
        ...

    async def close(self) -> int | None:
        """End standard input, give the command a moment to go, close. Its exit status where one came. Idempotent."""
        ...

    def stderr_excerpt(self) -> str:
        """The last lines of standard error, cleaned and bounded."""
        ...


class Session(Protocol):
    """One connection to a node: at most three channels at a time."""

    async def open(self, command: str) -> Channel:
        """Run ``command`` by the login shell. The caller has quoted every value in it. Raises TransportFault."""
        ...

    def stats(self) -> WireStats: ...

    @property
    def channels(self) -> int:
        """How many commands run now."""
        ...

    async def close(self) -> None:
        """Close in an orderly way if the other side answers within a second, else drop it. Idempotent."""
        ...


class Transport(Protocol):
    """How one node is reached. ``connect`` may be called again while an older session still drains."""

    async def connect(self) -> Session:
        """Raises TransportFault, and no other exception for anything that the network or the node can do."""
        ...
