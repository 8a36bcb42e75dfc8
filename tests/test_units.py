"""Quantities as people type them and as the screen shows them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop import units


@pytest.mark.parametrize(
    ("text", "rate_bps"),
    [
        ("10M", 10_000_000),
        ("10Mbit/s", 10_000_000),
        ("10 Mbit/s", 10_000_000),
        ("10Mbps", 10_000_000),
        ("1.5G", 1_500_000_000),
        ("500k", 500_000),
        ("500K", 500_000),
        ("9600", 9600),
        ("9600bit/s", 9600),
        (".5M", 500_000),
        ("0", 0),
    ],
)
def test_rates_are_times_1000(text: str, rate_bps: int) -> None:
    assert units.parse_rate(text) == rate_bps


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("20M", 20_971_520),
        ("20MB", 20_971_520),
        ("20MiB", 20_971_520),
        ("20 m", 20_971_520),
        ("64k", 65_536),
        ("1.5G", 1_610_612_736),
        ("1500", 1500),
        ("1500B", 1500),
    ],
)
def test_sizes_are_times_1024_as_in_iperf3(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("200ms", 0.2),
        ("1s", 1.0),
        ("1.5s", 1.5),
        ("5m", 300.0),
        ("5min", 300.0),
        ("1h30m", 5400.0),
        ("1h 30m 5s", 5405.0),
        ("2d", 172_800.0),
        ("0s", 0.0),
    ],
)
def test_durations(text: str, duration_s: float) -> None:
    assert units.parse_duration(text) == duration_s


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.parse_rate, "ten", '"ten" is not a bit rate; write 10M or 10Mbit/s'),
        (units.parse_rate, "", '"" is not a bit rate; write 10M or 10Mbit/s'),
        (units.parse_rate, "-5M", '"-5M" is not a bit rate; write 10M or 10Mbit/s'),
        (units.parse_rate, "10MB/s", '"10MB/s" is in bytes; write a bit rate such as 10M or 10Mbit/s'),
        (units.parse_rate, "١٠M", '"١٠M" is not a bit rate; write 10M or 10Mbit/s'),
        (units.parse_size, "big", '"big" is not a size; write 20M, 512k or 1500'),
        (units.parse_size, "10Mbit", '"10Mbit" is in bits; write a size in bytes such as 20M or 512k'),
        (units.parse_duration, "10", '"10" has no unit; write 10s or 10ms'),
        (units.parse_duration, "", '"" is not a duration; write 200ms, 1s, 5m or 1h30m'),
        (units.parse_duration, "30m1h", '"30m1h" is not a duration; write 200ms, 1s, 5m or 1h30m'),
        (units.parse_duration, "1s1s", '"1s1s" is not a duration; write 200ms, 1s, 5m or 1h30m'),
        (units.parse_duration, "1s\x1b[2J", '"1s?[2J" is not a duration; write 200ms, 1s, 5m or 1h30m'),
    ],
)
def test_what_is_wrong_says_what_to_write(parse: object, text: str, message: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the whole text is compared below
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("parse", [units.parse_rate, units.parse_size, units.parse_duration])
@given(text=st.text(max_size=60))
def test_no_text_raises_anything_else(parse: object, text: str) -> None:
    assert callable(parse)
    outcome: object
    try:
        outcome = parse(text)
    except ValueError as error:
        outcome = str(error)
    assert outcome.isprintable() if isinstance(outcome, str) else outcome >= 0  # type: ignore[operator]


def test_a_hostile_number_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.parse_size("9" * 100_000 + "T")


@given(st.integers(min_value=0, max_value=10**15))
def test_spelled_rates_and_sizes_parse_back_exactly(value: int) -> None:
    assert units.parse_rate(units.spell_rate(value)) == value
    assert units.parse_size(units.spell_size(value)) == value


@given(st.integers(min_value=0, max_value=400 * 86_400_000))
def test_spelled_durations_parse_back_exactly(duration_ms: int) -> None:
    assert units.parse_duration(units.spell_duration(duration_ms / 1000)) == duration_ms / 1000


@pytest.mark.parametrize(
    ("spelled", "expected"),
    [
        (units.spell_rate(10_000_000), "10M"),
        (units.spell_rate(1_500_000), "1.5M"),
        (units.spell_rate(1_234_567), "1234567"),
        (units.spell_size(250 * 1024**2), "250M"),
        (units.spell_duration(0.2), "200ms"),
        (units.spell_duration(1.0), "1s"),
        (units.spell_duration(5400), "1h30m"),
        (units.spell_duration(0), "0s"),
    ],
)
def test_spelling_is_short(spelled: str, expected: str) -> None:
    assert spelled == expected


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.format_rate(4_100_000), "4.1M"),
        (units.format_rate(84_000), "84k"),
        (units.format_rate(999_600), "1.0M"),
        (units.format_rate(0), "0"),
        (units.format_rate(None), "–"),
        (units.format_rate(math.nan), "–"),
        (units.format_bytes(20_971_520), "20M"),
        (units.format_bytes(1536), "1.5k"),
        (units.format_ms(0.153), "0.15"),
        (units.format_ms(38.21), "38.2"),
        (units.format_ms(410.8), "410.8"),
        (units.format_ms(1234.5), "1234"),
        (units.format_ms(None), "–"),
        (units.format_pct(0.04), "0.0%"),
        (units.format_pct(4.83), "4.8%"),
        (units.format_pct(66.0), "66%"),
        (units.format_pct(None), "–"),
        (units.format_duration(0), "0s"),
        (units.format_duration(0.2), "200ms"),
        (units.format_duration(6.21), "6.2s"),
        (units.format_duration(75), "1m15s"),
        (units.format_duration(5400), "1h30m"),
        (units.format_duration(90_000), "1d1h"),
        (units.format_age(0.42), "0.4s"),
        (units.format_age(12.9), "12s"),
        (units.format_age(200), "3m"),
        (units.format_age(7300), "2h"),
        (units.format_age(3 * 86_400 + 360_000), "7d"),
        (units.format_age(-0.01), "0.0s"),
    ],
)
def test_what_the_screen_shows(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats(min_value=0, max_value=1e14))
def test_a_shown_rate_is_right_to_five_percent_in_four_cells(rate_bps: float) -> None:
    shown = units.format_rate(rate_bps)
    assert len(shown) <= 4
    assert abs(units.parse_rate(shown) - rate_bps) <= max(0.05 * rate_bps, 0.5)


@given(st.floats(min_value=0, max_value=1e14))
def test_shown_quantities_keep_their_width(value: float) -> None:
    assert len(units.format_bytes(value)) <= 5
    assert len(units.format_ms(min(value, 1e10))) <= 5
    assert len(units.format_pct(min(value, 1000))) <= 5
    assert len(units.format_age(min(value, 86_400 * 999))) <= 4
    assert len(units.format_duration(min(value, 86_400 * 999))) <= 7


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.5978, "0.598"), (231423.0, "231,423"), (-1500.0, "-1,500"), (36, "36"), (None, "–"), ("tcp", "tcp")],
)
def test_figures_of_any_unit(value: float | str | None, shown: str) -> None:
    assert units.format_figure(value) == shown
