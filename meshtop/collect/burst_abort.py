"""Ends every burst of ours on a node, whichever meshtop began it and whether that still lives (``agent/abort.sh``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from meshtop.agent.script import script
from meshtop.collect.errand import Said, run_errand
from meshtop.model import NodeName, Value
from meshtop.parse.text import clean
from meshtop.transport.base import Transport, TransportFault

PATIENCE_S = 15.0  # two seconds of grace, and a slow line
AT_ONCE = 20


class AbortReport(Value, frozen=True, kw_only=True):
    """``ended`` holds the command lines of the iperf3 that were found; ``left`` what could not be ended, by process id.
    ``failure``: why nothing is known of that node."""

    node: NodeName
    ended: tuple[str, ...] = ()
    left: tuple[int, ...] = ()
    failure: str | None = None
    cure: str | None = None


async def abort_all(transports: Mapping[NodeName, Transport], now: Callable[[], float]) -> list[AbortReport]:
    """On all nodes at once, in their order."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(node: NodeName, transport: Transport) -> AbortReport:
        async with few:
            return await _abort(node, transport, now)

    return list(await asyncio.gather(*(one(node, transport) for node, transport in transports.items())))


async def _abort(node: NodeName, transport: Transport, now: Callable[[], float]) -> AbortReport:
    try:
        session = await transport.connect()
        try:
            said = await run_errand(session, script("abort.sh", {}), PATIENCE_S, now)
        finally:
            await session.close()
    except TransportFault as fault:
        return AbortReport(node=node, failure=fault.reason, cure=fault.cure or None)
    return report(node, said)


def report(node: NodeName, said: Said) -> AbortReport:
    """What the script's lines say."""
    if not said.whole:
        why = said.complaint or said.noise or "it said nothing"
        return AbortReport(
            node=node,
            failure=f"the shell did not do it: {clean(why)}",
            cure="log in by hand with the same account: it needs a login shell that can run /bin/sh",
        )
    ended, left = [], []
    for line in said.lines:
        word, _, rest = line.removeprefix("#mt ").partition(" ")
        if line.startswith("#mt ") and word == "found":
            ended.append(clean(rest.partition(" ")[2]).strip() or "iperf3")
        elif line.startswith("#mt ") and word == "left" and rest.isdigit():
            left.append(int(rest))
    return AbortReport(node=node, ended=tuple(ended), left=tuple(left))
