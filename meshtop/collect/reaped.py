"""iperf3 on a node under its reaper (``agent/reaper.sh``): started over a session, followed line by line, ended.

Whatever dies, nothing stays: the reaper ends iperf3 with the session's standard input, and ``timeout`` ends it where
sshd never learns that the session is gone.
"""

from __future__ import annotations

import asyncio
import math
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import Literal

from meshtop.agent.script import command
from meshtop.model import NodeName, Value
from meshtop.parse.text import clean_bytes
from meshtop.parse.versions import parse_iperf3_version
from meshtop.transport.base import Channel, Session

_COMMAND = command("meshtop-burst")  # what agent/abort.sh knows it by
_MARK = b"#mt "
_MOST_BYTES = 32 * 1024 * 1024  # as parse.iperf3
_MOST_LINE = 4 * 1024 * 1024


class Order(Value, frozen=True, kw_only=True):
    """What to run. ``ports`` are for a server, the first free one is taken; ``bind`` is its address on the path.
    ``python``: the interpreter that runs libiperf, on this machine."""

    role: Literal["server", "client"]
    arguments: tuple[str, ...]
    limit_s: float
    ports: tuple[int, ...] = ()
    bind: str = ""
    python: str = ""

    def script(self) -> bytes:
        """For standard input, after the reaper itself. Raises ValueError for what is no address."""
        values = {
            "MT_ROLE": self.role,
            "MT_LIMIT": str(math.ceil(self.limit_s)),
            "MT_BIND": str(ip_address(self.bind)) if self.bind else "",
            "MT_PYTHON": self.python,
            "MT_PORTS": " ".join(str(int(port)) for port in self.ports),
        }
        lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
        return "\n".join([*lines, f"reaper {shlex.join(self.arguments)}", "#go", ""]).encode()


@cache
def reaper() -> bytes:
    """As a shell function, without comments and indents: each byte of it is read singly on the node."""
    text = (files("meshtop.agent") / "reaper.sh").read_text("utf-8")
    text = re.sub(r"^\s*(#.*)?\n|^[ \t]+", "", text, flags=re.MULTILINE)
    return f"reaper() {{\n{text}}}\n".encode()


class Reaped:
    """One iperf3. ``output`` holds what it printed, without the reaper's lines."""

    def __init__(self, node: NodeName, channel: Channel) -> None:
        self.node = node
        self.output = bytearray()
        self.tool: str | None = None  # "3.12"
        self.port: int | None = None
        self.missing: str | None = None  # the name of a tool that is not there
        self.too_old = False
        self.no_port = False
        self.ended = False  # iperf3 itself has ended, and all that it printed is here
        self.overflowed = False
        self.received = 0  # bytes
        self._channel = channel
        self._began = False
        self._rest = b""

    @classmethod
    async def ready(cls, node: NodeName, session: Session) -> Reaped:
        """A reaper that waits for its order: what can be done beforehand is. Raises TransportFault."""
        channel = await session.open(_COMMAND)
        channel.write(reaper())
        return cls(node, channel)

    @classmethod
    async def start(cls, node: NodeName, session: Session, order: Order) -> Reaped:
        """Raises TransportFault."""
        made = await cls.ready(node, session)
        made.begin(order)
        return made

    def begin(self, order: Order) -> None:
        """Raises ValueError for an order that cannot be."""
        self._channel.write(order.script())

    async def follow(self, on_line: Callable[[bytes], None]) -> None:
        """Until its output ends; ``on_line`` gets each whole line. Raises TransportFault when the session dies."""
        while data := await self._channel.read():
            self.received += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(line, on_line)
            if len(self._rest) > _MOST_LINE or len(self.output) > _MOST_BYTES:
                self.overflowed = True
                return

    def _take(self, line: bytes, on_line: Callable[[bytes], None]) -> None:
        if line.startswith(_MARK):
            self._mark(*line.removeprefix(_MARK).split(b" ", 1))
        elif self._began and not self.ended:
            self.output += line + b"\n"
            on_line(line)

    def _mark(self, word: bytes, value: bytes = b"") -> None:
        text = clean_bytes(value)
        match word:
            case b"begin":
                self._began = True
            case b"tool":
                self.tool = parse_iperf3_version(text)
            case b"port" if text.isdigit():
                self.port = int(text)
            case b"missing":
                self.missing = text
            case b"old":
                self.too_old = True
            case b"no-port":
                self.no_port = True
            case b"end":
                self.ended = True

    @property
    def began(self) -> bool:
        """Whether a shell ran the reaper at all."""
        return self._began

    def stop(self) -> None:
        """Ask for an orderly end: what came so far is still printed."""
        self._channel.write(b"x\n")

    async def close(self) -> None:
        """The end of its standard input; iperf3 is gone a second later at most."""
        await self._channel.close()

    def complaint(self) -> str:
        """The last that it said on standard error, on one clean line."""
        return self._channel.stderr_excerpt()


async def close_all(ends: Iterable[Reaped | None]) -> None:
    """All at once, whatever one of them meets."""
    there: Sequence[Reaped] = [end for end in ends if end is not None]
    await asyncio.gather(*(end.close() for end in there), return_exceptions=True)
