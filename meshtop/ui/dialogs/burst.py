"""What to send between two nodes, and what that will cost, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import BindingType

from meshtop.burst import BurstPlan, BurstRequest
from meshtop.model import Mesh
from meshtop.ui import keys
from meshtop.ui.burst_form import BOTH, BurstForm, FormError, competing
from meshtop.ui.dialogs.base import TypingDialog, button
from meshtop.ui.draw import Line
from meshtop.units import format_bytes, format_duration, format_rate

_TEXTS = ("streams", "size", "time", "rate", "mss", "congestion")
_ORDER = ("link", "path", "direction", "protocol", *_TEXTS, "cancel", "start")
_LONGEST = {"streams": 3, "mss": 8, "congestion": 12}  # cells; others 8
_DIRECTIONS = ("forward", "reverse", "both")
_EMPTY = {"size": "–", "time": "–", "rate": "none", "mss": "as it is", "congestion": "as it is"}
_LABEL = 12


class BurstDialog(TypingDialog[tuple[BurstForm, tuple[BurstRequest, ...]] | None]):
    """The form and the requests that it stands for, or None. F5 starts, and so does enter on Start; the focus is on
    Cancel at first."""

    WIDTH = 76
    SCOPES = frozenset({"dialog", "form"})
    BINDINGS: ClassVar[list[BindingType]] = [*keys.bindings("dialog", "form")]

    def __init__(self, form: BurstForm) -> None:
        super().__init__(id="burst-dialog")
        self.form = form
        self.focused_field = "cancel"
        self._fresh = True  # what stands in a field that was just entered is replaced by what is typed

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────

    def title_words(self) -> str:
        return "Burst"

    def plans(self) -> tuple[BurstPlan, ...]:
        """One for each burst. Raises ValueError where they cannot be."""
        return tuple(self.meshtop.source.plan_burst(request) for request in self.form.requests(self._mesh))

    @property
    def _mesh(self) -> Mesh:
        return self.meshtop.source.view().mesh

    def body(self, width: int, height: int) -> list[Line]:
        fields = self._fields()
        told = self._told(width - 3)
        buttons = Line().gap(3)
        button(buttons, "Cancel", self.focused_field == "cancel", self).gap(2)
        button(buttons, "Start  F5", self.focused_field == "start", self)
        spare = height - len(fields) - len(told) - 1
        if spare >= 2:
            return [*fields, Line(), *told, Line(), buttons]
        told = told[: max(1, min(len(told), height - 1 - len(fields)))]
        room = max(height - len(told) - 1, 1)  # of the fields those around the one that has the focus
        place = next((row for row, names in enumerate(self._rows) if self.focused_field in names), 0)
        first = max(0, min(place - room + 1, len(fields) - room))
        return [*fields[first : first + room], *told, buttons]

    def _fields(self) -> list[Line]:
        form = self.form
        path = "both, back to back" if form.path == BOTH else f"{form.path} {self._kind(form.path)}"
        ends = {"forward": (form.src, form.dst), "reverse": (form.dst, form.src)}.get(form.direction)
        direction = f"{ends[0]} sends to {ends[1]}" if ends else "both send at once"
        chosen = [
            self._choice(self._label("Link"), "link", f"{form.src} → {form.dst}"),
            self._choice(self._label("Path"), "path", path),
            self._choice(self._label("Direction"), "direction", direction),
        ]
        if self._narrow:
            chosen.append(self._choice(self._label("Load"), "protocol", f"iperf3 {form.protocol}"))
            return chosen + [self._text(self._label(name), name, "") for name in _TEXTS]
        return [
            *chosen,
            self._text(self._choice(self._label("Load"), "protocol", f"iperf3 {form.protocol}").gap(2), "streams"),
            self._text(self._text(self._text(self._label(""), "size").gap(2), "time", "or time").gap(2), "rate", "cap"),
            self._text(self._text(self._label(""), "mss", "MSS").gap(2), "congestion"),
        ]

    def _kind(self, name: str) -> str:
        return next((path.kind for path in self._mesh.paths if path.name == name), "")

    @property
    def _narrow(self) -> bool:
        """A field a line."""
        return self.app.size.width < 66

    @property
    def _rows(self) -> tuple[tuple[str, ...], ...]:
        return _NARROW_ROWS if self._narrow else _ROWS

    def _label(self, text: str) -> Line:
        return Line().gap().add(self.meshtop.glyphs.fit(text, _LABEL - 1), self.meshtop.palette.dim)

    def _choice(self, line: Line, field: str, text: str) -> Line:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        text = glyphs.fit(text, 46).rstrip()
        if field != self.focused_field:
            return line.gap(2).add(text, palette.text)
        left, right = ("<", ">") if glyphs.is_ascii else ("◂", "▸")
        return line.add(left, palette.cursor).gap().add(text, palette.chosen).gap().add(right, palette.cursor)

    def _text(self, line: Line, field: str, label: str | None = None) -> Line:
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        value = getattr(self.form, field)
        size = _LONGEST.get(field, 8)
        if not self._narrow:
            line.gap(2 if line.width <= _LABEL else 0).add(glyphs.text(label or field), palette.dim).gap()
        if field == self.focused_field:
            style = palette.chosen if self._fresh and value else palette.bold
            return (
                line.add("[", palette.cursor)
                .add(glyphs.text(value), style)
                .add("_" if len(value) < size else "", palette.cursor)
                .gap(size - len(value) - 1)
                .add("]", palette.cursor)
            )
        shown = glyphs.text(value or _EMPTY.get(field, ""))
        return line.gap().add(glyphs.fit(shown, size), palette.text if value else palette.dim).gap()

    def _told(self, width: int) -> list[Line]:
        """What it will cost and whom it will meet; or why it cannot be."""
        glyphs, palette = self.meshtop.glyphs, self.meshtop.palette
        try:
            plans = self.plans()
        except ValueError as error:
            return self._said(glyphs.states["down"], str(error), width, palette.states_bold["lossy"])
        lines: list[Line] = []
        for words in self._warnings(plans):
            lines += self._said("!", words, width, palette.states_bold["degraded"])
        return lines + self._said(" ", _cost(plans), width, palette.text)

    def _warnings(self, plans: tuple[BurstPlan, ...]) -> list[str]:
        words = []
        busy = competing(self.meshtop.source.view(), self.form)  # now, whatever is looked at
        if busy:
            first = busy[0]
            flows = f" in {first.flows} flows" if first.flows else ""
            more = f", {len(busy) - 1} more links their own" if len(busy) > 1 else ""
            words.append(
                f"{first.src}→{first.dst} {first.path} carries {format_rate(first.tx_bps)}bit/s{flows}{more}. "
                f"{'These bursts' if len(plans) > 1 else 'This burst'} will compete with that."
            )
        for plan in plans:
            words += [ask for ask in plan.asks if ask not in words]
            if plan.turned:
                words.append(
                    f"{plan.request.dst} is behind NAT on {plan.request.path}: it connects to {plan.server}, "
                    "and the load runs as it was asked."
                )
        return list(dict.fromkeys(words))

    def _said(self, sign: str, words: str, width: int, style: Style) -> list[Line]:
        parts = self.meshtop.glyphs.wrap(words, width - 2, 3)
        return [Line().gap().add(sign if not place else " ", style).gap().add(part, style)
                for place, part in enumerate(parts)]  # fmt: skip

    # ── keys ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def action_field(self, step: int) -> None:
        place = (_ORDER.index(self.focused_field) + step) % len(_ORDER)
        self.focused_field, self._fresh = _ORDER[place], True
        self.redraw()

    def action_row(self, step: int) -> None:
        """Up and down: to the first field of the line above or below."""
        place = next(row for row, names in enumerate(self._rows) if self.focused_field in names)
        self.focused_field, self._fresh = self._rows[(place + step) % len(self._rows)][0], True
        self.redraw()

    def action_side(self, step: int) -> None:
        """Left and right: another value where there are some to choose from, else the next field of the line."""
        if self.focused_field in _CHOICES:
            self._choose(step)
            self.redraw()
            return
        row = next(names for names in self._rows if self.focused_field in names)
        place = min(max(row.index(self.focused_field) + step, 0), len(row) - 1)
        self.focused_field, self._fresh = row[place], True
        self.redraw()

    def _choose(self, step: int) -> None:
        form, mesh = self.form, self._mesh
        if self.focused_field == "link":
            names = [node.name for node in mesh.nodes]
            pairs = [(src, dst) for src in names for dst in names if src != dst]
            place = pairs.index((form.src, form.dst)) if (form.src, form.dst) in pairs else 0
            src, dst = pairs[(place + step) % len(pairs)]
            self.form = replace(form, src=src, dst=dst)
        elif self.focused_field == "path":
            paths = [path.name for path in mesh.paths]
            options = [*paths, BOTH] if len(paths) > 1 else paths
            place = options.index(form.path) if form.path in options else 0
            self.form = replace(form, path=options[(place + step) % len(options)])
        elif self.focused_field == "direction":
            place = (_DIRECTIONS.index(form.direction) + step) % len(_DIRECTIONS)
            self.form = replace(form, direction=_DIRECTIONS[place])  # type: ignore[arg-type]  # of its words
        else:
            self.form = replace(form, protocol="UDP" if form.protocol == "TCP" else "TCP")

    def action_erase(self) -> None:
        if self.focused_field in _TEXTS:
            text = "" if self._fresh else getattr(self.form, self.focused_field)[:-1]
            self.form, self._fresh = self.form.typed(self.focused_field, text), False
            self.redraw()

    def action_answer(self) -> None:
        if self.focused_field == "start":
            self.action_yes()
        elif self.focused_field == "cancel":
            self.dismiss(None)
        else:
            self.action_field(1)

    def action_yes(self) -> None:
        """Start, unless it cannot be; then go to what is wrong."""
        try:
            self.plans()
            self.dismiss((self.form, self.form.requests(self._mesh)))
        except FormError as error:
            self.focused_field, self._fresh = error.field, True
            self.redraw()
        except ValueError as error:
            self.meshtop.say(str(error), severity="warning")

    def on_paste(self, event: events.Paste) -> None:
        self.typed("".join(event.text.split()))

    def typed(self, text: str) -> None:
        if self.focused_field not in _TEXTS or not text.isascii() or not text.isprintable() or text.isspace():
            return
        before = "" if self._fresh else getattr(self.form, self.focused_field)
        longest = _LONGEST.get(self.focused_field, 8)
        self.form, self._fresh = self.form.typed(self.focused_field, (before + text)[:longest]), False
        self.redraw()


_CHOICES = frozenset({"link", "path", "direction", "protocol"})
_ROWS: tuple[tuple[str, ...], ...] = (
    ("link",),
    ("path",),
    ("direction",),
    ("protocol", "streams"),
    ("size", "time", "rate"),
    ("mss", "congestion"),
    ("cancel", "start"),
)
_NARROW_ROWS = (*((name,) for name in _ORDER[:-2]), ("cancel", "start"))  # fmt: skip


def _cost(plans: tuple[BurstPlan, ...]) -> str:
    """``2 × 20MB will cross the link, in about 54s; none runs longer than 2m42s.``"""
    sizes = [plan.predicted_bytes for plan in plans]
    times = [plan.predicted_s for plan in plans]
    limit = format_duration(max(plan.limit_s for plan in plans))
    ending = f"none runs longer than {limit}" if len(plans) > 1 else f"it is ended after {limit}"
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes):
        return f"How much will be sent is not known; {ending}."
    total = f"{format_bytes(sum(known))}B"
    if len(known) > 1 and len(set(known)) == 1:
        total = f"{len(plans)} × {format_bytes(known[0])}B"
    taking = "" if None in times else f", in about {format_duration(sum(time or 0.0 for time in times))}"
    return f"{total} will cross the link{taking}; {ending}."
