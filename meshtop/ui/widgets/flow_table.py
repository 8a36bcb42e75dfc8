"""The flows of a link or a node, one a line, in the words of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.style import Style

from meshtop.engine.view import FlowView
from meshtop.ui.draw import Line
from meshtop.ui.filtering import matches, told
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.units import format_bytes, format_ms, format_pct, format_rate

ORDERS = ("stalled, rate", "retransmitted", "srtt÷minrtt", "unacked", "process", "port")
_BLOAT = 5.0  # of srtt over minrtt: as bufferbloat is told by


@dataclass(frozen=True)
class FlowsLook:
    """``silent``: why there is none to show, if there is none. ``peers``: whether addresses are worth their place."""

    title: str
    words: str
    order: str
    first: int
    silent: str
    peers: bool = False
    framed: bool = False


class FlowTable(Canvas):
    def draw(
        self, flows: Sequence[FlowView], look: FlowsLook, width: int, height: int, glyphs: Glyphs, palette: Palette
    ) -> int:
        """Returns the place of the first one shown: it cannot be scrolled beyond the end."""
        chosen = in_order(filtered(flows, look.words), look.order)
        rows = max(height - (3 if look.framed else 2), 0)
        first = max(0, min(look.first, len(chosen) - rows))
        inner = width - (2 if look.framed else 0)
        columns = fitting(inner, look.peers)
        body = [headings(columns, inner, glyphs, palette, look.peers)] if chosen else []
        body += [flow_line(flow, columns, inner, glyphs, palette, look.peers) for flow in chosen[first : first + rows]]
        if not chosen:
            reason = f"none of {len(flows)} has these words" if flows else look.silent
            body.append(Line().gap(2).add(glyphs.fit(reason, max(inner - 3, 0)).rstrip(), palette.dim))
        title = Line().add(look.title, palette.title)
        count = f"{len(chosen)} of {len(flows)}" if look.words else str(len(flows))
        title.add(glyphs.text(f" · {count} · by {look.order}"), palette.dim)
        told(title, look.words, glyphs, palette)
        hidden = [f"{sign}{more}" for sign, more in (("↑", first), ("↓", len(chosen) - first - rows)) if more > 0]
        right = Line().add(glyphs.text(f"{' '.join(hidden)} more"), palette.dim) if hidden and chosen else Line()
        self.show(panel(title, body, width, height, look.framed, glyphs, palette, right=right))
        return first


def filtered(flows: Sequence[FlowView], words: str) -> list[FlowView]:
    return [flow for flow in flows if matches(words, *_texts(flow))]


def _texts(flow: FlowView) -> tuple[str | None, ...]:
    dst = flow.link.dst if flow.link is not None else None
    return (
        f"{flow.local}:{flow.local_port}", f"{flow.peer}:{flow.peer_port}", flow.process, flow.cgroup, flow.watch,
        flow.tunnel, flow.state, dst, "stalled" if flow.stalled else None,
    )  # fmt: skip


def in_order(flows: Sequence[FlowView], order: str) -> list[FlowView]:
    """Flows that are alike stay in the order in which they were seen, so that a table stays put."""
    keys: dict[str, Callable[[FlowView], object]] = {
        "stalled, rate": lambda flow: (not flow.stalled, -_magnitude(max(flow.tx_bps or 0.0, flow.rx_bps or 0.0))),
        "retransmitted": lambda flow: -(flow.retrans or 0),
        "srtt÷minrtt": lambda flow: -(_bloat(flow) or 0.0),
        "unacked": lambda flow: (-(flow.unacked or 0), -(flow.notsent or 0)),
        "process": lambda flow: (flow.process or "~", flow.local_port),
        "port": lambda flow: (flow.peer_port, flow.local_port),
    }
    return sorted(flows, key=keys.get(order, keys[ORDERS[0]]))  # type: ignore[arg-type]  # each key's own kind


def _magnitude(bps: float) -> int:
    """Rates within a factor of four are alike: lines must not change places with every sample."""
    return (int(bps).bit_length() + 1) // 2


def _bloat(flow: FlowView) -> float | None:
    return flow.srtt_ms / flow.minrtt_ms if flow.srtt_ms is not None and flow.minrtt_ms else None


# ── columns: heading, width, text, whether it is alarming ──

_Text = Callable[[FlowView], str]
_Alarm = Callable[[FlowView], bool]
_Column = tuple[str, int, _Text, _Alarm]


def _never(_: FlowView) -> bool:
    return False


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else format_rate(value)


def _rtt(flow: FlowView) -> str:
    bloat = _bloat(flow)
    times = "" if bloat is None else f" {bloat:.1f}×" if bloat < 9.95 else f" {min(bloat, 999):.0f}×"
    return f"{format_ms(flow.srtt_ms)}{times}"


def _retrans(flow: FlowView) -> str:
    return f"{_count(flow.retrans)} {format_pct(flow.retrans_pct)}" if flow.segments else _count(flow.retrans)


def _rto(flow: FlowView) -> str:
    return format_ms(flow.rto_ms) + (f"/{flow.backoff}" if flow.backoff else "")


def _waiting(flow: FlowView) -> str:
    return f"{_count(flow.unacked)}/{format_bytes(flow.notsent)}"


def _timer(flow: FlowView) -> str:
    if flow.timer is None:
        return ""
    seconds = (flow.timer_ms or 0.0) / 1000
    return f"{flow.timer} {seconds:.1f}s" if seconds < 99.95 else f"{flow.timer} {seconds:.0f}s"


_LEADING: tuple[_Column, ...] = (
    ("rate", 7, lambda flow: format_rate(flow.tx_bps), lambda flow: flow.stalled),
    ("srtt ÷min", 12, _rtt, lambda flow: (_bloat(flow) or 0.0) >= _BLOAT),
    ("retrans", 12, _retrans, lambda flow: (flow.retrans_pct or 0.0) > 1.0),
    ("unack/notsent", 14, _waiting, _never),
    ("cwnd", 6, lambda flow: _count(flow.cwnd), _never),
    ("rto/back", 10, _rto, lambda flow: bool(flow.backoff)),
    ("timer", 12, _timer, lambda flow: flow.timer == "persist"),
    ("state", 11, lambda flow: flow.state, _never),
    ("in", 7, lambda flow: format_rate(flow.rx_bps), _never),
    ("recvq", 7, lambda flow: format_bytes(flow.recv_q), _never),
    ("pmtu", 6, lambda flow: _count(flow.pmtu), _never),
    ("mss", 6, lambda flow: _count(flow.mss), _never),
    ("cc", 7, lambda flow: flow.congestion or UNKNOWN, _never),
)
_PORTS = 13  # "65535→65535 "
_PEERS = 32
_OWNER = 12
_MOST_OWNER = 40


def fitting(width: int, peers: bool) -> list[_Column]:
    """What fits beside the ports and the owner; the rest of the line is the owner's."""
    who = _who_width(width, peers)
    chosen, used = [], 3 + who + _OWNER
    for column in _LEADING:
        used += column[1]
        if used > width - 1:
            break
        chosen.append(column)
    return chosen


def _who_width(width: int, peers: bool) -> int:
    return min(_PEERS, max(_PORTS, width // 4)) if peers else _PORTS


def _owner_width(columns: Sequence[_Column], width: int, peers: bool) -> int:
    return min(width - 4 - _who_width(width, peers) - sum(column[1] for column in columns), _MOST_OWNER)


def headings(columns: Sequence[_Column], width: int, glyphs: Glyphs, palette: Palette, peers: bool = False) -> Line:
    who = "from → to" if peers else "ports"
    line = Line().gap(3).add(glyphs.fit(who, _who_width(width, peers)), palette.dim)
    line.add(glyphs.fit("process", _owner_width(columns, width, peers)), palette.dim)
    for name, size, _, _ in columns:
        line.add(glyphs.fit(name, size, ">"), palette.dim)
    return line


def owner_of(flow: FlowView) -> str:
    """By name where there is one: process, watched service, tunnel, the end of its cgroup."""
    parts = [flow.process, flow.watch, flow.tunnel and f"{flow.tunnel} tunnel"]
    if not flow.process and flow.cgroup:
        parts.append(flow.cgroup.rstrip("/").rsplit("/", 1)[-1])
    return " · ".join(dict.fromkeys(part for part in parts if part)) or UNKNOWN


def flow_line(
    flow: FlowView, columns: Sequence[_Column], width: int, glyphs: Glyphs, palette: Palette, peers: bool = False
) -> Line:
    line = Line().gap()
    if flow.stalled:
        line.add(f"{glyphs.states['stalled']} ", palette.states_bold["stalled"])
    else:
        line.gap(2)
    who = f"{flow.local_port}→{flow.peer_port}"
    if peers:
        peer = f"[{flow.peer}]" if ":" in flow.peer else flow.peer
        who = f"{flow.local_port}→{peer}:{flow.peer_port}"
    line.add(glyphs.fit(who, _who_width(width, peers) - 1), palette.text).gap()
    owner = max(_owner_width(columns, width, peers), 0)
    line.add(glyphs.fit(owner_of(flow), owner - 1 if owner else 0), palette.bold).gap()
    for _, size, read, alarms in columns:
        text = glyphs.fit(read(flow), size - 1, ">")
        line.gap().add(text, _style(text, flow, alarms, palette))
    return line


def _style(text: str, flow: FlowView, alarms: _Alarm, palette: Palette) -> Style:
    if text.strip() == UNKNOWN:
        return palette.dim
    return palette.states["stalled" if flow.stalled else "lossy"] if alarms(flow) else palette.text
