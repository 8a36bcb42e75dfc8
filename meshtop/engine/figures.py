"""What the snapshot says of one node over a window. Definitions: docs/manual.md.

``samples`` and ``missed`` are counted within the window; ``late``, ``unparsed`` and ``dropped_bytes`` since the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from meshtop.engine.boots import Measured
from meshtop.engine.counters import DSACK, FAST, ORIG_SENT, RETRANS, SLOW_START, SYN, TIMEOUTS, TLP, UNDONE
from meshtop.engine.held import crawls
from meshtop.engine.links import LinkRecord, SocketSight, standstill
from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import (
    HostCpuView,
    InterfaceRate,
    LinkView,
    NodeTcp,
    NodeView,
    ProbeCost,
    QdiscView,
    StallView,
)
from meshtop.engine.states import Verdict
from meshtop.engine.watches import Span, watch_views

_NOT_YET = Verdict("no-data", "no interval measured yet")
_COST_WINDOW_S = 120.0  # the probe tells its CPU at a slow beat


class Window(NamedTuple):
    """A window of one node's axis, and the intervals measured in it."""

    after: float
    upto: float
    measured: tuple[Measured, ...]
    sockets_s: float  # for how long the sockets were followed

    @classmethod
    def of(cls, record: NodeRecord, now: float, window_s: float) -> Window:
        upto = record.axis_now(now)
        measured = tuple(record.measured.between(upto - window_s, upto))
        return cls(upto - window_s, upto, measured, sum(m.sockets_s for m in measured))


def node_view(record: NodeRecord, now: float, window: Window) -> NodeView:
    age_s = record.sample_age_s(now)
    state, reason = record.state(now)
    boot, info = record.boot, record.info
    window_s = window.upto - window.after
    failure = record.sessions.failure
    return NodeView(
        name=record.node.name,
        label=record.node.label,
        state=state,
        reason=reason,
        cure=failure.cure if failure is not None and state == "down" else None,
        sample_age_s=_rounded(age_s),
        samples=len(record.samples.between(window.after, window.upto)),
        missed=_missed(record, window, fresh=age_s is not None and age_s <= record.fresh_limit_s),
        late=record.late,
        unparsed=record.unparsed,
        dropped_bytes=record.dropped_bytes,
        clock_offset_s=_rounded(_clock_offset_s(record)),
        kernel=info.kernel,
        ss=info.ss,
        iperf3=info.iperf3,
        ping=info.ping,
        root=info.root,
        ssh_rtt_ms=_rounded(record.sessions.ssh_rtt_ms),
        operator_rtt_ms={path: _rounded(rtt) for path, rtt in record.vantage.rtt_ms(now - window_s, now).items()},
        cost=ProbeCost(
            cpu_pct=_rounded(_cpu_pct(record)),
            rx_bytes_per_s=_rounded(record.sessions.wire_bytes_per_s(now - window_s, now)),
        ),
        tcp=_tcp(window.measured),
        softnet_drops=_total(m.counters.softnet_dropped for m in window.measured),
        udp_drops=_total(m.counters.udp_dropped for m in window.measured),
        interfaces=_interfaces(record, window.measured),
        **_host(record, now),
        sockets=boot.chains.sockets_total if boot is not None and boot.chains.sockets_known else None,
        unattributed=boot.chains.unattributed if boot is not None and boot.chains.sockets_known else None,
        problems=record.problems,
        flow_fields_missing=record.missing if info.ss is not None else (),
        watches=watch_views(record, Span(window.after, window.upto, window.sockets_s), state),
        **_node_trouble(record, window) if state == "up" else {},
    )


def _node_trouble(record: NodeRecord, window: Window) -> dict[str, Any]:
    """Stalls of all sockets of the node, and connections that do not get through."""
    chains = record.boot.chains if record.boot is not None else None
    if chains is None or not chains.sockets_known or not record.stalls_followed or chains.waits is None:
        return {}
    waits = chains.waits
    return {
        **standstill(record.stalls.kept.overlapping(window.after, window.upto), window.after, window.upto),
        **_connecting(age for _, age in waits.connecting(waits.at_s or 0.0)),
    }


def _host(record: NodeRecord, now: float) -> dict[str, Any]:
    """Its CPUs and queue disciplines, where they were told of lately."""
    if record.boot is None:
        return {"qdiscs_reason": "no sample yet"}
    host, clock = record.boot.host, record.boot.clock
    uptime_s = clock.uptime(record.axis_now(now))
    cpu, known = host.fresh_cpu(uptime_s), HostCpuView()
    if cpu is not None:
        known = HostCpuView(
            cpu_pct=cpu.cpu_pct,
            softirq_pct=cpu.softirq_pct,
            steal_pct=cpu.steal_pct,
            iowait_pct=cpu.iowait_pct,
            cores=cpu.cores,
            busiest_core_pct=cpu.busiest_core_pct,
            busiest_core_softirq_pct=cpu.busiest_core_softirq_pct,
            cpu_wait_ms=_rounded(cpu.wait_ms),
            age_s=_rounded(max(0.0, uptime_s - cpu.at_s)),
        )
    steps, at_s = host.fresh_qdiscs(uptime_s), host.qdiscs_at_s
    if steps is None or at_s is None:
        why = host.why_no_qdiscs or ("told too long ago" if at_s is not None else "not told yet")
        return {"host": known, "qdiscs_reason": why}
    age_s = _rounded(max(0.0, uptime_s - at_s))
    return {"host": known, "qdiscs": tuple(QdiscView(**step._asdict(), age_s=age_s) for step in steps)}


def _connecting(ages: Iterable[float]) -> dict[str, Any]:
    trying = list(ages)
    return {"connecting": len(trying), "connecting_oldest_s": _rounded(max(trying, default=None))}


def stall_views(record: NodeRecord, window: Window) -> list[StallView]:
    """The stalls seen on that node that are open or overlap the window."""
    return [stall.view() for stall in record.stalls.kept.overlapping(window.after, window.upto)]


def _link_trouble(record: NodeRecord, link: LinkRecord, window: Window) -> dict[str, Any]:
    boot = record.boot
    if boot is None or not boot.chains.sockets_known or not record.stalls_followed or boot.chains.waits is None:
        return {}
    if not link.attributable:
        return {}
    waits, link_of = boot.chains.waits, boot.chains.link_of
    return {
        **standstill(link.stalls.overlapping(window.after, window.upto), window.after, window.upto),
        **_connecting(age for id_, age in waits.connecting(waits.at_s or 0.0) if link_of(id_) == link.key),
        "crawling": sum(key == link.key for key, _ in crawls(boot.chains)),
    }


def link_view(record: NodeRecord, link: LinkRecord, now: float, window: Window, src: NodeView) -> LinkView:
    """A link over the window of its source. Of a source that gives no fresh samples no figure is shown: what was
    measured then says nothing of now."""
    key = link.key
    stale = _staleness(src)
    age_s = src.sample_age_s
    if stale is not None:
        return LinkView(
            src=key.src,
            dst=key.dst,
            path=key.path,
            state="no-data",
            reason=stale,
            rtt_baseline_ms=_rounded(link.baseline.rtt_ms),
            sample_age_s=age_s,
        )
    chains = record.boot.chains if record.boot is not None else None
    gauges = chains.gauges(key) if chains is not None and chains.sockets_known else None
    figures = link.figures(window.after, window.upto, SocketSight(window.sockets_s, record.missing, gauges))
    verdict = link.newest.shown if link.newest is not None else _NOT_YET
    return LinkView(
        src=key.src,
        dst=key.dst,
        path=key.path,
        state=verdict.state,
        reason=verdict.reason,
        sample_age_s=age_s,
        **_link_trouble(record, link, window),
        **figures,
    )


def _staleness(src: NodeView) -> str | None:
    if src.state == "up":
        return None
    if src.state == "silent" and src.sample_age_s is not None:
        return f"no sample from {src.name} for {src.sample_age_s:.0f} s"
    return f"{src.name} is {src.state}" + (f": {src.reason}" if src.reason else "")


def _missed(record: NodeRecord, window: Window, fresh: bool) -> int:
    """Samples that the interval promised and that are not there. What is on its way to a node that is up is not
    missed yet."""
    missed = 0
    samples = record.samples.between(window.after, window.upto)
    before = record.samples.last(1, window.after)
    previous = before[0] if before else None
    for sample in samples:
        if previous is not None:
            interval_s = max(sample.interval_s, previous.interval_s)
            missed += _absent(max(previous.at, window.after - interval_s), sample.at, interval_s)
        previous = sample
    if previous is not None and not fresh:
        missed += _absent(max(previous.at, window.after), window.upto, record.interval_s)
    return missed


def _absent(after: float, until: float, interval_s: float) -> int:
    return max(0, round((until - after) / interval_s) - 1)


def _clock_offset_s(record: NodeRecord) -> float | None:
    """The node's wall clock − the operator's, at the moment at which the node read both its clocks."""
    wall_s, uptime_s = record.info.wall_s, record.info.wall_uptime_s
    if wall_s is None or uptime_s is None or record.boot is None:
        return None
    return wall_s - record.boot.clock.operator_time(uptime_s)


def _cpu_pct(record: NodeRecord) -> float | None:
    if record.stream is None:
        return None
    cpu = record.stream.cpu
    newest_s = cpu.newest_time
    if newest_s is None:
        return None
    told = cpu.between(newest_s - _COST_WINDOW_S, newest_s)
    (start_s, before), (end_s, now) = told[0], told[-1]
    return 100 * (now - before) / (end_s - start_s) if end_s > start_s and now >= before else None


def cpu_s_a_frame(record: NodeRecord) -> float | None:
    """What the probe cost its node for each of its frames lately, its pings included."""
    cpu_pct, newest = _cpu_pct(record), record.samples.newest_time
    if cpu_pct is None or newest is None or record.stream is None:
        return None
    cpu = record.stream.cpu
    newest_s = cpu.newest_time or 0.0
    (start_s, _), (end_s, _) = (told := cpu.between(newest_s - _COST_WINDOW_S, newest_s))[0], told[-1]
    frames = len(record.samples.between(newest - (end_s - start_s), newest))
    return cpu_pct / 100 * (end_s - start_s) / frames if frames else None


def _tcp(measured: tuple[Measured, ...]) -> NodeTcp:
    def counted(counter: int) -> tuple[int, float]:
        known = [(m.counters.tcp[counter], m.end - m.start) for m in measured]
        return (
            sum(count for count, _ in known if count is not None),
            sum(seconds for count, seconds in known if count is not None),
        )

    def rate(counter: int) -> float | None:
        count, seconds = counted(counter)
        return _rounded(count / seconds) if seconds > 0 else None

    retrans, retrans_s = counted(RETRANS)
    sent, sent_s = counted(ORIG_SENT)
    known = retrans_s > 0 and sent_s > 0 and sent + retrans > 0
    return NodeTcp(
        retrans_per_s=rate(RETRANS),
        retrans_pct=_rounded(100 * retrans / (sent + retrans)) if known else None,
        timeouts_per_s=rate(TIMEOUTS),
        dsack_per_s=rate(DSACK),
        fast_per_s=rate(FAST),
        slow_start_per_s=rate(SLOW_START),
        tlp_per_s=rate(TLP),
        syn_per_s=rate(SYN),
        spurious_per_s=_rounded(_sum(rate(counter) for counter in UNDONE)),
    )


def _sum(rates: Iterable[float | None]) -> float | None:
    """Of those that are known; None where none is."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) if known else None


def _total(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _interfaces(record: NodeRecord, measured: tuple[Measured, ...]) -> tuple[InterfaceRate, ...]:
    counters = record.boot.chains.counters if record.boot is not None else None
    if counters is None or counters.net_dev is None:
        return ()
    read = [(m.counters.devices, m.end - m.start) for m in measured if m.counters.devices is not None]
    all_s = sum(seconds for _, seconds in read)
    totals: dict[str, list[float]] = {name: [0, 0, 0, 0, all_s] for name in counters.net_dev}
    for devices, seconds in read:
        for name, delta in devices.items():
            total = totals.get(name)
            if total is None:
                continue
            if delta is None:
                total[4] -= seconds
                continue
            total[0] += delta.rx_bytes
            total[1] += delta.tx_bytes
            total[2] += delta.rx_drop
            total[3] += delta.tx_drop
    return tuple(_interface(name, *total) for name, total in totals.items())


def _interface(name: str, rx: float, tx: float, rx_drop: float, tx_drop: float, seconds: float) -> InterfaceRate:
    if seconds <= 0:
        return InterfaceRate(name=name, rx_bps=None, tx_bps=None, rx_drop=None, tx_drop=None)
    return InterfaceRate(
        name=name,
        rx_bps=_rounded(8 * rx / seconds),
        tx_bps=_rounded(8 * tx / seconds),
        rx_drop=int(rx_drop),
        tx_drop=int(tx_drop),
    )


def _rounded(value: float | None) -> float | None:
    return round(value, 3) if value is not None else None
