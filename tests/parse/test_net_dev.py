"""/proc/net/dev."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.net_dev import parse_net_dev
from meshtop.readings import DevCounters


def test_a_real_node(captured: Callable[[str], str]) -> None:
    devices, failed = parse_net_dev(captured("proc/e-dev.txt"))
    assert failed == 0
    assert list(devices) == ["lo", "eth0", "mgmt0", "vpn_vpn"]
    assert devices["eth0"].rx_bytes == 579283
    assert devices["eth0"].tx_bytes == 11438318
    assert devices["vpn_vpn"].tx_packets == 7356


def test_every_column_finds_its_name() -> None:
    columns = " ".join(str(number) for number in range(1, 17))
    assert parse_net_dev(f"  eth0:{columns}\n") == (
        {
            "eth0": DevCounters(
                rx_bytes=1,
                rx_packets=2,
                rx_errs=3,
                rx_drop=4,
                rx_fifo=5,
                tx_bytes=9,
                tx_packets=10,
                tx_errs=11,
                tx_drop=12,
                tx_fifo=13,
                tx_carrier=15,
            )
        },
        0,
    )


def test_an_alias_keeps_its_colon_and_odd_names_are_cleaned() -> None:
    columns = " 0" * 16
    devices, failed = parse_net_dev(f"eth0:1:{columns}\nv|an@1:{columns}\n\x1b[31mred:{columns}\n")
    assert (list(devices), failed) == (["eth0:1", "v|an@1", "red"], 0)


def test_damage_is_counted() -> None:
    assert parse_net_dev("eth0: 1 2 3\n: 0\nno colon\neth1:" + " x" * 16 + "\n") == ({}, 4)


@given(st.text(st.sampled_from("eth0:| 19\nInterface-\x00é٣"), max_size=300))
def test_nothing_raises(text: str) -> None:
    devices, failed = parse_net_dev(text)
    assert len(devices) + failed <= len(text.split("\n"))
