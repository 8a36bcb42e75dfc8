"""Which parts of the overview are shown at a given size of terminal, and how large. Pure arithmetic.

120×32 and up: tall cells and a side panel. 80–119 columns: cells of one line. Under 80: the worst links as a list.
Under 40×10: one line of state. It never refuses to draw.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

CellKind = Literal["tall", "line", "glyph"]

LINE_UNDER = (40, 10)
LIST_UNDER_WIDTH = 80
SIDE_FROM_WIDTH = 120
TALL_FROM = (120, 32)
FRAMED_FROM_HEIGHT = 28  # below, the lines that frames cost are worth more than the frames
NOTICE_FROM_HEIGHT = 24  # below, the line is worth more than what it says
MOST_NODES_WITH_FIGURES = 8  # beyond, figures can no longer be taken in at a glance

# Inner widths of a cell, without the column that parts it from the next: glyph and five-cell figure; with inflation.
HEADER = 7
WIDEST_HEADER = 12
TALL_CELL = 9
LINE_CELL = 6
GLYPH_CELL = 1
WIDEST_CELL = 24
ROOM_BELOW = 20  # lines for stalls, nodes and log that are worth more than blank lines between rows
STALLS_FROM = (120, 32)  # a strip of seconds needs width, and the matrix comes first
STALLS_LINES = 5  # axis, three links, marks
FEWEST_STALLS_LINES = 3
MOST_STALLS_LINES = 10
LOG_WITH_STALLS = 3  # entries that are worth more than the nodes: these stand beside their links too
SEPARATOR = 2  # cells between matrices side by side
SIDE_WIDTH = 40
LINK_PANEL_LINES = 22  # what the side panel says about one pair with two paths
ATTENTION_BELOW = 5  # lines of it below a matrix that is too wide to have it beside
LEAST_ATTENTION = 7  # lines: what is wrong is worth more than the last figures of one pair
MOST_ATTENTION = 16  # lines: more findings than that are for the diagnosis


@dataclass(frozen=True, slots=True)
class Grid:
    """Geometry of the matrix: ``cell`` is the inner width of a cell, ``rows`` the lines of one row with its gap."""

    kind: CellKind
    cell: int
    header: int
    gap: int

    @property
    def pitch(self) -> int:
        return self.cell + 1

    @property
    def height(self) -> int:
        return 3 if self.kind == "tall" else 1

    @property
    def rows(self) -> int:
        return self.height + self.gap


@dataclass(frozen=True, slots=True)
class Plan:
    """Heights in lines, 0 for what is not shown. ``side`` is the width of the column at the right."""

    mode: Literal["line", "list", "grid"]
    notice: int = 0
    framed: bool = False
    side: int = 0
    grid: Grid | None = None
    matrix: int = 0
    worst: int = 0
    link: int = 0
    stalls: int = 0
    nodes: int = 0
    attention: int = 0
    log: int = 0
    paths_fit: bool = True  # whether all the paths that were asked for fit side by side


def plan(
    width: int,
    height: int,
    nodes: int,
    shown_paths: int,
    all_paths: int,
    longest_name: int = 1,
    notice: bool = False,
    watched: bool = False,
) -> Plan:
    """``shown_paths``: how many matrices stand side by side. ``all_paths``: how many paths a pair has.
    ``longest_name``: of a node, in cells. ``notice``: whether there is one to show below the header. ``watched``:
    whether there are watched services, which take a line at each end of a link."""
    noticed = notice_lines(height, notice) if width >= LINE_UNDER[0] else 0
    return replace(_plan(width, height, noticed, nodes, shown_paths, all_paths, longest_name, watched), notice=noticed)


def notice_lines(height: int, notice: bool) -> int:
    return int(notice and height >= NOTICE_FROM_HEIGHT)


def _plan(
    width: int, height: int, notice: int, nodes: int, shown_paths: int, all_paths: int, longest_name: int, watched: bool
) -> Plan:
    header = min(max(longest_name + 2, HEADER), WIDEST_HEADER)
    if width < LINE_UNDER[0] or height < LINE_UNDER[1]:
        return Plan(mode="line")
    body = height - 2 - notice  # without header and footer
    if width < LIST_UNDER_WIDTH:
        return _list_plan(body, all_paths)
    framed = height >= FRAMED_FROM_HEIGHT
    frame = 2 if framed else 1
    side = SIDE_WIDTH + min(12, (width - SIDE_FROM_WIDTH) // 6) if width >= SIDE_FROM_WIDTH else 0
    if shown_paths > 1:
        side = 0  # the other path stands beside the first: there is no third column
    inner = width - side - (2 if framed else 0)
    room = body - frame - 1  # for rows, below the line of column names
    room -= 0 if side else frame + 2 + all_paths  # the selected pair stands below, not beside
    grid = _grid(inner, room, nodes, shown_paths, header, tall=width >= TALL_FROM[0] and height >= TALL_FROM[1])
    if side and grid.kind == "glyph" and grid.header + nodes * grid.pitch + 1 > inner:
        side = 0  # all columns at once are worth more than a side panel
        grid = _grid(width - (2 if framed else 0), room, nodes, shown_paths, header, tall=False)
    if shown_paths > 1 and grid.kind == "glyph" and nodes <= MOST_NODES_WITH_FIGURES:
        one = _plan(width, height, notice, nodes, 1, all_paths, longest_name, watched)
        return replace(one, paths_fit=False)
    strips = width >= STALLS_FROM[0] and height >= STALLS_FROM[1]
    if side:
        return _wide_plan(body, frame, framed, side, grid, nodes, strips, LINK_PANEL_LINES + (2 if watched else 0))
    return _narrow_plan(body, frame, framed, grid, nodes, all_paths, strips)


def plan_without_nodes(width: int, height: int, notice: bool = False) -> Plan:
    """While no node gives anything: why that is, and the log."""
    shown = plan(width, height, 2, 1, 1, notice=notice)
    if shown.mode == "line":
        return shown
    body = height - 2 - shown.notice
    log = min(max(body // 4, 3), 10) if body >= 16 else 0
    grid = Grid("line", LINE_CELL, HEADER, 0)
    return Plan(
        mode="grid", notice=shown.notice, framed=shown.framed, grid=grid, matrix=body - log, log=log,
    )  # fmt: skip


def _grid(inner: int, room: int, nodes: int, paths: int, header: int, *, tall: bool) -> Grid:
    columns = max(nodes * paths, 1)
    inner -= (paths - 1) * SEPARATOR
    cell = (inner - header - 1) // columns - 1
    if nodes > MOST_NODES_WITH_FIGURES or cell < LINE_CELL:
        cell = min(max((inner - max(header, 10) - 1) // columns - 1, GLYPH_CELL), 3)
        return Grid("glyph", cell | 1, max(header, 10), 0)  # an odd width has a middle for the glyph
    cell = min(cell, WIDEST_CELL)
    header = min(16, inner - columns * (cell + 1) - 1)
    if tall and cell >= TALL_CELL and nodes * 3 <= room:
        spare = room - nodes * 3 - (nodes - 1)
        return Grid("tall", cell, header, 1 if spare >= ROOM_BELOW else 0)
    return Grid("line", cell, header, 0)


def _matrix_height(grid: Grid, frame: int, nodes: int) -> int:
    return frame + 1 + nodes * grid.rows - grid.gap


def _wide_plan(
    body: int, frame: int, framed: bool, side: int, grid: Grid, nodes: int, strips: bool, link_lines: int
) -> Plan:
    matrix = min(_matrix_height(grid, frame, nodes), body)
    stalls = _stalls(body - matrix, frame, nodes) if strips else 0
    node_lines, log, spare = _stack(body - matrix - stalls, frame + 1 + nodes, frame + 1)
    link = min(link_lines + frame, body)
    attention = min(max(body - link, min(LEAST_ATTENTION + frame, body // 4)), MOST_ATTENTION + frame)
    attention = attention if attention >= frame + 2 else 0
    return Plan(
        mode="grid", framed=framed, side=side, grid=grid, matrix=matrix + spare, link=body - attention,
        stalls=stalls, nodes=node_lines, attention=attention, log=log,
    )  # fmt: skip


def _narrow_plan(body: int, frame: int, framed: bool, grid: Grid, nodes: int, paths: int, strips: bool) -> Plan:
    link = frame + 2 + paths
    matrix = min(_matrix_height(grid, frame, nodes), max(body - link, frame + 6))  # more rows than that scroll
    matrix = min(matrix, body)
    if matrix + link > body:
        link = 0
    stalls = _stalls(body - matrix - link, frame, nodes) if strips else 0
    room = body - matrix - link - stalls
    attention = min(room - frame - 2, frame + ATTENTION_BELOW) if grid.kind == "glyph" else 0
    attention = attention if attention >= frame + 2 else 0
    node_lines, log, spare = _stack(room - attention, frame + 1 + nodes, frame + 1)
    return Plan(
        mode="grid", framed=framed, grid=grid, matrix=matrix + spare, link=link, stalls=stalls, nodes=node_lines,
        attention=attention, log=log,
    )  # fmt: skip


def _stalls(room: int, frame: int, nodes: int) -> int:
    """Lines for the strips: beside nodes and log where there is room for all, before the nodes where there is not."""
    rest = frame + LOG_WITH_STALLS
    beside = room - rest - (frame + 1 + nodes)
    if beside >= frame + STALLS_LINES:
        return frame + min(max(beside - frame - LOG_WITH_STALLS, STALLS_LINES), MOST_STALLS_LINES)
    instead = min(room - rest, frame + STALLS_LINES)
    return instead if instead >= frame + FEWEST_STALLS_LINES else 0


def _stack(room: int, nodes: int, log_least: int) -> tuple[int, int, int]:
    """Lines for the nodes, for the log, and what is left over. Of many nodes those in trouble are enough."""
    granted = nodes if room >= nodes else room - 2 * log_least if room - 2 * log_least > log_least else 0
    log = room - granted
    return (granted, log, 0) if log >= log_least else (granted, 0, log)


def _list_plan(body: int, paths: int) -> Plan:
    link = 3 + paths if body >= 12 else 0  # title, headings, paths, what is wrong
    log = max(0, min(5, body - link - 9))
    log = log if log >= 2 else 0
    return Plan(mode="list", worst=body - link - log, link=link, log=log)
