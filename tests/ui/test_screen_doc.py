"""docs/screen.md names every key as it is bound. ``MESHTOP_UPDATE_GRIDS=1`` writes the table anew."""

from __future__ import annotations

import os
from pathlib import Path

from meshtop.ui import keys

DOC = Path(__file__).parents[2] / "docs" / "screen.md"
BEGIN, END = "<!-- keys -->\n", "<!-- /keys -->\n"


def table() -> str:
    lines = ["| where | keys | what | id |", "|---|---|---|---|"]
    for scope, heading in keys.HEADINGS.items():
        for key in keys.KEYS:
            if key.scope == scope:
                signs = " ".join(f"`{keys.sign(one, words=True)}`" for one in key.keys)
                lines.append(f"| {heading} | {signs} | {key.help} | `{key.id}` |")
    return "\n".join(lines) + "\n"


def test_the_table_of_keys_is_true() -> None:
    text = DOC.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    stored, _, tail = rest.partition(END)
    if os.environ.get("MESHTOP_UPDATE_GRIDS"):
        stored = table()
        DOC.write_text(f"{head}{BEGIN}{stored}{END}{tail}", encoding="utf-8")
    assert stored == table()


def test_every_scope_outside_of_dialogs_has_a_heading() -> None:
    assert {key.scope for key in keys.KEYS} - keys.DIALOGS == set(keys.HEADINGS)
