"""Scripted ASGI: a client that says what it is told to, leaves when it is told to, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from litestar.types import ASGIApp

from runtime.errors import AuthenticationFailed, GatewayError, PermissionDenied
from runtime.web.credential import find_key
from runtime.web.exchange import Exchange
from runtime.web.front import Cors, Front
from runtime.web.header import RawHeaders
from runtime.web.key import KeyRecord
from runtime.web.visit import Visit
from runtime.web.wire import HttpScope, InMessage, OutMessage

__all__ = ["Answer", "Script", "call", "exchange_of", "front", "scope"]


DIALECTS = (
    "anthropic_messages", "gemini", "ollama_chat", "ollama_generate", "openai_chat", "openai_completions",
    "openai_embeddings", "openai_responses", "problem",
)  # fmt: skip


class Answer:
    """What a client saw. ``complete``: the end of the body came."""

    def __init__(self, messages: Iterable[OutMessage]) -> None:
        messages = list(messages)
        bodies = [message for message in messages if message["type"] == "http.response.body"]
        self.status = messages[0]["status"] if messages else None
        self.raw_headers = messages[0]["headers"] if messages else []
        self.headers = {name.decode(): value.decode() for name, value in self.raw_headers}
        self.body = b"".join(message["body"] for message in bodies)
        self.complete = bool(bodies) and not bodies[-1].get("more_body", False)


class Script:
    """``pieces`` of a body arrive one by one; then the client waits for its answer until `leave`.

    ``endless``: nothing says that the body is complete. ``cut``: the client leaves before it is.
    """

    def __init__(self, pieces: Sequence[bytes] = (b"",), *, endless: bool = False, cut: bool = False) -> None:
        self._pieces = list(pieces)
        self._last = len(self._pieces) - 1
        self._endless = endless
        self._cut = cut
        self._left = asyncio.Event()
        self.read = 0
        self.sent: list[OutMessage] = []
        self.gate: asyncio.Event | None = None
        self.fault: OSError | None = None
        self.waiting = asyncio.Event()
        self.progress = asyncio.Condition()

    async def receive(self) -> InMessage:
        if self.read < len(self._pieces):
            number, self.read = self.read, self.read + 1
            more = self._endless or self._cut or number < self._last
            return {"type": "http.request", "body": self._pieces[number], "more_body": more}
        if not self._cut:
            self.waiting.set()
            await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: OutMessage) -> None:
        if self.fault is not None:
            raise self.fault
        if self.gate is not None:
            await self.gate.wait()
        async with self.progress:
            self.sent.append(message)
            self.progress.notify_all()

    async def until(self, count: int) -> None:
        """Wait until so many messages were sent."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.sent) >= count)

    def leave(self) -> None:
        self._left.set()

    @property
    def answer(self) -> Answer:
        return Answer(self.sent)


def scope(
    method: str = "POST", path: str = "/v1/x", query: str = "", headers: Iterable[tuple[str, str]] = ()
) -> HttpScope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 40000),
    }


def exchange_of(
    script: Script,
    method: str = "POST",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
    base_headers: RawHeaders = (),
) -> Exchange:
    head = scope(method, query=query, headers=headers)
    return Exchange(head, script.receive, script.send, request_id="r-1", base_headers=base_headers)


class _Told:
    def __init__(self, protocol: str, error: GatewayError, request_id: str) -> None:
        self.status = error.http_status
        self.headers = (("content-type", f"text/{protocol}"), ("x-request-id", request_id))
        self.body = f"{protocol}: {error.kind}: {error.message}".encode()


def _renderer(protocol: str) -> Callable[[GatewayError, str], _Told]:
    return lambda error, request_id: _Told(protocol, error, request_id)


def front(
    *,
    origins: tuple[str, ...] = (),
    scopes: dict[str, str] | None = None,
    keys: dict[str, set[str]] | None = None,
    spoken: tuple[tuple[str, str], ...] = (),
) -> Front:
    """A front with dialects that name themselves, ids that count, and ``keys`` with their scopes."""
    numbers = iter(range(1, 10**9))

    async def authorize(visit: Visit, wanted: str) -> KeyRecord:
        found = (keys or {}).get(find_key(visit.headers, visit.query) or "")
        if found is None:
            raise AuthenticationFailed("no good key")
        if wanted not in found:
            raise PermissionDenied(f"not {wanted}")
        return KeyRecord(id="key", scopes=frozenset(found))

    return Front(
        new_id=lambda: f"new-{next(numbers)}",
        renders={name: _renderer(name) for name in DIALECTS},
        authorize=authorize,
        base_headers=((b"x-gatewright-build", b"build-1"),),
        scopes=scopes or {},
        cors=Cors(origins=origins),
        spoken=spoken,
    )


async def call(
    app: ASGIApp, method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b"", query: str = ""
) -> Answer:
    """One whole call to an application."""
    script = Script([body])
    await run(app, script, method, path, headers, query)
    return script.answer


async def run(
    app: ASGIApp, script: Script, method: str, path: str, headers: Iterable[tuple[str, str]] = (), query: str = ""
) -> None:
    """Let ``script`` be the client of one call."""
    own = list(headers)
    named = any(name.lower() == "host" for name, _ in own)
    head = scope(method, path, query, own if named else [("host", "localhost"), *own])
    whole = {**head, "http_version": "1.1", "scheme": "http", "root_path": "", "raw_path": path.encode(), "state": {}}
    await app({**whole, "server": ("127.0.0.1", 1), "extensions": {}}, script.receive, script.send)
