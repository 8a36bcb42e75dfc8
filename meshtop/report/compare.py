"""Two windows side by side: before a cure and after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshtop.burst import BurstRecord
from meshtop.engine.snapshot import FindingView, LinkView
from meshtop.model import LinkKey
from meshtop.report.markdown import safe, table
from meshtop.report.story import Story
from meshtop.units import UNKNOWN, format_duration, format_ms, format_pct, format_rate

# From there on a figure is said to have changed: below it two windows of the same state differ as well.
_CHANGED = 0.25
Finding = tuple[str, str]


def comparison(before: Story, after: Story, title: str, files: Sequence[tuple[str, str]]) -> str:
    """``report.md`` of two windows."""
    parts = [
        f"# {safe(title)}",
        table(
            ("", "before", "after"),
            [
                ("mesh", safe(before.header.mesh.name), safe(after.header.mesh.name)),
                ("window", _window(before), _window(after)),
                ("findings", str(len(before.findings)), str(len(after.findings))),
                ("stalls of a second or more", str(_stalls(before)), str(_stalls(after))),
                ("time stalled, all flows", _stalled(before), _stalled(after)),
                ("incomplete", safe(before.incomplete or "no"), safe(after.incomplete or "no")),
            ],
        ),
        "## Findings",
        _findings(before, after),
        "## Links",
        _links(before, after),
        "## Bursts",
        _bursts(before, after),
        "## Files",
        table(("file", "holds"), ((f"`{name}`", safe(what)) for name, what in files)),
    ]
    return "\n\n".join(parts) + "\n"


def _window(story: Story) -> str:
    return f"{safe(story.snapshot.at)}, the {format_duration(story.seconds)} before it"


def _stalls(story: Story) -> int:
    return sum(stall.duration_s >= 1.0 for stall in story.stalls)


def _stalled(story: Story) -> str:
    return f"{sum(stall.duration_s for stall in story.stalls):.1f} s"


def _about(finding: FindingView) -> Finding:
    where = f"{finding.src} → {finding.dst} on {finding.path}" if finding.src else finding.node or "the mesh"
    return finding.code, where


def _findings(before: Story, after: Story) -> str:
    first = {_about(finding): finding for finding in before.findings}
    second = {_about(finding): finding for finding in after.findings}
    rows = [(*map(safe, about), "gone", safe(first[about].summary)) for about in first if about not in second]
    rows += [(*map(safe, about), "new", safe(second[about].summary)) for about in second if about not in first]
    rows += [(*map(safe, about), "still there", safe(second[about].summary)) for about in second if about in first]
    return table(("finding", "about", "", "in words"), rows) if rows else "None, neither before nor after."


def _links(before: Story, after: Story) -> str:
    first = {link.key: link for link in before.snapshot.links}
    second = {link.key: link for link in after.snapshot.links}
    keys = [key for key in (*first, *(key for key in second if key not in first)) if _known(first, key, second)]
    head = ("link", "path", "rtt ms", "sent again", "stalls", "longest stall", "rate", "state")
    rows = [
        (
            safe(f"{key.src} → {key.dst}"),
            safe(key.path),
            _pair(first.get(key), second.get(key), lambda link: link.rtt_ms, format_ms, less_is_better=True),
            _pair(first.get(key), second.get(key), lambda link: link.retrans_pct, format_pct, less_is_better=True),
            _pair(first.get(key), second.get(key), lambda link: link.stalls, _count, less_is_better=True),
            _pair(first.get(key), second.get(key), lambda link: link.longest_stall_s, _seconds, less_is_better=True),
            _pair(first.get(key), second.get(key), lambda link: link.tx_bps, format_rate, less_is_better=False),
            f"{first[key].state if key in first else UNKNOWN} → {second[key].state if key in second else UNKNOWN}",
        )
        for key in keys
    ]
    note = "Bold: better or worse by a quarter or more. A rate is what flowed, not what could; compare bursts for that."
    return f"{table(head, rows)}\n\n{note}"


def _known(first: dict[LinkKey, LinkView], key: LinkKey, second: dict[LinkKey, LinkView]) -> bool:
    links = [links[key] for links in (first, second) if key in links]
    return any(link.rtt_ms is not None or link.flows or link.stalls for link in links)


def _pair(
    before: LinkView | None,
    after: LinkView | None,
    of: Callable[[LinkView], float | None],
    shown: Callable[[float | None], str],
    *,
    less_is_better: bool,
) -> str:
    old = of(before) if before is not None else None
    new = of(after) if after is not None else None
    text = f"{shown(old)} → {shown(new)}"
    if old is None or new is None or abs(new - old) <= _CHANGED * max(abs(old), abs(new)):
        return text
    return f"**{text} {'better' if (new < old) is less_is_better else 'worse'}**"


def _bursts(before: Story, after: Story) -> str:
    def asked(burst: BurstRecord) -> tuple[str, ...]:
        return burst.src, burst.dst, burst.path, str(sorted(burst.requested.items())), str(burst.streams)

    first = {asked(burst): burst for burst in before.bursts}
    rows = [
        (
            safe(f"{burst.src} → {burst.dst} on {burst.path}"),
            f"{format_rate(first[asked(burst)].receiver_bps)} → {format_rate(burst.receiver_bps)}",
            f"{_count(first[asked(burst)].retransmits)} → {_count(burst.retransmits)}",
            f"{_seconds(first[asked(burst)].longest_stall_s)} → {_seconds(burst.longest_stall_s)}",
        )
        for burst in after.bursts
        if asked(burst) in first
    ]
    return table(("link", "bit/s", "sent again", "longest stall"), rows) if rows else "No burst was made in both."


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:g}"


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f} s"
