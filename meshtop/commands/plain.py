"""A snapshot as plain text: what is wrong, a table of nodes, one of links, for people and for pipes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshtop.engine.snapshot import FindingView, LinkView, NodeView, Snapshot, WatchView
from meshtop.model import Mesh
from meshtop.units import UNKNOWN, format_age, format_duration, format_ms, format_pct, format_rate

_NODE_HEAD = ("node", "state", "age", "samples", "ssh ms", "retx", "cpu", "kernel", "ss", "")
_LINK_HEAD = ("link", "state", "rtt ms", "base", "full", "pdv", "loss", "full", "rate", "retx", "flows", "")
_FINDING_HEAD = ("finding", "severity", "sure", "about")
_WATCH_HEAD = ("watch", "state", "flows", "stalls", "share", "longest", "crawl", "syn", "out", "in", "")
_RIGHT_FROM = 2  # the figures; name and state read better from the left


def table(state: Snapshot, mesh: Mesh) -> str:
    """Nodes, watched services, then the links path by path in the order of the configuration."""
    up = sum(node.state == "up" for node in state.nodes)
    parts = [
        f"{state.mesh} at {state.at}: {up}/{len(state.nodes)} nodes up, over {format_duration(state.window_s)}",
        *([_findings(state.findings)] if state.findings else []),
        _aligned(_NODE_HEAD, map(_node, state.nodes)),
    ]
    watches = [(node, watch) for node in state.nodes for watch in node.watches]
    if watches:
        parts.append(_aligned(_WATCH_HEAD, (_watch(node, watch) for node, watch in watches)))
    for path in mesh.paths:
        links = [link for link in state.links if link.path == path.name]
        if links:
            parts.append(f"{path.name} ({path.kind})\n{_aligned(_LINK_HEAD, map(_link, links))}")
    return "\n\n".join(parts)


def _findings(findings: Sequence[FindingView]) -> str:
    rows = [(each.code, each.severity, f"{100 * each.confidence:.0f}%", each.summary) for each in findings]
    return _aligned(_FINDING_HEAD, rows)


def _node(node: NodeView) -> tuple[str, ...]:
    name = node.name if node.label is None else f"{node.name} ({node.label})"
    notes = [node.reason or "", *node.problems]
    return (
        name,
        node.state,
        format_age(node.sample_age_s),
        str(node.samples) + (f"-{node.missed}" if node.missed else "") + (f"+{node.late} late" if node.late else ""),
        format_ms(node.ssh_rtt_ms),
        format_pct(node.tcp.retrans_pct),
        format_pct(node.cost.cpu_pct),
        node.kernel or UNKNOWN,
        node.ss or UNKNOWN,
        "; ".join(note for note in notes if note),
    )


def _watch(node: NodeView, watch: WatchView) -> tuple[str, ...]:
    seen = "stalled" if watch.stalled_now else "seen"
    return (
        f"{watch.name} on {node.name}",
        seen if watch.visible else "not visible",
        _count(watch.flows),
        _count(watch.stalls),
        format_pct(watch.stalled_pct),
        format_age(watch.longest_stall_s),
        _count(watch.crawling),
        _count(watch.connecting),
        format_rate(watch.tx_bps),
        format_rate(watch.rx_bps),
        watch.reason or ", ".join(watch.processes),
    )


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)


def _link(link: LinkView) -> tuple[str, ...]:
    return (
        f"{link.src} → {link.dst}",
        link.state,
        format_ms(link.rtt_ms),
        format_ms(link.rtt_baseline_ms),
        format_ms(link.rtt_full_ms),
        format_ms(link.pdv_ms),
        format_pct(link.loss_pct),
        format_pct(link.loss_full_pct),
        format_rate(link.tx_bps),
        format_pct(link.retrans_pct),
        _count(link.flows),
        link.reason or "",
    )


def _aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell. The last one runs on to the right. Widths count characters: a label of
    double-width ones shifts its own row only."""
    every = [head, *rows]
    widths = [max(len(row[column]) for row in every) for column in range(len(head) - 1)]
    lines = []
    for row in every:
        cells = [
            cell.rjust(width) if column >= _RIGHT_FROM else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row[:-1], widths, strict=True))
        ]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)
