"""A raw frame with other names in it (docs/frames.md): still a frame, that says the same of other names.

A frame tells changes to rows that came before. So the rows are kept twice, as they were and as they are told; a change
is told as it was where it has the same effect on the latter, and else the whole row is. What is not known to be
harmless is replaced: of each table it is known what its words may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from meshtop.parse.errors import ParseError
from meshtop.parse.framing import END, split_frame
from meshtop.parse.rows import Rows, edited
from meshtop.report.names import Names

_ROW = re.compile(r"([a-z])([0-9a-z_]{1,20})([-= ])(.*)", re.DOTALL)
_TOLD = re.compile(r"[SU][0-9]{1,9}")
# What ss prints of a socket beside its addresses and its cgroup: figures, and the words of the kernel and of ss.
_RUNS = (
    "on|keepalive|timewait|persist|unknown|ms|min|sec|bps|[KMGT]bps|r|rb|t|tb|f|w|o|bl|d|e"
    "|bw|mrtt|pacing_gain|cwnd_gain"
)
_SS_FIGURE = re.compile(
    rf"(?:[a-z][a-z_0-9]{{0,20}}:)?(?:[0-9.,/%()<>+:-]|(?<![A-Za-z_])(?:{_RUNS})(?![A-Za-z_]))*", re.ASCII
)
_SS_WORD = re.compile(
    r"ts|sack|ecn|ecnseen|fastopen|app_limited|usec_ts|bidir|send|pacing_rate|delivery_rate|max_pacing_rate"
    r"|reno|cubic|bbr[23]?|bic|cdg|dctcp|dctcp-reno|highspeed|htcp|hybla|illinois|lp|nv|prague|scalable|vegas|veno"
    r"|westwood|yeah|<->|-->|<--|---|[A-Z][A-Z0-9-]{3,17}",
    re.ASCII,
)
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,16}", re.ASCII)
_COUNTERS = re.compile(r"[A-Za-z][A-Za-z0-9]{1,31}:|[A-Z][A-Za-z0-9]{1,31}|-?[0-9]{1,20}|[0-9a-f]{8}", re.ASCII)
_PLAIN_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?", re.ASCII)
_COUNT = re.compile(r"[a-z_]{1,16}:[0-9]{1,20}|rate:[0-9.]{1,12}[A-Za-z]{3,5}", re.ASCII)
_QDISC = re.compile(r"[a-z][a-z0-9_]{1,15}/(?:root|[0-9a-f]{0,4}:[0-9a-f]{0,4})", re.ASCII)
_OWNER = re.compile(r"\(\"(.{0,64}?)\",pid=(\d{1,10}),fd=(\d{1,10})\)(?=,\(\"|\)|$)", re.ASCII)
_HIDDEN = "x"
_GONE = ParseError("a frame that builds on one that could not be told")

Words = list[str]


class FrameRedactor:
    """Of one connection. Frames must come in their order."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._rows, self._told = Rows(), _Told()
        self._broken = True  # until a whole frame comes
        self._by_table: dict[str, Callable[[str, Words], Words]] = {
            "s": self._socket,
            "m": _counters,
            "t": _counters,
            "f": _counters,
            "d": self._device,
            "g": self._ping_target,
            "p": self._ping_line,
            "q": self._owners,
            "i": self._node_info,
            "x": self._problem,
        }

    def told(self, raw: bytes) -> bytes:
        """The frame in other names. Raises ParseError for one that cannot be understood, and for those that build on
        it."""
        header, body = split_frame(raw)
        if header.key:
            self._rows.clear()
            self._told.clear()
            self._broken = False
        if self._broken:
            raise _GONE
        try:
            lines = [self._line(line) for line in body.decode("utf-8", "replace").split("\n")[:-1]]
        except ParseError:
            self._broken = True
            raise
        new = "".join(f"{line}\n" for line in lines).encode()
        words = raw[: raw.find(b"\n")].decode("ascii").split(" ")
        words[1], words[-1] = self._names.boot(words[1]), str(len(new))
        return " ".join(words).encode() + b"\n" + new + END

    def _line(self, line: str) -> str:
        match = _ROW.fullmatch(line)
        change = self._rows.apply(line) if match is not None else None
        if match is None or change is None:
            return line if _TOLD.fullmatch(line) else "U1"
        table, row, sign, text = match.groups()
        if change.words is None:
            self._told.drop(table, row)
            return line
        new = self._by_table.get(table, _nothing)(row, change.words)
        return self._told.tell(table, row, new, text if sign == " " else None)

    # ── tables ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _socket(self, _: str, words: Words) -> Words:
        names = self._names
        at = next((place for place, word in enumerate(words) if _looks_like_endpoint(words, place)), None)
        if at is None:
            return [_HIDDEN]
        new = [self._socket_word(word) for word in words[:at]]
        new += [names.endpoint(word) for word in words[at : at + 2]]
        rest = words[at + 2 :]
        place = 0
        while place < len(rest):
            word = rest[place]
            if word.startswith("cgroup:"):
                end = place + 1
                while end < len(rest) and not _is_end_of_cgroup(rest[end]):
                    end += 1
                new.append(f"cgroup:{names.cgroup(' '.join(rest[place:end])[7:])}")
                place = end
                continue
            new.append(self._socket_word(word))
            place += 1
        return new

    def _socket_word(self, word: str) -> str:
        key, _, value = word.partition(":")
        if key == "uid":
            return f"uid:{self._names.user(value)}" if value.isdecimal() else _HIDDEN
        if key == "sk":
            return word if _HEXADECIMAL.fullmatch(value) else _HIDDEN
        return word if _SS_FIGURE.fullmatch(word) or _SS_WORD.fullmatch(word) else _HIDDEN

    def _device(self, _: str, words: Words) -> Words:
        """``eth0: 1 2 3`` or ``eth0:1 2 3``, and two lines of headings."""
        if any("|" in word for word in words):
            return words
        name, colon, first = words[0].rpartition(":") if words else ("", "", "")
        if not colon:
            return [_HIDDEN]
        numbers = [word if word.isdecimal() else _HIDDEN for word in words[1:]]
        return [f"{self._names.interface(name)}:{first if first.isdecimal() else ''}", *numbers]

    def _ping_target(self, _: str, words: Words) -> Words:
        return [self._names.address(words[0]), *map(_number, words[1:])] if words else words

    def _ping_line(self, _: str, words: Words) -> Words:
        return [_number(word) for word in words[:1]] + self._names.text(" ".join(words[1:])).split()

    def _owners(self, _: str, words: Words) -> Words:
        text = " ".join(words)
        inode = re.search(r" ino:(\d{1,10}) sk:", text)
        owners = ",".join(
            f'("{self._names.process(name)}",pid={pid},fd={fd})' for name, pid, fd in _OWNER.findall(text)
        )
        told = f"users:({owners})" if owners else ""
        return f"{told} ino:{inode[1]} sk:".split() if inode is not None else []

    def _problem(self, _: str, words: Words) -> Words:
        return self._names.text(" ".join(words)).split()

    def _node_info(self, row: str, words: Words) -> Words:
        text = " ".join(words)
        match row:
            case "kernel":
                return _found(r"[0-9]+(?:\.[0-9]+)+(?:-[0-9]+)?", text)
            case "uid":
                return [self._names.user(word) for word in words if word.isdecimal()]
            case "ss":
                return _found(r"ss utility, iproute2-[a-z0-9.]*[0-9]", text) or _found(
                    r"iproute2-[a-z0-9.]*[0-9]", text
                )
            case "iperf3":
                return _found(r"iperf 3\.[0-9.]+", text)
            case "ping":
                return _found(r"ping from iputils [a-z0-9-]*[0-9]+|BusyBox v[0-9.]+", text) or _found(
                    r"iputils[- ][a-z]*[0-9]+", text
                )
            case "addresses":
                return [self._interface_address(word) for word in words]
            case "ssh":
                return [
                    self._names.address(word) if place % 2 == 0 else _number(word) for place, word in enumerate(words)
                ]
            case "host":
                return [word if _COUNT.fullmatch(word) else _HIDDEN for word in words]
            case "qdisc":
                why = words[:1] == ["!"]
                return self._problem(row, words) if why else [self._qdisc_word(word) for word in words]
            case _:
                return [word if _PLAIN_NUMBER.fullmatch(word) or word == "-" else _HIDDEN for word in words]

    def _qdisc_word(self, word: str) -> str:
        """``DEVICE/KIND/PARENT``, or what is told of it."""
        device, _, rest = word.partition("/")
        if _QDISC.fullmatch(rest):
            return f"{self._names.interface(device)}/{rest}"
        return word if word == "-" or _COUNT.fullmatch(word) else _HIDDEN

    def _interface_address(self, word: str) -> str:
        interface, _, address = word.rpartition("=")
        address, slash, length = address.partition("/")
        address, percent, scope = address.partition("%")
        told = f"{self._names.interface(interface)}={self._names.address(address)}"
        return told + (f"%{self._names.interface(scope)}" if percent else "") + (f"/{_number(length)}" if slash else "")


class _Told:
    """The rows as they were told."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Words] = {}

    def clear(self) -> None:
        self._rows.clear()

    def drop(self, table: str, row: str) -> None:
        self._rows.pop((table, row), None)

    def tell(self, table: str, row: str, new: Words, change: str | None) -> str:
        """A line that makes ``new`` of the row. ``change`` is the one that made the real row what it is."""
        old = self._rows.get((table, row))
        self._rows[table, row] = new
        whole = f"{table}{row}={' '.join(new)}"
        if old is None or change is None:
            return whole
        try:
            fits = edited(old, change) == new  # then all text in it is of ``new``, which is harmless
        except ParseError:
            fits = False
        return f"{table}{row} {change}" if fits else whole


def _looks_like_endpoint(words: Words, place: int) -> bool:
    """After state and two queue lengths; a state may be left out."""
    return place >= 2 and words[place - 1].lstrip("-").isdecimal() and words[place - 2].lstrip("-").isdecimal()


def _is_end_of_cgroup(word: str) -> bool:
    return word in ("<->", "-->", "<--", "---")


def _counters(_: str, words: Words) -> Words:
    return [word if _COUNTERS.fullmatch(word) else _HIDDEN for word in words]


def _nothing(_: str, words: Words) -> Words:
    return [_HIDDEN for _ in words]


def _number(word: str) -> str:
    return word if _PLAIN_NUMBER.fullmatch(word) else "0"


def _found(pattern: str, text: str) -> Words:
    match = re.search(pattern, text)
    return match[0].split() if match is not None else []
