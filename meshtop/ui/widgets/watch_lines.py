"""The watched services of a node: in one cell, in one line, and as a table with each hop.

What cannot be seen is "not visible", whatever its figures are; what a node told that has fallen silent since is grey.
"""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.engine.snapshot import WatchPeer, WatchView
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.scene import ShownNode, ShownState
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.units import UNKNOWN, format_age, format_pct, format_rate

CELL = 10  # of the one cell, in cells
_NAME = 17
_STATE = 13
_COLUMNS = (("flows", 6), ("stalls", 7), ("share", 7), ("longest", 8), ("crawl", 6), ("syn", 5), ("out", 6), ("in", 6))
_BY_SEVERITY: tuple[ShownState, ...] = ("stalled", "degraded", "stale", "no-data", "ok", "idle")


class WatchPanel(Canvas):
    """All watched services of one node."""

    def draw(
        self, shown: ShownNode | None, width: int, height: int, framed: bool, glyphs: Glyphs, palette: Palette
    ) -> None:
        title = Line().add("Watched services", palette.title)
        if shown is not None:
            title.add(glyphs.text(f" · {shown.node.name}"), palette.dim)
        body = watch_lines(shown, width - (2 if framed else 0), glyphs, palette) if shown is not None else []
        rows = height - (2 if framed else 1)
        if len(body) > rows > 0:
            body[rows - 1 :] = [Line().gap().add(f"and {len(body) - rows + 1} lines more", palette.dim)]
        self.show(panel(title, body, width, height, framed, glyphs, palette))


def watch_state(shown: ShownNode, watch: WatchView) -> tuple[ShownState, str]:
    """As which state of a link it is drawn, and the word beside it."""
    if not watch.visible:
        return "no-data", "not visible"
    if not shown.usable:
        return "stale", "no news"
    if watch.stalled_now:
        return "stalled", "stalled"
    if watch.crawling:
        return "degraded", "crawls"
    if watch.connecting:
        return "degraded", "connecting"
    if watch.stalls:
        return "degraded", "has stalled"
    return ("ok", "ok") if watch.flows else ("idle", "no flows")


def worst_first(shown: ShownNode) -> list[WatchView]:
    """Those in trouble, then what is not visible, then what moves; among equals in the order of the configuration."""
    return sorted(shown.node.watches, key=lambda watch: _BY_SEVERITY.index(watch_state(shown, watch)[0]))


def watch_cell(shown: ShownNode, glyphs: Glyphs, palette: Palette) -> Line:
    """The worst of them by name, and how many more there are; ``CELL`` cells."""
    watches = worst_first(shown)
    if not watches:
        return Line().add(glyphs.fit(UNKNOWN, CELL, ">"), palette.dim)
    state, _ = watch_state(shown, watches[0])
    more = f" +{len(watches) - 1}" if len(watches) > 1 else ""
    name = glyphs.cut(watches[0].name, CELL - 2 - len(more))
    text = f"{glyphs.states[state]}{name}{more}"
    return Line().gap().add(glyphs.fit(text, CELL - 1, ">"), palette.states[state])


def watch_line(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line | None:
    """The worst of them in one line: state, stalls, flows; None where none is watched there."""
    watches = worst_first(shown)
    if not watches:
        return None
    watch = watches[0]
    state, word = watch_state(shown, watch)
    line = Line().add(f"{glyphs.states[state]} ", palette.states_bold[state])
    line.add(glyphs.cut(watch.name, 10), palette.bold).gap()
    line.add(word, palette.states[state])
    parts = _brief(watch) if watch.visible and shown.usable else []
    if len(watches) > 1:
        parts.append(f"+{len(watches) - 1}")
    for part in parts:
        if line.width + 1 + len(part) <= width:
            line.gap().add(part, palette.dim)
    return line


def _brief(watch: WatchView) -> list[str]:
    parts = []
    if watch.stalls:
        parts += [format_age(watch.longest_stall_s), format_pct(watch.stalled_pct)]
    if watch.crawling:
        parts.append(f"{watch.crawling} of")
    if watch.flows:
        parts.append(f"{watch.flows} flow{'' if watch.flows == 1 else 's'}")
    if watch.connecting:
        parts.append(f"{watch.connecting} in SYN-SENT {format_age(watch.connecting_oldest_s)}")
    if watch.tx_bps or watch.rx_bps:
        parts.append(f"{format_rate(max(watch.tx_bps or 0.0, watch.rx_bps or 0.0))}b/s")
    return parts


def watch_lines(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette, *, peers: int = 4) -> list[Line]:
    """A table: a line for each service, below it why it is not visible, or where its flows lead, and whose they are.
    ``peers``: at most so many of the first."""
    if not shown.node.watches:
        return [Line().gap().add("no service is watched on this node", palette.dim)]
    columns = _fitting(width)
    lines = [_headings(columns, glyphs, palette)]
    for watch in shown.node.watches:
        lines.append(_row(shown, watch, columns, glyphs, palette))
        if watch.reason:
            lines += [Line().gap(3).add(part, palette.dim) for part in glyphs.wrap(watch.reason, width - 4, 2)]
        if watch.visible:
            lines += [_peer_row(shown, peer, columns, glyphs, palette) for peer in watch.peers[:peers]]
            lines += _also(watch, peers, width, glyphs, palette)
    return lines


def _fitting(width: int) -> list[tuple[str, int]]:
    fitting, used = [], 3 + _NAME + _STATE
    for name, size in _COLUMNS:
        used += size
        if used > width:
            break
        fitting.append((name, size))
    return fitting


def _headings(columns: Sequence[tuple[str, int]], glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().gap(3).add(glyphs.fit("watch", _NAME) + glyphs.fit("state", _STATE), palette.dim)
    for name, size in columns:
        line.add(glyphs.fit(name, size, ">"), palette.dim)
    return line


def _row(
    shown: ShownNode, watch: WatchView, columns: Sequence[tuple[str, int]], glyphs: Glyphs, palette: Palette
) -> Line:
    state, word = watch_state(shown, watch)
    line = Line().gap().add(f"{glyphs.states[state]} ", palette.states_bold[state])
    line.add(glyphs.fit(watch.name, _NAME - 1), palette.bold).gap()
    line.add(glyphs.fit(word, _STATE - 1), palette.states[state]).gap()
    known = watch.visible and state != "stale"
    figures = {
        "flows": _count(watch.flows), "stalls": _count(watch.stalls), "share": format_pct(watch.stalled_pct),
        "longest": format_age(watch.longest_stall_s), "crawl": _count(watch.crawling), "syn": _count(watch.connecting),
        "out": format_rate(watch.tx_bps), "in": format_rate(watch.rx_bps),
    }  # fmt: skip
    for name, size in columns:
        text = figures[name]
        bad = name in ("stalls", "share", "longest") and watch.stalled_now
        style = palette.states["stale"] if not known else palette.states["stalled"] if bad else palette.text
        line.add(glyphs.fit(text, size, ">"), palette.dim if text == UNKNOWN else style)
    return line


def _peer_row(
    shown: ShownNode, peer: WatchPeer, columns: Sequence[tuple[str, int]], glyphs: Glyphs, palette: Palette
) -> Line:
    style = palette.text if shown.usable else palette.states["stale"]
    line = Line().gap(3).add(glyphs.fit(peer_words(peer), _NAME + _STATE - 1), style).gap()
    figures = {
        "flows": _count(peer.flows), "stalls": _count(peer.stalls), "longest": format_age(peer.longest_stall_s),
        "out": format_rate(peer.tx_bps), "in": format_rate(peer.rx_bps),
    }  # fmt: skip
    for name, size in columns:
        text = figures.get(name, "")
        marked = palette.states["stalled"] if peer.stalled_now and name in ("stalls", "longest") else style
        line.add(glyphs.fit(text, size, ">"), palette.dim if text == UNKNOWN else marked)
    return line


def peer_words(peer: WatchPeer) -> str:
    """``→`` where this node is the client, ``←`` where the service is here."""
    if peer.dst is not None:
        who = f"{peer.dst} {peer.path}"
        return f"← {who}" if peer.port is None else f"→ {who} :{peer.port}"
    if peer.port is None:
        return f"← {peer.address}"
    return f"→ [{peer.address}]:{peer.port}" if ":" in peer.address else f"→ {peer.address}:{peer.port}"


def _also(watch: WatchView, peers: int, width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    more = len(watch.peers) - len(watch.peers[:peers]) + watch.more_peers
    parts = [f"and {more} more"] if more else []
    parts += [f"by {', '.join(watch.processes)}"] if watch.processes else []
    parts += [f"in {', '.join(watch.cgroups)}"] if watch.cgroups else []
    return [Line().gap(3).add(glyphs.fit(" · ".join(parts), width - 4).rstrip(), palette.dim)] if parts else []


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else format_rate(value)
