"""What of a link does not stall and hardly gets on, as of the newest reading: flows that crawl, connections that stay
in SYN-SENT."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from meshtop import units
from meshtop.engine.chains import Chains
from meshtop.engine.crawl import Crawl
from meshtop.model import LinkKey


class Held(NamedTuple):
    """How many of each on one link."""

    crawling: int = 0
    connecting: int = 0
    oldest_s: float | None = None  # of those connections


HELD_NONE = Held()


def crawls(chains: Chains) -> Iterator[tuple[LinkKey, Crawl]]:
    """Flows whose goodput collapsed while data waits."""
    waits = chains.waits
    if waits is None or waits.at_s is None:
        return
    for id_, crawl in waits.crawls.now(waits.at_s):
        link = chains.link_of(id_)
        if link is not None:
            yield link, crawl


def crawls_in_words(chains: Chains) -> dict[LinkKey, str]:
    """The slowest flow of each link that crawls."""
    words: dict[LinkKey, tuple[float, str]] = {}
    for link, crawl in crawls(chains):
        slowest = words.get(link)
        if slowest is None or crawl.goodput_bps < slowest[0]:
            now, peak = units.format_rate(crawl.goodput_bps), units.format_rate(crawl.peak_bps)
            words[link] = (crawl.goodput_bps, f"crawl: {now} of a flow that did {peak}, while data waits")
    return {link: text for link, (_, text) in words.items()}


def held_by_link(chains: Chains) -> dict[LinkKey, Held] | None:
    """None where the sockets do not tell it."""
    waits = chains.waits
    if waits is None or waits.at_s is None or not chains.sockets_known:
        return None
    held: dict[LinkKey, Held] = {}
    for link, _ in crawls(chains):
        known = held.get(link, HELD_NONE)
        held[link] = known._replace(crawling=known.crawling + 1)
    for id_, age_s in waits.connecting(waits.at_s):
        link_of = chains.link_of(id_)
        if link_of is not None:
            known = held.get(link_of, HELD_NONE)
            oldest_s = round(max(age_s, known.oldest_s or 0.0), 3)
            held[link_of] = known._replace(connecting=known.connecting + 1, oldest_s=oldest_s)
    return held
