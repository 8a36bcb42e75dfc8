"""A TCP connection to a host by name, and what to say when there is none.

The addresses of a name are raced in the manner of RFC 8305 ("Happy Eyeballs"): an IPv6 address that swallows packets
must not cost a node that is fine on IPv4. Errors: connect(2), getaddrinfo(3).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar, cast

from meshtop.transport.base import FaultKind, TransportFault

# RFC 8305, section 5: the recommended delay between attempts.
_NEXT_ADDRESS_S = 0.25
_UNREACHABLE = {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}

_Answer = TypeVar("_Answer")
_Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]]


async def dial(host: str, port: int, timeout_s: float, family: int = 0, bind: str | None = None) -> socket.socket:
    """A connected, non-blocking socket. Raises TransportFault."""
    try:
        async with asyncio.timeout(timeout_s):
            addresses = await _resolve(host, port, family)
            return await _race(host, port, addresses, bind)
    except TimeoutError as exc:
        raise TransportFault(
            "timed-out",
            f"{_where(host, port)} gave no answer within {timeout_s:g} s",
            "is the node up, and does a firewall let this port through?",
        ) from exc


def _where(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _resolve(host: str, port: int, family: int) -> Sequence[_Address]:
    try:
        found = await _beside_the_loop(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
    except (socket.gaierror, UnicodeError) as exc:
        temporary = isinstance(exc, socket.gaierror) and exc.errno == socket.EAI_AGAIN
        why = "the name server does not answer" if temporary else "the name is not known"
        cure = f"check the name, or give ssh_config a HostName for {host}"
        raise TransportFault("unknown-host", f"cannot resolve {host}: {why}", cure) from exc
    return _interleaved(found)  # type: ignore[arg-type]  # typeshed is vaguer about the last field


async def _beside_the_loop(ask: Callable[[], _Answer]) -> _Answer:
    """In a thread that the program's end does not wait for: a resolver without a name server may take half a minute,
    and asyncio's own threads would keep a quitting program that long."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_Answer] = loop.create_future()

    def deliver(result: _Answer | None, fault: Exception | None) -> None:
        if answer.cancelled():
            return
        if fault is not None:
            answer.set_exception(fault)
        else:
            answer.set_result(cast(_Answer, result))

    def work() -> None:
        result, fault = None, None
        try:
            result = ask()
        except Exception as exc:  # handed on to who waits
            fault = exc
        with contextlib.suppress(RuntimeError):  # the loop has been closed in the meantime
            loop.call_soon_threadsafe(deliver, result, fault)

    threading.Thread(target=work, name="resolver", daemon=True).start()
    return await answer


def _interleaved(addresses: Iterable[_Address]) -> list[_Address]:
    """Families by turns, the resolver's first one first (RFC 8305, section 4)."""
    by_family: dict[int, list[_Address]] = {}
    for address in addresses:
        by_family.setdefault(address[0], []).append(address)
    longest = max(map(len, by_family.values()), default=0)
    return [same[turn] for turn in range(longest) for same in by_family.values() if turn < len(same)]


async def _race(host: str, port: int, addresses: Sequence[_Address], bind: str | None) -> socket.socket:
    tasks = {
        asyncio.create_task(_attempt(address, place * _NEXT_ADDRESS_S, bind)) for place, address in enumerate(addresses)
    }
    waiting = set(tasks)
    faults: list[OSError] = []
    winner: socket.socket | None = None
    try:
        while waiting and winner is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                outcome = task.result()
                if isinstance(outcome, OSError):
                    faults.append(outcome)
                elif winner is None:
                    winner = outcome
    finally:
        for task in tasks:
            task.cancel()
        for late in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(late, socket.socket) and late is not winner:
                late.close()
    if winner is None:
        raise connect_fault(host, port, faults)
    return winner


async def _attempt(address: _Address, delay_s: float, bind: str | None) -> socket.socket | OSError:
    await asyncio.sleep(delay_s)
    family, kind, protocol, _, sockaddr = address
    try:
        sock = socket.socket(family, kind, protocol)
    except OSError as exc:  # a family that this kernel does not have
        return exc
    try:
        sock.setblocking(False)
        if bind is not None:
            sock.bind((bind, 0))
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except OSError as exc:
        sock.close()
        return exc
    except BaseException:
        sock.close()
        raise
    return sock


def connect_fault(host: str, port: int, faults: Sequence[OSError]) -> TransportFault:
    """The most telling of what the addresses of a host answered: a refusal says that the machine is there."""
    where = _where(host, port)
    codes = {fault.errno for fault in faults}
    if errno.ECONNREFUSED in codes or errno.ECONNRESET in codes:
        return TransportFault("refused", f"{where} refuses connections", "is sshd running there, and is it this port?")
    # TimeoutError(ETIMEDOUT) comes from the kernel's own patience; asyncio's TimeoutError, the same class, has no errno
    # and never gets here.
    if errno.ETIMEDOUT in codes:
        cure = "is the node up, and does a firewall let this port through?"
        return TransportFault("timed-out", f"{where} gave no answer", cure)
    kind: FaultKind = "unreachable"
    if codes & _UNREACHABLE:
        return TransportFault(kind, f"no route to {where}", "check this machine's network and routes")
    said = "; ".join(sorted({fault.strerror or str(fault) for fault in faults})) or "the name has no address"
    return TransportFault(kind, f"cannot connect to {where}: {said}", "check this machine's network")
