"""The scenarios' traffic over loopback: uploads arrive whole, through the proxy too, paces are kept, all of it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from meshtop.lab.registry import cpu_seconds

PORT = 39810
_SND_WND = 228  # of struct tcp_info, include/uapi/linux/tcp.h: what the other end offers


@contextmanager
def serving(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshtop.lab.traffic", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.communicate(timeout=10)
    assert process.returncode == 0


def client(*arguments: str) -> tuple[int, list[dict[str, object]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "meshtop.lab.traffic", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [json.loads(line) for line in process.stdout]
    process.communicate(timeout=20)
    return process.returncode, lines


def test_a_push_goes_through_the_proxy_chunk_by_chunk() -> None:
    store, proxy = f"127.0.0.1:{PORT}", f"127.0.0.1:{PORT + 1}"
    with serving("store", "--bind", store), serving("proxy", "--bind", proxy, "--to", store):
        status, lines = client("push", "--to", proxy, "--chunk", "1M", "--bytes", "3M")
    assert status == 0
    assert [(line["bytes"], line["status"]) for line in lines] == [(1 << 20, 201)] * 3


def test_a_slow_store_holds_the_push_back() -> None:
    store = f"127.0.0.1:{PORT + 2}"
    with serving("store", "--bind", store, "--rate", "40M"):
        _, slow = client("push", "--to", store, "--chunk", "10M", "--bytes", "10M")
    with serving("store", "--bind", store):
        _, fast = client("push", "--to", store, "--chunk", "10M", "--bytes", "10M")
    # 10 MiB at 40 Mbit/s are 2.1 s, less what fits the socket buffers
    assert float(str(slow[0]["seconds"])) > 4 * float(str(fast[0]["seconds"]))


def test_a_small_window_of_a_store_holds_what_it_accepts() -> None:
    store = f"127.0.0.1:{PORT + 7}"
    offered = []
    for options in ((), ("--window", "16k")):
        with (
            serving("store", "--bind", store, *options),
            socket.create_connection(("127.0.0.1", PORT + 7)) as connection,
        ):
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            offered.append(int.from_bytes(told[_SND_WND : _SND_WND + 4], sys.byteorder))
    assert 0 < offered[1] < 20_000 < offered[0]


def test_a_store_that_compresses_needs_far_more_cpu() -> None:
    store = f"127.0.0.1:{PORT + 6}"
    used = []
    for options in ((), ("--compress", "6")):
        with serving("store", "--bind", store, *options) as process:
            before = cpu_seconds(process.pid)
            status, _ = client("push", "--to", store, "--chunk", "10M", "--bytes", "20M")
            after = cpu_seconds(process.pid)
        assert (status, before is not None, after is not None) == (0, True, True)
        used.append((after or 0.0) - (before or 0.0))
    assert used[1] > 3 * used[0]


def test_a_copy_keeps_its_rate_and_ends_by_its_size() -> None:
    store = f"127.0.0.1:{PORT + 3}"
    with serving("store", "--bind", store):
        status, lines = client("copy", "--to", store, "--bytes", "1M", "--rate", "8M")
    assert status == 0
    assert [line["bytes"] for line in lines] == [1 << 20]
    assert float(str(lines[0]["seconds"])) > 0.8


def test_chatter_ends_by_its_time() -> None:
    store = f"127.0.0.1:{PORT + 4}"
    with serving("store", "--bind", store):
        status, lines = client("chatter", "--to", store, "--every", "50ms", "--for", "1s")
    assert status == 0
    assert 5 < len(lines) <= 21
    assert not any("error" in line for line in lines)


def test_an_upload_that_hangs_ends_when_its_input_does() -> None:
    """The store reads next to nothing, so the client sits in send() when it is told to stop."""
    store = f"127.0.0.1:{PORT + 5}"
    with serving("store", "--bind", store, "--rate", "1k"):
        process = subprocess.Popen(
            [sys.executable, "-m", "meshtop.lab.traffic", "copy", "--to", store], stdin=subprocess.PIPE
        )
        process.communicate(timeout=10)
        assert process.returncode == 0
