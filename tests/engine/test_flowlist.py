"""What an engine gives beside its view: the trail of a link, moments of the past, flows one by one."""

from __future__ import annotations

import pytest

from meshtop.model import LinkKey
from meshtop.readings import Timer

KEY = LinkKey("e", "a", "vpn")


def test_the_trail_tells_what_the_frames_told(story, build) -> None:
    run = story()
    run.begin(build.full(build.socket(acked=0)))
    for second in range(1, 31):
        moved = build.socket(acked=1000 * second, data_segs_out=10 * second, retrans_total=second)
        run.second(38.0 + second, build.changed(moved))
    trail = run.engine.trail(KEY)
    assert len(trail) == 30
    assert [round(one.at - run.probe.epoch, 2) for one in trail] == pytest.approx(
        [1001.0 + n for n in range(30)], abs=0.1
    )
    assert trail[-1].tx_bps == pytest.approx(8000.0)
    assert (trail[-1].retrans, trail[-1].segments, trail[-1].retrans_pct) == (1, 10, 10.0)
    assert trail[9].rtt_ms == pytest.approx(48.0)
    assert run.engine.trail(KEY) is trail, "asked again, nothing is made anew"
    run.second(40.0)
    assert len(run.engine.trail(KEY)) == 31
    assert run.engine.trail(LinkKey("e", "nobody", "vpn")) == ()
    assert run.engine.trail(LinkKey("nobody", "a", "vpn")) == ()


def test_lost_probes_of_both_sizes_are_in_their_intervals(story, build) -> None:
    run = story()
    full = build.Pinger(1000.0, payload=1200, interval_s=5.0)
    run.begin()
    run.second(38.0, pings=(full.start(), full.reply(1, 41.0)))
    for _ in range(20):
        run.second(None if run.seq == 9 else 38.0)
    trail = run.engine.trail(KEY)
    assert [place for place, one in enumerate(trail) if one.lost] == [9]
    assert trail[0].rtt_full_ms == pytest.approx(41.0)
    assert [place for place, one in enumerate(trail) if one.lost_full], "the later ones of full size were not answered"


def test_a_moment_of_the_past_is_the_view_of_then(story, build) -> None:
    run = story()
    run.begin(build.full(build.socket(acked=0)))
    seen = {}
    for second in range(1, 61):
        run.second(38.0 if second < 40 else 300.0, build.changed(build.socket(acked=1000 * second)))
        view = run.engine.view(run.now)
        if run.engine.archive.due(view.at):
            run.engine.archive.take(view)
            seen[second] = view
    now = run.engine.view(run.now)
    then = run.engine.past(seen[30].at + 0.3, now)
    assert then is not None
    assert then.past
    assert then.at == seen[30].at
    assert then.snapshot == seen[30].snapshot
    assert then.trails[KEY][-1].rtt_ms == seen[30].trails[KEY][-1].rtt_ms
    assert len(then.trails[KEY]) == len(seen[30].trails[KEY])
    assert then.log == seen[30].log
    assert len(then.strips[KEY].seconds) == len(seen[30].strips[KEY].seconds)
    assert run.engine.past(run.now - 3600, now) is None


def test_flows_are_in_the_kernels_words(story, build) -> None:
    run = story()
    info = build.info
    one = build.socket(
        acked=5000, srtt_ms=61.0, minrtt_ms=38.0, cwnd=10, rto_ms=1640.0, backoff=3, unacked=14, notsent=90_000,
        retrans_total=7, data_segs_out=100, timer=Timer(kind="on", expires_ms=900.0, retransmits=3),
    )  # fmt: skip
    two = build.socket(local_port=40002, cookie="2", acked=100, minrtt_ms=4_294_967.295)
    elsewhere = build.socket("192.0.2.9", 443, local="192.168.1.2", local_port=5, cookie="3", acked=1)
    waiting = build.socket(local_port=40004, cookie="4", state="TIME-WAIT")
    run.begin(build.full(one, two, elsewhere, waiting), info=info)
    run.second(38.0, build.changed(build.socket(local_port=40002, cookie="2", acked=2100, minrtt_ms=4_294_967.295)))
    first, second = run.engine.flows("e", KEY)
    assert (first.local_port, first.peer, first.peer_port, first.state) == (40000, "10.10.10.1", 5201, "ESTAB")
    assert (first.srtt_ms, first.minrtt_ms, first.cwnd, first.rto_ms, first.backoff) == (61.0, 38.0, 10, 1640.0, 3)
    assert (first.unacked, first.notsent, first.retrans, first.retrans_pct) == (14, 90_000, 7, 7.0)
    assert (first.timer, first.timer_ms) == ("on", 900.0)
    assert second.minrtt_ms is None, "the kernel has not measured it yet"
    assert second.tx_bps == pytest.approx(16_000.0)
    assert second.backoff == 0, "ss leaves zeros out, and this one could have told"
    assert len(run.engine.flows("e")) == 3
    assert [flow.link for flow in run.engine.flows("e")][2] is None
    assert run.engine.flows("nobody") == ()
    run.second(38.0, build.changed(total=3))
    assert run.engine.flows("e", KEY)[1].tx_bps == 0.0, "what did not change stood still"


def test_of_a_node_that_cannot_be_read_there_are_no_flows(story) -> None:
    run = story()
    assert run.engine.flows("e") == ()
    run.up()
    run.receive(run.probe.tell(1000.0))
    assert run.engine.flows("e") == ()
