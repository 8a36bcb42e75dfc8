"""A lab, and meshtop run on it as its user would."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab.network import Lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))

Event = dict[str, Any]


class Stream:
    """``meshtop stream`` in a process of its own; its events as they come."""

    def __init__(self, config: Path, *options: str) -> None:
        self.events: list[Event] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            [MESHTOP, "-c", str(config), "stream", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def until(self, wanted: Callable[[Event], bool], timeout_s: float, after: int = 0) -> int:
        """The number of the first event from ``after`` on that is wanted."""
        seen = after

        def found() -> bool:
            nonlocal seen
            while seen < len(self.events):
                if wanted(self.events[seen]):
                    return True
                seen += 1
            return False

        with self._news:
            assert self._news.wait_for(found, timeout_s), f"not seen within {timeout_s} s among {seen} events"
        return seen

    def links(self, src: str, dst: str, path: str) -> list[Event]:
        wanted = ("link", src, dst, path)
        return [e for e in self.events if (e["type"], e.get("src"), e.get("dst"), e.get("path")) == wanted]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(timeout=15)
        self._reader.join(timeout=15)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return status


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab.up(name="e2e", directory=tmp_path_factory.mktemp("e2e") / "lab") as lab:
        yield lab


@pytest.fixture
def stream(lab: Lab) -> Iterator[Callable[..., Stream]]:
    running: list[Stream] = []

    def start(config: Path | None = None, *options: str) -> Stream:
        running.append(Stream(config or lab.config_path, *options))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()


def snapshot(config: Path, *options: str) -> Event:
    command = [MESHTOP, "-c", str(config), "snapshot", "--json", *options]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    document: Event = json.loads(done.stdout)
    return document
