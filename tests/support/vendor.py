"""A fake provider that is as strict as the vendor: it refuses what the vendor refuses, and replays transcripts.

One `Vendor` speaks one protocol on a loopback port, from a thread of its own, so that synchronous SDKs and a gateway in
another process can call it. The model's name picks what it answers: `plain`, `two-tools`, … replay
``tests/fixtures/vendor/<protocol>/<name>.sse`` (or those in ``transcripts``) byte by byte, or ``<name>.json`` for a request without a stream; a name in
`FAULTS` answers with that error. A request that ends in the result of a tool is answered with `plain` or what ``after_tools``
names. What came is kept in ``requests``; what the vendor would have refused, in ``complaints``. A protocol is a row of
`SPEECH`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.faults import FAULTS, KEY, Fault, envelope, refusal
from tests.support.last_said import answers_tools
from tests.support.oracle import complaint
from tests.support.raw_server import RawConnection, RawRequest, answer, chunk, each_request, head, raw_server
from tests.support.rules import broken

__all__ = ["FAULTS", "KEY", "SPEECH", "WIRE", "Seen", "Vendor", "vendor"]

WIRE = Path(__file__).parent.parent / "fixtures" / "vendor"
LAST_CHUNK = b"0\r\n\r\n"
NEW_KIND = "gemini-3-"
"""May stand before the name of a transcript: clients and gateway treat such models their own way."""


class Speech(NamedTuple):
    """How a vendor is spoken to. ``{model}`` in a path is in the URL; without it the body says the model."""

    create: str
    stream: str
    count: str = ""
    counted: bytes = b""
    credential: tuple[str, str] = ("authorization", "Bearer ")
    needs: tuple[str, ...] = ()
    ending: str = "sse"
    content_type: str = "text/event-stream"
    streams_unasked: bool = False


SPEECH: Mapping[str, Speech] = {
    "openai_chat": Speech("/v1/chat/completions", "/v1/chat/completions"),
    "openai_responses": Speech(
        "/v1/responses",
        "/v1/responses",
        count="/v1/responses/input_tokens",
        counted=b'{"object":"response.input_tokens","input_tokens":42}',
    ),
    "anthropic_messages": Speech(
        "/v1/messages",
        "/v1/messages",
        count="/v1/messages/count_tokens",
        counted=b'{"input_tokens":42}',
        credential=("x-api-key", ""),
        needs=("anthropic-version",),
    ),
    "gemini": Speech(
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        count="/v1beta/models/{model}:countTokens",
        counted=b'{"totalTokens":42}',
        credential=("x-goog-api-key", ""),
    ),
    "ollama_chat": Speech(
        "/api/chat", "/api/chat", ending="ndjson", content_type="application/x-ndjson", streams_unasked=True
    ),
}

PRIVATE = ("x-stainless", "x-gatewright", "x-goog-api-client", "x-codex", "x-claude-code", "session-id", "thread-id")
"""What headers begin with that say something of the client, and are nobody's business upstream."""

BETA = "?beta=true"
"""What Anthropic's clients append to any path; it says nothing."""


class Seen(NamedTuple):
    """One request that came."""

    path: str
    headers: Mapping[str, str]
    body: Any
    raw: bytes


class Asked(NamedTuple):
    """What a request is for: `create`, `stream` or `count`, and of which model."""

    kind: str
    model: str


class Vendor:
    """See the module. ``split`` is how many bytes of a transcript go into one write; 0 for all at once."""

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.speech = SPEECH[protocol]
        self.url = ""
        self.requests: list[Seen] = []
        self.complaints: list[str] = []
        self.closed_early = threading.Event()
        self.split = 0
        self.hold = threading.Event()  # set: a stream stops half-way and waits for its client to leave
        self.after_tools = "plain"
        self.transcripts = WIRE / protocol

    def clear(self) -> None:
        self.requests.clear()
        self.complaints.clear()
        self.closed_early.clear()
        self.hold.clear()
        self.split = 0

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        try:
            body = json.loads(request.body)
        except ValueError:
            await self._fault(connection, refusal("the body is not JSON"))
            return
        self.requests.append(Seen(request.target.partition("?")[0], request.headers, body, request.body))
        asked = self._asked(request.target, body)
        objection = f"no such path: {request.target}" if asked is None else self._objection(asked, request, body)
        if asked is None or objection is not None:
            self.complaints.append(objection or "")
            await self._fault(connection, refusal(objection or ""))
        elif asked.kind == "count":
            await connection.send(answer(self.speech.counted, "content-type: application/json"))
        else:
            await self._answer(connection, asked, body)

    def _asked(self, target: str, body: Any) -> Asked | None:
        streamed = body.get("stream", self.speech.streams_unasked)
        for kind in ("count", "stream", "create"):
            path = getattr(self.speech, kind)
            before, in_url, behind = path.partition("{model}")
            if in_url and target.startswith(before) and target.endswith(behind):
                return Asked(kind, target[len(before) : len(target) - len(behind)])
            if path and target.removesuffix(BETA) == path and (kind == "count" or (kind == "stream") == bool(streamed)):
                return Asked(kind, body.get("model", ""))
        return None

    def _objection(self, asked: Asked, request: RawRequest, body: Any) -> str | None:
        name, prefix = self.speech.credential
        if request.headers.get(name) != prefix + KEY:
            return "no or wrong credential"
        for needed in self.speech.needs:
            if needed not in request.headers:
                return f"{needed}: header is required"
        for header in request.headers:
            if header.startswith(PRIVATE):
                return f"{header} is nobody's business"
        beta = self.protocol == "anthropic_messages" and "anthropic-beta" in request.headers
        wrong = complaint(self.protocol, asked.kind, body, beta=beta)
        return wrong if wrong is not None or asked.kind == "count" else broken(self.protocol, body, request.headers)

    async def _answer(self, connection: RawConnection, asked: Asked, body: Any) -> None:
        name = asked.model.removeprefix(NEW_KIND)
        if name in FAULTS:
            await self._fault(connection, FAULTS[name])
            return
        if answers_tools(self.protocol, body):
            name = self.after_tools
        whole = self.transcripts / f"{name}.json"
        if asked.kind == "stream":
            await self._replay(connection, self.transcripts / f"{name}.{self.speech.ending}")
        elif whole.exists():
            data = whole.read_bytes()
            await connection.send(answer(data, "content-type: application/json", "x-request-id: req_vendor"))
        else:
            await self._fault(connection, FAULTS["fault-404"])

    async def _replay(self, connection: RawConnection, transcript: Path) -> None:
        data = transcript.read_bytes()
        kind = f"content-type: {self.speech.content_type}"
        await connection.send(head(200, kind, "transfer-encoding: chunked"))
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
        body, lines = envelope(self.protocol, fault)
        await connection.send(answer(body, "content-type: application/json", *lines, status=fault.status))


@contextlib.contextmanager
def vendor(protocol: str) -> Iterator[Vendor]:
    """A `Vendor` that is being served."""
    for kind in ("create", "stream"):
        complaint(protocol, kind, {})  # builds the validator, which takes seconds that no request should wait for
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
    assert started.wait(60), "the fake provider did not start"
    try:
        yield fake
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(10)
