"""What holds for any output of ss, and for any text that pretends to be one."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.errors import ParseError
from meshtop.parse.ss import parse_processes, parse_socket, parse_ss
from meshtop.readings import SocketReading

HEAD = "ESTAB 3 4 10.0.0.1:40000 [2001:db8::2]:443"
COUNTS = {
    **{
        name: name
        for name in ("cwnd", "unacked", "bytes_acked", "bytes_retrans", "segs_out", "notsent", "snd_wnd", "backoff")
    },
    **{"ino": "inode", "lastack": "lastack_ms", "lastsnd": "lastsnd_ms", "uid": "uid"},
}
DECIMALS = {"rto": "rto_ms", "ato": "ato_ms", "minrtt": "minrtt_ms", "rcv_rtt": "rcv_rtt_ms"}
WORDS = ["ts", "sack", "wscale:7,7", "<->", "bbr:(bw:1bps,mrtt:1)", "fackets:3", "send 5bps"]

counts = st.dictionaries(st.sampled_from(sorted(COUNTS)), st.integers(0, 10**18))
microseconds = st.integers(0, 10**9).map(lambda value: float(f"{value / 1000:g}"))  # %g of a thousandth, as ss does
decimals = st.dictionaries(st.sampled_from(sorted(DECIMALS)), microseconds)
noise = st.lists(st.sampled_from(WORDS))
news = st.sets(st.text(string.ascii_lowercase, min_size=1, max_size=8).map(lambda name: f"zz_{name}"), max_size=5)


@given(st.data(), counts, decimals, noise, news)
def test_any_order_of_fields_gives_the_same_reading(
    data: st.DataObject, ints: dict[str, int], floats: dict[str, float], words: list[str], unknown: set[str]
) -> None:
    fields = [f"{key}:{value}" for key, value in ints.items()]
    fields += [f"{key}:{value:g}" for key, value in floats.items()]
    fields += words + [f"{name}:1" for name in sorted(unknown)]
    shuffled = data.draw(st.permutations(fields))
    reading = parse_socket(f"{HEAD} {' '.join(shuffled)}")
    given_fields = {**{COUNTS[key]: ints[key] for key in ints}, **{DECIMALS[key]: floats[key] for key in floats}}
    known = {name: getattr(reading, name) for name in (*COUNTS.values(), *DECIMALS.values())}
    assert known == {**dict.fromkeys(known), **given_fields}
    assert set(reading.unknown) == unknown
    cut = data.draw(st.integers(0, len(shuffled)))
    two_lines = f"{HEAD} {' '.join(shuffled[:cut])}\n\t {' '.join(shuffled[cut:])}"
    assert parse_socket(two_lines) == reading
    assert parse_ss(two_lines + "\n") == ((reading,), 0)


FRAGMENTS = st.sampled_from(
    [
        *("ESTAB ", "LISTEN ", "0 ", "-1 ", "10.0.0.1:1 ", "[::1]:2 ", "*:* ", "[fe80::1]%", "timer:(on,", "5ms,0) "),
        *("skmem:(", "r0,", "rb1) ", "cgroup:/", " <-> ", "users:((", '"a",pid=1,fd=2)) ', "retrans:", "0/5 ", "rtt:"),
        *("nan ", "1e999 ", "inf/", "send ", "pacing_rate ", "5Gbps ", "cwnd:", "9" * 25, " ino:", "sk:", "\n", "\t"),
        *(
            "app_limited ",
            "app_limited:1 ",
            "version: ",
            "busy:",
            "5ms(1%) ",
            "bbr ",
            ":",
            "::",
            "State Recv-Q Send-Q ",
        ),
    ]
)
HOSTILE = st.lists(st.one_of(FRAGMENTS, st.text(max_size=4)), max_size=60).map("".join)


@given(HOSTILE)
def test_a_hostile_line_raises_nothing_but_the_parsers_own_error(text: str) -> None:
    for line in (text, f"{HEAD} {text}"):
        outcome = outcome_of(line)
        if isinstance(outcome, ParseError):
            assert str(outcome).isprintable()
        else:
            check_sane(outcome)


@given(HOSTILE)
def test_a_hostile_output_raises_nothing(text: str) -> None:
    readings, failed = parse_ss(text)
    assert len(readings) + failed <= len(text.split("\n"))
    processes, failed = parse_processes(text)
    assert failed >= 0
    assert all(process.name.isprintable() and len(process.name) <= 32 for process in processes)


def outcome_of(line: str) -> SocketReading | ParseError:
    try:
        return parse_socket(line)
    except ParseError as error:
        return error


def check_sane(reading: SocketReading) -> None:
    """No figure that arithmetic later could stumble on, no text that a screen could."""
    for name in reading.__struct_fields__:
        value = getattr(reading, name)
        if isinstance(value, int | float) and name not in ("recv_q", "send_q"):
            assert 0 <= value < 2**64, name
    for text in (reading.cgroup, reading.congestion, *reading.unknown):
        assert text is None or (text.isprintable() and len(text) <= 256)


@pytest.mark.parametrize(
    "flood", [" a:a", '("', " users:((", " )) timer:(", "\x1b]", "\n\t", " cgroup:/ ", " 0 0 a:1 b:"]
)
def test_a_flood_costs_no_more_than_its_length(flood: str) -> None:
    """Anything quadratic would take minutes here."""
    text = f"{HEAD} users:((" + flood * 200_000
    assert parse_ss(text)[1] <= text.count("\n") + 1
    assert parse_processes(text)[0] == ()
    assert parse_processes(text[:60_000])[0] == ()
