"""docs/findings.md: a section for every code that can be told, and one for every experiment."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from meshtop.engine.experiments import KINDS
from meshtop.engine.verdicts.rules import RULES

PAGE = (Path(__file__).parent.parent / "docs" / "findings.md").read_text("utf-8")
VERDICTS = Path(__file__).parent.parent / "meshtop" / "engine" / "verdicts"
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL))
PARTS = ("Means.", "How we know.", "Looks alike.", "Try.")


def codes() -> set[str]:
    """Of the rules' table, and those that are named where findings are made of nodes and pairs of paths."""
    named = {code for file in VERDICTS.glob("*.py") for code in re.findall(r'Subject\("([a-z-]+)"', file.read_text())}
    return {rule.code for rule in RULES} | named


@pytest.mark.parametrize("code", sorted(codes()))
def test_a_code_has_its_section(code: str) -> None:
    for part in PARTS:
        assert f"**{part}**" in SECTIONS[code]
    assert f"[{code}](#{code})" in PAGE, "it is in the table"


@pytest.mark.parametrize("kind", KINDS)
def test_an_experiment_has_its_section(kind: str) -> None:
    assert SECTIONS[kind].strip()
    assert f"| `{kind}` |" in PAGE


def test_links_lead_somewhere() -> None:
    anchors = set(SECTIONS) | {"experiments"}
    assert set(re.findall(r"\]\(#([a-z-]+)\)", PAGE)) <= anchors
    assert len(codes()) >= 15


def test_what_rules_offer_is_explained() -> None:
    offered = {kind for rule in RULES for kind in rule.experiments}
    assert offered <= set(KINDS)
