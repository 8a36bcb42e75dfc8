"""The only parser and formatter of bit rates, byte sizes and durations.

As in iperf3 (``unit_atof_rate`` and ``unit_atof`` in its ``units.c``): rates are × 1000, sizes × 1024, prefixes in
either case, and what follows the prefix of a size is decoration, so that ``20M``, ``20MB`` and ``20MiB`` are all
20,971,520 bytes.

``parse_*`` reads what people type and raises ``ValueError`` with a text that says what to write instead. ``spell_*`` is
its exact inverse, the shortest text that parses back to the same value. ``format_*`` is for the screen: at most five
cells (``format_duration``: seven), rounded, and ``–`` for what is not known.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_HALF_EVEN, Decimal

UNKNOWN = "–"

_PREFIXES = ("", "k", "M", "G", "T")
_RATE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([kKmMgGtT]?)(?:bit/s|bits/s|bits?|bps|b/s|b)?", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(?:([kKmMgGtT])(?:i?B|bytes)?|B|bytes)?", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h|d)\s*", re.ASCII)
_MS_PER_UNIT = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "min": 60_000, "s": 1000, "ms": 1}
_LONGEST_TEXT = 40  # no sensible quantity is longer; bounds the work that a hostile text can cause


def parse_rate(text: str) -> int:
    """Bits per second: ``10M``, ``10Mbit/s``, ``1.5G``, ``500k``, ``9600``. Prefixes are × 1000."""
    found = _RATE.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        if re.search(r"\d\s*[kKmMgGtT]?i?B(/s|ps)?\s*$", text):
            raise ValueError(f"{_quoted(text)} is in bytes; write a bit rate such as 10M or 10Mbit/s")
        raise ValueError(f"{_quoted(text)} is not a bit rate; write 10M or 10Mbit/s")
    return _scaled(found[1], 1000 ** _power(found[2]))


def parse_size(text: str) -> int:
    """Bytes: ``20M`` = ``20MB`` = ``20MiB`` = 20,971,520, ``64k``, ``1500``, ``1.5G``. Prefixes are × 1024, always."""
    found = _SIZE.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
    if found is None:
        if re.search(r"\d\s*[kKmMgGtT]?b(its?)?\s*$", text):
            raise ValueError(f"{_quoted(text)} is in bits; write a size in bytes such as 20M or 512k")
        raise ValueError(f"{_quoted(text)} is not a size; write 20M, 512k or 1500")
    return _scaled(found[1], 1024 ** _power(found[2] or ""))


def parse_duration(text: str) -> float:
    """Seconds: ``200ms``, ``1s``, ``1.5s``, ``5m``, ``1h30m``, ``2d``; units from large to small, each once."""
    stripped = text.strip()
    total_ms = Decimal(0)
    position, last_unit_ms = 0, math.inf
    while position < len(stripped) <= _LONGEST_TEXT:
        part = _DURATION_PART.match(stripped, position)
        if part is None or _MS_PER_UNIT[part[2]] >= last_unit_ms:
            break
        last_unit_ms = _MS_PER_UNIT[part[2]]
        total_ms += Decimal(part[1]) * _MS_PER_UNIT[part[2]]
        position = part.end()
    if not stripped or position != len(stripped):
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", stripped, re.ASCII):
            raise ValueError(f"{_quoted(text)} has no unit; write {stripped}s or {stripped}ms")
        raise ValueError(f"{_quoted(text)} is not a duration; write 200ms, 1s, 5m or 1h30m")
    return float(total_ms / 1000)


def spell_rate(rate_bps: int) -> str:
    """The shortest text that :func:`parse_rate` reads as exactly this rate: 10000000 → ``10M``."""
    return _spelled(rate_bps, 1000)


def spell_size(size_bytes: int) -> str:
    """The shortest text that :func:`parse_size` reads as exactly this size: 20971520 → ``20M``."""
    return _spelled(size_bytes, 1024)


def spell_duration(duration_s: float) -> str:
    """The text that :func:`parse_duration` reads as this duration, to the millisecond: 5400 → ``1h30m``."""
    left = round(duration_s * 1000)
    if left < 0:
        raise ValueError("a duration is not negative")
    if left % 1000 and left < 10_000:
        return f"{left}ms"
    parts = []
    for unit in ("d", "h", "m"):
        count, left = divmod(left, _MS_PER_UNIT[unit])
        if count:
            parts.append(f"{count}{unit}")
    if left or not parts:
        parts.append(f"{left / 1000:g}s" if left % 1000 == 0 else f"{left / 1000:.3f}".rstrip("0") + "s")
    return "".join(parts)


def format_figure(value: float | str | None) -> str:
    """Of any unit, such as a piece of evidence: 0.597 → ``0.597``, 231423.0 → ``231,423``, a word as it is."""
    if value is None or isinstance(value, str):
        return UNKNOWN if value is None else value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def format_rate(rate_bps: float | None) -> str:
    """At most four cells: 84000 → ``84k``, 4100000 → ``4.1M``, 0 → ``0``, None → ``–``."""
    return _prefixed(rate_bps, 1000)


def format_bytes(size_bytes: float | None) -> str:
    """At most five cells: 20971520 → ``20M``, 1536 → ``1.5k``, None → ``–``. Prefixes are × 1024."""
    return _prefixed(size_bytes, 1024)


def format_ms(value_ms: float | None) -> str:
    """At most five cells, no unit: 0.153 → ``0.15``, 38.21 → ``38.2``, 410.8 → ``410.8``, 1234 → ``1234``."""
    if value_ms is None or not math.isfinite(value_ms):
        return UNKNOWN
    size = abs(value_ms)
    if 0 < size < 0.995:
        return f"{value_ms:.2f}"
    if size < 999.95:
        return f"{value_ms:.1f}"
    if size < 99_999.5:
        return f"{value_ms:.0f}"
    return format_age(value_ms / 1000)


def format_pct(value_pct: float | None) -> str:
    """At most five cells: 0.04 → ``0.0%``, 4.83 → ``4.8%``, 66.0 → ``66%``, 100.0 → ``100%``."""
    if value_pct is None or not math.isfinite(value_pct):
        return UNKNOWN
    return f"{value_pct:.1f}%" if abs(value_pct) < 9.95 else f"{value_pct:.0f}%"


def format_duration(duration_s: float | None) -> str:
    """At most seven cells: 0.2 → ``200ms``, 6.2 → ``6.2s``, 75 → ``1m15s``, 5400 → ``1h30m``, 90000 → ``1d1h``."""
    if duration_s is None or not math.isfinite(duration_s):
        return UNKNOWN
    if duration_s < 0:
        return f"-{format_duration(-duration_s)}"
    if 0 < duration_s < 0.9995:
        return f"{duration_s * 1000:.0f}ms"
    if duration_s == 0:
        return "0s"
    if duration_s < 59.95:
        return f"{duration_s:.1f}s" if duration_s < 9.95 else f"{duration_s:.0f}s"
    seconds = round(duration_s)
    for large, small, large_unit, small_unit in ((60, 1, "m", "s"), (3600, 60, "h", "m"), (86_400, 3600, "d", "h")):
        if seconds < large * (24 if large == 3600 else 60) or large == 86_400:
            whole, rest = divmod(seconds, large)
            return f"{whole}{large_unit}{rest // small}{small_unit}" if rest // small else f"{whole}{large_unit}"
    raise AssertionError("the last row takes every duration")


def format_age(age_s: float | None) -> str:
    """At most four cells, coarse: 0.42 → ``0.4s``, 12 → ``12s``, 200 → ``3m``, 7300 → ``2h``, 3 days → ``3d``."""
    if age_s is None or not math.isfinite(age_s):
        return UNKNOWN
    age_s = max(age_s, 0.0)  # a sample from a few milliseconds ahead is one of now
    if age_s < 10:
        return f"{math.floor(age_s * 10) / 10:.1f}s"
    for size_s, unit, end_s in ((1, "s", 100), (60, "m", 6000), (3600, "h", 360_000)):
        if age_s < end_s:
            return f"{int(age_s // size_s)}{unit}"
    return f"{int(age_s // 86_400)}d"


def _power(prefix: str) -> int:
    return "kmgt".index(prefix.lower()) + 1 if prefix else 0


def _scaled(number: str, factor: int) -> int:
    return int((Decimal(number) * factor).to_integral_value(rounding=ROUND_HALF_EVEN))


def _quoted(text: str) -> str:
    shown = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return '"' + "".join(c if c.isprintable() else "?" for c in shown) + '"'


def _spelled(value: int, base: int) -> str:
    """Up to two decimals, as in 1.5G, where that is exact; otherwise the next smaller prefix."""
    if value < 0:
        raise ValueError("neither a rate nor a size is negative")
    for power in range(len(_PREFIXES) - 1, 0, -1):
        unit = base**power
        if value >= unit and value * 100 % unit == 0:
            whole, hundredths = divmod(value * 100 // unit, 100)
            fraction = f".{hundredths:02d}".rstrip("0") if hundredths else ""
            return f"{whole}{fraction}{_PREFIXES[power]}"
    return str(value)


def _prefixed(value: float | None, base: int) -> str:
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 0:
        return f"-{_prefixed(-value, base)}"
    scaled, power = float(value), 0
    while scaled >= base - 0.5 and power < len(_PREFIXES) - 1:
        scaled, power = scaled / base, power + 1
    digits = 1 if power and scaled < 9.95 else 0
    return f"{scaled:.{digits}f}{_PREFIXES[power]}"
