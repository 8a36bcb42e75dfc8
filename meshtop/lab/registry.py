"""Which labs there are on this machine, by a record each; and processes told apart from later ones of the same number.

Records are in one place for the whole machine, so that two labs never take the same number, whoever starts them. A
record is written before anything else of its lab exists: whatever is killed at whatever moment, ``down --all``
finds what it left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from meshtop.lab.netns import LabError, lab_namespaces, operator_addresses
from meshtop.lab.plan import MAX_LABS
from meshtop.model import Value

REGISTRY = Path("/run/meshtop-lab")
HOME_VARIABLE = "MESHTOP_LAB_HOME"  # another place for labs' files; ``down --all`` minds only the labs of its own place
DEFAULT_NAME = "default"
KILL_WAIT_S = 5.0
_LOCK = REGISTRY / ".lock"  # no name of a lab has a dot


class ProcessRef(Value, frozen=True, kw_only=True):
    """A process for certain: numbers are used again, but not with the same start (clock ticks after boot)."""

    pid: int
    start: int

    def alive(self) -> bool:
        return process_start(self.pid) == self.start


class LabRecord(Value, frozen=True, kw_only=True):
    """A lab, whole or half made. ``processes``: "wan", "sshd:<node>" and, where tunnels carry the overlay,
    "tunnel:<node>"."""

    index: int
    name: str
    home: str
    dir: str
    made_dir: bool
    owns_files: bool = False  # what is in ``dir`` under our files' names was written by this lab
    creator: ProcessRef
    created_at: float
    made_privsep_dir: bool = False  # OpenSSH's /run/sshd, where the machine did not have it
    sshd: str = "asyncssh"
    overlay: str = "direct"
    nat: tuple[str, ...] = ()  # sites that others cannot reach on the public network
    congestion: str = ""
    complete: bool = False
    processes: Mapping[str, ProcessRef] = {}

    @property
    def path(self) -> Path:
        return REGISTRY / f"lab-{self.index}.json"

    @property
    def socket(self) -> Path:
        return REGISTRY / f"wan-{self.index}.sock"  # short: the path of a UNIX socket has 107 bytes at most

    @property
    def config(self) -> Path:
        return Path(self.dir) / "meshtop.toml"

    def save(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.replace(self.path)


def process_start(pid: int) -> int | None:
    """Field 22 of /proc/<pid>/stat (proc(5)); None when there is no such process or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()  # the name may hold anything, blanks and brackets too
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def cpu_seconds(pid: int) -> float | None:
    """User and system time that a process has used: fields 14 and 15 of /proc/<pid>/stat. None when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat[stat.rindex(b")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_ref(pid: int) -> ProcessRef:
    """Raises LabError when it is gone already."""
    start = process_start(pid)
    if start is None:
        raise LabError(f"process {pid} ended at once")
    return ProcessRef(pid=pid, start=start)


def end_processes(refs: list[ProcessRef]) -> None:
    """SIGKILL, and wait until they are gone: what is cleared away afterwards must not be in use."""
    for ref in refs:
        if ref.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(ref.pid, signal.SIGKILL)
    give_up_at = time.monotonic() + KILL_WAIT_S
    while any(ref.alive() for ref in refs):
        if time.monotonic() > give_up_at:
            left = ", ".join(str(ref.pid) for ref in refs if ref.alive())
            raise LabError(f"these processes do not end: {left}")
        time.sleep(0.005)


def home() -> Path:
    return Path(os.environ.get(HOME_VARIABLE) or REGISTRY).absolute()


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """The registry for ourselves; the kernel gives it back when we die."""
    while True:
        REGISTRY.mkdir(mode=0o700, exist_ok=True)
        try:
            lock = _LOCK.open("w")
        except FileNotFoundError:  # the directory was tidied away in this moment
            continue
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_at(lock.fileno(), _LOCK):
                yield
                return


def _is_at(fd: int, path: Path) -> bool:
    """Whether an open file is still the one of that name: a lock on one that was tidied away locks nobody out."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


def records() -> list[LabRecord]:
    """All labs of the machine, by number."""
    found = [record for path in REGISTRY.glob("lab-*.json") if (record := _read(path)) is not None]
    return sorted(found, key=lambda record: record.index)


def current(record: LabRecord) -> LabRecord | None:
    """What is known of that lab by now; None when it is gone, though its number may be another's already."""
    found = _read(record.path)
    return found if found is not None and found.created_at == record.created_at else None


def amend(record: LabRecord, change: Callable[[LabRecord], LabRecord]) -> LabRecord:
    """What is known of that lab by now, changed and saved: others may have changed it since ``record`` was read.
    Raises LabError when it is gone."""
    with locked():
        latest = current(record)
        if latest is None:
            raise LabError(f"the lab {record.name!r} has been taken down meanwhile")
        amended = change(latest)
        amended.save()
        return amended


def _read(path: Path) -> LabRecord | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=LabRecord)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LabError(f"{path} is not a lab's record ({error}); move it away") from error


def find(name: str) -> LabRecord:
    """The lab ``name`` of our home. Raises LabError that says which there are."""
    ours = [record for record in records() if record.home == str(home())]
    for record in ours:
        if record.name == name:
            return record
    names = ", ".join(record.name for record in ours)
    raise LabError(
        f"no lab named {name!r} is up" + (f"; there are: {names}" if names else "; `meshtop lab up` makes one")
    )


def claim(name: str, directory: Path | None, creator: ProcessRef) -> LabRecord:
    """A record with a free number, saved. Raises LabError when the name is taken."""
    with locked():
        there = records()
        for record in there:
            if record.home == str(home()) and record.name == name:
                raise LabError(_taken(record))
        used = {record.index for record in there} | set(lab_namespaces())
        addresses = operator_addresses()
        for index in range(MAX_LABS):
            if index not in used and not _clashes(index, addresses):
                break
        else:
            raise LabError(f"there is no room for another lab: {len(used)} are up")
        place = home() / name if directory is None else directory.absolute()
        record = LabRecord(
            index=index,
            name=name,
            home=str(home()),
            dir=str(place),
            made_dir=not place.exists(),
            creator=creator,
            created_at=time.time(),
        )
        record.save()
        return record


def forget(record: LabRecord) -> None:
    """The last step of taking a lab down."""
    record.socket.unlink(missing_ok=True)
    record.path.with_suffix(".new").unlink(missing_ok=True)
    record.path.unlink(missing_ok=True)


def tidy() -> None:
    """Remove the registry's directory when it holds no lab any more."""
    with contextlib.suppress(OSError), locked():
        if not records():
            _LOCK.unlink()
            REGISTRY.rmdir()


def _taken(record: LabRecord) -> str:
    if record.complete or record.creator.alive():
        state = "is already up" if record.complete else "is being brought up"
        return (
            f"a lab named {record.name!r} {state} ({record.config}); choose another --name, or `meshtop lab down` first"
        )
    return f"leftovers of a lab named {record.name!r} are there; `meshtop lab down --name {record.name}` clears them"


def _clashes(index: int, addresses: list[str]) -> bool:
    """Whether the operator's machine uses the addresses that lab ``index`` would have."""
    return any(address.startswith((f"198.18.{index}.", f"198.19.{index}.")) for address in addresses)
