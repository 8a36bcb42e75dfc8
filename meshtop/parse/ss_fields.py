"""When an absent field of ss means zero.

ss prints most fields only when they are not zero, so an absent one is *zero or not supported*. Which of the two follows
from the release of iproute2 (it must print the field) and from the kernel (it must fill it; ss reads what an older
``struct tcp_info`` lacks as zero). Sources: the history of iproute2 ``misc/ss.c`` and of ``include/uapi/linux/tcp.h``.
"""

from __future__ import annotations

import re
from functools import lru_cache

Release = tuple[int, int]

# (fields, first iproute2 that prints them, first kernel that fills them). Where the exact iproute2 release is in doubt
# the later one stands: a field wrongly taken as unsupported is shown as unknown, the other mistake as a false zero.
_SINCE: tuple[tuple[str, Release, Release], ...] = (
    # uid 0 is not printed; both ends have had the rest since well before 4.1.
    ("uid backoff unacked sacked lost retrans retrans_total lastsnd_ms lastrcv_ms lastack_ms", (4, 1), (2, 6)),
    ("bytes_acked bytes_received", (4, 1), (4, 1)),
    ("segs_out segs_in", (4, 2), (4, 2)),
    ("data_segs_out data_segs_in notsent", (4, 6), (4, 6)),
    ("delivery_rate_bps app_limited", (4, 10), (4, 9)),
    ("busy_ms rwnd_limited_ms sndbuf_limited_ms", (4, 10), (4, 10)),
    ("delivered", (4, 20), (4, 18)),
    ("bytes_sent bytes_retrans dsack_dups reord_seen", (4, 20), (4, 19)),
    # "ss: display advertised TCP receive window and out-of-order counter", March 2022; kernel fields of September 2019
    ("rcv_ooopack snd_wnd", (5, 18), (5, 4)),
    # "ss: add support for rcv_wnd and rehash", October 2023: "added in linux-6.2"
    ("rcv_wnd rehash", (6, 7), (6, 2)),
)
_RELEASE = re.compile(r"\D{0,16}(\d{1,4})\.(\d{1,4})", re.ASCII)


@lru_cache(maxsize=64)
def supported_fields(ss_version: str | None, kernel: str | None) -> frozenset[str]:
    """Names of the fields of SocketReading for which None means 0 (``app_limited``: False) on that node.

    ``ss_version`` as :func:`meshtop.parse.versions.parse_ss_version` gives it, ``kernel`` as ``uname -r`` does. With
    either unknown the set is empty: nothing is then taken for zero. LISTEN and TIME-WAIT sockets have no tcp_info of
    this kind; the set is for sockets that carry data.
    """
    ss, linux = _release(ss_version), _release(kernel)
    if ss is None or linux is None:
        return frozenset()
    return frozenset(
        name
        for names, since_ss, since_linux in _SINCE
        if ss >= since_ss and linux >= since_linux
        for name in names.split()
    )


def _release(version: str | None) -> Release | None:
    found = _RELEASE.match(version) if version else None
    return (int(found[1]), int(found[2])) if found else None
