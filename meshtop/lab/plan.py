"""What a lab consists of, before any of it exists: sites, lines, delays, addresses and names. Pure values.

The sites are those of the mesh that meshtop was first written for: A with a slow uplink and the public entry, B far
away on a thin line, C on a wide home line, D and E behind home lines of about 30 Mbit/s. Three networks join them:

* ``public``  198.18.<index>.0/24, over the sites' lines (RFC 2544 benchmarking addresses: never routed anywhere)
* ``vpn``     10.10.10.0/24, the overlay; seen inside the namespaces only, so every lab may use the same
* ``mgmt``    198.19.<index>.0/24, what the operator's SSH goes by: no lines, no delay

The operator is a site of its own on ``public`` and ``mgmt``.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshtop.model import Value

OPERATOR = "operator"
PUBLIC, VPN, MGMT = "public", "vpn", "mgmt"
MESH_NAME = "miku"
MAX_LABS = 200  # one octet of the address plan, some left over
OPERATOR_HOST = 250  # host part of the operator's own addresses

QUEUE_S = (
    0.040  # a drop-tail queue of this much line time: room for a flow of 40 ms, yet no bufferbloat in a healthy lab
)
QUEUE_MIN_BYTES = 64 * 1024  # what small home routers have at least
QUEUE_MAX_BYTES = 256 * 1024

PUBLIC_MTU = 1500
VPN_MTU = 1400  # without a tunnel; those have their own (tunnel.py)
HUB = "a"  # where the overlay's clients connect to: the case's public entry
OUTER_PORT = 443  # of the hub: what the tunnels' own sockets are told by
NAT_HOST = 100  # host part of the public address that all sites behind NAT are seen with


class Site(Value, frozen=True, kw_only=True):
    """One place with one line. ``delay_ms`` is its share of a one-way delay: a pair's is the sum of both."""

    name: str
    label: str
    up_bps: int
    down_bps: int
    delay_ms: float


CASE = (
    Site(name="a", label="Hubei", up_bps=10_000_000, down_bps=40_000_000, delay_ms=4.0),
    Site(name="b", label="Hong Kong", up_bps=5_000_000, down_bps=5_000_000, delay_ms=12.0),
    Site(name="c", label="Chongqing", up_bps=100_000_000, down_bps=100_000_000, delay_ms=6.0),
    Site(name="d", label="Ningxia 1", up_bps=30_000_000, down_bps=30_000_000, delay_ms=8.0),
    Site(name="e", label="Ningxia 2", up_bps=30_000_000, down_bps=30_000_000, delay_ms=7.0),
)
OPERATOR_DELAY_MS = 5.0


class LineSpec(Value, frozen=True, kw_only=True):
    """A site's access line: bit rates and drop-tail queue lengths, each way."""

    site: str
    up_bps: int
    down_bps: int
    up_queue_bytes: int
    down_queue_bytes: int


class PortSpec(Value, frozen=True, kw_only=True):
    """One TUN device of the WAN. ``namespace`` None is the operator's own."""

    net: str
    site: str
    namespace: str | None
    device: str
    address: str
    prefix: int
    mtu: int


class WanSpec(Value, frozen=True, kw_only=True):
    """All that the WAN process is told at its start."""

    ports: tuple[PortSpec, ...]
    lines: tuple[LineSpec, ...]
    delays_ms: dict[str, float]  # a site's share
    direct_nets: tuple[str, ...] = (MGMT,)  # neither lines nor delays
    nat: tuple[str, ...] = ()  # sites behind NAT on the public network
    nat_address: str = ""
    seed: int = 1


def queue_bytes(rate_bps: int) -> int:
    """The drop-tail queue before a line of ``rate_bps``."""
    return min(QUEUE_MAX_BYTES, max(QUEUE_MIN_BYTES, int(rate_bps / 8 * QUEUE_S)))


class LabPlan(Value, frozen=True, kw_only=True):
    """Names and addresses of lab number ``index``."""

    index: int
    sites: tuple[Site, ...] = CASE
    nat: tuple[str, ...] = ()  # sites whose public address nobody can dial
    seed: int = 1  # of the WAN's chances

    def namespace(self, site: str) -> str:
        return f"{namespace_prefix(self.index)}{site}"

    def namespaces(self) -> tuple[str, ...]:
        return tuple(self.namespace(site.name) for site in self.sites)

    def operator_devices(self) -> tuple[str, str]:
        """The lab's devices in the operator's namespace: on ``public``, on ``mgmt``."""
        return f"mtlab{self.index}pub", f"mtlab{self.index}mgmt"

    def address(self, net: str, site: str) -> str:
        host = OPERATOR_HOST if site == OPERATOR else 1 + [each.name for each in self.sites].index(site)
        if net == VPN:
            return f"10.10.10.{host}"
        return f"198.{18 if net == PUBLIC else 19}.{self.index}.{host}"

    def seen_address(self, net: str, site: str) -> str:
        """The address that others see a site's packets come from."""
        return self.nat_address() if net == PUBLIC and site in self.nat else self.address(net, site)

    def nat_address(self) -> str:
        return f"198.18.{self.index}.{NAT_HOST}"

    def ports(self) -> Iterator[PortSpec]:
        for site in self.sites:
            namespace = self.namespace(site.name)
            for net, device, mtu in ((PUBLIC, "pub0", PUBLIC_MTU), (VPN, "vpn0", VPN_MTU), (MGMT, "mgmt0", PUBLIC_MTU)):
                yield self._port(net, site.name, namespace, device, mtu)
        for net, device in zip((PUBLIC, MGMT), self.operator_devices(), strict=True):
            yield self._port(net, OPERATOR, None, device, PUBLIC_MTU)

    def _port(self, net: str, site: str, namespace: str | None, device: str, mtu: int) -> PortSpec:
        address = self.address(net, site)
        return PortSpec(net=net, site=site, namespace=namespace, device=device, address=address, prefix=24, mtu=mtu)

    def wan_spec(self) -> WanSpec:
        lines = tuple(
            LineSpec(
                site=site.name,
                up_bps=site.up_bps,
                down_bps=site.down_bps,
                up_queue_bytes=queue_bytes(site.up_bps),
                down_queue_bytes=queue_bytes(site.down_bps),
            )
            for site in self.sites
        )
        delays = {site.name: site.delay_ms for site in self.sites} | {OPERATOR: OPERATOR_DELAY_MS}
        return WanSpec(
            ports=tuple(self.ports()),
            lines=lines,
            delays_ms=delays,
            nat=self.nat,
            nat_address=self.nat_address(),
            seed=self.seed,
        )


def namespace_prefix(index: int) -> str:
    return f"meshtop{index}-"
