"""meshtop.toml: what is read from it, and that every mistake is told at once with line, key and cure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshtop import config
from meshtop.toml_lines import KeyPath, Lines

FIXTURES = Path(__file__).parent / "fixtures" / "config"
INVALID = sorted((FIXTURES / "invalid").glob("*.toml"))
VALID = sorted((FIXTURES / "valid").glob("*.toml"))


def mistakes_of(file: Path) -> list[str]:
    with pytest.raises(config.ConfigErrors) as caught:
        config.load(file)
    folder = str(file.parent.absolute())
    return [line.replace(str(file), "meshtop.toml").replace(folder, "<folder>") for line in caught.value.lines()]


def test_the_folders_hold_what_the_tests_expect() -> None:
    assert len(INVALID) >= 14
    assert len(VALID) >= 2


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_every_mistake_is_told_at_once(file: Path) -> None:
    expected = [line[3:] for line in file.read_text().splitlines() if line.startswith("#! ")]
    assert expected
    assert mistakes_of(file) == expected


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_valid_files_are_read(file: Path) -> None:
    assert len(config.load(file).mesh.nodes) >= 2


def test_all_that_a_file_may_say() -> None:
    file = FIXTURES / "valid" / "full.toml"
    read = config.load(file)
    mesh = read.mesh
    assert (mesh.name, mesh.interval_s, mesh.burst_interval_s, mesh.ping_s, mesh.ping_full_s) == ("miku", 1, 0.2, 1, 5)
    assert [(path.name, path.kind, path.outer_ports) for path in mesh.paths] == [
        ("vpn", "overlay", (443,)),
        ("public", "underlay", ()),
    ]
    a, c, six, here = mesh.nodes
    assert (a.up_bps, a.down_bps, a.label) == (10_000_000, 40_000_000, "Hubei")
    assert a.address == {"vpn": "10.10.10.1", "public": "203.0.113.10"}
    assert (c.nat, c.label, c.up_bps) == (("public",), "重庆", None)
    assert six.address == {"vpn": "fd00::3", "public": "198.51.100.34"}
    assert here.address == {}
    assert read.targets == {
        "a": "a",
        "c": "root@198.51.100.33:2222",
        "six": "admin@[2001:db8::6]:22",
        "here": "local",
    }
    assert [(watch.name, watch.ports, watch.nodes) for watch in mesh.watches] == [("push", (443, 5000), ("a",))]
    assert (mesh.thresholds.lossy_loss_pct, mesh.thresholds.lossy_window_s, mesh.thresholds.down_after_s) == (2, 20, 7)
    assert (mesh.thresholds.lossy_min_lost, mesh.thresholds.degraded_added_ms) == (2, 5.0)
    assert read.ssh.known_hosts == str(file.parent.absolute() / "known_hosts")
    assert (read.ssh.config, read.ssh.connect_timeout_s) == (None, 5.0)
    assert (read.burst.first_port, read.burst.last_port) == (5201, 5210)
    assert (read.burst.max_bytes, read.burst.max_time_s) == (250 * 1024**2, 60.0)


def test_defaults_of_a_minimal_file() -> None:
    read = config.load(FIXTURES / "valid" / "minimal.toml")
    assert (read.mesh.interval_s, read.mesh.ping_s, read.mesh.ping_full_s) == (1.0, 1.0, 5.0)
    assert read.ssh == config.SshSettings()
    assert read.burst == config.BurstSettings()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert mistakes_of(tmp_path / "none.toml") == ["meshtop.toml: no such file; name another with -c FILE"]
    with pytest.raises(config.ConfigErrors, match="is a folder; name the file in it"):
        config.load(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'[mesh]\nname = "caf\xe9"\n')
    assert mistakes_of(latin) == ["meshtop.toml:2: not UTF-8; save the file as UTF-8"]
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * 2_000_000)
    assert mistakes_of(large) == ["meshtop.toml: is larger than 977k; is this a meshtop.toml?"]
    with pytest.raises(config.ConfigErrors, match="cannot be read"):
        config.load("nul\0byte.toml")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    text = (FIXTURES / "valid" / "full.toml").read_text().replace("\n", "\r\n")
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(config.load(file).mesh.nodes) == 4
    file.write_bytes(b"\xef\xbb\xbf" + text.replace('"10M"', '"ten"').encode())
    assert mistakes_of(file)[0].startswith("meshtop.toml:28: nodes.a.up: ")


def test_home_folders_are_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "ssh_config").write_text("")
    file = tmp_path / "meshtop.toml"
    minimal = (FIXTURES / "valid" / "minimal.toml").read_text()
    file.write_text(minimal + '[ssh]\nconfig = "~/ssh_config"\nknown_hosts = "~/hosts"\n')
    assert config.load(file).ssh == config.SshSettings(
        config=str(tmp_path / "ssh_config"), known_hosts=str(tmp_path / "hosts")
    )


def test_where_the_file_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(config.ConfigErrors, match=r"meshtop.toml: no such file here, nor .*xdg/meshtop/meshtop.toml"):
        config.find()
    users = tmp_path / "xdg" / "meshtop" / "meshtop.toml"
    users.parent.mkdir(parents=True)
    users.write_text("")
    assert config.find() == users
    Path("meshtop.toml").write_text("")
    assert config.find() == Path("meshtop.toml")
    assert config.find("other.toml") == Path("other.toml")


TRICKY = '''# comment = 1
top = 1
"q.k" = "x#y" # z
b.c.'d e' = [1,
  2, # two ]
  "]",
  { x = 1, y.z = [ [3], 4 ] },
]
s = """
multi ""\\"" "" [fake]
k = 1"""
u = \'\'\'
[nope]\'\'\'
[nodes.a] # }
address = { vpn = "1", "pub lic" = "2" }
when = 1979-05-27 07:32:00
[[arr]]
x = 1
[arr.sub]
y = 2
[[arr]]
x = 3
[[arr.deep]]
z = 1
[ nodes . "b\\u0063" ]
ssh="b"
[nodes]
zz=-1.5e3
'''


def paths_of(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths_of(item, (*path, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths_of(item, (*path, index))


def test_every_key_of_a_tricky_document_has_its_line() -> None:
    lines = Lines(TRICKY)
    assert lines.paths() == set(paths_of(tomllib.loads(TRICKY)))
    assert lines.of(("q.k",)) == 3
    assert lines.of(("b", "c", "d e", 2)) == 6
    assert lines.of(("b", "c", "d e", 3, "y", "z", 0)) == 7
    assert lines.of(("s",)) == 9
    assert lines.of(("nodes", "a", "address", "pub lic")) == 15
    assert lines.of(("arr", 1, "deep", 0, "z")) == 24
    assert lines.of(("nodes", "bc", "ssh")) == 26
    assert lines.of(("nodes", "bc", "missing")) == 25
    assert lines.of(("nowhere",)) == 1


keys = st.text(min_size=1, max_size=6)
texts = st.text(max_size=20)


def basic(text: str) -> str:
    """Any text as a TOML basic string on one line."""
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


@given(st.dictionaries(keys.filter(str.isprintable), st.lists(texts, max_size=3), max_size=6), st.booleans())
def test_lines_of_generated_documents(document: dict[str, list[str]], spread: bool) -> None:
    text = ""
    expected: dict[KeyPath, int] = {}
    for key, values in document.items():
        expected[(key,)] = text.count("\n") + 1
        gap = "\n  # ] } = \n" if spread else " "
        text += f"{basic(key)} = ["
        for index, value in enumerate(values):
            text += gap
            expected[(key, index)] = text.count("\n") + 1
            text += basic(value) + ","
        text += "]\n"
    assert tomllib.loads(text) == document
    lines = Lines(text)
    assert {path: lines.of(path) for path in lines.paths()} == expected


toml_soup = st.text(alphabet="ab=.\"'[]{},#\n \\1", max_size=60)


@given(toml_soup)
@example("a=[}")
@example("a={]}")
@example("a=[[,}]")
@example("[[a]]\n[a")
@example("a.=1")
@example("=")
def test_no_text_breaks_the_reader(text: str) -> None:
    Lines(text)
    try:
        parsed = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert Lines(text).paths() == set(paths_of(parsed))
