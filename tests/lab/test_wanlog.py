"""The WAN's log: what is written can be read, its size is bounded, and the truth of flows uses it."""

from __future__ import annotations

import ipaddress
import resource
import struct
import time
from pathlib import Path

import pytest

from meshtop.lab.faults import FaultRequest, make_fault
from meshtop.lab.plan import LabPlan
from meshtop.lab.segments import Packet
from meshtop.lab.truth import check
from meshtop.lab.wan import Wan
from meshtop.lab.wanlog import WanEvent, WanLog, WanLogError, read_wan_log

ACK = 0x10
PLAN = LabPlan(index=7)
E, A = (PLAN.address("public", site) for site in ("e", "a"))


def tcp(src: str, dst: str, seq: int, ack: int, payload: int) -> bytes:
    ports = (1, 2) if src == E else (2, 1)
    head = struct.pack("!HHIIBBHHH", *ports, seq, ack, 5 << 4, ACK, 100, 0, 0)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + payload, 0, 0, 64, 6, 0)
    return ip + ipaddress.IPv4Address(src).packed + ipaddress.IPv4Address(dst).packed + head + bytes(payload)


def wan_with(*faults: tuple[str, str]) -> Wan:
    wan = Wan(PLAN.wan_spec())
    for kind, value in faults:
        wan.add_fault(make_fault(FaultRequest(target="e", kind=kind, value=value), "abcde"))
    return wan


def port_of(wan: Wan, site: str) -> int:
    return next(port.index for port in wan.ports if (port.site, port.net) == (site, "public"))


def test_what_is_noted_can_be_read_with_times_of_the_wall_clock(tmp_path: Path) -> None:
    wan, log = wan_with(("loss", "100%")), WanLog(tmp_path / "log")
    wan.witness = log.witness
    now = time.monotonic()
    wan.inject(now, port_of(wan, "e"), tcp(E, A, 5, 9, 100))
    wan.due(now + 1)
    log.close()
    (event,) = read_wan_log(tmp_path / "log")
    assert (event.what, event.why, event.net, event.src, event.dst) == ("drop", "loss", "public", "e", "a")
    assert (event.size, event.head) == (140, tcp(E, A, 5, 9, 100)[:40])
    assert event.at == pytest.approx(time.time(), abs=5)
    assert event.until == event.at
    assert (log.status().events, log.status().missed) == (1, 0)


def test_a_log_is_bounded_and_says_what_did_not_fit(tmp_path: Path) -> None:
    wan, log = wan_with(("loss", "100%")), WanLog(tmp_path / "log", most_bytes=2000)
    wan.witness = log.witness
    for count in range(100):
        wan.inject(float(count), port_of(wan, "e"), tcp(E, A, 5, 9, 100))
        wan.due(count + 0.5)
    log.close()
    status = log.status()
    assert status.events + status.missed == 100
    assert 0 < status.events == len(list(read_wan_log(tmp_path / "log")))
    assert (tmp_path / "log").stat().st_size < 2100


def test_a_full_disk_stops_the_log_and_not_the_wan(tmp_path: Path) -> None:
    wan, log = wan_with(("loss", "100%")), WanLog(tmp_path / "log")
    wan.witness = log.witness
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        for count in range(1000):
            wan.inject(float(count), port_of(wan, "e"), tcp(E, A, 5, 9, 100))
            wan.due(count + 0.5)
        log.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    status = log.status()
    assert (status.events + status.missed, wan.drops["loss"]) == (1000, 1000)
    assert status.missed > 900
    assert len(list(read_wan_log(tmp_path / "log"))) == status.events


def test_a_log_that_cannot_be_written_is_refused_at_once() -> None:
    with pytest.raises(OSError, match="No space"):
        WanLog(Path("/dev/full"))


def test_a_last_line_that_is_not_whole_is_left_out(tmp_path: Path) -> None:
    wan, log = wan_with(("loss", "100%")), WanLog(tmp_path / "log")
    wan.witness = log.witness
    for at in (1.0, 2.0):
        wan.inject(at, port_of(wan, "e"), tcp(E, A, 5, 9, 100))
        wan.due(at + 0.5)
    log.close()
    whole = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(whole[:-10])
    assert len(list(read_wan_log(tmp_path / "log"))) == 1
    (tmp_path / "log").write_bytes(whole[:-10] + b"\n")
    with pytest.raises(WanLogError, match="line 3"):
        list(read_wan_log(tmp_path / "log"))
    (tmp_path / "log").write_bytes(b"something else\n")
    with pytest.raises(WanLogError, match="not a log"):
        list(read_wan_log(tmp_path / "log"))


# ── With captures ────────────────────────────────────────────────────────────────────────────────────────────────────


def out(at: float, seq: int, payload: int = 100) -> Packet:
    return Packet(at, True, tcp(E, A, seq, 1, payload))


def back(at: float, ack: int) -> Packet:
    return Packet(at, False, tcp(A, E, 1, ack, 0))


def arrive(at: float, seq: int, payload: int = 100) -> Packet:
    return Packet(at, False, tcp(E, A, seq, 1, payload))


def event(what: str, why: str, at: float, data: bytes, until: float | None = None) -> WanEvent:
    return WanEvent(
        at=at,
        what=what,  # type: ignore[arg-type]
        why=why,
        until=at if until is None else until,
        net="public",
        src="e",
        dst="a",
        size=len(data),
        head=data[:40],
    )


def test_the_toll_of_a_flow_is_counted_both_ways() -> None:
    sender = [out(0.0, 100), out(0.0, 200), out(0.0, 300), back(0.1, 200), out(0.15, 200), back(0.19, 400)]
    receiver = [arrive(0.05, 100), arrive(0.06, 300), arrive(0.18, 200)]
    wan = [
        event("drop", "loss", 0.01, tcp(E, A, 200, 1, 100)),
        event("hold", "hold", 0.02, tcp(E, A, 300, 1, 100), until=0.05),
        event("drop", "queue-full", 0.10, tcp(A, E, 1, 300, 0)),
        event("drop", "loss", 0.10, tcp(E, "198.18.7.9", 300, 1, 100)),  # somebody else's
        event("drop", "loss", 9.0, tcp(E, A, 300, 1, 100)),  # after its end: another flow of the same ports
    ]
    (flow,) = check(sender, receiver, wan)
    assert flow.toll is not None
    assert flow.toll_back is not None
    assert dict(flow.toll.dropped) == {"loss": 1}
    assert (flow.toll.dropped_data, flow.toll.dropped_bytes) == (1, 100)
    assert flow.toll.held == 1
    assert flow.toll.longest_hold_s == pytest.approx(0.03)
    assert (dict(flow.toll_back.dropped), flow.toll_back.dropped_data) == ({"queue-full": 1}, 0)
    assert flow.arrived_bytes == flow.data_bytes - flow.toll.dropped_bytes


def test_a_stall_knows_what_the_wan_did_to_what_it_waited_for() -> None:
    sender = [out(0.0, 100), out(0.0, 200), back(0.03, 200), out(0.5, 200), back(2.0, 300)]
    wan = [
        event("drop", "policer", -0.01, tcp(E, A, 50, 1, 50)),  # acknowledged long since
        event("drop", "loss", 0.01, tcp(E, A, 200, 1, 100)),  # sent before the stall began, and what it waited for
        event("drop", "loss", 0.51, tcp(E, A, 200, 1, 100)),
        event("hold", "hold", 1.5, tcp(A, E, 1, 300, 0), until=1.9),
    ]
    (flow,) = check(sender, None, wan)
    (stall,) = flow.stalls
    assert (stall.start, stall.end) == (0.03, 2.0)
    assert stall.wan == {"loss": 2, "hold": 1}


def test_without_a_log_nothing_is_said_of_the_wan() -> None:
    (flow,) = check([out(0.0, 100), back(1.0, 200)])
    assert (flow.toll, flow.toll_back, flow.stalls[0].wan) == (None, None, None)
