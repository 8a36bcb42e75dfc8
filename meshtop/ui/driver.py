"""Textual's terminal driver, made to survive what terminals do: hang up, and be continued without having been stopped.

When a terminal goes away the kernel sends SIGHUP and SIGCONT (drivers/tty/tty_jobctrl.c), and writing fails with EIO.
Textual's writer thread then ends with its queue full, and whoever writes next waits for ever; and on any SIGCONT
Textual enters its mode a second time, keeping the raw settings of the first as those to go back to.
"""

from __future__ import annotations

import contextlib
from typing import IO, TYPE_CHECKING, Any

from textual.drivers.linux_driver import LinuxDriver

from meshtop.ui.sgr import shortened

if TYPE_CHECKING:
    from textual.app import App


class Forgiving:
    """A terminal to write to: what it does not take any more is nobody's loss."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return self._stream.isatty()


class TerminalDriver(LinuxDriver):
    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._entered = False
        self._entering = False
        self._begun = False
        if self._file is not None:
            self._file = Forgiving(self._file)  # type: ignore[assignment]  # all that the writer thread calls

    def write(self, data: str) -> None:
        super().write(shortened(data))

    def start_application_mode(self) -> None:
        """Also called by Textual's handler of SIGCONT, which may come at any moment: while this runs, or at the end."""
        if self._entering or (self._begun and self._app.return_code is not None):
            return
        self._entering = self._begun = True
        try:
            if self._entered:  # continued: the shell may have changed the terminal meanwhile, so leave it whole first
                self.stop_application_mode()
                self.close()
                self._must_signal_resume = True  # so that the app hears of it, as it does after a SIGTSTP
            super().start_application_mode()  # type: ignore[no-untyped-call]
            self._entered = True
        finally:
            self._entering = False

    def stop_application_mode(self) -> None:
        self._entered = False
        super().stop_application_mode()
