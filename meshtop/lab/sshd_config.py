"""OpenSSH as a node's SSH server: where it is, and sshd_config(5) for it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from meshtop.lab.netns import LabError

PORT = 22
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # of commands that come by SSH
PRIVSEP_DIR = Path("/run/sshd")  # sshd insists on it; where its service runs it is there


def openssh_config(address: str, host_key: Path, authorized_keys: Path) -> str:
    """Keys only, nothing of the machine's own configuration."""
    return f"""\
ListenAddress {address}:{PORT}
HostKey "{host_key}"
AuthorizedKeysFile "{authorized_keys}"
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
UseDNS no
PrintMotd no
PrintLastLog no
MaxStartups 100
"""


def openssh_path() -> str:
    """sshd insists on being started by its full path. Raises LabError where it is not installed."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise LabError("OpenSSH's sshd is not installed; on Debian and Ubuntu: apt-get install openssh-server")
    return found
