"""Both READMEs say the same: sections, commands, pictures and links; and all that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from meshtop.cli import cli

ROOT = Path(__file__).parent.parent
READMES = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")}


def headings(text: str) -> list[int]:
    fenced = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return [len(mark) for mark in re.findall(r"^(#+) ", fenced, flags=re.MULTILINE)]


def commands(text: str) -> list[str]:
    """What stands in the fences, without what is said of it."""
    lines = [line for fence in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) for line in fence.splitlines()]
    return [line.partition("#")[0].strip() for line in lines]


def links(text: str) -> list[str]:
    found = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    return [link for link in found if not link.startswith("README")]


def figures(text: str) -> list[list[str]]:
    """Of the table of costs."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [sorted(re.findall(r"\d+(?:\.\d+)?", row)) for row in rows]


def test_both_have_the_same_sections_commands_links_and_figures() -> None:
    english, chinese = READMES.values()
    for of in (headings, commands, links, figures):
        assert of(chinese) == of(english), of.__name__


@pytest.mark.parametrize("name", READMES)
def test_what_is_linked_is_there(name: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", READMES[name]):
        assert (ROOT / link).is_file(), link


@pytest.mark.parametrize("name", READMES)
def test_every_command_and_option_that_is_shown_is_there(name: str) -> None:
    for line in commands(READMES[name]):
        if line.startswith("meshtop "):
            check(line.partition("|")[0].split()[1:])


def check(words: list[str]) -> None:
    context = click.Context(cli)
    command: click.Command = cli
    if words and not words[0].startswith("-"):
        found = cli.get_command(context, words[0])
        assert found is not None, words[0]
        command = found
    known = {option for each in command.params for option in each.opts}
    for word in words[: words.index("--") if "--" in words else None]:
        if word.startswith("-"):
            assert word in known, f"{command.name} {word}"
