"""The snapshot as plain text."""

from __future__ import annotations

import msgspec

from meshtop.commands.plain import table
from meshtop.engine.snapshot import LinkView, NodeView, ProbeCost, Snapshot, WatchView
from meshtop.model import Mesh, Node, Path

MESH = Mesh(
    name="miku",
    nodes=(Node(name="a", label="Hubei"), Node(name="long-name")),
    paths=(Path(name="vpn", kind="overlay"), Path(name="public", kind="underlay")),
)
STATE = Snapshot(
    mesh="miku",
    at="2024-05-01T14:32:07.123Z",
    window_s=10.0,
    nodes=(
        NodeView(name="a", label="Hubei", state="up", sample_age_s=0.4, samples=9, missed=1, late=2, kernel="6.1.0",
                 ss="6.1.0", ssh_rtt_ms=31.0, cost=ProbeCost(cpu_pct=0.4)),
        NodeView(name="long-name", state="down", reason="refused", problems=("ss: not found",)),
    ),
    links=(
        LinkView(src="a", dst="long-name", path="vpn", state="lossy", rtt_ms=38.2, rtt_baseline_ms=37.9, loss_pct=12.5,
                 tx_bps=4_100_000, flows=8),
        LinkView(src="long-name", dst="a", path="vpn", state="no-data", reason="long-name is down: refused"),
    ),
)  # fmt: skip

EXPECTED = """\
miku at 2024-05-01T14:32:07.123Z: 1/2 nodes up, over 10s

node       state   age     samples  ssh ms  retx   cpu  kernel     ss
a (Hubei)  up     0.4s  9-1+2 late    31.0     –  0.4%   6.1.0  6.1.0
long-name  down      –           0       –     –     –       –      –  refused; ss: not found

vpn (overlay)
link           state    rtt ms  base  full  pdv  loss  full  rate  retx  flows
a → long-name  lossy      38.2  37.9     –    –   12%     –  4.1M     –      8
long-name → a  no-data       –     –     –    –     –     –     –     –      –  long-name is down: refused"""


def test_a_table_for_people() -> None:
    assert table(STATE, MESH) == EXPECTED


def test_watched_services_stand_below_the_nodes_and_what_is_not_visible_has_no_figures() -> None:
    seen = WatchView(
        name="push", visible=True, flows=2, stalls=1, stalled_now=True, stalled_pct=23.0, longest_stall_s=2.3,
        crawling=0, connecting=0, tx_bps=1_200_000, rx_bps=0.0, processes=("nginx",),
    )  # fmt: skip
    hidden = WatchView(name="push", reason="long-name is down")
    nodes = [msgspec.structs.replace(node, watches=(w,)) for node, w in zip(STATE.nodes, (seen, hidden), strict=True)]
    text = table(msgspec.structs.replace(STATE, nodes=tuple(nodes)), MESH)
    assert text.split("\n\n")[2] == (
        "watch              state        flows  stalls  share  longest  crawl  syn   out  in\n"
        "push on a          stalled          2       1    23%     2.3s      0    0  1.2M   0  nginx\n"
        "push on long-name  not visible      –       –      –        –      –    –     –   –  long-name is down"
    )
