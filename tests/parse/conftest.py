"""Captured outputs of real tools, by their path below tests/fixtures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Captured = Callable[[str], str]


@pytest.fixture
def fixtures() -> Path:
    return Path(__file__).parent.parent / "fixtures"


@pytest.fixture
def captured(fixtures: Path) -> Captured:
    def read(path: str) -> str:
        return (fixtures / path).read_text(encoding="utf-8")

    return read
