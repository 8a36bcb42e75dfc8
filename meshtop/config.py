"""meshtop.toml: the one file that an operator writes, read whole or refused whole.

:func:`load` gives a frozen :class:`MeshConfig` or raises ``ConfigErrors`` with every mistake at once, each as
``meshtop.toml:LINE: nodes.a.up: "ten" is not a bit rate; write 10M or 10Mbit/s``. The keys and their meaning are in
docs/operations.md. Addresses are what the *other* nodes dial; they stay addresses, never host names, because the
sockets of the mesh are filtered by address on the node.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath

import msgspec
import platformdirs

from meshtop import units
from meshtop.config_reader import ConfigErrors, Document, Mistake, SyntaxMistake, Table, dotted, nearest, shown
from meshtop.model import Mesh, Node, NodeName, Path, Thresholds, Value, Watch
from meshtop.transport.target import parse_target

__all__ = ["BurstSettings", "ConfigErrors", "MeshConfig", "SshSettings", "find", "load"]

DEFAULT_NAME = "meshtop.toml"
LOCAL = "local"  # what ``ssh =`` says for the operator's own machine
MIN_INTERVAL_S, MAX_INTERVAL_S = 0.1, 60.0

_MAX_FILE_BYTES = 1_000_000  # a mesh of hundreds of nodes is 50 kB
_MIN_LINE_BPS = 1000  # "10" is a forgotten unit, not a line
_MAX_LINE_BPS = 10**13  # ten times the fastest Ethernet there is
_MAX_BURST_BYTES = 1024**5  # a day at the rate of that Ethernet
# Shown in narrow cells, written as SRC:DST and in file names: a letter or digit first, then also . _ -
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", re.ASCII)
_RESERVED_PATHS = ("both",)  # `--path both` compares all


class SshSettings(Value, frozen=True, kw_only=True):
    """``[ssh]``. None: what ssh itself would take, the user's ``~/.ssh`` and the system's files."""

    config: str | None = None
    known_hosts: str | None = None
    connect_timeout_s: float = 5.0


class BurstSettings(Value, frozen=True, kw_only=True):
    """``[burst]``: the ports that firewalls let through, and the limits above which a burst asks first."""

    first_port: int = 5201
    last_port: int = 5210
    max_bytes: int = 250 * 1024**2
    max_time_s: float = 60.0


class MeshConfig(Value, frozen=True, kw_only=True):
    """One configuration file, read and judged. ``targets``: what ``ssh =`` says for each node, in the file's order."""

    path: str
    mesh: Mesh
    targets: Mapping[NodeName, str]
    ssh: SshSettings = SshSettings()
    burst: BurstSettings = BurstSettings()


def find(given: str | None = None) -> FilePath:
    """The file to read: the given one, ./meshtop.toml, or the one in the user's config folder."""
    if given is not None:
        return FilePath(given).expanduser()
    users = FilePath(platformdirs.user_config_dir("meshtop", appauthor=False)) / DEFAULT_NAME
    for candidate in (FilePath(DEFAULT_NAME), users):
        if candidate.exists():
            return candidate
    text = f"no such file here, nor {users}; name one with -c FILE, or see a mesh without one: meshtop demo"
    raise ConfigErrors(DEFAULT_NAME, [Mistake(line=None, text=text)])


def load(path: str | FilePath) -> MeshConfig:
    """Read one file. Raises :class:`ConfigErrors`, and nothing else for anything that the file may hold or be."""
    file = FilePath(path)
    try:
        document = Document(_text_of(file))
    except SyntaxMistake as error:
        raise ConfigErrors(str(path), [error.mistake]) from error
    config = _read(document, file)
    if document.mistakes:
        raise ConfigErrors(str(path), document.mistakes)
    return config


def _text_of(file: FilePath) -> str:
    def refuse(text: str, line: int | None = None) -> ConfigErrors:
        return ConfigErrors(str(file), [Mistake(line=line, text=text)])

    try:
        with file.open("rb") as opened:
            raw = opened.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise refuse("no such file; name another with -c FILE") from None
    except IsADirectoryError:
        raise refuse("is a folder; name the file in it") from None
    except PermissionError:
        raise refuse("may not be read by this user") from None
    except (OSError, ValueError) as error:
        raise refuse(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}") from None
    if len(raw) > _MAX_FILE_BYTES:
        raise refuse(f"is larger than {units.format_bytes(_MAX_FILE_BYTES)}; is this a meshtop.toml?")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refuse("not UTF-8; save the file as UTF-8", raw.count(b"\n", 0, error.start) + 1) from None


def _read(document: Document, file: FilePath) -> MeshConfig:
    root = document.root(("mesh", "ssh", "probe", "burst", "paths", "nodes", "watch", "thresholds"))
    mesh = root.table("mesh", ("name", "interval", "burst_interval"))
    probe = root.table("probe", ("ping", "ping_full"))
    interval = _duration(MIN_INTERVAL_S, MAX_INTERVAL_S)
    paths = _paths(root)
    nodes, targets = _nodes(root, tuple(path.name for path in paths))
    for path in paths:
        if nodes and not any(path.name in node.address for node in nodes):
            document.blame(("paths", path.name), "no node has an address on this path; give some or take the path out")
    return MeshConfig(
        path=str(file),
        mesh=Mesh(
            name=mesh.read("name", _label, "mesh"),
            nodes=nodes,
            paths=paths,
            interval_s=mesh.read("interval", interval, 1.0),
            burst_interval_s=mesh.read("burst_interval", interval, 0.2),
            # iputils lets ordinary users go down to 0.2 s up to release 20221126
            ping_s=probe.read("ping", _duration(0.2, 60.0), 1.0),
            ping_full_s=probe.read("ping_full", _duration(0.2, 300.0), 5.0),
            watches=_watches(root, tuple(node.name for node in nodes)),
            thresholds=_thresholds(root),
        ),
        targets=targets,
        ssh=_ssh(root, file.parent.absolute()),
        burst=_burst(root),
    )


def _ssh(root: Table, folder: FilePath) -> SshSettings:
    ssh = root.table("ssh", ("config", "known_hosts", "connect_timeout"))

    def existing(raw: object) -> str:
        found = _file(folder)(raw)
        if not FilePath(found).is_file():
            raise ValueError(f"{shown(found)} is no file")
        return found

    return SshSettings(
        config=ssh.read("config", existing, None),
        # a missing known_hosts is no mistake here: it makes every host key unknown, and each node then says so
        known_hosts=ssh.read("known_hosts", _file(folder), None),
        connect_timeout_s=ssh.read("connect_timeout", _duration(0.5, 120.0), 5.0),
    )


def _burst(root: Table) -> BurstSettings:
    burst = root.table("burst", ("ports", "max_bytes", "max_time"))
    default = BurstSettings()
    first, last = burst.read("ports", _port_range, (default.first_port, default.last_port))
    return BurstSettings(
        first_port=first,
        last_port=last,
        max_bytes=burst.read("max_bytes", _size, default.max_bytes),
        max_time_s=burst.read("max_time", _duration(1.0, 86_400.0), default.max_time_s),
    )


def _paths(root: Table) -> tuple[Path, ...]:
    found: list[Path] = []
    for name, table in root.table("paths", None).tables(("kind", "outer_ports", "from_operator")):
        _check_name(table, name, "path")
        if name in _RESERVED_PATHS:
            table.blame(f"{shown(name)} means all paths on the command line; take another name")
        kind = table.require("kind", _one_of("overlay", "underlay"), 'write kind = "overlay" or "underlay"')
        ports = table.each("outer_ports", _port, "outer_ports = [443]")
        if kind == "underlay" and ports:
            table.blame("an underlay has no outer sockets; these belong to the overlay's path", "outer_ports")
        found.append(
            Path(
                name=name,
                kind="overlay" if kind == "overlay" else "underlay",
                outer_ports=ports,
                from_operator=table.read("from_operator", _truth, True),
            )
        )
    if not root.data.get("paths", {}):
        root.blame('no path; write [paths.public] with kind = "underlay"', "paths")
    return tuple(found)


def _nodes(root: Table, path_names: tuple[str, ...]) -> tuple[tuple[Node, ...], dict[NodeName, str]]:
    nodes: list[Node] = []
    targets: dict[NodeName, str] = {}
    claims = _Claims()
    sections = root.table("nodes", None).tables(("ssh", "label", "up", "down", "address", "nat"))
    for name, table in sections:
        _check_name(table, name, "node")
        target = table.require("ssh", _ssh_target, 'write ssh = "alias", "user@host:port" or "local"')
        if target is not None:
            claims.take(f"ssh {target}", table, "ssh", "one machine cannot be two nodes")
            targets[name] = target
        nat = table.each("nat", _known(path_names, "path"), 'nat = ["public"]')
        node = Node(
            name=name,
            label=table.read("label", _label, None),
            address=_addresses(table, path_names, nat, claims),
            up_bps=table.read("up", _line_rate, None),
            down_bps=table.read("down", _line_rate, None),
            nat=nat,
        )
        nodes.append(node)
    if len(sections) < 2 and isinstance(root.data.get("nodes", {}), dict):
        what = "no node" if not sections else "a mesh of one node has no link"
        root.blame(f'{what}; write at least two: [nodes.a] with ssh = "…" and address = {{ … }}', "nodes")
    return tuple(nodes), targets


def _addresses(table: Table, path_names: tuple[str, ...], nat: tuple[str, ...], claims: _Claims) -> dict[str, str]:
    if "address" not in table:
        if "nat" not in table:
            table.blame('address is missing; write address = { public = "203.0.113.10" }')
        return {}
    given = table.table("address", None)
    if table.data["address"] == {} and "nat" not in table:
        table.blame('no address is in it; write address = { public = "203.0.113.10" }', "address")
    found: dict[str, str] = {}
    for name in given.data:
        if name not in path_names:
            given.blame(_unknown(name, path_names, "path"), name)
            continue
        address = given.read(name, _address, None)
        if address is None:
            continue
        found[name] = address
        claims.take(
            address, given, name, "sockets could not be told apart; leave out that of a node behind NAT", name in nat
        )
    return found


class _Claims:
    """Who has an address or an ssh target already. Several nodes behind one NAT may share the address that nobody
    dials: their sockets stay unattributed."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, bool]] = {}

    def take(self, what: str, table: Table, key: str, why: str, shared: bool = False) -> None:
        if what not in self._first:
            path = (*table.path, key)
            self._first[what] = (f"{dotted(path)} (line {table.document.line(path)})", shared)
            return
        owner, owner_shares = self._first[what]
        if not (shared and owner_shares):
            table.blame(f"the same as {owner}; {why}", key)


def _watches(root: Table, node_names: tuple[str, ...]) -> tuple[Watch, ...]:
    found: list[Watch] = []
    for name, table in root.table("watch", None).tables(("ports", "nodes")):
        _check_name(table, name, "watch")
        ports = table.each("ports", _port, "ports = [443, 5000]")
        if not table.data.get("ports"):
            table.blame("ports is missing; write ports = [443, 5000]")
        nodes = table.each("nodes", _known(node_names, "node"), 'nodes = ["a"]')
        found.append(Watch(name=name, ports=ports, nodes=nodes))
    return tuple(found)


def _thresholds(root: Table) -> Thresholds:
    default = Thresholds()
    percent, count = _number(0.01, 100.0), _count(1, 1_000_000)
    readers: dict[str, tuple[str, Callable[[object], float | int]]] = {
        "lossy_loss_pct": ("lossy_loss_pct", percent),
        "lossy_min_lost": ("lossy_min_lost", count),
        "lossy_retrans_pct": ("lossy_retrans_pct", percent),
        "lossy_min_data_segs": ("lossy_min_data_segs", count),
        "lossy_window": ("lossy_window_s", _duration(1.0, 60.0)),
        "degraded_inflation": ("degraded_inflation", _number(1.05, 100.0)),
        "degraded_intervals": ("degraded_intervals", count),
        "degraded_added": ("degraded_added_ms", _milliseconds),
        "clear_intervals": ("clear_intervals", count),
        "down_after": ("down_after_s", _duration(1.0, 60.0)),
    }
    table = root.table("thresholds", tuple(readers))
    values = {field: table.read(key, reader, getattr(default, field)) for key, (field, reader) in readers.items()}
    return msgspec.structs.replace(default, **values)


# ── Readers of single values: a value of the document in, the typed one out, or ValueError with the cure ─────────────


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError(f'{shown(raw)} is not text; write it in quotes: "{shown(raw)}"')
    return raw


def _quantity(raw: object, example: str) -> str:
    if not isinstance(raw, str):
        raise ValueError(f'{shown(raw)} has no unit; write a quantity in quotes, such as "{example}"')
    return raw


def _duration(low_s: float, high_s: float) -> Callable[[object], float]:
    def read(raw: object) -> float:
        value = units.parse_duration(_quantity(raw, "1s"))
        if not low_s <= value <= high_s:
            raise ValueError(f"{shown(raw)} is out of range; write {low_s:g}s to {high_s:g}s")
        return value

    return read


def _milliseconds(raw: object) -> float:
    value = 1000 * units.parse_duration(_quantity(raw, "2ms"))
    if value > 60_000:
        raise ValueError(f"{shown(raw)} is out of range; write 0ms to 60s")
    return value


def _line_rate(raw: object) -> int:
    value = units.parse_rate(_quantity(raw, "10M"))
    if value < _MIN_LINE_BPS:
        raise ValueError(f"{shown(raw)} is less than 1 kbit/s; write the line rate as 10M or 10Mbit/s")
    if value > _MAX_LINE_BPS:
        raise ValueError(f"{shown(raw)} is more than any line; write the line rate as 10M or 10Mbit/s")
    return value


def _size(raw: object) -> int:
    value = units.parse_size(str(raw) if type(raw) is int else _quantity(raw, "250M"))
    if not 1 <= value <= _MAX_BURST_BYTES:
        raise ValueError(f"{shown(raw)} is out of range; write 1 to 1024T")
    return value


def _number(low: float, high: float) -> Callable[[object], float]:
    def read(raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float) or not low <= raw <= high:
            raise ValueError(f"{shown(raw)} is not a number from {low:g} to {high:g}")
        return float(raw)

    return read


def _count(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not low <= raw <= high:
            raise ValueError(f"{shown(raw)} is not a whole number from {low} to {high}")
        return raw

    return read


def _port(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= 65535:
        raise ValueError(f"{shown(raw)} is not a port; write a number from 1 to 65535")
    return raw


def _port_range(raw: object) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d{1,5})\s*(?:-\s*(\d{1,5})\s*)?", str(raw), re.ASCII)
    if found is None or isinstance(raw, bool):
        raise ValueError(f'{shown(raw)} is not a range of ports; write "5201-5210"')
    first, last = _port(int(found[1])), _port(int(found[2] or found[1]))
    if first > last:
        raise ValueError(f'{shown(raw)} runs backwards; write "{last}-{first}"')
    return first, last


def _truth(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"{shown(raw)} is neither true nor false")
    return raw


def _label(raw: object) -> str:
    value = _text(raw)
    if not value.strip() or not value.isprintable() or len(value) > 40:
        raise ValueError(f"{shown(raw)} is no name for the screen; write 1 to 40 printable characters")
    return value


def _file(folder: FilePath) -> Callable[[object], str]:
    def read(raw: object) -> str:
        value = _text(raw)
        if not value or "\0" in value:
            raise ValueError(f"{shown(raw)} is no file name")
        try:
            return str(folder / FilePath(value).expanduser())
        except RuntimeError:
            raise ValueError(f"{shown(raw)}: no such user; write the path in full") from None

    return read


def _one_of(*words: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"{shown(raw)} is unknown; write " + " or ".join(f'"{word}"' for word in words))
        return str(raw)

    return read


def _known(names: tuple[str, ...], what: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if raw not in names:
            raise ValueError(_unknown(raw, names, what))
        return str(raw)

    return read


def _unknown(raw: object, names: tuple[str, ...], what: str) -> str:
    hint = nearest(raw, names) if isinstance(raw, str) else ""
    there = f"; there is {', '.join(names)}" if names else f"; no {what} is defined"
    return f"{shown(raw)} is no {what} of this file{hint or there}"


def _ssh_target(raw: object) -> str:
    value = _text(raw).strip()
    if value != LOCAL:
        try:
            parse_target(value)
        except ValueError as error:
            raise ValueError(f'{error}, or "{LOCAL}" for this machine') from None
    return value


def _address(raw: object) -> str:
    value = _text(raw).strip()
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(_why_no_address(raw, value)) from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{shown(raw)} has a scope; write an address that is the same on every node")
        if address.is_link_local:
            raise ValueError(f"{shown(raw)} is of one link only; write an address that others can dial from anywhere")
        address = address.ipv4_mapped or address
    if address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255":
        raise ValueError(f"{shown(raw)} is not the address of one node")
    return str(address)


def _why_no_address(raw: object, value: str) -> str:
    base = re.split(r"/|(?<=\d):\d+$", value.strip("[]"))[0]
    try:
        ipaddress.ip_address(base)
    except ValueError:
        return f"{shown(raw)} is not an IP address; write the address that the others dial, not a name"
    return f'{shown(raw)} is more than an address; write "{base}"'


def _check_name(table: Table, name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        table.blame(f"no name for a {what}; write up to 16 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
