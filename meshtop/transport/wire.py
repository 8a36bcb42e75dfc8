"""What the operator's kernel knows of a TCP connection: getsockopt(TCP_INFO).

``struct tcp_info``: include/uapi/linux/tcp.h; the fields read here have had their places since Linux 4.2.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

from meshtop.transport.base import WireStats

_UP_TO_SEGS_IN = 144
_OPTIONS = struct.Struct("=5xB")  # tcpi_options
_RTT_US = struct.Struct("=68xI")
_BYTES_RECEIVED_SEGS_IN = struct.Struct("=128xQ4xI")
_TCPI_OPT_TIMESTAMPS = 1
_TCP_HEADER = 20
_TIMESTAMP_OPTION = 12  # padded (RFC 7323, appendix A)
_IP_HEADER = {socket.AF_INET: 20, socket.AF_INET6: 40}


class _Socket(Protocol):
    @property
    def family(self) -> int: ...
    def getsockopt(self, level: int, optname: int, buflen: int) -> bytes: ...


def wire_stats(sock: _Socket) -> WireStats:
    """Of a connected TCP socket; empty where the kernel does not tell. Retransmitted duplicates that arrived count as
    headers only, since ``tcpi_bytes_received`` holds each byte once."""
    header = _IP_HEADER.get(socket.AddressFamily(sock.family))
    option = getattr(socket, "TCP_INFO", None)
    if header is None or option is None:
        return WireStats()
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, option, _UP_TO_SEGS_IN)
    except OSError:
        return WireStats()
    if len(info) < _UP_TO_SEGS_IN:
        return WireStats()
    (options,) = _OPTIONS.unpack_from(info)
    (rtt_us,) = _RTT_US.unpack_from(info)
    received, segments = _BYTES_RECEIVED_SEGS_IN.unpack_from(info)
    header += _TCP_HEADER + (_TIMESTAMP_OPTION if options & _TCPI_OPT_TIMESTAMPS else 0)
    return WireStats(rtt_ms=rtt_us / 1000 if rtt_us else None, rx_wire_bytes=received + segments * header)
