"""Experiments in words: what each is called and what it asks, for who decides whether to run it."""

from __future__ import annotations

from collections.abc import Mapping

from meshtop.model import ExperimentKind

TITLES: Mapping[ExperimentKind, str] = {
    "pmtu-sweep": "Path MTU sweep",
    "probe-sizes": "Small against full pings",
    "loaded-ping": "Ping under load",
    "tcp-udp": "TCP against UDP",
    "streams": "One stream against eight",
    "paths": "Overlay against underlay",
    "mss": "Smaller segments",
}
QUESTIONS: Mapping[ExperimentKind, str] = {
    "pmtu-sweep": "which is the largest packet that passes?",
    "probe-sizes": "do large packets fare worse than small ones?",
    "loaded-ping": "how much does the round trip grow while the line is full?",
    "tcp-udp": "does UDP get through at a rate at which TCP does not?",
    "streams": "does one stream get what eight get together?",
    "paths": "does the path below the overlay do better?",
    "mss": "does it go well with smaller segments?",
}
