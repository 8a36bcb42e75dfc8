"""What tools say of their version: ``ss -V``, ``iperf3 --version``, ``ping -V`` or ``busybox``."""

from __future__ import annotations

import re

_SS = re.compile(r"\biproute2-v?(?:ss)?(\d{1,4}(?:\.\d{1,4}){1,3}|\d{6}\b)", re.ASCII)
_IPERF3 = re.compile(r"\biperf (3(?:\.\d{1,4}){1,3})", re.ASCII)
_IPUTILS = re.compile(r"\biputils[- ](?:s)?(\d{8}|\d{1,4}(?:\.\d{1,4}){1,3})", re.ASCII)
_BUSYBOX = re.compile(r"\bBusyBox v(\d{1,4}(?:\.\d{1,4}){1,3})", re.ASCII)

# Up to 5.7 ss told the day of its release (include/SNAPSHOT.h), so: first day → release.
_SNAPSHOTS = (
    (200602, "5.7.0"),
    (200330, "5.6.0"),
    (200127, "5.5.0"),
    (191125, "5.4.0"),
    (190924, "5.3.0"),
    (190708, "5.2.0"),
    (190510, "5.1.0"),
    (190319, "5.0.0"),
    (190107, "4.20.0"),
    (181023, "4.19.0"),
    (180813, "4.18.0"),
    (180608, "4.17.0"),
    (180402, "4.16.0"),
    (180129, "4.15.0"),
    (171113, "4.14.0"),
    (170905, "4.13.0"),
    (170705, "4.12.0"),
    (170501, "4.11.0"),
    (170221, "4.10.0"),
    (161212, "4.9.0"),
    (161009, "4.8.0"),
    (160808, "4.7.0"),
    (160518, "4.6.0"),
    (160314, "4.5.0"),
    (160111, "4.4.0"),
    (151103, "4.3.0"),
    (150901, "4.2.0"),
    (150626, "4.1.0"),
)


def parse_ss_version(text: str) -> str | None:
    """``ss utility, iproute2-6.1.0`` → ``6.1.0``; ``iproute2-ss200127`` → ``5.5.0``. None if it says neither, or is
    older than 4.1."""
    found = _SS.search(text[:4096])
    if found is None:
        return None
    version = found[1]
    if "." in version:
        return version
    return next((release for day, release in _SNAPSHOTS if int(version) >= day), None)


def parse_iperf3_version(text: str) -> str | None:
    """``iperf 3.12 (cJSON 1.7.15)`` → ``3.12``."""
    found = _IPERF3.search(text[:4096])
    return found[1] if found else None


def parse_ping_version(text: str) -> str | None:
    """``ping from iputils 20221126`` or ``ping utility, iputils-s20190709`` → ``iputils 20221126``; BusyBox's banner →
    ``busybox 1.35.0``."""
    head = text[:4096]
    found = _IPUTILS.search(head)
    if found:
        return f"iputils {found[1]}"
    found = _BUSYBOX.search(head)
    return f"busybox {found[1]}" if found else None
