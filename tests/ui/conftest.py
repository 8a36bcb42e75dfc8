"""What the screen's tests share: a scripted mesh, a clock that stands still until it is moved, the screen as text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot

from meshtop.ui.picture.grid import grid_of as grid_of_screen

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # scripted_mesh is a module of its own, so that it also runs as a program


class Ticks:
    """A monotonic clock that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same screen on every machine: no colours asked away, no themes of whoever runs the tests."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def text_grid(app: App[object]) -> list[str]:
    """The screen as the compositor puts it together, a text for each line."""
    return ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]


async def wait_until(pilot: Pilot[object], condition: Callable[[], bool]) -> None:
    """Let the app work until ``condition`` holds; fails after far more turns than anything here needs."""
    for _ in range(200):
        if condition():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came to pass")


@pytest.fixture
def until() -> object:
    return wait_until


@pytest.fixture
def grid_of() -> object:
    return text_grid


@pytest.fixture
def seen() -> object:
    """The screen with what lies below a dialog, a text for each line."""

    def lines(app: App[object]) -> list[str]:
        return ["".join(run.text for run in row) for row in grid_of_screen(app).rows]

    return lines
