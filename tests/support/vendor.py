"""A fake provider that is as strict as the vendor: it refuses what the vendor's types refuse, and replays transcripts.

One `Vendor` speaks one protocol on a loopback port, from a thread of its own, so that synchronous SDKs and a gateway in
another process can call it. The model's name picks what it answers: `plain`, `two-tools`, … replay
``tests/fixtures/vendor/<protocol>/<name>.sse`` byte by byte, or ``<name>.json`` for a request without a stream; a name in
`FAULTS` answers with that error. What came is kept in ``requests``; what the vendor would have refused, in ``complaints``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.oracle import complaint
from tests.support.raw_server import RawConnection, RawRequest, answer, chunk, each_request, head, raw_server

__all__ = ["FAULTS", "KEY", "WIRE", "Seen", "Vendor", "vendor"]

WIRE = Path(__file__).parent.parent / "fixtures" / "vendor"
KEY = "sk-vendor-secret-0123456789abcdef"
LAST_CHUNK = b"0\r\n\r\n"


class Fault(NamedTuple):
    """An error as a vendor gives it. ``lines`` are headers."""

    status: int
    openai: Mapping[str, Any]
    anthropic: Mapping[str, Any]
    lines: tuple[str, ...] = ()


FAULTS = {
    "fault-400": Fault(
        400,
        {"message": "Invalid 'seed'", "type": "invalid_request_error", "param": "seed", "code": "invalid_value"},
        {"type": "invalid_request_error", "message": "seed: invalid"},
    ),
    "fault-401": Fault(
        401,
        {
            "message": f"Incorrect API key provided: {KEY[:6]}",
            "type": "invalid_request_error",
            "code": "invalid_api_key",
        },
        {"type": "authentication_error", "message": "invalid x-api-key"},
    ),
    "fault-404": Fault(
        404,
        {"message": "The model does not exist", "type": "invalid_request_error", "code": "model_not_found"},
        {"type": "not_found_error", "message": "model: fault-404"},
    ),
    "fault-413": Fault(
        413,
        {"message": "Request too large", "type": "invalid_request_error", "code": None},
        {"type": "request_too_large", "message": "Request exceeds the maximum size"},
    ),
    "fault-429": Fault(
        429,
        {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"},
        {"type": "rate_limit_error", "message": "Number of requests has exceeded your rate limit"},
        ("retry-after: 7",),
    ),
    "fault-500": Fault(
        500,
        {"message": "The server had an error", "type": "server_error", "code": None},
        {"type": "api_error", "message": "Internal server error"},
    ),
    "fault-529": Fault(
        529,
        {"message": "Overloaded", "type": "server_error", "code": "server_is_overloaded"},
        {"type": "overloaded_error", "message": "Overloaded"},
    ),
}


class Seen(NamedTuple):
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes


class Vendor:
    """See the module. ``split`` is how many bytes of a transcript go into one write; 0 for all at once."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.url = ""
        self.requests: list[Seen] = []
        self.complaints: list[str] = []
        self.closed_early = threading.Event()
        self.split = 0
        self.hold = threading.Event()  # set: a stream stops half-way and waits for its client to leave

    def clear(self) -> None:
        self.requests.clear()
        self.complaints.clear()
        self.closed_early.clear()
        self.hold.clear()
        self.split = 0

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        path = request.target.partition("?")[0]
        try:
            body = json.loads(request.body)
        except ValueError:
            await self._fail(connection, 400, "invalid_request_error", "the body is not JSON")
            return
        self.requests.append(Seen(path, request.headers, body, request.body))
        refusal = self._refusal(path, request.headers, body)
        if refusal is not None:
            self.complaints.append(refusal)
            await self._fail(connection, 400, "invalid_request_error", refusal)
        elif body["model"] in FAULTS:
            await self._fault(connection, FAULTS[body["model"]])
        elif path.endswith("/count_tokens"):
            await connection.send(answer(b'{"input_tokens":42}', "content-type: application/json"))
        elif body.get("stream"):
            await self._replay(connection, WIRE / self.protocol / f"{body['model']}.sse")
        else:
            data = (WIRE / self.protocol / f"{body['model']}.json").read_bytes()
            await connection.send(answer(data, "content-type: application/json", "x-request-id: req_vendor"))

    def _refusal(self, path: str, headers: Mapping[str, str], body: Any) -> str | None:
        if self.protocol == "openai_chat":
            if headers.get("authorization") != f"Bearer {KEY}":
                return "no or wrong credential"
            if path != "/v1/chat/completions":
                return f"no such path: {path}"
        else:
            if headers.get("x-api-key") != KEY:
                return "no or wrong credential"
            if "anthropic-version" not in headers:
                return "anthropic-version: header is required"
            if path not in ("/v1/messages", "/v1/messages/count_tokens"):
                return f"no such path: {path}"
        for name in headers:
            if name.startswith(("x-stainless", "x-gatewright")):
                return f"{name} is nobody's business"
        kind = "count" if path.endswith("count_tokens") else "stream" if body.get("stream") else "create"
        return complaint(self.protocol, kind, body)

    async def _replay(self, connection: RawConnection, transcript: Path) -> None:
        data = transcript.read_bytes()
        await connection.send(head(200, "content-type: text/event-stream", "transfer-encoding: chunked"))
        if self.hold.is_set():
            await connection.send(chunk(data[: len(data) // 2]))
            await connection.gone()
            self.closed_early.set()
            connection.close()
            return
        size = self.split or len(data)
        for start in range(0, len(data), size):
            await connection.send(chunk(data[start : start + size]))
            await asyncio.sleep(0)
        await connection.send(LAST_CHUNK)

    async def _fault(self, connection: RawConnection, fault: Fault) -> None:
        if self.protocol == "openai_chat":
            body: dict[str, Any] = {"error": {"param": None, **fault.openai}}
        else:
            body = {"type": "error", "error": dict(fault.anthropic), "request_id": "req_vendor"}
        data = json.dumps(body).encode()
        await connection.send(answer(data, "content-type: application/json", *fault.lines, status=fault.status))

    async def _fail(self, connection: RawConnection, status: int, type_: str, message: str) -> None:
        error = {"type": type_, "message": message, "param": None, "code": None}
        await self._fault(connection, Fault(status, error, {"type": type_, "message": message}))


@contextlib.contextmanager
def vendor(protocol: str) -> Iterator[Vendor]:
    """A `Vendor` that is being served."""
    fake = Vendor(protocol)
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with raw_server(each_request(fake.respond)) as server:
            fake.url = server.url
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10), "the fake provider did not start"
    try:
        yield fake
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
