"""The screen of `meshtop run`: a command's terminal below its flows, and whose the keys are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.ui.glyphs import UNICODE
from meshtop.ui.run_app import RunApp
from meshtop.ui.theme import emergency_theme, palette
from meshtop.ui.widgets.command_pane import CommandPane, Terminal, bytes_of


class ScriptedCommand:
    """A command that does nothing but note what it is told."""

    title = "docker push registry.example/app:1.2"

    def __init__(self) -> None:
        self.typed = b""
        self.sizes: list[tuple[int, int]] = []
        self.ended: bool | None = None
        self.output: Callable[[bytes], None] = lambda data: None

    def write(self, data: bytes) -> None:
        self.typed += data

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))

    def status(self) -> tuple[str, bool | None]:
        return ("runs 3.0s", None) if self.ended is None else ("ended with 0 after 3.0s", self.ended)

    def listen(self, output: Callable[[bytes], None]) -> None:
        self.output = output


@pytest.fixture
def command() -> ScriptedCommand:
    return ScriptedCommand()


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 10)])
async def test_the_command_has_its_terminal_at_every_size(command, size, grid_of, until) -> None:
    app = RunApp(ScriptedSource(scripted_view(44)), command)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: bool(command.sizes))
        columns, rows = command.sizes[-1]
        assert columns >= size[0] - 2
        assert rows >= size[1] // 2 - 4
        command.output(b"\x1b[2J\x1b[H\x1b[32mpushed\x1b[0m layer \xe5\xb1\x82 1\r\n50%\r100%")
        await until(pilot, lambda: any("100%" in line for line in grid_of(app)))
        shown = "\n".join(grid_of(app))
        assert "pushed layer 层 1" in shown
        assert "50%" not in shown
        assert "runs 3.0s" in shown
        await pilot.resize_terminal(100, 30)
        await until(pilot, lambda: command.sizes[-1][0] in (98, 100))


async def test_keys_are_the_commands_until_f6_and_ctrl_c_always(command, until) -> None:
    app = RunApp(ScriptedSource(scripted_view(44)), command)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.screen.query_one(CommandPane).has_focus)
        await pilot.press("q", "y", "enter", "up", "ctrl+c", "space")
        assert command.typed == b"qy\r\x1b[A\x03 "
        assert app.frozen_at is None
        await pilot.press("f6", "space")
        assert command.typed == b"qy\r\x1b[A\x03 "
        assert app.frozen_at is not None
        await pilot.press("ctrl+c")
        assert command.typed.endswith(b" \x03")
        await pilot.press("q")
        assert app.is_running  # a screen that goes would take the command's terminal with it
        await pilot.press("f6", "x")
        assert command.typed.endswith(b"\x03x")
        command.ended = True
        await pilot.press("f6", "q")
        await until(pilot, lambda: not app.is_running)


@pytest.mark.parametrize(
    ("key", "character", "sent"),
    [
        ("a", "a", b"a"),
        ("ü", "ü", "ü".encode()),
        ("ctrl+d", None, b"\x04"),
        ("pageup", None, b"\x1b[5~"),
        ("f12", None, None),
    ],
)
def test_what_a_key_sends(key, character, sent) -> None:
    assert bytes_of(key, character) == sent


def drawn(terminal: Terminal) -> list[str]:
    lines = terminal.lines(cursor=True, palette=palette(emergency_theme()), glyphs=UNICODE)
    return ["".join(part.text for part in line.strip(40)) for line in lines]


def test_nothing_of_what_a_command_prints_gets_onto_the_real_terminal() -> None:
    terminal = Terminal(40, 4)
    terminal.feed(b"\x1b]0;title\x07\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[6n\x1bP1$r\x1b\\")
    terminal.feed(b"ok\x9b31m \xe2\x80\xaeevil \xff\xfe")
    text = "".join(drawn(terminal))
    assert "title" not in text
    assert "link" in text
    assert text.isprintable()


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_output_breaks_the_terminal(pieces: list[bytes]) -> None:
    terminal = Terminal(40, 4)
    for piece in (*pieces, b"\x1b[?1;2c\x1b[>4;1m\x1b[?25h\x1b[999;999H", *pieces):
        terminal.feed(piece)
    lines = drawn(terminal)
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)
    assert all(line.isprintable() for line in terminal.text())
    terminal.resize(20, 2)
    terminal.feed(b"\x1bc\x1b[Hfine")
    assert terminal.text()[0].startswith("fine")
