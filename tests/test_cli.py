"""The command line from the outside: what goes to which output, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil
import pytest

import meshtop
from tests.meshes import HERE, UNREACHABLE

BROKEN = UNREACHABLE.replace('kind = "underlay"', 'kind = "underley"').replace("[mesh]", "[mesh]\nup = 1")


def meshtop_run(*arguments: str, cwd: Path | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """A real process with no terminal and no configuration of the user's."""
    return subprocess.run(
        [sys.executable, "-m", "meshtop.cli", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=timeout,
        env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"},
    )


@pytest.fixture
def unreachable(tmp_path: Path) -> str:
    file = tmp_path / "meshtop.toml"
    file.write_text(UNREACHABLE)
    return str(file)


def test_the_version() -> None:
    done = meshtop_run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"meshtop, version {meshtop.__version__}\n", "")


def test_every_command_that_help_lists_is_there() -> None:
    listed = meshtop_run("--help").stdout.partition("Commands:")[2].split("\n")
    commands = [line.split()[0] for line in listed if line.startswith("  ") and line[2:3].strip()]
    assert {"watch", "demo", "snapshot", "stream", "lab", "config", "themes"} <= set(commands)
    for command in commands:
        done = meshtop_run(command, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith(f"Usage: meshtop {command}")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["burrst"], "No such command 'burrst'"),
        (["snapshot", "--for", "10"], '"10" has no unit; write 10s or 10ms'),
        (["--interval", "20ms", "snapshot"], '"20ms" is out of range; write 100ms to 1m'),
        (["snapshot", "-c", "none.toml"], "none.toml: no such file; name another with -c FILE"),
        (["stream"], "meshtop.toml: no such file here, nor /nonexistent/meshtop/meshtop.toml"),
        ([], "meshtop.toml: no such file here"),
        (["-c", "meshtop.toml", "--ssh-config", "none"], "meshtop.toml: no such file"),
        (["snapshot", "--log-file", "/nonexistent/log"], "--log-file: /nonexistent/log: No such file or directory"),
    ],
)
def test_wrong_usage_is_told_on_stderr(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    done = meshtop_run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", [["config", "check"], ["snapshot", "--json"], ["stream"], []])
def test_a_broken_file_is_told_whole(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "meshtop.toml").write_text(BROKEN)
    done = meshtop_run(*command, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "meshtop.toml:3: mesh.up: unknown key; known here: name, interval, burst_interval",
        'meshtop.toml:6: paths.p.kind: "underley" is unknown; write "overlay" or "underlay"',
    ]


def test_config_check_says_what_it_read(unreachable: str) -> None:
    done = meshtop_run("config", "check", unreachable)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{unreachable}: fine: 2 nodes, 1 path, 2 directed links\n"


def test_the_screen_wants_a_terminal(unreachable: str) -> None:
    done = meshtop_run("-c", unreachable)
    assert done.returncode == 2
    assert "the screen needs a terminal" in done.stderr


def test_an_ssh_config_that_is_not_there(unreachable: str) -> None:
    done = meshtop_run("-c", unreachable, "snapshot", "--ssh-config", "/nonexistent")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--ssh-config: /nonexistent is no file" in done.stderr


def test_themes_are_listed() -> None:
    done = meshtop_run("themes")
    assert done.returncode == 0
    assert {"okabe-dark", "okabe-light", "high-contrast", "mono", "miku"} <= {
        line.split()[0] for line in done.stdout.splitlines()
    }


def test_a_snapshot_of_unreachable_nodes(unreachable: str) -> None:
    done = meshtop_run("-c", unreachable, "snapshot", "--json", "--for", "1s")
    assert done.returncode == 3
    state = json.loads(done.stdout)
    assert state["schema"] == "meshtop.snapshot/1"
    assert state["mesh"] == "nowhere"
    assert [node["state"] for node in state["nodes"]] == ["down", "down"]
    assert "127.0.0.2:9 refuse" in state["nodes"][0]["reason"]
    assert [(link["src"], link["dst"], link["path"], link["state"]) for link in state["links"]] == [
        ("a", "b", "p", "no-data"),
        ("b", "a", "p", "no-data"),
    ]
    assert all(link["rtt_ms"] is None and link["tx_bps"] is None for link in state["links"])
    assert (state["stalls"], state["bursts"], state["findings"]) == ([], [], [])
    assert "meshtop: no node could be reached" in done.stderr
    assert "meshtop: a is down: " in done.stderr


def test_a_snapshot_for_people(unreachable: str) -> None:
    done = meshtop_run("snapshot", "-c", unreachable, "--for", "1s")
    assert done.returncode == 3
    assert done.stdout.startswith("nowhere at ")
    assert "0/2 nodes up" in done.stdout
    assert "a → b  no-data" in done.stdout


def test_a_stream_of_unreachable_nodes(unreachable: str) -> None:
    done = meshtop_run("-c", unreachable, "stream", "--for", "1s")
    assert done.returncode == 3
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["type"] for event in events} <= {"link", "node", "log", "mark"}
    assert {event["name"] for event in events if event["type"] == "node" and event["state"] == "down"} == {"a", "b"}
    assert all(event["at"].endswith("Z") for event in events)


def session_of(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


@pytest.mark.node
def test_this_machine_as_a_node(tmp_path: Path) -> None:
    file = tmp_path / "meshtop.toml"
    file.write_text(HERE)
    log = tmp_path / "log"
    done = meshtop_run("-c", str(file), "--log-file", str(log), "snapshot", "--json", "--for", "3s")
    assert done.returncode == 0
    a, b = json.loads(done.stdout)["nodes"]
    assert (a["state"], b["state"]) == ("up", "down")
    assert a["samples"] >= 2
    assert a["kernel"] == os.uname().release
    assert b["reason"] in done.stderr
    assert log.exists()


@pytest.mark.node
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_stream_after_clean_up(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "meshtop.toml"
    file.write_text(HERE)
    with subprocess.Popen(
        [sys.executable, "-m", "meshtop.cli", "-c", str(file), "stream"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        guard = threading.Timer(30, process.kill)
        guard.start()
        for line in process.stdout:
            if b'"state":"up"' in line:
                break
        process.send_signal(number)
        rest, said = process.communicate(timeout=20)
        guard.cancel()
    assert process.returncode == 130, said
    assert all(json.loads(line) for line in rest.splitlines())
    assert b"Traceback" not in said
    assert [
        other.info["cmdline"] for other in psutil.process_iter(["cmdline"]) if session_of(other) == process.pid
    ] == []


def test_a_pipe_without_a_reader_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-u", "-m", "meshtop.cli", "lab", "scenario", "--list"],
            stdin=subprocess.DEVNULL, stdout=write, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.node
def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    file = tmp_path / "meshtop.toml"
    file.write_text(HERE)
    with subprocess.Popen(
        [sys.executable, "-m", "meshtop.cli", "-c", str(file), "--interval", "200ms", "stream"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        guard = threading.Timer(30, process.kill)
        guard.start()
        process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        process.wait()
        guard.cancel()
    assert process.returncode == 0
    assert said == b""


@pytest.mark.node
def test_a_recording_that_finds_no_room_is_said(tmp_path: Path) -> None:
    file, recording = tmp_path / "meshtop.toml", tmp_path / "x.mtr"
    file.write_text(HERE)
    command = [
        sys.executable,
        "-m",
        "meshtop.cli",
        "-c",
        str(file),
        "snapshot",
        "--for",
        "2s",
        "--record",
        str(recording),
    ]
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 4; exec "$@"', "sh", *command],  # files of 2 or 4 KiB, as the shell counts
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"the recording {recording} has ended early: File too large" in done.stderr
    assert "1/2 nodes up" in done.stdout


PRINTING = [["--help"], ["stream", "--help"], ["--version"], ["themes"]]
NO_ROOM = "meshtop: standard output cannot be written: No space left on device\n"


def printed_to(output: int | IO[str], *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a real process with that standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "meshtop.cli", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.mark.node
def test_a_full_disk_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "meshtop.toml"
    file.write_text(HERE)
    with open("/dev/full", "w") as full:
        assert printed_to(full, "-c", str(file), "stream") == (1, NO_ROOM)


@pytest.mark.parametrize("asked", PRINTING)
def test_what_finds_no_room_is_said(asked: list[str]) -> None:
    with open("/dev/full", "w") as full:
        assert printed_to(full, *asked) == (1, NO_ROOM)


@pytest.mark.parametrize("asked", PRINTING)
def test_what_is_printed_for_nobody_is_no_failure(asked: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        assert printed_to(write, *asked) == (0, "")
    finally:
        os.close(write)
