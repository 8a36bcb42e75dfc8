"""``meshtop doctor``: every node and every pair looked at before anything is watched: what is wrong, and its cure."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click
import msgspec

from meshtop.collect.preflight import Preflight, ways_of, with_listeners
from meshtop.commands import doctor_text
from meshtop.commands.output import answer, stdout
from meshtop.commands.running import FINE, FOUND_FAILURE, NO_NODE
from meshtop.compose import transports_of
from meshtop.config import MeshConfig
from meshtop.engine.timeseries import rfc3339
from meshtop.model import LinkKey, NodeName
from meshtop.parse.ways import WayAnswers
from meshtop.setup.checks import Diagnosis, diagnosis
from meshtop.setup.facts import MeshFacts, NodeFacts
from meshtop.setup.node_checks import node_checks
from meshtop.setup.way_checks import link_checks


async def doctor(config: MeshConfig, *, as_json: bool) -> int:
    """Look, print, return the exit code: 1 where anything is unusable, 3 where no node could be reached."""
    fd = stdout()
    began_at, began = time.time(), time.monotonic()
    progress = _Progress(len(config.mesh.nodes))
    facts = await examine(config, progress.say)
    progress.end()
    found = judge(facts, rfc3339(began_at), time.monotonic() - began)
    text = msgspec.json.encode(found) if as_json else doctor_text.report(found, facts.mesh, _width()).encode()
    written = answer(fd, text + b"\n")
    if written is not None:
        return written
    if all(its.fault is not None for its in facts.nodes.values()):
        click.echo("meshtop: no node could be reached", err=True)
        return NO_NODE
    return FINE if found.usable else FOUND_FAILURE


async def examine(config: MeshConfig, say: Callable[[str], None] = lambda text: None) -> MeshFacts:
    """Ask every node and try every way."""
    mesh, burst = config.mesh, config.burst
    ports = range(burst.first_port, burst.last_port + 1)
    async with Preflight(transports_of(config)) as preflight:
        say("asking the nodes")
        nodes = await preflight.survey(lambda node: say(f"{node} has answered"))
        able = [name for name, its in nodes.items() if its.survey and "iperf3" in its.survey.tools]
        nodes = with_listeners(nodes, await preflight.listen(able, ports))

        def to_try(node: NodeName) -> tuple[int, ...]:
            """The port that listens; without one, the one that would."""
            its = nodes[node]
            taken = its.survey.listening if its.survey else ()
            port = its.listener or next((port for port in ports if port not in taken), None)
            return () if port is None else (port,)

        say("trying the ways between them")
        ways = await preflight.try_ways(ways_of(mesh, to_try), lambda node: say(f"{node} has tried its ways"))
    return _facts(config, nodes, ways)


def _facts(config: MeshConfig, nodes: dict[NodeName, NodeFacts], ways: dict[LinkKey, WayAnswers]) -> MeshFacts:
    return MeshFacts(
        mesh=config.mesh,
        targets=config.targets,
        first_port=config.burst.first_port,
        last_port=config.burst.last_port,
        nodes=nodes,
        ways=ways,
    )


def judge(facts: MeshFacts, at: str, took_s: float) -> Diagnosis:
    """What is wrong, from what was seen."""
    mesh = facts.mesh
    nodes = tuple(node_checks(facts, node) for node in mesh.nodes)
    links = tuple(
        link_checks(facts, src, dst, path.name)
        for path in mesh.paths
        for src in mesh.nodes
        for dst in mesh.nodes
        if src.name != dst.name
    )
    return diagnosis(mesh.name, at, took_s, nodes, links)


class _Progress:
    """One line on a terminal that says what is being done; nothing where standard error is none."""

    def __init__(self, nodes: int) -> None:
        self._shown = sys.stderr.isatty()
        self._nodes = nodes

    def say(self, text: str) -> None:
        if self._shown:
            click.echo(f"\r\033[K{self._nodes} nodes: {text} …", nl=False, err=True)

    def end(self) -> None:
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)


def _width() -> int:
    """Of the terminal that it is printed on; a pipe gets what reads well in a mail."""
    if not sys.stdout.isatty():
        return 100
    import shutil

    return max(40, min(140, shutil.get_terminal_size().columns))
