"""Who owns which socket."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshtop.parse.ss import parse_processes
from meshtop.readings import Process

HEAD = "ESTAB 0 0 10.0.0.1:1 10.0.0.2:2"


def test_a_real_node(captured: Callable[[str], str]) -> None:
    processes, failed = parse_processes(captured("ss/namespace-6.1-processes.txt"))
    assert failed == 0
    owners = {inode: {p.pid for p in processes if p.inode == inode} for inode in {p.inode for p in processes}}
    assert owners[28378] == {13963, 13922}  # with a timer behind the owners
    assert owners[28388] == {13963}  # with a uid
    assert owners[28385] == {13922}
    assert len(owners) == 16
    assert {process.name for process in processes} == {"python3"}


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ('users:(("sshd",pid=1,fd=3)) ino:7 sk:5', [(7, 1, "sshd")]),
        ('users:(("a",pid=1,fd=3),("b",pid=2,fd=4)) timer:(on,1ms,0) uid:33 ino:7 sk:5', [(7, 1, "a"), (7, 2, "b")]),
        ('users:(("a",pid=1,fd=3),("a",pid=1,fd=9)) ino:7 sk:5', [(7, 1, "a")]),
        ('users:(("my app",pid=1,fd=3)) ino:7 sk:5 cgroup:/ <->', [(7, 1, "my app")]),
        ('users:(("x)) ino:9 sk:1",pid=1,fd=3)) ino:7 sk:5', [(7, 1, "x)) ino:9 sk:1")]),
        ('users:(("q\\"u",pid=1,fd=3)) ino:7 sk:5', [(7, 1, 'q\\"u')]),
        ('users:(("\x1b[31mred",pid=1,fd=3)) ino:7 sk:5', [(7, 1, "red")]),
        ("ino:7 sk:5 cgroup:/", []),
    ],
)
def test_names_that_look_like_fields(rest: str, expected: list[tuple[int, int, str]]) -> None:
    processes, failed = parse_processes(f"{HEAD} {rest}\n")
    assert failed == 0
    assert processes == tuple(Process(inode=inode, pid=pid, name=name) for inode, pid, name in expected)


def test_what_is_not_understood_is_counted() -> None:
    text = f"{HEAD} users:((broken ino:7 sk:5\n{HEAD}\nState Recv-Q Send-Q\n\nss: nothing\n{'x' * 70_000}\n"
    assert parse_processes(text) == ((), 4)
