"""``report.md``: the story in words and tables. Whatever comes from nodes and people is put so that it cannot be taken
for markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import meshtop
from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import Evidence, FindingView, LinkView, NodeView, StallView
from meshtop.report.story import Story
from meshtop.units import UNKNOWN, format_bytes, format_duration, format_ms, format_pct, format_rate

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
MOST_STALLS = 40
_MOST_LOG = 60


def safe(text: object) -> str:
    """Text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def report(story: Story, title: str, files: Sequence[tuple[str, str]]) -> str:
    """``files``: names and what they hold, the report itself left out."""
    parts = [
        f"# {safe(title)}",
        _summary(story),
        "## Findings",
        *(_findings(story.findings) or ["None."]),
        "## Links",
        _links(story),
        "## Stalls",
        _stalls(story.stalls),
        "## Bursts",
        _bursts(story.bursts),
        "## Marks and log",
        _log(story),
        "## Nodes, versions, and what watching cost",
        _nodes(story.snapshot.nodes),
        "## Files",
        table(("file", "holds"), ((f"`{name}`", safe(what)) for name, what in files)),
        _how_to_replay(story),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(story: Story) -> str:
    nodes, mesh = story.snapshot.nodes, story.header.mesh
    up = sum(node.state == "up" for node in nodes)
    open_stalls = [stall for stall in story.stalls if stall.duration_s >= 1.0]
    longest = max((stall.duration_s for stall in story.stalls), default=0.0)
    stalls = (
        f"{len(open_stalls)} of a second or more, the longest {longest:.1f} s" if open_stalls else "none of a second"
    )
    rows = [
        ("mesh", f"{safe(mesh.name)}: {len(nodes)} nodes, {len(mesh.paths)} paths"),
        ("window", f"{_time(story.begin)} to {_time(story.end)} UTC, {format_duration(story.seconds)}"),
        ("at its end", f"{up} of {len(nodes)} nodes up"),
        ("findings", ", ".join(sorted({finding.code for finding in story.findings})) or "none"),
        ("stalls", stalls),
        ("recorded by", f"meshtop {safe(story.header.meshtop)}; report by {meshtop.__version__}"),
    ]
    if story.header.redacted:
        rows.append(("names", "replaced: nodes, addresses, users, processes and texts are not the real ones"))
    if story.incomplete is not None:
        rows.append(("incomplete", safe(story.incomplete)))
    return table(("", ""), rows)


def _findings(findings: Iterable[FindingView]) -> list[str]:
    return [_finding(finding) for finding in findings]


def _finding(finding: FindingView) -> str:
    about = f"{finding.src} → {finding.dst} on {finding.path}" if finding.src else finding.node or ""
    lines = [
        f"### {finding.code}: {safe(about)}",
        f"{safe(finding.summary)}.",
        f"{finding.severity}, {100 * finding.confidence:.0f} % sure, since {safe(finding.since)}.",
    ]
    if finding.evidence:
        lines.append(table(("evidence", "measured", "held against"), map(_evidence, finding.evidence)))
    if finding.against:
        lines.append(table(("speaks against it", "measured", "held against"), map(_evidence, finding.against)))
    if finding.next:
        lines.append("\n".join(f"- {safe(step)}" for step in finding.next))
    return "\n\n".join(lines)


def _evidence(evidence: Evidence) -> tuple[str, str, str]:
    value = evidence.value
    shown = UNKNOWN if value is None else f"{value:.4g}" if isinstance(value, float) else safe(value)
    return safe(evidence.what), shown, safe(evidence.expected)


def _links(story: Story) -> str:
    links = sorted(story.snapshot.links, key=lambda link: (link.src, link.dst))
    known = [link for link in links if link.rtt_ms is not None or link.flows or link.stalls]
    head = (
        "link",
        "path",
        "at the end",
        "rtt",
        "baseline",
        "loss",
        "1200 B",
        "rate",
        "sent again",
        "stalls",
        "longest",
    )
    seconds = min(story.seconds, 600.0)  # what the engine keeps
    note = f"Over the last {format_duration(seconds)} of the window; links of which nothing is known are left out."
    return f"{table(head, map(_link, known))}\n\n{note}"


def _link(link: LinkView) -> tuple[str, ...]:
    return (
        safe(f"{link.src} → {link.dst}"),
        safe(link.path),
        link.state,
        f"{format_ms(link.rtt_ms)} ms",
        f"{format_ms(link.rtt_baseline_ms)} ms",
        format_pct(link.loss_pct),
        format_pct(link.loss_full_pct),
        f"{format_rate(link.tx_bps)}bit/s",
        format_pct(link.retrans_pct),
        UNKNOWN if link.stalls is None else str(link.stalls),
        UNKNOWN if link.longest_stall_s is None else f"{link.longest_stall_s:.1f} s",
    )


def _stalls(stalls: Sequence[StallView]) -> str:
    if not stalls:
        return "None."
    ranked = sorted(stalls, key=lambda stall: -stall.duration_s)[:MOST_STALLS]
    ranked.sort(key=lambda stall: stall.start)
    rows = [
        (
            safe(stall.id),
            safe(stall.start[11:23]),
            safe(f"{stall.src} → {stall.dst} on {stall.path}" if stall.dst else stall.node),
            safe(f"{stall.flow.local} → {stall.flow.peer}"),
            safe(stall.flow.process or stall.flow.watch or ""),
            f"{stall.duration_s:.1f} s",
            stall.outcome,
            safe(stall.cause if stall.settled else f"{stall.cause} (likeliest)"),
        )
        for stall in ranked
    ]
    told = table(("id", "began", "link", "flow", "of", "lasted", "outcome", "cause"), rows)
    more = len(stalls) - len(ranked)
    return told + (f"\n\n{more} shorter ones are left out; `events.ndjson` has all." if more else "")


def _bursts(bursts: Sequence[BurstRecord]) -> str:
    if not bursts:
        return "None."
    rows = [
        (
            safe(burst.id),
            safe(f"{burst.src} → {burst.dst} on {burst.path}"),
            f"{burst.streams} streams, {safe(', '.join(f'{key} {value}' for key, value in burst.requested.items()))}",
            burst.state,
            f"{format_rate(burst.receiver_bps)}bit/s",
            f"{format_bytes(burst.received_bytes)}B",
            UNKNOWN if burst.retransmits is None else str(burst.retransmits),
            UNKNOWN if burst.longest_stall_s is None else f"{burst.longest_stall_s:.1f} s",
        )
        for burst in bursts
    ]
    return table(("id", "link", "asked", "state", "arrived at", "arrived", "sent again", "longest stall"), rows)


def _log(story: Story) -> str:
    rows = [(mark.at, "mark", mark.text) for mark in story.last.marks]
    rows += [(line.at, line.node or "", line.text) for line in story.last.log]
    rows = sorted(row for row in rows if story.begin <= row[0] <= story.end)
    shown = rows[-_MOST_LOG:]
    told = table(("time", "of", "text"), ((_time(at)[11:], safe(who), safe(text)) for at, who, text in shown))
    return told if shown else "None."


def _nodes(nodes: Sequence[NodeView]) -> str:
    rows = [
        (
            safe(node.name if node.label is None else f"{node.name} ({node.label})"),
            node.state,
            safe(node.kernel or UNKNOWN),
            safe(node.ss or UNKNOWN),
            safe(node.iperf3 or UNKNOWN),
            safe(node.ping or UNKNOWN),
            UNKNOWN if node.clock_offset_s is None else f"{1000 * node.clock_offset_s:+.0f} ms",
            format_pct(node.cost.cpu_pct),
            f"{format_bytes(node.cost.rx_bytes_per_s)}B/s",
            safe("; ".join(filter(None, (node.reason, *node.problems)))),
        )
        for node in nodes
    ]
    head = ("node", "state", "kernel", "ss", "iperf3", "ping", "clock", "probe's CPU", "it sends", "problems")
    return table(head, rows)


def _how_to_replay(story: Story) -> str:
    return (
        "`meshtop replay recording.mtr` plays the window in the full screen, on any machine with meshtop "
        f"{safe(story.header.meshtop)} or newer; `meshtop stream --from recording.mtr` gives its events as JSON."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in row) + " |" for row in lines)


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
