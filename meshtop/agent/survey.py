"""The survey (``survey.sh``) and the try of ways (``ways.sh``) as the operator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from meshtop.agent.probe import FULL_PAYLOAD, SMALL_PAYLOAD
from meshtop.agent.script import script
from meshtop.model import Value

ANSWER_S = 4  # how long a connection or a ping may take; a SYN is sent again after 1 and 3 s
PINGS = 3


class Way(Value, frozen=True, kw_only=True):
    """One address to try from a node. ``ports``: TCP ports to connect to; ``pmtu``: whether to search for it."""

    number: int
    address: str
    ports: tuple[int, ...] = ()
    pmtu: bool = True


def survey_script() -> bytes:
    return script("survey.sh", {"MT_SIZES": f"{SMALL_PAYLOAD} {FULL_PAYLOAD}"})


def ways_script(ways: Sequence[Way], *, ours: bool = True) -> bytes:
    """``ours``: a server of ours is at the ports, which may refuse for a moment. Raises ValueError for what is no
    address."""
    entries = []
    for way in ways:
        ports = ",".join(f"{port:d}" for port in way.ports)
        entries.append(f"{way.number:d}/{ip_address(way.address)}/{'1' if way.pmtu else '-'}/{ports}")
    values = {
        "MT_WAYS": " ".join(entries),
        "MT_SIZES": f"{SMALL_PAYLOAD} {FULL_PAYLOAD}",
        "MT_PINGS": str(PINGS),
        "MT_ANSWER": str(ANSWER_S),
        "MT_PAUSES": "1 2 3" if ours else "1",
    }
    return script("ways.sh", values)
