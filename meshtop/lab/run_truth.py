"""The whole truth of what passes between two nodes for a while: captures at both ends and the WAN's log.

    with RunTruth(lab, "e", "a", "public", folder) as truth:
        …traffic from e to a…
    truth.flows()     # of what e sent, with what arrived and what the WAN did to it
    truth.events()    # the WAN's log alone, of all sites

Where a tunnel carries the overlay, the WAN sees the tunnel's own packets: "vpn" then has captures of the inner flows
and tolls of none; "public" is where the outer ones are.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from meshtop.lab.capture import Capture, read_pcap
from meshtop.lab.netns import LabError
from meshtop.lab.plan import PUBLIC, VPN
from meshtop.lab.truth import FlowTruth, check
from meshtop.lab.wanlog import LogStatus, WanEvent, read_wan_log

if TYPE_CHECKING:
    from meshtop.lab.network import Lab

DEVICES = {PUBLIC: "pub0", VPN: "vpn0"}


class RunTruth:
    """Listens when ``__enter__`` returns; the files, all in ``folder``, are whole when ``__exit__`` does."""

    def __init__(self, lab: Lab, src: str, dst: str, net: str, folder: Path) -> None:
        self.sender, self.receiver, self.log = folder / "sender.pcap", folder / "receiver.pcap", folder / "wan.truth"
        self.log_status: LogStatus | None = None
        self._lab = lab
        self._captures = [
            Capture(DEVICES[net], file, lab.command(node, ()))
            for node, file in ((src, self.sender), (dst, self.receiver))
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for capture in self._captures:
                stack.enter_context(capture)
            self._lab.begin_wan_log(self.log)
            stack.callback(self._end_log)  # first of all at the end: what is captured then was not missed by the log
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _end_log(self) -> None:
        self.log_status = self._lab.end_wan_log(self.log)

    def events(self) -> list[WanEvent]:
        """Raises LabError when the log is not whole."""
        if self.log_status is None or self.log_status.missed:
            missed = self.log_status.missed if self.log_status else "all"
            raise LabError(f"the WAN's log is not whole: {missed} events are missing")
        return list(read_wan_log(self.log))

    def flows(self) -> list[FlowTruth]:
        """Of the data that the sender has sent. Raises LabError as ``events`` does, CaptureError likewise."""
        return check(read_pcap(self.sender), read_pcap(self.receiver), self.events())
