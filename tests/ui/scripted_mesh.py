"""A scripted source for the screen: five nodes of the miku mesh, or any number, with one sick overlay column.

Every figure is a pure function of the tick, so that a screen drawn from it can be compared with a stored one. Run as a
program it shows the live screen: ``python tests/ui/scripted_mesh.py --help``.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from meshtop.engine.snapshot import (
    HostCpuView,
    InterfaceRate,
    LinkState,
    LinkView,
    NodeTcp,
    NodeView,
    ProbeCost,
    QdiscView,
    Snapshot,
    StallCause,
    StallFlow,
    StallView,
    WatchPeer,
    WatchView,
)
from meshtop.engine.view import FlowView, Strip, StripState, TrailPoint, View
from meshtop.model import LinkKey, LogLine, Mark, Mesh, Node, Watch
from meshtop.model import Path as MeshPath
from meshtop.requests import AddMark, Command, SetInterval

EPOCH = 1_714_573_920.0  # 2024-05-01T14:32:00Z
LABELS = {"a": "Hubei", "b": "湖北香港", "c": "Chongqing", "d": "Ningxia", "e": "Ningxia"}
RATES = {"a": (10e6, 40e6), "b": (5e6, 5e6), "c": (100e6, 500e6), "d": (30e6, 30e6), "e": (30e6, 30e6)}
DELAY = {"a": 12.0, "b": 19.0, "c": 10.5, "d": 15.0, "e": 17.0}
PATHS = (MeshPath(name="vpn", kind="overlay", outer_ports=(443,)), MeshPath(name="public", kind="underlay"))
TRAIL = 60


def scripted_mesh(nodes: int = 5, interval_s: float = 1.0) -> Mesh:
    names = list("abcde") if nodes <= 5 else [f"n{number:02d}" for number in range(nodes)]
    return Mesh(
        name="miku",
        nodes=tuple(
            Node(
                name=name,
                label=LABELS.get(name),
                address={"vpn": f"10.10.10.{place + 1}", "public": f"203.0.113.{place + 1}"},
                up_bps=int(RATES[name][0]) if name in RATES else None,
                down_bps=int(RATES[name][1]) if name in RATES else None,
            )
            for place, name in enumerate(names[:nodes])
        ),
        paths=PATHS,
        interval_s=interval_s,
    )


@lru_cache(maxsize=100_000)
def noise(*seed: object) -> float:
    """0 … 1, the same for the same seed on every machine and in every run."""
    value = 2166136261
    for char in repr(seed):
        value = ((value ^ ord(char)) * 16777619) & 0xFFFFFFFF
    value ^= value >> 15
    value = (value * 2246822519) & 0xFFFFFFFF
    return ((value ^ (value >> 13)) & 0xFFFF) / 0xFFFF


def base_rtt_ms(src: str, dst: str, path: str) -> float:
    return 2.0 + DELAY.get(src, 14.0) + DELAY.get(dst, 14.0) + (1.7 if path == "vpn" else 0.0)


def sickness(src: str, dst: str, path: str, tick: int) -> float:
    """0 for a well link … 1 for the worst: the overlay into c, and the push from e to a."""
    if path != "vpn":
        return 0.0
    if dst == "c":
        return 0.55 + 0.15 * math.sin(tick / 9 + DELAY.get(src, 0.0))
    if (src, dst) == ("e", "a"):
        return 1.0 if tick % 30 >= 8 else 0.35
    return 0.0


@lru_cache(maxsize=100_000)
def point(src: str, dst: str, path: str, tick: int, interval_s: float = 1.0) -> TrailPoint:
    sick = sickness(src, dst, path, tick)
    base = base_rtt_ms(src, dst, path)
    at = EPOCH + tick * interval_s
    if sick > 0.3 and noise(src, dst, path, tick, "loss") < 0.12 * sick:
        return TrailPoint(at=at, lost=1, state=state_of(sick))
    rtt = base * (1 + 0.03 * noise(src, dst, path, tick) + sick * (1.2 + 2.5 * noise(src, dst, tick // 3)))
    return TrailPoint(
        at=at,
        rtt_ms=rtt,
        tx_bps=rate_bps(src, dst, path, tick),
        retrans=int(40 * sick * noise(src, dst, tick, "r")) if sick else 0,
        state=state_of(sick),
    )


@lru_cache(maxsize=100_000)
def charted(src: str, dst: str, path: str, tick: int, interval_s: float = 1.0) -> TrailPoint:
    """A point with all that charts draw."""
    plain = point(src, dst, path, tick)
    sick = sickness(src, dst, path, tick)
    full = plain.rtt_ms * (1.02 + sick) if plain.rtt_ms is not None and tick % 5 == 0 else None
    segments = int((plain.tx_bps or 0) / 8 / 1200) + (plain.retrans or 0)
    return msgspec.structs.replace(
        plain, interval_s=interval_s, rtt_full_ms=full, segments=segments,
        lost_full=int(sick > 0.3 and tick % 5 == 0 and noise(src, dst, path, tick, "full") < 0.2),
    )  # fmt: skip


def scripted_flows(view: View, node: str) -> tuple[FlowView, ...]:
    """Of each overlay link the flows that its figures tell of, one to where no node is, and the tunnel's own."""
    tick, flows = int(view.at - EPOCH), []
    address = {one.name: one.address for one in view.mesh.nodes}
    for shown in view.snapshot.links:
        if shown.src != node or not shown.flows:
            continue
        sick = sickness(shown.src, shown.dst, shown.path, tick)
        for number in range(shown.flows):
            share = 0.1 + noise(shown.src, shown.dst, number)
            flows.append(FlowView(
                node=node, link=shown.key, local=address[node][shown.path], local_port=40112 + 2 * number,
                peer=address[shown.dst][shown.path], peer_port=5000 if sick else 22, state="ESTAB",
                process="docker-push" if sick else "sshd", cgroup="/kubepods.slice/push" if sick else "/user.slice",
                watch="registry" if sick else None, stalled=sick >= 0.9 and number < 6,
                tx_bps=0.0 if sick >= 0.9 else (shown.tx_bps or 0.0) * share / shown.flows, rx_bps=1200.0,
                srtt_ms=(shown.srtt_ms or 0) * share, minrtt_ms=shown.minrtt_ms, retrans=int(900 * sick * share),
                segments=9000, cwnd=1 + int(40 * (1 - sick) * share), rto_ms=240.0 + 1400 * sick,
                backoff=3 if sick >= 0.9 and number < 6 else 0, unacked=int(14 * sick), notsent=int(90_000 * sick),
                recv_q=0, mss=1297, pmtu=shown.pmtu, timer="on" if sick else None, timer_ms=900.0 * share,
                congestion="cubic",
            ))  # fmt: skip
    flows.append(FlowView(
        node=node, link=None, local="192.168.7.2", local_port=33990, peer="2001:db8::17", peer_port=443,
        state="ESTAB", process="kubelet", cgroup="/system.slice/kubelet.service", tx_bps=800.0, rx_bps=4000.0,
        srtt_ms=9.0, minrtt_ms=8.0, retrans=0, segments=120, cwnd=10, rto_ms=210.0, backoff=0, unacked=0, notsent=0,
    ))  # fmt: skip
    return tuple(flows)


def rate_bps(src: str, dst: str, path: str, tick: int) -> float | None:
    if path == "public":
        return 0.0
    if (src, dst) == ("e", "a"):
        return 3.1e6 if tick % 30 < 8 else 0.0
    return 800e3 * noise(src, dst, tick // 5) ** 3 + 2e3


def state_of(sick: float) -> LinkState:
    return "stalled" if sick >= 0.9 else "lossy" if sick >= 0.6 else "degraded" if sick >= 0.3 else "ok"


@lru_cache(maxsize=4096)
def link(src: str, dst: str, path: str, tick: int) -> LinkView:
    sick = sickness(src, dst, path, tick)
    recent = [point(src, dst, path, tick - back) for back in range(10)]
    answered = sorted(one.rtt_ms for one in recent if one.rtt_ms is not None)
    rtt = answered[len(answered) // 2] if answered else None
    lost = 100.0 * sum(one.lost for one in recent) / len(recent)
    base = base_rtt_ms(src, dst, path)
    state = state_of(sick)
    reasons: dict[LinkState, str] = {
        "stalled": f"nothing acknowledged for {tick % 30 - 8}.2 s on 8 flows; rto 1.6 s, cwnd 10, "
        "66 % of retransmissions needless",
        "lossy": "4.8 % of 1,240 segments retransmitted in 10 s",
        "degraded": "round trip over twice its baseline for 3 intervals",
    }
    overlay = path == "vpn"
    return LinkView(
        src=src,
        dst=dst,
        path=path,
        state=state,
        reason=reasons.get(state),
        rtt_ms=rtt,
        rtt_baseline_ms=base,
        rtt_full_ms=None if rtt is None else rtt * (1.02 + sick),
        pdv_ms=0.4 + 80 * sick,
        loss_pct=lost / 10,
        loss_full_pct=lost,
        tx_bps=rate_bps(src, dst, path, tick),
        srtt_ms=base * (1.3 + 8 * sick) if overlay else None,
        minrtt_ms=base * 0.99 if overlay else None,
        retrans_per_s=12.0 * sick,
        retrans_pct=6.1 * sick,
        dsack_pct=66.0 if sick else None,
        flows=(8 if sick else 2) if overlay else 0,
        stalls=3 if state == "stalled" else 0,
        stalled_now=state == "stalled",
        longest_stall_s=tick % 30 - 7.8 if state == "stalled" else None,
        stalled_pct=70.0 if state == "stalled" else 0.0,
        pmtu=1400 if overlay else 1500,
        sample_age_s=0.4,
    )


def second_of(src: str, dst: str, path: str, tick: int) -> StripState:
    """What the flows of a link did in that second."""
    sick = sickness(src, dst, path, tick)
    if path == "public":
        return "idle"
    if tick % 97 in (3, 4):
        return "no-data"
    if sick >= 0.9:
        return "stalled"
    return "retransmitting" if sick > 0.3 and noise(src, dst, tick, "r") > 0.4 else "sending"


@lru_cache(maxsize=4096)
def recent(src: str, dst: str, path: str, tick: int) -> tuple[TrailPoint, ...]:
    return tuple(point(src, dst, path, one) for one in range(tick - TRAIL, tick + 1) if one % 97 not in (3, 4))


@lru_cache(maxsize=4096)
def seconds_until(src: str, dst: str, path: str, tick: int) -> tuple[StripState, ...]:
    return tuple(second_of(src, dst, path, one) for one in range(tick - 119, tick + 1))


def rfc3339(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stall_views(tick: int) -> tuple[StallView, ...]:
    """From e to a: what stood until the tick's round began, and what stands now; one to where no node is."""
    begin = EPOCH + tick - tick % 30 + 8
    flow = StallFlow(
        local="10.10.10.5:40112", peer="10.10.10.1:5000", cookie="1a2b", process="docker-push", watch="registry"
    )
    common = {"src": "e", "node": "e", "flow": flow}
    stalls = [
        StallView(
            id="s1", dst="a", path="vpn", start=rfc3339(begin - 30), end=rfc3339(begin - 8.2), duration_s=21.8,
            resolution_s=0.2, outcome="recovered", cause="repeated-loss", settled=True,
            causes=(StallCause(at=rfc3339(begin - 30), cause="recovery"),
                    StallCause(at=rfc3339(begin - 27), cause="repeated-loss")),
            evidence={"unacked": 14, "sacked": 9, "lost": 5, "rto_ms": 1640, "backoff": 0, "cwnd": 10}, **common,
        ),
        StallView(
            id="s2", dst=None, path=None, start=rfc3339(begin - 20), end=rfc3339(begin - 19.3), duration_s=0.7,
            resolution_s=1.0, outcome="lost", cause="undetermined", settled=False,
            src="b", node="b", flow=StallFlow(local="192.168.7.2:33990", peer="[2001:db8::17]:443"),
            evidence={"sampling_gap": True},
        ),
    ]  # fmt: skip
    if tick % 30 >= 8:
        stalls.append(
            StallView(
                id="s3", dst="a", path="vpn", start=rfc3339(begin), end=None, duration_s=tick % 30 - 7.8,
                resolution_s=0.2, outcome="open", cause="rto-no-ack", settled=False,
                causes=(StallCause(at=rfc3339(begin + 1), cause="rto-no-ack"),),
                evidence={"unacked": 14, "rto_ms": 1640, "backoff": 3, "cwnd": 1, "lastack_ms": 6100,
                          "receiver": {"recv_q": 0, "rcv_ooopack": 3}}, **common,
            )
        )  # fmt: skip
    return tuple(stalls)


def watches_of(name: str, tick: int) -> tuple[WatchView, ...]:
    """A push from e by the proxy on a to a store outside of the mesh; c has it in a pod, so nobody sees it there."""
    stalled = tick % 30 >= 8
    stall_s = tick % 30 - 7.8 if stalled else None
    common = {
        "name": "push", "visible": True, "flows": 1, "stalls": int(stalled), "stalled_now": stalled,
        "longest_stall_s": stall_s, "stalled_pct": 70.0 if stalled else 0.0, "crawling": 0, "connecting": 0,
    }  # fmt: skip
    if name == "e":
        peer = WatchPeer(
            address="10.10.10.1", port=8443, dst="a", path="vpn", flows=1, stalls=int(stalled), stalled_now=stalled,
            longest_stall_s=stall_s, tx_bps=31e3, rx_bps=0.0,
        )  # fmt: skip
        return (WatchView(**common, tx_bps=31e3, rx_bps=0.0, processes=("docker-push",), peers=(peer,)),)
    if name == "a":
        peers = (
            WatchPeer(address="10.10.10.5", dst="e", path="vpn", flows=1, stalls=0, tx_bps=0.0, rx_bps=31e3),
            WatchPeer(address="2001:db8::17", port=5000, flows=2, stalls=0, tx_bps=29e3, rx_bps=0.0),
        )
        calm = {"stalls": 0, "stalled_now": False, "longest_stall_s": None, "stalled_pct": 0.0, "flows": 3}
        moved = {
            "tx_bps": 29e3,
            "rx_bps": 31e3,
            "listening": True,
            "processes": ("nginx",),
            "cgroups": ("/nginx.service",),
        }
        return (WatchView(**{**common, **calm}, **moved, peers=peers), WatchView(name="web", visible=True, flows=0))
    if name == "c":
        return (
            WatchView(name="push", reason="nobody listens on port 5000 in this network namespace", listening=False),
        )
    return ()


WATCHES = (Watch(name="push", ports=(5000, 8443), nodes=("a", "c", "e")), Watch(name="web", ports=(443,), nodes=("a",)))
WAITING = {
    ("b", "c", "vpn"): {"crawling": 1, "connecting": 0},
    ("d", "a", "public"): {"crawling": 0, "connecting": 2, "connecting_oldest_s": 14.2},
    ("e", "a", "vpn"): {"crawling": 1, "connecting": 3, "connecting_oldest_s": 9.0},
}


def key_of(key: LinkKey) -> tuple[str, str, str]:
    return key.src, key.dst, key.path


def node_view(node: Node, tick: int) -> NodeView:
    name = node.name
    delay, sick = DELAY.get(name, 14.0), name == "e"
    return NodeView(
        name=name,
        label=node.label,
        state="up",
        sample_age_s=0.4,
        samples=tick,
        clock_offset_s=0.012 * (ord(name[0]) - 98),
        kernel="6.1.0",
        ss="6.1.0",
        iperf3="3.12",
        root=False,
        ssh_rtt_ms=delay * 2 + noise(name, tick // 4),
        operator_rtt_ms={"public": delay * 2 - 0.6, "vpn": None},
        cost=ProbeCost(cpu_pct=0.4 + 0.2 * noise(name, tick // 5), rx_bytes_per_s=590 + 80 * noise(name, tick // 3)),
        tcp=NodeTcp(retrans_per_s=2.1, retrans_pct=3.1 if sick else 0.1, timeouts_per_s=1.2 if sick else 0.0),
        softnet_drops=0,
        udp_drops=7 if sick else 0,
        interfaces=(
            InterfaceRate(name="lo", rx_bps=0.0, tx_bps=0.0, rx_drop=0, tx_drop=0),
            InterfaceRate(name="eth0", rx_bps=3.3e6, tx_bps=4.1e6, rx_drop=0, tx_drop=12 if sick else 0),
            InterfaceRate(name="vpn_vpn0", rx_bps=1.2e6, tx_bps=3.2e6, rx_drop=None, tx_drop=None),
        ),
        sockets=24,
        unattributed=1,
        host=HostCpuView(
            cpu_pct=97.5 if sick else 12.0, softirq_pct=4.0, steal_pct=0.5, iowait_pct=0.2, cores=4,
            busiest_core_pct=99.0 if sick else 31.0, busiest_core_softirq_pct=9.5,
            cpu_wait_ms=12.4 if sick else 0.1, age_s=4.2,
        ),
        qdiscs=None if name == "b" else _qdiscs(40 if sick else 0),
        qdiscs_reason="tc: not found" if name == "b" else None,
    )  # fmt: skip


def _qdiscs(dropped: int) -> tuple[QdiscView, ...]:
    """A shaper with a fair queue below it."""
    counts = {"seconds": 10.0, "sent": 3100, "dropped": dropped, "age_s": 3.4}
    return (
        QdiscView(device="eth0", kind="htb", **counts),
        QdiscView(device="eth0", kind="fq_codel", parent="1:10", **counts),
        QdiscView(device="vpn_vpn0", kind="tbf", rate="20Mbit", **{**counts, "dropped": 0}),
    )


def without_news(node: NodeView, state: str, reason: str, cure: str) -> NodeView:
    return NodeView(name=node.name, label=node.label, state=state, reason=reason, cure=cure)  # type: ignore[arg-type]


DOWN_REASON = "connection refused by 203.0.113.4 port 22"
DOWN_CURE = "start sshd there, or correct nodes.d.ssh"


def scripted_view(
    tick: int,
    nodes: int = 5,
    *,
    down: tuple[str, ...] = (),
    at: float | None = None,
    interval_s: float = 1.0,
    notice: str | None = None,
    watched: bool = False,
) -> View:
    """The state of the script at ``tick``; nodes in ``down`` refuse SSH. ``watched``: with watched services, flows that
    crawl and connections that do not get through."""
    mesh = scripted_mesh(nodes, interval_s)
    if watched:
        mesh = msgspec.structs.replace(mesh, watches=WATCHES)
    names = [node.name for node in mesh.nodes]
    links, trails = [], {}
    for src in names:
        for dst in names:
            for path in PATHS:
                if src == dst:
                    continue
                key = LinkKey(src, dst, path.name)
                if src in down:
                    links.append(LinkView(src=src, dst=dst, path=path.name, state="no-data", reason=f"{src} is down"))
                    continue
                links.append(link(src, dst, path.name, tick))
                trails[key] = recent(src, dst, path.name, tick)
    views = [
        without_news(node_view(node, tick), "down", DOWN_REASON, DOWN_CURE)
        if node.name in down
        else node_view(node, tick)
        for node in mesh.nodes
    ]
    if watched:
        views = [msgspec.structs.replace(v, watches=watches_of(v.name, tick)) if v.state == "up" else v for v in views]
        links = [msgspec.structs.replace(one, **WAITING.get((one.src, one.dst, one.path), {})) for one in links]
    moment = EPOCH + tick if at is None else at
    return View(
        at=moment,
        mesh=mesh,
        snapshot=Snapshot(
            mesh="miku", at="2024-05-01T14:32:00.000Z", window_s=10.0, nodes=tuple(views), links=tuple(links)
        ),
        trails=trails,
        strips={key: Strip(until=moment, seconds=seconds_until(*key_of(key), tick)) for key in trails},
        stalls=stall_views(tick),
        looking=("e", "a") if tick % 30 >= 8 else (),
        log=LOG,
        marks=(Mark(at=EPOCH - 20, text="push of harbor/app:1.7 started"),),
        notice=notice,
        operator_cpu_pct=2.1 + 0.3 * noise(tick // 2),
        operator_rss_bytes=61 << 20,
    )


LOG = (
    LogLine(at=EPOCH - 61, node=None, level="info", text="5 nodes, 40 directed links on 2 paths"),
    LogLine(at=EPOCH - 60, node="a", level="info", text="up: linux 6.1.0, ss 6.1.0, iperf3 3.12, ordinary user"),
    LogLine(at=EPOCH - 60, node="e", level="info", text="up: linux 6.1.0, ss 6.1.0, iperf3 3.12, ordinary user"),
    LogLine(at=EPOCH - 31, node="c", level="warning", text="vpn into c: all 4 links degraded, public unchanged"),
    LogLine(at=EPOCH - 9, node="e", level="error", text="e→a vpn stalled: nothing acknowledged for 1.0 s on 8 flows"),
    LogLine(at=EPOCH - 4, node="b", level="info", text="clock stepped by +0.4 s; samples stay in order"),
)


class ScriptedSource:
    """Gives whatever view it was last told; counts what it is asked for."""

    def __init__(self, view: View | None = None) -> None:
        self.current = view if view is not None else scripted_view(40)
        self.sent: list[Command] = []
        self.asked = 0
        self.asked_past: list[float] = []
        self.refusal: str | None = None
        self._callbacks: list[Callable[[], None]] = []

    def view(self) -> View:
        self.asked += 1
        return self.current

    def trail(self, key: LinkKey) -> tuple[TrailPoint, ...]:
        """Fifteen minutes, with a hole of two seconds in each hundred or so."""
        if not any(link.key == key and link.state != "no-data" for link in self.current.snapshot.links):
            return ()
        tick = int(self.current.at - EPOCH)
        return tuple(
            charted(*key_of(key), one, self.current.mesh.interval_s)
            for one in range(tick - 900, tick + 1)
            if one % 97 not in (3, 4)
        )

    def past(self, at: float) -> View | None:
        """The script as it was, up to fifteen minutes back."""
        tick = int(at - EPOCH)
        if not 0 <= int(self.current.at - EPOCH) - tick <= 900:
            return None
        self.asked_past.append(at)
        down = tuple(node.name for node in self.current.snapshot.nodes if node.state == "down")
        view = scripted_view(tick, len(self.current.mesh.nodes), down=down)
        return msgspec.structs.replace(
            view, past=True, marks=tuple(mark for mark in view.marks if mark.at <= view.at),
            log=tuple(line for line in view.log if line.at <= view.at),
        )  # fmt: skip

    def flows(self, node: str, link: LinkKey | None = None) -> tuple[FlowView, ...]:
        if not any(shown.name == node and shown.state == "up" for shown in self.current.snapshot.nodes):
            return ()
        return tuple(flow for flow in scripted_flows(self.current, node) if link is None or flow.link == link)

    def subscribe(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def send(self, command: Command) -> None:
        if self.refusal is not None:
            raise ValueError(self.refusal)
        self.sent.append(command)

    def give(self, view: View) -> None:
        self.current = view
        for callback in self._callbacks:
            callback()


class LiveScript(ScriptedSource):
    """Runs the script in real time: every node reports once an interval, at its own moment."""

    def __init__(self, nodes: int, down: tuple[str, ...], stop_after: int | None) -> None:
        self.nodes, self.down, self.stop_after = nodes, down, stop_after
        self.marks: list[Mark] = []
        self.interval_s = 1.0
        super().__init__(scripted_view(40, nodes, down=down))

    def send(self, command: Command) -> None:
        super().send(command)
        if isinstance(command, SetInterval):
            self.interval_s = command.interval_s
        elif isinstance(command, AddMark):
            self.marks.append(Mark(at=self.current.at, text=command.text))

    async def run(self) -> None:
        tick, ticks_of = 40, {}
        while self.stop_after is None or tick < self.stop_after:
            tick += 1
            whole = scripted_view(tick, self.nodes, down=self.down, interval_s=self.interval_s)
            for place, node in enumerate(whole.mesh.nodes):
                ticks_of[node.name] = tick
                self._prepare(node.name, tick + 1)
                await asyncio.sleep(self.interval_s / len(whole.mesh.nodes))
                self.give(self._mixed(whole, ticks_of, place))
        await asyncio.Event().wait()

    def _prepare(self, src: str, tick: int) -> None:
        """A part of the next view's work, so that it is not done all at once: the screen shares the event loop."""
        for node in self.current.mesh.nodes:
            for path in PATHS:
                if node.name != src:
                    link(src, node.name, path.name, tick)
                    recent(src, node.name, path.name, tick)
                    seconds_until(src, node.name, path.name, tick)

    def _mixed(self, whole: View, ticks_of: dict[str, int], place: int) -> View:
        """Rows of nodes that have reported at this tick are new, the others still those of the tick before."""
        old = {link.key: link for link in self.current.snapshot.links}
        new_names = {node.name for node in whole.mesh.nodes[: place + 1]}
        links = tuple(one if one.src in new_names else old.get(one.key, one) for one in whole.snapshot.links)
        trails = {
            key: trail if key.src in new_names else self.current.trails.get(key, trail)
            for key, trail in whole.trails.items()
        }
        snapshot = Snapshot(mesh="miku", at=whole.snapshot.at, window_s=10.0, nodes=whole.snapshot.nodes, links=links)
        return View(
            at=whole.at + place / len(whole.mesh.nodes), mesh=whole.mesh, snapshot=snapshot, trails=trails,
            strips=whole.strips, stalls=whole.stalls, looking=whole.looking,
            log=whole.log, marks=(*whole.marks, *self.marks), operator_cpu_pct=whole.operator_cpu_pct,
            operator_rss_bytes=whole.operator_rss_bytes,
        )  # fmt: skip


def main() -> int:
    from meshtop.ui.app import MeshtopApp

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--down", default="", help="comma-separated names of nodes that refuse SSH")
    parser.add_argument("--theme")
    parser.add_argument("--theme-dir", type=Path)
    parser.add_argument("--ascii", action="store_true", default=None)
    parser.add_argument("--stop-after", type=int, help="give nothing new from this tick on")
    parser.add_argument("--fail-after", type=float, help="raise in the background after so many seconds")
    parser.add_argument(
        "--no-screen", action="store_true", help="run the script alone, to know what it costs by itself"
    )
    parser.add_argument("--pulse", type=Path, help="write the time into this file ten times a second")
    options = parser.parse_args()
    source = LiveScript(options.nodes, tuple(filter(None, options.down.split(","))), options.stop_after)
    if options.no_screen:
        asyncio.run(source.run())

    async def pulse() -> None:
        while options.pulse is not None:
            with options.pulse.open("a", encoding="ascii") as file:
                file.write(f"{time.monotonic()}\n")
            await asyncio.sleep(0.1)

    async def background() -> None:
        try:
            async with asyncio.timeout(options.fail_after), asyncio.TaskGroup() as group:
                group.create_task(pulse())
                await source.run()
        except TimeoutError:
            raise RuntimeError("the script was told to fail") from None

    app = MeshtopApp(
        source, theme=options.theme, theme_dir=options.theme_dir, ascii=options.ascii, background=background
    )
    app.run()
    return app.return_code or 0


if __name__ == "__main__":
    sys.exit(main())
