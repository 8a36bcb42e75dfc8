"""ICMP echo with the kernel's own receive times, on icmplib's sockets.

icmplib takes its times in user space, after the event loop got round to it; SO_TIMESTAMPNS (socket(7); Linux
``Documentation/networking/timestamping.rst``) has the kernel stamp each packet as it comes in, whatever this process is
doing. icmplib offers no way to read that stamp, so this module reads the socket itself and uses one private method,
``_parse_reply``; the version is pinned for its sake.

Without privileges Linux gives ping sockets (icmp(7), ``ping_group_range``), on which the kernel writes the identifier
and hands over only the replies to it. As root the fallback is a raw socket, which sees every ICMP packet of the
machine; a filter set here lets only echo replies through. In both, a reply counts only if it carries our identifier and
payload.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from typing import Literal, NamedTuple

import icmplib

Family = Literal[4, 6]

PAYLOAD_BYTES = 56  # what ping sends, so that the tunnels' rules for small packets apply alike
READ_LIMIT = 64  # messages for one wake-up: the event loop belongs to others too
STEP_S = 0.005  # the wall clock moved more than any slewing does within the longest wait (500 ppm of 10 s)

# Linux numbers that Python 3.11 has no names for: asm-generic/socket.h, linux/icmp.h, linux/icmpv6.h
SO_TIMESTAMPNS = 35
SOL_RAW = 255
ICMP_FILTER = 1
SOL_ICMPV6 = 58
ICMPV6_FILTER = 1
ECHO_REPLY = {4: 0, 6: 129}
_TIMESPEC = struct.Struct("@ll")


class NotAllowed(Exception):
    """This user may open neither a ping socket nor a raw one."""


class Unavailable(Exception):
    """The machine has no such socket (IPv6 switched off), or a packet could not be sent. ``errno`` says why."""

    def __init__(self, number: int | None, text: str) -> None:
        super().__init__(text)
        self.errno = number


class Sent(NamedTuple):
    """When a request was handed to the kernel, by both clocks, in seconds."""

    wall_s: float
    monotonic_s: float


class Reply(NamedTuple):
    """An echo reply to one of ours. ``wall_s`` is the kernel's time of arrival, ``read`` when this process saw it."""

    source: str
    sequence: int
    wall_s: float
    read: Sent


def now() -> Sent:
    return Sent(time.time(), time.monotonic())


def round_trip_ms(sent: Sent, reply: Reply) -> float:
    """By the wall clock that the kernel stamps with; by the monotonic one, later by our own slowness, if the wall clock
    was set in between."""
    stepped = (reply.read.wall_s - reply.read.monotonic_s) - (sent.wall_s - sent.monotonic_s)
    if abs(stepped) > STEP_S:
        return (reply.read.monotonic_s - sent.monotonic_s) * 1000
    return max(0.0, reply.wall_s - sent.wall_s) * 1000


class EchoSocket:
    """One non-blocking socket that pings any number of addresses of one family.

    Raises NotAllowed or Unavailable when it cannot be had.
    """

    def __init__(self, family: Family) -> None:
        self.family: Family = family
        self._echo = _open(family)
        self._token = os.urandom(16)
        self._id = int.from_bytes(os.urandom(2), "big")  # the kernel replaces it on a ping socket
        sock: socket.socket = self._echo.sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if self._echo.is_privileged:
            _let_only_replies_through(sock, family)

    def fileno(self) -> int:
        return int(self._echo.sock.fileno())

    @property
    def privileged(self) -> bool:
        """A raw socket, because ping sockets are not allowed to this user."""
        return bool(self._echo.is_privileged)

    def send(self, address: str, sequence: int) -> Sent:
        """Send one echo request. ``address`` is numeric. Raises Unavailable with the kernel's errno."""
        request = icmplib.ICMPRequest(address, self._id, sequence, payload=self._payload(sequence))
        before = time.monotonic()
        try:
            self._echo.send(request)
        except icmplib.ICMPLibError as error:
            cause = error.__context__  # icmplib turns the OSError into text; the number is only here
            number = cause.errno if isinstance(cause, OSError) else None
            raise Unavailable(number, os.strerror(number) if number else str(error)) from None
        self._id = request.id
        return Sent(request.time, before)

    def receive(self) -> list[Reply]:
        """All replies to our requests that are waiting, at most READ_LIMIT. Never blocks, never raises."""
        replies = []
        for _ in range(READ_LIMIT):
            try:
                packet, ancillary, _, source = self._echo.sock.recvmsg(2048, 128)
            except OSError:  # nothing more, or an error of an earlier packet: reading it has cleared it
                break
            read = now()
            # Private: the pinned icmplib 3.0.4. None for anything that is no ICMP message of this family.
            message = self._echo._parse_reply(packet, source[0], read.wall_s)
            if message is None or message.type != ECHO_REPLY[self.family] or message.id != self._id:
                continue
            if not packet.endswith(self._payload(message.sequence)):
                continue
            replies.append(Reply(source[0].partition("%")[0], message.sequence, _stamp(ancillary, read.wall_s), read))
        return replies

    def close(self) -> None:
        self._echo.close()

    def _payload(self, sequence: int) -> bytes:
        head = self._token + sequence.to_bytes(2, "big")
        return head + bytes(PAYLOAD_BYTES - len(head))


def _open(family: Family) -> icmplib.ICMPv4Socket | icmplib.ICMPv6Socket:
    kind = icmplib.ICMPv4Socket if family == 4 else icmplib.ICMPv6Socket
    for privileged in (False, True):
        try:
            return kind(privileged=privileged)
        except icmplib.SocketPermissionError:
            continue
        except icmplib.ICMPLibError as error:
            cause = error.__context__
            raise Unavailable(cause.errno if isinstance(cause, OSError) else None, str(error)) from None
    raise NotAllowed


def _let_only_replies_through(sock: socket.socket, family: Family) -> None:
    """A set bit blocks that type: linux/icmp.h ``struct icmp_filter``, RFC 3542 section 3.2 for IPv6."""
    if family == 4:
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("@I", 0xFFFFFFFF & ~(1 << ECHO_REPLY[4])))
        return
    words = [0xFFFFFFFF] * 8
    words[ECHO_REPLY[6] >> 5] &= ~(1 << (ECHO_REPLY[6] & 31))
    sock.setsockopt(SOL_ICMPV6, ICMPV6_FILTER, struct.pack("@8I", *words))


def _stamp(ancillary: list[tuple[int, int, bytes]], otherwise: float) -> float:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack(data)
            return float(seconds + nanoseconds / 1e9)
    return otherwise


NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EINVAL})
FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})
BUSY = frozenset({errno.EAGAIN, errno.ENOBUFS})
