"""TCP connections by name: the addresses raced, the faults told apart."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from meshtop.transport.base import TransportFault
from meshtop.transport.dial import connect_fault, dial

_TCP = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose backlog is full: further SYNs are dropped, as behind a firewall."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        address = deaf.getsockname()
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        yield address[1]
        for filler in fillers:
            filler.close()


def _resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: tuple[object, ...]) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: list(answers))


async def test_a_listener_is_reached(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    with await dial(host, port, 1.0) as sock:
        assert sock.getpeername() == (host, port)
        assert not sock.getblocking()


async def test_nobody_there_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(TransportFault, match="refuses connections") as told:
        await dial("127.0.0.1", port, 1.0)
    assert told.value.kind == "refused"


async def test_no_answer_is_timed_out(deaf_port: int) -> None:
    with pytest.raises(TransportFault, match=r"no answer within 0.2 s") as told:
        await dial("127.0.0.1", deaf_port, 0.2)
    assert told.value.kind == "timed-out"


async def test_a_dead_first_address_does_not_cost_the_second(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket, deaf_port: int
) -> None:
    alive = listener.getsockname()
    _resolve_to(monkeypatch, (socket.AF_INET, *_TCP, ("127.0.0.1", deaf_port)), (socket.AF_INET, *_TCP, alive))
    with await dial("node", 22, 2.0) as sock:
        assert sock.getpeername() == alive


async def test_families_take_turns(monkeypatch: pytest.MonkeyPatch, listener: socket.socket, deaf_port: int) -> None:
    dead = (socket.AF_INET6, *_TCP, ("::ffff:127.0.0.1", deaf_port, 0, 0))
    # Five dead IPv6 addresses come first; one by one they would take longer than there is time.
    _resolve_to(monkeypatch, *[dead] * 5, (socket.AF_INET, *_TCP, listener.getsockname()))
    with await dial("node", 22, 0.8) as sock:
        assert sock.family == socket.AF_INET


@pytest.mark.parametrize(
    ("code", "words"), [(socket.EAI_NONAME, "is not known"), (socket.EAI_AGAIN, "name server does not answer")]
)
async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(code, "said the resolver")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(TransportFault, match=words) as told:
        await dial("node", 22, 1.0)
    assert told.value.kind == "unknown-host"


async def test_a_name_that_cannot_be_one() -> None:
    with pytest.raises(TransportFault) as told:
        await dial("a" * 80 + ".example", 22, 1.0)
    assert told.value.kind == "unknown-host"


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        ([errno.ECONNREFUSED], "refused"),
        ([errno.ENETUNREACH, errno.ECONNREFUSED], "refused"),
        ([errno.ETIMEDOUT], "timed-out"),
        ([errno.EHOSTUNREACH, errno.ENETUNREACH], "unreachable"),
        ([errno.EPERM], "unreachable"),
        ([], "unreachable"),
    ],
)
def test_the_most_telling_answer_counts(codes: list[int], kind: str) -> None:
    fault = connect_fault("2001:db8::1", 22, [OSError(code, "as the kernel says") for code in codes])
    assert fault.kind == kind
    assert "[2001:db8::1]:22" in fault.reason


def test_the_kernels_time_out_is_not_taken_for_asyncios() -> None:
    """Both are TimeoutError; the kernel's has a number."""
    fault = connect_fault("a", 22, [TimeoutError(errno.ETIMEDOUT, "Connection timed out")])
    assert fault.kind == "timed-out"
    assert "within" not in fault.reason


def test_a_resolver_that_hangs_does_not_keep_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()

    def hang(*_: object) -> list[object]:
        answered.wait()
        return []

    async def ask() -> None:
        with pytest.raises(TransportFault, match="no answer within"):
            await dial("node", 22, 0.1)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    asyncio.run(ask())  # at its end it waits for the threads of asyncio's own
    assert time.monotonic() - began < 1
    answered.set()


async def test_a_socket_won_too_late_is_closed(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    address = (socket.AF_INET, *_TCP, listener.getsockname())
    monkeypatch.setattr("meshtop.transport.dial._NEXT_ADDRESS_S", 0.0)
    _resolve_to(monkeypatch, *[address] * 4)
    opened: list[socket.socket] = []

    class Counted(socket.socket):
        def __init__(self, *args: int) -> None:
            super().__init__(*args)
            opened.append(self)

    monkeypatch.setattr(socket, "socket", Counted)
    winner = await dial("node", 22, 1.0)
    assert len(opened) == 4
    assert [sock for sock in opened if sock.fileno() != -1] == [winner]
    winner.close()
