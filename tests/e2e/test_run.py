"""`meshtop run` around a real upload: through nginx, chunked, to an HTTP store on another node."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meshtop.lab import registry
from meshtop.lab.network import Lab

pytestmark = pytest.mark.lab

MESHTOP = str(Path(sys.executable).with_name("meshtop"))
# A registry's way: what is uploaded goes on while it comes in.
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen {listen};
        client_max_body_size 0;
        location / {{
            proxy_pass http://{store};
            proxy_request_buffering off;
            proxy_http_version 1.1;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""
# Chunked, as `docker push` sends a layer: argv is host, port, bytes.
UPLOAD = """
import http.client, os, sys
host, port, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
connection = http.client.HTTPConnection(host, port, timeout=100)
block = os.urandom(65536)
connection.request("PUT", "/v2/app/blobs", (block for _ in range(size // len(block))), encode_chunked=True,
                   headers={"Transfer-Encoding": "chunked"})
answer = connection.getresponse()
answer.read()
print("status", answer.status)
sys.exit(3 if answer.status == 201 else 1)
"""
# Reads chunks as well as lengths; the lab's own store takes lengths only.
STORE = """
import http.server, sys
class Store(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def do_PUT(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size); self.rfile.readline()
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201); self.send_header("Content-Length", "0"); self.end_headers()
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Store)
print("ready", flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(registry.HOME_VARIABLE, str(tmp_path_factory.mktemp("lab")))
        lab = Lab.up("run")
    with lab:
        yield lab


@pytest.fixture
def registry_of_images(lab: Lab, tmp_path: Path) -> Iterator[None]:
    """nginx on a, where images are pushed to; the store behind it on c."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    listen, store = f"{lab.address('vpn', 'a')}:8443", f"{lab.address('vpn', 'c')}:5000"
    config.write_text(NGINX.format(folder=folder, listen=listen, store=store))
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(_ended(lab.popen("c", [sys.executable, "-c", STORE, *store.split(":")])))
        assert behind.stdout is not None
        assert behind.stdout.readline() == b"ready\n"
        stack.enter_context(_ended(lab.popen("a", ["nginx", "-c", str(config)], stdout=subprocess.DEVNULL)))
        for _ in range(100):
            if "8443" in lab.exec("a", ["ss", "-tlnH", "sport = :8443"]).stdout:
                break
            threading.Event().wait(0.05)
        yield


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def upload(lab: Lab, megabytes: int) -> list[str]:
    size = str(megabytes * 1024 * 1024)
    return lab.command("e", [sys.executable, "-c", UPLOAD, lab.address("vpn", "a"), "8443", size])


def start(lab: Lab, command: list[str], *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [MESHTOP, "-c", str(lab.config_path), "run", *options, "--", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.usefixtures("registry_of_images")
def test_a_push_over_a_healthy_mesh_is_said_to_have_met_no_trouble(lab: Lab) -> None:
    running = start(lab, upload(lab, 4), "--json")
    out, said = running.communicate(timeout=90)
    assert running.returncode == 3, said  # the command's own
    found: dict[str, Any] = json.loads(out)
    assert found["schema"] == "meshtop.run/1"
    assert (found["exit_code"], found["stalls"], found["hop"], found["cause"]) == (3, [], None, None)
    assert found["verdict"] == "nothing stalled and nothing crawled"
    assert found["watches"] == ["push"]
    hops = {(hop["src"], hop["dst"], hop["path"]): hop for hop in found["hops"]}
    assert hops.keys() >= {("e", "a", "vpn"), ("a", "c", "vpn")}
    assert hops["e", "a", "vpn"]["tx_bytes"] > 2.5 * 1024 * 1024  # a closed socket takes its last interval along
    assert found["moving_s"] > 1
    assert "status 201" in said  # what the command prints does not go where the document goes


@pytest.mark.usefixtures("registry_of_images")
def test_a_push_that_stalls_in_the_tunnel_is_told_by_hop_and_cause(lab: Lab) -> None:
    assert lab.set_overlay("striped:8") == []
    try:
        lab.fault("e:a", "loss", "0.5", net="public")
        running = start(lab, upload(lab, 12))
        cut = threading.Timer(9.0, lab.fault, ("e:a", "blackout"), {"net": "public"})
        heal = threading.Timer(13.0, lab.heal, ("e:a", "blackout", "public"))
        cut.start()
        heal.start()
        out, said = running.communicate(timeout=150)
        cut.join()
        heal.join()
    finally:
        lab.heal()
        lab.set_overlay("direct")
    assert running.returncode == 3, said
    assert out == "status 201\n"
    verdict = next(line for line in said.splitlines() if " stalled for " in line)
    assert verdict.strip().startswith("e→a vpn stalled for "), said
    assert any(verdict.endswith(f"mostly {cause}") for cause in ("outer-stall", "blackout", "rto-no-ack")), verdict


def test_ctrl_c_reaches_the_command(lab: Lab) -> None:
    script = "trap 'echo stopped; exit 42' INT; echo up; while :; do sleep 0.1; done"
    running = start(lab, ["sh", "-c", script])
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=30)
    assert (out, running.returncode) == ("stopped\n", 42), said
    assert "ended with 42" in said
