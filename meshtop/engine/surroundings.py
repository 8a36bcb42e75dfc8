"""What else is known while a socket stands still: its tunnel, the pings on its link, other flows to the same peer.

Each answer is None where nothing can tell; the causes (``causes.py``) never take that for a sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import NamedTuple

from meshtop.engine.causes import Surroundings
from meshtop.engine.links import LinkRecord
from meshtop.engine.probes import Series, Size
from meshtop.engine.stall import Waiting
from meshtop.engine.waits import Waits
from meshtop.model import LinkKey, Mesh, NodeName

# A ping is answered within four times what is usual here, and within a second on any line that works. For the figure
# of loss one waits longer (5 s); a cause may be taken back.
_ANSWER_S = 1.0
_ANSWER_BASELINES = 4.0
_ANSWER_SRTTS = 2.0
# One lost ping is chance; two in a row since the wait began are none where most are answered.
_LOST_IN_A_ROW = 2
# The hub's newest reading says something of now if it is not older than this.
_HUB_FRESH_S = 2.0


class Seen(NamedTuple):
    """What another node last told of its sockets, and when that was (operator's UTC)."""

    waits: Waits
    at: float


class Moment(NamedTuple):
    """Where the time of a wait lies: operator's UTC of its newest reading; on the axis of the node, from when to when;
    the pings that ran meanwhile."""

    at: float
    onset: float
    until: float
    series: tuple[Series, ...]


class Neighbourhood:
    """Of the links of one node. ``seen`` is shared by all nodes."""

    def __init__(
        self, mesh: Mesh, node: NodeName, links: Mapping[LinkKey, LinkRecord], seen: MutableMapping[NodeName, Seen]
    ) -> None:
        self._node = node
        self._links = links
        self._tunnelled = frozenset(path.name for path in mesh.paths if path.outer_ports)
        self._seen = seen

    def told(self, seen: Seen) -> None:
        self._seen[self._node] = seen

    def around(self, link: LinkKey | None, waits: Waits, waiting: Waiting, moment: Moment) -> Surroundings:
        full_size = waits.full_size_moved(waiting.reading, waiting.onset_s)
        record = self._links.get(link) if link is not None else None
        if record is None:
            return Surroundings(full_size_moved=full_size)
        answered, lost = _pings(record, waiting, moment)
        return Surroundings(
            outer_stalled=self._outer(record.key, waits, waiting, moment),
            small_probe_answered=answered,
            small_probe_lost=lost,
            full_size_moved=full_size,
        )

    # ── The tunnel ──

    def _outer(self, link: LinkKey, waits: Waits, waiting: Waiting, moment: Moment) -> bool | None:
        """Our sockets to that node if there are any, else those to the hub that we dial and the hub's to that node."""
        if link.path not in self._tunnelled:
            return None
        sockets = waits.tunnel_sockets(link.path)
        direct = {id_ for id_, service in sockets if service.peer == link.dst}
        if direct:
            return waits.stood_still(direct, waiting.onset_s, waiting.at_s)
        dialled = {id_: service.peer for id_, service in sockets if service.dials and service.peer is not None}
        if not dialled:
            return None
        if waits.stood_still(set(dialled), waiting.onset_s, waiting.at_s):
            return True
        beyond = [self._beyond(hub, link, waiting.age_s, moment.at) for hub in set(dialled.values())]
        return True if True in beyond else (None if None in beyond else False)

    def _beyond(self, hub: NodeName, link: LinkKey, age_s: float, at: float) -> bool | None:
        seen = self._seen.get(hub)
        if seen is None or seen.waits.at_s is None or abs(seen.at - at) > _HUB_FRESH_S:
            return None
        sockets = {id_ for id_, service in seen.waits.tunnel_sockets(link.path) if service.peer == link.dst}
        return seen.waits.stood_still(sockets, seen.waits.at_s - age_s, seen.waits.at_s) if sockets else None


# ── Pings ──


def _pings(record: LinkRecord, waiting: Waiting, moment: Moment) -> tuple[bool | None, bool | None]:
    """Whether a small probe sent within the wait was answered; whether those that were sent first died. An outage may
    be over while TCP still waits for its timer: what is answered later takes nothing back."""
    if not record.ever_answered:
        return None, None
    baseline_s = (record.baseline.rtt_ms or 0.0) / 1000
    srtt_s = (waiting.reading.srtt_ms or 0.0) / 1000
    due = moment.until - max(_ANSWER_S, _ANSWER_BASELINES * baseline_s, _ANSWER_SRTTS * srtt_s)
    small = _fates(moment.series, "small", moment.onset, due)
    if not small:
        return None, None
    died = _first_run(small) or _first_run(small[1:])  # the first may have been on its way back already
    if died == len(small) and False in _fates(moment.series, "full", moment.onset, due):
        died += 1
    lost = died >= _LOST_IN_A_ROW
    return any(small) and not lost, lost


def _first_run(answered: list[bool]) -> int:
    """How many died before the first answer."""
    return answered.index(True) if True in answered else len(answered)


def _fates(series: Iterable[Series], size: Size, onset: float, due: float) -> list[bool]:
    return [answered for _, answered in sorted(fate for s in series if s.size == size for fate in s.fates(onset, due))]
