"""What speaks for and against a cause, and what is said where two look alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from meshtop.engine.verdicts.lifecycle import OPENS_AT
from meshtop.engine.verdicts.rules import RULES
from meshtop.engine.verdicts.settle import ALIKE, EXPLAINS, settled
from meshtop.engine.verdicts.signals import Below, LinkSignals
from meshtop.engine.verdicts.weigh import Weighed, weigh
from meshtop.model import ExperimentKind, LinkKey

LOSSY = {
    "data_segs": 5000, "retrans": 100, "retrans_pct": 2.0, "retrans_floor_pct": 1.6, "dsack_share": 0.0,
    "queue": 1.2, "tcp_inflation": 1.2, "steady_share": 1.0, "reord_seen": 0,
}  # fmt: skip
POLICED = {
    "data_segs": 5000, "retrans": 600, "retrans_pct": 12.0, "retrans_floor_pct": 11.0, "dsack_share": 0.0,
    "queue": 1.3, "tcp_inflation": 1.3, "steady_share": 1.0, "timeout_share": 0.08,
}  # fmt: skip
BLOATED = {
    "data_segs": 5000, "retrans": 0, "retrans_pct": 0.0, "tcp_inflation": 20.0, "queue": 20.0, "bloat": 4.0,
    "tcp_added_ms": 500.0, "rtt_inflation": 15.0,
}  # fmt: skip


def found(signals: LinkSignals) -> dict[str, Weighed]:
    weighed = [each for rule in RULES if (each := weigh(rule, signals)) is not None]
    return {each.rule.code: each for each in settled(weighed).said if each.confidence >= OPENS_AT}


def test_every_sign_names_a_figure_that_there_is(link: Callable[..., LinkSignals]) -> None:
    for rule in RULES:
        for sign in rule.signs:
            room, _, name = sign.figure.rpartition(".")
            if room == "below":
                assert name in Below.__dataclass_fields__
            elif room != "tried":
                assert name in LinkSignals.__dataclass_fields__, sign.figure


def test_every_rule_says_what_settles_it() -> None:
    kinds = set(get_args(ExperimentKind))
    for rule in RULES:
        assert rule.next
        assert set(rule.experiments) <= kinds
    codes = {rule.code for rule in RULES}
    assert {e.cause for e in EXPLAINS} | {c for e in EXPLAINS for c in e.others} <= codes
    assert {code for pair in ALIKE for code in (pair.one, pair.other)} <= codes
    for pair in ALIKE:
        assert all(pair.by in rule.experiments for rule in RULES if rule.code in (pair.one, pair.other) and rule.signs)


def test_nothing_is_said_of_a_link_of_which_nothing_is_known(link: Callable[..., LinkSignals]) -> None:
    assert found(link()) == {}


def test_a_contradiction_is_listed_and_costs(link: Callable[..., LinkSignals]) -> None:
    plain = found(link(**LOSSY))["loss"]
    assert plain.confidence > 0.8
    assert plain.against == ()
    doubted = found(link(**LOSSY | {"steady_share": 0.3}))["loss"]
    assert doubted.confidence < plain.confidence - 0.05
    assert [(each.what, each.value) for each in doubted.against] == [("seconds with retransmissions", 0.3)]


def test_where_some_was_lost_and_some_came_late_that_is_said_less_surely(link: Callable[..., LinkSignals]) -> None:
    """DSACK between a tenth and a half of what is sent again is mixed (RFC 3708)."""
    mixed = link(**LOSSY | {"dsack_share": 0.2})
    told = found(mixed)["loss"]
    assert OPENS_AT <= told.confidence < 0.7
    assert "needless by DSACK" in {each.what for each in told.against}
    assert "20% of what is sent again is needless" in told.rule.summary(mixed)
    assert "loss" not in found(link(**LOSSY | {"dsack_share": 0.2}, new_loss=True, young_dsack_share=0.2))
    assert "loss" not in found(link(**LOSSY | {"dsack_share": 0.4}))


def test_nothing_is_certain(link: Callable[..., LinkSignals]) -> None:
    assert max(each.confidence for each in found(link(**LOSSY, line_use=0.1, tried={"udp_loss_pct": 3.0})).values()) < 1


def test_what_a_full_line_overflows_is_neither_loss_nor_a_policer(link: Callable[..., LinkSignals]) -> None:
    assert not {"loss", "policer"} & found(link(**LOSSY, overflows=True)).keys()
    assert not {"loss", "policer"} & found(link(**POLICED, goodput_spread=0.01, flatness=0.2, overflows=True)).keys()


def test_loss_that_has_just_begun_is_not_sure_to_be_by_chance(link: Callable[..., LinkSignals]) -> None:
    """A policer shows the same at first; nobody has to take back what was said."""
    young = link(**LOSSY, new_loss=True)
    weighed = [each for rule in RULES if (each := weigh(rule, young)) is not None]
    (said,) = (each for each in settled(weighed, new_loss=True).said if each.rule.code == "loss")
    assert OPENS_AT <= said.confidence <= 0.65
    assert "policer" in said.rule.summary(young)
    assert "tcp-udp" in said.rule.experiments


@pytest.mark.parametrize(("flatness", "which"), [(0.2, "policer"), (1.2, "loss")])
def test_losses_by_chance_do_not_leave_goodput_flat(
    link: Callable[..., LinkSignals], flatness: float, which: str
) -> None:
    """A shallow drop-tail queue and a policer hold one rate whatever is lost; chance does not."""
    surest = max(
        found(link(**LOSSY, goodput_spread=0.1, flatness=flatness, outer="udp")).values(),
        key=lambda each: each.confidence,
    )
    assert surest.rule.code == which


def test_fewer_than_a_hundred_segments_tell_nothing(link: Callable[..., LinkSignals]) -> None:
    assert "loss" not in found(link(**LOSSY | {"data_segs": 99}))


def test_a_policer_and_plain_loss_that_look_alike_are_both_said_less_surely(link: Callable[..., LinkSignals]) -> None:
    both = found(link(**POLICED, goodput_spread=0.1, outer="udp"))
    assert {"policer", "loss"} <= both.keys()
    assert max(both["policer"].confidence, both["loss"].confidence) <= 0.65
    assert all("tcp-udp" in both[code].rule.experiments for code in ("policer", "loss"))


@pytest.mark.parametrize(
    ("evidence", "which"),
    [
        ({"blind_chance": 0.01, "heavy_spread": 0.01, "goodput_spread": 0.01, "flatness": 0.1}, "policer"),
        ({"blind_chance": 0.6, "heavy_spread": 0.3, "goodput_spread": 0.5}, "loss"),
        ({"tried": {"udp_loss_pct": 0.0}, "udp_policed": True}, "policer"),
        ({"tried": {"udp_loss_pct": 12.0}, "udp_policed": False}, "loss"),
    ],
)
def test_what_decides_between_them(link: Callable[..., LinkSignals], evidence: dict, which: str) -> None:
    decided = found(link(**POLICED, **evidence))
    assert {"policer", "loss"} & decided.keys() == {which}
    assert decided[which].confidence > 0.7


def test_a_full_line_is_no_lossy_one(link: Callable[..., LinkSignals]) -> None:
    full = {"queue": 3.8, "tcp_inflation": 3.8, "tcp_added_ms": 105.0, "rtt_inflation": 3.7, "line_use": 1.0}
    assert found(link(**LOSSY | full)) == {}


@pytest.mark.parametrize(("minrtt_ms", "added_ms", "bloated"), [(1, 120, True), (30, 105, False), (200, 400, True)])
def test_how_long_a_queue_may_be_depends_on_the_way(
    link: Callable[..., LinkSignals], minrtt_ms: float, added_ms: float, bloated: bool
) -> None:
    inflation = 1 + added_ms / minrtt_ms
    figures = {
        "tcp_inflation": inflation, "queue": inflation, "tcp_added_ms": added_ms, "rtt_inflation": inflation,
        "bloat": max(inflation / 5, added_ms / 300),
    }  # fmt: skip
    assert ("bufferbloat" in found(link(**BLOATED | figures))) is bloated


def test_a_queue_behind_a_tcp_tunnel_may_be_either(link: Callable[..., LinkSignals]) -> None:
    tunnel = {"outer": "tcp", "outer_connections": 1}
    both = found(link(**BLOATED, **tunnel))
    assert {"bufferbloat", "tcp-over-tcp"} & both.keys()
    inside = found(link(**BLOATED, **tunnel, above_ratio=8.0, outer_notsent=300_000))
    assert "bufferbloat" not in inside
    assert inside["tcp-over-tcp"].confidence > 0.8
    line = found(link(**BLOATED, **tunnel, above_ratio=1.0, outer_notsent=0, tried={}, loaded_ratio=10.0))
    assert "tcp-over-tcp" not in line
    assert line["bufferbloat"].confidence > 0.8


def test_an_outage_explains_what_it_leaves_behind(link: Callable[..., LinkSignals]) -> None:
    out = link(**LOSSY, silent_for_s=6.0, silence_s=6.0, progress=False, idle_ack_s=6.0, blackout_stalls=2)
    assert set(found(out)) == {"blackout"}


def test_a_sweep_settles_a_black_hole(link: Callable[..., LinkSignals]) -> None:
    stuck = {"blackholed_s": 4.0, "backoff": 3, "silence_s": 0.5, "small_loss_pct": 0.0}
    likely = found(link(**stuck))["pmtu-blackhole"].confidence
    swept = found(link(**stuck, tried={"vanishes": 1.0}))["pmtu-blackhole"]
    refuted = found(link(**stuck, tried={"vanishes": 0.0})).get("pmtu-blackhole")
    assert likely < swept.confidence
    assert refuted is None or refuted.confidence < likely - 0.2


STUCK = {"blackholed_s": 90.0, "holed_flows": 3, "backoff": 6, "silence_s": 0.5, "small_loss_pct": 0.0}


@pytest.mark.parametrize("since", [{"full_back": True}, {"tried": {"vanishes": 0.0}}])
def test_a_hole_that_is_healed_is_not_said_of_now(link: Callable[..., LinkSignals], since: dict[str, object]) -> None:
    """Its flows wait for their next time-out all the same, which may be two minutes away."""
    assert found(link(**STUCK))["pmtu-blackhole"].confidence > 0.8
    healed = link(**STUCK, **since)
    assert "pmtu-blackhole" not in found(healed)
    weighed = max((w for rule in RULES if (w := weigh(rule, healed))), key=lambda each: each.confidence)
    assert weighed.against
    assert "3 flows stand still for 1m30s" in weighed.rule.summary(healed)


def test_a_hole_that_nothing_has_tried_for_long_is_less_sure(link: Callable[..., LinkSignals]) -> None:
    just, long_ago = (found(link(**STUCK, hole_untried_s=s))["pmtu-blackhole"] for s in (1.0, 50.0))
    assert long_ago.confidence < just.confidence
    assert "untried for 50 s" in long_ago.rule.summary(link(**STUCK, hole_untried_s=50.0))


def test_a_hole_shows_where_nothing_flows(link: Callable[..., LinkSignals]) -> None:
    tried = {"vanishes": 1.0, "vanish_bytes": 1301.0, "pmtu_bytes": 1300.0}
    swept = found(link(tried=tried))["pmtu-blackhole"]
    assert "up to 1300 bytes pass, of 1301 and more vanish" in swept.rule.summary(link(tried=tried))
    pings = {"silence_s": 0.4, "small_loss_pct": 0.0, "small_decided": 30}
    assert found(link(full_dead=4, **pings))["pmtu-blackhole"].confidence <= 0.85
    assert "pmtu-blackhole" not in found(link(full_dead=2, **pings))
    assert "pmtu-blackhole" not in found(link(full_dead=4, progress=True, **pings))
    assert "pmtu-blackhole" not in found(link(full_dead=4, silence_s=9.0, small_loss_pct=100.0))


def test_what_was_tried_grows_old(link: Callable[..., LinkSignals]) -> None:
    def after(age_s: float) -> Weighed | None:
        signals = link(tried={"udp_loss_pct": 4.0}, tried_by={"udp_loss_pct": ("burst b4", age_s)})
        return found(signals).get("loss")

    new, older = after(30.0), after(240.0)
    assert new is not None
    assert older is not None
    assert new.confidence > older.confidence
    assert new.evidence[-1].what == "UDP lost at half rate (burst b4, 30 s ago)"
    assert older.evidence[-1].what == "UDP lost at half rate (burst b4, 4 min ago)"
    assert after(590.0) is None


@pytest.mark.parametrize(
    ("figures", "code"),
    [
        ({"tried": {"burst_retrans_pct": 5.0}}, "loss"),
        ({"tried": {"burst_retrans_pct": 0.0}}, "loss"),
    ],
)
def test_a_burst_strengthens_or_weakens(
    link: Callable[..., LinkSignals], figures: dict[str, object], code: str
) -> None:
    plain, tried = found(link(**LOSSY))[code], found(link(**LOSSY, **figures))[code]
    retransmitted = figures["tried"]["burst_retrans_pct"] > 1  # type: ignore[index]
    assert (tried.confidence > plain.confidence) is retransmitted
    assert any("burst" in each.what for each in (tried.evidence if retransmitted else tried.against))


def test_lost_pings_without_tcp_are_loss_of_which_less_is_known(link: Callable[..., LinkSignals]) -> None:
    lossy = found(link(pair_lost=6, pair_loss_pct=10.0, pair_runs=5))
    assert 0.5 < lossy["loss"].confidence <= 0.8
    outage = found(link(pair_lost=6, pair_loss_pct=10.0, pair_runs=1))
    assert outage == {}


def test_the_key_of_a_link_is_in_its_sentence(link: Callable[..., LinkSignals]) -> None:
    signals = link(**LOSSY)
    assert signals.key == LinkKey("e", "a", "vpn")
    assert found(signals)["loss"].rule.summary(signals).startswith("e → a on vpn: 2.0% of segments are lost")
