"""``meshtop demo`` as an ordinary user: the lab and the monitor inside user namespaces, or a plain message."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import meshtop
from meshtop.lab import registry
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

NOBODY = 65534


def interpreter() -> str:
    """A Python of this version that everybody may run; the tests' own may lie in a home folder."""
    found = shutil.which(f"python3.{sys.version_info.minor}", path="/usr/bin:/usr/local/bin")
    assert found, f"no python3.{sys.version_info.minor} that an ordinary user could run"
    return found


@pytest.fixture(scope="module")
def copied() -> Iterator[Path]:
    """meshtop and what it needs where everybody may read it."""
    folder = Path(tempfile.mkdtemp(prefix="meshtop-everybody-"))
    folder.chmod(0o777)
    package = Path(meshtop.__file__).parent
    shutil.copytree(sysconfig.get_path("purelib"), folder / "site", ignore=shutil.ignore_patterns("*meshtop*", "mypy*"))
    shutil.copytree(package, folder / "site" / "meshtop", ignore=shutil.ignore_patterns("__pycache__", "themes"))
    shutil.copytree(package.parent / "themes", folder / "site" / "meshtop" / "themes")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


def as_nobody(folder: Path, tun_mode: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``meshtop ARGUMENTS`` by an ordinary user, on a machine whose /dev/net/tun has that mode."""
    script = f"""set -e
rm -f {folder}/tun && mknod {folder}/tun c 10 200 && chmod {tun_mode} {folder}/tun
mount --bind {folder}/tun /dev/net/tun
cd {folder}
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {interpreter()} -m meshtop.cli "$@"
"""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(folder / "site")}
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_an_ordinary_user_gets_the_lab_where_the_machine_allows_it(copied: Path) -> None:
    done = as_nobody(copied, "666", "demo", "--no-tui", "--for", "14s")
    assert done.returncode == 0, done.stderr
    assert "5/5 nodes up" in done.stdout
    assert "miku: ping is clean" in done.stdout


def test_what_is_in_the_way_is_said_plainly(copied: Path) -> None:
    done = as_nobody(copied, "600", "demo", "--scenario", "healthy", "--no-tui", "--for", "5s")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "needs root" in done.stderr
    assert "/dev/net/tun is not there, or not for ordinary users" in done.stderr


def test_where_no_lab_can_be_made_a_recording_is_played_and_that_is_said(copied: Path) -> None:
    done = as_nobody(copied, "600", "demo", "--no-tui", "--for", "8s")
    assert done.returncode == 0, done.stderr
    assert "showing a recording of one instead" in done.stderr
    assert "RECORDING · miku: ping is clean" in done.stdout
    assert "5/5 nodes up" in done.stdout


def test_a_lab_of_root_that_goes_down_leaves_that_of_a_user_alone(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both call themselves lab 0, each in its own /run."""
    monkeypatch.setenv(registry.HOME_VARIABLE, str(tmp_path))
    demo = threading.Thread(target=lambda: results.append(as_nobody(copied, "666", "demo", "--no-tui", "--for", "14s")))
    results: list[subprocess.CompletedProcess[str]] = []
    demo.start()
    while demo.is_alive():
        Lab.up("beside").down()
    assert results[0].returncode == 0, results[0].stderr
    assert "5/5 nodes up" in results[0].stdout.rpartition("miku at")[2]
