"""``meshtop themes``: what ``--theme`` may name."""

from __future__ import annotations

from pathlib import Path


def listing(theme_dir: Path | None) -> tuple[int, list[str], list[str]]:
    """Exit code, a line for each usable theme, what is wrong with each other one."""
    from meshtop.ui.theme import ThemeError, read_theme, search_path

    lines: list[str] = []
    problems: list[str] = []
    seen: set[str] = set()
    for folder in search_path(theme_dir):
        for file in sorted(folder.glob("*.toml")):
            if file.stem in seen:
                continue
            seen.add(file.stem)
            try:
                theme = read_theme(file)
            except ThemeError as error:
                problems.append(str(error))
            else:
                shade = "dark" if theme.base.dark else "light"
                lines.append(f"{theme.name:<20} {shade:<5}  {file}")
    return (1 if problems else 0), lines, problems
