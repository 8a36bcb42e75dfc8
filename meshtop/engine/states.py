"""The states of links and nodes, as tables: the first row that holds gives the state and its reason in words.

The rows and their order are those of docs/manual.md. Rows are pure functions of facts that others have gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from meshtop.engine.snapshot import LinkState, NodeState
from meshtop.model import Thresholds, Value

Words = str | None


class SizeCount(NamedTuple):
    """Probes of one size within the judged window: the lost among the decided."""

    lost: int = 0
    decided: int = 0

    @property
    def loss_pct(self) -> float | None:
        return 100 * self.lost / self.decided if self.decided else None


class LinkFacts(Value, frozen=True, kw_only=True):
    """What a link is judged by, as of one moment of its source's time. Counts are over ``lossy_window_s``."""

    obstacle: str | None = None  # why the direction cannot be probed
    stale: str | None = None  # why there are no fresh samples of src
    ever_answered: bool = False  # some ping, at either size, ever
    unanswered_s: float | None = None  # since the last answer, while pings were being sent; None: none are sent
    unanswered_limit_s: float = 5.0
    tcp_idle_s: float | None = None  # since TCP last progressed; None: not within the window
    stalled_s: float | None = None  # age of the oldest open stall; None also where stalls cannot be followed
    stalled_by: str | None = None  # its cause
    stuck_s: float | None = None  # the same of one that lasts long while other flows of the link move
    crawl: str | None = None  # in words, a flow whose goodput collapsed while data waits
    small: SizeCount = SizeCount()
    full: SizeCount = SizeCount()
    retrans: int = 0
    data_segs: int = 0
    inflated_intervals: int = 0  # in a row, the last ones that had an answer
    rtt_ms: float | None = None  # of the newest interval that had an answer
    baseline_ms: float | None = None
    answered: bool = False  # within the window
    flows: int | None = None
    ping_problem: str | None = None  # what ping said instead of an answer
    socket_problem: str | None = None  # why the sockets cannot be read


class Row(NamedTuple):
    """``holds`` gives None where the row does not hold, else the reason (possibly empty: none is needed)."""

    state: LinkState
    holds: Callable[[LinkFacts, Thresholds], Words]


def _no_data(facts: LinkFacts, _: Thresholds) -> Words:
    return facts.stale or facts.obstacle


def _down(facts: LinkFacts, limits: Thresholds) -> Words:
    if not facts.ever_answered or facts.unanswered_s is None:
        return None
    if facts.unanswered_s < max(limits.down_after_s, facts.unanswered_limit_s):
        return None
    if facts.tcp_idle_s is not None and facts.tcp_idle_s < limits.down_after_s:
        return None
    said = f" ({facts.ping_problem})" if facts.ping_problem else ""
    return f"no ping answered for {facts.unanswered_s:.0f} s at either size{said}, and no TCP progress"


def _stalled(facts: LinkFacts, _: Thresholds) -> Words:
    if facts.stalled_s is None or facts.stalled_s < 1.0:
        return None
    return f"a flow has waited {facts.stalled_s:.1f} s for an acknowledgement" + _by(facts)


def _by(facts: LinkFacts) -> str:
    return f" ({facts.stalled_by})" if facts.stalled_by else ""


def _lossy(facts: LinkFacts, limits: Thresholds) -> Words:
    reasons = []
    if facts.ever_answered:
        for count, size in ((facts.small, "56"), (facts.full, "1200")):
            if count.lost >= limits.lossy_min_lost and (count.loss_pct or 0.0) > limits.lossy_loss_pct:
                reasons.append(f"{count.lost} of {count.decided} pings of {size} bytes lost")
    if facts.data_segs >= limits.lossy_min_data_segs:
        retrans_pct = 100 * facts.retrans / facts.data_segs
        if retrans_pct > limits.lossy_retrans_pct:
            reasons.append(f"{retrans_pct:.1f} % of {facts.data_segs} segments retransmitted")
    return f"{', '.join(reasons)} in {limits.lossy_window_s:g} s" if reasons else None


def _degraded(facts: LinkFacts, limits: Thresholds) -> Words:
    reasons = [_inflated(facts, limits), facts.crawl]
    if facts.stuck_s is not None:
        reasons.append(f"a flow has waited {facts.stuck_s:.0f} s{_by(facts)} while others move")
    return "; ".join(reason for reason in reasons if reason) or None


def _inflated(facts: LinkFacts, limits: Thresholds) -> Words:
    if facts.inflated_intervals < limits.degraded_intervals or not facts.rtt_ms or not facts.baseline_ms:
        return None
    times = facts.rtt_ms / facts.baseline_ms
    return f"RTT {times:.1f} × its baseline ({facts.rtt_ms:.3g} ms against {facts.baseline_ms:.3g} ms)"


def _ok(facts: LinkFacts, _: Thresholds) -> Words:
    if facts.answered:
        return ""
    if facts.tcp_idle_s is None:
        return None
    return f"{facts.ping_problem or _unanswered(facts)}; judged by TCP alone"


def _unanswered(facts: LinkFacts) -> str:
    if facts.unanswered_s is None:
        return "no pings are sent"
    return "no ping was answered lately" if facts.ever_answered else "ICMP was never answered"


def _idle(facts: LinkFacts, _: Thresholds) -> Words:
    if facts.ping_problem:
        pings = f"no answers to pings ({facts.ping_problem})"
    else:
        pings = _unanswered(facts)
    if facts.socket_problem:
        flows = f"sockets cannot be read ({facts.socket_problem})"
    elif facts.flows is None:
        flows = "sockets are not known"
    else:
        flows = "its flows are idle" if facts.flows else "no flows"
    return f"nothing to judge by: {flows}, {pings}"


LINK_TABLE: tuple[Row, ...] = (
    Row("no-data", _no_data),
    Row("down", _down),
    Row("stalled", _stalled),
    Row("lossy", _lossy),
    Row("degraded", _degraded),
    Row("ok", _ok),
    Row("idle", _idle),
)

# From bad to worse; what is not here is not trouble.
TROUBLE: tuple[LinkState, ...] = ("degraded", "lossy", "stalled", "down")


class Verdict(NamedTuple):
    state: LinkState
    reason: str | None


def judge(facts: LinkFacts, limits: Thresholds) -> Verdict:
    """The state of this moment alone."""
    for row in LINK_TABLE:
        reason = row.holds(facts, limits)
        if reason is not None:
            return Verdict(row.state, reason or None)
    raise AssertionError("the last row always holds")


def hold(recent: Sequence[Verdict], limits: Thresholds) -> Verdict:
    """The state to show, from the verdicts on the last intervals (oldest first, the present one last).

    Trouble clears after ``clear_intervals`` clean ones: until then the worst of them stands, and says how far it is.
    """
    present = recent[-1]
    if present.state == "no-data":
        return present
    considered = recent[-limits.clear_intervals :]
    worst = present
    clean = 0
    for ago, verdict in enumerate(reversed(considered)):
        if _severity(verdict.state) > _severity(worst.state):
            worst, clean = verdict, ago
    if worst is present:
        return present
    return Verdict(worst.state, f"{worst.reason}; clean for {clean} of {limits.clear_intervals} intervals")


def _severity(state: LinkState) -> int:
    return TROUBLE.index(state) + 1 if state in TROUBLE else 0


# ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class NodeFacts(Value, frozen=True, kw_only=True):
    """What a node's state is told by. ``sessions``: whether one is up, is being made for the first time, or neither."""

    session_up: bool = False
    session_age_s: float | None = None  # of the oldest session that is up
    failed: bool = False  # the last that was heard of its sessions is that one ended or could not be made
    failure: str | None = None
    ever_connecting: bool = False
    sample_age_s: float | None = None
    fresh_limit_s: float = 3.0
    ping_paths: tuple[str, ...] = ()  # on which the operator's own pings are answered
    pinged: bool = False  # whether the operator's own pings are sent at all
    problems: tuple[str, ...] = ()


class NodeRow(NamedTuple):
    state: NodeState
    holds: Callable[[NodeFacts], Words]


def _node_down(facts: NodeFacts) -> Words:
    if facts.session_up or not facts.failed:
        return None
    return (facts.failure or "no SSH session") + _vantage(facts, "yet it answers pings from here")


def _node_up(facts: NodeFacts) -> Words:
    if facts.sample_age_s is None or facts.sample_age_s > facts.fresh_limit_s:
        return None
    return "; ".join(facts.problems)


def _node_connecting(facts: NodeFacts) -> Words:
    if facts.sample_age_s is not None and not facts.session_up:
        return None
    if not facts.session_up:
        return "connecting" if facts.ever_connecting else "not connected yet"
    if facts.session_age_s is not None and facts.session_age_s <= facts.fresh_limit_s:
        return "connected; waiting for the first sample"
    return None


def _node_silent(facts: NodeFacts) -> Words:
    if facts.sample_age_s is None:
        silence = "connected, but no sample came yet"
    else:
        silence = f"no sample for {facts.sample_age_s:.0f} s"
    return silence + _vantage(facts, "yet it answers pings from here: the SSH session is stuck")


def _vantage(facts: NodeFacts, answered: str) -> str:
    if facts.ping_paths:
        return f"; {answered} ({', '.join(facts.ping_paths)})"
    return "; it does not answer pings from here either" if facts.pinged else ""


NODE_TABLE: tuple[NodeRow, ...] = (
    NodeRow("down", _node_down),
    NodeRow("up", _node_up),
    NodeRow("connecting", _node_connecting),
    NodeRow("silent", _node_silent),
)


def judge_node(facts: NodeFacts) -> tuple[NodeState, str | None]:
    for row in NODE_TABLE:
        reason = row.holds(facts)
        if reason is not None:
            return row.state, reason or None
    raise AssertionError("the last row always holds")
