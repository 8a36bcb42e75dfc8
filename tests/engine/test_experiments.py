"""Experiments before anything is sent: who can, what it costs; the sweep's sizes; what figures say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshtop.engine import experiments
from meshtop.engine.experiments import CHEAP, KINDS, MOST_BPS, ExperimentPlan, Sweep, ramp_bps, summary
from meshtop.model import ExperimentKind, Mesh, Node, Path
from meshtop.requests import RunExperiment

MESH = Mesh(
    name="miku",
    nodes=(
        Node(
            name="a",
            address={"vpn": "10.0.0.1", "public": "192.0.2.1", "extra": "10.9.0.1"},
            up_bps=10_000_000,
            down_bps=40_000_000,
        ),
        Node(
            name="b", address={"vpn": "10.0.0.2", "public": "192.0.2.2"}, up_bps=5_000_000, down_bps=5_000_000,
            nat=("public",),
        ),
        Node(name="c", address={"vpn": "10.0.0.3", "public": "192.0.2.3"}, up_bps=10**9, down_bps=10**9),
        Node(name="d", address={"vpn": "10.0.0.4"}),
    ),
    paths=(Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay"), Path(name="extra", kind="underlay")),
)  # fmt: skip


def asked(kind: ExperimentKind, src: str = "b", dst: str = "a", path: str = "vpn") -> RunExperiment:
    return RunExperiment(kind=kind, src=src, dst=dst, path=path)


def plan(command: RunExperiment) -> ExperimentPlan:
    return experiments.plan(command, MESH)


@pytest.mark.parametrize("kind", KINDS)
def test_each_says_what_it_sends_and_keeps_to_a_cap(kind: ExperimentKind) -> None:
    slow, fast = plan(asked(kind)), plan(asked(kind, "c", "a"))
    for made in (slow, fast):
        assert made.sends
        assert 0 < made.bytes <= 3 * MOST_BPS * experiments.BURST_S / 8
        assert 0 < made.seconds <= 60
    assert slow.bytes <= 3 * 5_000_000 * 5 / 8 + 300_000, "a slow line is loaded for five seconds at a time"


def test_a_fast_line_is_not_filled() -> None:
    gigabit = plan(asked("streams", "c", "d"))
    for step in gigabit.bursts:
        assert step.request.rate_bps is not None
        assert step.request.rate_bps * step.request.streams <= MOST_BPS
    assert all(step.request.rate_bps is None for step in plan(asked("streams")).bursts)


def test_paths_compares_the_overlay_with_the_underlay_whichever_is_asked() -> None:
    for path in ("vpn", "public"):
        made = plan(asked("paths", path=path))
        assert [(step.request.path, step.bps) for step in made.bursts] == [
            ("vpn", "overlay_bps"),
            ("public", "underlay_bps"),
        ]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (asked("paths", "a", "d"), "nothing to compare"),
        (asked("pmtu-sweep", "a", "b", "public"), "try it from b to a"),
        (asked("mss", "b", "b"), "name two"),
        (asked("mss", "b", "x"), "there are a, b, c, d"),
        (asked("mss", "b", "a", "x"), "there are vpn, public, extra"),
        (asked("mss", "b", "a", "extra"), "b has no address"),
    ],
)
def test_what_cannot_be_is_said(command: RunExperiment, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(command)


def test_what_is_cheap_can_be_planned() -> None:
    assert {plan(asked(kind)).kind for kind in CHEAP} == set(CHEAP)


# ── The sweep ──


def swept(passes: int, lost: frozenset[int] = frozenset(), told: tuple[int, ...] = ()) -> tuple[Sweep, int]:
    """Against a path that lets so many bytes through, and loses some sizes by chance; with the number of rounds.
    ``told``: MTUs that the stack speaks of."""
    sweep = Sweep()
    rounds = 0
    while sizes := sweep.next_sizes():
        rounds += 1
        assert rounds < 10
        assert len(sizes) <= 9
        sweep.take({size: size <= passes and size not in lost for size in sizes})
        sweep.told(told)
    return sweep, rounds


@given(st.integers(576, 9100))
def test_the_sweep_finds_every_size(passes: int) -> None:
    sweep, rounds = swept(passes)
    assert sweep.low == min(passes, 9000)
    assert sweep.high == (passes + 1 if passes < 9000 else None)
    assert rounds <= 6


def test_usual_sizes_take_few_rounds() -> None:
    assert [swept(size, told=(size,))[1] for size in (1280, 1400, 1420, 1500)] == [1, 1, 1, 1]
    assert all(swept(size, told=(1500,))[1] <= 4 for size in (1300, 1372, 1492))


def test_what_is_told_ends_the_search_only_where_it_is_so() -> None:
    sweep, _ = swept(1300, told=(1400,))
    assert (sweep.low, sweep.high) == (1300, 1301)
    sweep, _ = swept(1300, told=(1300,))
    assert (sweep.low, sweep.high) == (1300, 1301)


@given(st.integers(1300, 1500), st.frozensets(st.sampled_from((1280, 1350, 1400, 1420)), max_size=2))
def test_a_loss_does_not_hide_what_is_larger(passes: int, lost: frozenset[int]) -> None:
    sweep, _ = swept(passes, lost)
    assert sweep.low <= passes
    assert sweep.high is None or sweep.high > sweep.low
    if not lost:
        assert sweep.low == passes


def test_nothing_passes() -> None:
    sweep, rounds = swept(100)
    assert sweep.low == 0
    assert rounds == 1


# ── What figures say ──


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_measured_says_nothing(kind: ExperimentKind) -> None:
    assert summary(kind, {}) is None


@pytest.mark.parametrize(
    ("kind", "figures", "words"),
    [
        ("pmtu-sweep", {"pmtu_bytes": 1300.0, "vanish_bytes": 1301.0, "local_mtu_bytes": 1400.0}, "black hole"),
        ("pmtu-sweep", {"pmtu_bytes": 1400.0, "vanish_bytes": None, "local_mtu_bytes": 1400.0}, "all that the sender"),
        ("probe-sizes", {"small_rtt_ms": 24.0, "full_rtt_ms": 200.0}, "different queues"),
        ("probe-sizes", {"small_rtt_ms": 24.0, "full_rtt_ms": 25.0}, "no difference"),
        ("probe-sizes", {"small_rtt_ms": 24.0, "full_rtt_ms": None}, "not answered"),
        ("loaded-ping", {"idle_rtt_ms": 20.0, "loaded_rtt_ms": 900.0}, "queue"),
        ("loaded-ping", {"idle_rtt_ms": 20.0, "loaded_rtt_ms": 21.0, "loaded_full_rtt_ms": 400.0}, "400 ms"),
        ("loaded-ping", {"idle_rtt_ms": 20.0, "loaded_rtt_ms": 24.0}, "no long queue"),
        ("tcp-udp", {"tcp_bps": 4e6, "udp_loss_pct": 2.1}, "whatever the rate"),
        (
            "tcp-udp",
            {"tcp_bps": 4.7e6, "udp_loss_pct": 0.0, "ramp_loss_pct": 23.0, "ramp_received_bps": 4.8e6},
            "above 4.8Mbit/s 23 % is lost",
        ),
        ("tcp-udp", {"tcp_bps": 28e6, "udp_loss_pct": 0.0}, "not lost"),
        ("streams", {"one_bps": 8e6, "one_retrans_pct": 7.0, "eight_bps": 6e6, "eight_retrans_pct": 11.0}, "11.0 %"),
        ("paths", {"overlay_bps": 4e6, "underlay_bps": 28e6}, "overlay 4.0Mbit/s, underlay 28Mbit/s"),
        ("mss", {"usual_bps": 0.0, "clamped_bps": 28e6}, "usual MSS 0bit/s"),
    ],
)
def test_figures_in_words(kind: ExperimentKind, figures: dict[str, float | None], words: str) -> None:
    said = summary(kind, figures)
    assert said is not None
    assert words in said


def test_udp_above_tcp_needs_room_on_the_line() -> None:
    made = plan(asked("tcp-udp"))  # 5 Mbit/s
    assert ramp_bps(4_800_000, made) is None
    policed = ramp_bps(2_000_000, made)
    assert policed is not None
    assert 2_300_000 <= policed <= 4_750_000
    assert ramp_bps(1_000_000, plan(asked("tcp-udp", "d", "c"))) == pytest.approx(1_333_333, rel=0.01)
