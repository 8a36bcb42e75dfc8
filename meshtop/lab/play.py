"""Plays a scenario on a lab that is up: its overlay, its traffic, its faults when they are due.

What it started is gone and what it broke is healed when it ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from meshtop.lab.faults import FaultError
from meshtop.lab.netns import LabError
from meshtop.lab.network import Lab
from meshtop.lab.scenario import SERVERS, Endpoint, FaultAt, Scenario, Traffic

READY_S = 15.0
STOP_S = 3.0

Tell = Callable[[str], None]


class TrafficError(Exception):
    """A process of the scenario's traffic did not start."""


@contextlib.asynccontextmanager
async def playing(lab: Lab, scenario: Scenario, tell: Tell = lambda _: None) -> AsyncIterator[None]:
    """The scenario runs from here on beside the caller. Raises TrafficError or LabError if it cannot begin.
    ``tell`` hears in words what happens when, and what failed."""
    await asyncio.to_thread(lab.set_overlay, scenario.overlay)
    processes: list[Process] = []
    faults: list[FaultAt] = []
    try:
        for each in scenario.traffic:
            if each.run in SERVERS:
                await _start(lab, each, processes)
        acts = [_said(_client(lab, each, processes, tell), tell) for each in _clients(scenario)]
        acts += [_said(_trouble(lab, each, faults, tell), tell) for each in scenario.faults]
        running = [asyncio.create_task(act) for act in acts]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    finally:
        await asyncio.gather(*(_stop(process) for process in processes))
        for fault in faults:
            await _said(asyncio.to_thread(lab.heal, fault.target, fault.kind, fault.path), tell)


async def _said(act: Coroutine[Any, Any, object], tell: Tell) -> None:
    """A part of the story that fails is said; the rest goes on."""
    try:
        await act
    except (LabError, FaultError, OSError) as error:
        tell(f"failed: {error}")


def _clients(scenario: Scenario) -> list[Traffic]:
    return [each for each in scenario.traffic if each.run not in SERVERS for _ in range(each.count)]


async def _client(lab: Lab, traffic: Traffic, processes: list[Process], tell: Tell) -> None:
    await asyncio.sleep(traffic.at_s)
    process = await _start(lab, traffic, processes)
    tell(f"{traffic.on}: {traffic.run} to {traffic.to.node if traffic.to else '?'} begins")
    if traffic.until_s is not None:
        await asyncio.sleep(traffic.until_s - traffic.at_s)
        await _stop(process)


async def _trouble(lab: Lab, fault: FaultAt, in_force: list[FaultAt], tell: Tell) -> None:
    await asyncio.sleep(fault.at_s)
    in_force.append(fault)
    await asyncio.to_thread(lab.fault, fault.target, fault.kind, fault.value, net=fault.path, one_way=fault.one_way)
    tell(f"{fault.target}: {fault.kind} {fault.value}".rstrip())
    if fault.until_s is not None:
        await asyncio.sleep(fault.until_s - fault.at_s)
        await asyncio.to_thread(lab.heal, fault.target, fault.kind, fault.path)
        in_force.remove(fault)
        tell(f"{fault.target}: {fault.kind} is over")


async def _start(lab: Lab, traffic: Traffic, processes: list[Process]) -> Process:
    """One more in ``processes``, so that it is stopped even if the wait for it is cut short. Raises TrafficError."""
    argv = [sys.executable, "-m", "meshtop.lab.traffic", traffic.run]
    for flag, endpoint in (("--bind", traffic.bind), ("--to", traffic.to)):
        if endpoint is not None:
            argv += [flag, _address(lab, endpoint)]
    for name, value in traffic.options:
        argv += [f"--{name}", value]
    server = traffic.run in SERVERS
    process = await asyncio.create_subprocess_exec(
        *lab.command(traffic.on, argv), stdin=PIPE, stdout=PIPE if server else DEVNULL, stderr=DEVNULL
    )
    processes.append(process)
    if server:
        assert process.stdout is not None  # noqa: S101  # asked for above
        try:
            line = await asyncio.wait_for(process.stdout.readline(), READY_S)
        except TimeoutError:
            line = b""
        if line != b"ready\n":
            raise TrafficError(f"{traffic.run} on {traffic.on} did not start")
    return process


def _address(lab: Lab, endpoint: Endpoint) -> str:
    return f"{lab.address(endpoint.path, endpoint.node)}:{endpoint.port}"


async def _stop(process: Process) -> None:
    """By the end of its standard input; by force if that does not help."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), STOP_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
            process.kill()
        await process.wait()
