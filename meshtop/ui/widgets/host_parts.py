"""The host itself: what its CPUs did, and what its queue disciplines dropped, each with its age. What a node cannot
tell is called not visible, with the reason."""

from __future__ import annotations

from rich.style import Style

from meshtop.engine.snapshot import NodeView, QdiscView
from meshtop.ui.scene import age_words
from meshtop.ui.theme import Palette
from meshtop.units import UNKNOWN, format_ms, format_pct, format_rate

# As those of the finding: a machine without time left, a core that does nothing but take in packets, a hypervisor that
# gives its time to others.
_FULL_PCT, _FULL_CORE_PCT, _STOLEN_PCT = 95.0, 90.0, 25.0
_LONG_WAIT_MS = 5.0

Item = tuple[str, str, Style]  # name, text, style of the text


def cpu_items(node: NodeView, palette: Palette) -> list[Item]:
    host = node.host
    if host.cpu_pct is None:
        return [("cores", "not visible", palette.states["stale"])]
    cores = "1 core" if host.cores == 1 else f"{host.cores} cores"
    items = []
    for name, value, limit in (
        (cores, host.cpu_pct, _FULL_PCT), ("busiest", host.busiest_core_pct, 101.0),
        ("steal", host.steal_pct, _STOLEN_PCT), ("softirq", host.softirq_pct, 101.0),
        ("of one", host.busiest_core_softirq_pct, _FULL_CORE_PCT), ("iowait", host.iowait_pct, 101.0),
    ):  # fmt: skip
        if value is None:
            items.append((name, "not visible", palette.states["stale"]))
        else:
            items.append((name, format_pct(value), palette.states["degraded"] if value >= limit else palette.text))
    if host.cpu_wait_ms is not None:
        style = palette.states["degraded"] if host.cpu_wait_ms >= _LONG_WAIT_MS else palette.text
        items.insert(2, ("waits", f"{format_ms(host.cpu_wait_ms)} ms", style))
    return [*items, ("told", f"{age_words(host.age_s)} ago", palette.dim)]


def qdisc_item(node: NodeView, palette: Palette) -> Item:
    """What all of them dropped, and which one most."""
    if node.qdiscs is None:
        return "qdisc", f"not visible: {node.qdiscs_reason or 'not told'}", palette.states["stale"]
    own = [one for one in node.qdiscs if one.parent is None and one.dropped is not None]
    if not own and node.qdiscs:
        return "qdisc", UNKNOWN, palette.text  # told once: what came since is not known yet
    worst = max(own, key=lambda one: one.dropped or 0, default=None)
    if worst is None or not worst.dropped:
        return "qdisc", "0", palette.text
    total = sum(one.dropped or 0 for one in own)
    words = f"{total}, {age_words(worst.age_s)} ago ({what(worst)} on {worst.device})"
    return "qdisc", words, palette.states["lossy"]


def own_qdisc(node: NodeView, device: str) -> QdiscView | None:
    return next((one for one in node.qdiscs or () if one.device == device and one.parent is None), None)


def what(qdisc: QdiscView) -> str:
    return f"{qdisc.kind} {qdisc.rate}" if qdisc.rate else qdisc.kind


def dropped(qdisc: QdiscView | None) -> str:
    return UNKNOWN if qdisc is None or qdisc.dropped is None else format_rate(qdisc.dropped)
