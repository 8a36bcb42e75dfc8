"""Every command of the screen by name: what the palette lists, and why some cannot be done now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.fuzzy import Matcher

from meshtop.engine.view import View
from meshtop.ui import keys
from meshtop.ui.keys import SCREENS, Key

WAITING, RUNNING = ("queued",), ("starting", "running", "closing")
# What a screen is called, of which a key works on that one alone.
_ONLY_ON = {
    "browse": "screens that show a pair", "lists": "screens with a list", "charts": "the link and node screens",
    "overview": "the overview", "link": "the link screen", "node": "the node screen", "log": "the log",
    "stalls": "the stalls screen", "diagnosis": "the diagnosis", "burst": "the bursts screen",
    "run": "the screen of `meshtop run`",
}  # fmt: skip
_MOVING = ("up", "down", "left", "right", "pageup", "pagedown")


@dataclass(frozen=True, slots=True)
class Entry:
    """``action`` as Textual's actions are written; ``theme`` instead: a theme to wear. ``why_not``: why it cannot be
    done now."""

    words: str
    sign: str
    action: str = ""
    why_not: str | None = None
    theme: str | None = None
    id: str = ""


def entries(table: Iterable[Key], place: str, view: View, extra: Sequence[Entry] = ()) -> list[Entry]:
    """What can be done on the screen ``place`` first, then what only elsewhere can; moving about comes last of both, as
    nobody looks for that by name."""
    live = SCREENS.get(place, frozenset())
    found: list[Entry] = []
    for key in sorted(table, key=_moves):
        if (key.scope not in _ONLY_ON and key.scope not in ("always", "everywhere")) or key.action == "app.palette":
            continue
        why = None if key.scope in live else f"on {_ONLY_ON[key.scope]}"
        signs = " ".join(keys.sign(one, words=True) for one in key.keys)
        moving = f" {keys.sign(key.keys[0])}" if _moves(key) else ""
        found.append(Entry(f"{key.help}{moving}", signs, key.action, why or why_not(key.id, view), id=key.id))
    found += extra
    return [one for one in found if one.why_not is None] + [one for one in found if one.why_not is not None]


def _moves(key: Key) -> bool:
    return bool(key.keys) and key.keys[0] in _MOVING


def why_not(identity: str, view: View) -> str | None:
    """Why the key of that id would do nothing now; None if it would."""
    if identity in ("burst.ask", "burst.again") or identity.startswith("experiment."):
        if view.replay:
            return "this is a recording"
        if identity == "burst.again" and not view.bursts:
            return "there was no burst yet"
    elif identity == "burst.abort":
        going = any(one.state in (*RUNNING, *WAITING) for one in view.bursts)
        if not going and not any(one.state == "running" for one in view.experiments):
            return "nothing runs"
    elif identity == "burst.clear" and not any(one.state in WAITING for one in view.bursts):
        return "no burst waits"
    elif (identity == "record.toggle" and view.replay) or (identity == "app.reset_baselines" and view.replay):
        return "this is a recording"
    return None


def search(found: Sequence[Entry], query: str) -> list[Entry]:
    """Those that ``query`` fits, best first; all as they stand where it is empty. What can be done comes first."""
    wanted = query.strip().casefold()
    if not wanted:
        return list(found)
    matcher = Matcher(wanted)
    scored = [(_fit(one, wanted, matcher), one) for one in found]
    fitting = [(score, one) for score, one in scored if score > 0]
    if any(score >= 2.0 for score, _ in fitting):  # guesses only where nothing has these letters together
        fitting = [(score, one) for score, one in fitting if score >= 2.0]
    fitting.sort(key=lambda pair: (pair[1].why_not is not None, -pair[0]))
    return [one for _, one in fitting]


def _fit(entry: Entry, wanted: str, matcher: Matcher) -> float:
    """The beginning of the entry, of one of its words, any part of it, or letters of it in that order."""
    words = entry.words.casefold()
    if words.startswith(wanted):
        return 4.0
    if f" {wanted}" in f" {words}":
        return 3.0
    if wanted in words or wanted in entry.id:
        return 2.0
    score = matcher.match(words)
    return score / (1.0 + score)  # below all of these
