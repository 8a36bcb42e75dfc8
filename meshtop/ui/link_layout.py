"""How many lines each part of the link screen has at a given height. Pure arithmetic.

Parts come in the order of what they are worth: first what the link is like and how its round trip went, then what to
make of it, then the flows, then charts of the rest. What is shown at one height is shown at every greater one, and
nothing moves because there is more or less to say.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class LinkPlan:
    """Heights in lines, 0 for what is not shown; with titles and headings."""

    states: int = 0  # the title and a line for each path
    rtt: int = 0  # the plot alone
    rtt_heading: int = 0
    lost: int = 0
    rate: int = 0  # with its heading
    retx: int = 0  # with its heading
    strips: int = 0
    events: int = 0
    axis: int = 0
    flows: int = 0
    ends: int = 0
    finding: int = 0

    @property
    def charts(self) -> int:
        return self.rtt_heading + self.rtt + self.lost + self.rate + self.retx + self.strips + self.events + self.axis


def plan_link(body: int, paths: int) -> LinkPlan:
    """``body``: lines between header and footer; ``paths``: how many are charted."""
    plan = LinkPlan()
    left = body
    # name, lines; in the order in which they are granted
    for name, lines in (
        ("states", 1 + paths), ("rtt", 3), ("axis", 1), ("strips", 1), ("rtt_heading", 1), ("finding", 2),
        ("strips", paths - 1), ("lost", paths), ("flows", 5), ("events", 1), ("rtt", 2), ("rate", 3), ("finding", 1),
        ("ends", 3), ("retx", 3), ("rtt", 2), ("flows", 2), ("finding", 1), ("rate", 1), ("retx", 1),
    ):  # fmt: skip
        if lines > left:
            break
        setattr(plan, name, getattr(plan, name) + lines)
        left -= lines
    _share_out(plan, left)
    return plan


def _share_out(plan: LinkPlan, left: int) -> None:
    """What is left goes to those parts that gain by it; a screen of great height draws larger charts and more flows."""
    growing = [name for name in ("flows", "rtt", "rate", "flows", "retx", "rtt") if getattr(plan, name)]
    place = 0
    while left > 0:
        name = growing[place % len(growing)] if growing else "axis"
        setattr(plan, name, getattr(plan, name) + 1)
        place, left = place + 1, left - 1
