"""A lab without root: the whole program once more, inside user, network, mount and process namespaces of its own.

There it is root over what it makes and over nothing else, and all of it ends with its first process (unshare(1),
user_namespaces(7)). The machine must allow user namespaces and lend /dev/net/tun to everybody, as most do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

_INSIDE = "MESHTOP_ROOTLESS"
_TUN = "/dev/net/tun"
_UNSHARE = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork"),
    *("--kill-child", "--mount-proc"),
)
# /run is where network namespaces get their names and labs their records; loopback is down in a new namespace
_SET_UP = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"'


def wanted() -> bool:
    """Whether this process is an ordinary user's and not yet inside."""
    return os.geteuid() != 0 and _INSIDE not in os.environ


def obstacle() -> str | None:
    """Why it cannot be done on this machine, in plain words; None if nothing is known to be in the way."""
    if shutil.which("unshare") is None:
        return "unshare (util-linux) is not installed"
    if not os.access(_TUN, os.R_OK | os.W_OK):
        return f"{_TUN} is not there, or not for ordinary users"
    tried = subprocess.run(
        [*_UNSHARE, "/bin/sh", "-c", _SET_UP, "sh", "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        said = tried.stderr.strip().splitlines()
        return f"user namespaces are not to be had: {said[-1] if said else 'unshare failed'}"
    return None


def enter(arguments: Sequence[str]) -> None:
    """Become ``meshtop ARGUMENTS`` inside. Does not return. Raises OSError if that fails."""
    os.environ[_INSIDE] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    program = [sys.executable, "-m", "meshtop.cli", *arguments]
    os.execvp(_UNSHARE[0], [*_UNSHARE, "/bin/sh", "-c", _SET_UP, "sh", *program])  # noqa: S606  # that is the point
