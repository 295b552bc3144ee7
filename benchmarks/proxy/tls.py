"""The provider behind TLS: nginx before it, with a certificate of an authority that was made for the run."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

__all__ = ["Secured", "secured"]

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
PATIENCE_S = 10.0


class Secured(msgspec.Struct, frozen=True):
    """``authority``: a file, the certificate that clients shall trust."""

    port: int
    authority: Path


@contextmanager
def secured(folder: Path, provider: int) -> Generator[Secured | None, None, None]:
    """None where nginx or openssl is missing."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or shutil.which("openssl") is None:
        yield None
        return
    _certify(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    folder.joinpath("nginx.conf").write_text(_config(folder, port, provider), encoding="utf-8")
    command = [nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command) as process:
        try:
            _await(port)
            yield Secured(port, folder / "ca.pem")
        finally:
            process.terminate()


def _certify(folder: Path) -> None:
    """An authority, and a certificate of it for the loopback address."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Benchmark authority",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    openssl("req", *CURVE, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=provider")
    folder.joinpath("own.ext").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n", encoding="ascii")
    openssl("x509", "-req", "-in", "own.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "own.ext", "-out", "own.pem")  # fmt: skip


def _config(folder: Path, port: int, provider: int) -> str:
    return f"""\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 2m; tcp_nodelay on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {folder}/own.pem; ssl_certificate_key {folder}/own.key;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off;
    }}
  }}
}}
"""


def _await(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError("nginx with TLS does not listen")
