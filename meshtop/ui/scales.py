"""The Y axes of the charts: stated, and never fitted to what happens to be on the screen.

An axis ends at a round number that is given by the link itself (its baseline, its line's rate) and grows from there in
steps of 1, 2, 5 only when a value is beyond it. So jitter stays flat, and a chart that fills its height means much.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import Literal

from meshtop.units import format_ms, format_rate

ScaleName = Literal["fit", "wide", "log"]
SCALES: tuple[ScaleName, ...] = ("fit", "wide", "log")

_FIT_BASELINES = 4.0
_WIDE_BASELINES = 16.0
_NO_BASELINE_MS = 100.0
_LEAST_RTT_MS = 5.0  # of a link within a rack, four baselines would be the noise of its scheduler
_LOG_RTT_MS = (1.0, 10_000.0)
_DEFAULT_LINE_BPS = 10e6  # of nodes whose line rate nobody configured
_FIT_OF_LINE = 0.1
_LOG_RATE_FROM = 1e-4  # of the line
_FIT_PCT = 5.0


@dataclass(frozen=True, slots=True)
class Scale:
    """``low`` stands at the bottom, ``top`` at the upper edge. ``words`` say what the axis is."""

    top: float
    low: float = 0.0
    logarithmic: bool = False
    unit: Literal["ms", "bit/s", "%"] = "ms"
    words: str = ""

    def place(self, value: float, levels: int) -> int:
        """0 … ``levels`` − 1 from the bottom; what is beyond the axis stands at its edge."""
        return min(max(floor(self._share(value) * levels), 0), levels - 1)

    def beyond(self, value: float) -> bool:
        return value > self.top

    def value(self, share: float) -> float:
        """What stands at that share of the height."""
        if self.logarithmic:
            return float(self.low * (self.top / self.low) ** share)
        return self.low + share * (self.top - self.low)

    def _share(self, value: float) -> float:
        if self.logarithmic:
            return log10(max(value, self.low) / self.low) / log10(self.top / self.low)
        return (value - self.low) / (self.top - self.low)

    def label(self, share: float) -> str:
        """At most five cells."""
        value = self.value(share)
        if self.unit == "%":
            return f"{value:.0f}%"
        if self.unit == "ms":
            return format_ms(value) if 0 < value < 9.95 and value != round(value) else f"{value:.0f}"
        return format_rate(value)


def rtt_scale(name: ScaleName, baseline_ms: float | None, most_ms: float | None) -> Scale:
    """``baseline_ms`` of the slower of the shown paths, ``most_ms`` the most that is shown."""
    base = max(baseline_ms, _LEAST_RTT_MS / _FIT_BASELINES) if baseline_ms else _NO_BASELINE_MS / _FIT_BASELINES
    if name == "log":
        return Scale(_LOG_RTT_MS[1], _LOG_RTT_MS[0], True, "ms", "log 1 ms–10 s")
    if name == "wide":
        top = round_up(_WIDE_BASELINES * base)
    else:
        top = round_up(max(_FIT_BASELINES * base, most_ms or 0.0))
    times = f" = {top / baseline_ms:.0f}× baseline" if baseline_ms else ""
    return Scale(top, unit="ms", words=f"0–{top:.0f} ms{times}")


def rate_scale(name: ScaleName, line_bps: float | None, most_bps: float | None) -> Scale:
    line = line_bps or _DEFAULT_LINE_BPS
    if name == "log":
        low = round_up(line * _LOG_RATE_FROM)
        return Scale(round_up(line), low, True, "bit/s", f"log {format_rate(low)}–{format_rate(round_up(line))}")
    top = round_up(line) if name == "wide" else round_up(max(line * _FIT_OF_LINE, most_bps or 0.0))
    of_line = f" · line {format_rate(line_bps)}" if line_bps else ""
    return Scale(top, unit="bit/s", words=f"0–{format_rate(top)}bit/s{of_line}")


def share_scale(name: ScaleName, most_pct: float | None) -> Scale:
    if name == "log":
        return Scale(100.0, 0.1, True, "%", "log 0.1–100 %")
    top = 100.0 if name == "wide" else min(round_up(max(_FIT_PCT, most_pct or 0.0)), 100.0)
    return Scale(top, unit="%", words=f"0–{top:.0f} %")


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, … that is not below ``value`` (> 0)."""
    power = 10.0 ** floor(log10(value))
    for step in (1.0, 2.0, 5.0):
        if value <= step * power * (1 + 1e-9):
            return step * power
    return 10 * power
