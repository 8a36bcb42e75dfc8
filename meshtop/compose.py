"""How the parts are put together: config → transports → collector and prober → a Monitor.

Everything heavy is imported when it is needed and not before, and beside the event loop, so that a screen is painted
while asyncssh (0.16 s) is still being read.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Collection
from pathlib import Path

import click

from meshtop.agent.probe import unpinged
from meshtop.collect.clock import Clock
from meshtop.config import LOCAL, MeshConfig
from meshtop.model import LogLine, NodeName
from meshtop.monitor import Collecting, Monitor, Probing, RawTap, Sink, burst_terms
from meshtop.transport.base import Transport


def watch(config: MeshConfig, record: Path | None = None, only: Collection[NodeName] | None = None) -> Monitor:
    """A monitor of the mesh that this file describes. ``record``: a new file for all that comes; a usage error if it
    cannot be made. ``only``: connect to these nodes and no others, and send no pings from this machine."""

    async def connect(sink: Sink, clock: Clock, raw_tap: RawTap) -> tuple[Collecting, Probing | None]:
        await asyncio.to_thread(_read_the_heavy_ones, config)
        from meshtop.collect.collector import Collector
        from meshtop.collect.prober import OperatorProber

        transports = _transports(config)
        if only is not None:
            transports = {name: transport for name, transport in transports.items() if name in only}
        left_out, ways = unpinged(config.mesh)
        if left_out:
            text = f"so large a mesh is pinged in part: {left_out} of its {ways} links are judged by TCP alone"
            sink(LogLine(at=clock.now(), node=None, level="info", text=text))
        collector = Collector(config.mesh, transports, sink, clock, raw_tap)
        return collector, OperatorProber(config.mesh, sink, clock) if only is None else None

    here = [name for name, target in config.targets.items() if target == LOCAL]
    monitor = Monitor(config.mesh, connect, burst=burst_terms(config.burst, here))
    if record is not None:
        try:
            monitor.record(record)
        except OSError as error:
            raise click.UsageError(f"--record: {record}: {error.strerror or error}") from None
    return monitor


def transports_of(config: MeshConfig) -> dict[NodeName, Transport]:
    """How each node is reached, for what asks them without watching them. Reads asyncssh where it is needed."""
    return _transports(config)


def _read_the_heavy_ones(config: MeshConfig) -> None:
    importlib.import_module("meshtop.collect.collector")
    if set(config.targets.values()) != {LOCAL}:
        importlib.import_module("meshtop.transport.ssh")


def _transports(config: MeshConfig) -> dict[NodeName, Transport]:
    from meshtop.transport.local import LocalTransport
    from meshtop.transport.ssh import SshTransport
    from meshtop.transport.ssh_config import SshOptions

    options = SshOptions(
        config=None if config.ssh.config is None else (config.ssh.config,),
        known_hosts=config.ssh.known_hosts,
        connect_timeout_s=config.ssh.connect_timeout_s,
    )
    return {
        name: LocalTransport() if target == LOCAL else SshTransport(target, options)
        for name, target in config.targets.items()
    }
