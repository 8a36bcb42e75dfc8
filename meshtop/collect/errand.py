"""A script run once on a node: handed over, its lines taken, its end awaited, all of it bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshtop.agent.script import COMMAND
from meshtop.model import Value
from meshtop.parse.text import clean_bytes
from meshtop.transport.base import Session

# A survey of a host with thousands of sockets is 200 kB.
MOST_BYTES = 4 * 1024 * 1024
_BEGIN = b"#mt begin"
_END = b"#mt end"
_CLOCK = b"#mt clock"


class Said(Value, frozen=True, kw_only=True):
    """What came back. ``noise``: what was printed before the script began, by a login shell's profile. ``asked_at`` and
    ``answered_at``: the operator's clock around the node's telling of its own."""

    lines: tuple[str, ...] = ()
    began: bool = False
    whole: bool = False
    noise: str = ""
    complaint: str = ""
    asked_at: float | None = None
    answered_at: float | None = None


async def run_errand(session: Session, script: bytes, patience_s: float, now: Callable[[], float]) -> Said:
    """Run ``script`` (made by ``agent.script``) to its end, or for ``patience_s``. Raises TransportFault when the
    session dies; what takes too long is not ``whole``."""
    channel = await session.open(COMMAND)
    lines: list[bytes] = []
    noise: list[bytes] = []
    began, asked_at, answered_at = False, None, None
    try:
        channel.write(script)
        rest, total = b"", 0
        try:
            async with asyncio.timeout(patience_s):
                while total < MOST_BYTES and (data := await channel.read()):
                    total += len(data)
                    *whole, rest = (rest + data).split(b"\n")
                    for line in whole:
                        if line == _BEGIN:
                            began = True
                        (lines if began else noise).append(line)
                        if line == _CLOCK and began:
                            asked_at = now()
                            channel.write(b"now\n")
                        elif asked_at is not None and answered_at is None and line:
                            answered_at = now()
                    if began and _END in whole:
                        break
        except TimeoutError:
            pass
    finally:
        await channel.close()
    return Said(
        lines=tuple(line[:4096].decode("utf-8", "replace") for line in lines),
        began=began,
        whole=_END in lines,
        noise=clean_bytes(b" ".join(line for line in noise if line.strip()), 120),
        complaint=channel.stderr_excerpt(),
        asked_at=asked_at,
        answered_at=answered_at,
    )
