"""The WAN as a process: it moves packets between the TUN devices of all namespaces and the pure network of ``wan.py``.

One thread, one ``select``: its time-out has the microseconds that epoll's lacks. Python's garbage collector stays off
(no cycles are made), and the process asks for real-time scheduling, so that delays hold on busy cores.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from meshtop.lab.control import LineStatus, Reply, Request, RoundTrip, WanStatus
from meshtop.lab.faults import FaultError, make_fault
from meshtop.lab.faults.base import Happening
from meshtop.lab.lateness import LatenessMeter
from meshtop.lab.nat import Nat
from meshtop.lab.netns import open_tun
from meshtop.lab.plan import MGMT, OPERATOR, PUBLIC, WanSpec
from meshtop.lab.wan import Line, Packet, Wan
from meshtop.lab.wanlog import WanLog

NAT = "nat"  # why a packet was dropped
READ_BYTES = 65536
RELEASED = -1  # in place of a file descriptor: another process has that device
READ_BATCH = 32  # packets from one device before others and what is due get their turn: about 0.3 ms
IDLE_S = 1.0
TICK_S = 0.0005  # under load packets are moved this often, not one by one: a tenth of the promise for half of the CPU
CPU_WINDOW_S = 5.0
KEPT_UP_SHARE = 0.01  # more packets than this over 5 ms late: the promise was broken
NICE = -10
RT_PRIORITY = 1  # the lowest of the real-time ones: above all ordinary work, below anything that asked for more


class WanLoop:
    """Devices, control socket and clock around a ``Wan``."""

    def __init__(self, spec: WanSpec, control: Path) -> None:
        self.spec = spec
        self.wan = Wan(spec)
        self._nat = _nat(spec)
        self.wan.translate = self._nat.translate if self._nat else None
        self.running = True
        self.started = time.monotonic()
        self.device_errors = 0
        self.lateness = LatenessMeter(self.started)
        self._fds = [open_tun(port.namespace, port.device) for port in spec.ports]
        self._port_of = {fd: index for index, fd in enumerate(self._fds)}
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(control))
        self._listener.listen(8)
        self._listener.setblocking(False)
        self._control = control
        self._connections: dict[int, tuple[socket.socket, bytearray]] = {}
        self._cpu_marks = [(self.started, time.process_time())]
        self._logs: dict[str, WanLog] = {}
        self.scheduling = _ask_for_priority()

    def run(self) -> None:
        wan = self.wan
        woke_at = self.started
        try:
            while self.running:
                rest_s = woke_at + TICK_S - time.monotonic()
                if rest_s > 0:
                    time.sleep(rest_s)
                woke_at = time.monotonic()
                due = wan.next_due()
                timeout = IDLE_S if due is None else min(IDLE_S, max(0.0, due - time.monotonic()))
                waiting = [*self._port_of, self._listener.fileno(), *self._connections]
                ready, _, _ = select.select(waiting, [], [], timeout)
                for fd in ready:
                    if fd in self._port_of:
                        self._read(fd)
                    else:
                        self._attend(fd)
                self._hand_over()
                self._each_second()
        finally:
            self._control.unlink(missing_ok=True)
            for log in self._logs.values():
                log.close()

    def _read(self, fd: int) -> None:
        port, inject = self._port_of[fd], self.wan.inject
        nat = self._nat if self.spec.ports[port].net == PUBLIC else None
        try:
            for _ in range(READ_BATCH):
                data = os.read(fd, READ_BYTES)
                if nat is not None:
                    translated = nat.translate(data)
                    if translated is None:
                        self.wan.drops[NAT] += 1
                        continue
                    data = translated
                inject(time.monotonic(), port, data)
        except BlockingIOError:
            pass
        except OSError:  # the device was switched off or deleted under us
            self.device_errors += 1

    def _hand_over(self) -> None:
        fds, late, nat, ports = self._fds, self.lateness, self._nat, self.spec.ports
        for port, data, due_at in self.wan.due(time.monotonic()):
            if fds[port] == RELEASED:
                continue
            if nat is not None and ports[port].net == PUBLIC:
                data = nat.hand_over(data)
            try:
                os.write(fds[port], data)
            except OSError:
                self.device_errors += 1
            now = time.monotonic()
            late.add(now, now - due_at)

    def _each_second(self) -> None:
        now = time.monotonic()
        if now - self._cpu_marks[-1][0] >= 1.0:
            self._cpu_marks.append((now, time.process_time()))
            for log in self._logs.values():
                log.flush()
            while now - self._cpu_marks[0][0] > CPU_WINDOW_S + 1.0:
                del self._cpu_marks[0]

    # ── Control ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _attend(self, fd: int) -> None:
        if fd == self._listener.fileno():
            connection, _ = self._listener.accept()
            connection.setblocking(False)
            self._connections[connection.fileno()] = (connection, bytearray())
            return
        connection, buffer = self._connections[fd]
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        buffer += data
        while b"\n" in buffer:
            line, _, rest = bytes(buffer).partition(b"\n")
            buffer[:] = rest
            try:
                connection.sendall(msgspec.json.encode(self.answer(line)) + b"\n")
            except OSError:  # gone, or it does not read its replies
                data = b""
                break
        if not data:
            del self._connections[fd]
            connection.close()

    def answer(self, line: bytes) -> Reply:
        try:
            request = msgspec.json.decode(line, type=Request)
            return self._obey(request)
        except (msgspec.DecodeError, FaultError) as error:
            return Reply(error=str(error))

    def _obey(self, request: Request) -> Reply:
        if request.op == "status":
            return Reply(status=self.status())
        if request.op == "stop":
            self.running = False
            return Reply()
        if request.op in ("release", "attach"):
            return self._hold_devices(request.net, hold=request.op == "attach")
        if request.op == "heal":
            healed = self.wan.heal(request.target, request.kind, request.net)
            return Reply(healed=tuple(fault.request for fault in healed))
        if request.op in ("log", "end-log"):
            return self._begin_log(request) if request.op == "log" else self._end_log(request.path)
        if request.fault is None:
            return Reply(error="which fault?")
        self.wan.add_fault(make_fault(request.fault, [line.site for line in self.spec.lines]))
        return Reply()

    def _begin_log(self, request: Request) -> Reply:
        if request.path in self._logs:
            return Reply(error=f"there is a log at {request.path} already")
        try:
            log = self._logs[request.path] = WanLog(Path(request.path), request.most_bytes)
        except OSError as error:
            return Reply(error=f"no log can be written at {request.path}: {error.strerror}")
        self.wan.witness = self._tell
        return Reply(log=log.status())

    def _end_log(self, path: str) -> Reply:
        log = self._logs.pop(path, None)
        if log is None:
            return Reply(error=f"there is no log at {path}; there are: {', '.join(self._logs) or 'none'}")
        log.close()
        if not self._logs:
            self.wan.witness = None
        return Reply(log=log.status())

    def _tell(self, at: float, what: Happening, why: str, packet: Packet, until: float) -> None:
        for log in self._logs.values():
            log.witness(at, what, why, packet, until)

    def _hold_devices(self, net: str | None, *, hold: bool) -> Reply:
        """Attach to the devices of a network, or let go of them; those that are so already are left as they are."""
        for index, port in enumerate(self.spec.ports):
            if port.net != net or (self._fds[index] != RELEASED) == hold:
                continue
            if hold:
                try:
                    self._fds[index] = open_tun(port.namespace, port.device)
                except OSError as error:
                    return Reply(error=f"{port.device} of {port.site} cannot be attached: {error.strerror}")
                self._port_of[self._fds[index]] = index
            else:
                del self._port_of[self._fds[index]]
                os.close(self._fds[index])
                self._fds[index] = RELEASED
        return Reply()

    def status(self) -> WanStatus:
        wan, now = self.wan, time.monotonic()
        recent = self.lateness.recent(now)
        since, cpu_then = self._cpu_marks[0]
        lines = [*wan.uplinks.values(), *wan.downlinks.values()]
        return WanStatus(
            pid=os.getpid(),
            uptime_s=now - self.started,
            scheduling=self.scheduling,
            cpu_pct=100 * (time.process_time() - cpu_then) / max(1e-6, now - since),
            cpu_s=time.process_time(),
            injected=wan.injected,
            delivered=wan.delivered,
            in_flight=wan.in_flight(),
            drops=dict(wan.drops),
            device_errors=self.device_errors,
            lateness=self.lateness.all.summary(),
            lateness_recent=recent.summary(),
            kept_up=recent.over_limit <= KEPT_UP_SHARE * recent.total,
            lines=tuple(_line_status(line) for line in lines),
            round_trips=_round_trips(wan),
            faults=tuple(fault.request for fault in wan.faults),
            logs=tuple(log.status() for log in self._logs.values()),
            answered=wan.answered,
        )


def _nat(spec: WanSpec) -> Nat | None:
    inside = {port.site: port.address for port in spec.ports if port.net == PUBLIC and port.site in spec.nat}
    return Nat(inside, spec.nat_address) if inside else None


def _line_status(line: Line) -> LineStatus:
    return LineStatus(
        name=line.name,
        rate_bps=int(line.rate_bps),
        queue_bytes=line.limit_bytes,
        queued_bytes=line.waiting_bytes,
        forwarded=line.forwarded,
        forwarded_bytes=line.forwarded_bytes,
        dropped=line.dropped,
    )


def _round_trips(wan: Wan) -> tuple[RoundTrip, ...]:
    """Of every ordered pair of sites, without the operator and the management network."""
    found = []
    delays = {(leg.source.net, leg.source.site, leg.target.site): leg.delay_s + leg.added_s() for leg in wan.legs()}
    for (net, src, dst), delay_s in delays.items():
        if net != MGMT and OPERATOR not in (src, dst):
            rtt_ms = round(1000 * (delay_s + delays[net, dst, src]), 3)
            found.append(RoundTrip(src=src, dst=dst, path=net, rtt_ms=rtt_ms))
    return tuple(found)


def _ask_for_priority() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RT_PRIORITY))
    except OSError:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        except OSError:
            return "normal"
        return f"nice {NICE}"
    return "realtime"


def main(argv: list[str]) -> None:
    """``SPEC.json CONTROL.sock READY_FD``: run until told to stop; a byte on READY_FD says that all is up."""
    spec = msgspec.json.decode(Path(argv[0]).read_bytes(), type=WanSpec)
    loop = WanLoop(spec, Path(argv[1]))

    def stop(number: int, frame: object) -> None:
        raise SystemExit(0)  # a flag would be seen only when select returns

    signal.signal(signal.SIGTERM, stop)
    gc.collect()
    gc.freeze()
    gc.disable()
    ready = int(argv[2])
    os.write(ready, b"+")
    os.close(ready)
    loop.run()


if __name__ == "__main__":
    main(sys.argv[1:])
