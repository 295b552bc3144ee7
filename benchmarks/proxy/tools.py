"""The load generator and the provider: compiled from C where they are run, started, and their words read."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.proxy.machine import urgent

__all__ = ["Percentiles", "Shot", "fire", "have_compiler", "http_request", "provider", "tools"]

FLAGS = ("-O2", "-std=c11", "-Wall", "-Wextra")
PATIENCE_S = 300.0


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds; zeros where nothing was counted."""

    count: int
    p50: int
    p99: int
    p999: int
    max: int


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """What the load generator saw: see the head of `load.c`."""

    requests: int
    complete: int
    incomplete: int
    lost: int
    wall_s: float
    body_bytes: int
    latency_us: Percentiles
    first_us: Percentiles
    delay_us: Percentiles
    statuses: Mapping[str, int]


def have_compiler() -> bool:
    return shutil.which("cc") is not None


def tools(folder: Path) -> tuple[Path, Path]:
    """Compile into ``folder``: the load generator and the provider."""
    made: list[Path] = []
    for name in ("load", "provider"):
        source, program = Path(__file__).with_name(f"{name}.c"), folder / name
        subprocess.run(["cc", *FLAGS, "-o", str(program), str(source)], check=True)
        made.append(program)
    return made[0], made[1]


@contextmanager
def provider(program: Path) -> Generator[int, None, None]:
    """The port of a running provider."""
    with subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True, preexec_fn=urgent) as process:  # noqa: PLW1509
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def http_request(port: int, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request, as the load generator sends it."""
    head = {
        "host": f"127.0.0.1:{port}",
        "content-type": "application/json",
        **headers,
        "content-length": str(len(body)),
    }
    lines = (f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", "")
    return "\r\n".join(lines).encode("latin-1") + body


def fire(load: Path, port: int, connections: int, requests: int, request: bytes, expected: str = "") -> Shot:
    """Send ``request`` so often and say how it went."""
    file = load.with_name("request")
    file.write_bytes(request)
    command = [str(load), str(port), str(min(connections, requests)), str(requests), str(file), expected]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False, preexec_fn=urgent)
    if done.returncode:
        raise RuntimeError(f"the load generator ended with {done.returncode}: {done.stderr.decode()}")
    return msgspec.json.decode(done.stdout, type=Shot)
