"""What informs, and is no trouble of a link, stands below all that is."""

from __future__ import annotations

import msgspec
import pytest
from scripted_runs import FINDINGS, PlanningSource, busy_view

from meshtop.ui.app import MeshtopApp

NOTE = msgspec.structs.replace(
    FINDINGS[0], id="n1", code="sender-limited", severity="info", confidence=0.85, src="d", dst="b",
    summary="d → b on vpn: the send buffer on d is the limit 90% of the time",
)  # fmt: skip


def view_with(*findings):
    view = busy_view()
    return msgspec.structs.replace(view, snapshot=msgspec.structs.replace(view.snapshot, findings=findings))


@pytest.mark.parametrize(
    ("findings", "shown"),
    [
        ((*FINDINGS[:2], NOTE), True),
        ((NOTE,), True),
        ((msgspec.structs.replace(NOTE, confidence=0.6),), False),  # not sure enough to be told unasked
        ((), False),
    ],
)
async def test_a_note_is_the_last_of_the_list(findings, shown: bool, ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(view_with(*findings)), ticks=ticks)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.pause()
        lines = seen(app)
        found = [row for row, line in enumerate(lines) if "sender-limited 85%" in line]
        assert bool(found) == shown
        if shown:
            worse = [row for row, line in enumerate(lines) if "reordering 90%" in line]
            assert found > worse


async def test_a_click_on_a_note_selects_its_link(ticks, seen) -> None:
    app = MeshtopApp(PlanningSource(view_with(*FINDINGS[:2], NOTE)), ticks=ticks)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.pause()
        row = next(row for row, line in enumerate(seen(app)) if "sender-limited 85%" in line)
        assert "d → b" not in "\n".join(seen(app))
        await pilot.click(offset=(90, row))
        await pilot.pause()
        assert "d → b" in "\n".join(seen(app))
