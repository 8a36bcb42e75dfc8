"""iperf3 for bursts in which the operator's machine is an end: ``python -m meshtop.collect.libiperf`` takes the same
arguments and prints the same, by way of the PyPI package iperf3 and libiperf, with no ``iperf3`` installed.

The package is not used to run a test: it takes over file descriptor 1 and waits for a pipe that may fill. What it is
used for is the library, loaded and typed, and its tests. libiperf closes descriptors that are not its own after failed
connects, so this is a process of its own, under the time limit of the one that started it, and leaves by ``_exit``.

Read: iperf3's src/main.c and src/iperf_api.h.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence

_NOT_THERE = 127  # as a shell says of a command that it does not find


def main(arguments: Sequence[str]) -> int:
    try:
        import iperf3

        test = iperf3.Server() if "-s" in arguments else iperf3.Client()
    except (ImportError, OSError) as error:
        print(f"libiperf cannot be used: {error}", file=sys.stderr, flush=True)
        return _NOT_THERE
    if "--version" in arguments:
        print(test.iperf_version, flush=True)
        return 0
    return _run(test, ["iperf3", *arguments])


def _run(test: object, argv: list[str]) -> int:
    library, handle = test.lib, test._test  # type: ignore[attr-defined]  # the package has no types
    words = (ctypes.c_char_p * (len(argv) + 1))(*(word.encode() for word in argv), None)
    library.iperf_parse_arguments.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    test.json_output = test.verbose = False  # type: ignore[attr-defined]  # the arguments say
    if library.iperf_parse_arguments(handle, len(argv), words) < 0:
        return _fail(library, handle, b"parameter error - %s")
    running = library.iperf_run_server if "-s" in argv else library.iperf_run_client
    if running(handle) < 0:
        return _fail(library, handle, b"error - %s")
    return 0


def _fail(library: ctypes.CDLL, handle: int, words: bytes) -> int:
    """Says it as iperf3 does, in its JSON too, and does not come back."""
    number = ctypes.c_int.in_dll(library, "i_errno").value
    library.iperf_errexit.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
    library.iperf_errexit(handle, words, library.iperf_strerror(number))
    return 1


if __name__ == "__main__":
    code = main(sys.argv[1:])
    ctypes.CDLL(None).fflush(None)
    os._exit(code)
