"""A node's clock that is off."""

from __future__ import annotations

from collections.abc import Iterator

from meshtop.engine.nodes import NodeRecord
from meshtop.engine.snapshot import Evidence
from meshtop.engine.verdicts.lifecycle import Candidate, Subject
from meshtop.model import NodeName

_SKEW_INFO_S, _SKEW_WARNING_S = 1.0, 5.0


def skew(name: NodeName, record: NodeRecord, now: float) -> Iterator[Candidate]:
    wall_s, uptime_s = record.info.wall_s, record.info.wall_uptime_s
    if wall_s is None or uptime_s is None or record.boot is None or record.state(now)[0] != "up":
        return
    offset_s = wall_s - record.boot.clock.operator_time(uptime_s)
    doubt_s = (record.sessions.ssh_rtt_ms or 0.0) / 1000
    if abs(offset_s) - doubt_s < _SKEW_INFO_S:
        return
    way = "ahead" if offset_s > 0 else "behind"
    yield Candidate(
        subject=Subject("clock-skew", node=name),
        severity="warning" if abs(offset_s) >= _SKEW_WARNING_S else "info",
        confidence=0.95,
        summary=f"{name}: its clock is {abs(offset_s):.1f} s {way} of this machine's",
        evidence=(Evidence(what="clock offset", value=round(offset_s, 2), expected=f"< {_SKEW_INFO_S:g} s"),),
        next=("chronyc tracking, or timedatectl, on both; tokens fail by minutes, logs mislead by seconds",),
    )
