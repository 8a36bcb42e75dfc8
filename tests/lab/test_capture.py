"""The capture against real TCP in a namespace of its own, its counts against those of the kernel."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshtop.lab.capture import Capture, CaptureError, read_pcap
from meshtop.lab.truth import check

NAMESPACE = "mtcapture"

EXCHANGE = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
for _ in range(50):
    client.sendall(b"x" * 1000)
    got = 0
    while got < 1000:
        got += len(peer.recv(4096))
client.close()
while peer.recv(4096):
    pass
print(50 * 1000)
"""


@pytest.fixture
def namespace() -> Iterator[tuple[str, ...]]:
    subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
    enter = ("ip", "netns", "exec", NAMESPACE)
    try:
        subprocess.run([*enter, "ip", "link", "set", "lo", "up"], check=True)
        yield enter
    finally:
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)


@pytest.mark.lab
def test_every_byte_of_a_real_connection_is_seen(namespace: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "lo.pcap"
    with Capture("lo", file, namespace):
        sent = subprocess.run([*namespace, sys.executable, "-c", EXCHANGE], check=True, capture_output=True, text=True)
    packets = list(read_pcap(file))
    assert [p.at for p in packets] == sorted(p.at for p in packets)
    (flow,) = check([p for p in packets if p.outgoing or is_from_server(p.data, packets[0].data)])
    assert flow.data_bytes == int(sent.stdout)
    assert flow.retransmitted_segments == 0


def is_from_server(data: bytes, syn: bytes) -> bool:
    """On loopback every packet is seen twice; of the incoming copies only the server's are ACKs to the client."""
    return data[20:22] == syn[22:24]


@pytest.mark.lab
def test_unknown_interface_is_an_error(namespace: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such device"), Capture("nothing0", tmp_path / "x", namespace):
        pass


def test_other_files_are_refused(tmp_path: Path) -> None:
    for content in (b"", b"x" * 100):
        file = tmp_path / "x"
        file.write_bytes(content)
        with pytest.raises(CaptureError, match="not a capture"):
            list(read_pcap(file))
