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

from benchmarks.proxy import nginx
from benchmarks.proxy.machine import free_port

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
    program = nginx.program()
    if program is None or shutil.which("openssl") is None:
        yield None
        return
    _certify(folder)
    port = free_port()
    certificate = f"ssl_certificate {folder}/own.pem; ssl_certificate_key {folder}/own.key;"
    config = nginx.config(folder, f"127.0.0.1:{port} ssl", provider, before=certificate)
    command = nginx.command(program, folder, config)
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
