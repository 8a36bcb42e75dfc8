"""The options that commands share, the types of their values, and what they come to together: :class:`Settings`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from meshtop import units
from meshtop.config import MAX_INTERVAL_S, MIN_INTERVAL_S, MeshConfig, find, load

if TYPE_CHECKING:
    from meshtop.commands.screen import Look

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """``200ms``, ``10s``, ``1h30m`` as seconds, within bounds."""

    name = "duration"

    def __init__(self, low_s: float, high_s: float) -> None:
        self.low_s, self.high_s = low_s, high_s

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = units.parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not self.low_s <= seconds <= self.high_s:
            low, high = units.spell_duration(self.low_s), units.spell_duration(self.high_s)
            self.fail(f'"{value}" is out of range; write {low} to {high}', param, ctx)
        return seconds


class ScreenSize(click.ParamType[tuple[int, int]]):
    """``120x40`` as columns and lines."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = value.lower().replace("×", "x").partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            self.fail(f'"{value}" is not a size; write 120x40', param, ctx)
        if not (10 <= int(width) <= 500 and 3 <= int(height) <= 200):
            self.fail(f'"{value}" is out of range; write 10x3 to 500x200', param, ctx)
        return int(width), int(height)


def offered(what: str) -> Callable[[click.Context, click.Parameter, str], list[Any]]:
    """What the shell offers there (``commands.completion``), read only when it is asked for."""

    def offer(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
        from meshtop.commands.completion import OFFERS

        return OFFERS[what](context, parameter, begun)

    return offer


_COMMON = (
    click.option(
        "-c",
        "--config",
        metavar="FILE",
        shell_complete=offered("files"),
        help="meshtop.toml; by default here, then in your config folder.",
    ),
    click.option(
        "--theme",
        metavar="NAME",
        shell_complete=offered("themes"),
        help="Colours of the screen; `meshtop themes` lists them.",
    ),
    click.option(
        "--theme-dir",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIR",
        help="Themes of your own.",
    ),
    click.option("--interval", type=Duration(MIN_INTERVAL_S, MAX_INTERVAL_S), metavar="1s", help="Sample this often."),
    click.option(
        "--log-file", metavar="FILE", shell_complete=offered("files"), help="Write a log for finding faults in meshtop."
    ),
    click.option(
        "--ssh-config",
        metavar="FILE",
        shell_complete=offered("files"),
        help="Instead of what the file names, or ~/.ssh/config.",
    ),
)


def common(command: F) -> F:
    """The global options, which may stand before or after the command's name; the later one counts."""
    for option in reversed(_COMMON):
        command = option(command)
    return command


FILE = click.Path(dir_okay=False, path_type=Path)


def record_option(command: F) -> F:
    """``--record FILE``, as every live command has it."""
    return click.option("--record", type=FILE, metavar="FILE", help="Write all that comes into a new recording.")(
        command
    )


def from_option(command: F) -> F:
    """``--from FILE``: a recording in the place of live nodes."""
    return click.option("--from", "source", type=FILE, metavar="FILE", help="Read a recording instead of nodes.")(
        command
    )


class Settings:
    """The global options of one invocation."""

    def __init__(self, earlier: Settings | None, **given: Any) -> None:
        self.values: dict[str, Any] = dict(earlier.values) if earlier else {}
        self.values.update({key: value for key, value in given.items() if value is not None})

    def load(self, *, screen: bool) -> MeshConfig:
        """Read the configuration, with the options in force over it. Raises ConfigErrors or a usage error."""
        self.start_log(screen=screen)
        read = load(find(self.values.get("config")))
        if "interval" in self.values:
            mesh = msgspec.structs.replace(read.mesh, interval_s=self.values["interval"])
            read = msgspec.structs.replace(read, mesh=mesh)
        ssh_config = self.ssh_config()
        if ssh_config is not None:
            read = msgspec.structs.replace(read, ssh=msgspec.structs.replace(read.ssh, config=ssh_config))
        return read

    def ssh_config(self) -> str | None:
        """``--ssh-config``, which must be a file."""
        if "ssh_config" not in self.values:
            return None
        file = Path(self.values["ssh_config"]).expanduser().absolute()
        if not file.is_file():
            raise click.UsageError(f"--ssh-config: {file} is no file")
        return str(file)

    def start_log(self, *, screen: bool) -> None:
        from meshtop.commands.log import log_to

        try:
            log_to(self.values.get("log_file"), screen=screen)
        except OSError as error:
            raise click.UsageError(f"--log-file: {self.values['log_file']}: {error.strerror}") from None

    def look(self) -> Look:
        """What the options and the operator's own screen.toml say. Raises ConfigErrors."""
        from meshtop.commands import screen_settings
        from meshtop.commands.screen import Look

        own = screen_settings.read()
        return Look(
            theme=self.values.get("theme") or own.theme,
            theme_dir=self.values.get("theme_dir"),
            keymap=own.keymap,
            bell=own.bell,
        )
