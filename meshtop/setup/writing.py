"""A proposal as the text of a commented meshtop.toml. What comes from outside is quoted or a comment."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from meshtop.model import NodeName, Value
from meshtop.parse.survey import NodeSurvey
from meshtop.parse.text import clean
from meshtop.setup.interfaces import use_of
from meshtop.setup.proposal import ProposedPath
from meshtop.units import format_duration

_WIDTH = 100


class WrittenNode(Value, frozen=True, kw_only=True):
    """One node of the file. ``fault`` and ``cure``: why it is only there as a comment."""

    name: NodeName
    target: str
    survey: NodeSurvey | None = None
    clock_offset_s: float | None = None  # where it is off
    fault: str | None = None
    cure: str | None = None


def config_text(
    nodes: Sequence[WrittenNode], paths: Sequence[ProposedPath], day: str, ssh_config: str | None = None
) -> str:
    """``day``: for the first line. ``ssh_config``: where it is not the usual one."""
    lines = [
        f"# Written by `meshtop init` on {day}. Look it over, then: meshtop doctor, and meshtop.",
        "# What starts with # is a suggestion or a default; all keys stand in docs/manual.md.",
        "",
        "[mesh]",
        'name = "mesh"             # shown at the top of the screen',
        '# interval = "1s"         # how often every node is asked, 0.1s to 60s',
        "",
        *_ssh(ssh_config),
        "",
        "# [burst]",
        '# ports = "5201-5210"     # what the firewalls between the nodes let through, TCP and UDP',
        "",
        "# ── Paths: the first is what the screen opens on ──",
        "",
    ]
    for path in paths:
        lines += [*_path(path), ""]
    lines += ["# ── Nodes: addresses are what the others dial ──", ""]
    for node in nodes:
        lines += [*_node(node, paths), ""]
    lines += [
        "# ── Flows to follow by name, wherever they are seen ──",
        "",
        "# [watch.push]",
        "# ports = [443, 5000]     # TCP, at either end",
    ]
    return "\n".join(lines) + "\n"


def _ssh(config: str | None) -> Iterator[str]:
    if config is None:
        yield "# [ssh]                   # user names, keys and jump hosts come from ssh_config and the agent"
        yield '# config = "~/.ssh/config"'
    else:
        yield "[ssh]                     # user names, keys and jump hosts come from there and the agent"
        yield f"config = {json.dumps(config)}"


def _path(path: ProposedPath) -> Iterator[str]:
    yield f"[paths.{path.name}]"
    yield f'kind = "{path.kind}"'.ljust(26) + f"# {clean(path.why, 120)}"
    if path.outer_ports:
        ports = ", ".join(map(str, path.outer_ports))
        yield f"outer_ports = [{ports}]".ljust(26) + "# TCP ports of the tunnel's own sockets, as seen there"
    elif path.kind == "overlay":
        yield "# outer_ports = [443]     # TCP ports of the tunnel's own sockets; none was seen"
    if not path.from_operator:
        yield "from_operator = false     # this machine has no address there, and sends no pings of its own"
    for note in path.notes:
        yield from _comment(note)


def _node(node: WrittenNode, paths: Sequence[ProposedPath]) -> Iterator[str]:
    if node.survey is None:
        yield from _comment(f"{node.name}: {node.fault or 'not reached'}")
        if node.cure:
            yield from _comment(f"→ {node.cure}")
        yield f"# [nodes.{node.name}]"
        yield f"# ssh = {json.dumps(node.target)}"
        yield "# address = { " + ", ".join(f'{path.name} = "…"' for path in paths) + " }"
        return
    yield from _comment(_about(node, node.survey))
    yield f"[nodes.{node.name}]"
    yield f"ssh = {json.dumps(node.target)}"
    yield '# label = "…"             # a name for people'
    yield '# up = "100M"             # nominal rates of its line, either way: they bound what probing and'
    yield '# down = "100M"           # bursts may take, and tell how full the line is'
    own = [f'{path.name} = "{path.address[node.name]}"' for path in paths if node.name in path.address]
    if own:
        yield f"address = {{ {', '.join(own)} }}"
    behind = [path.name for path in paths if node.name in path.behind_nat]
    if behind:
        yield f"nat = [{', '.join(json.dumps(name) for name in behind)}]"


def _about(node: WrittenNode, survey: NodeSurvey) -> str:
    said = [
        survey.host or "?",
        survey.system or "unknown system",
        f"kernel {survey.kernel or 'unknown'}",
        f"as {survey.user}" if survey.user else "",
        _tool("ss", survey.ss, survey),
        _tool("ping", survey.ping, survey),
        _tool("iperf3", survey.iperf3, survey),
    ]
    if left_out := _containers(survey):
        said.append(f"networks of containers, left out: {', '.join(left_out)}")
    offset = node.clock_offset_s
    if offset is not None:
        said.append(f"clock {format_duration(abs(offset))} {'ahead' if offset > 0 else 'behind'}")
    return "; ".join(each for each in said if each)


def _containers(survey: NodeSurvey) -> list[str]:
    """Overlays of Kubernetes and the like: what runs there has addresses of its own, which no other node dials."""
    found = [each.name for each in survey.interfaces if each.addresses and use_of(each, survey) == "containers"]
    return found[:4] + (["…"] if len(found) > 4 else [])


def _tool(name: str, version: str | None, survey: NodeSurvey) -> str:
    if name not in survey.tools:
        return f"no {name}: install it"
    return f"{name} {version or 'of unknown version'}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        clean(text, 600),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
