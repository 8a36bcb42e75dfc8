"""/proc/net/softnet_stat."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from meshtop.parse.softnet import parse_softnet
from meshtop.readings import SoftnetRow


def test_a_real_node(captured: Callable[[str], str]) -> None:
    assert parse_softnet(captured("proc/e-softnet_stat.txt")) == (
        (
            SoftnetRow(cpu=0, processed=0x0046E572, dropped=0, time_squeeze=1),
            SoftnetRow(cpu=1, processed=0x0044DFFC, dropped=0, time_squeeze=3),
        ),
        0,
    )


def test_an_offline_cpu_leaves_its_number_out() -> None:
    def row(cpu: int) -> str:
        return " ".join(["00000001"] * 12 + [f"{cpu:08x}"] + ["00000000"] * 2)

    rows, failed = parse_softnet(f"{row(0)}\n{row(2)}\n")
    assert ([each.cpu for each in rows], failed) == ([0, 2], 0)


def test_an_older_kernel_has_fewer_words() -> None:
    rows, failed = parse_softnet("0000000a 00000002 00000003 0 0\n" + "0000000a 00000002 00000003 " + "00000000 " * 6)
    assert rows == (SoftnetRow(cpu=0, processed=10, dropped=2, time_squeeze=3),)
    assert failed == 1


@given(st.text(st.sampled_from("0af \nx\x00"), max_size=200))
def test_nothing_raises(text: str) -> None:
    rows, failed = parse_softnet(text)
    assert len(rows) + failed == sum(1 for line in text.split("\n") if line.strip())
