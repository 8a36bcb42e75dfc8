"""One node: how it is reached, what its kernel counts, its interfaces, and what its links did. What cannot be seen
there is called not visible, never nothing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.style import Style

from meshtop.engine.snapshot import InterfaceRate, NodeView
from meshtop.model import LinkKey, Node, PathName
from meshtop.ui import plot
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.plot import TimeAxis
from meshtop.ui.scene import NODE_WORDS, Scene, ShownNode, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.timecursor import utc
from meshtop.ui.widgets import strips
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.header import clock_text
from meshtop.ui.widgets.host_parts import Item, cpu_items, dropped, own_qdisc, qdisc_item, what
from meshtop.ui.widgets.nodes_panel import clock_words
from meshtop.units import format_bytes, format_duration, format_ms, format_pct, format_rate

_LABEL = 9
_NAME = 16
# A line that is used by more than this share is full for all that TCP makes of it.
_FULL_LINE = 0.9


class NodeHead(Canvas):
    """``title`` and in lines of a kind each: session, kernel, retransmissions by type, drops, CPU, cost, problems."""

    def draw(
        self, scene: Scene, shown: ShownNode, place: str, width: int, height: int, glyphs: Glyphs, palette: Palette
    ) -> None:
        node = shown.node
        title = Line().add(glyphs.fit(f"Node {node.name}", min(width - 20, 30)).rstrip(), palette.title)
        if node.label and node.label != node.name:
            title.gap(2).add(glyphs.fit(node.label, min(max(width - title.width - 24, 0), 24)).rstrip(), palette.dim)
        rows = [_session(shown, width, glyphs, palette)]
        if shown.usable:
            rows.append(_items("kernel", _kernel(node, palette), width, glyphs, palette))
            rows.append(_items("sends", _by_type(node, palette), width, glyphs, palette))
            rows.append(_items("drops", _drops(node, palette), width, glyphs, palette))
            rows.append(_items("cpu", cpu_items(node, palette), width, glyphs, palette))
            rows.append(_items("cost", _cost(node, palette), width, glyphs, palette))
        rows[1:1] = _trouble(shown, width, glyphs, palette)
        right = Line().add(glyphs.text(place), palette.dim)
        self.show(panel(title, rows[: max(height - 1, 0)], width, height, False, glyphs, palette, right=right))


def _session(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    node = shown.node
    line = Line().gap().add(f"{glyphs.states[shown.state]} ", palette.node_states[shown.state])
    line.add(glyphs.fit(NODE_WORDS[shown.state], _LABEL - 2), palette.node_states[shown.state])
    items: list[Item] = [("sample", f"{age_words(shown.age_s)} old", palette.text)] if shown.age_s is not None else []
    items += [("ssh", f"{format_ms(node.ssh_rtt_ms)} ms" if node.ssh_rtt_ms is not None else UNKNOWN, palette.text)]
    items += [
        (f"ping {path}", f"{format_ms(rtt)} ms" if rtt is not None else UNKNOWN, palette.text)
        for path, rtt in node.operator_rtt_ms.items()
    ]
    for name, value in (("missed", node.missed), ("late", node.late), ("unread", node.unparsed + node.dropped_bytes)):
        items.append((name, format_rate(value), palette.text if not value else palette.states["degraded"]))
    items.append(("clock", clock_words(node), palette.text))
    return _join(line, items, width, glyphs, palette)


def _kernel(node: NodeView, palette: Palette) -> list[Item]:
    items = [("linux", node.kernel), ("ss", node.ss), ("iperf3", node.iperf3), ("ping", node.ping)]
    known = [(name, text or "not seen", palette.text if text else palette.dim) for name, text in items]
    user = None if node.root is None else "root" if node.root else "ordinary user"
    known.append(("as", user or UNKNOWN, palette.text))
    sockets = "not visible" if node.sockets is None else str(node.sockets)
    if node.unattributed:
        sockets += f", {node.unattributed} of nobody known"
    known.append(("sockets", sockets, palette.text if node.sockets is not None else palette.states["stale"]))
    if node.connecting:
        text = f"{node.connecting} for up to {format_duration(node.connecting_oldest_s)}"
        known.append(("in SYN-SENT", text, palette.states["degraded"]))
    return known


def _by_type(node: NodeView, palette: Palette) -> list[Item]:
    """Retransmissions, and of which kind they are; segments a second."""
    tcp = node.tcp
    bad = tcp.retrans_pct is not None and tcp.retrans_pct > 1.0
    items: list[Item] = [("retrans", format_pct(tcp.retrans_pct), palette.states["lossy"] if bad else palette.text)]
    for name, rate in (
        ("in all", tcp.retrans_per_s), ("by ACKs", tcp.fast_per_s), ("after RTO", tcp.slow_start_per_s),
        ("tail probe", tcp.tlp_per_s), ("of SYN", tcp.syn_per_s), ("needless", tcp.dsack_per_s),
        ("undone", tcp.spurious_per_s), ("RTOs", tcp.timeouts_per_s),
    ):  # fmt: skip
        text = UNKNOWN if rate is None else f"{rate:.1f}/s" if rate < 99.95 else f"{format_rate(rate)}/s"
        items.append((name, text, palette.text))
    return items


def _drops(node: NodeView, palette: Palette) -> list[Item]:
    def count(value: int | None) -> tuple[str, Style]:
        if value is None:
            return "not visible", palette.states["stale"]
        return str(value), palette.states["lossy"] if value else palette.text

    rx = [one.rx_drop for one in node.interfaces if one.rx_drop is not None]
    tx = [one.tx_drop for one in node.interfaces if one.tx_drop is not None]
    items = [("softnet", *count(node.softnet_drops)), ("UDP", *count(node.udp_drops))]
    items += [("NIC in", *count(sum(rx) if rx else None)), ("NIC out", *count(sum(tx) if tx else None))]
    return [*items, qdisc_item(node, palette)]


def _cost(node: NodeView, palette: Palette) -> list[Item]:
    rate = node.cost.rx_bytes_per_s
    sent = f"{format_bytes(rate)}B/s" if rate is not None else UNKNOWN
    return [
        ("probe CPU", format_pct(node.cost.cpu_pct), palette.text), ("sends", sent, palette.text),
        ("samples", str(node.samples), palette.text),
    ]  # fmt: skip


def _trouble(shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> list[Line]:
    """Why it is not up and the cure; sources that cannot be read there, fields that its ss cannot give."""
    node = shown.node
    lines = [Line().gap(3).add(text, palette.text) for text in glyphs.wrap(node.reason or "", max(width - 4, 8), 2)]
    for place, text in enumerate(glyphs.wrap(node.cure or "", max(width - 6, 8), 2)):
        lines.append(Line().gap(3).add((glyphs.text("→ ") if place == 0 else "  ") + text, palette.key))
    missing = f"not visible, its ss is too old: {', '.join(node.flow_fields_missing)}"
    for problem in (*node.problems, *((missing,) if node.flow_fields_missing else ())):
        lines.append(Line().gap(3).add(glyphs.fit(problem, max(width - 4, 0)).rstrip(), palette.states["degraded"]))
    return lines


def _items(label: str, items: Sequence[Item], width: int, glyphs: Glyphs, palette: Palette) -> Line:
    return _join(Line().gap().add(glyphs.fit(label, _LABEL), palette.dim), items, width, glyphs, palette)


def _join(line: Line, items: Sequence[Item], width: int, glyphs: Glyphs, palette: Palette) -> Line:
    """As many as fit whole; the last one that does not ends in an ellipsis where some of it can be read."""
    for name, text, style in items:
        label, value = f"  {glyphs.text(name)} ", glyphs.text(text)
        room = width - 1 - line.width - len(label)
        if room < min(len(value), 8):
            return line
        line.add(label, palette.dim).add(glyphs.cut(value, room), style)
    return line


class InterfacesPanel(Canvas):
    def draw(
        self, shown: ShownNode, configured: Node | None, width: int, height: int, glyphs: Glyphs, palette: Palette
    ) -> None:
        rows = max(height - 2, 0)
        faces = busiest_first(shown.node.interfaces)
        body = [Line().gap(3).add(glyphs.fit("interface", _NAME), palette.dim)]
        for name, size in _COLUMNS if width >= _QDISCS_FROM else _COLUMNS[:-1]:
            body[0].add(glyphs.fit(name, size, ">"), palette.dim)
        for face in faces[:rows]:
            body.append(_interface(face, shown, width, glyphs, palette))
        if not faces:
            words = "not visible: /proc/net/dev cannot be read" if shown.usable else "not visible: no fresh samples"
            body = [Line().gap(3).add(glyphs.fit(words, max(width - 4, 0)).rstrip(), palette.states["stale"])]
        title = Line().add("Interfaces", palette.title)
        if configured is not None and (configured.up_bps or configured.down_bps):
            title.add(f"  line {_nominal(configured.up_bps)} up, {_nominal(configured.down_bps)} down", palette.dim)
        more = len(faces) - rows
        right = Line().add(glyphs.text(f"↓{more} more"), palette.dim) if more > 0 else Line()
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))


_COLUMNS = (("out", 8), ("in", 8), ("out drops", 11), ("in drops", 10), ("qdisc", 8))
_QDISCS_FROM = 76  # columns of the screen: a count, and the name of what dropped


def busiest_first(faces: Sequence[InterfaceRate]) -> list[InterfaceRate]:
    """Those that drop, then by the magnitude of what they carry, so that they stay put."""

    def weight(face: InterfaceRate) -> tuple[bool, int]:
        return bool(face.rx_drop or face.tx_drop), (int((face.rx_bps or 0) + (face.tx_bps or 0)).bit_length() + 2) // 3

    return sorted(faces, key=weight, reverse=True)


def _nominal(rate: int | None) -> str:
    return f"{format_rate(rate)}bit/s" if rate else UNKNOWN


def _interface(face: InterfaceRate, shown: ShownNode, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    usable, qdisc = shown.usable, own_qdisc(shown.node, face.name)
    plain = palette.text if usable else palette.states["stale"]
    line = Line().gap(3).add(glyphs.fit(face.name, _NAME - 1), palette.bold if usable else plain).gap()
    line.add(glyphs.fit(format_rate(face.tx_bps), _COLUMNS[0][1], ">"), plain)
    line.add(glyphs.fit(format_rate(face.rx_bps), _COLUMNS[1][1], ">"), plain)
    for value, (_, size) in ((face.tx_drop, _COLUMNS[2]), (face.rx_drop, _COLUMNS[3])):
        text = UNKNOWN if value is None else format_rate(value)
        line.add(glyphs.fit(text, size, ">"), palette.states["lossy"] if value and usable else plain)
    if width < _QDISCS_FROM:
        return line
    lossy = usable and qdisc is not None and qdisc.dropped
    line.add(glyphs.fit(dropped(qdisc), _COLUMNS[4][1], ">"), palette.states["lossy"] if lossy else plain).gap(2)
    words = what(qdisc) if qdisc is not None else ""
    return line.add(glyphs.fit(words, max(width - line.width - 2, 0)).rstrip(), palette.dim)


class NodeLinks(Canvas):
    """What the flows to each other node did, on one axis of time."""

    def draw(
        self, scene: Scene, shown: ShownNode, path: PathName, window: tuple[float, float], width: int, height: int,
        glyphs: Glyphs, palette: Palette,
    ) -> None:  # fmt: skip
        """``window``: its length in seconds and its right edge."""
        who = min(max(scene.longest_name, 3), 16) + 4
        axis = TimeAxis.until(window[1], window[0], max(width - who - 2, 1))
        keys = [key for key in scene.links if key.src == shown.node.name and key.path == path]
        body = [_link_strip(scene, key, axis, window[1], who, glyphs, palette) for key in keys[: max(height - 2, 0)]]
        body.append(_axis(axis, scene, who, glyphs, palette))
        title = Line().add("Links", palette.title).add(glyphs.text(f" · {path} · "), palette.dim)
        title.add(format_duration(window[0]), palette.dim)
        more = len(keys) - max(height - 2, 0)
        right = strips.legend(glyphs, palette) if more <= 0 else Line().add(f"{more} more", palette.dim)
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))


def _link_strip(
    scene: Scene, key: LinkKey, axis: TimeAxis, end_s: float, who: int, glyphs: Glyphs, palette: Palette
) -> Line:
    state = scene.links[key].state
    line = Line().gap().add(f"{glyphs.states[state]} ", palette.states_bold[state])
    line.add(glyphs.fit(key.dst, who - 3), palette.text).to(who)
    trail = scene.trail(key)
    until = trail[-1].at if trail and not scene.view.past else scene.now_s
    stalls = [
        (utc(stall.start), utc(stall.end) if stall.end else until)
        for stall in scene.view.stalls
        if (stall.src, stall.dst, stall.path) == key
    ]
    cells = plot.activity(trail, axis, stalls, end_s)
    cursor = axis.column(scene.now_s) if scene.view.past else None
    later = cells[cursor + 1 :] if cursor is not None else []
    strips.draw(line, cells if cursor is None else cells[: cursor + 1], glyphs, palette)
    for cell in later:
        line.add(" " if cell is None else glyphs.strips[cell], palette.faint)
    return line


def _axis(axis: TimeAxis, scene: Scene, who: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line()
    past = scene.view.past
    words = glyphs.text(f"↑{clock_text(scene.now_s)}") if past else "now"
    column = axis.column(scene.now_s) if past else axis.columns - 3
    column = min(max(column, 0), max(axis.columns - len(words), 0))
    placed = [(column, words, palette.cursor if past else palette.dim)]
    for tick, at in plot.ticks(axis, 14):
        text = clock_text(at)
        if tick + len(text) <= axis.columns and (tick + len(text) < column or tick > column + len(words)):
            placed.append((tick, text, palette.dim))
    for start, text, style in sorted(placed, key=lambda item: item[0]):
        line.to(who + start).add(text, style)
    return line
