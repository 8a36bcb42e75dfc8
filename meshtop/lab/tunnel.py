"""A user-space VPN of the lab: packets of a TUN interface inside UDP, or inside one or several TCP connections.

It has the traits of such tunnels in the field that decide how TCP fares inside them (docs/lab.md says which and why):
a hub that all clients connect to, a frame given to the connection that was least often late (so one connection carries
all until the kernel takes no more of it, and what follows overtakes what waits there), small ICMP and ToS-marked frames
on a connection of their own, and a bounded queue that is thrown away whole, and silently, when it is full.

    python -m meshtop.lab.tunnel hub    --tun vpn0 --inner 10.10.10.1 --at 198.18.0.1:443 --kind striped:8
    python -m meshtop.lab.tunnel client --tun vpn0 --inner 10.10.10.5 --at 198.18.0.1:443 --kind striped:8

Prints ``ready`` once it listens (hub) or every connection is up (client), and ends with its standard input. With
``--ready-fd N`` it writes ``+`` there instead and runs until it is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import ipaddress
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from meshtop.lab.striping import Kind, Striper, parse_kind

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

_LENGTH = struct.Struct("!H")
_HELLO = struct.Struct("!4s4sBB")  # magic, inner IPv4 address, number of this connection, of how many
_HELLO_MAGIC = b"mtun"
_RETRY_S = 1.0
_UDP_HELLO_S = 1.0
_READ_BATCH = 64


class _Connection:
    """One TCP connection: length-prefixed packets each way."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._in = bytearray()
        self._out = bytearray()

    @property
    def waiting(self) -> int:
        return len(self._out)

    def queue(self, packet: bytes) -> None:
        self._out += _LENGTH.pack(len(packet)) + packet

    def flush(self) -> bool:
        """Whether the kernel took all. Raises OSError when the connection is gone."""
        while self._out:
            try:
                sent = self.sock.send(self._out)
            except BlockingIOError:
                return False
            del self._out[:sent]
        return True

    def packets(self) -> list[bytes]:
        """What has arrived. Raises OSError at the end of the stream."""
        data = self.sock.recv(262144)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "closed by peer")
        self._in += data
        found, at = [], 0
        while len(self._in) - at >= 2:
            (length,) = _LENGTH.unpack_from(self._in, at)
            if len(self._in) - at - 2 < length:
                break
            found.append(bytes(self._in[at + 2 : at + 2 + length]))
            at += 2 + length
        del self._in[:at]
        return found


class _Peer:
    """The other side of a tunnel: its inner address and the ways to it."""

    def __init__(self, inner: bytes, connections: int) -> None:
        self.inner = inner
        self.striper = Striper(connections)
        self.ways: list[_Connection | None] = [None] * connections
        self.udp: tuple[str, int] | None = None


def open_tun(name: str) -> int:
    """A non-blocking file descriptor of a new (or waiting) TUN interface in this network namespace."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return fd


class Tunnel:
    """The loop of one end. The hub knows a peer for each client, a client knows the hub alone."""

    def __init__(
        self,
        role: Literal["hub", "client"],
        tun: int,
        inner: str,
        at: tuple[str, int],
        kind: Kind,
        ready_fd: int | None = None,
    ) -> None:
        self._hub = role == "hub"
        self._ready_fd = ready_fd
        self._tun = tun
        self._inner = ipaddress.IPv4Address(inner).packed
        self._at = at
        self._kind = kind
        self._selector = selectors.DefaultSelector()
        self._peers: dict[bytes, _Peer] = {}
        self._udp: socket.socket | None = None
        self._dialling: dict[socket.socket, int] = {}
        self._retry_at: dict[int, float] = {}
        self._udp_hello_at = 0.0
        self._ready_said = False

    def run(self) -> None:
        """Until standard input ends, or for ever where there is a descriptor to say ``ready`` on."""
        if self._ready_fd is None:
            self._selector.register(sys.stdin, selectors.EVENT_READ, None)
        self._selector.register(self._tun, selectors.EVENT_READ, self._from_tun)
        self._start()
        while True:
            for key, events in self._selector.select(self._patience()):
                if key.data is None:
                    return
                key.data(*((key.fileobj, events) if isinstance(key.fileobj, socket.socket) else ()))
            self._dial()

    # ── beginning, and beginning again ──

    def _start(self) -> None:
        if self._kind.transport == "udp":
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._udp.setblocking(False)
            if self._hub:
                self._udp.bind(self._at)
            else:
                self._peers[b""] = peer = _Peer(b"", 1)
                peer.udp = self._at
            self._selector.register(self._udp, selectors.EVENT_READ, self._from_udp)
            self._say_ready()
        elif self._hub:
            listener = socket.create_server(self._at, backlog=64)
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, self._accept)
            self._say_ready()
        else:
            self._peers[b""] = _Peer(b"", self._kind.connections)
            self._retry_at = dict.fromkeys(range(self._kind.connections), 0.0)
        self._dial()

    def _patience(self) -> float | None:
        due = [*self._retry_at.values()]
        if self._udp is not None and not self._hub:
            due.append(self._udp_hello_at)
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _dial(self) -> None:
        now = time.monotonic()
        if self._udp is not None and not self._hub and now >= self._udp_hello_at:
            self._udp_hello_at = now + _UDP_HELLO_S
            self._send_udp(_HELLO.pack(_HELLO_MAGIC, self._inner, 0, 1), self._at)
        for number in [number for number, at in self._retry_at.items() if at <= now]:
            del self._retry_at[number]
            sock = _tcp_socket()
            self._dialling[sock] = number
            sock.connect_ex(self._at)
            self._selector.register(sock, selectors.EVENT_WRITE, self._dialled)

    def _dialled(self, sock: socket.socket, _events: int) -> None:
        self._selector.unregister(sock)
        number = self._dialling.pop(sock)
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            sock.close()
            self._retry_at[number] = time.monotonic() + _RETRY_S
            return
        hub = self._peers[b""]
        way = _Connection(sock)
        way.queue(_HELLO.pack(_HELLO_MAGIC, self._inner, number, self._kind.connections))
        self._take_up(hub, number, way)
        if all(way is not None for way in hub.ways):
            self._say_ready()

    def _accept(self, listener: socket.socket, _events: int) -> None:
        sock, _ = listener.accept()
        _tune(sock)
        way = _Connection(sock)
        self._selector.register(sock, selectors.EVENT_READ, lambda _sock, _events: self._greeted(way))

    def _greeted(self, way: _Connection) -> None:
        """The first packet on an accepted connection says whose it is."""
        try:
            packets = way.packets()
        except BlockingIOError:
            return
        except OSError:
            packets = [b""]
        if not packets:
            return
        self._selector.unregister(way.sock)
        if len(packets[0]) != _HELLO.size or not packets[0].startswith(_HELLO_MAGIC):
            way.sock.close()
            return
        _, inner, number, count = _HELLO.unpack(packets[0])
        peer = self._peers.get(inner)
        if peer is None or len(peer.ways) != count:
            peer = self._peers[inner] = _Peer(inner, count)
        self._take_up(peer, number, way)
        for packet in packets[1:]:
            self._arrived(packet)

    def _take_up(self, peer: _Peer, number: int, way: _Connection) -> None:
        old = peer.ways[number]
        if old is not None:
            self._drop(peer, number, old)
        peer.ways[number] = way
        self._selector.register(
            way.sock, selectors.EVENT_READ, lambda _sock, events: self._on_connection(peer, number, way, events)
        )
        self._pump(peer)

    def _drop(self, peer: _Peer, number: int, way: _Connection) -> None:
        self._selector.unregister(way.sock)
        way.sock.close()
        peer.ways[number] = None
        if not self._hub:
            self._retry_at[number] = time.monotonic() + _RETRY_S

    def _say_ready(self) -> None:
        if not self._ready_said:
            self._ready_said = True
            if self._ready_fd is None:
                print("ready", flush=True)
                return
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(self._ready_fd, b"+")
            os.close(self._ready_fd)

    # ── packets ──

    def _from_tun(self) -> None:
        touched: dict[int, _Peer] = {}
        for _ in range(_READ_BATCH):
            try:
                packet = os.read(self._tun, 65536)
            except BlockingIOError:
                break
            peer = self._route(packet)
            if peer is not None:
                self._send(peer, packet)
                touched[id(peer)] = peer
        for peer in touched.values():
            self._pump(peer)

    def _route(self, packet: bytes) -> _Peer | None:
        if not self._hub:
            return self._peers[b""]
        return self._peers.get(packet[16:20])

    def _arrived(self, packet: bytes) -> None:
        """A packet from the other side: ours, or (at the hub) for another client."""
        if len(packet) < 20 or packet[0] >> 4 != 4:
            return
        if self._hub and packet[16:20] != self._inner:
            peer = self._peers.get(packet[16:20])
            if peer is not None:
                self._send(peer, packet)
                self._pump(peer)
            return
        try:
            os.write(self._tun, packet)
        except OSError as error:
            # the interface is down or its queue full: lost, as on any wire
            if error.errno not in (errno.EIO, errno.ENOBUFS, errno.EAGAIN, errno.EINVAL):
                raise

    def _send(self, peer: _Peer, packet: bytes) -> None:
        if self._udp is not None:
            if peer.udp is not None:
                self._send_udp(packet, peer.udp)
        else:
            peer.striper.put(packet)

    def _send_udp(self, data: bytes, to: tuple[str, int]) -> None:
        assert self._udp is not None  # noqa: S101  # only called where it is
        try:
            self._udp.sendto(data, to)
        except OSError as error:
            # no buffer, no route or an ICMP error about an earlier one: a datagram is lost
            if error.errno not in (
                errno.EAGAIN,
                errno.ENOBUFS,
                errno.ENETUNREACH,
                errno.EHOSTUNREACH,
                errno.ECONNREFUSED,
                errno.EMSGSIZE,
            ):
                raise

    def _from_udp(self, sock: socket.socket, _events: int) -> None:
        for _ in range(_READ_BATCH):
            try:
                data, sender = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                continue
            if len(data) == _HELLO.size and data.startswith(_HELLO_MAGIC):
                inner = _HELLO.unpack(data)[1]
                self._peers.setdefault(inner, _Peer(inner, 1)).udp = sender
            else:
                self._arrived(data)

    def _on_connection(self, peer: _Peer, number: int, way: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                for packet in way.packets():
                    self._arrived(packet)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer, number, way)
            return
        if events & selectors.EVENT_WRITE:
            self._pump(peer)

    def _pump(self, peer: _Peer) -> None:
        """Moves packets from the queue to connections with room, and from those to the kernel."""
        moved = True
        while moved:
            moved = False
            waiting = [None if way is None else way.waiting for way in peer.ways]
            while (chosen := peer.striper.take(waiting)) is not None:
                number, packet = chosen
                way = peer.ways[number]
                assert way is not None  # noqa: S101  # take() only names those that are up
                way.queue(packet)
                waiting[number] = way.waiting
                moved = True
            for number, way in enumerate(peer.ways):
                if way is None or not way.waiting:
                    continue
                before = way.waiting
                try:
                    if not way.flush():
                        peer.striper.was_late(number)
                except OSError:
                    self._drop(peer, number, way)
                    continue
                moved = moved and way.waiting < before
        self._watch(peer)

    def _watch(self, peer: _Peer) -> None:
        for way in peer.ways:
            if way is None:
                continue
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if way.waiting else 0)
            key = self._selector.get_key(way.sock)
            if key.events != wanted:
                self._selector.modify(way.sock, wanted, key.data)


def _tcp_socket() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    _tune(sock)
    return sock


def _tune(sock: socket.socket) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="meshtop.lab.tunnel", description=__doc__)
    parser.add_argument("role", choices=("hub", "client"))
    parser.add_argument("--tun", required=True)
    parser.add_argument("--inner", required=True)
    parser.add_argument("--at", required=True)
    parser.add_argument("--kind", required=True, type=parse_kind)
    parser.add_argument("--ready-fd", type=int)
    options = parser.parse_args(arguments)
    host, _, port = options.at.rpartition(":")
    # so that ss -p on the node shows what it would in the field
    Path("/proc/self/comm").write_text("vpnserver" if options.role == "hub" else "vpnclient", encoding="ascii")
    tun = open_tun(options.tun)
    Tunnel(options.role, tun, options.inner, (host, int(port)), options.kind, options.ready_fd).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
