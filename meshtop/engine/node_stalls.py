"""The stalls of one node: what its boots tell of them, judged and kept as records, each where it belongs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial

from meshtop.engine import causes, stallbook
from meshtop.engine.attribution import Attribution, Services, canonical
from meshtop.engine.boots import Boot
from meshtop.engine.events import StallEvent
from meshtop.engine.links import LinkRecord
from meshtop.engine.stall import Stall, Waiting
from meshtop.engine.stallbook import StallBook, StallList, StallRecord
from meshtop.engine.surroundings import Moment, Neighbourhood, Seen
from meshtop.engine.waits import Waits
from meshtop.model import LinkKey, Node, NodeName
from meshtop.readings import SocketId, SocketReading

# What the other end of a socket shows says something of now if it is not older than this.
_OTHER_END_S = 2.0


class NodeStalls:
    def __init__(
        self,
        node: Node,
        links: Mapping[LinkKey, LinkRecord],
        attribution: Attribution,
        services: Services,
        neighbourhood: Neighbourhood,
        book: StallBook,
        boots: MutableMapping[NodeName, Boot],
    ) -> None:
        """``book`` and ``boots``, each node's newest, are shared by all nodes."""
        self.kept = StallList()
        self._node = node
        self._links = links
        self._attribution = attribution
        self._services = services
        self._neighbourhood = neighbourhood
        self._book = book
        self._boots = boots
        self._open: dict[int, StallRecord] = {}  # by number
        self._gone: list[StallEvent] = []  # of a boot that is over

    def follow(self, boot: Boot) -> None:
        """The node's newest boot from now on: what was open in the one before went with it."""
        boot.follow(self._attribution, self._services, partial(self._judge, boot))
        before = self._boots.get(self._node.name)
        if before is not None:
            over = self._book.end_of_boot(self._node.name, before.name)
            self._gone.extend(stallbook.event(record) for record in over)
            self._open.clear()
        self._boots[self._node.name] = boot

    def take(self, boot: Boot) -> Iterator[StallEvent]:
        """Fold what the frame told of stalls into their records."""
        yield from self._gone
        self._gone.clear()
        chains = boot.chains
        for stall in chains.found:
            yield from self._recorded(boot, stall)
        chains.found.clear()
        waits = chains.waits
        if waits is None or waits.at_s is None:
            return
        if boot is self._boots[self._node.name]:
            self._neighbourhood.told(Seen(waits, boot.clock.operator_time(waits.at_s)))
        for stall in waits.open_stalls:
            yield from self._recorded(boot, stall)  # those that nothing new is told of have grown older
        for number, record in list(self._open.items()):
            if not record.open:
                del self._open[number]
            elif (other := self._other_end(record)) is not None:
                record.receiver = other

    def leave_out_own(self) -> None:
        """Which connections are meshtop's own has become known."""
        own = {r.key.socket for r in self.kept if r.key.socket[:4] in self._attribution.own}
        if not own:
            return
        self._book.leave_out(self._node.name, own)
        self._open = {number: r for number, r in self._open.items() if r.key.socket not in own}
        for stalls in (self.kept, *(link.stalls for link in self._links.values())):
            stalls.leave_out(own)

    def _judge(self, boot: Boot, waits: Waits, waiting: Waiting) -> tuple[str, bool]:
        link = self._attribution.place(waiting.reading.id).link
        moment = Moment(
            at=boot.clock.operator_time(waiting.at_s),
            onset=boot.clock.axis(waiting.onset_s),
            until=boot.clock.axis(waiting.at_s),
            series=boot.pings(link) if link is not None else (),
        )
        return causes.judge(waiting, self._neighbourhood.around(link, waits, waiting, moment))

    def _recorded(self, boot: Boot, stall: Stall) -> Iterator[StallEvent]:
        if stall.seen_by == "receiver" and self._sender_is_seen(stall, boot.clock.operator_time(stall.end_uptime_s)):
            return
        record, is_new, telling = self._book.take(self._node.name, boot.name, boot.clock, stall)
        if is_new:
            self._place(record)
            record.receiver = self._other_end(record)
            self.kept.add(record)
            link = self._links.get(record.link) if record.link is not None else None
            if link is not None:
                link.stalls.add(record)
        if record.open:
            self._open[record.number] = record
        if record.process is None:
            record.process = boot.process_of(stall.reading.inode)
        if telling:
            yield stallbook.event(record)

    def _place(self, record: StallRecord) -> None:
        """Where it stands. What a receiver sees is of the link towards it."""
        socket = record.key.socket
        link = self._attribution.place(socket).link
        record.service = self._services.of(socket)
        if record.stall.seen_by == "sender":
            record.link = link
            return
        record.link = LinkKey(link.dst, link.src, link.path) if link is not None else None
        local = canonical(socket.local)
        record.path = next((path for path, address in self._node.address.items() if canonical(address) == local), None)

    # ── The other end ──

    def _sender_is_seen(self, stall: Stall, at: float) -> bool:
        """Its own socket tells more, and exactly."""
        link = self._attribution.place(stall.id).link
        return link is not None and self._mirror(stall.id, link.dst, at) is not None

    def _other_end(self, record: StallRecord) -> Mapping[str, object] | None:
        """The socket at the other end, where that node is seen now."""
        if record.link is None or record.stall.seen_by == "receiver":
            return None
        reading = self._mirror(
            record.key.socket, record.link.dst, record.clock.operator_time(record.stall.end_uptime_s)
        )
        return stallbook.receiver_evidence(reading) if reading is not None else None

    def _mirror(self, socket: SocketId, node: NodeName, at: float) -> SocketReading | None:
        """The socket at the other end, as that node told of it at about that time."""
        boot = self._boots.get(node)
        if boot is None or boot.newest is None:
            return None
        if abs(boot.newest + boot.clock.correction_s - at) > _OTHER_END_S:
            return None
        return boot.chains.reading_of((socket.peer, socket.peer_port, socket.local, socket.local_port))
