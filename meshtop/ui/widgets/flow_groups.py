"""The flows of a node gathered by where they lead or by whose they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from meshtop.engine.view import FlowView
from meshtop.ui.draw import Line
from meshtop.ui.filtering import told
from meshtop.ui.glyphs import UNKNOWN, Glyphs
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.flow_table import FlowsLook, filtered
from meshtop.units import format_bytes, format_pct, format_rate

Grouping = Literal["peer", "service", "each"]
GROUPINGS: tuple[Grouping, ...] = ("peer", "service", "each")
ORDERS = ("stalled, rate", "retransmitted", "flows", "name")
_BLOAT = 5.0


@dataclass(frozen=True, slots=True)
class Group:
    """Sums over its flows; ``bloat`` is the greatest srtt ÷ minrtt among them. None: none of them tells."""

    name: str
    flows: int
    stalled: int
    tx_bps: float | None
    rx_bps: float | None
    retrans: int | None
    segments: int | None
    unacked: int | None
    notsent: int | None
    bloat: float | None

    @property
    def retrans_pct(self) -> float | None:
        return 100 * self.retrans / self.segments if self.segments and self.retrans is not None else None


class FlowGroups(Canvas):
    def draw(
        self, flows: Sequence[FlowView], by: Grouping, look: FlowsLook, width: int, height: int, glyphs: Glyphs,
        palette: Palette,
    ) -> int:  # fmt: skip
        """Returns the place of the first one shown."""
        chosen = filtered(flows, look.words)
        groups = in_order(gathered(chosen, by), look.order)
        rows = max(height - 2, 0)
        first = max(0, min(look.first, len(groups) - rows))
        columns = [column for place, column in enumerate(_COLUMNS) if _NAME + 3 + _used(place) < width]
        name = max(min(width - 4 - sum(column[1] for column in columns), 48), 8)
        body = []
        if groups:
            body.append(Line().gap(3).add(glyphs.fit(by, name), palette.dim))
            for heading, size, _ in columns:
                body[0].add(glyphs.fit(heading, size, ">"), palette.dim)
            body += [_row(group, columns, name, glyphs, palette) for group in groups[first : first + rows]]
        else:
            reason = f"none of {len(flows)} has these words" if flows else look.silent
            body.append(Line().gap(2).add(glyphs.fit(reason, max(width - 3, 0)).rstrip(), palette.dim))
        count = f"{len(chosen)} of {len(flows)}" if look.words else str(len(flows))
        title = Line().add(look.title, palette.title)
        title.add(glyphs.text(f" · {count} by {by} · by {look.order}"), palette.dim)
        told(title, look.words, glyphs, palette)
        hidden = [f"{sign}{more}" for sign, more in (("↑", first), ("↓", len(groups) - first - rows)) if more > 0]
        right = Line().add(glyphs.text(f"{' '.join(hidden)} more"), palette.dim) if hidden else Line()
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))
        return first


def gathered(flows: Sequence[FlowView], by: Grouping) -> list[Group]:
    """In the order in which the first flow of each was seen."""
    named: dict[str, list[FlowView]] = {}
    for flow in flows:
        named.setdefault(peer_name(flow) if by == "peer" else service_name(flow), []).append(flow)
    return [_group(name, members) for name, members in named.items()]


def peer_name(flow: FlowView) -> str:
    """The node and path; an address outside of the mesh as it is."""
    if flow.link is not None:
        return f"{flow.link.dst} {flow.link.path}"
    return f"{flow.peer}" + (f" ({flow.tunnel} tunnel)" if flow.tunnel else "")


def service_name(flow: FlowView) -> str:
    """By the watch that names it, else the process, else the cgroup, else the lower port."""
    if flow.watch:
        return f"{flow.watch} (watched)"
    if flow.tunnel:
        return f"{flow.tunnel} tunnel"
    if flow.process:
        return flow.process
    if flow.cgroup and flow.cgroup.strip("/"):
        return flow.cgroup.rstrip("/").rsplit("/", 1)[-1]
    return f"port {min(flow.local_port, flow.peer_port)}"


def _group(name: str, members: Sequence[FlowView]) -> Group:
    def total(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    def count(values: Sequence[int | None]) -> int | None:
        found = total(values)
        return None if found is None else int(found)

    bloats = [one.srtt_ms / one.minrtt_ms for one in members if one.srtt_ms is not None and one.minrtt_ms]
    return Group(
        name=name,
        flows=len(members),
        stalled=sum(one.stalled for one in members),
        tx_bps=total([one.tx_bps for one in members]),
        rx_bps=total([one.rx_bps for one in members]),
        retrans=count([one.retrans for one in members]),
        segments=count([one.segments for one in members]),
        unacked=count([one.unacked for one in members]),
        notsent=count([one.notsent for one in members]),
        bloat=max(bloats, default=None),
    )


def in_order(groups: Sequence[Group], order: str) -> list[Group]:
    """Rates within a factor of four are alike, so that lines stay put."""
    keys: dict[str, Callable[[Group], object]] = {
        "stalled, rate": lambda one: (
            -one.stalled, -((int(max(one.tx_bps or 0.0, one.rx_bps or 0.0)).bit_length() + 1) // 2)
        ),
        "retransmitted": lambda one: -(one.retrans or 0),
        "flows": lambda one: -one.flows,
        "name": lambda one: one.name,
    }  # fmt: skip
    return sorted(groups, key=keys.get(order, keys[ORDERS[0]]))  # type: ignore[arg-type]  # each key's own kind


def _count(value: float | None) -> str:
    return UNKNOWN if value is None else format_rate(value)


def _times(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}×" if value < 9.95 else f"{min(value, 999):.0f}×"


# Heading, width, text and whether it is alarming; from the most telling on.
_COLUMNS: tuple[tuple[str, int, Callable[[Group], tuple[str, bool]]], ...] = (
    ("flows", 6, lambda one: (str(one.flows), False)),
    ("stalled", 8, lambda one: (str(one.stalled), bool(one.stalled))),
    ("out", 7, lambda one: (format_rate(one.tx_bps), False)),
    ("in", 7, lambda one: (format_rate(one.rx_bps), False)),
    ("retx", 7, lambda one: (format_pct(one.retrans_pct), (one.retrans_pct or 0.0) > 1.0)),
    ("srtt÷min", 10, lambda one: (_times(one.bloat), (one.bloat or 0.0) >= _BLOAT)),
    ("segs again", 12, lambda one: (_count(one.retrans), False)),
    ("unacked", 9, lambda one: (_count(one.unacked), False)),
    ("notsent", 9, lambda one: (format_bytes(one.notsent), False)),
)
_NAME = 16


def _used(place: int) -> int:
    return sum(column[1] for column in _COLUMNS[: place + 1])


def _row(
    group: Group, columns: Sequence[tuple[str, int, Callable[[Group], tuple[str, bool]]]], name: int, glyphs: Glyphs,
    palette: Palette,
) -> Line:  # fmt: skip
    line = Line().gap()
    if group.stalled:
        line.add(f"{glyphs.states['stalled']} ", palette.states_bold["stalled"])
    else:
        line.gap(2)
    line.add(glyphs.fit(group.name, name - 1), palette.bold).gap()
    for _, size, read in columns:
        text, alarming = read(group)
        style = palette.states["stalled" if group.stalled else "lossy"] if alarming else palette.text
        line.add(glyphs.fit(text, size, ">"), palette.dim if text == UNKNOWN else style)
    return line
