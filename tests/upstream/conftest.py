"""An upstream per test, requests to send with it, and certificates of a local authority."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import pytest
import uvloop

from runtime.upstream.client import HttpUpstream
from runtime.upstream.types import Destination, Limits, UpstreamRequest

LIMITS = Limits(connect_ms=2_000, first_byte_ms=5_000, idle_ms=5_000, total_ms=20_000)

AUTHORITY = """\
[ca]
default_ca = local
[local]
database = index.txt
serial = serial.txt
unique_subject = no
new_certs_dir = .
default_md = sha256
policy = names
[names]
commonName = supplied
"""


def post(url: str, body: bytes = b"{}", limits: Limits = LIMITS, pool: str = "") -> UpstreamRequest:
    """A POST as the gateway sends it; the URL and a header hold what must never be shown."""
    headers = (("Authorization", "Bearer hidden-in-header"), ("Content-Type", "application/json"))
    return UpstreamRequest(Destination("POST", f"{url}/v1/chat?key=hidden-in-url", headers, pool), body, limits)


def limits(
    *, connect_ms: int = 2_000, first_byte_ms: int = 5_000, idle_ms: int = 5_000, total_ms: int = 20_000
) -> Limits:
    return Limits(connect_ms=connect_ms, first_byte_ms=first_byte_ms, idle_ms=idle_ms, total_ms=total_ms)


ON_BOTH: Final = frozenset(
    {"test_body", "test_body_limits", "test_client", "test_kept_connections", "test_straight", "test_through"}
)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests with sockets run on both loops, which differ in how and when they tell of a connection's end."""
    if item.path.stem in ON_BOTH:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[HttpUpstream]:
    http = HttpUpstream()
    yield http
    await http.aclose()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and key and certificate for 127.0.0.1 (good), for a past day (expired), for others (wrong)."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.pem", "-days", "3650", "-subj", "/CN=Test authority",
            "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    (folder / "ca.cnf").write_text(AUTHORITY, encoding="ascii")
    (folder / "index.txt").touch()
    (folder / "serial.txt").write_text("01\n", encoding="ascii")
    for name, alternative, end in (
        ("good", "IP:127.0.0.1", "20491231235959Z"),
        ("wrong", "DNS:else.test", "20491231235959Z"),
        ("expired", "IP:127.0.0.1", "20200102000000Z"),
    ):
        (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n", encoding="ascii")
        openssl("req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=Test server")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", "ca.pem", "-keyfile", "ca.key", "-in", f"{name}.csr",
                "-out", f"{name}.pem", "-extfile", f"{name}.ext", "-startdate", "20200101000000Z", "-enddate", end,
                "-notext")  # fmt: skip
    return folder
