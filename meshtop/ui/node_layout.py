"""How many lines each part of the node screen has. Pure arithmetic, by the same rule as on the link screen: what is
shown at one height is shown at every greater one."""

from __future__ import annotations

from dataclasses import dataclass

MOST_INTERFACES = 6
MOST_WATCH_LINES = 12


@dataclass
class NodePlan:
    """Heights in lines with titles and headings, 0 for what is not shown."""

    head: int = 0
    interfaces: int = 0
    watches: int = 0
    links: int = 0
    flows: int = 0


def plan_node(body: int, interfaces: int, watches: int, links: int) -> NodePlan:
    """``interfaces``: how many the node has; ``watches``: lines that its watched services take; ``links``: how many
    lead from it on the chosen path."""
    plan = NodePlan()
    left = body
    wanted = min(max(interfaces, 1), MOST_INTERFACES)
    watch_lines = min(watches, MOST_WATCH_LINES)
    for name, lines in (
        ("head", 3), ("flows", 4), ("head", 1), ("watches", min(watch_lines, 2) + 1 if watch_lines else 0), ("head", 2),
        ("interfaces", 2 + min(wanted, 2)), ("flows", 2), ("links", 2 + min(links, 4) if links else 0),
        ("interfaces", max(wanted - 2, 0)), ("watches", max(watch_lines - 2, 0)), ("head", 1),
        ("links", max(links - 4, 0)), ("flows", 4),
    ):  # fmt: skip
        if lines > left:
            if name in ("watches", "links"):
                continue
            break
        setattr(plan, name, getattr(plan, name) + lines)
        left -= lines
    plan.flows += left if plan.flows else 0
    plan.head += 0 if plan.flows else left
    return plan
