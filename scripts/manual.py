"""Writes the commands' part of docs/manual.md from what ``--help`` says; with ``--check`` only looks whether it is so.

What stands between the two markers is made; all else on the page is written by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from meshtop import cli

PAGE = Path(__file__).parent.parent / "docs" / "manual.md"
BEGIN = "<!-- made by `make manual` from the code; what is changed here is lost -->"
END = "<!-- from here on by hand -->"
_EVERYWHERE = {"help", "config", "theme", "theme_dir", "interval", "log_file", "ssh_config"}


def commands(
    group: click.Group, context: click.Context, path: str
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """All of them by their full name, groups before what is in them."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        full = f"{path} {name}"
        inner = click.Context(command, parent=context, info_name=name)
        if not isinstance(command, click.Group):
            yield full, command, inner
        else:
            yield from commands(command, inner, full)


def section(name: str, command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join(command.collect_usage_pieces(context)).replace("[OPTIONS] ", "").replace("[OPTIONS]", "").strip()
    yield f"### `{f'{name} {usage}'.strip()}`"
    yield ""
    yield from prose(command.help or "")
    rows = [row for parameter in command.params if (row := option(parameter, context)) is not None]
    if rows:
        yield "| option | |"
        yield "|---|---|"
        yield from rows
        yield ""


def prose(text: str) -> Iterator[str]:
    """Paragraphs as they are; what click is told not to wrap (after a line with a backspace) as an example."""
    for part in re.split(r"\n\s*\n", _unindented(text)):
        if part.startswith("\b"):
            lines = part.split("\n")[1:]
            if lines and re.fullmatch(r"Examples?:", lines[0].strip()):
                lines = lines[1:]
            margin = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
            yield "```"
            yield from (line[margin:].rstrip() for line in lines)
            yield "```"
        else:
            yield part.strip()
        yield ""


def _unindented(text: str) -> str:
    lines = text.expandtabs().strip("\n").split("\n")
    margin = min((len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()), default=0)
    return "\n".join([lines[0].strip(), *(line[margin:] for line in lines[1:])]).strip(" \n")


def option(parameter: click.Parameter, context: click.Context) -> str | None:
    if not isinstance(parameter, click.Option) or parameter.hidden or parameter.name in _EVERYWHERE:
        return None
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, words = (cell.replace("|", "\\|") for cell in record)
    return f"| `{names}` | {words} |"


def overview(listed: list[tuple[str, click.Command, click.Context]]) -> Iterator[str]:
    yield "| command | |"
    yield "|---|---|"
    for name, command, _ in listed:
        anchor = re.sub(r"[^a-z0-9 -]", "", heading(name, command, _).lower()).replace(" ", "-")
        yield f"| [`{name}`](#{anchor}) | {short(command)} |"
    yield ""


def heading(name: str, command: click.Command, context: click.Context) -> str:
    return next(section(name, command, context)).removeprefix("### ").strip("`")


def short(command: click.Command) -> str:
    """The first sentence."""
    first = " ".join(_unindented(command.help or "").split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", first)[0].rstrip(".").replace("|", "\\|")


def made() -> str:
    root = click.Context(cli.cli, info_name="meshtop")
    listed = list(commands(cli.cli, root, "meshtop"))
    lines = [*overview(listed)]
    lines += ["### `meshtop`", "", *prose(cli.cli.help or "")]
    lines += ["Global options, before or after the command's name:", "", "| option | |", "|---|---|"]
    lines += [
        f"| `{names}` | {words} |".replace("[bash|zsh|fish]", "[bash\\|zsh\\|fish]")
        for parameter in cli.cli.params
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(root)) is not None
        for names, words in [record]
    ]
    lines.append("")
    for name, command, context in listed:
        lines += section(name, command, context)
    return "\n".join(line.rstrip() for line in lines).strip() + "\n"


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        print(f"{PAGE}: the lines that mark what is made are not there", file=sys.stderr)
        return 1
    fresh = f"{head}{BEGIN}\n\n{made()}\n{END}{tail}"
    if "--check" in sys.argv[1:]:
        if fresh != page:
            print(f"meshtop: {PAGE.name} is not what the code says; type: make manual", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
