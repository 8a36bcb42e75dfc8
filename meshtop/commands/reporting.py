"""Reports that are asked for on the screen: made by a process of its own, which nothing waits for."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from meshtop.engine.view import ReportView
from meshtop.recording import SUFFIX
from meshtop.requests import MakeReport


class Reporting:
    """``say`` puts a line into the log."""

    def __init__(self, now: Callable[[], float], say: Callable[[str], None]) -> None:
        self._now = now
        self._say = say
        self._work: asyncio.Task[None] | None = None
        self.view: ReportView | None = None

    def start(self, asked: MakeReport, recording: bytes | Path, until: float | None = None) -> None:
        """Of a recording, or of one that is in memory alone. Raises ValueError while another is made."""
        if self._work is not None and not self._work.done():
            raise ValueError("a report is being made already")
        stamp = datetime.fromtimestamp(self._now(), UTC).strftime("%Y%m%d-%H%M%S")
        target = Path(asked.path or f"meshtop-report-{stamp}.zip").absolute()
        if target.exists():
            raise ValueError(f"{target} is there already")
        self.view = ReportView(state="making", path=str(target))
        self._work = asyncio.ensure_future(self._make(asked, recording, until, target))

    async def close(self) -> None:
        """What is being made is given up."""
        if self._work is not None and not self._work.done():
            self._work.cancel()
            await asyncio.wait({self._work})

    async def _make(self, asked: MakeReport, recording: bytes | Path, until: float | None, target: Path) -> None:
        with contextlib.ExitStack() as stack:
            if isinstance(recording, bytes):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="meshtop-"))
                file = Path(folder) / f"live{SUFFIX}"
                file.write_bytes(recording)
            else:
                file = recording
            command = ["report", "--from", str(file), "--last", f"{max(asked.last_s, 1):g}s", "-y", "-o", str(target)]
            command += [f"--title={asked.title}"] if asked.title else []
            command += ["--redact"] if asked.redact else []
            command += [f"--until={_iso(until)}"] if until is not None else []
            code, complaint = await _run(command)
        if code == 0:
            size = _size(target)
            self.view = ReportView(state="done", path=str(target), size_bytes=size)
            self._say(f"report written: {target.name}")
        else:
            self.view = ReportView(state="failed", path=str(target), reason=complaint)
            self._say(f"the report was not made: {complaint}")


async def _run(command: list[str]) -> tuple[int, str]:
    """Exit code, and the last line of what it complained of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "meshtop.cli",
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    lines = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return process.returncode or 0, lines[-1] if lines else f"exit code {process.returncode}"


def _size(path: Path) -> int:
    files = [path] if path.is_file() else list(path.rglob("*"))
    return sum(file.stat().st_size for file in files if file.is_file())


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
