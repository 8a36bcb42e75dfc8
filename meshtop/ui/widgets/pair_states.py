"""A pair on each path in one line: its state, since when, and the figures that it rests on, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from meshtop.model import PathName
from meshtop.ui.draw import Line
from meshtop.ui.glyphs import Glyphs
from meshtop.ui.metrics import METRICS, Figure, Gravity, dsack, longest_stall, rtt_full, stall
from meshtop.ui.scene import WORDS, Scene, ShownLink, age_words
from meshtop.ui.theme import Palette
from meshtop.ui.widgets.canvas import Canvas, panel
from meshtop.ui.widgets.link_panel import Pair, pair_links
from meshtop.units import UNKNOWN, format_age, format_ms

_PATH = 9
_STATE = 14


class PairStates(Canvas):
    """``subject``: the path whose flows are listed below; a bracket marks it."""

    def draw(
        self, scene: Scene, pair: Pair | None, paths: Sequence[PathName], subject: PathName, right: Line, width: int,
        height: int, glyphs: Glyphs, palette: Palette,
    ) -> None:  # fmt: skip
        title = Line().add("Link", palette.title)
        body: list[Line] = []
        if pair is not None:
            title = _title(scene, pair, max(width - right.width - 8, 12), glyphs, palette)
            shown = {one.link.path: one for one in pair_links(scene, pair)}
            for path in paths:
                if path in shown:
                    chosen = path == subject and len(paths) > 1
                    body.append(_line(scene, shown[path], chosen, width, glyphs, palette))
        self.show(panel(title, body, width, height, False, glyphs, palette, right=right))


def _title(scene: Scene, pair: Pair, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    src, dst = pair
    line = Line().add(glyphs.cut(f"{src} → {dst}", width), palette.title)
    labels = [scene.node[name].node.label for name in pair if name in scene.node]
    if len(labels) == 2 and all(labels) and width - line.width > 10:
        line.gap(2).add(glyphs.cut(f"{labels[0]} → {labels[1]}", width - line.width - 2), palette.dim)
    return line


def _line(scene: Scene, shown: ShownLink, chosen: bool, width: int, glyphs: Glyphs, palette: Palette) -> Line:
    line = Line().add(glyphs.bracket[0] if chosen else " ", palette.cursor)
    line.add(glyphs.fit(shown.link.path, _PATH - 1), palette.bold).gap()
    line.add(f"{glyphs.states[shown.state]} ", palette.states_bold[shown.state])
    line.add(glyphs.fit(_state_words(scene, shown), _STATE), palette.states[shown.state])
    for name, figure, size in _figures(scene, shown):
        label = glyphs.text(f"{name} ")
        if line.width + 2 + len(label) + size > width - 2:
            break
        style = palette.states["stale"] if shown.stale else palette.gravity[figure.gravity]
        line.gap(2).add(label, palette.dim).add(glyphs.fit(figure.text, size, ">"), style)
    return line.to(width - 1).add(glyphs.bracket[1] if chosen else " ", palette.cursor)


def _state_words(scene: Scene, shown: ShownLink) -> str:
    if shown.stale:
        return f"{WORDS[shown.state]} {age_words(shown.age_s)}"
    since = state_since(scene, shown)
    return WORDS[shown.state] if since is None else f"{WORDS[shown.state]} {format_age(scene.now_s - since)}"


def state_since(scene: Scene, shown: ShownLink) -> float | None:
    """From when on the link has been in its state, as far back as that is kept; None where no past tells."""
    since = None
    for point in reversed(scene.trail(shown.key)):
        if point.at > scene.now_s:
            continue
        if point.state != shown.link.state:
            break
        since = point.at - (point.interval_s or 0.0)
    return since


def _figures(scene: Scene, shown: ShownLink) -> list[tuple[str, Figure, int]]:
    """Name, figure, cells; in the order in which a narrow screen cuts from the end."""
    link, limits = shown.link, scene.view.mesh.thresholds
    rtt, rate, retx, loss = (METRICS[name] for name in ("rtt", "rate", "retx", "loss"))

    def plain(text: str) -> Figure:
        return Figure(text, Gravity.UNKNOWN if text == UNKNOWN else Gravity.FINE)

    bloat = link.srtt_ms / link.minrtt_ms if link.srtt_ms is not None and link.minrtt_ms else None
    return [
        ("rtt", rtt.main(link, limits), 5), ("÷base", rtt.side(link, limits), 4),
        ("1200 B", rtt_full(link, limits), 5), ("loss", loss.main(link, limits), 4),
        ("1200 B", loss.side(link, limits), 4), ("rate", rate.main(link, limits), 5),
        ("retx", retx.main(link, limits), 4), ("needless", dsack(link, limits), 4), ("stalls", stall(link, limits), 5),
        ("longest", longest_stall(link, limits), 4), ("flows", plain(_count(link.flows)), 3),
        ("srtt÷min", plain(UNKNOWN if bloat is None else f"{min(bloat, 999):.1f}×"), 6),
        ("pmtu", plain(_count(link.pmtu)), 4), ("pdv", plain(format_ms(link.pdv_ms)), 5),
    ]  # fmt: skip


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else str(value)
