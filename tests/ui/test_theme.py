"""Theme files: found, read, refused with file and key; the shipped ones told apart by every kind of eye."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from scripted_mesh import ScriptedSource, scripted_view

from meshtop.ui.app import MeshtopApp
from meshtop.ui.glyphs import ASCII, SETS, UNICODE
from meshtop.ui.scene import BY_SEVERITY
from meshtop.ui.theme import (
    STATUS_KEYS,
    ThemeError,
    choose,
    emergency_theme,
    load_themes,
    packaged_themes,
    palette,
    read_theme,
    search_path,
)

SHIPPED, PROBLEMS = load_themes([packaged_themes()])
WHOLE = (packaged_themes() / "okabe-dark.toml").read_text(encoding="utf-8")

# Machado, Oliveira, Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG
# 2009: severity 1.0, for linear RGB.
SIGHT = {
    "normal": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}
LEAST_CONTRAST = 3.0  # WCAG 2.1, 1.4.11: signs and what carries meaning; texts below have more
LEAST_TEXT_CONTRAST = 4.5  # WCAG 2.1, 1.4.3
# CIE 1976: about 2.3 is just noticeable side by side; across a screen, on single glyphs, far more is needed.
LEAST_DISTANCE = {"normal": 25.0, "protanopia": 15.0, "deuteranopia": 15.0, "tritanopia": 15.0}


def linear(colour: str) -> tuple[float, ...]:
    values = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return tuple(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    red, green, blue = rgb
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    fx, fy, fz = (value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116 for value in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def seen(colour: str, sight: str) -> tuple[float, float, float]:
    rgb = linear(colour)
    mixed = (sum(weight * part for weight, part in zip(row, rgb, strict=True)) for row in SIGHT[sight])
    return lab(tuple(min(1.0, max(0.0, value)) for value in mixed))


def distance(one: str, other: str, sight: str) -> float:
    pairs = zip(seen(one, sight), seen(other, sight), strict=True)
    return sum((first - second) ** 2 for first, second in pairs) ** 0.5


def test_the_measures_are_right() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21.0)
    assert distance("#FFFFFF", "#000000", "normal") == pytest.approx(100.0, abs=0.1)
    assert distance("#FF0000", "#00FF00", "normal") > 100
    assert distance("#D00000", "#6E6E00", "deuteranopia") < 20, "red and olive are alike there"


def test_all_that_ship_are_whole() -> None:
    assert PROBLEMS == ()
    assert set(SHIPPED) >= {"okabe-dark", "okabe-light", "high-contrast", "mono", "miku"}


@pytest.mark.parametrize("name", SHIPPED)
def test_everything_can_be_read_on_its_ground(name: str) -> None:
    theme = SHIPPED[name]
    ground = theme.base.background
    for colour in (*theme.status.values(), *theme.series.values()):
        assert contrast(colour, ground) >= LEAST_CONTRAST
    made = palette(theme)
    for style in (made.text, made.bold, made.dim, made.title, made.key, made.cursor):
        assert contrast(style.color.name, ground) >= LEAST_TEXT_CONTRAST
    if name == "high-contrast":
        assert all(contrast(theme.status[key], ground) >= (5.5 if key == "stall" else 7.0) for key in STATUS_KEYS)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "mono"])
def test_states_stay_apart_for_every_kind_of_sight(name: str, sight: str) -> None:
    status = SHIPPED[name].status
    apart = {(one, other): distance(status[one], status[other], sight) for one, other in combinations(STATUS_KEYS, 2)}
    assert min(apart.values()) >= LEAST_DISTANCE[sight], min(apart, key=apart.get)
    series = SHIPPED[name].series
    assert distance(series["overlay"], series["underlay"], sight) >= LEAST_DISTANCE[sight]


@pytest.mark.parametrize("name", SHIPPED)
def test_dialogs_can_be_read_on_theirs(name: str) -> None:
    theme = SHIPPED[name]
    ground, made = theme.base.panel, palette(theme)
    assert ground is not None
    for style in (made.text, made.bold, made.dim, made.key, made.title, made.cursor, made.chosen):
        assert contrast(style.color.name, ground) >= LEAST_TEXT_CONTRAST
    for state in ("degraded", "lossy"):  # what warns of a burst
        assert contrast(theme.status[state], ground) >= LEAST_CONTRAST


def test_mono_has_no_hue_and_still_tells_old_from_well() -> None:
    theme = SHIPPED["mono"]
    for colour in (*theme.status.values(), *theme.series.values()):
        assert colour[1:3] == colour[3:5] == colour[5:7]
    assert distance(theme.status["stale"], theme.status["ok"], "normal") >= 15
    assert distance(theme.status["stall"], theme.status["ok"], "normal") >= 15


@pytest.mark.parametrize("glyphs", SETS.values(), ids=list(SETS))
def test_glyphs_carry_the_state_alone(glyphs) -> None:
    """Old data and no data share a sign: an age stands beside the first."""
    signs = [glyphs.states[state] for state in BY_SEVERITY if state != "stale"]
    assert len(set(signs)) == len(signs)
    assert glyphs.states["stale"] == glyphs.states["no-data"]
    assert len(glyphs.bars) == 8
    assert len(set(glyphs.bars)) == 8
    assert glyphs.lost not in (*glyphs.bars, *signs)


def test_ascii_is_ascii() -> None:
    frame = ASCII.frame
    signs = [*ASCII.states.values(), ASCII.bars, ASCII.lost, *ASCII.bracket, *ASCII.tall_bracket, ASCII.self_link]
    signs += [frame.upper_left, frame.upper_right, frame.lower_left, frame.lower_right, frame.across, frame.down]
    assert all(sign.isascii() for sign in [*signs, ASCII.mark, ASCII.pause, ASCII.ellipsis])
    assert UNICODE.states["ok"] == "●"


BROKEN = [
    ("this is no toml", r"broken\.toml: "),
    (WHOLE.replace("[status]", "[states]"), r"broken\.toml: states: no such section; there are base, status, series"),
    (WHOLE.replace('ok = "#56B4E9"', 'ok = "blu"'), r'broken\.toml: status\.ok: "blu" is not a colour; write one such'),
    (WHOLE.replace('ok = "#56B4E9"', "ok = 7"), r'broken\.toml: status\.ok: "7" is not a colour'),
    (WHOLE.replace('ok = "#56B4E9"', ""), r"broken\.toml: status\.ok: is missing"),
    (WHOLE.replace('ok = "#56B4E9"', 'okay = "#56B4E9"'), r"broken\.toml: status\.okay: no such key; there are"),
    (WHOLE.replace('set = "unicode"', 'set = "emoji"'), r'broken\.toml: glyphs\.set: "emoji" is not a set'),
    (WHOLE.replace("dark = true", 'dark = "yes"'), r"broken\.toml: base\.dark: write true or false"),
    (WHOLE.replace("dark = true", 'shade = "x"'), r"broken\.toml: base\.shade: no such key"),
    (WHOLE.replace("dark = true", 'text_alpha = "x"'), r"broken\.toml: base\.text_alpha: write a number"),
    (WHOLE.replace("dark = true", "variables = 3"), r"broken\.toml: base\.variables: write a table of texts"),
    (WHOLE.replace('background = "#101418"', ""), r"broken\.toml: base\.background: is missing"),
    (WHOLE.replace('primary = "#9DB2C6"', 'primary = "transparent"'), r"base\.primary: .transparent. is not a colour"),
    (WHOLE.replace('primary = "#9DB2C6"', 'primary = "ansi_red"'), r"base\.primary: .ansi_red. is not a colour"),
    (WHOLE.replace("[series]", "[glyphs.series]"), r"broken\.toml: "),
    ("status = 3\n", r"broken\.toml: status: write it as a section, \[status\]"),
    ("", r"broken\.toml: \[base\] is missing"),
    ("\udcff", r"broken\.toml: is not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "complaint"), BROKEN)
def test_a_broken_theme_is_told_with_file_and_key(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ThemeError, match=complaint):
        read_theme(path)


def test_a_theme_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThemeError, match=r"none\.toml: No such file"):
        read_theme(tmp_path / "none.toml")


def test_the_first_folder_wins_and_a_broken_file_hides_none(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "mine.toml").write_text(WHOLE, encoding="utf-8")
    (first / "miku.toml").write_text("[base]", encoding="utf-8")
    (second / "miku.toml").write_text(WHOLE, encoding="utf-8")
    themes, problems = load_themes([first, tmp_path / "absent", second])
    assert themes["mine"].path == first / "mine.toml"
    assert themes["miku"].path == second / "miku.toml"
    assert len(problems) == 1
    assert str(first / "miku.toml") in problems[0]


def test_folders_are_searched_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert search_path(tmp_path) == (tmp_path, tmp_path / "xdg" / "meshtop" / "themes", packaged_themes())
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert search_path(None)[0] == tmp_path / ".config" / "meshtop" / "themes"


def test_without_any_theme_there_is_still_one() -> None:
    chosen, complaint = choose({}, "miku")
    assert chosen.name == emergency_theme().name
    assert complaint == "no theme is called miku; there are none"
    assert palette(chosen).text.color is not None


async def test_a_broken_theme_is_a_toast_and_the_screen_opens(tmp_path: Path, ticks, grid_of, until) -> None:
    (tmp_path / "mine.toml").write_text(WHOLE.replace('ok = "#56B4E9"', 'ok = "[red]x"'), encoding="utf-8")
    app = MeshtopApp(ScriptedSource(scripted_view(44)), theme="mine", theme_dir=tmp_path, ticks=ticks)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: "no theme is called mine" in "\n".join(grid_of(app)))
        text = "".join(line[30:].strip() for line in grid_of(app))
        assert 'status.ok: "[red]x" is not a colour' in text
        assert app.theme == "okabe-dark"


@pytest.mark.parametrize("name", SHIPPED)
async def test_every_theme_draws(name: str, ticks, grid_of) -> None:
    app = MeshtopApp(ScriptedSource(scripted_view(44)), theme=name, ticks=ticks)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        await pilot.pause()
        assert app.theme == name
        assert app.get_css_variables()["status-stall"].lower() == SHIPPED[name].status["stall"].lower()


async def test_no_color_is_mono_without_a_colour(monkeypatch: pytest.MonkeyPatch, ticks) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = MeshtopApp(ScriptedSource(scripted_view(44)), theme="miku", ticks=ticks)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert app.theme == "mono"
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                style = segment.style
                assert style is None or style.color is None or style.color.is_default
                assert style is None or style.bgcolor is None or style.bgcolor.is_default
