"""The open sockets of a node or of one of its links, one by one, as the operator reads them. Made when asked for."""

from __future__ import annotations

from meshtop.engine.flows import WITHOUT_INFO, Flow
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.view import FlowView
from meshtop.model import LinkKey
from meshtop.parse.ss_fields import supported_fields
from meshtop.readings import SocketId, SocketReading

# tcp_info's min_rtt is 2³²−1 µs until the first measurement (net/ipv4/tcp.c).
_NO_MINRTT_MS = 4_294_967.0


def flow_views(record: NodeRecord, link: LinkKey | None = None) -> tuple[FlowView, ...]:
    """In the order in which they were first seen; none of a node whose sockets are not known now."""
    chains = record.boot.chains if record.boot is not None else None
    if chains is None or chains.flows is None or not chains.sockets_known:
        return ()
    table = chains.flows
    stalled = {stall.key.socket for stall in record.stalls.kept if stall.open}
    fields = supported_fields(record.info.ss, record.info.kernel)
    return tuple(
        _view(record, socket, flow, flow.reading, fields, table.folds, socket in stalled)
        for socket, flow in table.flows(link)
        if flow.reading is not None
        and flow.reading.state not in WITHOUT_INFO
        and socket[:4] not in record.attribution.own
    )


def _view(
    record: NodeRecord,
    socket: SocketId,
    flow: Flow,
    reading: SocketReading,
    fields: frozenset[str],
    fold: int,
    stalled: bool,
) -> FlowView:
    def counted(name: str, value: int | None) -> int | None:
        """ss leaves zeros out: what is absent is zero where that node could have told it."""
        return 0 if value is None and name in fields else value

    service = record.services.of(socket)
    tx_bps, rx_bps = flow.moved if flow.moved is not None and flow.moved_in == fold else (0.0, 0.0)
    known = "bytes_acked" not in record.missing and flow.moved is not None
    minrtt_ms = reading.minrtt_ms
    return FlowView(
        node=record.node.name,
        link=flow.link,
        local=socket.local,
        local_port=socket.local_port,
        peer=socket.peer,
        peer_port=socket.peer_port,
        state=reading.state,
        process=record.process_of(reading.inode),
        cgroup=reading.cgroup,
        watch=service.watch,
        tunnel=service.tunnel,
        stalled=stalled,
        tx_bps=tx_bps if known else None,
        rx_bps=rx_bps if known else None,
        srtt_ms=reading.srtt_ms,
        minrtt_ms=minrtt_ms if minrtt_ms is not None and minrtt_ms < _NO_MINRTT_MS else None,
        retrans=counted("retrans_total", reading.retrans_total),
        segments=counted("data_segs_out", reading.data_segs_out),
        cwnd=reading.cwnd,
        rto_ms=reading.rto_ms,
        backoff=counted("backoff", reading.backoff),
        unacked=counted("unacked", reading.unacked),
        notsent=counted("notsent", reading.notsent),
        recv_q=reading.recv_q,
        snd_wnd=reading.snd_wnd,
        mss=reading.mss,
        pmtu=reading.pmtu,
        timer=reading.timer.kind if reading.timer is not None else None,
        timer_ms=reading.timer.expires_ms if reading.timer is not None else None,
        congestion=reading.congestion,
    )
