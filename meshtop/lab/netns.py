"""Network namespaces, TUN devices and settings in them, by iproute2 and by /proc/sys.

Read for this: ip-netns(8), ip-tuntap(8), ip-route(8) (``congctl``), setns(2), the kernel's
Documentation/networking/tuntap.rst and ip-sysctl.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from meshtop.lab.plan import PortSpec

T = TypeVar("T")

NETNS_DIR = Path("/run/netns")  # where ip-netns keeps names
CLONE_NEWNET = 0x40000000  # include/uapi/linux/sched.h
TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000  # no IFF_VNET_HDR: the kernel then hands over whole, checksummed packets of the MTU
TUN_QUEUE_PACKETS = 2000  # never the bottleneck: the WAN's own lines are
_NAMESPACE = re.compile(r"meshtop(\d{1,3})-[a-z][a-z0-9]*")

# IPv6 would add router solicitations and neighbour discovery of its own to a network that must be silent when idle;
# kept TCP metrics would let one flow's bad luck lower the next one's slow start threshold. The buffers are the kernel's
# defaults (ip-sysctl.rst): what a machine has been tuned to would decide how much waits in a tunnel.
NAMESPACE_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/ipv4/tcp_no_metrics_save": "1",
    "net/ipv4/tcp_rmem": "4096 131072 6291456",
    "net/ipv4/tcp_wmem": "4096 16384 4194304",
}


class LabError(Exception):
    """Something that the lab cannot do; the message is for the operator."""


def run(argv: Sequence[str], *, text: str | None = None) -> str:
    """The standard output of a tool. Raises LabError with what it said."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed; on Debian and Ubuntu: apt-get install iproute2") from None
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
    return done.stdout


def lab_namespaces() -> dict[int, list[str]]:
    """The namespaces that labs have made on this machine, by lab number."""
    found: dict[int, list[str]] = {}
    if NETNS_DIR.is_dir():
        for entry in sorted(NETNS_DIR.iterdir()):
            if match := _NAMESPACE.fullmatch(entry.name):
                found.setdefault(int(match[1]), []).append(entry.name)
    return found


def add_namespaces(names: Iterable[str]) -> None:
    run(["ip", "-batch", "-"], text="".join(f"netns add {name}\n" for name in names))


def delete_namespaces(names: Iterable[str]) -> None:
    lines = "".join(f"netns del {name}\n" for name in names)
    if lines:
        run(["ip", "-force", "-batch", "-"], text=lines)


def namespace_pids(name: str) -> list[int]:
    """The processes that are in a namespace, those of no lab tool included."""
    return [int(pid) for pid in run(["ip", "netns", "pids", name]).split()]


def _libc_setns(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def inside(namespace: str | None, act: Callable[[], T]) -> T:
    """What ``act`` returns when it is run by a thread inside ``namespace`` (None: where we are)."""
    if namespace is None:
        return act()
    result: list[T] = []
    failure: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            fd = os.open(NETNS_DIR / namespace, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _libc_setns(fd)
            finally:
                os.close(fd)
            result.append(act())
        except BaseException as error:  # handed to the caller's thread
            failure.append(error)

    thread = threading.Thread(target=enter_and_act)  # its end is the way back: the namespace is the thread's alone
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def write_sysctls(values: Mapping[str, str]) -> None:
    """In the namespace of the calling thread. What this kernel does not have is left out."""
    for name, value in values.items():
        path = Path("/proc/sys") / name
        if path.exists():
            path.write_text(value)


def congestion_available() -> list[str]:
    return Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()


def set_up_ports(ports: Sequence[PortSpec], congestion: str | None) -> None:
    """Make the devices of ``ports`` (all in one namespace) with addresses and routes, and switch them on.

    The congestion control is set on the routes: a namespace may not choose one that the machine does not allow to
    everyone (tcp_allowed_congestion_control), its routes may.
    """
    namespace = ports[0].namespace
    if namespace is not None:
        inside(namespace, lambda: write_sysctls(NAMESPACE_SYSCTLS))
    congctl = f" congctl {congestion}" if congestion and namespace is not None else ""
    lines = ["link set lo up"] if namespace is not None else []
    for port in ports:
        network = ".".join(port.address.split(".")[:3]) + ".0"
        lines += [
            f"tuntap add dev {port.device} mode tun",
            f"link set {port.device} addrgenmode none mtu {port.mtu} txqueuelen {TUN_QUEUE_PACKETS} up",
            f"addr add {port.address}/{port.prefix} dev {port.device} noprefixroute",
            f"route add {network}/{port.prefix} dev {port.device} src {port.address}{congctl}",
        ]
    where = [] if namespace is None else ["-n", namespace]
    run(["ip", *where, "-batch", "-"], text="\n".join(lines) + "\n")


def delete_devices(names: Iterable[str]) -> list[str]:
    """Delete those of ``names`` that exist in the operator's namespace; which they were."""
    there = [name for name in names if Path("/sys/class/net", name).exists()]
    for name in there:
        run(["ip", "link", "del", name])
    return there


def operator_addresses() -> list[str]:
    """The IPv4 addresses and routed networks of the operator's namespace, as text."""
    routes: list[dict[str, str]] = json.loads(run(["ip", "-4", "-j", "route", "show", "table", "all"]) or "[]")
    return [route["dst"] for route in routes if "dst" in route]


def open_tun(namespace: str | None, device: str) -> int:
    """A non-blocking file descriptor of a TUN device that exists already: one read or write is one packet."""

    def attach() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
        except OSError:
            os.close(fd)
            raise
        return fd

    return inside(namespace, attach)
