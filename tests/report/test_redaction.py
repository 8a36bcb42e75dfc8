"""Nothing of what was planted is in a redacted report: not in its files, its pictures, nor its frames."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from xml.etree import ElementTree

import click
import msgspec
import pytest

from meshtop.burst import BurstRaw, BurstRecord
from meshtop.collect.fold import Fold
from meshtop.commands.report import Wishes, report
from meshtop.model import (
    BurstTold,
    BytesDropped,
    ExperimentRecord,
    ExperimentTold,
    LinkKey,
    LogLine,
    Mark,
    Node,
    OperatorPing,
    SessionChanged,
    Watch,
)
from meshtop.parse.framing import END, split_frame
from meshtop.recording import FrameRecord, Glance, Record, RecordingReader, RecordingWriter
from meshtop.recording.blocks import Unpacker
from meshtop.recording.recent import is_key
from meshtop.recording.records import _EVENT_KINDS
from meshtop.report.names import Names
from meshtop.report.redact import redacted

# Each stands in another place of what a node or an operator may say.
PLANTED = {
    "mesh": "kestrelmesh", "label": "Nightingale", "node": "robin", "path": "wrenpath", "watch": "finchwatch",
    "process": "heronproc", "cgroup": "egretgroup", "cgroup with a blank": "storkpart", "interface": "plover7",
    "v4": "100.77.66.55", "v6": "fd77:66::55", "scoped": "fe80::7766", "kernel": "ospreykernel",
    "hostname in a version": "falconhost", "problem": "kitehost.example", "problem address": "100.77.66.56",
    "ssh reason": "gullfile", "ssh user": "ternuser", "log": "swiftlog", "mark": "larkmark", "banner": "jaybanner",
    "burst raw": "ravenraw", "burst reason": "rookreason", "experiment": "wagtail", "garbled row": "dunnock",
    "uid": "77665", "boot": "7766aaaa", "listener": "snipeproc", "operator ping": "martinping",
    "title of a bystander": "pipitproc", "unknown word": "siskinword",
}  # fmt: skip
# How a mapped address and a longer form of an IPv6 one would look.
ALSO = ("::ffff:100.77.66.55", "fd77:66:0:0")


def planted_rows() -> list[str]:
    p = PLANTED
    return [
        f"s9001=ESTAB 0 0 {p['v4']}%{p['interface']}:40112 [{p['v6']}]:443 cubic rto:204 rtt:38.1/2.0 mss:1448 "
        f"uid:{p['uid']} ino:99001 sk:7f {p['unknown word']} "
        f"cgroup:/user.slice/{p['cgroup']} {p['cgroup with a blank']}.scope <->",
        f"s9002=ESTAB 0 0 [::ffff:{p['v4']}]:40113 [{p['scoped']}]%{p['interface']}:443 cubic rto:204 sk:80 <->",
        f"q99001= users:((\"{p['process']}\",pid=1,fd=3),(\"{p['listener']}\",pid=2,fd=4)) ino:99001 sk:",
        f"d90={p['interface']}: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
        f"g90={p['v6']} 56 100",
        f"p90=1000 From {p['problem address']} icmp_seq=1 Destination Host Unreachable",
        f"ikernel=6.1.0-{p['kernel']}",
        f"iiperf3=iperf 3.12 Linux {p['hostname in a version']} 6.1.0",
        f"iaddresses={p['interface']}={p['v4']} {p['interface']}={p['v6']}",
        f"ihost=at:9 cores:2 busy:3 core:4 {p['unknown word']}",
        f"iqdisc=- at:9 {p['interface']}/tbf/root dropped:2 {p['unknown word']} {p['interface']}/x/{p['kernel']}",
        f"issh={p['v4']} 50000 {p['v6']} 22",
        f"xss=connect to {p['problem']} ({p['problem address']}) failed",
        f"not a row of any table: {p['garbled row']}",
    ]  # fmt: skip


def planted_frame(raw: bytes) -> bytes:
    header, body = split_frame(raw)
    body += "".join(f"{row}\n" for row in planted_rows()).encode()
    words = raw[: raw.find(b"\n")].decode().split(" ")
    words[1], words[8] = f"{PLANTED['boot']}-0000-4000-8000-000000000000", str(len(body))
    del header
    return " ".join(words).encode() + b"\n" + body + END


def planted_events(at: float) -> list[Record]:
    p = PLANTED
    burst = BurstRecord(
        id="b1", src="robin", dst="b", path="wrenpath", tool="iperf3 3.12", streams=1, state="failed",
        client="robin", server="b", connect_to=p["v4"], port=5201,
        requested={"bytes": 1, "congestion": "cubic"}, reason=f"cannot reach {p['burst reason']}",
        cure=p["burst reason"], started="2024-05-01T14:32:07.123Z",
        stalls=({"id": "s1", "src": "robin", "flow": {"local": f"{p['v4']}:1", "process": p["process"]}},),
        bystanders=({"flow": {"peer": f"[{p['v6']}]:443", "process": p["title of a bystander"]}, "bps_before": 1.0},),
        raw=BurstRaw(client={"title": p["burst raw"]}, server=f"iperf3 on {p['burst raw']}"),
    )  # fmt: skip
    tried = ExperimentRecord(
        id="x1", kind="paths", src="robin", dst="b", path="wrenpath", sends=f"pings to {p['v4']}", state="failed",
        reason=p["experiment"], cure=p["experiment"], started=at, summary=f"robin → b on wrenpath by {p['v6']} is sick",
    )  # fmt: skip
    down = SessionChanged(
        at=at, node="robin", connection=9, phase="down", fault="host-key",
        reason=f"known_hosts of {p['ssh user']} at {p['v4']}", cure=f"edit {p['ssh reason']}",
    )  # fmt: skip
    return [
        down,
        SessionChanged(at=at, node="robin", connection=10, phase="up"),
        LogLine(at=at, node="robin", level="warning", text=f"fresh connection: {p['log']}"),
        LogLine(at=at, node=None, level="info", text="sampling every 1s"),
        Mark(at=at, text=p["mark"]),
        BytesDropped(at=at, node="robin", connection=10, count=7, excerpt=p["banner"]),
        OperatorPing(at=at, node="robin", path="wrenpath", rtt_ms=None, problem=p["operator ping"]),
        BurstTold(at=at, phase="closed", burst=burst),
        ExperimentTold(at=at, experiment=tried),
    ]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real recording of a lab, half a minute of it, with other names and more said."""
    source = Path(str(files("meshtop.lab"))) / "recordings" / "miku.mtr"
    path = tmp_path_factory.mktemp("planted") / "kestrelmesh.mtr"
    names = {"a": PLANTED["node"]}
    paths = {"vpn": PLANTED["path"]}
    with RecordingReader(source) as reader, path.open("xb") as file:
        mesh = reader.header.mesh
        nodes = tuple(
            Node(
                name=names.get(node.name, node.name),
                label=PLANTED["label"],
                address={paths.get(path, path): address for path, address in node.address.items()},
            )
            for node in mesh.nodes
        )
        ways = tuple(msgspec.structs.replace(way, name=paths.get(way.name, way.name)) for way in mesh.paths)
        watches = (Watch(name=PLANTED["watch"], ports=(443,)),)
        mesh = msgspec.structs.replace(mesh, name=PLANTED["mesh"], nodes=nodes, paths=ways, watches=watches)
        writer = RecordingWriter(file, msgspec.structs.replace(reader.header, mesh=mesh))
        told = False
        for record in reader.records():
            if record.at > reader.first_at + 30:
                break
            if isinstance(record, FrameRecord):
                raw = planted_frame(record.raw) if is_key(record.raw) else _same_boot(record.raw)
                writer.add(FrameRecord(record.at, names.get(record.node, record.node), record.connection, raw))
            elif hasattr(record, "node"):
                more = {"path": paths.get(record.path, record.path)} if isinstance(record, OperatorPing) else {}
                node = names.get(record.node, record.node)  # type: ignore[arg-type]
                writer.add(msgspec.structs.replace(record, node=node, **more))  # type: ignore[type-var]
            else:
                writer.add(record)
            if not told and record.at > reader.first_at + 10:
                told = True
                for event in planted_events(record.at):
                    writer.add(event)
                writer.add(Glance(record.at, " ".join(PLANTED.values()).encode()))
        writer.close()
    return path


def _same_boot(raw: bytes) -> bytes:
    words = raw.split(b" ", 2)
    return b" ".join((words[0], f"{PLANTED['boot']}-0000-4000-8000-000000000000".encode(), words[2]))


def leaks(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").lower()
    return [name for name, word in PLANTED.items() if word.lower() in text] + [word for word in ALSO if word in text]


def unpacked(path: Path) -> bytes:
    """All that a recording holds, out of its blocks."""
    with RecordingReader(path) as reader:
        parts = [msgspec.json.encode(reader.header)]
        for record in reader.records():
            parts.append(record.raw if isinstance(record, FrameRecord) else msgspec.json.encode(record))
        assert reader.incomplete is None
        assert reader.unknown_records == 0
    return b"\n".join(parts)


def plain_blocks(path: Path) -> Iterator[bytes]:
    """What stands in the file, of whatever kind."""
    unpacker, data = Unpacker(), path.read_bytes()
    with RecordingReader(path) as reader:
        for block in reader.blocks:
            packed = data[block.offset : block.offset + block.packed_bytes]
            yield unpacker.unpack(packed, block.plain_bytes, fresh=block.fresh)


def test_what_is_planted_is_really_there(planted: Path) -> None:
    """Else its absence would prove nothing."""
    assert sorted(leaks(unpacked(planted)))[0:] == sorted([*PLANTED, ALSO[0]])
    with RecordingReader(planted) as reader:
        glance = reader.glance(reader.last_at)
    assert glance is not None
    assert PLANTED["node"].encode() in glance.packed


def test_no_planted_word_is_in_any_file_of_a_redacted_report(planted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    assert (
        report(
            planted,
            Wishes(last_s=300.0, target=folder, redact=True, yes=True, title=f"{PLANTED['node']} at {PLANTED['v4']}"),
        )
        == 0
    )
    found = [file for file in folder.rglob("*") if file.is_file()]
    assert {"report.md", "recording.mtr", "snapshot.json", "events.ndjson"} <= {file.name for file in found}
    assert {".svg", ".png", ".txt"} <= {file.suffix for file in found}
    for file in found:
        assert not leaks(file.read_bytes()), file.name
        assert not leaks(file.name.encode())
        if file.suffix == ".svg":
            ElementTree.parse(file)  # noqa: S314  # our own
    assert not leaks(unpacked(folder / "recording.mtr"))
    assert not leaks(b"".join(plain_blocks(folder / "recording.mtr")))
    with RecordingReader(folder / "recording.mtr") as reader:
        assert reader.blocks
        assert not any(block.glanced for block in reader.blocks)
        assert reader.glance(reader.last_at) is None


# Of meshtop's own making, and told as it is.
OWN = {
    "id": "b1", "bursts": ("b1",), "schema": "meshtop.burst/1", "fault": "refused",
    "started": "2024-05-01T14:32:07.123Z", "loaded": None, "ended": None,
}  # fmt: skip


def filled(kind: Any) -> Any:
    """A value of that type with planted texts wherever a text may stand."""
    origin, inner = get_origin(kind), [each for each in get_args(kind) if each is not type(None)]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct | LinkKey):
        hints = {name: hint for name, hint in get_type_hints(kind).items() if not name.startswith("__")}
        return kind(**{
            name: OWN[name] if name in OWN and hint is not float else filled(hint) for name, hint in hints.items()
        })  # fmt: skip
    if origin is Literal:
        return inner[0]
    if origin is tuple:
        return tuple(filled(each) for each in inner if each is not ...)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"local": filled(inner[1])}
    if inner:
        return filled(inner[0])
    return {str: PLANTED["node"], Any: {"flow": {"local": PLANTED["v4"], "what": PLANTED["node"]}}}.get(kind, 1)


@pytest.mark.parametrize("kind", _EVENT_KINDS.values(), ids=lambda kind: kind.__name__)
def test_no_text_of_any_record_is_left_out(kind: type[msgspec.Struct]) -> None:
    """A field that is added to a record has to be thought of here."""
    event = filled(kind)
    (told,) = redacted(iter([event]), Names())
    assert not leaks(msgspec.json.encode(told))
    assert type(told) is kind


def test_a_redacted_recording_still_tells_the_same(planted: Path) -> None:
    names = Names()
    with RecordingReader(planted) as reader:
        told, whole = Fold(names.mesh(reader.header.mesh)), Fold(reader.header.mesh)
        for record in reader.records():
            whole.take(record)
        for record in redacted(reader.records(), names):
            told.take(record)
        at = reader.last_at
    before, after = whole.engine.snapshot(at), told.engine.snapshot(at)
    assert [node.state for node in after.nodes] == [node.state for node in before.nodes]
    assert [node.sockets for node in after.nodes] == [node.sockets for node in before.nodes]
    assert [node.ss for node in after.nodes] == [node.ss for node in before.nodes]
    figures = ("state", "rtt_ms", "loss_pct", "tx_bps", "retrans_pct", "flows", "stalls", "pmtu")
    for one, other in zip(before.links, after.links, strict=True):
        assert [getattr(other, name) for name in figures] == [getattr(one, name) for name in figures]
        assert (other.src, other.dst) == (names.node(one.src), names.node(one.dst))


def test_an_address_has_one_name_wherever_it_stands() -> None:
    names = Names()
    told = names.address("100.77.66.55")
    assert names.endpoint("100.77.66.55:443") == f"{told}:443"
    assert names.endpoint("[::ffff:100.77.66.55]:443") == f"[::ffff:{told}]:443"
    assert names.text("from 100.77.66.55, and 6.1.0 stays") == f"from {told}, and 6.1.0 stays"
    assert names.address("127.0.0.1") == "127.0.0.1"
    assert names.address("fd77:66::55") == names.address("fd77:66:0:0:0:0:0:55")
    assert names.address("fd77:66::55").startswith("2001:db8:")


def test_as_a_zip_it_is_under_a_size_that_can_be_sent(planted: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.zip"
    assert report(planted, Wishes(last_s=10.0, target=target, yes=True, title="one *two* <three>")) == 0
    assert target.stat().st_size < 25 << 20
    with zipfile.ZipFile(target) as archive:
        text = archive.read("report/report.md").decode()
        archive.extract("report/recording.mtr", tmp_path)
    assert "\\*two\\*" in text
    assert "kestrelmesh" in text, "not redacted"
    with RecordingReader(tmp_path / "report" / "recording.mtr") as reader:
        assert reader.last_at - reader.shown_from == pytest.approx(10.0, abs=1.0)


def test_a_dry_run_lists_and_writes_nothing(planted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(planted, Wishes(last_s=10.0, target=None)) == 0
    assert "recording.mtr" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_two_windows_stand_side_by_side(planted: Path, tmp_path: Path) -> None:
    wishes = Wishes(
        last_s=10.0, target=tmp_path / "cured", yes=True, until="+12s", against=planted, against_until="+25s"
    )
    assert report(planted, wishes) == 0
    text = (tmp_path / "cured" / "report.md").read_text()
    assert "| before | after |" in text
    assert "robin → b" in text
    assert (tmp_path / "cured" / "before-recording.mtr").is_file()
    assert (tmp_path / "cured" / "after-recording.mtr").is_file()


def test_what_cannot_be_made_is_said(planted: Path, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="outside of the recording"):
        report(planted, Wishes(last_s=10.0, target=tmp_path / "x", until="+1h"))
    with pytest.raises(click.UsageError, match="not a meshtop recording"):
        report(Path(__file__), Wishes(last_s=10.0, target=tmp_path / "x"))
