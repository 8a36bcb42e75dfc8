"""The signals of all links, made only of those that are asked for: of a large mesh most links rest, and a link at rest
is looked at when another is compared with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from meshtop.engine.hosts import used_pct
from meshtop.engine.links import LinkRecord
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.states import TROUBLE
from meshtop.engine.verdicts.measure import LONGEST_S, gather
from meshtop.engine.verdicts.signals import LinkSignals
from meshtop.engine.verdicts.tally import NodeTally
from meshtop.model import LinkKey, NodeName

# No answer for longer than two probes of the usual pace take.
_SILENT_S = 2.5


class Gathered(Mapping[LinkKey, LinkSignals]):
    """Of one evaluation; links of nodes without fresh samples are not in it."""

    def __init__(
        self,
        records: Mapping[NodeName, NodeRecord],
        fresh: Collection[NodeName],
        tallies: Mapping[NodeName, NodeTally],
        tried: Collection[LinkKey],
    ) -> None:
        """``tried``: links that experiments or bursts have told something of."""
        self._records = records
        self._tallies = tallies
        self._made: dict[LinkKey, LinkSignals] = {}
        self._links = {key: link for name in records if name in fresh for key, link in records[name].links.items()}
        self.active = [key for key, link in self._links.items() if key in tried or self._is_active(key, link)]

    def _is_active(self, key: LinkKey, link: LinkRecord) -> bool:
        """Whether there is anything to say of it: data, stalls, trouble, silence."""
        record = self._records[key.src]
        newest = record.boot.newest if record.boot is not None else None
        if newest is None:
            return False
        if link.newest is not None and link.newest.shown.state in TROUBLE:
            return True
        if link.stalls and link.stalls.overlapping(newest - LONGEST_S, newest):
            return True
        if link.obstacle is None:
            if not link.ever_answered:
                return bool(record.boot is not None and record.boot.pings(key))
            answers = (link.small.last_answer(newest), link.full.last_answer(newest))
            if all(at is None or newest - at > _SILENT_S for at in answers):
                return True
        tally = self._tallies.get(key.src)
        group = tally.links.get(key) if tally is not None else None
        return group is not None and (not group.still(newest - LONGEST_S) or any(group.pending()))

    def __getitem__(self, key: LinkKey) -> LinkSignals:
        made = self._made.get(key)
        if made is None:
            link = self._links[key]
            made = gather(self._records[key.src], link, self._tallies.get(key.src), self._tallies.get(key.dst))
            made.src_cpu_pct, made.src_wait_ms = _cpu(self._records[key.src])
            made.dst_cpu_pct, made.dst_wait_ms = _cpu(self._records[key.dst])
            self._made[key] = made
        return made

    def __iter__(self) -> Iterator[LinkKey]:
        return iter(self._links)

    def __len__(self) -> int:
        return len(self._links)


def _cpu(record: NodeRecord) -> tuple[float | None, float | None]:
    """How much of its time is gone, and how long a process waits for some."""
    return used_pct(record.cpu), record.cpu.wait_ms if record.cpu is not None else None
