"""``ss -tinmoe``: one TCP socket a line (``-O``), or two lines before iproute2 5.2.

Read for it: iproute2 ``misc/ss.c`` (``inet_stats_print``, ``tcp_timer_print``, ``sock_details_print``,
``tcp_stats_print``, ``print_skmeminfo``), ``include/uapi/linux/tcp.h`` (``struct tcp_info``), ss(8).

Every field is optional and may stand anywhere behind the addresses; what is not known is named in
``SocketReading.unknown``. Two quirks of ss need no version to be read rightly:

* Before iproute2 6.11 a timer of 1 to 9 s prints as ``1.052ms`` and means 1.052 s; from 6.11 on it prints as
  ``1.052sec``. The kernel gives whole milliseconds, so a fraction of one cannot be meant: both forms are seconds.
* Rates print as whole bit/s under ``-n`` of newer releases, else as ``1.2Gbps``, with K, M, G, T of 1000.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import msgspec

from meshtop.parse.errors import ParseError
from meshtop.parse.ss_fields import supported_fields
from meshtop.parse.ss_processes import parse_processes
from meshtop.parse.text import clean
from meshtop.readings import SocketId, SocketMemory, SocketReading, Timer

__all__ = ["parse_processes", "parse_socket", "parse_ss", "supported_fields"]

_STATE_NAMES = (
    "ESTAB SYN-SENT SYN-RECV FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT UNCONN CLOSE-WAIT LAST-ACK LISTEN CLOSING UNKNOWN "
    "NEW-SYN-RECV BOUND-INACTIVE"
)
_COUNT_NAMES = (  # the same in SocketReading
    "uid backoff mss pmtu rcvmss advmss cwnd ssthresh snd_wnd rcv_wnd rcv_space rcv_ssthresh reordering unacked sacked "
    "lost notsent bytes_sent bytes_retrans bytes_acked bytes_received segs_out segs_in data_segs_out data_segs_in "
    "dsack_dups reord_seen rcv_ooopack delivered rehash"
)
_IGNORED_NAMES = (  # understood, and of no use here: bare words, and keys with a value
    "ts sack ecn ecnseen fastopen fastopen_child usec_ts bidir "
    "wscale qack fackets delivered_ce mem fwmark opt md5keys flags token seq sfseq ssnoff maplen "
    "tos tclass class_id priority v6only"
)
_ALGORITHM_NAMES = (
    "reno cubic bbr bbr2 bbr3 bic cdg dctcp dctcp-reno highspeed htcp hybla illinois lp nv prague scalable vegas veno "
    "westwood yeah"
)

STATES = frozenset(_STATE_NAMES.split())
# A real line is some 700 characters and may hold one cgroup path (PATH_MAX 4096); what is longer is not from ss.
MAX_LINE = 8192
MAX_UNKNOWN = 16  # names kept of one line
MAX_HEAD = 512  # state, queues and two addresses with scopes need less than half of it

# ss's spelling → SocketReading's
_COUNTS = {
    **{name: name for name in _COUNT_NAMES.split()},
    "lastsnd": "lastsnd_ms",
    "lastrcv": "lastrcv_ms",
    "lastack": "lastack_ms",
    "ino": "inode",
}
_DECIMALS = {"rto": "rto_ms", "ato": "ato_ms", "minrtt": "minrtt_ms", "rcv_rtt": "rcv_rtt_ms"}
_RATES = {"pacing_rate": "pacing_rate_bps", "delivery_rate": "delivery_rate_bps"}
_MEMORY = {
    "r": "rmem_alloc",
    "rb": "rcvbuf",
    "t": "wmem_alloc",
    "tb": "sndbuf",
    "f": "fwd_alloc",
    "w": "wmem_queued",
    "o": "optmem",
    "bl": "backlog",
    "d": "drops",
}
_SHUTDOWN = frozenset(("<->", "-->", "<--", "---"))
_IGNORED = _SHUTDOWN | frozenset(_IGNORED_NAMES.split())
_TLS_KEYS = ("version", "cipher", "rxconf", "txconf")  # "version: 1.3": the value is the next word
_ALGORITHMS = frozenset(_ALGORITHM_NAMES.split())

_COUNT_DIGITS = 19  # keeps every count within 64 bits
_DECIMAL = r"\d{1,12}(?:\.\d{1,12})?(?:e[+-]0\d)?"  # as %g prints it
_ONE_DECIMAL = re.compile(_DECIMAL, re.ASCII)
_ALL_DECIMALS = re.compile(f"(?:{_DECIMAL} )*", re.ASCII)
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?(?:e\+0\d)?)([KMGTkmgt]?)bps(?:/\S*)?", re.ASCII)
_RATE_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_TIMER = re.compile(
    r"\(([a-zA-Z0-9_]{1,16}),(?:(\d{1,9})min)?(?:(\d{1,9})(?:\.(\d{3}))?(sec|ms))?,(\d{1,9})\)", re.ASCII
)
_MEMORY_LIST = re.compile(r"\([a-z]{1,8}\d{1,10}(?:,[a-z]{1,8}\d{1,10}){0,15}\)", re.ASCII)
_MEMORY_ITEM = re.compile(r"([a-z]+)(\d+)", re.ASCII)
_COOKIE = re.compile(r"[0-9a-f]{1,16}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,15}", re.ASCII)
_QUEUE = re.compile(r"-?\d{1,10}", re.ASCII)
_HEAD = re.compile(r"\s*(?:[A-Z0-9-]+\s+)?\d+\s+\d+\s+\S+:\S+\s+\S+:", re.ASCII)
_HEADER = re.compile(r"\s*(?:Netid\s+)?(?:State\s+)?Recv-Q\s+Send-Q\s", re.ASCII)


def parse_ss(text: str, *, default_state: str = "ESTAB") -> tuple[tuple[SocketReading, ...], int]:
    """All sockets of an output of ss, with or without its header, and the number of lines not understood.

    A socket's second line begins with white space and no queue lengths; it is joined to the first. ``default_state``
    stands where ss was asked for one state only and drops the column.
    """
    readings: list[SocketReading] = []
    failed = 0
    for line in _joined(text):
        try:
            readings.append(parse_socket(line, default_state=default_state))
        except ParseError:
            failed += 1
    return tuple(readings), failed


def parse_socket(line: str, *, default_state: str = "ESTAB") -> SocketReading:
    """One socket; two-line output may be given as it is, with the line end in it. Raises ParseError alone.

    None of a LISTEN socket's ``unacked`` and ``sacked`` is given: there tcp_info holds the accept queue
    (net/ipv4/tcp.c, ``tcp_get_info``).
    """
    if len(line) > MAX_LINE and len(line := line.rstrip()) > MAX_LINE:  # -O pads every line to the longest
        raise ParseError(f"a line of {len(line)} characters is not from ss")
    if not line.isascii():
        line = line.encode("ascii", "replace").decode("ascii")
    tokens = line.split()
    start = 0
    if tokens and tokens[0] == "tcp":  # the Netid column, when ss was asked for more than TCP
        start = 1
    state = default_state
    if len(tokens) > start and tokens[start] in STATES:
        state = tokens[start]
        start += 1
    try:
        local, local_port = _endpoint(tokens[start + 2])
        peer, peer_port = _endpoint(tokens[start + 3])
    except (IndexError, ValueError):
        raise ParseError(f"not a socket of ss: {clean(line, 80)}") from None
    fields = _Fields({}, {}, {}, [])
    _scan(iter(tokens[start + 4 :]), fields)
    fields.counts["recv_q"], fields.counts["send_q"] = tokens[start], tokens[start + 1]
    fields.others["id"] = SocketId(local, local_port, peer, peer_port, fields.others.pop("cookie", None))
    fields.others["state"] = state
    if state == "LISTEN":
        fields.counts.pop("unacked", None)
        fields.counts.pop("sacked", None)
    try:
        return _reading(fields)
    except msgspec.ValidationError:
        _drop_damaged(fields)
    try:
        return _reading(fields)
    except msgspec.ValidationError:
        raise ParseError(f"not a socket of ss: {clean(line, 80)}") from None


class _Fields(NamedTuple):
    """What a line holds, by SocketReading's names: numbers still as text, everything else as its value."""

    counts: dict[str, str]
    decimals: dict[str, str]
    others: dict[str, Any]
    unknown: list[str]


def _reading(fields: _Fields) -> SocketReading:
    """Raises ValidationError for anything that is no number where one must be. msgspec makes numbers of the text and
    fills the struct in a third of the time that int() and keyword arguments take."""
    counts, decimals, others, unknown = fields
    if not "".join(counts.values()).isdecimal() or max(map(len, counts.values())) > _COUNT_DIGITS:
        raise msgspec.ValidationError
    if decimals and not _ALL_DECIMALS.fullmatch(" ".join(decimals.values()) + " "):
        raise msgspec.ValidationError
    if unknown:
        others["unknown"] = tuple(dict.fromkeys(clean(name, 32) for name in unknown[:MAX_UNKNOWN]))
    return msgspec.convert({**others, **counts, **decimals}, SocketReading, strict=False)


def _drop_damaged(fields: _Fields) -> None:
    for name, value in list(fields.counts.items()):
        if not (value.isdecimal() and len(value) <= _COUNT_DIGITS):
            del fields.counts[name]
            fields.unknown.append(name)
        else:
            fields.counts[name] = str(int(value))  # leading zeros
    for name, value in list(fields.decimals.items()):
        if not _ONE_DECIMAL.fullmatch(value):
            del fields.decimals[name]
            fields.unknown.append(name)


def _scan(rest: Iterator[str], fields: _Fields) -> None:
    """The hot loop: some 40 words a socket."""
    counts, decimals, _, unknown = fields
    words: list[str] = []
    for token in rest:
        key, _, value = token.partition(":")
        if key in _COUNTS:
            counts[_COUNTS[key]] = value
        elif key in _IGNORED:
            continue
        elif key in _DECIMALS:
            decimals[_DECIMALS[key]] = value
        elif key in _READERS:
            if not _READERS[key](key, value, rest, fields):
                unknown.append(key)
        elif value or token.endswith(":"):
            unknown.append(key)
        else:
            words.append(key)
    if words:
        _read_words(words, fields)


def _read_words(words: list[str], fields: _Fields) -> None:
    """The congestion control algorithm stands alone. One that is not known (they are modules) is the first bare word
    that no one else claims."""
    words = [word for word in words if not word.startswith("tcp-ulp-")]  # TLS or MPTCP on top
    chosen: str | None = fields.others.get("congestion")
    if chosen is None:
        known = next((word for word in words if word in _ALGORITHMS), None)
        chosen = known or next((word for word in words if _NAME.fullmatch(word)), None)
    if chosen:
        fields.others["congestion"] = chosen
    fields.unknown.extend(word for word in words if word != chosen)


Reader = Callable[[str, str, Iterator[str], _Fields], bool]


def _read_rtt(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    fields.decimals["srtt_ms"], _, variance = value.partition("/")
    if variance:
        fields.decimals["rttvar_ms"] = variance
    return True


def _read_retrans(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    fields.counts["retrans"], _, fields.counts["retrans_total"] = value.partition("/")
    return True


def _read_busy(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    fields.counts[f"{key}_ms"] = value.partition("ms")[0]  # the share in brackets follows from the two times
    return True


def _read_rate(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    value = value or next(rest, "")
    digits = value.removesuffix("bps")
    if digits.isdecimal():
        fields.counts[_RATES[key]] = digits
        return True
    rate = _RATE.fullmatch(value)
    if rate:
        fields.others[_RATES[key]] = round(float(rate[1]) * _RATE_FACTORS[rate[2].lower()])
    return rate is not None


def _skip_users(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    """Of ``-p``; a process name may hold blanks. See :func:`parse_processes`."""
    while not value.endswith("))"):
        word = next(rest, None)
        if word is None:
            return False
        value = word
    return True


def _skip_next(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    return bool(value or next(rest, ""))


def _read_algorithm(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    """``bbr`` is the algorithm, ``bbr:(bw:…)`` what it knows of itself."""
    if not value:
        fields.others["congestion"] = key
    return True


def _read_app_limited(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    fields.others["app_limited"] = True
    return not value


def _read_timer(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    timer = _TIMER.fullmatch(value)
    if timer is None:
        return False
    kind, minutes, whole, fraction, unit, retransmits = timer.groups()
    expires_ms = 60_000 * int(minutes or 0)
    if fraction is not None:
        expires_ms += 1000 * int(whole) + int(fraction)
    elif whole is not None:
        expires_ms += int(whole) * (1 if unit == "ms" else 1000)
    fields.others["timer"] = Timer(kind=kind, expires_ms=float(expires_ms), retransmits=int(retransmits))
    return True


def _read_skmem(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    fields.others["skmem"] = memory = _memory(value)
    return memory is not None


@lru_cache(maxsize=1024)  # idle sockets repeat theirs every tick
def _memory(value: str) -> SocketMemory | None:
    if not _MEMORY_LIST.fullmatch(value):
        return None
    items = {_MEMORY[key]: number for key, number in _MEMORY_ITEM.findall(value) if key in _MEMORY}
    return msgspec.convert(items, SocketMemory, strict=False)


def _read_cookie(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    if not _COOKIE.fullmatch(value):
        return False
    fields.others["cookie"] = value if value != "0" else None
    return True


def _read_cgroup(key: str, value: str, rest: Iterator[str], fields: _Fields) -> bool:
    """A path may hold blanks, and so anything that looks like a field. Where the sign of the shutdown state ends it, as
    it does with ``-e``, all before the sign belongs to the path."""
    following = next(rest, "")
    if following not in _SHUTDOWN:
        words = [following, *rest]
        end = next((at for at, word in enumerate(words) if word in _SHUTDOWN), 0)
        path_end = end - 1 if end and words[end - 1].startswith("v6only:") else end
        value = " ".join([value, *words[:path_end]])
        _scan(iter(words[path_end:]), fields)
    fields.others["cgroup"] = _clean_path(value)
    return True


@lru_cache(maxsize=256)
def _clean_path(path: str) -> str:
    return clean(path, 256)


_READERS: dict[str, Reader] = {
    "rtt": _read_rtt,
    "retrans": _read_retrans,
    "busy": _read_busy,
    "rwnd_limited": _read_busy,
    "sndbuf_limited": _read_busy,
    "pacing_rate": _read_rate,
    "delivery_rate": _read_rate,
    "send": _skip_next,
    "users": _skip_users,
    "app_limited": _read_app_limited,
    "bbr": _read_algorithm,
    "dctcp": _read_algorithm,
    "timer": _read_timer,
    "skmem": _read_skmem,
    "sk": _read_cookie,
    "cgroup": _read_cgroup,
    **dict.fromkeys(_TLS_KEYS, _skip_next),
}


@lru_cache(maxsize=8192)
def _endpoint(text: str) -> tuple[str, int]:
    """``1.2.3.4:80``, ``[::1]%lo:80``, ``*:*`` … as canonical address and port (``*`` is 0). Raises ValueError."""
    address, _, port = text.rpartition(":")
    if port == "*":
        number = 0
    elif port.isdecimal() and len(port) <= 5:
        number = int(port)
    else:
        raise ValueError(text)
    host = address.partition("%")[0].removeprefix("[").removesuffix("]")
    if host == "*":  # a listener on both families
        return "::", number
    if ":" not in host:
        return str(IPv4Address(host)), number
    six = IPv6Address(host)
    return str(six.ipv4_mapped or six), number


def _joined(text: str) -> Iterator[str]:
    """Logical lines: headers and blank lines left out, continuations joined."""
    pending = ""
    for line in text.split("\n"):
        if not line.strip():
            continue
        if line[0] in " \t" and pending and not _HEAD.match(line, 0, MAX_HEAD):
            pending = f"{pending} {line}" if len(pending) <= MAX_LINE else pending
            continue
        if pending:
            yield pending
        pending = "" if _HEADER.match(line) else line
    if pending:
        yield pending
