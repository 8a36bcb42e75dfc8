"""``report.md``: the story in words and tables. Whatever comes from nodes and people is put so that it cannot be taken
for markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import meshtop
from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import Evidence, FindingView, LinkView, NodeView, StallView
from meshtop.model import ExperimentRecord, Mesh, Path
from meshtop.report.story import Story
from meshtop.units import (
    UNKNOWN,
    format_bytes,
    format_duration,
    format_figure,
    format_ms,
    format_pct,
    format_rate,
    spell_duration,
)

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~])")
MOST_STALLS = 40
_MOST_LOG = 60


def safe(text: object) -> str:
    """Text that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))


def report(story: Story, title: str, files: Sequence[tuple[str, str]]) -> str:
    """``files``: names and what they hold, the report itself left out."""
    mesh = story.header.mesh
    parts = [
        f"# {safe(title)}",
        _summary(story),
        *_shown(files, "pictures/overview-worst.png"),
        "## Findings",
        *(_findings(story.findings) or ["None."]),
        "## Links",
        _links(story),
        *_shown(files, "charts/"),
        "## Stalls",
        _stalls(story.stalls),
        "## Bursts",
        _bursts(story.bursts),
        *(["## Experiments", _experiments(story.last.experiments)] if story.last.experiments else []),
        "## Marks and log",
        _log(story),
        "## Nodes, versions, and what watching cost",
        _nodes(story.snapshot.nodes, mesh),
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
        ("mesh", f"{safe(mesh.name)}: {len(nodes)} nodes, asked every {spell_duration(mesh.interval_s)}"),
        ("paths", safe(", ".join(map(_path, mesh.paths)))),
        ("window", f"{_time(story.begin)} to {_time(story.end)} UTC, {format_duration(story.seconds)}"),
        ("at its end", f"{up} of {len(nodes)} nodes up"),
        ("findings", ", ".join(dict.fromkeys(finding.code for finding in story.findings)) or "none"),
        ("stalls", stalls),
        ("recorded by", f"meshtop {safe(story.header.meshtop)}; report by {meshtop.__version__}"),
    ]
    if story.header.redacted:
        rows.append(("names", "replaced: nodes, addresses, users, processes and texts are not the real ones"))
    if story.incomplete is not None:
        rows.append(("incomplete", safe(story.incomplete)))
    return table(("", ""), rows)


def _path(path: Path) -> str:
    ports = f", the tunnel's sockets at {', '.join(map(str, path.outer_ports))}" if path.outer_ports else ""
    return f"{path.name} ({path.kind}{ports})"


def _shown(files: Sequence[tuple[str, str]], begin: str) -> list[str]:
    """The pictures whose names begin so, in the text."""
    return [f"![{safe(what)}]({quote(name)})" for name, what in files if name.startswith(begin)]


def _findings(findings: Iterable[FindingView]) -> list[str]:
    """Each once, with what was said of it last; with all of its times where it came again."""
    times: dict[tuple[str | None, ...], list[FindingView]] = {}
    for finding in findings:
        about = (finding.code, finding.src, finding.dst, finding.path, finding.node)
        times.setdefault(about, []).append(finding)
    return [_finding(max(each, key=lambda one: one.since), each) for each in times.values()]


def _finding(finding: FindingView, times: Sequence[FindingView]) -> str:
    about = f"{finding.src} → {finding.dst} on {finding.path}" if finding.src else finding.node or ""
    stood = ", ".join(map(_stood, sorted(times, key=lambda one: one.since)))
    lines = [
        f"### {finding.code}: {safe(about)}",
        f"{safe(finding.summary)}.",
        f"{finding.severity}, {100 * finding.confidence:.0f} % sure, {stood}.",
    ]
    if finding.evidence:
        lines.append(table(("evidence", "measured", "held against"), map(_evidence, finding.evidence)))
    if finding.against:
        lines.append(table(("speaks against it", "measured", "held against"), map(_evidence, finding.against)))
    if finding.next:
        lines.append("\n".join(f"- {safe(step)}" for step in finding.next))
    return "\n\n".join(lines)


def _stood(finding: FindingView) -> str:
    begin = safe(finding.since[11:19])
    return f"from {begin} to {safe(finding.until[11:19])}" if finding.until else f"since {begin}"


def _evidence(evidence: Evidence) -> tuple[str, str, str]:
    return safe(evidence.what), safe(format_figure(evidence.value)), safe(evidence.expected)


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


def _experiments(experiments: Sequence[ExperimentRecord]) -> str:
    rows = [
        (
            safe(each.id),
            each.kind,
            safe(f"{each.src} → {each.dst} on {each.path}"),
            _time(each.started)[11:],
            each.state,
            safe(each.summary or each.reason or ""),
        )
        for each in experiments
    ]
    return table(("id", "experiment", "link", "began", "state", "what it told"), rows)


def _log(story: Story) -> str:
    rows = [(mark.at, "mark", mark.text) for mark in story.last.marks]
    rows += [(line.at, line.node or "", line.text) for line in story.last.log]
    rows = sorted(row for row in rows if story.begin <= row[0] <= story.end)
    shown = rows[-_MOST_LOG:]
    told = table(("time", "of", "text"), ((_time(at)[11:], safe(who), safe(text)) for at, who, text in shown))
    return told if shown else "None."


def _nodes(nodes: Sequence[NodeView], mesh: Mesh) -> str:
    lines = {node.name: f"{format_rate(node.up_bps)} / {format_rate(node.down_bps)}" for node in mesh.nodes}
    rows = [
        (
            safe(node.name if node.label is None else f"{node.name} ({node.label})"),
            node.state,
            lines.get(node.name, UNKNOWN),
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
    versions = ("kernel", "ss", "iperf3", "ping")
    return table(("node", "state", "up / down bit/s", *versions, "clock", "probe's CPU", "it sends", "problems"), rows)


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
