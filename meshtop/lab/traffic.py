"""The traffic of the lab's scenarios: what the case's operator had on the wire, in small.

    python -m meshtop.lab.traffic store   --bind ADDR:PORT [--rate 2M]         takes uploads, reads at most that fast
                                          [--compress LEVEL] [--window 64k]    and compresses them (zlib, 1 to 9)
    python -m meshtop.lab.traffic proxy   --bind ADDR:PORT --to ADDR:PORT      passes uploads on as they come
    python -m meshtop.lab.traffic push    --to ADDR:PORT [--chunk 5M]          a registry push: chunk after chunk
    python -m meshtop.lab.traffic copy    --to ADDR:PORT [--rate 1M]           scp-like: one connection, all it can
    python -m meshtop.lab.traffic chatter --to ADDR:PORT [--every 200ms]       small requests on a kept connection

``store`` serves copies and chatter too, over HTTP like the rest: what differs is how they send. Each runs until its
standard input ends, or ``--for``, or ``--bytes``; ``--window`` is a store's receive buffer, a copy's send one. Servers
print ``ready``, clients a JSON line for every request.
"""

from __future__ import annotations

import argparse
import http.client
import http.server
import json
import os
import socket
import socketserver
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from meshtop.units import parse_duration, parse_rate, parse_size

_BLOCK = 65536
# Bytes that no link compresses, made once.
_NOISE = os.urandom(_BLOCK)
# An upload that does not move for this long is given up, as a registry client would.
_CLIENT_TIMEOUT_S = 60.0
_GRACE_S = 1.0
_COPY_BYTES = 1 << 40  # a copy ends by its time or its size option, not by itself


class _Pace:
    """Holds a loop to a bit rate; None is no limit."""

    def __init__(self, rate_bps: int | None) -> None:
        self._rate_bps = rate_bps
        self._due = time.monotonic()

    def passed(self, size: int) -> None:
        if self._rate_bps is None:
            return
        self._due = max(self._due, time.monotonic() - 0.1) + 8 * size / self._rate_bps
        time.sleep(max(0.0, self._due - time.monotonic()))


def _connection(to: tuple[str, int], window: int | None = None) -> http.client.HTTPConnection:
    """``window``: the send buffer in bytes, which bounds what is on its way; None leaves it to the kernel."""
    host, port = to
    connection = http.client.HTTPConnection(host, port, timeout=_CLIENT_TIMEOUT_S)
    if window is not None:
        connect = connection.connect

        def connect_with_window() -> None:
            connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, window)

        connection.connect = connect_with_window  # type: ignore[method-assign]  # http.client has no other place for it
    return connection


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, bind: tuple[str, int], handler: type[http.server.BaseHTTPRequestHandler], **settings: Any
    ) -> None:
        self.settings = settings
        super().__init__(bind, handler)

    def server_bind(self) -> None:
        window = self.settings.get("window")
        if window is not None:  # before it listens: what it accepts has the same
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no event worth a traceback."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # the library's name
        """Requests are not logged: the client reports them."""

    def _body(self) -> Iterator[bytes]:
        left = int(self.headers.get("Content-Length", "0"))
        while left:
            data = self.rfile.read1(min(left, _BLOCK))
            if not data:
                raise ConnectionResetError
            left -= len(data)
            yield data

    def _answer(self, status: int, text: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class _Store(_Handler):
    def do_PUT(self) -> None:
        pace = _Pace(self.server.settings["rate_bps"])
        level = self.server.settings["compress"]
        for block in self._body():
            if level is not None:
                zlib.compress(block, level)
            pace.passed(len(block))
        self._answer(201)

    def do_GET(self) -> None:
        self._answer(200, _NOISE[: int(self.path.rpartition("/")[2] or 0) % _BLOCK])


class _Proxy(_Handler):
    def do_PUT(self) -> None:
        upstream = _connection(self.server.settings["to"])
        try:
            upstream.request("PUT", self.path, self._body(), {"Content-Length": self.headers["Content-Length"]})
            answer = upstream.getresponse()
            self._answer(answer.status, answer.read())
        except OSError:
            self.close_connection = True
            self._answer(502)
        finally:
            upstream.close()

    def do_GET(self) -> None:
        upstream = _connection(self.server.settings["to"])
        try:
            upstream.request("GET", self.path)
            answer = upstream.getresponse()
            self._answer(answer.status, answer.read())
        except OSError:
            self._answer(502)
        finally:
            upstream.close()


def _blocks(size: int, pace: _Pace, stop: threading.Event) -> Iterator[bytes]:
    left = size
    while left and not stop.is_set():
        block = _NOISE[: min(left, _BLOCK)]
        left -= len(block)
        yield block
        pace.passed(len(block))


def _upload(
    connection: http.client.HTTPConnection, size: int, stop: threading.Event, keep: int | None, pace: _Pace, path: str
) -> int:
    """PUTs of ``size`` bytes, one after the other on one connection, until ``keep`` bytes are through or ``stop``.
    Returns how many requests failed."""
    failed = 0
    through = 0
    number = 0
    while not stop.is_set() and (keep is None or through < keep):
        number += 1
        began = time.monotonic()
        record: dict[str, object] = {"request": number, "path": path, "bytes": size}
        try:
            connection.request("PUT", path, _blocks(size, pace, stop), {"Content-Length": str(size)})
            answer = connection.getresponse()
            answer.read()
            record["status"] = answer.status
            through += size
        except OSError as error:
            failed += 1
            record["error"] = str(error) or type(error).__name__
            connection.close()
            stop.wait(1.0)
        except http.client.HTTPException as error:
            # the body was cut short by our own stop, or the peer closed between two requests
            record["error"] = type(error).__name__
            connection.close()
        record["seconds"] = round(time.monotonic() - began, 3)
        print(json.dumps(record), flush=True)
    connection.close()
    return failed


def _chatter(to: tuple[str, int], every_s: float, stop: threading.Event) -> int:
    failed = 0
    connection = _connection(to)
    number = 0
    while not stop.is_set():
        number += 1
        began = time.monotonic()
        record: dict[str, object] = {"request": number}
        try:
            connection.request("GET", f"/{200 + number * 97 % 1800}")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException) as error:
            failed += 1
            record["error"] = str(error) or type(error).__name__
            connection.close()
        record["seconds"] = round(time.monotonic() - began, 3)
        print(json.dumps(record), flush=True)
        stop.wait(every_s)
    connection.close()
    return failed


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="meshtop.lab.traffic", description=__doc__)
    parser.add_argument("what", choices=("store", "proxy", "push", "copy", "chatter"))
    parser.add_argument("--bind", type=_endpoint)
    parser.add_argument("--to", type=_endpoint)
    parser.add_argument("--rate", type=parse_rate)
    parser.add_argument("--compress", type=int, choices=range(1, 10), metavar="LEVEL")
    parser.add_argument("--chunk", type=parse_size, default=parse_size("5M"))
    parser.add_argument("--bytes", type=parse_size)
    parser.add_argument("--window", type=parse_size)
    parser.add_argument("--every", type=parse_duration, default=0.2)
    parser.add_argument("--for", dest="seconds", type=parse_duration)
    return parser.parse_args(arguments)


def _serve(server: _Server, stop: threading.Event) -> int:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    stop = threading.Event()

    def until_input_ends() -> None:
        # not sys.stdin: a thread that waits in its lock would upset the interpreter's end
        while os.read(0, 4096):
            pass
        stop.set()
        # a request that hangs in the kernel must not outlive the wish to stop
        time.sleep(_GRACE_S)
        os._exit(0)

    threading.Thread(target=until_input_ends, daemon=True).start()
    if options.seconds is not None:
        timer = threading.Timer(options.seconds, stop.set)
        timer.daemon = True
        timer.start()
    if options.what == "store":
        settings = {"rate_bps": options.rate, "compress": options.compress, "window": options.window}
        return _serve(_Server(options.bind, _Store, **settings), stop)
    if options.what == "proxy":
        return _serve(_Server(options.bind, _Proxy, to=options.to), stop)
    if options.what == "chatter":
        return min(1, _chatter(options.to, options.every, stop))
    size = options.chunk if options.what == "push" else options.bytes or _COPY_BYTES
    path = f"/{options.what}"
    connection = _connection(options.to, options.window)
    return min(1, _upload(connection, size, stop, options.bytes, _Pace(options.rate), path))


if __name__ == "__main__":
    sys.exit(main())
