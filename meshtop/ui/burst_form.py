"""What the burst dialog holds, as it is typed, and the requests that it stands for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from meshtop import units
from meshtop.burst import BurstRecord, BurstRequest
from meshtop.engine.snapshot import LinkView
from meshtop.engine.view import View
from meshtop.model import Mesh, NodeName, PathName

BOTH = "both"  # no path can have that name
Direction = Literal["forward", "reverse", "both"]
Protocol = Literal["TCP", "UDP"]
# A flow that moves less does not notice a burst, nor is it noticed.
COMPETES_BPS = 50_000.0
_MOST_DIGITS = 6


class FormError(ValueError):
    """Something typed cannot be meant. ``field`` says where."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class BurstForm:
    """The texts are as they were typed; empty ones leave it to iperf3. ``size`` and ``time`` exclude each other."""

    src: NodeName = ""
    dst: NodeName = ""
    path: PathName = BOTH
    direction: Direction = "forward"
    protocol: Protocol = "TCP"
    streams: str = "8"
    size: str = "20M"
    time: str = ""
    rate: str = ""
    mss: str = ""
    congestion: str = ""

    def on_link(self, src: NodeName, dst: NodeName, path: PathName) -> BurstForm:
        return replace(self, src=src, dst=dst, path=path)

    def typed(self, field: str, text: str) -> BurstForm:
        """With ``text`` in ``field``: a size takes the place of a time, and the other way."""
        changes: dict[str, str] = {field: text}
        if text and field in ("size", "time"):
            changes["time" if field == "size" else "size"] = ""
        return replace(self, **changes)  # type: ignore[arg-type]  # fields that are typed are texts

    def paths(self, mesh: Mesh) -> tuple[PathName, ...]:
        """Which one after the other: an overlay before what is below it."""
        return tuple(path.name for path in mesh.paths) if self.path == BOTH else (self.path,)

    def requests(self, mesh: Mesh) -> tuple[BurstRequest, ...]:
        """What is to be sent. Raises FormError."""
        return tuple(self._request(path) for path in self.paths(mesh))

    def _request(self, path: PathName) -> BurstRequest:
        udp = self.protocol == "UDP"
        return BurstRequest(
            src=self.src,
            dst=self.dst,
            path=path,
            streams=_number("streams", self.streams, "8"),
            bytes=self._size(),
            seconds=self._seconds(),
            reverse=self.direction == "reverse",
            bidir=self.direction == "both",
            udp=udp,
            rate_bps=self._rate(),
            mss=_number("mss", self.mss, "1300") if self.mss and not udp else None,
            congestion=self.congestion or None if not udp else None,
        )

    def _size(self) -> int | None:
        if not self.size:
            if not self.time:
                raise FormError("size", "a burst needs a size such as 20M, or a time such as 10s")
            return None
        try:
            return units.parse_size(self.size)
        except ValueError as error:
            raise FormError("size", f"size: {error}") from None

    def _seconds(self) -> int | None:
        if not self.time:
            return None
        text = f"{self.time}s" if self.time.isdecimal() else self.time
        try:
            seconds = units.parse_duration(text)
        except ValueError as error:
            raise FormError("time", f"time: {error}") from None
        if seconds < 1 or seconds != int(seconds):
            raise FormError("time", f'time: "{self.time}" cannot be; write whole seconds such as 10s')
        return int(seconds)

    def _rate(self) -> int | None:
        if not self.rate:
            return None
        try:
            return units.parse_rate(self.rate)
        except ValueError as error:
            raise FormError("rate", f"cap: {error}") from None


def form_of(record: BurstRecord) -> BurstForm:
    """The dialog that would have asked for this burst."""
    asked = record.requested
    seconds, size = asked.get("seconds"), asked.get("bytes")
    return BurstForm(
        src=record.src,
        dst=record.dst,
        path=record.path,
        direction="reverse" if asked.get("reverse") else "both" if asked.get("bidir") else "forward",
        protocol="UDP" if asked.get("udp") else "TCP",
        streams=str(record.streams),
        size=units.spell_size(size) if size else "",
        time=f"{seconds}s" if seconds else "",
        rate=units.spell_rate(asked["rate_bps"]) if asked.get("rate_bps") else "",
        mss=str(asked.get("mss") or ""),
        congestion=asked.get("congestion") or "",
    )


def competing(view: View, form: BurstForm) -> list[LinkView]:
    """Links with traffic now that share the sender's or the receiver's line, the busiest first."""
    senders, receivers = {form.src}, {form.dst}
    if form.direction == "reverse":
        senders, receivers = receivers, senders
    elif form.direction == "both":
        senders = receivers = {form.src, form.dst}
    busy = [
        link
        for link in view.snapshot.links
        if (link.src in senders or link.dst in receivers) and (link.tx_bps or 0.0) >= COMPETES_BPS
    ]
    return sorted(busy, key=lambda link: -(link.tx_bps or 0.0))


def asked_words(record: BurstRecord) -> str:
    """What was asked for: ``8 × TCP 20M``, ``UDP 10s ≤1M reverse``."""
    asked: Mapping[str, object] = record.requested
    parts = [f"{record.streams} × {'UDP' if asked.get('udp') else 'TCP'}"]
    if isinstance(size := asked.get("bytes"), int):
        parts.append(units.spell_size(size) if size % 1024 == 0 else units.format_bytes(size))
    if isinstance(seconds := asked.get("seconds"), int):
        parts.append(f"{seconds}s")
    if isinstance(rate := asked.get("rate_bps"), int):
        parts.append(f"≤{units.format_rate(rate)}")
    if asked.get("mss"):
        parts.append(f"mss {asked['mss']}")
    if asked.get("congestion"):
        parts.append(str(asked["congestion"]))
    if asked.get("reverse") or asked.get("bidir"):
        parts.append("reverse" if asked.get("reverse") else "both ways")
    return " ".join(parts)


def _number(field: str, text: str, example: str) -> int:
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise FormError(field, f'{field}: "{text}" is not a number; write one such as {example}')
    return int(text)
