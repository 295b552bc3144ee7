"""Which HTTP client calls the providers: CPU of the calling process, for our own and for those that were thought of.

Repeat with: python -m benchmarks.upstream [--rounds 5] [--write]. Clients that are not installed are left out; `make bench-peers`
installs pyreqwest beside the other gateways.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.measure import environment, publish
from benchmarks.proxy.contenders import PEERS
from benchmarks.proxy.series import spread
from benchmarks.proxy.tls import secured
from benchmarks.proxy.tools import have_compiler, provider, tools

__all__ = ["main"]

Call = Callable[[bytes], Awaitable[int]]
"""Sends a body and reads the answer piece by piece; how many bytes that had."""

HEADERS: Final = {"authorization": "Bearer sk-provider", "content-type": "application/json"}
SCENARIOS: Final[dict[str, tuple[str, int, int, int]]] = {
    "1 KB, 16 in flight": ("json-600", 850, 16, 3200),
    "1 KB, 256 in flight": ("json-600", 850, 256, 2560),
    "100 KB": ("json-600", 100_000, 16, 800),
    "100 events, at once": ("stream-100-0", 850, 16, 320),
    "100 events, 10 ms apart": ("stream-100-10", 850, 64, 128),
    "1,000 streams of 20 events, 50 ms apart": ("stream-20-50", 850, 1000, 1000),
    "TLS, 1 KB, 16 in flight": ("json-600", 850, 16, 3200),
    "TLS, 100 events, at once": ("stream-100-0", 850, 16, 320),
}
"""Model, bytes of the prompt, calls in flight, calls."""

TLS: Final = "TLS, "
CLIENTS: Final = ("ours", "aiohttp", "httpx", "pyreqwest")


@asynccontextmanager
async def ours(url: str, authority: str) -> AsyncIterator[Call]:
    from runtime.upstream.client import HttpUpstream
    from runtime.upstream.types import Destination, Limits, UpstreamRequest

    limits = Limits(connect_ms=5000, first_byte_ms=60_000, idle_ms=60_000, total_ms=600_000)
    upstream = HttpUpstream(tls=trusting(authority))

    async def call(body: bytes) -> int:
        request = UpstreamRequest(Destination("POST", url, tuple(HEADERS.items())), body, limits)
        response = await upstream.send(request)
        size = 0
        async for data in response.chunks():
            size += len(data)
        await response.aclose()
        return size

    yield call
    await upstream.aclose()


@asynccontextmanager
async def aiohttp(url: str, authority: str) -> AsyncIterator[Call]:
    import aiohttp as library

    limit = library.ClientTimeout(total=600, sock_connect=5, sock_read=60)
    connector = library.TCPConnector(limit=0, ssl=trusting(authority))
    async with library.ClientSession(connector=connector, timeout=limit) as session:

        async def call(body: bytes) -> int:
            size = 0
            async with session.post(url, data=body, headers=HEADERS) as answer:
                async for data in answer.content.iter_any():
                    size += len(data)
            return size

        yield call


@asynccontextmanager
async def httpx(url: str, authority: str) -> AsyncIterator[Call]:
    import httpx as library

    limits = library.Limits(max_connections=None, max_keepalive_connections=None)
    async with library.AsyncClient(timeout=60, limits=limits, verify=trusting(authority)) as client:

        async def call(body: bytes) -> int:
            size = 0
            async with client.stream("POST", url, content=body, headers=HEADERS) as answer:
                async for data in answer.aiter_raw():
                    size += len(data)
            return size

        yield call


@asynccontextmanager
async def pyreqwest(url: str, authority: str) -> AsyncIterator[Call]:
    from pyreqwest.client import ClientBuilder  # type: ignore[import-not-found]

    builder = ClientBuilder()
    if authority:
        builder = builder.add_root_certificate_pem(Path(authority).read_bytes())
    async with builder.build() as client:

        async def call(body: bytes) -> int:
            size = 0
            async with client.post(url).headers(HEADERS).body_bytes(body).build_streamed() as answer:
                reader = answer.body_reader
                while (data := await reader.read_chunk()) is not None:
                    size += len(data)
            return size

        yield call


def trusting(authority: str) -> ssl.SSLContext:
    """What is trusted: that authority, or the usual ones."""
    return ssl.create_default_context(cafile=authority or None)


async def run(name: str, scenario: str, port: int, authority: str) -> float:
    """CPU in µs for each call."""
    model, prompt, flight, calls = SCENARIOS[scenario]
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x" * prompt}]}).encode()
    made = {"ours": ours, "aiohttp": aiohttp, "httpx": httpx, "pyreqwest": pyreqwest}[name]
    left, scheme = 0, "https" if authority else "http"

    async def work(call: Call) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            if await call(body) < 100:
                raise RuntimeError(f"{name} read nothing")

    async with AsyncExitStack() as stack:
        call = await stack.enter_async_context(made(f"{scheme}://127.0.0.1:{port}/v1/chat/completions", authority))
        left = flight if flight < 1000 else 0
        await asyncio.gather(*(work(call) for _ in range(flight)))
        begun, left = time.process_time_ns(), calls
        await asyncio.gather(*(work(call) for _ in range(flight)))
        return (time.process_time_ns() - begun) / calls / 1000


def measured(name: str, scenario: str, port: int, authority: str) -> float | None:
    """In a process of its own; None where the client is not there, or does not come to an end."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(Path.cwd()), str(PEERS / "clients")))}
    command = [
        sys.executable,
        "-m",
        "benchmarks.upstream",
        "--client",
        name,
        "--scenario",
        scenario,
        "--port",
        str(port),
    ]
    command += ["--authority", authority]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return None
    return float(done.stdout) if done.returncode == 0 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--client", choices=CLIENTS)
    parser.add_argument("--scenario", choices=SCENARIOS)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--authority", default="", help="a certificate to trust: then it is TLS that is spoken")
    options = parser.parse_args()
    if options.client:
        sys.stdout.write(f"{uvloop.run(run(options.client, options.scenario, options.port, options.authority)):.2f}\n")
        return
    if not have_compiler():
        sys.exit("benchmarks.upstream compiles its provider and needs `cc` (Debian: gcc)")
    found: dict[tuple[str, str], list[float]] = {}
    gone: set[tuple[str, str]] = set()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(provider(tools(folder)[1]))
        tls = stack.enter_context(secured(folder, port))
        for number in range(options.rounds):
            for scenario in SCENARIOS:
                if scenario.startswith(TLS) and tls is None:
                    continue
                place = (tls.port, str(tls.authority)) if tls is not None and scenario.startswith(TLS) else (port, "")
                for name in CLIENTS if number % 2 == 0 else reversed(CLIENTS):
                    if (scenario, name) in gone:
                        continue
                    spent = measured(name, scenario, *place)
                    sys.stderr.write(f"round {number + 1}: {name:10} {scenario}: {spent}\n")
                    if spent is None:
                        gone.add((scenario, name))
                    else:
                        found.setdefault((scenario, name), []).append(spent)
    publish(_page(found, options.rounds), "upstream", write=options.write)


def _page(found: dict[tuple[str, str], list[float]], rounds: int) -> str:
    lines = [
        "# The client that calls providers",
        "",
        f"{environment()}; {rounds} interleaved rounds; `python -m benchmarks.upstream --rounds {rounds}`",
        "",
        (
            "µs of CPU of the calling process for each call, median [least–most] of the rounds; below, each client's median "
            "against ours. A dash: not installed, or not at its end after a minute."
        ),
        "",
        f"| scenario | {' | '.join(CLIENTS)} |",
        f"|---|{'---|' * len(CLIENTS)}",
    ]
    ratios = ["", f"| scenario, × ours | {' | '.join(CLIENTS[1:])} |", f"|---|{'---|' * (len(CLIENTS) - 1)}"]
    for scenario in SCENARIOS:
        times = {name: found.get((scenario, name)) for name in CLIENTS}
        cells = [spread(each).text(0) if each else "–" for each in times.values()]
        lines.append(f"| {scenario} | {' | '.join(cells)} |")
        own = times["ours"]
        if own:
            pairs = (
                (each, statistics.median(each) / statistics.median(own)) if each else None
                for each in list(times.values())[1:]
            )
            ratios.append(f"| {scenario} | {' | '.join('–' if pair is None else f'{pair[1]:.1f}' for pair in pairs)} |")
    return "\n".join([*lines, *ratios]) + "\n"


if __name__ == "__main__":
    main()
