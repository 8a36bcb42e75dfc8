"""Captures what passes an interface, with the kernel's time stamps, into a pcap file that Wireshark opens too.

``python -m meshtop.lab.capture INTERFACE FILE`` prints ``ready`` once it listens, and ends when its standard input
does. AF_PACKET with SO_TIMESTAMPNS: packet(7), socket(7). File: pcap with nanosecond time stamps and
LINKTYPE_LINUX_SLL, whose first field tells outgoing packets from incoming ones (www.tcpdump.org/linktypes.html).
"""

from __future__ import annotations

import selectors
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from meshtop.lab.segments import Packet

SNAP_BYTES = 128  # IPv6 and TCP headers with all options
_MAGIC_NS = 0xA1B23C4D
_LINKTYPE_LINUX_SLL = 113
_FILE_HEAD = struct.Struct("<IHHiIII")
_RECORD_HEAD = struct.Struct("<IIII")
_SLL = struct.Struct("!HHH8sH")
_OUTGOING = 4  # PACKET_OUTGOING, linux/if_packet.h
_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_SO_RCVBUFFORCE = 33
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_TIMESPEC = struct.Struct("@qq")
# A burst of full-size packets at 100 Mbit/s for over two seconds while this process is not scheduled.
_RECEIVE_BUFFER_BYTES = 32 << 20


class CaptureError(Exception):
    """The capture could not start or lost packets; the text says which."""


class Capture:
    """A capture in a process of its own, for example in a network namespace: ``enter`` is what the command line
    begins with, such as ``("ip", "netns", "exec", NAME)``. Listens when ``__enter__`` returns; the file is whole when
    ``__exit__`` does."""

    def __init__(self, interface: str, file: Path, enter: Sequence[str] = ()) -> None:
        self.file = file
        self._command = [*enter, sys.executable, "-m", "meshtop.lab.capture", interface, str(file)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Capture:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None  # noqa: S101  # it was asked for
        if self._process.stdout.readline() != "ready\n":
            _, error = self._process.communicate()
            raise CaptureError(error.strip() or "the capture ended before it began")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None  # noqa: S101  # entered
        _, complaint = self._process.communicate()
        if kind is None and self._process.returncode:
            raise CaptureError(complaint.strip())


def read_pcap(file: Path) -> Iterator[Packet]:
    """The packets of a file that this module wrote, in order. Raises CaptureError for any other."""
    with file.open("rb") as stream:
        head = stream.read(_FILE_HEAD.size)
        if len(head) < _FILE_HEAD.size:
            raise CaptureError(f"{file}: not a capture")
        magic, _, _, _, _, _, link = _FILE_HEAD.unpack(head)
        if magic != _MAGIC_NS or link != _LINKTYPE_LINUX_SLL:
            raise CaptureError(f"{file}: not a capture with nanoseconds and LINUX_SLL")
        while len(record := stream.read(_RECORD_HEAD.size)) == _RECORD_HEAD.size:
            seconds, nanoseconds, length, _ = _RECORD_HEAD.unpack(record)
            data = stream.read(length)
            if len(data) < length:
                return
            (kind,) = struct.unpack_from("!H", data)
            yield Packet(seconds + nanoseconds / 1e9, kind == _OUTGOING, data[_SLL.size :])


def _write(file: BinaryIO, stamp: bytes, kind: int, protocol: int, data: bytes, whole: int) -> None:
    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
    file.write(_RECORD_HEAD.pack(seconds, nanoseconds, _SLL.size + len(data), _SLL.size + whole))
    file.write(_SLL.pack(kind, 0xFFFE, 0, b"", protocol))  # ARPHRD_NONE
    file.write(data)


def capture(interface: str, file: Path) -> int:
    """Runs until standard input ends. Returns how many packets the kernel dropped for want of room."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as listener, file.open("wb") as stream:
        listener.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        listener.bind((interface, _ETH_P_ALL))
        listener.setblocking(False)
        stream.write(_FILE_HEAD.pack(_MAGIC_NS, 2, 4, 0, 0, SNAP_BYTES, _LINKTYPE_LINUX_SLL))
        print("ready", flush=True)
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            running = True
            while running:
                running = all(key.fileobj is not sys.stdin for key, _ in selector.select())
                _drain(listener, stream)
        _, drops = struct.unpack("II", listener.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(drops)


def _drain(listener: socket.socket, stream: BinaryIO) -> None:
    while True:
        try:
            data, ancillary, _, address = listener.recvmsg(SNAP_BYTES, 64, socket.MSG_TRUNC)
        except BlockingIOError:
            return
        stamps = [value for level, kind, value in ancillary if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)]
        if not stamps:
            continue
        whole = int.from_bytes(data[2:4], "big") if data[:1] and data[0] >> 4 == 4 else len(data)
        _write(stream, stamps[0], address[2], address[1], data, max(whole, len(data)))


def main(arguments: Sequence[str]) -> int:
    interface, file = arguments
    drops = capture(interface, Path(file))
    if drops:
        print(f"{drops} packets were lost by the capture on {interface}", file=sys.stderr)
    return 1 if drops else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
