"""The operator's own screen.toml: what it may hold, and what is said of mistakes."""

from __future__ import annotations

import pytest

from meshtop.commands import screen_settings
from meshtop.config import ConfigErrors


def read(tmp_path, text: str) -> screen_settings.ScreenSettings:
    file = tmp_path / "screen.toml"
    file.write_text(text, encoding="utf-8")
    return screen_settings.read(file)


def test_no_file_is_fine(tmp_path) -> None:
    assert screen_settings.read(tmp_path / "none.toml") == screen_settings.ScreenSettings()


def test_it_lies_in_the_users_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert screen_settings.place() == tmp_path / "meshtop" / "screen.toml"


def test_what_it_may_hold(tmp_path) -> None:
    own = read(
        tmp_path,
        'theme = "miku"\nbell = true\n[keys]\napp.quit = "Q"\n"app.freeze" = ["ctrl+f", "f8"]\nburst.ask = "%"\n',
    )
    assert (own.theme, own.bell) == ("miku", True)
    assert own.keymap == {"app.quit": "Q", "app.freeze": "ctrl+f,f8", "burst.ask": "percent_sign"}


def test_keys_may_change_places(tmp_path) -> None:
    own = read(tmp_path, '[keys]\nburst.ask = "m"\nmark.add = "b"\n')
    assert own.keymap == {"burst.ask": "m", "mark.add": "b"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('colour = "red"', ":1: colour: is not known; there are theme, bell, keys"),
        ('theme = "a"\nbell = 3', ":2: bell: write true or false"),
        ("theme = 3", ":1: theme: write a name"),
        ("keys = 3", ":1: keys: write a table"),
        ("[keys]\napp.quit = 3", ':2: keys.app.quit: write a key such as "Q"'),
        ("[keys]\napp.quit = []", ':2: keys.app.quit: write a key such as "Q"'),
        ('[keys]\n\napp.quitt = "Q"', ':3: keys.app.quitt: no binding is called that; did you mean "app.quit"?'),
        ('[keys]\napp.quit = "hello"', ':2: keys.app.quit: "hello" is no key'),
        ('[keys]\napp.quit = "meta+q"', ":2: keys.app.quit:"),
        ('[keys]\napp.quit = "?"', ':2: keys: key "question_mark" is bound to both app.quit and app.help'),
        ('[keys]\nlink.open = "b"', ':2: keys: key "b" is bound to both link.open and burst.ask'),
        ("theme = ", "Invalid value"),
    ],
)
def test_every_mistake_has_its_line(text, said, tmp_path) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, text)
    assert any(said in line for line in caught.value.lines()), caught.value.lines()


def test_scopes_that_are_never_live_together_may_share_a_key(tmp_path) -> None:
    assert read(tmp_path, '[keys]\nlog.end = "home"\n').keymap == {"log.end": "home"}
