"""Every key of the screen as one table: what it does, where, and how it is called.

Bindings have ids, so that a keymap can move them (textual.app.App.set_keymap). The footer and the help are written from
this table; a key that is not here does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import combinations
from typing import Literal

from textual.binding import Binding
from textual.keys import Keys, _character_to_key  # the only place where Textual tells its names of keys

# ``always``: in dialogs, too; ``browse``: where there is a pair to go on from; ``charts``: where time is the X axis;
# ``lists``: where there is one.
Scope = Literal[
    "always", "everywhere", "browse", "charts", "lists", "overview", "link", "node", "log", "stalls", "diagnosis",
    "burst", "run", "dialog", "ask", "choose", "form", "palette",
]  # fmt: skip
Group = Literal["everywhere", "go", "act", "charts"]

# Scopes of keys that belong to a dialog alone.
DIALOGS: frozenset[Scope] = frozenset({"dialog", "ask", "choose", "form", "palette"})
# What a scope is called where keys are listed, in the order in which they are.
HEADINGS: Mapping[Scope, str] = {
    "everywhere": "Everywhere", "always": "Everywhere, in dialogs too", "browse": "Where a pair is shown",
    "lists": "Lists", "overview": "Overview",
    "charts": "Charts: link and node", "link": "Link", "node": "Node", "stalls": "Stalls", "diagnosis": "Diagnosis",
    "burst": "Bursts", "log": "Log", "run": "Beside a command",
}  # fmt: skip
# By screen the scopes whose keys are live on it. A dialog takes the keyboard for itself.
SCREENS: Mapping[str, frozenset[Scope]] = {
    "overview": frozenset({"always", "everywhere", "browse", "lists", "overview"}),
    "link": frozenset({"always", "everywhere", "browse", "lists", "charts", "link"}),
    "node": frozenset({"always", "everywhere", "browse", "lists", "charts", "node"}),
    "log": frozenset({"always", "everywhere", "lists", "log"}),
    "stalls": frozenset({"always", "everywhere", "lists", "stalls"}),
    "diagnosis": frozenset({"always", "everywhere", "browse", "diagnosis"}),
    "burst": frozenset({"always", "everywhere", "browse", "burst"}),
    "run": frozenset({"always", "everywhere", "run"}),
    "dialog": frozenset({"always", "dialog"}),
    "ask": frozenset({"always", "dialog", "ask"}),
    "choose": frozenset({"always", "dialog", "choose"}),
    "form": frozenset({"always", "dialog", "form"}),
    "palette": frozenset({"always", "dialog", "palette"}),
}


@dataclass(frozen=True, slots=True)
class Key:
    """``keys`` are Textual's names. ``footer``: place in the footer, smaller ones survive longer on a narrow screen;
    None keeps it out. Keys of one ``label`` stand there together."""

    id: str
    keys: tuple[str, ...]
    scope: Scope
    group: Group
    action: str
    label: str
    help: str
    footer: int | None = None


KEYS: tuple[Key, ...] = (
    Key("select.up", ("up",), "overview", "go", "screen.move(-1, 0)", "select", "Select a link", 4),
    Key("select.down", ("down",), "overview", "go", "screen.move(1, 0)", "select", "Select a link", 4),
    Key("select.left", ("left",), "overview", "go", "screen.move(0, -1)", "select", "Select a link", 4),
    Key("select.right", ("right",), "overview", "go", "screen.move(0, 1)", "select", "Select a link", 4),
    Key("metric.rtt", ("1",), "overview", "go", "screen.metric('rtt')", "metric", "Round trip and its inflation", 9),
    Key("metric.rate", ("2",), "overview", "go", "screen.metric('rate')", "metric", "Rate acknowledged, flows", 9),
    Key("metric.retx", ("3",), "overview", "go", "screen.metric('retx')", "metric", "Retransmissions", 9),
    Key("metric.loss", ("4",), "overview", "go", "screen.metric('loss')", "metric", "Loss of small and full probes", 9),
    Key("metric.stall", ("5",), "overview", "go", "screen.metric('stall')", "metric", "Stalls", 9),
    Key("path.next", ("p",), "overview", "go", "screen.next_path", "path",
        "Next path; all side by side where they fit", 5),
    Key("link.open", ("enter",), "overview", "go", "app.link_screen", "link",
        "The selected pair: charts, flows, finding", 3),
    Key("node.open", ("n",), "browse", "go", "app.node_screen", "node",
        "The sending node: interfaces, flows, services", 6),
    Key("stalls.open", ("t",), "browse", "go", "app.stalls_screen", "stalls",
        "Every stall, with cause and evidence", 6),
    Key("log.open", ("l",), "browse", "go", "app.log_screen", "log", "The whole log", 9),
    Key("list.filter", ("slash",), "lists", "go", "app.filter", "filter",
        "Show only what has these words; none shows all", 7),
    Key("list.sort", ("s",), "lists", "go", "screen.sort", "sort", "Put the list into another order", 8),
    Key("link.close", ("escape",), "link", "go", "app.back", "back", "From the past to now, then back", 3),
    Key("link.path", ("p",), "link", "go", "screen.next_path", "path", "Flows and figures of the next path", 6),
    Key("link.reverse", ("v",), "link", "go", "screen.reverse", "reverse", "The same pair the other way", 6),
    Key("link.up", ("up",), "link", "go", "screen.scroll_by(-1)", "flows", "Scroll the flows", 8),
    Key("link.down", ("down",), "link", "go", "screen.scroll_by(1)", "flows", "Scroll the flows", 8),
    Key("node.close", ("escape",), "node", "go", "app.back", "back", "From the past to now, then back", 3),
    Key("node.other", ("v",), "node", "go", "screen.other", "other end", "The node at the other end of the pair", 6),
    Key("node.next", ("tab",), "node", "go", "screen.next_node(1)", "next node", "The next node", 5),
    Key("node.previous", ("shift+tab",), "node", "go", "screen.next_node(-1)", "next node", "The node before"),
    Key("node.group", ("g",), "node", "go", "screen.group", "group", "Flows by peer, by service, or each", 5),
    Key("node.up", ("up",), "node", "go", "screen.scroll_by(-1)", "scroll", "Scroll the flows", 8),
    Key("node.down", ("down",), "node", "go", "screen.scroll_by(1)", "scroll", "Scroll the flows", 8),
    Key("node.page_up", ("pageup",), "node", "go", "screen.scroll_page(-1)", "page", "Scroll by a page"),
    Key("node.page_down", ("pagedown",), "node", "go", "screen.scroll_page(1)", "page", "Scroll by a page"),
    Key("time.left", ("left",), "charts", "charts", "screen.step(-1)", "time", "Time cursor back", 5),
    Key("time.right", ("right",), "charts", "charts", "screen.step(1)", "time", "Time cursor on; at last live", 5),
    Key("chart.in", ("z",), "charts", "charts", "screen.zoom(-1)", "zoom", "Less time, drawn wider", 7),
    Key("chart.out", ("Z",), "charts", "charts", "screen.zoom(1)", "zoom", "More time, up to fifteen minutes", 7),
    Key("chart.scale", ("y",), "charts", "charts", "screen.scale", "scale",
        "Y axis: fitting, wide, logarithmic; always stated", 7),
    Key("chart.braille", ("Y",), "charts", "charts", "screen.braille", "braille", "Draw with braille dots, or blocks"),
    Key("time.back", ("less_than_sign",), "everywhere", "charts", "app.time(-1)", "time",
        "Every screen as of a little earlier"),
    Key("time.on", ("greater_than_sign",), "everywhere", "charts", "app.time(1)", "time", "… a little later"),
    Key("time.previous", ("left_square_bracket",), "everywhere", "charts", "app.jump(-1)", "event",
        "As of the previous stall or mark", 8),
    Key("time.next", ("right_square_bracket",), "everywhere", "charts", "app.jump(1)", "event",
        "As of the next stall or mark, at last live", 8),
    Key("time.live", ("escape",), "overview", "charts", "app.back", "live", "From the past to now"),
    Key("diagnosis.open", ("d",), "everywhere", "go", "app.diagnosis_screen", "diagnosis",
        "What is wrong and why, and experiments that settle it", 3),
    Key("bursts.open", ("u",), "everywhere", "go", "app.bursts_screen", "bursts",
        "Bursts: what runs, what waits, what came of each", 8),
    Key("diagnosis.close", ("escape",), "diagnosis", "go", "app.back", "back", "Back", 3),
    Key("diagnosis.pick", ("enter",), "diagnosis", "go", "screen.pick", "its link", "Its link's charts of then", 4),
    Key("diagnosis.up", ("up",), "diagnosis", "go", "screen.move(-1)", "select", "Select a finding", 4),
    Key("diagnosis.down", ("down",), "diagnosis", "go", "screen.move(1)", "select", "Select a finding", 4),
    Key("diagnosis.page_up", ("pageup",), "diagnosis", "go", "screen.scroll_by(-5)", "scroll",
        "Scroll what is said of it"),
    Key("diagnosis.page_down", ("pagedown",), "diagnosis", "go", "screen.scroll_by(5)", "scroll",
        "Scroll what is said of it"),
    Key("diagnosis.gravest", ("home",), "diagnosis", "go", "screen.gravest", "gravest", "The gravest finding"),
    *(
        Key(f"experiment.{number}", (str(number),), "diagnosis", "act", f"screen.experiment({number})", "experiment",
            "Run that experiment; it says first what it sends", 3)
        for number in range(1, 8)
    ),
    Key("burst.close", ("escape",), "burst", "go", "app.back", "back", "Back", 3),
    Key("burst.pick", ("enter",), "burst", "go", "screen.pick", "its link", "Its link's charts at that time", 6),
    Key("burst.up", ("up",), "burst", "go", "screen.move(-1)", "select", "Select a burst", 4),
    Key("burst.down", ("down",), "burst", "go", "screen.move(1)", "select", "Select a burst", 4),
    Key("burst.page_up", ("pageup",), "burst", "go", "screen.scroll_by(-5)", "scroll", "Scroll what is said of it"),
    Key("burst.page_down", ("pagedown",), "burst", "go", "screen.scroll_by(5)", "scroll", "Scroll what is said of it"),
    Key("burst.newest", ("home",), "burst", "go", "screen.newest", "newest", "The newest, and follow what runs", 9),
    Key("burst.compare", ("c",), "burst", "go", "screen.pin", "compare", "Hold others against this one", 4),
    Key("burst.clear", ("X",), "burst", "act", "app.clear_bursts", "clear queue", "Drop all bursts that wait", 7),
    Key("burst.ask", ("b",), "everywhere", "act", "app.burst", "burst",
        "A burst over the selected link: what it costs first", 5),
    Key("burst.again", ("B",), "everywhere", "act", "app.burst_again", "again",
        "The last burst once more: the dialog, filled in", 9),
    Key("burst.abort", ("x",), "everywhere", "act", "app.abort", "abort", "End what runs: a burst, an experiment", 6),
    Key("mark.add", ("m",), "everywhere", "act", "app.mark", "mark", "Put a mark into the log, with a few words", 7),
    Key("log.close", ("escape", "l"), "log", "go", "app.back", "back", "Back", 3),
    Key("log.up", ("up",), "log", "go", "screen.scroll_by(-1)", "scroll", "Scroll", 4),
    Key("log.down", ("down",), "log", "go", "screen.scroll_by(1)", "scroll", "Scroll", 4),
    Key("log.page_up", ("pageup",), "log", "go", "screen.scroll_page(-1)", "page", "Scroll by a page"),
    Key("log.page_down", ("pagedown",), "log", "go", "screen.scroll_page(1)", "page", "Scroll by a page"),
    Key("log.end", ("end",), "log", "go", "screen.follow", "newest", "The newest lines, and follow them"),
    Key("stalls.close", ("escape", "t"), "stalls", "go", "app.back", "back", "Back", 3),
    Key("stalls.pick", ("enter",), "stalls", "go", "screen.pick", "its link", "Its link's charts at that time", 4),
    Key("stalls.up", ("up",), "stalls", "go", "screen.move(-1)", "select", "Select a stall", 4),
    Key("stalls.down", ("down",), "stalls", "go", "screen.move(1)", "select", "Select a stall", 4),
    Key("stalls.page_up", ("pageup",), "stalls", "go", "screen.move_page(-1)", "page", "Move by a page"),
    Key("stalls.page_down", ("pagedown",), "stalls", "go", "screen.move_page(1)", "page", "Move by a page"),
    Key("stalls.newest", ("home",), "stalls", "go", "screen.newest", "newest", "The newest stall, and follow it", 6),
    Key("run.switch", ("f6",), "run", "go", "screen.switch", "keys",
        "The keyboard to the command and back; Ctrl-C is the command's", 1),
    Key("app.quit", ("q",), "everywhere", "everywhere", "app.quit", "quit", "Leave meshtop", 2),
    Key("app.interrupt", ("ctrl+c",), "always", "everywhere", "app.interrupt", "interrupt",
        "Leave meshtop as interrupted (exit code 130)"),
    Key("app.help", ("question_mark",), "everywhere", "everywhere", "app.help", "help", "This page", 1),
    Key("app.freeze", ("space",), "everywhere", "everywhere", "app.freeze", "freeze",
        "Stop painting, or go on; collecting never stops. A recording stops", 5),
    Key("app.interval_longer", ("plus",), "everywhere", "everywhere", "app.interval(1)", "interval",
        "Sample less often; play a recording faster", 8),
    Key("app.interval_shorter", ("minus",), "everywhere", "everywhere", "app.interval(-1)", "interval",
        "Sample more often; play a recording slower", 8),
    Key("app.reset_baselines", ("ctrl+r",), "everywhere", "everywhere", "app.reset_baselines", "reset baselines",
        "Forget every link's usual RTT and learn it anew"),
    Key("app.screenshot", ("ctrl+s",), "always", "everywhere", "app.picture", "screenshot",
        "This screen as SVG, PNG and text, into the current folder"),
    Key("app.redraw", ("ctrl+l",), "always", "everywhere", "app.redraw", "redraw",
        "Paint all anew, where something else has written over it"),
    Key("report.make", ("r",), "everywhere", "act", "app.report", "report",
        "Make a report: words, pictures, charts, frames", 8),
    Key("record.toggle", ("R",), "everywhere", "act", "app.record", "record",
        "Record into a new file in the current folder, or end that"),
    Key("play.back", ("comma",), "everywhere", "go", "app.step(-10)", "±10 s", "10 s back, in a recording too", 10),
    Key("play.on", ("full_stop",), "everywhere", "go", "app.step(10)", "±10 s", "10 s on, in a recording too", 10),
    Key("app.palette", ("colon", "ctrl+p"), "everywhere", "everywhere", "app.palette", "commands",
        "Every command and theme, by name", 7),
    Key("ask.other", ("left", "right", "tab", "shift+tab"), "ask", "everywhere", "screen.other", "other",
        "The other answer"),
    Key("ask.answer", ("enter",), "ask", "everywhere", "screen.answer", "answer", "Give the chosen answer"),
    Key("ask.yes", ("f5",), "ask", "everywhere", "screen.yes", "yes", "Do it"),
    Key("choose.up", ("up", "shift+tab"), "choose", "everywhere", "screen.step(-1)", "choose", "Choose"),
    Key("choose.down", ("down", "tab"), "choose", "everywhere", "screen.step(1)", "choose", "Choose"),
    Key("choose.answer", ("enter",), "choose", "everywhere", "screen.answer", "answer", "Take the chosen one"),
    Key("form.next", ("tab",), "form", "everywhere", "screen.field(1)", "field", "The next field"),
    Key("form.previous", ("shift+tab",), "form", "everywhere", "screen.field(-1)", "field", "The field before"),
    Key("form.up", ("up",), "form", "everywhere", "screen.row(-1)", "line", "The line above"),
    Key("form.down", ("down",), "form", "everywhere", "screen.row(1)", "line", "The line below"),
    Key("form.left", ("left",), "form", "everywhere", "screen.side(-1)", "change", "Another value, the field before"),
    Key("form.right", ("right",), "form", "everywhere", "screen.side(1)", "change", "Another value, the next field"),
    Key("form.erase", ("backspace", "delete"), "form", "everywhere", "screen.erase", "erase", "Erase"),
    Key("form.answer", ("enter",), "form", "everywhere", "screen.answer", "answer", "Press the button that is chosen"),
    Key("form.start", ("f5",), "form", "everywhere", "screen.yes", "start", "Start the burst"),
    Key("palette.up", ("up", "shift+tab"), "palette", "everywhere", "screen.step(-1)", "choose", "The entry above"),
    Key("palette.down", ("down", "tab"), "palette", "everywhere", "screen.step(1)", "choose", "The entry below"),
    Key("palette.page_up", ("pageup",), "palette", "everywhere", "screen.step(-10)", "page", "Ten entries up"),
    Key("palette.page_down", ("pagedown",), "palette", "everywhere", "screen.step(10)", "page", "Ten entries down"),
    Key("palette.erase", ("backspace",), "palette", "everywhere", "screen.erase", "erase", "Erase"),
    Key("palette.answer", ("enter",), "palette", "everywhere", "screen.answer", "do it", "Do what is chosen"),
    Key("dialog.close", ("escape",), "dialog", "everywhere", "screen.dismiss_dialog", "close", "Close a dialog"),
)  # fmt: skip

_SIGNS = {
    "slash": "/", "left_square_bracket": "[", "right_square_bracket": "]", "less_than_sign": "<",
    "greater_than_sign": ">", "question_mark": "?", "plus": "+", "minus": "-", "space": "␣", "up": "↑", "down": "↓",
    "left": "←", "right": "→",
    "escape": "esc", "colon": ":", "pageup": "pgup", "comma": ",", "full_stop": ".", "pagedown": "pgdn", "enter": "⏎",
}  # fmt: skip
_NAMED = frozenset(str(key.value) for key in Keys if "+" not in key.value and "<" not in key.value)
_NAMES = {"space": "space", "enter": "enter"}  # in the help there is room for the word


@dataclass(frozen=True, slots=True)
class Clash:
    """Two bindings that one key would have to serve in scopes that are live together."""

    key: str
    first: str
    second: str

    def __str__(self) -> str:
        return f'key "{self.key}" is bound to both {self.first} and {self.second}'


def clashes(table: Iterable[Key] = KEYS) -> tuple[Clash, ...]:
    return tuple(
        Clash(key, one.id, other.id)
        for one, other in combinations(table, 2)
        if any(one.scope in live and other.scope in live for live in SCREENS.values())
        for key in one.keys
        if key in other.keys
    )


def remapped(keymap: Mapping[str, str], table: Iterable[Key] = KEYS) -> tuple[Key, ...]:
    """``table`` with other keys for the ids in ``keymap`` (``{"app.quit": "Q,ctrl+q"}``).

    Raises ValueError for an id that is not there and for keys that would then serve two bindings.
    """
    keys = tuple(table)
    ids = {key.id for key in keys}
    for binding in keymap:
        if binding not in ids:
            raise ValueError(f'no binding is called "{binding}"; there are {", ".join(sorted(ids))}')
    changed = moved(keymap, keys)
    if found := clashes(changed):
        raise ValueError("; ".join(map(str, found)))
    return changed


def moved(keymap: Mapping[str, str], table: Iterable[Key] = KEYS) -> tuple[Key, ...]:
    """``table`` with other keys, whether they clash or not."""
    return tuple(
        replace(key, keys=tuple(part.strip() for part in keymap[key.id].split(","))) if key.id in keymap else key
        for key in table
    )


def nearest(identity: str, table: Iterable[Key] = KEYS) -> str:
    """``; did you mean "app.quit"?``, or nothing."""
    found = get_close_matches(identity, [key.id for key in table], n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def key_named(text: str) -> str:
    """Textual's name of the key that is written ``Q``, ``?``, ``ctrl+q``, ``f5`` or ``page_up``. Raises ValueError."""
    *modifiers, last = text.split("+") if len(text) > 1 else [text]
    if len(last) == 1:
        last = _character_to_key(last)
    elif last.lower() not in _NAMED:
        raise ValueError(f'"{text}" is no key; write a character, f1 to f24, or names such as ctrl+q, pageup, escape')
    else:
        last = last.lower()
    if not set(modifiers) <= {"ctrl", "shift", "alt"}:
        raise ValueError(f'"{text}" is no key; before the last + write ctrl, shift or alt')
    return "+".join([*modifiers, last])


def bindings(*scopes: Scope, priority: bool = False) -> list[Binding]:
    """The table's keys of ``scopes`` as Textual wants them. ``priority``: before those of what has the focus, as a line
    in which text is typed copies on ctrl+c."""
    return [
        Binding(",".join(key.keys), key.action, key.label, show=key.footer is not None, id=key.id, priority=priority)
        for key in KEYS
        if key.scope in scopes
    ]


def screen_bindings(screen: str) -> list[Binding]:
    """All that works on a screen beside what works everywhere."""
    return bindings(*(SCREENS[screen] - {"always", "everywhere"}))


def sign(key: str, *, words: bool = False) -> str:
    """How a key is written on the screen."""
    if words and key in _NAMES:
        return _NAMES[key]
    return _SIGNS.get(key, key)


@dataclass(frozen=True, slots=True)
class Hint:
    """One entry of the footer. ``place``: smaller ones survive longer; ``order``: where it stands."""

    place: int
    order: int
    signs: str
    label: str


def hints(screen: str, table: Iterable[Key] = KEYS) -> tuple[Hint, ...]:
    """The footer of a screen, most important first: keys that share a label are one entry. The way to a screen is not
    shown on it."""
    here = (f"app.{screen}_screen", f"app.{screen}s_screen")
    grouped: dict[tuple[int, str], list[str]] = {}
    for key in table:
        if key.footer is not None and key.scope in SCREENS[screen] and key.action not in here:
            grouped.setdefault((key.footer, key.label), []).append(sign(key.keys[0]))
    listed = [Hint(place, order, joined(signs), label) for order, ((place, label), signs) in enumerate(grouped.items())]
    return tuple(sorted(listed, key=lambda hint: hint.place))


def written(identity: str, table: Iterable[Key]) -> str:
    """How the keys of that binding are written on the screen."""
    return next((" ".join(sign(name) for name in key.keys) for key in table if key.id == identity), "")


def first(shown: Sequence[Hint], label: str) -> tuple[Hint, ...]:
    """With the entry of that label before all others, so that a narrow footer has it too."""
    return tuple(sorted(shown, key=lambda hint: (hint.label != label, hint.place)))


def joined(signs: list[str]) -> str:
    """Signs of keys that do the same: ``1–5``, ``↑↓``, ``+ -``."""
    if len(signs) > 2 and all(sign.isdigit() for sign in signs):
        return f"{signs[0]}–{signs[-1]}"
    return "".join(signs) if all(sign in "↑↓←→" for sign in signs) else " ".join(signs)
